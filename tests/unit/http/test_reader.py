"""Bytes become requests (http/h1/reader.py), with both parsers and without a socket."""

from types import SimpleNamespace

import pytest

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h1.heads import Heads
from hornbeamd.http.h1.parsers import Listener, Parser, parser_factory
from hornbeamd.http.h1.reader import Limits, RequestReader
from hornbeamd.http.rules import CHUNKED

HEAD = b"GET /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-b:  two words \t\r\nX-A: 3\r\n\r\n"
LIMITS = Limits(request_line=100, header=200, headers=8, body=1000)


@pytest.fixture(params=["httptools", "h11"])
def parser(request: pytest.FixtureRequest) -> str:
    return request.param


def make(parser: str, limits: Limits = LIMITS) -> RequestReader:
    return RequestReader(
        parser_factory(parser), limits, Heads(parser_factory(parser), limits.request_line, limits.headers)
    )


def read(reader: RequestReader, data: bytes, size: int) -> list[tuple[str, str, bytes]]:
    """Feed *data* in pieces of *size*; return method, path and body of each request in it."""
    seen = []
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        while piece:
            piece = piece[reader.feed(piece) :]
            if reader.complete:
                assert reader.request is not None
                seen.append((reader.request.method, reader.request.path, b"".join(reader.chunks)))
                reader.chunks.clear()
                reader.next()
    return seen


def post(body: bytes, *fields: bytes) -> bytes:
    lines = [b"POST /p HTTP/1.1", b"Host: h", *fields, b"Content-Length: %d" % len(body), b"", body]
    return b"\r\n".join(lines)


def chunked(*chunks: bytes, trailers: bytes = b"") -> bytes:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + coded + b"0\r\n" + trailers + b"\r\n"


def refused(reader: RequestReader, data: bytes, size: int = 1 << 20) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        read(reader, data, size)
    return caught.value


# --- heads ---


@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_head(parser: str, size: int, times: int):
    """RFC 9112, sections 3 and 5: the same in any pieces, and when it comes again."""
    reader = make(parser)
    for _ in range(times):
        for start in range(0, len(HEAD), size):
            piece = HEAD[start : start + size]
            assert reader.feed(piece) == len(piece)
        request = reader.request
        assert request is not None
        assert (request.method, request.target, request.raw_path, request.query) == ("GET", b"/a?b", b"/a", b"b")
        assert (request.http_version, request.keep_alive, request.body_length) == ("1.1", True, 0)
        assert request.headers == ((b"host", b"h"), (b"x-a", b"1"), (b"x-b", b"two words"), (b"x-a", b"3"))
        assert reader.complete
        assert not reader.in_head
        reader.next()


def test_in_head_tells_of_a_head_that_has_begun(parser: str):
    """What decides between 408 and a silent close."""
    reader = make(parser)
    assert not reader.in_head
    reader.feed(b"G")
    assert reader.in_head
    reader.feed(b"ET / HTTP/1.1\r\n")
    assert reader.in_head
    reader.feed(b"Host: h\r\n\r\n")
    assert not reader.in_head
    reader.next()
    assert not reader.in_head


def test_empty_lines_before_a_request_are_no_head(parser: str):
    """RFC 9112, section 2.2."""
    reader = make(parser)
    assert read(reader, b"\r\n\r\n" + HEAD, 1) == [("GET", "/a", b"")]
    reader.feed(b"\r\n")
    assert not reader.in_head


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_requests_behind_one_another(parser: str, size: int):
    """RFC 9112, section 9.3.2: what is behind a message is left alone until the next."""
    data = HEAD + post(b"hello") + chunked(b"one", b"two") + post(b"") + HEAD
    expected = [
        ("GET", "/a", b""),
        ("POST", "/p", b"hello"),
        ("POST", "/c", b"onetwo"),
        ("POST", "/p", b""),
        ("GET", "/a", b""),
    ]
    assert read(make(parser), data * 4, size) == expected * 4


def test_feed_stops_behind_one_request(parser: str):
    reader = make(parser)
    for request in (HEAD, post(b"hello"), chunked(b"hello")):
        assert reader.feed(request + HEAD) == len(request)
        assert reader.complete
        reader.chunks.clear()
        reader.next()


