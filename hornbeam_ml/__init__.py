"""Results of models computed once per server, and calls of a model joined. See README.md here."""

from hornbeam_ml._batched import Batched, batched
from hornbeam_ml._inference import cache_stats, cached_inference, clear_cache

__all__ = ["Batched", "batched", "cache_stats", "cached_inference", "clear_cache"]
