"""WSGI to the letter (PEP 3333), with ``wsgiref.validate`` around every application that keeps the rules."""

import io
import sys
from urllib.parse import quote

import pytest

from tests.support.applications import PARSERS, head, post, wsgi

both_parsers = pytest.mark.parametrize("parser", PARSERS)
TEXT = [("Content-Type", "text/plain")]


def seen_environ(request: bytes, **options) -> dict:
    """The environ of *request*."""
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        start_response("200 OK", TEXT)
        return [b"x"]

    with wsgi(app, **options) as served, served.client() as client:
        assert client.request(request).status == 200
    return seen


# --- the environ ---


@both_parsers
def test_the_environ_of_a_request(parser: str):
    """PEP 3333, "environ Variables": what is there, and as what."""
    environ = seen_environ(
        post(b"hello", "Content-Type: text/x", "X-A: 1", "x-a: 2", "Cookie: a=1", "Cookie: b=2", target="/p?q"),
        http_parser=parser,
        threads=3,
    )
    assert type(environ) is dict
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/p",
        "QUERY_STRING": "q",
        "CONTENT_TYPE": "text/x",
        "CONTENT_LENGTH": "5",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "a",
        "HTTP_X_A": "1,2",
        "HTTP_COOKIE": "a=1; b=2",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "REMOTE_ADDR": "127.0.0.1",
    }
    assert {key: environ[key] for key in expected} == expected
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert environ["SERVER_PORT"].isdecimal()
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & set(environ)
    assert all(type(value) is str for key, value in environ.items() if "." not in key)