# --- bodies ---


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_how_much_of_a_body_is_left(parser: str, size: int):
    reader = make(parser)
    for _ in range(3):
        reader.feed(post(b"0123456789")[:-10])
        assert (reader.body_left, reader.complete) == (10, False)
        reader.feed(b"0123")
        assert (reader.body_left, reader.complete) == (6, False)
        reader.feed(b"456789")
        assert (reader.body_left, reader.complete) == (0, True)
        assert (b"".join(reader.chunks), reader.received) == (b"0123456789", 10)
        reader.chunks.clear()
        reader.next()


def test_nobody_knows_how_much_of_a_chunked_body_is_left(parser: str):
    reader = make(parser)
    reader.feed(chunked(b"hello")[:-5])
    assert reader.body_left == CHUNKED
    reader.feed(b"0\r\n\r\n")
    assert (reader.body_left, reader.complete) == (0, True)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 1000])
def test_chunks_in_any_pieces(parser: str, size: int):
    """RFC 9112, section 7.1; with line ends in the data, which are no framing."""
    body = [b"\r\n\r\n", b"\n", b"0\r\n\r\n", b"x" * 100, b"\r"]
    data = chunked(*body, trailers=b"X-Sum: 1\r\n")
    assert read(make(parser), data + HEAD, size) == [("POST", "/c", b"".join(body)), ("GET", "/a", b"")]


@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_a_parser_sees_heads_and_nothing_else(parser: str, size: int):
    """What a body costs does not depend on what is in it: a parser that is asked at each line end in it is 400 times
    as expensive as one that is not asked."""
    fed: list[bytes] = []

    def counting(listener: Listener) -> Parser:
        new = parser_factory(parser)(listener)
        return SimpleNamespace(  # type: ignore[return-value]
            feed_data=lambda data: (fed.append(data), new.feed_data(data)),
            get_method=lambda: new.get_method(),
            get_http_version=lambda: new.get_http_version(),
            should_keep_alive=lambda: new.should_keep_alive(),
        )

    limits = LIMITS._replace(body=1 << 20)
    reader = RequestReader(counting, limits, Heads(counting, limits.request_line, limits.headers))
    body = b"\r\n\r\n" * 10_000
    for request in (chunked(body, body), post(body)):
        head = request[: request.index(b"\r\n\r\n") + 4]
        fed.clear()
        assert read(reader, head, 1 << 20) == []
        read(reader, request[len(head) :], size)
        assert b"".join(fed) == head
        assert len(fed) == 1


def test_an_upgrade_is_not_taken_and_its_body_is_read(parser: str):
    """RFC 9110, section 7.8: a server may ignore the field."""
    fields = b"Connection: Upgrade", b"Upgrade: h2c"
    for size in (1, 1000):
        reader = make(parser)
        data = (
            post(b"hello", *fields) + chunked(b"hi").replace(b"Host: h", b"Host: h\r\n" + b"\r\n".join(fields)) + HEAD
        )
        assert read(reader, data, size) == [("POST", "/p", b"hello"), ("POST", "/c", b"hi"), ("GET", "/a", b"")]


# --- limits ---


@pytest.mark.parametrize("size", [1, 1000])
def test_the_request_line_has_a_limit(parser: str, size: int):
    """414 (RFC 9110, section 15.5.15)."""
    room = LIMITS.request_line - len("GET  HTTP/1.1")
    fits = b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n" % (b"a" * (room - 1))
    assert len(read(make(parser), fits, size)) == 1
    too_long = fits.replace(b"/a", b"/aa", 1)
    assert refused(make(parser), too_long, size).status == 414


@pytest.mark.parametrize("size", [1, 1000])
def test_a_field_has_a_limit(parser: str, size: int):
    """431 (RFC 6585, section 5)."""
    fits = b"GET / HTTP/1.1\r\nHost: h\r\nX: %b\r\n\r\n" % (b"a" * (LIMITS.header - 3))
    assert len(read(make(parser), fits, size)) == 1
    assert refused(make(parser), fits.replace(b"X: a", b"X: aa"), size).status == 431


