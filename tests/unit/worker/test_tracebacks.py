from __future__ import annotations

import importlib

import pytest

from hornbeamd.errors import AppLoadError
from hornbeamd.worker.tracebacks import LONGEST, LONGEST_LINE, blame


def test_frames_of_the_import_system_are_left_out(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_module.py").write_text("def f():\n    return 1 / 0\nf()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError) as caught:
        importlib.import_module("broken_module")
    text = blame(caught.value)
    assert "frozen" not in text
    assert importlib.__file__ not in text
    assert 'broken_module.py", line 2, in f' in text
    assert text.endswith("ZeroDivisionError: division by zero")


def test_causes_are_kept() -> None:
    try:
        try:
            raise KeyError("x")
        except KeyError as cause:
            raise AppLoadError("no application") from cause
    except AppLoadError as error:
        text = blame(error)
    assert "KeyError: 'x'" in text
    assert "direct cause" in text
    assert text.endswith("hornbeamd.errors.AppLoadError: no application")


def test_groups_and_circles_come_to_an_end() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__context__, two.__context__ = two, one
    assert "ValueError: one" in blame(ExceptionGroup("both", [one, two]))


def test_a_syntax_error_shows_its_place(tmp_path) -> None:
    with pytest.raises(SyntaxError) as caught:
        compile("x = (\n", str(tmp_path / "app.py"), "exec")
    assert "app.py" in blame(caught.value)


def test_a_message_of_megabytes_is_cut() -> None:
    assert blame(RuntimeError("x" * 6_000_000)) == f"RuntimeError: {'x' * (LONGEST_LINE - 14)}..."


def test_of_ten_thousand_lines_the_first_and_the_last_are_kept() -> None:
    text = blame(RuntimeError("first\n" + "line\n" * 100_000 + "last"))
    assert len(text) <= LONGEST
    assert text.startswith("RuntimeError: first\nline\n")
    assert "\nline\n...\nline\n" in text
    assert text.endswith("\nlast")
