"""The way to the hub for threads: a socket is taken from a free list, asked, and put back.

A socket that is asked gives the answer to that question and no other, because one whose answer was not waited for is
closed, which also cancels the call where it runs.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hornbeamd.errors import HubGone, WireError
from hornbeamd.hub import wire
from hornbeamd.hub.wire import Frames, Kind, encode
from hornbeamd.node.letters import letter, refusal

_IDLE = 16
"""How many sockets are kept for the next who asks."""
_READ = 65536
# Every socket asks one thing at a time.
_ID = 1


class Direct:
    """Asks the hub at *address*, from any thread. *limit* is the size in bytes that a payload may have."""

    def __init__(self, address: str, who: str, limit: int) -> None:
        self.who = who
        self._address = address
        self._limit = limit
        self._free: deque[_Socket] = deque()
        self._open: set[_Socket] = set()

    def ask(self, timeout: float, kind: Kind, *items: Any) -> list[Any]:
        """Send a message and wait for its answer.

        Raises TimeoutError; HubGone where there is no hub or it is lost; ValueError when the message is too large.
        """
        sock, deadline = self._send(timeout, letter(self._limit, kind, _ID, *items))
        answer = sock.read(deadline)
        self._keep(sock)
        return answer

    def tell(self, timeout: float, kind: Kind, *items: Any) -> None:
        """Send a message that has no answer; raises as :meth:`ask` does."""
        sock, _ = self._send(timeout, letter(self._limit, kind, *items))
        self._keep(sock)

    def stream(self, timeout: float, name: str, payload: bytes) -> Iterator[bytes]:
        """The parts of a result; *timeout* is for each. Raises TimeoutError and CallError."""
        sock, deadline = self._send(timeout, letter(self._limit, Kind.STREAM, _ID, name, payload))
        over, taken = False, 0
        try:
            while True:
                match sock.read(deadline):
                    case [Kind.CHUNK, _, chunk]:
                        yield chunk
                    case [Kind.ERROR, _, reason, type, text]:
                        over = True
                        raise refusal(name, reason, type, text)
                    case _:
                        over = True
                        return
                taken += 1
                deadline = time.monotonic() + timeout
                if taken == wire.CREDIT // 2:
                    sock.send(encode(Kind.MORE, _ID, taken), deadline)
                    taken = 0
        finally:
            if over:
                self._keep(sock)
            else:
                sock.close()

    @contextmanager
    def lock(self, timeout: float, key: bytes) -> Iterator[None]:
        """Hold the lock of *key*, or, where it is not to be had, go on without it."""
        sock = None
        try:
            sock, deadline = self._send(timeout, letter(self._limit, Kind.LOCK, _ID, key))
            sock.read(deadline)
        except (TimeoutError, HubGone):
            sock = None
        try:
            yield
        finally:
            if sock is not None:
                try:
                    sock.send(encode(Kind.UNLOCK, _ID), time.monotonic() + timeout)
                    self._keep(sock)
                except OSError:
                    sock.close()

    def close(self) -> None:
        """Close all sockets; who asks again opens new ones."""
        self._free.clear()
        for sock in list(self._open):
            sock.close()

    def _send(self, timeout: float, frame: bytes) -> tuple[_Socket, float]:
        """Send *frame* over a socket that works; gives it, and the time at which there must be an answer."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                sock = self._free.pop()
            except IndexError:
                break
            try:
                sock.send(frame, deadline)
            except HubGone:
                continue  # it led to a hub that is gone, which has not read it
            return sock, deadline
        hello = encode(Kind.HELLO, wire.VERSION, self.who, os.getpid())
        try:
            sock = _Socket(self._address, deadline, self._limit + 2 * wire.ENVELOPE, self._open)
            sock.send(hello + frame, deadline)
        except (TimeoutError, HubGone):
            raise
        except OSError as error:
            raise HubGone(f"there is no hub: {error.strerror}") from None
        return sock, deadline

    def _keep(self, sock: _Socket) -> None:
        if len(self._free) < _IDLE:
            self._free.append(sock)
        else:
            sock.close()


class _Socket:
    """A connection to the hub that blocks; whatever goes wrong closes it.

    The kernel keeps the time: one call for each read or write, where Python's own time-outs take two.
    """

    __slots__ = ("_all", "_frames", "_messages", "_sock", "_timeout")

    def __init__(self, address: str, deadline: float, limit: int, all: set[_Socket]) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._all = all
        all.add(self)
        self._frames = Frames(limit)
        self._messages: deque[list[Any]] = deque()
        self._timeout = 0.0
        try:
            self._limit_to(deadline)
            # While the hub restarts its listening socket stays: who connects waits there.
            self._sock.connect(address)
        except BlockingIOError:
            self.close()
            raise TimeoutError("the hub takes no connection") from None
        except BaseException:
            self.close()
            raise

    def send(self, frame: bytes, deadline: float) -> None:
        """Raises TimeoutError, and HubGone when the hub is lost."""
        try:
            self._limit_to(deadline)
            sent = self._sock.send(frame)
            while sent < len(frame):
                self._limit_to(deadline)
                sent += self._sock.send(frame[sent:])
        except BlockingIOError:
            self.close()
            raise TimeoutError("the hub does not read") from None
        except ConnectionError as error:
            self.close()
            raise HubGone(f"the hub was lost during the call: {error.strerror}") from None
        except BaseException:
            self.close()
            raise

    def read(self, deadline: float) -> list[Any]:
        """The next message. Raises TimeoutError, and HubGone when the hub is lost."""
        messages = self._messages
        try:
            while not messages:
                self._limit_to(deadline)
                data = self._sock.recv(_READ)
                if not data:
                    raise HubGone("the hub was lost during the call")
                messages.extend(self._frames.feed(data))
        except BlockingIOError:
            self.close()
            raise TimeoutError("no answer in time") from None
        except (ConnectionResetError, WireError) as error:
            self.close()
            raise HubGone(f"the hub was lost during the call: {error}") from None
        except BaseException:
            self.close()
            raise
        return messages.popleft()

    def close(self) -> None:
        self._all.discard(self)
        self._sock.close()

    def _limit_to(self, deadline: float) -> None:
        """Let the next read or write take until *deadline*; a hundredth more, so that equal time-outs are set once."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        if not left <= self._timeout <= left * 1.01:
            self._timeout = left * 1.005
            value = struct.pack("ll", int(self._timeout), int(self._timeout % 1 * 1e6) or 1)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
