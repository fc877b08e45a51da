"""Every case of tests/corpus/h1, against both parsers, over sockets and byte by byte."""

import asyncio
from collections.abc import Iterator

import pytest

from hornbeamd.config.options import Options
from hornbeamd.http.server import Server
from tests.support.corpus import PROBE, Case, cases, check
from tests.support.echo import Echo
from tests.support.inprocess import InProcess, serving
from tests.support.memory import converse
from tests.support.raw import RawClient, Response, parse_all

PARSERS = ("httptools", "h11")
BULK = 20_000
"""Cases of more bytes than this only test limits, and are not sent byte by byte."""

every_case = pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
every_small_case = pytest.mark.parametrize(
    "case", [case for case in cases() if len(case.sent) <= BULK], ids=lambda case: case.id
)
some_cases = pytest.mark.parametrize(
    "case", [case for case in cases() if len(case.sent) <= 1000][::12], ids=lambda case: case.id
)
both_parsers = pytest.mark.parametrize("parser", PARSERS)


@pytest.fixture(scope="module", params=PARSERS)
def server(request: pytest.FixtureRequest) -> Iterator[InProcess]:
    with serving(Echo(), Options(http_parser=request.param, http_version=("HTTP/1.1",)), loop="uvloop") as running:
        yield running


@every_case
def test_a_case(case: Case, server: InProcess):
    run(case, server, None)


@some_cases
def test_a_case_byte_by_byte_over_a_socket(case: Case, server: InProcess):
    run(case, server, 1)


@both_parsers
@every_small_case
def test_a_case_in_exact_pieces(case: Case, parser: str):
    for size in (1, 2, 3):
        asyncio.run(run_in_memory(case, parser, size))


def run(case: Case, server: InProcess, pieces: int | None) -> None:
    """Send the case, hold the answers to it, and see that the server serves the next client."""
    echo = server.server.handler
    assert isinstance(echo, Echo)
    echo.seen.clear()
    with RawClient(server.address) as client:
        client.send(case.sent, pieces)
        if case.fin:
            client.half_close()
        check(case, read_answers(case, client), echo.seen)
    with RawClient(server.address) as client:
        assert client.request(PROBE).status == 200


def read_answers(case: Case, client: RawClient) -> list[Response]:
    """All responses up to the end of the stream, which the server must bring about if the case says so."""
    methods = [answer.method for answer in case.answers]
    if case.then == "open":
        methods.append("GET")
    responses: list[Response] = []
    for method in methods:
        responses.append(client.read_response(method))
        if responses[-1].status != 200:
            break
    else:
        if case.then not in ("closed", "refused"):
            client.half_close()
    return responses + parse_all(client.read_to_end(), [])


async def run_in_memory(case: Case, parser: str, size: int) -> None:
    echo = Echo()
    server = Server(Options(http_parser=parser), echo)
    server.start([])
    data = case.sent
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    transport = await converse(server, pieces, fin=case.fin)
    server.abort()
    responses = parse_all(bytes(transport.output), [answer.method for answer in case.answers])
    check(case, responses, echo.seen)
    if case.then in ("closed", "refused", "cut"):
        assert transport.ended, "left open"
    elif case.then == "open" and all(response.status == 200 for response in responses):
        assert not transport.ended, "closed"
