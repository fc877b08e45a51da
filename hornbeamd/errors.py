"""Every exception that hornbeamd raises on purpose.

HornbeamError
├── ConfigError            the configuration is not usable; carries every problem found
├── AppError               the application, not the server, is at fault
│   ├── AppLoadError       "module:callable" could not be imported or is no application
│   ├── LifespanError      startup failed, was refused, or took too long
│   ├── ResponseError      the application sent what HTTP, ASGI or WSGI does not allow
│   └── HookError          a hook raised; logged already, and the request is answered with 500
├── ProtocolError          the client sent what HTTP does not allow; carries the status to answer
├── ClientGone             the application wrote to a client that is no longer there (an OSError)
├── StateFull              the state is as large as it may become (an OSError); nothing was changed
├── CallError              a function or hook raised, or could not be called (a RuntimeError)
│   ├── CallTimeout        it took too long (a TimeoutError)
│   ├── NotRegistered      nobody offers that name (a LookupError)
│   └── HubGone            the hub, or the process that was at work on the call, is gone (a ConnectionError)
├── RPCError               a call to another node failed (a RuntimeError)
│   ├── RPCTimeout         it took too long (a TimeoutError)
│   └── NodeDown           that node cannot be reached (a ConnectionError)
├── ControlError           a command of hornbeamctl cannot be carried out; the text says why, and what to do next
├── CannotSwap             the code cannot be exchanged inside the process; the text says why
├── WireError              what came over a socket of the hub is no message of its protocol
└── SupervisionError       a child could not be started, or restart intensity was exceeded
    ├── BootError          a worker did not become ready; carries its traceback as text
    └── GivenUp            the daemon has served, and cannot any more
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus


class HornbeamError(Exception):
    """The root of all exceptions of hornbeamd."""


class ConfigError(HornbeamError):
    """The configuration is not usable.

    ``problems`` holds one line for every problem found, each naming its source and key.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class AppError(HornbeamError):
    """The application is at fault."""


class AppLoadError(AppError):
    """The application could not be imported, or what was found is no application."""


class LifespanError(AppError):
    """The application's lifespan startup failed, or did not end in time."""


class ResponseError(AppError, RuntimeError):
    """The application sent a response that HTTP, ASGI or WSGI does not allow."""


class HookError(AppError):
    """A hook raised, or gave what is no answer; it is logged already."""


class ProtocolError(HornbeamError):
    """The client broke a rule of HTTP. ``status`` is the answer it deserves (RFC 9110, section 15.5).

    ``headers`` are the fields that such an answer has to have.
    """

    def __init__(self, status: int, reason: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.status = status
        self.headers = headers
        self.bodiless = False
        """The request was one whose answer has no body: HEAD."""
        super().__init__(reason)

    @property
    def text(self) -> bytes:
        """What the client is told."""
        return f"{HTTPStatus(self.status).phrase}: {self}\n".encode("latin-1", "replace")


class ClientGone(HornbeamError, OSError):
    """The client closed the connection before the response was complete (ASGI: ``send`` raises OSError)."""


class StateFull(HornbeamError, OSError):
    """The state is as large as it may become, or the memory it lives in is. Nothing was changed, nothing is lost."""


class CallError(HornbeamError, RuntimeError):
    """A function or hook raised, or could not be called.

    ``type`` is the name of the remote exception's class, with its module unless that is builtins; None where none
    was raised. ``text`` is what it said.
    """

    def __init__(self, text: str, type: str | None = None) -> None:
        self.type = type
        self.text = text
        super().__init__(f"{type}: {text}" if type else text)


class CallTimeout(CallError, TimeoutError):
    """The call took longer than it may. Its result, should there be one, reaches nobody."""


class NotRegistered(CallError, LookupError):
    """Nobody offers a function, hook or pool of that name."""


class HubGone(CallError, ConnectionError):
    """The hub, or the process that was at work on the call, ended before the answer; it was not tried again."""


class RPCError(HornbeamError, RuntimeError):
    """A call to another node failed. ``type`` and ``text`` are as those of :class:`CallError`."""

    def __init__(self, text: str, type: str | None = None) -> None:
        self.type = type
        self.text = text
        super().__init__(f"{type}: {text}" if type else text)


class RPCTimeout(RPCError, TimeoutError):
    """A call to another node took longer than it may."""


class NodeDown(RPCError, ConnectionError):
    """The node is not there, or was lost during the call."""


class CannotSwap(HornbeamError):
    """The application's code cannot be exchanged inside this process, but new processes can have the new one.

    *modules* would have to be loaded anew, as far as that is known.
    """

    def __init__(self, why: str, modules: Sequence[str] = ()) -> None:
        super().__init__(why)
        self.modules = tuple(modules)


class WireError(HornbeamError):
    """What came over a socket of the hub is no message of its protocol; that connection is closed."""


class ControlError(HornbeamError):
    """A command of ``hornbeamctl`` cannot be carried out. ``code`` is the exit code that it comes to."""

    def __init__(self, text: str, code: int = 1) -> None:
        self.code = code
        super().__init__(text)


class SupervisionError(HornbeamError):
    """A child could not be started, or children died more often than the restart intensity allows."""


class BootError(SupervisionError):
    """A worker did not become ready; the text is what it said, with the application's traceback."""


class GivenUp(SupervisionError):
    """The daemon has served, and cannot any more; the text says why."""
