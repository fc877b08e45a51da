"""HTTP/1.1 over TLS: what the client, the application and the log see of it."""

import asyncio
import contextlib
import http.client
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import httpx
import pytest

from hornbeamd.config.certificates import Certificate
from tests.support.applications import answer, asgi, begin, head, part, post, read_body, wsgi
from tests.support.raw import BadResponse
from tests.support.tls import Authority, TlsClient
from tests.support.waiting import wait_until

LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


async def hello(scope, receive, send):
    await answer(send, b"hello", headers=[(b"content-length", b"5")])


async def echo(scope, receive, send):
    await answer(send, await read_body(receive))


async def tell(scope, receive, send):
    """Answer with what the scope says of TLS."""
    told = {"scheme": scope["scheme"], **scope["extensions"].get("tls", {})}
    await answer(send, json.dumps(told).encode())


def told(client, target="/"):
    return json.loads(client.request(head(target)).body)


def connect(served, authority, pair=None, name="localhost", **more):
    return TlsClient(served.running.address, authority.trusting(pair), name, **more)


class TestRequests:
    @LOOPS
    def test_several_on_one_connection(self, authority, loop):
        with asgi(echo, loop, **authority.options()) as served, connect(served, authority) as client:
            for size in (0, 1, 100_000, 3_000_000):
                body = os.urandom(size)
                assert client.request(post(body), "POST").body == body

    @LOOPS
    def test_pipelined_and_piece_by_piece(self, authority, loop):
        with asgi(echo, loop, **authority.options()) as served, connect(served, authority) as client:
            client.send((post(b"one") + post(b"two") + head()) * 5, pieces=7)
            assert [client.read_response("POST").body for _ in range(15)] == [b"one", b"two", b""] * 5

    def test_wsgi(self, authority):
        def app(environ, start_response):
            body = json.dumps([environ[key] for key in ("wsgi.url_scheme", "HTTPS", "SSL_CLIENT_VERIFY")]).encode()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]

        with wsgi(app, **authority.options()) as served, connect(served, authority) as client:
            assert told(client) == ["https", "on", "NONE"]

    def test_behind_a_proxy_that_introduces_the_client(self, authority):
        """The header of the PROXY protocol stands before the handshake."""

        async def app(scope, receive, send):
            await answer(send, f"{scope['client'][0]} {scope['scheme']}".encode())

        options = authority.options(proxy_protocol=("127.0.0.1",))
        with asgi(app, **options) as served, served.client() as client:
            client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n")
            client.socket = authority.trusting().wrap_socket(client.socket, server_hostname="localhost")
            assert client.request(head()).body == b"192.0.2.1 https"

    def test_a_header_of_the_proxy_protocol_inside_is_no_request(self, authority):
        options = authority.options(proxy_protocol=("127.0.0.1",))
        with asgi(hello, **options) as served, served.client() as client:
            client.send(b"PROXY UNKNOWN\r\n")
            client.socket = authority.trusting().wrap_socket(client.socket, server_hostname="localhost")
            assert client.request(b"PROXY UNKNOWN\r\n" + head()).status == 400

    def test_a_client_of_the_standard_library_and_httpx(self, authority):
        with asgi(hello, **authority.options("127.0.0.1")) as served:
            host, port = served.running.address
            connection = http.client.HTTPSConnection(host, port, context=authority.trusting())
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"hello"
            connection.close()
            with httpx.Client(verify=authority.trusting()) as client:
                assert [client.get(f"https://{host}:{port}/").text for _ in range(3)] == ["hello"] * 3

    def test_over_a_unix_socket(self, authority, tmp_path):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "app.sock"))
        listener.listen()
        with asgi(tell, listener=listener, **authority.options()) as served, connect(served, authority) as client:
            assert told(client)["scheme"] == "https"


class TestWhatTheApplicationIsTold:
    def test_of_a_connection_without_tls_nothing(self):
        with asgi(tell) as served:
            assert json.loads(served.get().body) == {"scheme": "http"}

    @pytest.mark.parametrize(
        ("version", "number"), [(ssl.TLSVersion.TLSv1_2, 0x0303), (ssl.TLSVersion.TLSv1_3, 0x0304)]
    )
    def test_the_tls_extension(self, authority, version, number):
        context = authority.trusting()
        context.maximum_version = version
        options = authority.options()
        with asgi(tell, **options) as served, TlsClient(served.running.address, context) as client:
            seen = told(client)
            shown = ssl.DER_cert_to_PEM_cert(client.socket.getpeercert(binary_form=True))
            suites = {suite["name"]: suite["id"] & 0xFFFF for suite in context.get_ciphers()}
            assert seen == {
                "scheme": "https",
                "server_cert": shown,
                "client_cert_chain": [],
                "client_cert_name": None,
                "client_cert_error": None,
                "tls_version": number,
                "cipher_suite": suites[client.socket.cipher()[0]],
            }

    def test_an_application_that_changes_it_changes_its_own(self, authority):
        async def app(scope, receive, send):
            tls = scope["extensions"]["tls"]
            await answer(send, str(tls.pop("tls_version", "gone")).encode())

        with asgi(app, **authority.options()) as served, connect(served, authority) as client:
            assert [client.request(head()).body for _ in range(2)] == [b"772", b"772"]


