"""What HTTP asks of a response whatever carries it (http/exchange.py), on a protocol that only notes."""

import asyncio
import io
from http import HTTPStatus

import pytest

from hornbeamd.errors import ClientGone, ResponseError
from hornbeamd.http.exchange import Exchange, Request
from hornbeamd.http.rules import parse_target
from hornbeamd.http.websocket.handshake import Offer


class Noted(Exchange):
    """An exchange of no protocol."""

    def __init__(self, method: str = "GET") -> None:
        self.request = Request(method, b"/", parse_target(b"/", method), ())
        self.sent: list[tuple[bytes, bool]] = []
        self.others: list[object] = []

    def _send(self, data: bytes, more: bool) -> None:
        self.sent.append((data, more))
        self.sent_head = True
        self.finished = not more

    def _send_trailers(self, fields: list[bytes]) -> None:
        self.others.append(fields)
        self.finished = True

    def inform(self, fields: list[bytes]) -> None:
        self.others.append(fields)

    def _continue(self) -> None:
        self.others.append("continue")

    async def _send_file(self, file, offset, count) -> None:
        self.others.append((offset, count))
        self.finished = True

    def abort(self) -> None:
        self.others.append("aborted")
        self.finished = True


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_where_no_body_may_be_no_trailers_are(method: str, status: int):
    """RFC 9110, sections 15.3.5 and 15.4.5."""
    exchange = Noted(method)
    exchange.start(status, [], trailers=True)
    with pytest.raises(ResponseError):
        exchange.end_with_trailers([(b"x-a", b"\n")])
    exchange.end_with_trailers([(b"x-a", b"1")])
    assert exchange.sent == [(b"", False)]
    assert exchange.others == []


def test_who_expects_100_continue_gets_it_once():
    exchange = Noted()
    exchange.expects_continue = True
    exchange.want_body()
    exchange.want_body()
    assert exchange.others == ["continue"]


@pytest.mark.parametrize("known", [{"sent_head": True}, {"body_complete": True}, {"buffered": 1}, {"lost": True}])
def test_who_expects_no_100_continue_any_more_gets_none(known: dict[str, object]):
    """RFC 9110, section 10.1.1; and a stream that was reset takes no frames."""
    exchange = Noted()
    exchange.expects_continue = True
    vars(exchange).update(known)
    exchange.want_body()
    assert exchange.others == []


def test_a_response_in_parts():
    exchange = Noted()
    exchange.start(200, [(b"x-a", b"1")])
    assert exchange.sent == []
    exchange.write(b"one", True)
    exchange.write(b"two", False)
    assert exchange.sent == [(b"one", True), (b"two", False)]
    assert (exchange.status, exchange.fields, exchange.bytes_sent) == (200, [b"x-a: 1\r\n"], 6)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_where_no_body_may_be_none_is_sent(method: str, status: int):
    """RFC 9110, section 6.4.1; and its length is not held against its Content-Length."""
    exchange = Noted(method)
    exchange.start(status, [(b"content-length", b"99")])
    exchange.write(b"one", True)
    exchange.write(b"two", False)
    assert exchange.sent == [(b"", True), (b"", False)]
    assert exchange.bytes_sent == 0


@pytest.mark.parametrize(
    ("length", "parts"), [(5, [b"123456"]), (5, [b"123", b"456"]), (5, [b"1234"]), (5, [b"12", b"34"]), (0, [b"1"])]
)
def test_a_body_is_as_long_as_its_content_length(length: int, parts: list[bytes]):
    """RFC 9110, section 8.6: the part that breaks it is not sent."""
    exchange = Noted()
    exchange.start(200, [(b"content-length", b"%d" % length)])
    for data in parts[:-1]:
        exchange.write(data, True)
    with pytest.raises(ResponseError, match="Content-Length"):
        exchange.write(parts[-1], False)
    assert exchange.sent == [(data, True) for data in parts[:-1]]


def test_the_start_may_be_taken_back_before_anything_was_sent():
    """PEP 3333, "Error Handling": nothing of the first start is left."""
    exchange = Noted()
    exchange.start(200, [(b"content-length", b"5"), (b"connection", b"close"), (b"date", b"x"), (b"server", b"y")])
    assert (exchange.length, exchange.close, exchange.has_date, exchange.has_server) == (5, True, True, True)
    exchange.start(500, [])
    assert (exchange.length, exchange.close, exchange.has_date, exchange.has_server) == (-1, False, False, False)
    exchange.write(b"anything", False)


def test_a_start_that_is_refused_leaves_no_status():
    exchange = Noted()
    with pytest.raises(ResponseError):
        exchange.start(200, [(b"x-a", b"1\r\n")])
    assert exchange.status == 0
    exchange.fail()
    assert exchange.status == 500


@pytest.mark.parametrize("status", [0, 99, 100, 199, 600, -1, "200", 200.0, None, True])
def test_only_final_statuses(status):
    """RFC 9110, section 15: 1xx are not final."""
    with pytest.raises(ResponseError):
        Noted().start(status, [])


def test_an_enumeration_is_a_status():
    exchange = Noted()
    exchange.start(HTTPStatus.NOT_FOUND, [])
    assert exchange.status == 404
    assert type(exchange.status) is int


