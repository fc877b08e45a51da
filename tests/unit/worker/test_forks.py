"""What a forked child lets go of, where that is hard to come by; the rest is in tests/system."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from hornbeamd.config.options import Options
from hornbeamd.worker import forks
from hornbeamd.worker.web import Web


def forked(function: Any) -> int:
    """The exit status of a forked child that exits with what *function* gives."""
    pid = os.fork()
    if not pid:
        try:
            os._exit(function())
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_whatever_fails_in_a_child_it_takes_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks: dict[str, Any] = {}
    monkeypatch.setattr(os, "register_at_fork", lambda **functions: hooks.update(functions))

    def descriptors() -> Iterator[int]:
        raise AttributeError("that is all this test needs")

    def child() -> int:
        hooks["before"]()
        with pytest.raises(AttributeError):
            hooks["after_in_child"]()
        return len(signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {*forks.HANDLED, forks.STACKS_SIGNAL})

    forks.let_children_go(descriptors)
    monkeypatch.undo()
    assert forked(child) == 0


def test_a_connection_that_is_closed_has_no_descriptor() -> None:
    """Its transport knows no socket, with TLS for one turn of the loop before our connection hears of it."""
    birth: Any = SimpleNamespace(options=Options(), listeners=[])
    web: Any = Web(birth)
    web._server = SimpleNamespace(connections=[SimpleNamespace(transport=asyncio.Transport())])
    assert list(web.descriptors()) == []