class TestHandshakes:
    def test_old_versions_are_refused(self, authority):
        context = authority.trusting()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with asgi(hello, **authority.options()) as served:
            with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
                TlsClient(served.running.address, context)
            assert served.logs.wait_for("TLS handshake failed").fields["reason"] == "UNSUPPORTED_PROTOCOL"

    @pytest.mark.parametrize(
        ("versions", "offered", "chosen"),
        [
            (("HTTP/1.1", "HTTP/2"), ("h2", "http/1.1"), "h2"),
            (("HTTP/1.1", "HTTP/2"), ("http/1.1", "h2"), "h2"),
            (("HTTP/1.1", "HTTP/2"), ("http/1.1",), "http/1.1"),
            (("HTTP/1.1",), ("h2", "http/1.1"), "http/1.1"),
            (("HTTP/2",), ("h2", "http/1.1"), "h2"),
            (("HTTP/1.1", "HTTP/2"), ("spdy/3",), None),
        ],
    )
    def test_alpn(self, authority, versions, offered, chosen):
        """RFC 7301; who offers nothing that we know is served HTTP/1.1."""
        context = authority.trusting(alpn=offered)
        options = authority.options(http_version=versions)
        with asgi(hello, **options) as served, TlsClient(served.running.address, context) as client:
            assert client.socket.selected_alpn_protocol() == chosen
            if chosen != "h2":
                assert client.request(head()).body == b"hello"

    @LOOPS
    @pytest.mark.parametrize("offered", [(), ("http/1.1",)])
    def test_who_does_not_choose_what_is_spoken_gets_no_connection(self, authority, loop, offered):
        context = authority.trusting(alpn=offered)
        options = authority.options(http_version=("HTTP/2",))
        with asgi(hello, loop, **options) as served, TlsClient(served.running.address, context) as client:
            with contextlib.suppress(OSError):  # it may be closed before we have written
                client.send(head())
            client.expect_end()
            record = served.logs.wait_for("client does not choose HTTP/2")
            assert record.fields == {"client": "127.0.0.1"}
            wait_until(lambda: not served.running.server.connections)

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_sessions_are_resumed(self, authority, version):
        context = authority.trusting()
        context.maximum_version = version
        with asgi(hello, **authority.options()) as served:
            with TlsClient(served.running.address, context) as client:
                assert client.request(head()).body == b"hello"  # the ticket comes before the answer
                session = client.socket.session
            with TlsClient(served.running.address, context, session=session) as client:
                assert client.socket.session_reused
                assert client.request(head()).body == b"hello"

    def test_a_client_cannot_renegotiate(self, authority):
        """A handshake costs a server far more than a client (TLS 1.2)."""
        options = authority.options()
        with asgi(hello, **options) as served:
            host, port = served.running.address
            command = ["openssl", "s_client", "-tls1_2", "-connect", f"{host}:{port}"]
            ended = subprocess.run(command, input=b"R\n", capture_output=True, timeout=10, check=False)
            assert b"no renegotiation" in ended.stderr


@pytest.fixture(scope="module")
def with_names(authority):
    certificates = []
    for names in (("shop.example", "other.example"), ("*.shop.example",), ("admin.shop.example",)):
        certfile, keyfile = authority.issue(*names)
        certificates.append(Certificate(names=names, certfile=certfile, keyfile=keyfile))
    options = authority.options("default.example", certificates=tuple(certificates))
    with asgi(tell, **options) as served:
        yield served


