"""Processes that write to the state are killed at any moment: nothing is lost, nothing is half, and nobody hangs."""

import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hornbeamd.state.shared import SharedStore
from hornbeamd.state.upkeep import Upkeep
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SIZE = 1 << 24

WRITER = """
import mmap, random, struct, sys
from hornbeamd.state.shared import SharedStore

path, board, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
store, dice = SharedStore(path, 1 << 24), random.Random()
with open(board, "r+b") as file:
    counts = mmap.mmap(file.fileno(), 0)
done = 0
while True:
    store.incr("total")
    done += 1
    struct.pack_into("<q", counts, 8 * number, done)
    size = dice.choice((1, 100, 5000))
    value = (done, "x" * size)
    store.set_multi({("left", number): value, ("right", number): value}, dice.choice((None, 60)))
    store.update("log", lambda log: [*log[-20:], number], [])
    store.get_multi([("left", number), "total"])
    store.set(dice.randrange(50), "x" * size, 0.01)
    store.delete(dice.randrange(50))
"""


def kill_writers(tmp_path, seconds, writers=3):
    """Have *writers* of them at work for so long, one of them killed every few ms, a few in any case."""
    dice = random.Random(seconds)
    path, board = str(tmp_path / "state"), tmp_path / "board"
    (tmp_path / "writer.py").write_text(WRITER)
    slots = int(seconds * 40) + writers
    board.write_bytes(bytes(8 * slots))
    running: dict[int, subprocess.Popen] = {}
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    store, upkeep = SharedStore(path, SIZE), Upkeep(path, SIZE)
    with board.open("rb") as file:
        counts = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def count(number):
        return struct.unpack_from("<q", counts, 8 * number)[0]

    def is_far(victim):
        upkeep.turn(time.monotonic())  # as the hub does: or all room is held by a reader that was killed
        return count(victim) > dice.randrange(200)

    started = 0
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end or started < 2 * writers:
            while len(running) < writers:
                command = [sys.executable, str(tmp_path / "writer.py"), path, str(board), str(started)]
                running[started] = subprocess.Popen(command, env=env)
                started += 1
            victim = dice.choice(list(running))
            wait_until(lambda victim=victim: is_far(victim), explain="a writer hangs")
            running[victim].send_signal(signal.SIGKILL)
            assert running.pop(victim).wait() == -signal.SIGKILL
            for number in range(started):
                left, right = store.get_multi([("left", number), ("right", number)]).values()
                assert left == right
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    reported = sum(count(number) for number in range(started))
    assert reported <= store.get("total") <= reported + started
    assert store.incr("total", 0) == store.get("total")
    store.clear()
    upkeep.reader_check()  # the last ones may have left slots
    assert store.size() == upkeep.reader_check() == 0
    upkeep.close()
    store.close()


READER = """
import sys, time
from hornbeamd.state.shared import SharedStore

store = SharedStore(sys.argv[1], 1 << 24)
with store.environment.begin():
    print(flush=True)
    time.sleep(60)
"""


def test_who_is_killed_while_it_reads_holds_up_no_writer(tmp_path):
    """What was written since is in use to it, which would soon be all the room there is."""
    path = str(tmp_path / "state")
    store, upkeep = SharedStore(path, SIZE), Upkeep(path, SIZE)
    upkeep.turn(0)
    command = [sys.executable, "-c", READER, path]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE) as reader:
        reader.stdout.readline()
        while not store.room_to_come():
            store.set("key", "x" * 100_000)
        reader.kill()
    upkeep.turn(1)
    for _ in range(300):
        store.set("key", "x" * 100_000)
    upkeep.close()
    store.close()


def test_writers_are_killed_at_random(tmp_path):
    kill_writers(tmp_path, 1.5)


@pytest.mark.slow
def test_writers_are_killed_at_random_for_long(tmp_path):
    kill_writers(tmp_path, 40)