@pytest.mark.parametrize("size", [1, 1000])
def test_the_number_of_fields_has_a_limit(parser: str, size: int):
    fits = b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 7 + b"\r\n"
    reader = make(parser)
    assert len(read(reader, fits * 4, size)) == 4
    assert refused(reader, fits.replace(b"\r\n\r\n", b"\r\nX: y\r\n\r\n"), size).status == 431


@pytest.mark.parametrize(
    "endless",
    [b"GET /" + b"a" * 5000, b"GET / HTTP/1.1\r\nX: " + b"a" * 5000, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500],
)
def test_what_never_ends_is_refused_before_its_end(parser: str, endless: bytes):
    assert refused(make(parser), endless, 50).status in (414, 431)


@pytest.mark.parametrize("size", [1, 100_000])
def test_bodies_have_a_limit(parser: str, size: int):
    """413 (RFC 9110, section 15.5.14), announced or not."""
    assert len(read(make(parser), post(b"x" * 1000) + chunked(*[b"x" * 100] * 10), size)) == 2
    assert refused(make(parser), post(b"x" * 1001), size).status == 413
    assert refused(make(parser), chunked(*[b"x" * 100] * 10, b"y"), size).status == 413


@pytest.mark.parametrize(
    "data", [b"5;" + b"a" * 100_000, b"1;a=b\r\nx\r\n5;" + b"a" * 100_000, b"0\r\n" + b"X: %b\r\n" % (b"a" * 100_000)]
)
def test_chunk_extensions_and_trailers_have_a_limit(parser: str, data: bytes):
    """RFC 9112, section 7.1.1: a recipient limits them."""
    assert refused(make(parser), chunked()[:-5] + data, 1000).status in (400, 431)


def test_the_number_of_trailers_has_a_limit(parser: str):
    assert refused(make(parser), chunked(b"x", trailers=b"X: y\r\n" * 9), 1000).status == 431


@pytest.mark.parametrize("name", [b"Content-Length", b"Transfer-Encoding", b"Host", b"Authorization", b"Set-Cookie"])
def test_trailers_may_not_frame_nor_authorize(parser: str, name: bytes):
    """RFC 9110, section 6.5.1."""
    assert refused(make(parser), chunked(b"x", trailers=name + b": 1\r\n")).status in (400, 501)


# --- what is remembered of heads ---


def test_a_head_put_together_from_lines_says_what_a_parser_would(parser: str):
    """Every combination of lines that were judged, against a reader that has seen none of them."""
    lines = [b"X-A: 1", b"x-a:2 ", b"Content-Length: 3", b"Connection: keep-alive", b"Accept:*/*"]
    experienced = make(parser)
    requests = []
    for mask in range(1 << len(lines)):
        chosen = [line for bit, line in enumerate(lines) if mask >> bit & 1]
        body = b"abc" if b"Content-Length: 3" in chosen else b""
        requests.append(b"\r\n".join([b"POST /%d?q HTTP/1.1" % mask, b"Host: h", *chosen, b"", body]))
    for request in requests * 3:
        for reader in (experienced, make(parser)):
            assert reader.feed(request) == len(request)
            assert reader.complete
        fresh = reader.request
        known = experienced.request
        assert known is not None
        assert fresh is not None
        for attribute in ("method", "target", "path", "query", "headers", "keep_alive", "http_version", "body_length"):
            assert getattr(known, attribute) == getattr(fresh, attribute), (request, attribute)
        assert b"".join(experienced.chunks) == b"".join(reader.chunks)
        experienced.chunks.clear()
        experienced.next()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([b"Content-Length: 3", b"Content-Length: 3"], 400),
        ([b"Content-Length: 3", b"Content-Length: 4"], 400),
        ([b"Content-Length: 3", b"Transfer-Encoding: chunked"], 400),
        ([b"Host: h"], 400),
        ([b"Host: other"], 400),
        ([b"Expect: x", b"Content-Length: 3"], 417),
        ([b" X-A: 1"], 400),
        ([b"X-A : 1"], 400),
    ],
)
def test_lines_that_were_judged_alone_are_judged_again_together(parser: str, fields: list[bytes], status: int):
    """No memory of good lines lets a bad head pass (RFC 9112, section 6.3)."""
    reader = make(parser)
    for field in (b"Content-Length: 3", b"Content-Length: 4", b"X-A: 1", b"X-B: 1") * 4:
        length = int(field[-1:]) if field.startswith(b"Content") else 0
        request = b"\r\n".join([b"POST / HTTP/1.1", b"Host: h", field, b"", b"x" * length])
        read(reader, request, 1 << 20)
        read(reader, request.replace(b"Host: h", b"Host: other"), 1 << 20)
    bad = b"\r\n".join([b"POST / HTTP/1.1", b"Host: h", *fields, b"", b"xxxx"])
    assert refused(reader, bad).status == status


