"""Files of a folder, over sockets."""

import os
import re
import socket
import time
from email.utils import formatdate

import pytest

from hornbeamd.apps import static
from tests.support.applications import answer, head, site
from tests.support.h2client import H2Client
from tests.support.raw import DEADLINE
from tests.support.tls import Authority, TlsClient
from tests.support.waiting import wait_until

BIG = bytes(range(256)) * 1024


async def app(scope, receive, send):
    await answer(send, b"app", 418)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.txt").write_text("secret")
    (tmp_path / "files-secret").mkdir()
    (tmp_path / "files-secret/secret.txt").write_text("secret")
    top = tmp_path / "files"
    (top / "sub").mkdir(parents=True)
    (top / "a.txt").write_text("0123456789")
    (top / "big.bin").write_bytes(BIG)
    (top / "empty").write_text("")
    (top / "a.tar.gz").write_text("packed")
    (top / "a.woff2").write_text("font")
    (top / "index.html").write_text("top")
    (top / "sub/index.html").write_text("sub")
    (top / "sub/ü b.txt").write_text("text")
    (top / "folder").mkdir()
    (top / ".hidden").write_text("secret")
    (top / ".git").mkdir()
    (top / ".git/config").write_text("secret")
    (top / ".well-known").mkdir()
    (top / ".well-known/token").write_text("token")
    (top / "inside").symlink_to("sub")
    (top / "link.txt").symlink_to("a.txt")
    (top / "out").symlink_to(tmp_path / "outside")
    (top / "out.txt").symlink_to("../secret.txt")
    (top / "beside").symlink_to(tmp_path / "files-secret")
    (top / "loop").symlink_to("loop")
    (top / "device").symlink_to("/dev/zero")
    os.mkfifo(top / "fifo")
    (top / "unreadable").write_text("secret")
    return top


