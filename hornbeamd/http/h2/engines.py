"""The two engines of HTTP/2 behind one set of methods.

Our own is the one for production. The one over the ``h2`` library is used where the option ``http2_engine`` asks for
it, and is the reference that the tests run every rule against.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hornbeamd.http.h2.frames import Code
from hornbeamd.http.h2.stream import Listener, Stream, Terms


class Engine(Protocol):
    """The server's side of one connection, sans I/O. Times are seconds of any clock."""

    streams: dict[int, Stream]
    last_stream: int
    """The highest stream that the client has opened."""
    closing: bool
    """New streams are taken no more: the client was told so."""
    push_enabled: bool
    out: list[bytes]
    """What is to be sent, in this order; the owner empties it."""

    def feed(self, data: bytes, now: float) -> None:
        """Read *data*. Raises ConnectionFault; the engine is of no use for reading afterwards."""

    def blame(self) -> None:
        """Count a stream that ends before its time because of the client. Raises ConnectionFault."""

    def let_go(self) -> None:
        """Read no more, and hold the listener no more."""

    def consumed(self, stream: Stream, size: int) -> None:
        """*size* bytes of a request body have been taken, or thrown away: the client may send as many more."""

    def room(self, stream: Stream) -> int:
        """Bytes of data that may be sent on *stream* now; not positive when it has to wait."""

    def headers(self, stream: Stream, block: bytes, end: bool) -> None:
        """Send *block*, made of literals (``fields.literal``): a response, early hints or trailers."""

    def data(self, stream: Stream, data: bytes, end: bool) -> None:
        """Send *data*, which is no longer than :meth:`room` says."""

    def push(self, parent: Stream, block: bytes) -> Stream | None:
        """Promise on *parent* the response to the request in *block*; None where that cannot be now."""

    def reset(self, stream: Stream, code: Code) -> None:
        """Give up *stream*."""

    def goaway(self, code: Code, reason: str = "", final: bool = True) -> None:
        """Say that the connection ends; if not *final*, streams that are under way are still taken."""


EngineFactory = Callable[[Listener, Terms, float], Engine]


def engine_factory(name: str) -> EngineFactory:
    """Return the factory for ``native`` or ``h2``."""
    if name == "h2":
        from hornbeamd.http.h2.reference import H2Engine

        return H2Engine
    from hornbeamd.http.h2.engine import NativeEngine

    return NativeEngine
