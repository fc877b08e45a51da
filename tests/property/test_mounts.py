"""Any path leads to the mount that a naive reading of its segments names, and to no file outside of the folder."""

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hornbeamd.apps.environ import Environ
from hornbeamd.apps.mounts import Mounted, NotFound, comparable
from hornbeamd.apps.static import StaticFiles
from hornbeamd.config.options import Options
from hornbeamd.http.exchange import Exchange, Request
from hornbeamd.http.peer import Peer
from hornbeamd.http.rules import parse_target

calm = settings(deadline=None)
PREFIXES = ("/", "/a", "/a/b", "/ab", "/é")
PIECES = rb"/ a b ab . .. %2F %2f %61 %2e %2E %00 %5c \ %C3%A9 % %25 %252F secret link out index.html %c0%af ; x"
pieces = st.sampled_from(PIECES.split())
paths = st.lists(pieces, max_size=12).map(lambda parts: b"/" + b"".join(parts))


def naive(path: bytes) -> str:
    """The longest prefix whose segments the path's begin with, each decoded by itself."""
    segments = [unquote_to_bytes(segment) for segment in path.split(b"/")[1:]]
    fitting = []
    for prefix in PREFIXES:
        wanted = prefix.encode().split(b"/")[1:] if prefix != "/" else []
        if segments[: len(wanted)] == wanted:
            fitting.append(prefix)
    return max(fitting, key=len)


def chosen(path: bytes) -> str:
    mounts = sorted((Mounted(prefix, NotFound()) for prefix in PREFIXES), key=lambda each: len(each.path), reverse=True)
    return next(mount.prefix for mount in mounts if mount.fits(comparable(path)))


@calm
@given(path=paths)
@example(path=b"/a%2Fb")
@example(path=b"/a%252Fb")
@example(path=b"/%61/%62/..")
def test_a_path_leads_to_the_mount_that_its_segments_name(path):
    assert chosen(path) == naive(path)


@calm
@given(path=paths)
def test_the_two_parts_of_a_path_are_the_whole(path):
    """PEP 3333, "URL Reconstruction"; and below its mount a path goes on with a slash, or ends."""
    prefix = chosen(path).rstrip("/")
    exchange = Exchange()
    exchange.request = Request("GET", path, parse_target(path, "GET"), ())
    exchange.client, exchange.server = None, ("a", 80)
    exchange.peer = Peer(None, ("a", 80), False)
    environ = Environ(Options(), object, prefix).of(exchange)
    assert environ["SCRIPT_NAME"] + environ["PATH_INFO"] == unquote_to_bytes(path).decode("latin-1")
    assert environ["SCRIPT_NAME"] == prefix.encode().decode("latin-1")
    assert environ["PATH_INFO"][:1] in ("", "/")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    top = tmp_path_factory.mktemp("top")
    (top / "secret").write_text("secret")
    (top / "x").mkdir()
    (top / "x/secret").write_text("secret")
    files = top / "a"
    for name in ("a", "b", "ab"):
        (files / name).mkdir(parents=True)
        (files / name / "index.html").write_text("page")
        (files / name / "link").symlink_to("..")
        (files / name / "out").symlink_to(top)
        (files / name / "x").symlink_to(top / "secret")
    (files / "..secret").write_text("hidden")
    return files


@calm
@given(path=paths)
@example(path=b"/a/out/secret")
@example(path=b"/a/link/b/link/index.html")
def test_no_path_leads_out_of_the_folder(folder, path):
    files = StaticFiles(str(folder))
    segments = files._segments(path)
    opened = None if segments is None else files._open(segments)
    if opened is None:
        return
    try:
        where = Path(os.readlink(f"/proc/self/fd/{opened}"))
        assert where.is_relative_to(folder.resolve())
        assert "secret" not in where.name
    finally:
        os.close(opened)
