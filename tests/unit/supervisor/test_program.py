"""What a program is told arrives, however long it is; and one that does not become ready is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import anyio
import pytest

from hornbeamd.errors import BootError
from hornbeamd.supervisor.program import Program
from hornbeamd.supervisor.reaper import Reaper
from hornbeamd.worker.channel import Message

# It reads late, and says how long each line was.
READER = r"""
import json, socket, sys, time
with socket.socket(fileno=int(sys.argv[1])) as channel, channel.makefile("rb") as lines:
    for line in lines:
        time.sleep(0.05)
        channel.sendall(json.dumps({"event": "ready", "length": len(line)}).encode() + b"\n")
"""
DEAF = "import time; time.sleep(60)"
LONG = "certificate" * 100_000


class Script(Program):
    def __init__(self, text: str) -> None:
        super().__init__("", "the script", Reaper())
        self._text = text

    def _popen(self, fd: int, descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-I", "-S", "-c", self._text, str(fd)], pass_fds=[fd])


def test_what_the_channel_does_not_take_at_once_arrives_as_a_whole() -> None:
    async def test() -> None:
        program = Script(READER)
        with anyio.fail_after(10):
            await program.start({"text": LONG}, [], 10)
            assert program.ready["length"] > len(LONG)
            program.tell({"text": LONG})
            program.tell({"text": ""})
            lengths: list[int] = []

            def heard(message: Message) -> None:
                lengths.append(message["length"])
                if len(lengths) == 2:
                    scope.cancel()

            with anyio.CancelScope() as scope:
                await program.listen(heard)
            await program.stop(5)
        assert lengths[0] - lengths[1] == len(LONG)

    anyio.run(test)


def test_of_one_that_does_not_listen_nothing_is_left() -> None:
    async def test() -> None:
        program = Script(DEAF)
        with pytest.raises(BootError, match="the script was not ready within"):
            await program.start({"text": LONG}, [], 0.1)
        with pytest.raises(ProcessLookupError):
            os.kill(program.pid, 0)

    anyio.run(test)
