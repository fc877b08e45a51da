"""A deliberately dumb HTTP/1.1 client: it sends the bytes it is given and reads answers with a strict parser.

Real clients repair, refuse or hide what these tests are about. Nothing here waits without a deadline.
"""

import itertools
import re
import socket
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

DEADLINE = 5.0

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) ([\t\x20-\x7e]*)")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")


class BadResponse(AssertionError):
    """What came from the server is no valid HTTP/1.1 response, or did not come in time."""


@dataclass(slots=True)
class Response:
    """A final response, with the interim ones (1xx) that came before it."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    interim: list["Response"] = field(default_factory=list)
    chunks: int = 0

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]

    def header(self, name: bytes) -> bytes | None:
        """The value of a field that must not be repeated; None where it is missing."""
        found = self.values(name)
        if len(found) > 1:
            raise BadResponse(f"{name!r} is repeated: {found}")
        return found[0] if found else None


class Reader:
    """Parses responses strictly out of :attr:`buffer`, which :meth:`_fill` fills."""

    def __init__(self, data: bytes = b"") -> None:
        self.buffer = data

    def _fill(self, ends_at: float) -> bool:
        """Wait for more bytes until *ends_at*; False at the end of the stream."""
        return False

    def parse_response(self, method: str, ends_at: float = 0.0) -> Response:
        """Parse one final response to a request of *method*. Raises BadResponse."""
        interim = []
        while True:
            response = self._read_head(ends_at)
            if response.status >= 200:
                break
            interim.append(response)
        response.interim = interim
        self._read_body(response, method, ends_at)
        return response

    def _line(self, ends_at: float) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            if b"\n" in self.buffer or not self._fill(ends_at):
                raise BadResponse(f"no line of a response: {self.buffer[:500]!r}")
        line, self.buffer = self.buffer[:end], self.buffer[end + 2 :]
        return line

    def _exactly(self, size: int, ends_at: float) -> bytes:
        while len(self.buffer) < size:
            if not self._fill(ends_at):
                raise BadResponse(f"the body ended {size - len(self.buffer)} bytes early")
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def _read_head(self, ends_at: float) -> Response:
        line = self._line(ends_at)
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise BadResponse(f"no status line: {line[:200]!r}")
        return Response(int(match[1]), match[2], self._read_fields(ends_at))

    def _read_fields(self, ends_at: float) -> list[tuple[bytes, bytes]]:
        fields = []
        while line := self._line(ends_at):
            match = _FIELD.fullmatch(line)
            if match is None:
                raise BadResponse(f"no header field: {line[:200]!r}")
            fields.append((match[1].lower(), match[2]))
        return fields

    def _read_body(self, response: Response, method: str, ends_at: float) -> None:
        """RFC 9112, section 6.3."""
        coding = response.header(b"transfer-encoding")
        length = response.header(b"content-length")
        if coding is not None and (length is not None or coding != b"chunked" or response.status == 204):
            raise BadResponse(f"framing: {response.headers}")
        if response.status == 204 and length is not None:
            raise BadResponse("a Content-Length with 204")
        if method == "HEAD" or response.status in (204, 304):
            return
        if coding is not None:
            self._read_chunked(response, ends_at)
        elif length is not None:
            if not length.isdigit():
                raise BadResponse(f"Content-Length: {length!r}")
            response.body = self._exactly(int(length), ends_at)
        else:
            while self._fill(ends_at):
                pass
            response.body, self.buffer = self.buffer, b""

    def _read_chunked(self, response: Response, ends_at: float) -> None:
        parts = []
        while True:
            line = self._line(ends_at)
            if _CHUNK_SIZE.fullmatch(line) is None:
                raise BadResponse(f"no chunk size: {line[:200]!r}")
            size = int(line, 16)
            if size == 0:
                break
            parts.append(self._exactly(size, ends_at))
            if self._line(ends_at):
                raise BadResponse("a chunk is longer than its size")
        response.body = b"".join(parts)
        response.chunks = len(parts)
        response.trailers = self._read_fields(ends_at)


class RawClient(Reader):
    """One connection. `address` is (host, port), or the path of a Unix socket."""

    def __init__(self, address: tuple[str, int] | str, deadline: float = DEADLINE) -> None:
        super().__init__()
        self.deadline = deadline
        self.closed = False
        """The server has closed its side (or reset the connection)."""
        self.was_reset = False
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        if isinstance(address, tuple) and ":" in address[0]:
            family = socket.AF_INET6
        self.socket = socket.socket(family)
        self.socket.settimeout(deadline)
        self.socket.connect(address)
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    # --- sending ---

    def send(self, data: bytes, pieces: int | None = None) -> None:
        """Send *data*, at most *pieces* bytes with each call. A server that has closed is no error."""
        step = pieces or len(data) or 1
        self.socket.settimeout(self.deadline)
        try:
            for start in range(0, len(data), step):
                self.socket.sendall(data[start : start + step])
        except (BrokenPipeError, ConnectionResetError):
            pass  # what it answered may still be read

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    # --- reading ---

    def request(self, data: bytes, method: str = "GET") -> Response:
        """Send *data* and read one response."""
        self.send(data)
        return self.read_response(method)

    def read_response(self, method: str = "GET") -> Response:
        """Read one final response to a request of *method*. Raises BadResponse."""
        return self.parse_response(method, time.monotonic() + self.deadline)

    def read_interim(self) -> Response:
        """Read the head of a response, whatever its status: 101 has nothing else. Raises BadResponse."""
        return self._read_head(time.monotonic() + self.deadline)

    def read_exactly(self, size: int) -> bytes:
        """Read so many bytes. Raises BadResponse."""
        return self._exactly(size, time.monotonic() + self.deadline)

    def read_to_end(self) -> bytes:
        """Everything up to the server's close. Raises BadResponse when it does not close."""
        ends_at = time.monotonic() + self.deadline
        while self._fill(ends_at):
            pass
        data, self.buffer = self.buffer, b""
        return data

    def expect_end(self) -> None:
        """Nothing more comes, and the server closes. Raises BadResponse."""
        rest = self.read_to_end()
        if rest:
            raise BadResponse(f"more than was expected: {rest[:500]!r}")

    def _fill(self, ends_at: float) -> bool:
        """Wait for more bytes; False at the end of the stream."""
        if self.closed:
            return False
        left = ends_at - time.monotonic()
        if left <= 0:
            raise BadResponse(f"nothing (more) came in {self.deadline} s; so far {self.buffer[:500]!r}")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            return self._fill(0)
        except ConnectionResetError:
            data, self.was_reset = b"", True
        self.closed = not data
        self.buffer += data
        return bool(data)


def parse_all(data: bytes, methods: list[str]) -> list[Response]:
    """All responses in *data*, to requests of *methods* and then GET. Raises BadResponse."""
    reader = Reader(data)
    responses = []
    for method in itertools.chain(methods, itertools.repeat("GET")):
        if not reader.buffer:
            break
        responses.append(reader.parse_response(method))
    return responses
