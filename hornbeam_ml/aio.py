"""``hornbeam_ml`` for coroutines: the same names, to be awaited. For ``batched`` see :meth:`Batched.aio`."""

from hornbeam_ml._inference import cached_inference_async as cached_inference

__all__ = ["cached_inference"]
