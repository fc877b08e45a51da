"""The control socket, as the daemon serves it: in the supervisor, which no client may hold up, break or exhaust.

    at most MOST_CLIENTS        when one more comes, the one that has been silent for longest goes
    a question in IDLE seconds  also half a one, and one that has no end: LONGEST_QUESTION bytes
    an answer at their pace     but some of it in SEND_TIMEOUT seconds

What changes something is carried out by a task of its own: its client may go away, and it ends as it would have. What
only looks ends with its client.
"""

from __future__ import annotations

import errno
import logging
import select
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

from hornbeamd.control import codes
from hornbeamd.control.command import LOOK, Command
from hornbeamd.control.commands import BY_NAME
from hornbeamd.control.operations import Operations, Plain
from hornbeamd.control.peers import Access, Peer, peer_of
from hornbeamd.control.wire import LONGEST_QUESTION
from hornbeamd.errors import ControlError
from hornbeamd.jsonlines import Lines, Malformed, decode, encode

log = logging.getLogger("hornbeamd.control")

MOST_CLIENTS = 64
IDLE = 10.0
SEND_TIMEOUT = 10.0
MOST_COMMANDS = 256
"""How many are carried out at once, also for clients that have gone away."""
MOST_PROGRESS = 4096
PAUSE = 1.0
"""How long nobody is accepted when there are no descriptors left, and how often it is looked who has gone away."""

