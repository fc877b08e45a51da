"""Figures against installed peers: `python -m benchmarks` (benchmarks/README.md)."""
