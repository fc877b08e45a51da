"""The way of a call: to a function of this process where there is one, else to another process.

A function of this process gets the very arguments and gives its very result; to another process copies travel. Either
way what the function raises arrives as CallError. A plain function is called in the thread of the caller, or, for a
coroutine, in another one; a coroutine function runs in the loop that :class:`~hornbeamd.node.home.Home` tells.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import aclosing, contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, NamedTuple

from hornbeamd.errors import CallError, CallTimeout, NotRegistered
from hornbeamd.node import handlers, parts
from hornbeamd.node.handlers import Function, Hook, Target, is_async
from hornbeamd.node.home import running_loop
from hornbeamd.node.jobs import described
from hornbeamd.node.offers import spoken
from hornbeamd.state import terms

if TYPE_CHECKING:
    from hornbeamd.node.node import Node

log = logging.getLogger("hornbeamd.calls")

LONGEST = 24 * 3600.0
"""How long a task may take, in seconds, where nothing else is said."""


class Call(NamedTuple):
    """What is called: a name on the wire, for a hook the action, and the arguments."""

    name: str
    action: str | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def payload(self) -> bytes:
        """For another process. Raises TypeError when an argument is no term."""
        return terms.pack([self.action, [*self.args], self.kwargs])  # a tuple takes twice as long


_END: Any = object()
_timeout: ContextVar[float | None] = ContextVar("hornbeam_call_timeout", default=None)


@contextmanager
def timeout(seconds: float) -> Iterator[None]:
    """Within the block calls may take *seconds*, waiting included, whatever is configured."""
    if not seconds > 0:
        raise ValueError(f"a time-out is more than 0 seconds, not {seconds!r}")
    token = _timeout.set(seconds)
    try:
        yield
    finally:
        _timeout.reset(token)


def patience(node: Node, name: str, otherwise: float | None = None) -> float:
    """How long a call of *name* may take, in seconds; *otherwise* stands in for what is configured for all."""
    return _timeout.get() or node.timeouts.get(name) or otherwise or node.call_timeout


# --- for threads -------------------------------------------------------------------------------------------------


def call(node: Node, what: Call) -> Any:
    """The result of a call. Raises CallError; RuntimeError for a coroutine function where an event loop runs."""
    target = node.offers.find(what.name)
    if target is None:
        try:
            return terms.unpack(node.post.call(what.name, what.payload, patience(node, what.name)))
        except NotRegistered:
            target = _imported(node, what.name)
    with _told():
        function = target.function(what.action)
    if not is_async(function):
        return _called(function, what)
    loop, seconds = _other_loop(node, what), patience(node, what.name)
    future = asyncio.run_coroutine_threadsafe(_awaited(function, what), loop)
    try:
        return future.result(seconds)
    except TimeoutError:
        raise _late(what, seconds) from None
    except CancelledError:
        raise CallError(f"{spoken(what.name)} was cancelled") from None
    finally:
        future.cancel()


def cast(node: Node, what: Call) -> None:
    """Have it called by somebody, with context variables of its own, and do not wait."""
    offer = node.offers.lookup(what.name)
    if offer is None:
        node.post.cast(what.name, what.payload)
    else:
        target, context, loop = offer.target, offer.generation.context(), node.home.loop
        node.threads.submit(lambda: context.run(_run_cast, target, what, loop))


def stream(node: Node, what: Call) -> Iterator[Any]:
    """The parts of the result, for each of which the time-out is. Raises as :func:`call` does."""
    return _stream(node, what, patience(node, what.name))


def _stream(node: Node, what: Call, seconds: float) -> Iterator[Any]:
    target = node.offers.find(what.name)
    if target is None:
        try:
            for payload in node.post.stream(what.name, what.payload, seconds):
                yield terms.unpack(payload)
            return
        except NotRegistered:
            target = _imported(node, what.name)
    with _told():
        function = target.function(what.action)
    if is_async(function):
        loop = _other_loop(node, what)
        yield from parts.from_loop(_parts_async(function, what), loop, seconds)
    else:
        yield from _parts(function, what)


# --- for coroutines ----------------------------------------------------------------------------------------------


async def call_async(node: Node, what: Call, otherwise: float | None = None) -> Any:
    """As :func:`call`; what is cancelled here is cancelled where it runs. *otherwise*: see :func:`patience`."""
    seconds = patience(node, what.name, otherwise)
    target = node.offers.find(what.name)
    if target is None:
        try:
            return terms.unpack(await node.post.aio.call(what.name, what.payload, seconds))
        except NotRegistered:
            target = await _imported_in_thread(node, what.name)
    try:
        async with asyncio.timeout(seconds):
            function = await _function(node, target, what)
            if not is_async(function):
                return await node.threads.run(copy_context().run, _called, function, what)
            loop = node.home.loop
            if loop is running_loop():
                return await _awaited(function, what)
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(function, what), loop))
    except TimeoutError:
        raise _late(what, seconds) from None


async def cast_async(node: Node, what: Call) -> None:
    """As :func:`cast`."""
    if node.offers.find(what.name) is None:
        await node.post.aio.cast(what.name, what.payload)
    else:
        cast(node, what)


def stream_async(node: Node, what: Call) -> AsyncGenerator[Any, None]:
    """As :func:`stream`."""
    return _stream_async(node, what, patience(node, what.name))


async def _stream_async(node: Node, what: Call, seconds: float) -> AsyncGenerator[Any, None]:
    target = node.offers.find(what.name)
    if target is None:
        try:
            async for payload in node.post.aio.stream(what.name, what.payload, seconds):
                yield terms.unpack(payload)
            return
        except NotRegistered:
            target = await _imported_in_thread(node, what.name)
    function = await _function(node, target, what)
    if not is_async(function):
        found = parts.from_thread(_parts(function, what), node.threads)
    elif (loop := node.home.loop) is running_loop():
        found = _parts_async(function, what)
    else:
        found = parts.from_thread(parts.from_loop(_parts_async(function, what), loop, seconds), node.threads)
    async with aclosing(found):
        while True:
            try:
                async with asyncio.timeout(seconds):
                    part = await anext(found, _END)
            except TimeoutError:
                raise _late(what, seconds) from None
            if part is _END:
                return
            yield part


# --- tasks -------------------------------------------------------------------------------------------------------


def begin(node: Node, what: Call) -> str:
    """Begin a call, and give the id of its task."""
    return node.tasks.begin(call_async(node, what, LONGEST), node.home.loop)


# --- what both share ---------------------------------------------------------------------------------------------


def _imported(node: Node, name: str) -> Target:
    """What the hook of that name is when nobody has registered it, but it names what can be imported."""
    kind, _, path = name.partition(":")
    if kind != "hook" or ":" not in path:
        raise NotRegistered(f"{spoken(name)} is not registered in any process")
    with _told():
        return node.offers.add_here(name, Hook(handlers.load(path)))


async def _imported_in_thread(node: Node, name: str) -> Target:
    return await node.threads.run(copy_context().run, _imported, node, name)


async def _function(node: Node, target: Target, what: Call) -> Function:
    with _told():
        if target.ready:
            return target.function(what.action)
        return await node.threads.run(copy_context().run, target.function, what.action)


def _other_loop(node: Node, what: Call) -> asyncio.AbstractEventLoop:
    """The loop that coroutine functions run in, for a thread that waits for it; so it has to be another's."""
    if running_loop() is not None:
        raise RuntimeError(
            f"{spoken(what.name)} is a coroutine function, which cannot be waited for where an event loop runs:"
            " use hornbeam_erlang.aio"
        )
    return node.home.loop


