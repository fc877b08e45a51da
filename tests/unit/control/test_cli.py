"""hornbeamctl whose output goes nowhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hornbeamd.control import codes
from hornbeamd.control.cli import main


def test_an_output_that_cannot_be_written_is_an_error_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["completion", "bash"]) == codes.FAILED
    assert capsys.readouterr().err == "hornbeamctl: the output cannot be written: No space left on device\n"


def test_a_file_in_a_folder_that_was_removed_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["-c", "sys.toml", "status"]) == codes.CONFIG
    assert capsys.readouterr().err == "hornbeamctl: sys.toml: the working folder has been removed\n"


def test_a_view_without_an_input_is_no_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["--socket", "/nowhere", "top"]) == codes.UNREACHABLE
    assert "no daemon listens" in capsys.readouterr().err


def test_whoever_closes_its_output_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["completion", "bash"]) == codes.OK
    sys.stdout.close()
