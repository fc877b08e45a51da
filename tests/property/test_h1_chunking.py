"""Any bytes, in any chunking, give the same answers; and the parsers agree, or the stricter one refuses."""

import asyncio
import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hornbeamd.config.options import Options
from hornbeamd.http.server import Server
from tests.support.corpus import cases
from tests.support.echo import Echo
from tests.support.memory import converse
from tests.support.raw import parse_all

PARSERS = ("httptools", "h11")

# What an application answers before it has read the body depends on when the body comes.
SEEDS = [case.sent for case in cases() if len(case.sent) <= 800 and b"/unread" not in case.sent]
BYTES = b'\r\n \t:;,0159aAfF"\x00\x0b\x7f\x80\xff/?#*-_+='
PIECES = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"5;a=b\r\nhello\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n",
    b"Expect: 100-continue\r\n",
    b"Host: a\r\n",
    b"X: y\r\n",
    b" HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
)


LOOKS_LIKE_A_REQUEST = re.compile(
    rb"(?:\r\n)*[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~]+ HTTP/1\.[01]\r\n(?:[^\r\n]+\r\n)*\r\n"
)

REQUEST_LINES = (
    b"GET /a HTTP/1.1",
    b"POST /a HTTP/1.1",
    b"HEAD /b?c HTTP/1.1",
    b"GET /a HTTP/1.0",
    b"GET http://other/a HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"GET  /a HTTP/1.1",
    b"GET /a HTTP/1.1 ",
    b"GET /a#b HTTP/1.1",
)
LINES = (
    b"Host: a",
    b"Host: b",
    b"Host: a, b",
    b"X: y",
    b"X:  y ",
    b"X : y",
    b" folded",
    b"X: y\rz",
    b"X: y\nContent-Length: 5",
    b"X: \x00",
    b"X: \xff",
    b": y",
    b"Cookie: a=b",
    b"Content-Length: 5",
    b"Content-Length: 05",
    b"Content-Length: 5, 5",
    b"Content-Length: 0",
    b"Content_Length: 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Connection: upgrade",
    b"Upgrade: x",
    b"Expect: 100-continue",
)
BODIES = (b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"GET /in HTTP/1.1\r\nHost: a\r\n\r\n")


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A head put together from lines, and perhaps a body."""
    lines = draw(st.lists(st.sampled_from(LINES), max_size=5))
    head = [draw(st.sampled_from(REQUEST_LINES)), *draw(st.sampled_from([[b"Host: a"], []])), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + draw(st.sampled_from(BODIES))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Some requests, of the corpus or made up, with pieces put in, taken out and written over."""
    parts = st.one_of(st.sampled_from(SEEDS), requests())
    data = bytearray(b"".join(draw(st.lists(parts, min_size=1, max_size=3))))
    pieces = st.one_of(st.sampled_from(PIECES), st.sampled_from([bytes([byte]) for byte in BYTES]))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        taken = draw(st.sampled_from([0, 0, 0, 1, 1, 2, 10]))
        data[start : start + taken] = draw(st.one_of(st.just(b""), pieces, st.binary(max_size=3)))
    return bytes(data)