class TestServerNames:
    @pytest.mark.parametrize(
        ("asked", "shown"),
        [
            ("shop.example", "shop.example"),
            ("SHOP.Example", "shop.example"),
            ("other.example", "shop.example"),
            ("www.shop.example", "*.shop.example"),
            ("admin.shop.example", "admin.shop.example"),
            ("a.b.shop.example", "default.example"),
            ("nobody.example", "default.example"),
            ("example", "default.example"),
            (None, "default.example"),
        ],
    )
    def test_choose_the_certificate(self, with_names, authority, asked, shown):
        context = authority.trusting()
        context.check_hostname = False
        with TlsClient(with_names.running.address, context, asked) as client:
            names = [name for _, name in client.socket.getpeercert()["subjectAltName"]]
            assert names[0] == shown
            own = ssl.DER_cert_to_PEM_cert(client.socket.getpeercert(binary_form=True))
            assert told(client)["server_cert"] == own


class TestClientCertificates:
    def test_required_and_there(self, authority):
        pair = authority.issue("ann@example.org", stem="ann", common_name='Ann, "the" one', organization_name="ACME")
        options = authority.options(verify="required", cacertfile=str(authority.file))
        with asgi(tell, **options) as served, connect(served, authority, pair) as client:
            seen = told(client)
            mine = ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(Path(pair[0]).read_text()))
            assert seen["client_cert_chain"][0] == mine
            assert seen["client_cert_name"].startswith(r"CN=Ann\, \"the\" one,")
            assert "O=ACME" in seen["client_cert_name"].split(",")
            assert seen["client_cert_error"] is None

    def test_with_those_between_it_and_its_authority(self, authority):
        """Python tells of these from 3.13 on."""
        between = Authority(authority.folder, "between", authority)
        pair = between.issue("cy@example.org")
        options = authority.options(verify="required", cacertfile=str(authority.file))
        with asgi(tell, **options) as served, connect(served, authority, pair) as client:
            chain = told(client)["client_cert_chain"]
        sent = Path(pair[0]).read_text().split("-----END CERTIFICATE-----\n")
        assert [part_of_it.split() for part_of_it in chain] == [
            (each + "-----END CERTIFICATE-----").split() for each in sent[: 2 if sys.version_info >= (3, 13) else 1]
        ]

    def test_in_the_wsgi_environ(self, authority):
        def app(environ, start_response):
            body = environ["SSL_CLIENT_S_DN"].encode() + b"\n" + environ["SSL_CLIENT_CERT"].encode()
            start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
            return [body]

        pair = authority.issue("bob@example.org", common_name="Bob")
        options = authority.options(verify="optional", cacertfile=str(authority.file))
        with wsgi(app, **options) as served, connect(served, authority, pair) as client:
            name, _, certificate = client.request(head()).body.partition(b"\n")
            assert name.startswith(b"CN=Bob,")
            assert certificate.startswith(b"-----BEGIN CERTIFICATE-----\n")

    def test_optional_and_missing(self, authority):
        options = authority.options(verify="optional", cacertfile=str(authority.file))
        with asgi(tell, **options) as served, connect(served, authority) as client:
            assert told(client)["client_cert_chain"] == []

    @LOOPS
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("verify", ["optional", "required"])
    def test_of_another_authority(self, authority, tmp_path, verify, version, loop):
        pair = Authority(tmp_path).issue("eve@example.org")
        options = authority.options(verify=verify, cacertfile=str(authority.file))
        context = authority.trusting(pair)
        context.maximum_version = version
        with asgi(tell, loop, **options) as served:
            with (
                pytest.raises(ssl.SSLError, match="ALERT_UNKNOWN_CA"),
                TlsClient(served.running.address, context) as client,
            ):
                client.request(head())  # with TLS 1.3 the client hears of it when it reads
            assert served.logs.wait_for("TLS handshake failed").fields["reason"] == "CERTIFICATE_VERIFY_FAILED"

    def test_required_and_missing(self, authority):
        options = authority.options(verify="required", cacertfile=str(authority.file))
        with asgi(tell, **options) as served:
            with (
                pytest.raises(ssl.SSLError, match="ALERT_CERTIFICATE_REQUIRED"),
                connect(served, authority) as client,
            ):
                client.request(head())
            reason = served.logs.wait_for("TLS handshake failed").fields["reason"]
            assert reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"


