"""hornbeamctl whose output goes nowhere."""

from __future__ import annotations

import sys

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


def test_whoever_closes_its_output_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["completion", "bash"]) == codes.OK
    sys.stdout.close()