_NO_MORE_FILES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class ControlServer:
    """Answers at *listener*, a listening Unix socket that does not block, for those whom *access* lets."""

    def __init__(self, listener: socket.socket, operations: Operations, access: Access) -> None:
        self._listener = listener
        self._operations = operations
        self._access = access
        self._clients: dict[_Client, None] = {}
        """Those that wait for us first, by how long they have."""
        self._commands = 0
        self._accepting = anyio.CancelScope()
        self._group: TaskGroup

    async def run(self) -> None:
        """Serve until cancelled."""
        async with anyio.create_task_group() as self._group:
            with self._accepting:
                await self._accept()
            await anyio.sleep_forever()

    def leave(self) -> None:
        """Let nobody in any more, for the socket is another process's; what was asked is answered."""
        self._accepting.cancel()
        for client in self._clients:
            if not client.busy:
                client.dismiss("another daemon is in charge now")

    async def _accept(self) -> None:
        while True:
            await anyio.wait_readable(self._listener)
            try:
                sock, _ = self._listener.accept()
            except OSError as error:
                if error.errno in _NO_MORE_FILES:
                    await anyio.sleep(PAUSE)
                continue
            self._let_in(sock)

    def _let_in(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if len(self._clients) >= MOST_CLIENTS:
            idle = next((client for client in self._clients if not client.busy), None)
            if idle is None:
                _say_at_once(sock, _refusal("too many commands are being carried out; try again"))
                sock.close()
                return
            idle.dismiss("others need this connection, on which nothing was asked")
            del self._clients[idle]
        client = _Client(sock, peer_of(sock))
        self._clients[client] = None
        self._group.start_soon(self._attend, client)

    async def _attend(self, client: _Client) -> None:
        try:
            with client.scope:
                await self._converse(client)
        except* (OSError, TimeoutError):
            pass  # it is gone, or takes nothing
        except* Exception:
            log.exception("a client of the control socket could not be served")
        finally:
            self._clients.pop(client, None)
            client.close()

    async def _converse(self, client: _Client) -> None:
        try:
            while (line := await client.question(IDLE)) is not None:
                client.busy = True
                await self._reply(client, line)
                client.busy = False
                if client in self._clients:  # it is the one that has spoken last
                    del self._clients[client]
                    self._clients[client] = None
        except Malformed as error:
            await client.say(_refusal(f"{error}; expected a line of JSON", codes.USAGE))
        except TimeoutError:
            await client.say(_refusal(f"nothing was asked within {IDLE:g} s", codes.TIMED_OUT))

    async def _reply(self, client: _Client, line: bytes) -> None:
        try:
            command, arguments = self._understood(decode(line), client.peer)
        except ControlError as error:
            await client.say(_refusal(str(error), error.code))
            return
        if self._commands >= MOST_COMMANDS:
            await client.say(_refusal("too many commands are being carried out; try again"))
            return
        told = _Told()
        async with anyio.create_task_group() as group:
            home = group if command.access_for(arguments) == LOOK else self._group
            home.start_soon(self._carry_out, command, arguments, told)
            group.start_soon(client.leave_when_gone)
            async for message in told:
                await client.say(message)
            group.cancel_scope.cancel()

    def _understood(self, message: Plain, peer: Peer | None) -> tuple[Command, dict[str, Any]]:
        """The command that is asked for, and its arguments. Raises ControlError when it cannot, or may not, be done."""
        if refusal := self._access.refusal(peer, LOOK):
            raise ControlError(refusal, codes.DENIED)
        name, arguments = message.get("command"), message.get("arguments", {})
        command = BY_NAME.get(name) if isinstance(name, str) else None
        if command is None or not command.operation:
            raise ControlError(f"this daemon knows no command {str(name)[:100]!r}", codes.USAGE)
        if not isinstance(arguments, dict):
            raise ControlError("the arguments are no JSON object", codes.USAGE)
        if wrong := command.wrong_with(arguments):
            raise ControlError(wrong, codes.USAGE)
        if refusal := self._access.refusal(peer, command.access_for(arguments)):
            raise ControlError(refusal, codes.DENIED)
        return command, {
            argument.name: arguments.get(argument.name, argument.default) for argument in command.arguments
        }

    async def _carry_out(self, command: Command, arguments: dict[str, Any], told: _Told) -> None:
        operation: Callable[..., Awaitable[Plain]] = getattr(self._operations, command.operation)
        progress = (told.progress,) if command.streams else ()
        self._commands += 1
        try:
            answer = await operation(*progress, **arguments)
            if wrong := command.wrong_with_answer(answer):
                raise AssertionError(wrong)
            told.end({"answer": answer})
        except ControlError as error:
            told.end(_refusal(str(error), error.code))
        except Exception as error:
            log.exception("a command failed", extra={"fields": {"command": command.name}})
            told.end(_refusal(f"{command.name} failed: {type(error).__name__}: {error}"))
        finally:
            self._commands -= 1


@dataclass(slots=True)
class _Told:
    """What a command has said, for a client that may be gone, or be slow: then the oldest progress is lost."""

    _waiting: list[Plain] = field(default_factory=list)
    _more: anyio.Event = field(default_factory=anyio.Event)
    _ended: bool = False

    def progress(self, step: Plain) -> None:
        """Say how far it is."""
        if not self._ended:
            self._waiting.append({"progress": step})
            del self._waiting[:-MOST_PROGRESS]
            self._more.set()

    def end(self, message: Plain) -> None:
        """Say the last word."""
        self._waiting.append(message)
        self._ended = True
        self._more.set()

    def __aiter__(self) -> _Told:
        return self

    async def __anext__(self) -> Plain:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            self._more = anyio.Event()
            await self._more.wait()
        return self._waiting.pop(0)


@dataclass(eq=False, slots=True)
class _Client:
    """A connection. ``busy``: a command is carried out for it, so it is not sent away."""

    socket: socket.socket
    peer: Peer | None
    busy: bool = False
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _lines: Lines = field(default_factory=lambda: Lines(LONGEST_QUESTION))
    _asked: list[bytes] = field(default_factory=list)

    async def question(self, timeout: float) -> bytes | None:
        """The next line; None at the end. Raises Malformed, and TimeoutError when it is not there in time."""
        with anyio.fail_after(timeout):
            while not self._asked:
                await anyio.wait_readable(self.socket)
                try:
                    data = self.socket.recv(65536)
                except BlockingIOError:
                    continue
                if not data:
                    return None
                self._asked += self._lines.feed(data)
        return self._asked.pop(0)

    async def leave_when_gone(self) -> None:
        """Say no more to a client that has closed its connection; not to one that only has nothing more to ask."""
        while True:
            if _hung_up(self.socket):
                self.scope.cancel()
            await anyio.sleep(PAUSE)

    async def say(self, message: Plain) -> None:
        """Send a message. Raises OSError when the client is gone, TimeoutError when it takes nothing."""
        data = memoryview(encode(message))
        while data:
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                with anyio.fail_after(SEND_TIMEOUT):
                    await anyio.wait_writable(self.socket)

    def dismiss(self, why: str) -> None:
        """Send it away."""
        _say_at_once(self.socket, _refusal(why))
        self.scope.cancel()

    def close(self) -> None:
        self.socket.close()


def _say_at_once(sock: socket.socket, message: Plain) -> None:
    """Say as much as the socket takes without waiting."""
    try:
        sock.send(encode(message))
    except OSError:
        pass


def _hung_up(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, 0)
    return any(flags & (select.POLLHUP | select.POLLERR) for _, flags in poll.poll(0))


def _refusal(text: str, code: int = codes.FAILED) -> Plain:
    return {"error": text, "code": code}
