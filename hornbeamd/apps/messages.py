"""A request and a response as hooks see them: text, and header names without regard to case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from hornbeamd.errors import ResponseError
from hornbeamd.http.exchange import Exchange
from hornbeamd.http.rules import HTTP1_FIELDS

Pair = tuple[bytes, bytes]

# How long a body is, is settled when a hook sees its headers.
_FRAMING = frozenset(("content-length", "transfer-encoding"))


class Headers:
    """The header fields of a message: pairs of name, in lower case, and value, in their order, with repetitions."""

    __slots__ = ("_pairs", "changed")

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in pairs]
        self.changed = False

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of *name*."""
        return next(iter(self.get_all(name)), default)

    def get_all(self, name: str) -> list[str]:
        """Return all values of *name*."""
        name = name.lower()
        return [value for key, value in self._pairs if key == name]

    def set(self, name: str, value: str) -> None:
        """Put *value* in the place of all that *name* has. Raises ValueError for what HTTP does not allow."""
        pair = _checked(name, value)
        self.remove(name)
        self._pairs.append(pair)
        self.changed = True

    def add(self, name: str, value: str) -> None:
        """Add a value to those that *name* has. Raises ValueError for what HTTP does not allow."""
        self._pairs.append(_checked(name, value))
        self.changed = True

    def remove(self, name: str) -> None:
        """Take away all values of *name*, if there are any."""
        name = _not_framing(name)
        self._pairs = [pair for pair in self._pairs if pair[0] != name]
        self.changed = True

    def encoded(self) -> tuple[Pair, ...]:
        """Return the fields as the wire has them."""
        return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in self._pairs)


def _checked(name: str, value: str) -> tuple[str, str]:
    name = _not_framing(name)
    try:
        HTTP1_FIELDS.judge((name.encode("latin-1"), value.encode("latin-1")))
    except (ResponseError, UnicodeEncodeError) as error:
        raise ValueError(f"the header {name!r} cannot be {value!r}: {error}") from None
    return name, value


def _not_framing(name: str) -> str:
    name = name.lower()
    if name in _FRAMING:
        raise ValueError(f"{name} is not a hook's to change")
    return name


class Request:
    """A request as hooks see it. Only its headers can be changed; :attr:`state` is the hooks' own.

    *exchange* is changed by nothing here: whoever asks the hooks takes the headers over.
    """

    __slots__ = ("_exchange", "_headers", "_state", "mount")

    def __init__(self, exchange: Exchange, mount: str | None = None) -> None:
        self._exchange = exchange
        self.mount = mount
        """The prefix of the mount that serves it; None where none does. Safer to decide by than the path."""
        self._headers: Headers | None = None
        self._state: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """Names the request in the logs."""
        return self._exchange.request_id

    @property
    def method(self) -> str:
        return self._exchange.method

    @property
    def path(self) -> str:
        """The whole path, percent-decoded."""
        return self._exchange.path

    @property
    def query(self) -> str:
        """What stands behind the question mark, as sent."""
        return self._exchange.request.query.decode("latin-1")

    @property
    def scheme(self) -> str:
        """ "http" or "https"."""
        return self._exchange.scheme

    @property
    def client(self) -> tuple[str, int] | None:
        """Address and port; None on a Unix socket."""
        return self._exchange.client

    @property
    def websocket(self) -> bool:
        """Whether the client asks for a WebSocket."""
        return self._exchange.websocket is not None

    @property
    def headers(self) -> Headers:
        """What is changed here in ``on_request``, the application gets."""
        if self._headers is None:
            self._headers = Headers(self._exchange.headers)
        return self._headers

    @property
    def state(self) -> dict[str, Any]:
        """Whatever one hook has to say to the next about this request."""
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def changed(self) -> bool:
        """Whether a hook has changed the headers."""
        return self._headers is not None and self._headers.changed

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"


class Response:
    """The beginning of a response as ``on_response`` sees it; :attr:`status` and :attr:`headers` may be changed."""

    __slots__ = ("headers", "status")

    def __init__(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers


class Answer(NamedTuple):
    """A whole response that a hook has given, as the wire has it."""

    status: int
    headers: tuple[Pair, ...]
    body: bytes


def answer(given: object) -> Answer:
    """Take what a hook has returned: a tuple of status, headers (pairs, or a mapping) and body (text or bytes).

    Raises TypeError or ValueError where it is none.
    """
    if not isinstance(given, tuple) or len(given) != 3:
        raise TypeError(f"a hook returned {type(given).__name__}, neither None nor (status, headers, body)")
    status, headers, body = given
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise ValueError(f"a hook returned the status {status!r}, no number from 200 to 599")
    if not isinstance(body, (str, bytes)):
        raise TypeError(f"a hook returned a body of type {type(body).__name__}, neither text nor bytes")
    fields = Headers(())
    for name, value in headers.items() if hasattr(headers, "items") else headers:
        fields.add(name, value)
    if isinstance(body, str):
        body = body.encode()
        if "content-type" not in fields:
            fields.add("content-type", "text/plain; charset=utf-8")
    return Answer(int(status), fields.encoded(), body)
