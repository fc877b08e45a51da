"""WebSocket (RFC 6455, RFC 7692): bytes become messages, and messages bytes."""