@both_parsers
def test_what_was_not_sent_is_absent(parser: str):
    """PEP 3333: CONTENT_TYPE and CONTENT_LENGTH may be absent; frameworks trip over empty ones."""
    environ = seen_environ(head(), http_parser=parser)
    assert not {"CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"} & set(environ)
    chunked = head("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n0\r\n\r\n"
    assert "CONTENT_LENGTH" not in seen_environ(chunked, http_parser=parser)


@pytest.mark.parametrize(
    ("target", "path_info"),
    [
        ("/", "/"),
        ("/a%20b%2Fc", "/a b/c"),
        ("/caf%C3%A9", "/caf\u00c3\u00a9"),
        ("/%ff", "/\u00ff"),
        ("/" + quote("日本"), "/" + "日本".encode().decode("latin-1")),
        ("/%E0%A4%A", "/\u00e0\u00a4%A"),
        ("//x/../y", "//x/../y"),
    ],
)
def test_path_info_is_bytes_in_disguise(target: str, path_info: str):
    """PEP 3333, "Unicode Issues": decoded bytes, each as the latin-1 character of the same number."""
    assert seen_environ(head(target))["PATH_INFO"] == path_info


def test_the_query_string_is_left_alone():
    assert seen_environ(head("/?a=%41&b=%C3%A9+c"))["QUERY_STRING"] == "a=%41&b=%C3%A9+c"


def test_the_raw_target_is_there():
    """REQUEST_URI and RAW_URI as gunicorn and uWSGI give them."""
    environ = seen_environ(head("/a%2Fb?c"))
    assert environ["REQUEST_URI"] == environ["RAW_URI"] == "/a%2Fb?c"


def test_root_path_is_script_name():
    """PEP 3333: SCRIPT_NAME and PATH_INFO together are the path of the URL."""
    environ = seen_environ(head("/x"), root_path="/shop")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/shop", "/x")


def test_field_values_are_latin_1():
    assert seen_environ(head("/", "X-A: caf\xe9"))["HTTP_X_A"] == "caf\u00e9"


def test_httpoxy_is_kept_out():
    """CVE-2016-5385 and kin: a Proxy field would become HTTP_PROXY."""
    assert "HTTP_PROXY" not in seen_environ(head("/", "Proxy: evil:80"))


def test_fields_with_underscores_are_kept_out():
    environ = seen_environ(head("/", "X_Real: 1", "Content_Length: 7", "Script_Name: /x"))
    assert not {"HTTP_X_REAL", "HTTP_CONTENT_LENGTH", "HTTP_SCRIPT_NAME"} & set(environ)
    assert environ["SCRIPT_NAME"] == ""


def test_an_environ_is_the_applications_own():
    """PEP 3333: the application may change it in any way; another request, of the same bytes, sees nothing of it."""
    seen = []

    def app(environ, start_response):
        seen.append({key: value for key, value in environ.items() if isinstance(value, str)})
        environ["PATH_INFO"] = environ["SCRIPT_NAME"] = "/changed"
        environ["added"] = "1"
        start_response("200 OK", TEXT)
        return [b"x"]

    with wsgi(app) as served, served.client() as client:
        for _ in range(3):
            client.request(head("/a"))
    assert seen[0] == seen[1] == seen[2]


def test_errors_is_a_stream(capsys):
    """PEP 3333, "Input and Error Streams": write, writelines and flush."""

    def app(environ, start_response):
        environ["wsgi.errors"].write("one\n")
        environ["wsgi.errors"].writelines(["two\n"])
        environ["wsgi.errors"].flush()
        start_response("200 OK", TEXT)
        return [b"x"]

    with wsgi(app) as served:
        assert served.get().status == 200
    assert capsys.readouterr().err == "one\ntwo\n"


# --- the request's body ---


@both_parsers
@pytest.mark.parametrize("size", [0, 10, 65_536, 300_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_every_way_to_read(parser: str, size: int, chunked: bool):
    """PEP 3333, "Input and Error Streams": read, readline, readlines and iteration, with and without sizes."""
    body = b"".join(b"line %d\n" % number for number in range(size // 8))[:size]
    ways = {
        "/read": lambda stream: stream.read(-1),
        "/exact": lambda stream: b"".join(iter(lambda: stream.read(1000), b"")),
        "/line": lambda stream: b"".join(iter(stream.readline, b"")),
        "/short": lambda stream: b"".join(iter(lambda: stream.readline(5), b"")),
        "/lines": lambda stream: b"".join(stream.readlines()),
        "/iterate": lambda stream: b"".join(stream),
    }

    def app(environ, start_response):
        stream = environ["wsgi.input"]
        data = ways[environ["PATH_INFO"]](stream)
        assert stream.read(10) == b"", "PEP 3333: the end of the file is simulated"
        start_response("200 OK", TEXT)
        return [data]

    with wsgi(app, http_parser=parser) as served, served.client() as client:
        for target in ways:
            if chunked:
                coded = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
                request = head(target, "Transfer-Encoding: chunked", method="POST") + coded + b"0\r\n\r\n"
            else:
                request = post(body, target=target)
            client.send(request)
            assert client.read_response().body == body


def test_input_is_what_frameworks_wrap():
    """Frameworks wrap it in io classes of their own (PEP 3333 asks for a file-like object)."""

    def app(environ, start_response):
        text = io.TextIOWrapper(io.BufferedReader(environ["wsgi.input"]), "utf-8").read()
        start_response("200 OK", TEXT)
        return [text.encode()]

    with wsgi(app, checked=False) as served, served.client() as client:
        for size in (10, 200_000):
            assert client.request(post(b"x" * size)).body == b"x" * size


def test_reading_nothing_asks_for_nothing():
    """read(0) returns at once, whatever has come."""

    def app(environ, start_response):
        assert environ["wsgi.input"].read(0) == b""
        start_response("200 OK", TEXT)
        return [b"x"]

    with wsgi(app) as served, served.client() as client:
        client.send(head("/", "Content-Length: 100000", "Expect: 100-continue", method="POST"))
        assert client.read_response().interim == []


# --- the response ---


def test_one_part_is_sent_with_its_length():
    """PEP 3333, "Handling the Content-Length Header"."""

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return [b"hello"]

    with wsgi(app, checked=False) as served:  # the validator's wrapper has no length
        response = served.get()
        assert (response.header(b"content-length"), response.body) == (b"5", b"hello")


@pytest.mark.parametrize(
    "body",
    [[], [b""], [b"", b""], (b"a", b"b"), [b"a", b"", b"b"], [b"a" * 100_000, b"b" * 100_000]],
    ids=lambda body: f"{type(body).__name__}-{len(body)}-{len(b''.join(body))}",
)
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("checked", [False, True])
def test_any_iterable_of_parts(body, lazy: bool, checked: bool):
    """PEP 3333: an iterable yielding zero or more bytestrings; empty ones end nothing."""

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return (each for each in body) if lazy else body

    with wsgi(app, checked=checked) as served, served.client() as client:
        for _ in range(2):
            assert client.request(head()).body == b"".join(body)


def test_a_generator_may_start_the_response_late():
    """PEP 3333: start_response before the first bytestring is yielded, not before the iterable is returned."""

    def app(environ, start_response):
        yield b""
        start_response("200 OK", TEXT)
        yield b"late"

    with wsgi(app, checked=False) as served:
        assert served.get().body == b"late"


def test_write():
    """PEP 3333, "The write() Callable": what is written comes before what is returned."""

    def app(environ, start_response):
        write = start_response("200 OK", TEXT)
        write(b"written ")
        write(b"")
        write(b"twice ")
        return [b"and ", b"returned"]

    with wsgi(app) as served, served.client() as client:
        for _ in range(2):
            assert client.request(head()).body == b"written twice and returned"


def test_write_with_one_part_returned():
    def app(environ, start_response):
        start_response("200 OK", [*TEXT, ("Content-Length", "8")])(b"writ")
        return [b"ten!"]

    with wsgi(app) as served, served.client() as client:
        for _ in range(2):
            assert client.request(head()).body == b"written!"


@pytest.mark.parametrize("status", ["200 OK", "404 Not Here At All", "299 Sure", "500 x", "200 "])
def test_the_status(status: str):
    def app(environ, start_response):
        start_response(status, TEXT)
        return [b"x"]

    with wsgi(app, checked=False) as served:
        assert served.get().status == int(status[:3])


def test_repeated_fields_survive():
    """PEP 3333: the headers are a list, and so are Set-Cookie fields."""
    fields = [*TEXT, ("Set-Cookie", "a=1"), ("X-A", "1"), ("Set-Cookie", "b=2")]

    def app(environ, start_response):
        start_response("200 OK", fields)
        return [b"x"]

    with wsgi(app) as served, served.client() as client:
        for _ in range(2):
            assert client.request(head()).values(b"set-cookie") == [b"a=1", b"b=2"]


def test_field_values_go_out_as_latin_1():
    """PEP 3333, "Unicode Issues"."""

    def app(environ, start_response):
        start_response("200 OK", [*TEXT, ("X-A", "caf\u00e9")])
        return [b"x"]

    with wsgi(app) as served:
        assert served.get().header(b"x-a") == b"caf\xe9"


def test_date_and_server_are_there_once_and_the_applications_own_are_kept():
    def app(environ, start_response):
        own = [("Date", "Tue, 15 Nov 1994 08:12:31 GMT"), ("Server", "mine")]
        start_response("200 OK", [*TEXT, *(own if environ["PATH_INFO"] == "/own" else [])])
        return [b"x"]

    with wsgi(app) as served:
        response = served.get()
        assert response.header(b"server") == b"hornbeamd"
        assert response.header(b"date")
        response = served.get("/own")
        assert response.header(b"server") == b"mine"
        assert response.header(b"date") == b"Tue, 15 Nov 1994 08:12:31 GMT"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("body", [[], [b"body"], [b"bo", b"dy"]], ids=len)
def test_no_body_where_none_may_be(status: str, body: list[bytes]):
    """RFC 9110, section 6.4.1, whatever the application returns."""

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/probe":
            start_response("200 OK", TEXT)
            return [b"probe"]
        start_response(status, [])
        return body

    with wsgi(app) as served, served.client() as client:
        client.send(head() + head("/probe"))
        assert client.read_response().status == int(status[:3])
        assert client.read_response().body == b"probe"


def test_head_runs_the_application_and_sends_no_body():
    """RFC 9110, section 9.3.2."""
    ran = []

    def app(environ, start_response):
        ran.append(environ["REQUEST_METHOD"])
        start_response("200 OK", [*TEXT, ("Content-Length", "10")])
        return [b"0123456789"]

    with wsgi(app) as served, served.client() as client:
        for _ in range(2):
            client.send(head(method="HEAD"))
            assert client.read_response("HEAD").header(b"content-length") == b"10"
    assert ran == ["HEAD", "HEAD"]


def test_exc_info_before_anything_was_sent():
    """PEP 3333, "Error Handling": the earlier status and headers are replaced."""

    def app(environ, start_response):
        start_response("200 OK", [*TEXT, ("X-First", "1")])
        try:
            raise ValueError("secret")
        except ValueError:
            start_response("503 Sorry", [*TEXT, ("X-Second", "2")], sys.exc_info())
        return [b"sorry"]

    with wsgi(app) as served, served.client() as client:
        for _ in range(2):
            response = client.request(head())
            assert (response.status, response.body) == (503, b"sorry")
            assert (response.header(b"x-first"), response.header(b"x-second")) == (None, b"2")


@pytest.mark.parametrize("by_write", [False, True])
def test_exc_info_after_something_was_sent(by_write: bool):
    """PEP 3333, "Error Handling": start_response re-raises, and the client sees the answer cut."""
    raised = []

    def app(environ, start_response):
        write = start_response("200 OK", TEXT)
        if by_write:
            write(b"sent")
        else:
            yield b"sent"
        try:
            raise ValueError("secret")
        except ValueError:
            try:
                start_response("500 Error", TEXT, sys.exc_info())
            except ValueError as error:
                raised.append(error)
                raise
        yield b"never"

    with wsgi(app, checked=by_write) as served, served.client() as client:
        client.send(head())
        rest = client.read_to_end()
        assert b"sent" in rest
        assert b"secret" not in rest
        assert b"0\r\n\r\n" not in rest
    assert len(raised) == 1
