"""Any bytes, in any chunking, give the same answers; and the parsers agree, or the stricter one refuses."""

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
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


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Some requests of the corpus, with pieces put in, taken out and written over."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3))))
    pieces = st.one_of(st.sampled_from(PIECES), st.sampled_from([bytes([byte]) for byte in BYTES]))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        taken = draw(st.sampled_from([0, 0, 0, 1, 1, 2, 10]))
        data[start : start + taken] = draw(st.one_of(st.just(b""), pieces, st.binary(max_size=3)))
    return bytes(data)


@st.composite
def chunkings(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream, and the same cut into pieces: at some places, or into pieces of one size."""
    data = draw(streams())
    if draw(st.booleans()):
        size = draw(st.integers(1, 5))
        cuts = list(range(size, len(data), size))
    else:
        cuts = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=12)))
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


def outcome(runner: asyncio.Runner, parser: str, chunks: list[bytes]) -> Outcome:
    async def run() -> Outcome:
        echo = Echo()
        server = Server(Options(http_parser=parser), echo)
        server.start([])
        transport = await converse(server, chunks, fin=True)
        server.abort()
        assert server.in_flight == 0
        assert not server.connections
        return Outcome(echo, bytes(transport.output))

    return runner.run(run())


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=600, deadline=None)
@given(chunking=chunkings())
def test_chunking_changes_nothing(runner: asyncio.Runner, parser: str, chunking: tuple[bytes, list[bytes]]):
    data, chunks = chunking
    assert outcome(runner, parser, [data]) == outcome(runner, parser, chunks)


@settings(max_examples=600, deadline=None)
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
                (name, value.lower() if name == "transfer-encoding" else value)
                for name, value in each["headers"]
            ],
        }
        for each in seen
    ]


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
def test_garbage_is_never_a_request(runner: asyncio.Runner, data: bytes):
    for parser in PARSERS:
        assert outcome(runner, parser, [data]).seen == []