def test_fields_of_the_framing_are_taken_note_of_and_not_sent():
    exchange = Noted()
    exchange.start(200, [(b"Connection", b"close"), (b"Transfer-Encoding", b"chunked"), (b"Trailer", b"x")])
    assert exchange.close
    assert b"".join(exchange.fields) == b"Trailer: x\r\n"


def test_two_content_lengths_are_refused_even_when_equal():
    """RFC 9110, section 8.6."""
    with pytest.raises(ResponseError, match="more than one"):
        Noted().start(200, [(b"content-length", b"1"), (b"Content-Length", b"1")])


def test_writing_needs_a_start():
    with pytest.raises(ResponseError, match="before"):
        Noted().write(b"x", False)


def test_writing_ends_with_the_response():
    exchange = Noted()
    exchange.start(200, [])
    exchange.write(b"", False)
    with pytest.raises(ResponseError, match="complete"):
        exchange.write(b"x", False)
    with pytest.raises(ResponseError):
        exchange.end_with_trailers([])
    with pytest.raises(ResponseError):
        exchange.early_hints([])
    with pytest.raises(ResponseError):
        asyncio.run(exchange.send_file(io.BytesIO(), 0, 0))
    assert exchange.sent == [(b"", False)]


def test_writing_to_nobody_is_an_oserror():
    """ASGI spec 2.4, "Disconnected Client"."""
    exchange = Noted()
    exchange.start(200, [])
    exchange.lost = True
    for write in (lambda: exchange.write(b"x", True), lambda: asyncio.run(exchange.send_file(io.BytesIO(), 0, 0))):
        with pytest.raises(ClientGone) as caught:
            write()
        assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("data", ["text", None, 5, [b"x"]])
def test_a_body_is_bytes(data):
    exchange = Noted()
    exchange.start(200, [])
    with pytest.raises(ResponseError, match="bytes"):
        exchange.write(data, False)
    assert exchange.sent == []


def test_announced_trailers_end_the_response():
    """ASGI extension "http.response.trailers": the last part of the body is not the end."""
    exchange = Noted()
    exchange.start(200, [], trailers=True)
    exchange.write(b"x", False)
    assert exchange.sent == [(b"x", True)]
    exchange.end_with_trailers([(b"x-a", b"1")])
    assert exchange.others == [[b"x-a: 1\r\n"]]
    assert exchange.finished


@pytest.mark.parametrize("name", [b"content-length", b"transfer-encoding", b"connection", b"trailer", b"date"])
def test_trailers_and_hints_do_not_frame(name: bytes):
    """RFC 9110, section 6.5.1."""
    exchange = Noted()
    exchange.start(200, [], trailers=True)
    with pytest.raises(ResponseError):
        exchange.early_hints([(name, b"1" if name == b"content-length" else b"chunked")])
    exchange.write(b"x", False)
    with pytest.raises(ResponseError):
        exchange.end_with_trailers([(name, b"1" if name == b"content-length" else b"chunked")])
    assert exchange.others == []


def test_a_file_is_the_whole_rest():
    exchange = Noted()
    exchange.start(200, [])
    asyncio.run(exchange.send_file(io.BytesIO(), 3, 7))
    assert exchange.others == [(3, 7)]
    assert exchange.fields == [b"content-length: 7\r\n"]
    assert exchange.bytes_sent == 7


@pytest.mark.parametrize("count", [4, 6])
def test_a_file_is_as_long_as_the_content_length(count: int):
    exchange = Noted()
    exchange.start(200, [(b"content-length", b"5")])
    with pytest.raises(ResponseError, match="Content-Length"):
        asyncio.run(exchange.send_file(io.BytesIO(), 0, count))
    assert exchange.others == []


def test_failing_answers_while_nothing_was_sent():
    exchange = Noted()
    exchange.start(200, [(b"x-a", b"secret")])
    exchange.fail()
    assert exchange.sent == [(b"Internal Server Error\n", False)]
    assert b"secret" not in b"".join(exchange.fields)
    assert b"x-request-id: " + exchange.request_id.encode() + b"\r\n" in exchange.fields


def test_failing_aborts_what_was_begun():
    exchange = Noted()
    exchange.start(200, [])
    exchange.write(b"x", True)
    exchange.fail()
    assert exchange.others == ["aborted"]
    exchange.fail()
    assert exchange.others == ["aborted"]


def test_request_ids_are_the_same_for_one_and_different_for_two():
    one, two = Noted(), Noted()
    assert one.request_id == one.request_id != two.request_id


def test_a_request_with_other_headers_is_the_same_request_otherwise():
    request = Request("POST", b"/a?b", parse_target(b"/a?b", "POST"), ((b"host", b"a"),))
    request.http_version, request.keep_alive, request.body_length, request.expects_continue = "2", False, 3, True
    request.websocket = Offer((), ())
    copy = request.with_headers(((b"host", b"b"),))
    assert copy.headers == ((b"host", b"b"),)
    for name in set(Request.__slots__) - {"headers", "shared", "derived"}:
        assert getattr(copy, name) == getattr(request, name), name
