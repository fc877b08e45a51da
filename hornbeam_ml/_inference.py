"""Results of functions that take long: computed once for all processes of the server."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from hornbeam_ml._front import MISSING, Front
from hornbeam_ml._keys import key_of, prefix_of
from hornbeamd.node import Cache, current, pack, raisable

log = logging.getLogger("hornbeamd.ml")  # where the server writes it into its log

Input = TypeVar("Input")
Result = TypeVar("Result")


def cached_inference(
    fn: Callable[[Input], Result],
    input: Input,
    cache_key: Any = None,
    cache_prefix: str = "ml",
    ttl: float | None = None,
) -> Result:
    """The result of ``fn(input)``: from the cache, or computed by one caller, in whichever process, for all.

    What it is kept under is told by the function (its module, name and code, and whose method it is) and by the value
    of *input*; or else by *cache_key*, a term. Keys of two prefixes never meet. *ttl* is in seconds.

    Raises what *fn* raises, and then the next who waits for the same computes it. Raises TypeError when the function or
    the input cannot be told by its value: give a *cache_key*. A result that is no term is given back and not kept.
    """
    key, node = _begin(fn, input, cache_key, cache_prefix, ttl)
    front = _front(node.cache)
    result = front.get(key)
    if result is MISSING:
        with node.post.lock(key, node.call_timeout):
            result = front.get(key)
            if result is MISSING:
                node.cache.count(hit=False)
                return cast(Result, _keep(front.cache, key, fn, fn(input), ttl))
    node.cache.count(hit=True)
    return cast(Result, result)


async def cached_inference_async(
    fn: Callable[[Input], Awaitable[Result]] | Callable[[Input], Result],
    input: Input,
    cache_key: Any = None,
    cache_prefix: str = "ml",
    ttl: float | None = None,
) -> Result:
    """As :func:`cached_inference`; *fn* is a coroutine function, or has a form that is one, as ``batched`` gives it.

    Another one is called in a thread.
    """
    key, node = _begin(fn, input, cache_key, cache_prefix, ttl)
    front = _front(node.cache)
    result = front.get(key)
    if result is MISSING:
        async with node.post.aio.lock(key, node.call_timeout):
            result = front.get(key)
            if result is MISSING:
                node.cache.count(hit=False)
                result = await _compute(fn, input)
                return cast(Result, _keep(front.cache, key, fn, result, ttl))
    node.cache.count(hit=True)
    return cast(Result, result)


def cache_stats() -> dict[str, Any]:
    """How often the cache had what was asked for (``hits``, ``misses``, ``hit_rate``), and how full it is.

    Of all processes, at this moment. A caller who waited while another computed counts as a hit.
    """
    stats = current().cache.stats()
    asked = stats.hits + stats.misses
    return {
        "hits": stats.hits,
        "misses": stats.misses,
        "hit_rate": stats.hits / asked if asked else 0.0,
        "entries": stats.entries,
        "size": stats.size,
        "max_size": stats.max_size,
        "evictions": stats.evictions,
    }


def clear_cache(prefix: str | None = None) -> int:
    """Forget all results, or those of a *cache_prefix*, in all processes; how many there were."""
    return current().cache.clear(b"" if prefix is None else prefix_of(prefix))


def _begin(fn: Any, input: Any, cache_key: Any, prefix: str, ttl: float | None) -> tuple[bytes, Any]:
    if ttl is not None and not ttl > 0:
        raise ValueError(f"a ttl of {ttl!r} seconds; it must be more than 0")
    return key_of(fn, input, cache_key, prefix), current()


async def _compute(fn: Any, input: Any) -> Any:
    form = getattr(fn, "aio", fn)
    if inspect.iscoroutinefunction(form):
        return await form(input)
    result = await asyncio.to_thread(_called, fn, input)
    return await result if inspect.isawaitable(result) else result


def _called(fn: Any, input: Any) -> Any:
    try:
        return fn(input)
    except StopIteration as error:  # which no future takes
        raise raisable(error) from error


def _keep(cache: Cache, key: bytes, fn: Any, result: Any, ttl: float | None) -> Any:
    try:
        packed = pack(result)
    except (TypeError, ValueError) as error:
        name = getattr(fn, "__qualname__", type(fn).__qualname__)
        if name not in _complained:
            _complained.add(name)
            log.warning("results of %s are not kept: %s", name, error)
    else:
        cache.put(key, packed, ttl)
    return result


_complained: set[str] = set()
_layer: Front | None = None


def _front(cache: Cache) -> Front:
    """The layer of this process in front of *cache*."""
    global _layer
    layer = _layer
    if layer is None or layer.cache is not cache:
        layer = _layer = Front(cache)
    return layer


def _forked() -> None:
    """Another thread of the parent may have been at work on it."""
    global _layer
    _layer = None


os.register_at_fork(after_in_child=_forked)
