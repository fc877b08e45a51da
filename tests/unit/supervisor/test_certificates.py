from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hornbeamd.config.certificates import Certificate
from hornbeamd.config.options import Options
from hornbeamd.supervisor.certificates import stamp


@pytest.fixture
def options(tmp_path: Path) -> Options:
    for name in ("cert", "key", "ca", "other"):
        (tmp_path / name).write_text(name)
    return Options(
        ssl=True,
        certfile=str(tmp_path / "cert"),
        keyfile=str(tmp_path / "key"),
        cacertfile=str(tmp_path / "ca"),
        certificates=(Certificate(names=("shop.example",), certfile=str(tmp_path / "other")),),
    )


@pytest.mark.parametrize("name", ["cert", "key", "ca", "other"])
def test_new_content_is_seen_whatever_the_times_say(options: Options, tmp_path: Path, name: str) -> None:
    before = stamp(options)
    assert stamp(options) == before
    path = tmp_path / name
    times = path.stat()
    path.write_text(name[::-1])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert stamp(options) != before
    path.write_text(name)
    assert stamp(options) == before


def test_a_link_that_leads_elsewhere_is_seen(options: Options, tmp_path: Path) -> None:
    link = tmp_path / "live"
    link.symlink_to(tmp_path / "cert")
    options = replace(options, certfile=str(link))
    before = stamp(options)
    link.unlink()
    link.symlink_to(tmp_path / "other")
    assert stamp(options) != before


def test_a_file_that_is_gone_is_a_change_and_no_error(options: Options, tmp_path: Path) -> None:
    before = stamp(options)
    (tmp_path / "key").unlink()
    assert stamp(options) != before


def test_without_tls_no_file_counts(options: Options) -> None:
    assert stamp(replace(options, ssl=False)) == ()