class TestFiles:
    """Where the kernel cannot copy: block by block, as the client takes it."""

    @LOOPS
    @pytest.mark.parametrize("size", [0, 1, 131072, 5_000_000])
    def test_arrive_whole(self, authority, tmp_path, loop, size):
        async def app(scope, receive, send):
            await begin(send)
            await send({"type": "http.response.pathsend", "path": str(path)})

        path = tmp_path / "file"
        path.write_bytes(os.urandom(size))
        with asgi(app, loop, **authority.options()) as served, connect(served, authority) as client:
            for _ in range(2):
                assert client.request(head()).body == path.read_bytes()

    def test_wsgi_file_wrapper(self, authority, tmp_path):
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "a/b"), ("Content-Length", "3000000")])
            return environ["wsgi.file_wrapper"](path.open("rb"))

        path = tmp_path / "file"
        path.write_bytes(os.urandom(3_000_000))
        with wsgi(app, **authority.options()) as served, connect(served, authority) as client:
            assert client.request(head()).body == path.read_bytes()

    @LOOPS
    def test_a_client_that_does_not_read_holds_up_the_reading(self, authority, tmp_path, loop, monkeypatch):
        blocks = []
        pread = os.pread
        monkeypatch.setattr(os, "pread", lambda *args: blocks.append(args) or pread(*args))

        async def app(scope, receive, send):
            await begin(send)
            await send({"type": "http.response.pathsend", "path": str(path)})

        path = tmp_path / "file"
        path.touch()
        os.truncate(path, 1 << 30)
        with asgi(app, loop, send_timeout=0.3, **authority.options()) as served, connect(served, authority) as client:
            client.send(head())
            served.logs.wait_for("client takes no data")
            wait_until(lambda: not served.running.server.connections)
            assert 0 < len(blocks) < 300

    def test_one_that_becomes_shorter_breaks_the_answer_off(self, authority, tmp_path, monkeypatch):
        async def app(scope, receive, send):
            await begin(send)
            await send({"type": "http.response.pathsend", "path": str(path)})

        def pread(file, size, offset):
            os.truncate(path, 200_000)
            return real(file, size, offset)

        real = os.pread
        monkeypatch.setattr(os, "pread", pread)
        path = tmp_path / "file"
        path.write_bytes(bytes(1_000_000))
        with asgi(app, **authority.options()) as served, connect(served, authority) as client:
            client.send(head())
            with pytest.raises(BadResponse, match="800000 bytes early"):
                client.read_response("GET")
            served.logs.wait_for("application raised ResponseError")


class TestTheEnd:
    @LOOPS
    def test_an_answer_that_closes_ends_with_a_farewell(self, authority, loop):
        """RFC 8446, section 6.1: without close_notify an end could be a cut."""
        with asgi(hello, loop, **authority.options()) as served, connect(served, authority) as client:
            client.send(head("/", "Connection: close"))
            client.socket.suppress_ragged_eofs = False
            assert client.read_response("GET").body == b"hello"
            client.expect_end()

    @LOOPS
    def test_a_client_that_says_farewell_and_waits_is_gone(self, authority, loop):
        async def app(scope, receive, send):
            while (await receive())["type"] != "http.disconnect":
                pass
            seen.append("gone")

        seen = []
        with asgi(app, loop, **authority.options()) as served:
            client = connect(served, authority)
            client.send(head())
            wait_until(lambda: served.running.server.in_flight)
            client.socket.settimeout(5)
            client.socket.unwrap()
            wait_until(lambda: seen == ["gone"])
            wait_until(lambda: not served.running.server.connections)
            client.close()

    @LOOPS
    def test_a_slow_client_gets_a_large_answer_whole_before_the_end(self, authority, loop, monkeypatch):
        """The loops' own limit for a farewell would cut it off, and they hide how much still waits."""

        async def app(scope, receive, send):
            await begin(send, headers=[(b"connection", b"close"), (b"content-length", b"20000000")])
            await part(send, bytes(20_000_000), more_body=False)

        monkeypatch.setattr("hornbeamd.http.h1.connection._LINGER_SECONDS", 0.1)
        with asgi(app, loop, **authority.options(send_timeout=1.0)) as served, connect(served, authority) as client:
            client.send(head())
            size, server = 0, served.running.server
            while size < 20_000_000:
                then = server.now
                wait_until(lambda then=then: server.now > then + 0.15)
                arrived = [len(client.socket.recv(20_000)) for _ in range(100)]
                size += sum(arrived)
                assert arrived[-1] or size > 20_000_000, f"cut off after {size} bytes"
            assert not served.logs.named("client takes no data")

    @LOOPS
    def test_who_does_not_answer_the_farewell_is_cut(self, authority, loop):
        with asgi(hello, loop, keepalive=0.1, **authority.options()) as served, connect(served, authority) as client:
            assert client.request(head()).body == b"hello"
            wait_until(lambda: not served.running.server.connections)

    @LOOPS
    def test_an_answer_to_a_body_that_is_still_coming_arrives(self, authority, loop):
        async def app(scope, receive, send):
            await answer(send, b"too much", 413)

        with asgi(app, loop, **authority.options()) as served, connect(served, authority) as client:
            client.send(head("/", "Content-Length: 40000000", method="POST") + bytes(2_000_000))
            assert client.read_response("POST").status == 413


