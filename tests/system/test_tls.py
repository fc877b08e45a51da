"""TLS in the daemon: certificates are read before privileges are dropped, and again at each reload."""

from __future__ import annotations

import os
import signal
import ssl
from pathlib import Path

import pytest

from tests.support.applications import head
from tests.support.daemon import Daemon
from tests.support.tls import Authority, TlsClient


@pytest.fixture
def authority(wsgi_app: Path) -> Authority:
    return Authority(wsgi_app)


def daemon(authority: Authority, *args: str, workers: int = 2) -> Daemon:
    """A daemon with a certificate for a.example in ``server.pem`` and ``server.key``."""
    authority.issue("a.example", stem="server")
    tls = ("--ssl", "--certfile", "server.pem", "--keyfile", "server.key")
    folder = authority.folder
    return Daemon("app:application", "--workers", str(workers), *tls, *args, folder=folder, ready=workers)


def connect(hornbeamd: Daemon, authority: Authority, name: str = "a.example", **more: ssl.SSLSession) -> TlsClient:
    return TlsClient(("127.0.0.1", hornbeamd.port), authority.trusting(), name, **more)


def worker_of(client: TlsClient) -> int:
    return int(client.request(head()).body.split()[1])


def shown(hornbeamd: Daemon, authority: Authority) -> set[str]:
    """The names in the certificates that ten new connections are shown."""
    context = authority.trusting()
    context.check_hostname = False
    names = set()
    for _ in range(10):
        with TlsClient(("127.0.0.1", hornbeamd.port), context) as client:
            names |= {name for _, name in client.socket.getpeercert()["subjectAltName"]}
    return names


def test_the_address_says_https(authority: Authority) -> None:
    with daemon(authority) as hornbeamd, connect(hornbeamd, authority) as client:
        assert hornbeamd.url.startswith("https://127.0.0.1:")
        assert client.request(head()).status == 200


def test_a_reload_takes_new_certificates_and_connections_stay(authority: Authority) -> None:
    with daemon(authority) as hornbeamd:
        assert shown(hornbeamd, authority) == {"a.example"}
        with connect(hornbeamd, authority) as before:
            worker = worker_of(before)
            authority.issue("b.example", stem="server")
            hornbeamd.signal(signal.SIGHUP)
            hornbeamd.wait_log("reload complete")
            hornbeamd.wait(lambda: shown(hornbeamd, authority) == {"b.example"}, "the old certificate is shown")
            assert worker not in hornbeamd.wait_workers(2)


BROKEN = {
    "no-certificate": ("server.pem", "nonsense\n", 'there is no certificate in "{folder}/server.pem"'),
    "another-key": ("server.key", None, 'the key in "{folder}/server.key" is not that of the certificate'),
    "missing": ("server.key", "", '"{folder}/server.key" cannot be read: No such file or directory'),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_certificate_leaves_the_old_in_service(authority: Authority, fault: str) -> None:
    name, text, problem = BROKEN[fault]
    with daemon(authority) as hornbeamd:
        before = hornbeamd.workers()
        path = authority.folder / name
        if text is None:
            path.write_bytes(Path(authority.issue("b.example")[1]).read_bytes())
        elif text:
            path.write_text(text)
        else:
            path.unlink()
        hornbeamd.signal(signal.SIGHUP)
        hornbeamd.wait_log("reload refused")
        assert problem.format(folder=authority.folder) in hornbeamd.log.replace('\\"', '"')
        assert shown(hornbeamd, authority) == {"a.example"}
        assert hornbeamd.workers() == before
        # Nor does a worker that dies now need the file.
        os.kill(before[0], signal.SIGKILL)
        newcomer = hornbeamd.wait(lambda: set(hornbeamd.workers()) - set(before), "no new worker").pop()

        def answers() -> bool:
            with connect(hornbeamd, authority) as client:
                return worker_of(client) == newcomer

        hornbeamd.wait(answers, "the new worker does not answer")


def test_tls_goes_off_with_a_restart_only(authority: Authority) -> None:
    """Old and new workers share their sockets: while both are there, a client would meet now TLS and now none."""
    authority.issue("a.example", stem="server")
    config = authority.folder / "sys.toml"
    plain = '[hornbeam]\napp = "app"\nworkers = 1\n'
    config.write_text(f'{plain}ssl = true\ncertfile = "server.pem"\nkeyfile = "server.key"\n')
    with Daemon("-c", str(config), folder=authority.folder, ready=1) as hornbeamd:
        config.write_text(plain)
        hornbeamd.signal(signal.SIGHUP)
        hornbeamd.wait_log("reload failed, the old workers serve on")
        assert "changed options need a restart options=" in hornbeamd.log
        assert "ssl stays on until a restart, and certfile is missing" in hornbeamd.log
        assert shown(hornbeamd, authority) == {"a.example"}


def test_a_broken_certificate_refuses_the_start(authority: Authority) -> None:
    authority.issue("a.example", stem="server")
    arguments = ("--ssl", "--certfile", "server.pem", "--keyfile", "authority.pem")
    with Daemon("app:application", *arguments, folder=authority.folder) as hornbeamd:
        assert hornbeamd.wait_ended() == 78
        assert 'keyfile: there is no private key in "' in hornbeamd.log


def test_a_certificate_that_is_not_used_is_mentioned(authority: Authority) -> None:
    authority.issue("a.example", stem="server")
    arguments = ("--certfile", "server.pem", "--keyfile", "server.key", "--workers", "1")
    with Daemon("app:application", *arguments, folder=authority.folder, ready=1) as hornbeamd:
        assert hornbeamd.url.startswith("http://")
        assert "certfile is set, but ssl is false: nothing is encrypted" in hornbeamd.log


def test_a_session_is_resumed_with_any_worker(authority: Authority) -> None:
    with daemon(authority, workers=2) as hornbeamd:
        context = authority.trusting()

        def another() -> bool:
            with TlsClient(("127.0.0.1", hornbeamd.port), context, "a.example", session=session) as client:
                assert client.socket.session_reused
                return worker_of(client) != first

        with TlsClient(("127.0.0.1", hornbeamd.port), context, "a.example") as client:
            first = worker_of(client)
            session = client.socket.session
            hornbeamd.wait(another, "every connection met the same worker")
