"""What could not be sent yet, stream by stream: the client's windows are full, or one write would become too large.

Streams that wait take turns (RFC 9113, section 5.2): a large answer does not hold up the small ones beside it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hornbeamd.http.h2.frames import FRAME_SIZE

if TYPE_CHECKING:
    from hornbeamd.http.h2.engines import Engine
    from hornbeamd.http.h2.stream import Stream

# Bytes that are gathered for one write; what is more waits until the transport has shown whether it takes them.
_BURST = 262144


class Outbox:
    """The rest of a response."""

    __slots__ = ("ended", "parts", "trailers")

    def __init__(self) -> None:
        self.parts: deque[bytes] = deque()
        self.ended = False
        self.trailers: bytes | None = None


class Outflow:
    """Sends the data of all streams of one connection through *engine*, as far as there is room."""

    __slots__ = ("_engine", "_gathered", "waiting")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._gathered = 0
        self.waiting: dict[int, Stream] = {}
        """Streams with something in their outbox, in the order of their turns."""

    def send(self, stream: Stream, data: bytes, end: bool) -> bool:
        """Send *data*; False where some of it has to wait."""
        if stream.outbox is None:
            size = len(data)
            if size <= self._room(stream) or not size:
                self._gathered += size
                self._engine.data(stream, data, end)
                return True
            stream.outbox = Outbox()
            self.waiting[stream.id] = stream
        outbox: Outbox = stream.outbox
        if data:
            outbox.parts.append(data)
        outbox.ended = end
        self._pump_one(stream, _BURST)
        return stream.outbox is None

    def send_trailers(self, stream: Stream, block: bytes) -> bool:
        """Send *block* as trailers, with the end of the stream; False where it has to wait for data."""
        if stream.outbox is None:
            self._engine.headers(stream, block, True)
            return True
        stream.outbox.trailers = block
        stream.outbox.ended = True
        return False

    def drop(self, stream: Stream) -> None:
        """Forget what waits on *stream*."""
        stream.outbox = None
        self.waiting.pop(stream.id, None)

    def flushed(self) -> None:
        """All that was gathered has been given to the transport."""
        self._gathered = 0

    def pump(self) -> list[Stream]:
        """Send what there is room for, a frame of each stream in turn; return the streams of which some was sent."""
        moved: dict[int, Stream] = {}
        progress = True
        while progress and self.waiting:
            progress = False
            for stream in list(self.waiting.values()):
                if self._pump_one(stream, FRAME_SIZE):
                    moved[stream.id] = stream
                    progress = True
                    if stream.outbox is not None:  # the others first, when there is room again
                        self.waiting[stream.id] = self.waiting.pop(stream.id)
        return list(moved.values())

    def _room(self, stream: Stream) -> int:
        return min(self._engine.room(stream), _BURST - self._gathered)

    def _pump_one(self, stream: Stream, most: int) -> bool:
        """Send up to *most* bytes of what waits on *stream*; True where some was sent, or its end."""
        outbox: Outbox = stream.outbox
        parts = outbox.parts
        sent = False
        while parts and most > 0:
            part = parts[0]
            size = min(len(part), self._room(stream), most)
            if size <= 0:
                return sent
            if size == len(part):
                parts.popleft()
            else:
                view = memoryview(part)
                part, parts[0] = view[:size], view[size:]  # type: ignore[assignment]
            last = outbox.ended and not parts and outbox.trailers is None
            if not parts and (last or not outbox.ended):
                self.drop(stream)
            self._gathered += size
            self._engine.data(stream, part, last)
            most -= size
            sent = True
        if stream.outbox is not None and not parts:
            self._finish(stream, outbox)
            sent = True
        return sent

    def _finish(self, stream: Stream, outbox: Outbox) -> None:
        """Nothing is left but the end."""
        self.drop(stream)
        if outbox.trailers is not None:
            self._engine.headers(stream, outbox.trailers, True)
        elif outbox.ended:
            self._engine.data(stream, b"", True)
