"""The admin listener: /livez, /readyz and /metrics, for orchestrators and Prometheus, not for clients."""