@st.composite
def chunkings(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream, and the same cut into pieces: all of one size, or at some places, or at some ends of lines."""
    data = draw(streams())
    anywhere = range(1, len(data))
    behind_lines = [place for place in anywhere if data[place - 1] == 10 or data[place] == 10]
    match draw(st.integers(0, 2)):
        case 0:
            cuts = list(anywhere[:: draw(st.integers(1, 5))])
        case 1:
            cuts = sorted(draw(st.sets(st.sampled_from(anywhere or [0]), max_size=12)))
        case _:
            cuts = sorted(draw(st.sets(st.sampled_from(behind_lines or [0]), max_size=6)))
    edges = [0, *cuts, len(data)]
    return data, [data[start:end] for start, end in itertools.pairwise(edges) if start < end]


class Outcome:
    """What an application saw of a stream, and how the server answered it."""

    def __init__(self, echo: Echo, output: bytes) -> None:
        self.seen = echo.seen
        statuses = [response.status for response in parse_all(output, [each["method"] for each in echo.seen])]
        self.refused = bool(statuses) and statuses[-1] != 200
        assert statuses[: len(echo.seen)] == [200] * len(echo.seen)
        assert len(statuses) <= len(echo.seen) + 1, "more than one answer of refusal"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Outcome) and (self.seen, self.refused) == (other.seen, other.refused)

    def __repr__(self) -> str:
        seen = [(each["method"], each["target"], each["body"]) for each in self.seen]
        return f"{seen}, {'then refused' if self.refused else 'then nothing'}"


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def outcomes(runner: asyncio.Runner, parser: str, *clients: list[bytes]) -> list[Outcome]:
    """What becomes of each client's chunks, the clients coming to one server one after another."""

    async def run() -> list[Outcome]:
        server = Server(Options(http_parser=parser), Echo())
        server.start([])
        found = []
        for chunks in clients:
            echo = server.handler = Echo()
            server.handle = echo.handle
            transport = await converse(server, chunks, fin=True)
            found.append(Outcome(echo, bytes(transport.output)))
        server.abort()
        assert server.in_flight == 0
        assert not server.connections
        return found

    return runner.run(run())


def outcome(runner: asyncio.Runner, parser: str, chunks: list[bytes]) -> Outcome:
    return outcomes(runner, parser, chunks)[0]


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=300, deadline=None)
@given(chunking=chunkings())
def test_chunking_changes_nothing(runner: asyncio.Runner, parser: str, chunking: tuple[bytes, list[bytes]]):
    data, chunks = chunking
    assert outcome(runner, parser, [data]) == outcome(runner, parser, chunks)


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=300, deadline=None)
@given(chunking=chunkings(), first=st.integers(0, 15))
def test_one_client_changes_nothing_for_another(
    runner: asyncio.Runner, parser: str, chunking: tuple[bytes, list[bytes]], first: int
):
    """Not even when the other sends exactly some of the same pieces, or lines: only what it said itself counts.

    Some things are remembered only when they come a second time.
    """
    chunks = chunking[1]
    other = other_client(chunking[0], chunks, first)
    assert outcomes(runner, parser, chunks, chunks, other)[-1] == outcome(runner, parser, other)


def other_client(data: bytes, chunks: list[bytes], first: int) -> list[bytes]:
    """What another client sends: a tail of the pieces, or the lines of the stream behind a good request line."""
    if first % 2:
        return chunks[first // 2 :]
    lines = data.split(b"\r\n")[first // 2 :]
    return [b"GET /other HTTP/1.1\r\n" + b"\r\n".join(lines) + b"\r\n\r\n"]


@settings(max_examples=300, deadline=None)
@given(data=streams())
def test_the_parsers_agree_or_the_stricter_refuses(runner: asyncio.Runner, data: bytes):
    one, other = (outcome(runner, parser, [data]) for parser in PARSERS)
    common = min(len(one.seen), len(other.seen))
    assert plain(one.seen[:common]) == plain(other.seen[:common])
    if len(one.seen) != len(other.seen):
        assert (one if len(one.seen) < len(other.seen) else other).refused, (one, other)


def plain(seen: list) -> list:
    """Without what h11 writes anew: the case of a coding."""
    return [
        {
            **each,
            "headers": [
                (name, value.lower() if name == "transfer-encoding" else value) for name, value in each["headers"]
            ],
        }
        for each in seen
    ]


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
@example(b"! / HTTP/1.0\r\n!:\r\n\r\n")
def test_garbage_is_a_request_only_where_it_looks_like_one(runner: asyncio.Runner, data: bytes):
    """Hardly ever, that is; and llhttp knows its methods by name, so that it does not take the example."""
    for parser in PARSERS:
        if outcome(runner, parser, [data]).seen:
            assert LOOKS_LIKE_A_REQUEST.match(data)
