"""Closing a listening socket without a reset: nobody new comes, those who wait are accepted, then it is refused.

Connections that the kernel has taken and nobody has accepted are reset when a listening socket is closed. So it is
closed in two steps: first no new ones get in, while the workers go on accepting; when none are left it is shut down.
"""

from __future__ import annotations

import contextlib
import ctypes
import select
import socket
import struct
import sys
from collections.abc import Iterable

import anyio

from hornbeamd.supervisor.listeners import Listener

SO_ATTACH_FILTER = 26  # socket(7); the module socket does not have it

# A handshake of TCP that was under way may still become a connection; round trips are rarely longer.
HANDSHAKE = 0.25
LOOK = 0.02

# A classic BPF program (Documentation/networking/filter.rst of Linux) that sees a segment from its TCP header on:
# one with SYN is dropped. Its client sends it again a second later, and is refused by then.
_DROP_SYN = (
    (0x30, 0, 0, 13),  # ldb [13]: the flags
    (0x45, 0, 1, 0x02),  # jset SYN, or skip the next
    (0x06, 0, 0, 0),  # ret 0: drop
    (0x06, 0, 0, 0xFFFFFFFF),  # ret -1: keep
)


async def close(leaving: Iterable[Listener], timeout: float) -> None:
    """Close them; those who have not been accepted after *timeout* seconds are reset."""
    leaving = list(leaving)
    try:
        ours = [listener for listener in leaving if not listener.inherited]
        for listener in ours:
            bar(listener)
        if ours:
            await anyio.sleep(HANDSHAKE)
            await _emptied(ours, timeout)
    finally:
        for listener in leaving:
            listener.refuse()
            listener.close()


async def _emptied(listeners: Iterable[Listener], timeout: float) -> None:
    for _ in range(round(timeout / LOOK)):
        if not any(map(queued, listeners)):
            return
        await anyio.sleep(LOOK)


def bar(listener: Listener) -> None:
    """Let nobody new in. Where the system has no way to, nothing happens."""
    if listener.socket.family == socket.AF_UNIX:
        listener.unlink()
        return
    if not sys.platform.startswith("linux"):
        return
    program = b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN)
    memory = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(memory))  # struct sock_fprog
    with contextlib.suppress(OSError):
        listener.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)


def queued(listener: Listener) -> bool:
    """Whether connections wait there to be accepted."""
    poll = select.poll()
    poll.register(listener.socket, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))