def _called(function: Function, what: Call) -> Any:
    with _told():
        return parts.whole(function(*what.args, **what.kwargs))


async def _awaited(function: Function, what: Call) -> Any:
    with _told():
        result = parts.whole(function(*what.args, **what.kwargs))
        return await result if hasattr(result, "__await__") else result


def _parts(function: Function, what: Call) -> Iterator[Any]:
    with _told():
        yield from parts.in_parts(function(*what.args, **what.kwargs))


async def _parts_async(function: Function, what: Call) -> AsyncGenerator[Any, None]:
    with _told():
        result = function(*what.args, **what.kwargs)
        if hasattr(result, "__await__"):
            result = await result
        if hasattr(result, "__aiter__"):
            async with aclosing(result):
                async for part in result:
                    yield part
        else:
            for part in parts.in_parts(result):
                yield part


_casts: set[Future[None]] = set()


def _run_cast(target: Target, what: Call, loop: asyncio.AbstractEventLoop) -> None:
    try:
        function = target.function(what.action)
        if is_async(function):
            future = asyncio.run_coroutine_threadsafe(_await_cast(function, what), loop)
            _casts.add(future)  # which keeps its Task alive
            future.add_done_callback(_casts.discard)
        else:
            function(*what.args, **what.kwargs)
    except BaseException as error:
        _log_cast(what, error)


async def _await_cast(function: Function, what: Call) -> None:
    try:
        await function(*what.args, **what.kwargs)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # which would end the loop
        _log_cast(what, error)


def _log_cast(what: Call, error: BaseException) -> None:
    fields = {"action": what.action}
    log.error(f"{spoken(what.name)} raised {type(error).__name__}", exc_info=error, extra={"fields": fields})


class _told:
    """What is raised within becomes a CallError, as when it comes from another process.

    It is no ``contextmanager``, which would let StopIteration through: nothing that awaits could raise that.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, KeyboardInterrupt | GeneratorExit | asyncio.CancelledError):
            return
        # SystemExit becomes one, too: a function does not end the server.
        name, text = described(error)
        raise CallError(text, name) from error


def _late(what: Call, seconds: float) -> CallTimeout:
    return CallTimeout(f"{spoken(what.name)} gave no answer within {seconds:g} s")
