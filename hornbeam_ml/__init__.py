"""Inference caching and batching on top of :mod:`hornbeam_erlang`."""