@pytest.mark.parametrize(
    "line",
    [
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET /\tx HTTP/1.1",
        b"GET /a#b HTTP/1.1",
        b"GET /\x01 HTTP/1.1",
        b"GET /\xe9 HTTP/1.1",
        b"GET / HTTP/2.0",
        b"GET / RTSP/1.0",
        b"GET / http/1.1",
        b"G\x00T / HTTP/1.1",
        b"GET x HTTP/1.1",
        b"GET /",
    ],
)
def test_a_bad_request_line_before_known_lines_is_refused(parser: str, line: bytes):
    reader = make(parser)
    for _ in range(4):
        read(reader, b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n", 1 << 20)
    assert refused(reader, line + b"\r\nHost: h\r\nX-A: 1\r\n\r\n").status in (400, 505)


def test_a_parser_that_confuses_lines_teaches_nothing():
    """What is remembered of a line is what that line says, whatever a parser made of the head around it."""

    class Confused:
        """Gives two fields in each other's place."""

        def __init__(self, listener: Listener) -> None:
            self.fields: list[tuple[bytes, bytes]] = []
            self.listener = listener
            self.on_url = listener.on_url
            self.parser = parser_factory("httptools")(self)  # type: ignore[arg-type]
            self.feed_data = self.parser.feed_data
            self.get_method = self.parser.get_method
            self.get_http_version = self.parser.get_http_version
            self.should_keep_alive = self.parser.should_keep_alive

        def on_header(self, name: bytes, value: bytes) -> None:
            self.fields.append((name, value))

        def on_headers_complete(self) -> None:
            for name, value in [self.fields[0], *reversed(self.fields[1:])]:
                self.listener.on_header(name, value)
            self.fields.clear()
            self.listener.on_headers_complete()

    heads = Heads(Confused, 100, 8)  # type: ignore[arg-type]
    reader = RequestReader(Confused, LIMITS, heads)  # type: ignore[arg-type]
    for _ in range(4):
        read(reader, b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-B: 2\r\n\r\n", 1 << 20)
    assert not heads.known
    assert heads.recall(b"GET /other HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n") is None
    # One line alone cannot be confused, and two that are new are not let in on its back.
    for _ in range(4):
        read(reader, b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n", 1 << 20)
    known = heads.recall(b"GET /other HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n")
    assert known is not None
    assert known.headers == ((b"host", b"h"), (b"x-a", b"1"))
    for number in range(4):
        heads.recall(b"GET /%d HTTP/1.1\r\nHost: h\r\nX-C: 3\r\nX-D: 4\r\n\r\n" % number)
    assert not {b"X-C: 3", b"X-D: 4"} & heads._fields.keys()


def test_proxy_connection_does_not_hide_the_version(parser: str) -> None:
    """llhttp takes it for Connection, so that a request of HTTP/1.0 looked like one of 1.1 behind a known Host."""
    reader = make(parser)
    read(reader, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 1 << 20)
    reader.feed(b"GET / HTTP/1.0\r\nHost: h\r\nProxy-Connection: keep-alive\r\n\r\n")
    assert reader.request is not None
    assert reader.request.http_version == "1.0"
    assert refused(make(parser), b"GET / HTTP/2.0\r\nHost: h\r\nProxy-Connection: keep-alive\r\n\r\n").status == 505


def test_a_tls_handshake_is_called_so(parser: str):
    """What a proxy that was told the wrong scheme sends."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))
    assert "TLS" in str(refused(make(parser), hello))
