"""The WSGI environment of a request (apps/environ.py; PEP 3333, "environ Variables")."""

import pytest

from hornbeamd.apps import environ as environ_module
from hornbeamd.apps.environ import Environ
from hornbeamd.config.options import Options
from hornbeamd.http.exchange import Exchange, Request
from hornbeamd.http.peer import Peer
from hornbeamd.http.rules import parse_target


def exchange(target: bytes = b"/", *fields: tuple[bytes, bytes], method: str = "GET") -> Exchange:
    made = Exchange()
    made.request = Request(method, target, parse_target(target, method), fields)
    made.client = ("192.0.2.1", 4711)
    made.server = ("192.0.2.2", 80)
    made.peer = Peer(made.client, made.server, False)
    return made


def of(made: Exchange, **options) -> dict:
    return Environ(Options(**options), object).of(made)


def test_numbers_are_text_and_flags_are_flags():
    environ = of(exchange(), threads=1, workers=2)
    assert (environ["SERVER_PORT"], environ["REMOTE_PORT"]) == ("80", "4711")
    assert (environ["wsgi.multithread"], environ["wsgi.multiprocess"]) == (False, True)


@pytest.mark.parametrize(
    ("fields", "key", "value"),
    [
        ([(b"content-type", b"a/b")], "CONTENT_TYPE", "a/b"),
        ([(b"content-length", b"5")], "CONTENT_LENGTH", "5"),
        ([(b"x-a", b"1"), (b"x-a", b"2")], "HTTP_X_A", "1,2"),
        ([(b"cookie", b"a=1"), (b"cookie", b"b=2")], "HTTP_COOKIE", "a=1; b=2"),
        ([(b"x-a", b"\xe9")], "HTTP_X_A", "\xe9"),
        ([(b"x-a", b"")], "HTTP_X_A", ""),
        ([(b"x!a", b"1")], "HTTP_X!A", "1"),
    ],
)
def test_fields_become_variables(fields: list, key: str, value: str):
    """PEP 3333: HTTP_ variables; repeated fields as RFC 9110, section 5.3 joins them, cookies as RFC 6265 does."""
    assert of(exchange(b"/", *fields))[key] == value


@pytest.mark.parametrize("name", [b"x_a", b"content_length", b"x_forwarded_for", b"proxy", b"transfer-encoding"])
def test_fields_that_are_not_let_in(name: bytes):
    """An underscore would pass for a hyphen; Proxy for the process's own HTTP_PROXY (httpoxy)."""
    plain = of(exchange())
    assert of(exchange(b"/", (name, b"1"))).keys() == plain.keys()


def test_nothing_a_client_sends_replaces_the_servers_own():
    names = [b"remote-addr", b"script-name", b"path-info", b"wsgi.url-scheme", b"server-name", b"request-method"]
    environ = of(exchange(b"/p", *[(name, b"forged") for name in names]))
    assert "forged" not in [value for key, value in environ.items() if not key.startswith("HTTP_")]


def test_a_unix_socket_has_a_name_and_a_port_all_the_same():
    made = exchange()
    made.client, made.server = None, ("/run/app.sock", None)
    environ = of(made)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"], environ["REMOTE_ADDR"]) == ("localhost", "80", "")
    assert "REMOTE_PORT" not in environ


def test_requests_with_one_head_do_not_share_their_environ():
    """Heads that are the same byte for byte share what they say, and nothing of what becomes of it."""
    maker = Environ(Options(), object)
    one, two = exchange(b"/", (b"x-a", b"1")), exchange()
    one.request.shared = True
    two.request = one.request
    two.client = ("192.0.2.9", 1)
    two.scheme = "https"
    first = maker.of(one)
    first["HTTP_X_A"] = first["added"] = "changed"
    second = maker.of(two)
    assert (second["HTTP_X_A"], second["REMOTE_ADDR"], second["wsgi.url_scheme"]) == ("1", "192.0.2.9", "https")
    assert "added" not in second


def test_two_applications_do_not_mix_what_they_derive():
    """The shared head of two servers in one process (tests, mounts)."""
    made = exchange()
    made.request.shared = True
    assert of(made, root_path="/one")["SCRIPT_NAME"] == "/one"
    assert of(made, root_path="/two")["SCRIPT_NAME"] == "/two"


def test_a_root_path_beyond_ascii_has_a_character_for_each_byte():
    """PEP 3333, "Unicode Issues"."""
    assert of(exchange(), root_path="/\u00f6")["SCRIPT_NAME"] == "/\u00f6".encode().decode("latin-1")


def test_names_that_clients_make_up_do_not_pile_up():
    for number in range(3000):
        of(exchange(b"/", (b"x-%d" % number, b"1")))
    assert len(environ_module._KEYS) <= 1024
    assert of(exchange(b"/", (b"x-beyond", b"1")))["HTTP_X_BEYOND"] == "1"


def test_tls_is_on_where_the_client_used_it():
    """As CGI programs know it; a proxy that took the TLS off may say so, too."""
    made = exchange()
    assert "HTTPS" not in of(made)
    made.scheme = "https"
    made.server = ("/run/app.sock", None)
    environ = of(made)
    assert (environ["HTTPS"], environ["wsgi.url_scheme"], environ["SERVER_PORT"]) == ("on", "https", "443")
    assert not [key for key in environ if key.startswith("SSL_")]


def test_the_certificate_of_the_client():
    made = exchange(b"/", (b"ssl-client-verify", b"SUCCESS"))
    made.peer.tls = {"client_cert_chain": [], "client_cert_name": None}
    environ = of(made)
    assert environ["SSL_CLIENT_VERIFY"] == "NONE"
    assert "SSL_CLIENT_CERT" not in environ
    made.peer.tls = {"client_cert_chain": ["PEM", "its authority"], "client_cert_name": "CN=ann"}
    environ = of(made)
    assert [environ[f"SSL_CLIENT_{name}"] for name in ("VERIFY", "S_DN", "CERT")] == ["SUCCESS", "CN=ann", "PEM"]