RUBBISH = {
    "nothing": b"",
    "plain HTTP": head(),
    "zeros": bytes(1000),
    "a record of another version": b"\x16\x09\x09\x00\x05hello",
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "data before the handshake": b"\x17\x03\x03\x00\x05hello",
    "a record without its rest": b"\x16\x03\x01\x40\x00\x01",
    "a hello of one byte": b"\x16\x03\x01\x00\x01\x01",
    "a hello that announces too much": b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a PROXY header": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
}


class TestAbuse:
    """What is no handshake costs nobody else anything, is a line in the log and no traceback, and is over in time."""

    @LOOPS
    @pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH)
    @pytest.mark.parametrize("ending", ["stays", "leaves", "resets"])
    def test_rubbish(self, authority, loop, rubbish, ending):
        options = authority.options(header_timeout=0.3)
        with asgi(hello, loop, **options) as served, served.client() as bad:
            bad.send(rubbish)
            if ending == "leaves":
                bad.half_close()
            elif ending == "resets":
                bad.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                bad.close()
            with connect(served, authority) as client:
                assert client.request(head()).body == b"hello"
            if ending != "resets":
                assert not bad.read_to_end().startswith(b"HTTP")
            acceptor = served.running.server.acceptor
            wait_until(lambda: not acceptor._adopting and not served.running.server.connections)
            assert not [record for record in served.logs.records if record.exc_info or record.levelname == "ERROR"]

    @LOOPS
    def test_stalled_handshakes_hold_up_nobody(self, authority, loop):
        whole = client_hello(authority)
        with asgi(hello, loop, **authority.options(header_timeout=60)) as served, contextlib.ExitStack() as stack:
            acceptor = served.running.server.acceptor
            stalled = [stack.enter_context(served.client()) for _ in range(50)]
            for number, bad in enumerate(stalled):
                bad.send(whole[: number * len(whole) // 50])
            wait_until(lambda: len(acceptor._adopting) >= 50)
            for _ in range(10):
                with connect(served, authority) as client:
                    assert client.request(head()).body == b"hello"
            for bad in stalled:
                bad.close()
            wait_until(lambda: not acceptor._adopting)

    @LOOPS
    def test_a_stalled_handshake_ends_with_header_timeout(self, authority, loop):
        options = authority.options(header_timeout=0.2)
        with asgi(hello, loop, **options) as served, served.client() as bad:
            bad.send(client_hello(authority)[:100])
            assert bad.read_to_end() == b""
            assert "longer than" in served.logs.wait_for("TLS handshake failed").fields["reason"]

    @LOOPS
    def test_a_stalled_handshake_does_not_hold_up_the_drain(self, authority, loop):
        options = authority.options(header_timeout=60)
        with asgi(hello, loop, **options) as served, served.client() as bad, connect(served, authority) as client:
            assert client.request(head()).body == b"hello"
            bad.send(client_hello(authority)[:100])
            server = served.running.server
            wait_until(lambda: server.acceptor._adopting)
            assert served.running.call(lambda: server.drain(5.0, 0.1))
            assert bad.read_to_end() == b""
            assert not server.acceptor._adopting

    @LOOPS
    def test_one_that_becomes_a_connection_during_the_drain_is_served(self, authority, loop):
        async def drain():
            draining.append(asyncio.ensure_future(server.drain(5.0, 2.0)))

        draining = []
        with asgi(hello, loop, **authority.options()) as served, served.client() as late:
            server = served.running.server
            wait_until(lambda: server.acceptor._adopting)
            served.running.call(drain)
            wait_until(lambda: server.draining)
            late.socket = authority.trusting().wrap_socket(late.socket, server_hostname="localhost")
            answered = late.request(head())
            assert (answered.body, answered.header(b"connection")) == (b"hello", b"close")
            late.close()
            wait_until(lambda: draining[0].done())
            assert draining[0].result()

    def test_rubbish_behind_the_handshake_ends_that_connection_alone(self, authority):
        with asgi(hello, **authority.options()) as served:
            with connect(served, authority) as bad, connect(served, authority) as good:
                raw = socket.socket(fileno=os.dup(bad.socket.fileno()))
                raw.sendall(b"\x17\x03\x03\x00\x40" + bytes(64))
                raw.close()
                wait_until(lambda: len(served.running.server.connections) == 1)
                assert good.request(head()).body == b"hello"
            assert not [record for record in served.logs.records if record.exc_info]


def client_hello(authority):
    """The first bytes that a client sends."""
    outgoing = ssl.MemoryBIO()
    client = authority.trusting().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()
