"""What comes from the environment, and what goes out in words: small functions, no processes."""

from __future__ import annotations

import os
import signal
import time
import traceback

import pytest

from hornbeamd.errors import AppLoadError, LifespanError, SupervisionError
from hornbeamd.supervisor.listeners import inherited_descriptors
from hornbeamd.supervisor.notify import Notifier
from hornbeamd.supervisor.pidfile import Pidfile
from hornbeamd.supervisor.reaper import how_it_ended
from hornbeamd.supervisor.signals import ORDERS
from hornbeamd.supervisor.workers import gist

ME = str(os.getpid())


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, []),
        ({"LISTEN_PID": ME, "LISTEN_FDS": "2"}, [(3, "unknown"), (4, "unknown")]),
        ({"LISTEN_PID": ME, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:admin"}, [(3, "web"), (4, "admin")]),
        ({"LISTEN_PID": ME, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web"}, [(3, "web"), (4, "unknown")]),
        ({"LISTEN_PID": ME, "LISTEN_FDS": "0"}, []),
        ({"LISTEN_PID": "1", "LISTEN_FDS": "2"}, []),
        ({"LISTEN_FDS": "2"}, []),
    ],
)
def test_descriptors_from_systemd(environ: dict[str, str], expected: list[tuple[int, str]]) -> None:
    environ["OTHER"] = "stays"
    assert inherited_descriptors(environ) == expected
    assert environ == {"OTHER": "stays"}  # nobody below us may take them for its own


def test_a_number_of_descriptors_that_is_none() -> None:
    with pytest.raises(SupervisionError, match="LISTEN_FDS is no number"):
        inherited_descriptors({"LISTEN_PID": ME, "LISTEN_FDS": "two"})


@pytest.mark.parametrize(
    ("environ", "period"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": ME}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_watchdog(environ: dict[str, str], period: float) -> None:
    assert Notifier(environ, "/run").watchdog == period


@pytest.mark.parametrize("address", ["", "/no/such/socket", "@no-such-socket", "vsock:2:1"])
def test_a_manager_that_does_not_listen_is_no_error(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address}, "/run")
    notifier.ready("fine")
    notifier.close()


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exit 0"), (3 << 8, "exit 3"), (9, "SIGKILL"), (11 | 0x80, "SIGSEGV"), (None, "unknown end")],
)
def test_ends_in_words(status: int | None, words: str) -> None:
    assert how_it_ended(status) == words


def test_a_signal_without_a_name() -> None:
    assert how_it_ended(signal.SIGRTMIN + 5) == f"signal {signal.SIGRTMIN + 5}"


def test_no_signal_that_means_something_to_the_system_is_taken() -> None:
    assert not {signal.SIGCHLD, signal.SIGPIPE, signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP} & ORDERS.keys()


class TestPidfile:
    def test_holds_the_number_until_it_is_removed(self, tmp_path) -> None:
        path = tmp_path / "pid"
        path.write_text("99999999999999\n")
        pidfile = Pidfile(str(path))
        assert path.read_text() == f"{os.getpid()}\n"
        with pytest.raises(SupervisionError, match=f"already running as process {os.getpid()}"):
            Pidfile(str(path))
        pidfile.remove()
        assert not path.exists()

    def test_removes_only_its_own(self, tmp_path) -> None:
        path = tmp_path / "pid"
        pidfile = Pidfile(str(path))
        path.unlink()
        path.write_text("1\n")
        pidfile.remove()
        assert path.read_text() == "1\n"

    def test_a_folder_that_is_not_there(self, tmp_path) -> None:
        with pytest.raises(SupervisionError, match="cannot write the pidfile"):
            Pidfile(str(tmp_path / "no" / "pid"))

    def test_a_link_is_not_followed(self, tmp_path) -> None:
        (tmp_path / "target").write_text("precious")
        (tmp_path / "pid").symlink_to(tmp_path / "target")
        with pytest.raises(SupervisionError):
            Pidfile(str(tmp_path / "pid"))
        assert (tmp_path / "target").read_text() == "precious"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (
            ValueError("2 errors for Settings\nurl\n  Field required\n    see https://"),
            "ValueError: 2 errors for Settings",
        ),
        (ValueError("no database\n\nsee its page"), "ValueError: no database"),
        (ImportError("\n\nIMPORTANT: PLEASE READ\n\nNote: x"), "ImportError: IMPORTANT: PLEASE READ"),
        (LifespanError("startup failed: Traceback (most recent call last):\n  File\nOSError: full"), "OSError: full"),
        (ExceptionGroup("in tasks", [ValueError("x")]), "ExceptionGroup: in tasks (1 sub-exception)"),
        (AppLoadError("'app' has no attribute 'a'"), "'app' has no attribute 'a'"),
        (LifespanError(), "hornbeamd.errors.LifespanError"),
    ],
)
def test_of_a_traceback_people_are_told_what_it_comes_to(error: Exception, line: str) -> None:
    try:
        try:
            raise OSError("first")
        except OSError as cause:
            raise error from cause
    except type(error):
        assert gist(traceback.format_exc().rstrip()) == line


def test_what_comes_to_a_line_may_stand_below_stacks_or_alone() -> None:
    assert gist("Thread 0x1:\n  File\n\nnot ready within 5 s") == "not ready within 5 s"
    assert (
        gist("Traceback (most recent call last):\n  File\nKeyError: 'x'\n\nWhat came of it:\n\npool p: x")
        == "pool p: x"
    )
    assert gist("exit 3") == "exit 3"
    assert gist(None) == ""


def test_a_message_of_nothing_but_space_takes_no_time() -> None:
    for space in " " * 10_000, "\n" * 10_000:
        began = time.perf_counter()
        assert gist(f"Traceback (most recent call last):\nKeyError:{space}").strip() == "KeyError:"
        assert time.perf_counter() - began < 0.1