@pytest.fixture
def files(folder):
    with site({"/": app, "/static": folder}) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("a.txt", b"0123456789", b"text/plain; charset=utf-8"),
        ("big.bin", BIG, b"application/octet-stream"),
        ("empty", b"", b"application/octet-stream"),
        ("", b"top", b"text/html; charset=utf-8"),
        ("index.html", b"top", b"text/html; charset=utf-8"),
        ("sub/", b"sub", b"text/html; charset=utf-8"),
        ("sub/%C3%BC%20b.txt", b"text", b"text/plain; charset=utf-8"),
        ("inside/", b"sub", b"text/html; charset=utf-8"),
        ("link.txt", b"0123456789", b"text/plain; charset=utf-8"),
        (".well-known/token", b"token", b"application/octet-stream"),
        ("a.tar.gz", b"packed", b"application/gzip"),
        ("a.woff2", b"font", b"font/woff2"),
    ],
)
def test_files_are_served(files, path, body, kind):
    response = files.get(f"/static/{path}")
    assert (response.status, response.body, response.header(b"content-type")) == (200, body, kind)
    assert response.header(b"content-length") == b"%d" % len(body)
    assert response.header(b"accept-ranges") == b"bytes"
    head = files.get(f"/static/{path}", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    fixed = [pair for pair in response.headers if pair[0] != b"date"]
    assert [pair for pair in head.headers if pair[0] != b"date"] == fixed


ESCAPES = [
    "../secret.txt",
    "..%2fsecret.txt",
    "..%2Fsecret.txt",
    "%2e%2e/secret.txt",
    "%2E%2E%2Fsecret.txt",
    ".%2e/secret.txt",
    "sub/../../secret.txt",
    "sub/%2e%2e/%2e%2e/secret.txt",
    "./a.txt",
    "%2e/a.txt",
    "/a.txt",
    "//etc/passwd",
    "%2fetc/passwd",
    "%2Fetc%2Fpasswd",
    "sub//index.html",
    "..\\secret.txt",
    "..%5csecret.txt",
    "sub%5Cindex.html",
    "a.txt%00",
    "a.txt%00.html",
    "%00",
    "a.txt/",
    "a.txt/x",
    "..;/secret.txt",
    "..%c0%afsecret.txt",
    "%c0%ae%c0%ae/secret.txt",
    "%252e%252e/secret.txt",
    "%uff0e%uff0e/secret.txt",
    "%ff",
    "%",
    "%zz",
    "x" * 300,
    "/".join("x" * 300),
    ".hidden",
    "%2ehidden",
    ".git/config",
    ".git/",
    "sub/.",
    "sub/..",
    "sub/..%00/",
    "out/secret.txt",
    "out/",
    "out",
    "out.txt",
    "beside/secret.txt",
    "loop",
    "device",
    "fifo",
    "folder/",
    "nothing",
    "nothing/",
    "proc/self/environ",
    "~root",
]


@pytest.mark.parametrize("path", ESCAPES)
def test_nothing_else_is_there(files, path):
    response = files.get(f"/static/{path}")
    assert (response.status, response.body) == (404, b"Not Found\n")


@pytest.mark.parametrize(
    "target", ["/static/../secret.txt", "/static/..", "/static%2Fa.txt", "//static/a.txt", "/staticx"]
)
def test_paths_that_only_look_like_the_mount(files, target):
    assert files.get(target).status in (404, 418)
    assert b"secret" not in files.get(target).body


def test_a_socket_and_an_unreadable_file_are_not_there(files, folder, monkeypatch):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        assert files.get("/static/socket").status == 404
    (folder / "unreadable").chmod(0)
    expected = 200 if os.geteuid() == 0 else 404
    assert files.get("/static/unreadable").status == expected


def test_a_folder_without_its_slash_is_redirected(folder):
    with site({"/static": folder}, root_path="/shop") as running:
        response = running.get("/static/sub?a=b")
        assert (response.status, response.header(b"location")) == (301, b"/shop/static/sub/?a=b")
        assert running.get("/static").header(b"location") == b"/shop/static/"


def test_a_folder_at_the_root(folder):
    with site({"/": folder}) as running:
        assert running.get("/").body == b"top"
        assert running.get("/a.txt").status == 200
        assert running.get("//a.txt").status == 404
        assert running.get("//evil.example/..").status == 404
        assert running.get("//sub").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_files_can_only_be_read(files, method):
    """RFC 9110, section 15.5.6."""
    response = files.get("/static/a.txt", method=method)
    assert (response.status, response.header(b"allow")) == (405, b"GET, HEAD")


def test_a_client_that_has_the_file_is_told_so(files, folder):
    """RFC 9110, section 15.4.5: 304 repeats the validators and has no body."""
    response = files.get("/static/a.txt")
    tag, modified = response.header(b"etag"), response.header(b"last-modified")
    assert modified == formatdate(int(os.stat(folder / "a.txt").st_mtime), usegmt=True).encode()
    for field in (f"If-None-Match: {tag.decode()}", f"If-Modified-Since: {modified.decode()}"):
        again = files.get("/static/a.txt", field)
        assert (again.status, again.body) == (304, b"")
        assert (again.header(b"etag"), again.header(b"last-modified")) == (tag, modified)
    assert files.get("/static/a.txt", 'If-Match: "other"').status == 412
    os.utime(folder / "a.txt", ns=(1, 1))
    assert files.get("/static/a.txt", f"If-None-Match: {tag.decode()}").status == 200


@pytest.mark.parametrize("name", ["a.txt", "big.bin"])
def test_a_part_of_a_file(files, folder, name):
    """RFC 9110, section 15.3.7."""
    whole = (folder / name).read_bytes()
    for asked, start, stop in (("2-4", 2, 5), ("5-", 5, len(whole)), ("-3", len(whole) - 3, len(whole))):
        response = files.get(f"/static/{name}", f"Range: bytes={asked}")
        assert (response.status, response.body) == (206, whole[start:stop])
        assert response.header(b"content-range") == b"bytes %d-%d/%d" % (start, stop - 1, len(whole))
    response = files.get(f"/static/{name}", f"Range: bytes={len(whole)}-")
    assert (response.status, response.header(b"content-range")) == (416, b"bytes */%d" % len(whole))
    assert files.get(f"/static/{name}", "Range: bytes=0-1,3-4").body == whole
    assert files.get(f"/static/{name}", "Range: bytes=0-1", 'If-Range: "other"').body == whole
    tag = files.get(f"/static/{name}").header(b"etag").decode()
    assert files.get(f"/static/{name}", "Range: bytes=0-1", f"If-Range: {tag}").body == whole[:2]
    assert files.get(f"/static/{name}", "Range: bytes=0-1", method="HEAD").status == 200  # section 14.2: GET only


def test_files_over_http_2(folder):
    with site({"/static": folder}) as running, H2Client(running.running.address) as client:
        assert client.get(b"/static/a.txt") == (200, b"0123456789")
        assert client.get(b"/static/big.bin") == (200, BIG)
        assert client.get(b"/static/out.txt")[0] == 404


def test_a_file_that_becomes_shorter_is_broken_off(folder):
    with open(folder / "huge.bin", "wb") as file:
        file.truncate(64 << 20)
    with site({"/static": folder}) as running, running.client() as client:
        client.send(b"GET /static/huge.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client._fill(time.monotonic() + DEADLINE)
        os.truncate(folder / "huge.bin", 1 << 20)
        rest = client.read_to_end()
        head, _, body = rest.partition(b"\r\n\r\n")
        assert int(re.search(rb"content-length: (\d+)", head)[1]) == 64 << 20
        assert len(body) < 64 << 20
        running.logs.wait_for("a file could not be sent")


def test_a_small_file_that_becomes_shorter_is_500(folder, monkeypatch):
    monkeypatch.setattr(static.os, "pread", lambda fd, count, offset: b"short")
    with site({"/static": folder}) as running:
        assert running.get("/static/a.txt").status == 500
        assert running.logs.wait_for("a file could not be served").exc_info is None


def test_a_client_that_goes_ends_the_sending(folder):
    with open(folder / "huge.bin", "wb") as file:
        file.truncate(64 << 20)
    with site({"/static": folder}) as running:
        handler = running.running.server.handler
        with running.client() as client:
            client.send(head("/static/huge.bin"))
            wait_until(lambda: static_files(handler)._sending)
        wait_until(lambda: not static_files(handler)._sending)
        assert running.logs.named("could not") == []


def test_what_is_being_sent_ends_with_the_server(folder):
    with open(folder / "huge.bin", "wb") as file:
        file.truncate(64 << 20)
    with site({"/static": folder}) as running:
        handler = running.running.server.handler
        client = running.client()
        client.send(head("/static/huge.bin"))
        wait_until(lambda: static_files(handler)._sending)
    client.close()
    assert not static_files(handler)._sending


def static_files(handler):
    """The one mount of a site."""
    (mount,) = handler._mounts
    return mount.handler


def test_the_folder_may_be_replaced(files, folder):
    """As a deployment does that moves a new folder into place."""
    new = folder.parent / "new"
    new.mkdir()
    (new / "a.txt").write_text("new")
    folder.rename(folder.parent / "old")
    assert files.get("/static/a.txt").status == 404
    folder.symlink_to(new)
    assert files.get("/static/a.txt").body == b"new"


def test_descriptors_are_closed(files):
    files.get("/static/big.bin")  # the loop opens some of its own when it first needs them
    before = len(os.listdir("/proc/self/fd"))
    for path in ("a.txt", "big.bin", "out.txt", "fifo", "folder", "nothing", "sub", ""):
        for fields in ((), ("Range: bytes=99999999-",), ('If-Match: "x"',), ("If-None-Match: *",)):
            files.get(f"/static/{path}", *fields)
            files.get(f"/static/{path}", *fields, method="HEAD")
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before)  # connections are still being closed


def test_out_of_descriptors_is_503(files, monkeypatch):
    def full(*args, **more):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(static.os, "open", full)
    assert files.get("/static/a.txt").status == 503
    told = files.logs.wait_for("a file could not be served")
    assert told.exc_info is None, "a traceback for each request, while the disk fills too"
    assert "Too many open files" in told.getMessage()


def test_files_over_tls(folder, tmp_path):
    authority = Authority(tmp_path)
    with (
        site({"/static": folder}, **authority.options()) as running,
        TlsClient(running.running.address, authority.trusting(), "localhost") as client,
    ):
        for path, body in (
            ("a.txt", b"0123456789"),
            ("big.bin", BIG),
            ("out.txt", b"Not Found\n"),
            ("a.txt", b"0123456789"),
        ):
            assert client.request(head(f"/static/{path}")).body == body
