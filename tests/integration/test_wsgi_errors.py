"""What a WSGI application does wrong: 500 without its text, or a cut answer; close() is called in any case."""

import gc
import sys
import weakref

import pytest

from tests.support.applications import head, wsgi
from tests.support.raw import BadResponse
from tests.support.waiting import wait_until

TEXT = [("Content-Type", "text/plain")]


def with_probe(app):
    """*app*, but /probe is answered well."""

    def both(environ, start_response):
        if environ["PATH_INFO"] == "/probe":
            start_response("200 OK", TEXT)
            return [b"probe"]
        return app(environ, start_response)

    return both


class OwnBase(BaseException):
    """Something that is no Exception."""


class Body:
    """An iterable that notes whether close() was called."""

    def __init__(self, parts, error=None, closing=None) -> None:
        self.parts = iter(parts)
        self.error = error
        self.closing = closing
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        for each in self.parts:
            return each
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self):
        self.closed += 1
        if self.closing is not None:
            raise self.closing


RAISED = [
    ValueError("secret"),
    OSError("secret"),
    StopIteration("secret"),
    SystemExit("secret"),
    KeyboardInterrupt("secret"),
    GeneratorExit("secret"),
    OwnBase("secret"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("started", [False, True])
def test_whatever_the_application_raises_is_500_without_its_text(error: BaseException, started: bool):
    """docs/applications.md; the thread lives and serves the next request."""

    def app(environ, start_response):
        if started:
            start_response("200 OK", TEXT)
        raise error

    with wsgi(with_probe(app), threads=1) as served, served.client() as client:
        response = client.request(head())
        assert response.status == 500
        assert b"secret" not in b"%r%r" % (response.headers, response.body)
        record = served.logs.wait_for(f"application raised {type(error).__name__}")
        assert record.fields["request"].encode() == response.header(b"x-request-id")
        assert record.exc_info[1] is error
        assert client.request(head("/probe")).body == b"probe"


@pytest.mark.parametrize(
    "error", [each for each in RAISED if not isinstance(each, StopIteration)], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("parts", [[], [b""], [b"half"]], ids=["none", "empty", "half"])
def test_whatever_the_iterable_raises(error: BaseException, parts: list[bytes]):
    """500 before the first bytes, a cut answer afterwards; close() is called once."""
    body = Body(parts, error)

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return body

    with wsgi(with_probe(app), threads=1) as served, served.client() as client:
        client.send(head() + head("/probe"))
        if parts == [b"half"]:
            with pytest.raises(BadResponse):
                client.read_response()
            assert b"probe" not in client.read_to_end()
        else:
            assert client.read_response().status == 500
            assert client.read_response().body == b"probe"
        assert body.closed == 1
        assert served.get("/probe").body == b"probe"


@pytest.mark.parametrize("parts", [[], [b"one"], [b"one", b"two"]], ids=len)
def test_close_is_called_once(parts: list[bytes]):
    """PEP 3333: "upon completion of the current request"."""
    body = Body(parts)

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return body

    with wsgi(app) as served:
        assert served.get().body == b"".join(parts)
        wait_until(lambda: body.closed)
    assert body.closed == 1


def test_close_is_called_for_head():
    body = Body([b"one", b"two"])

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return body

    with wsgi(app) as served:
        assert served.get(method="HEAD").body == b""
        wait_until(lambda: body.closed)


def test_close_that_raises_harms_nobody():
    """The answer was complete: it stays."""

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return Body([b"done"], closing=ValueError("late"))

    with wsgi(with_probe(app), threads=1) as served, served.client() as client:
        assert client.request(head()).body == b"done"
        assert served.logs.wait_for("application raised ValueError")
        assert client.request(head("/probe")).body == b"probe"


LENGTHS = {
    "shorter by one": "6",
    "much shorter": "500000",
    "longer by one": "4",
    "zero": "0",
    "negative": "-1",
    "text": "five",
    "empty": "",
}


@pytest.mark.parametrize("case", LENGTHS)
@pytest.mark.parametrize("kind", ["one", "two", "write", "lazy"])
def test_a_wrong_content_length_never_corrupts_the_next_answer(case: str, kind: str):
    """PEP 3333, "Handling the Content-Length Header"; RFC 9110, section 8.6."""

    def app(environ, start_response):
        write = start_response("200 OK", [*TEXT, ("Content-Length", LENGTHS[case])])
        if kind == "one":
            return [b"hello"]
        if kind == "two":
            return [b"hel", b"lo"]
        if kind == "lazy":
            return iter([b"hel", b"lo"])
        write(b"hel")
        write(b"lo")
        return []

    with wsgi(with_probe(app)) as served, served.client() as client:
        client.send(head() + head("/probe"))
        try:
            response = client.read_response()
        except BadResponse:
            assert client.closed
            assert b"probe" not in client.buffer
        else:
            assert response.status == 500
            assert client.read_response().body == b"probe"
        assert any(record.levelname == "ERROR" for record in served.logs.records)


def test_two_content_lengths_are_refused():
    def app(environ, start_response):
        start_response("200 OK", [*TEXT, ("Content-Length", "1"), ("content-length", "1")])
        return [b"x"]

    with wsgi(app) as served:
        assert served.get().status == 500


BAD_FIELDS = {
    "CR LF in a value": ("X-A", "1\r\nX-B: 2"),
    "LF in a value": ("X-A", "1\nX-B: 2"),
    "CR in a value": ("X-A", "1\r2"),
    "NUL in a value": ("X-A", "1\0002"),
    "CR LF in a name": ("X-A: 1\r\nX-B", "2"),
    "space in a name": ("X A", "1"),
    "colon in a name": ("X-A:", "1"),
    "no name": ("", "1"),
    "beyond latin-1": ("X-A", "\u20ac"),
    "a name beyond ASCII": ("X-\u00e9", "1"),
    "bytes": (b"X-A", b"1"),
    "a number": ("X-A", 1),
    "None": ("X-A", None),
    "three": ("X-A", "1", "2"),
    "one": ("X-A",),
    "text": "abc",
    "a list in it": ("X-A", ["1"]),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_bad_fields_are_refused(case: str):
    """RFC 9110, section 5.5; PEP 3333, "Unicode Issues": 500 and a log line, nothing of it sent, once or again."""

    def app(environ, start_response):
        start_response("200 OK", [*TEXT, BAD_FIELDS[case]])
        return [b"body"]

    with wsgi(with_probe(app), checked=False) as served, served.client() as client:
        for _ in range(2):
            response = client.request(head())
            assert response.status == 500
            assert response.header(b"x-a") is response.header(b"x-b") is None
        assert served.logs.wait_for("application raised")
        assert client.request(head("/probe")).body == b"probe"


@pytest.mark.parametrize(
    "status",
    [
        "",
        "OK",
        "20",
        "2000 OK",
        "200\r\nX-B: 2",
        "200OK",
        "100 Continue",
        "101 x",
        "600 x",
        "-20 x",
        200,
        None,
        b"200 OK",
    ],
)
def test_a_bad_status_is_500(status):
    """PEP 3333: a string of the form "999 Message here"."""

    def app(environ, start_response):
        start_response(status, TEXT)
        return [b"x"]

    with wsgi(with_probe(app), checked=False) as served, served.client() as client:
        response = client.request(head())
        assert response.status == 500
        assert response.header(b"x-b") is None
        assert client.request(head("/probe")).body == b"probe"


def test_a_reason_cannot_inject():
    def app(environ, start_response):
        start_response("200 OK\r\nX-B: 2\r\n\r\nbody", TEXT)
        return [b"x"]

    with wsgi(app, checked=False) as served:
        assert served.get().header(b"x-b") is None


@pytest.mark.parametrize(
    "result",
    [None, 5, "text", ["text"], ["one", "two"], [None], [5], [b"", "text"], b"bytes", {b"a": 1}, [bytearray(b"x")]],
    ids=repr,
)
def test_a_wrong_result_is_500(result):
    """PEP 3333: an iterable of bytestrings; a bytes object iterates over numbers."""

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return result

    with wsgi(with_probe(app), checked=False) as served, served.client() as client:
        response = client.request(head())
        if result == {b"a": 1}:  # an iterable of bytestrings, after all
            assert response.body == b"a"
        else:
            assert response.status == 500
            assert served.logs.wait_for("application raised")
        assert client.request(head("/probe")).body == b"probe"


def test_a_later_part_of_a_wrong_type_cuts_the_answer():
    body = Body([b"one", "two"])

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return body

    with wsgi(with_probe(app), checked=False) as served, served.client() as client:
        client.send(head() + head("/probe"))
        with pytest.raises(BadResponse):
            client.read_response()
        assert b"probe" not in client.read_to_end()
        assert body.closed == 1


def test_write_of_a_wrong_type_is_raised_in_the_application():
    raised = []

    def app(environ, start_response):
        write = start_response("200 OK", TEXT)
        try:
            write("text")
        except Exception as error:
            raised.append(error)
        return [b"x"]

    with wsgi(app, checked=False) as served:
        assert served.get().body == b"x"
    assert len(raised) == 1


@pytest.mark.parametrize("result", [[], [b"body"], [b"bo", b"dy"]], ids=len)
def test_a_body_without_start_response_is_500(result: list[bytes]):
    def app(environ, start_response):
        return result

    with wsgi(with_probe(app), checked=False) as served, served.client() as client:
        assert client.request(head()).status == 500
        assert client.request(head("/probe")).body == b"probe"


def test_start_response_twice_is_refused():
    """PEP 3333: "it is a fatal error to call start_response without the exc_info argument if [already] called"."""
    raised = []

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        try:
            start_response("201 Created", TEXT)
        except Exception as error:
            raised.append(error)
            raise
        return [b"x"]

    with wsgi(app, checked=False) as served:
        assert served.get().status == 500
    assert len(raised) == 1


def test_a_late_write_reaches_no_other_answer():
    """A write() that was kept after the end of its request says nothing in the next one."""
    kept = []

    def app(environ, start_response):
        write = start_response("200 OK", TEXT)
        if environ["PATH_INFO"] == "/second":
            for each in kept:
                try:
                    each(b"late")
                except Exception:
                    pass
            return [b"sec", b"ond"]
        kept.append(write)
        return [b"first"]

    with wsgi(app, checked=False) as served, served.client() as client:
        assert client.request(head()).body == b"first"
        assert client.request(head("/second")).body == b"second"


def test_the_traceback_is_in_the_log():
    def app(environ, start_response):
        raise ValueError("what happened")

    with wsgi(app) as served:
        served.get("/where?what")
        record = served.logs.wait_for("application raised")
        assert (record.fields["method"], record.fields["path"]) == ("GET", "/where")
        assert str(record.exc_info[1]) == "what happened"


def test_exc_info_is_not_kept():
    """PEP 3333, "Error Handling": no cycle through the traceback; what the frame held is freed."""

    class Held:
        pass

    refs = []

    def app(environ, start_response):
        held = Held()
        refs.append(weakref.ref(held))
        try:
            raise ValueError
        except ValueError:
            start_response("500 Error", TEXT, sys.exc_info())
        return [b"x"]

    gc.disable()
    try:
        with wsgi(app, checked=False) as served:
            served.get()
            served.get()
            wait_until(lambda: refs[0]() is None)
    finally:
        gc.enable()
