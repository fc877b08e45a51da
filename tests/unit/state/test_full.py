"""A full state, or file system: an error in words, nothing changed, nothing lost, and never a SIGBUS."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hornbeamd.errors import StateFull
from hornbeamd.state.environment import LOCK_SIZE, is_full
from hornbeamd.state.shared import SharedStore
from hornbeamd.state.upkeep import Upkeep

ROOT = Path(__file__).resolve().parents[3]
MIB = 1 << 20


class Clock:
    now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    store = SharedStore(str(tmp_path / "state"), MIB, clock)
    yield store
    store.close()


def fill(store, size, ttl=None, start=0):
    """Store values of *size* until it is full; how many there are."""
    number = start
    with pytest.raises(StateFull):
        while True:
            store.set(number, bytes(size), ttl)
            number += 1
    return number - start


@pytest.mark.parametrize("size", [500, 3000, 50_000])
def test_a_full_state_keeps_what_it_has(store, size):
    count = fill(store, size)
    assert count * size > MIB // 3
    assert store.size() == count
    for change in (
        lambda: store.set("new", bytes(MIB)),
        lambda: store.set_multi({0: b"", "new": bytes(MIB)}),
        lambda: store.put_new("new", bytes(MIB)),
        lambda: store.compare_and_set(0, bytes(size), bytes(MIB)),
        lambda: store.update(0, lambda value: bytes(MIB)),
    ):
        with pytest.raises(StateFull) as full:
            change()
        assert isinstance(full.value, OSError)
    assert all(store.get(number) == bytes(size) for number in range(count))
    for number in range(count):
        store.delete(number)
    assert store.size() == 0
    assert fill(store, size) >= count - 1
    store.clear()
    assert store.size() == 0


def test_nobody_waits_for_room_that_will_never_be(store, monkeypatch):
    store.set("other", 1)
    store.set("other", 2)
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waits"))
    with pytest.raises(StateFull):
        store.set("new", bytes(2 * MIB))
    store.set("other", 3)


def test_what_is_over_goes_first(store, clock):
    store.set("stays", 1)
    count = fill(store, 3000, ttl=60)
    clock.now += 61
    for number in range(count):
        store.set(("new", number), bytes(3000))
    assert store.size() == count + 1


def test_expiry_goes_in_steps(store, clock, tmp_path):
    store.set_multi(dict.fromkeys(range(50), 1), ttl=1)
    store.set_multi(dict.fromkeys(range(50, 60), 1), ttl=100)
    upkeep = Upkeep(str(tmp_path / "state"), MIB, clock=clock)
    assert upkeep.expire(20) == 0
    clock.now += 2
    assert [upkeep.expire(20), upkeep.expire(20), upkeep.expire(20), upkeep.expire(20)] == [20, 20, 10, 0]
    assert store.size() == 10
    upkeep.close()


LIMITED = """
import os, resource, sys
from hornbeamd.errors import StateFull
from hornbeamd.state.shared import SharedStore

store = SharedStore(sys.argv[1], 1 << 26)
store.set("first", 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, resource.RLIM_INFINITY))
count = 0
try:
    while True:
        store.set(count, os.urandom(int(sys.argv[2])))
        count += 1
except StateFull:
    pass
assert store.size() == count + 1 > 20 and store.get("first") == 1
store.clear()
store.set("after", 1)
assert store.keys() == ["after"]
"""


@pytest.mark.parametrize("size", ["10", "3000", "20000"])
def test_a_file_that_cannot_grow(tmp_path, size):
    """A limit of the process stands for a file system that is full: the same errors, and no rights are needed."""
    run(LIMITED, tmp_path / "state", size)


CROWDED = """
import os, random, subprocess, sys, time
from hornbeamd.errors import StateFull
from hornbeamd.state.shared import SharedStore

def work(path, seed):
    store, dice, mine, full = SharedStore(path, 1 << 26), random.Random(seed), {}, 0
    while full < 100:
        key, what = (seed, dice.randrange(200)), dice.random()
        try:
            if what < 0.7:
                value = os.urandom(dice.choice((10, 1000, 20000)))
                store.set(key, value)
                mine[key] = value
            elif what < 0.75:
                store.delete(key)
                mine.pop(key, None)
        except StateFull:
            full += 1
        assert store.get(key) == mine.get(key)
    assert store.get_multi(mine) == mine

folder = sys.argv[1]
if len(sys.argv) > 2:
    work(folder, sys.argv[2])
    sys.exit()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
path = os.path.join(folder, "state")
store = SharedStore(path, 1 << 26)
store.set("first", 1)
crowd = lambda: [subprocess.Popen([sys.executable, __file__, path, str(seed)]) for seed in range(3)]
codes = [process.wait() for process in crowd()]
with open(os.path.join(folder, "rest"), "wb", buffering=0) as rest:
    try:
        while rest.write(bytes(4096)):
            pass
    except OSError:
        pass
store.clear()
store.set("first", 1)
codes += [process.wait() for process in crowd()]
assert store.get("first") == 1
try:
    SharedStore(os.path.join(folder, "other"), 1 << 20).set(1, 1)
except StateFull:
    pass
else:
    codes.append("there was room")
assert codes == [0] * 6, codes
"""


def test_a_tmpfs_that_others_fill_to_the_last_byte(tmp_path):
    """In a mount namespace of its own; where none can be had, the test above is what can be done."""
    (tmp_path / "mount").mkdir()
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        allowed = subprocess.run([*namespace, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path / "mount")], check=False)
        namespace = namespace if allowed.returncode == 0 else []
    except FileNotFoundError:
        namespace = []
    if namespace:
        run(CROWDED, tmp_path / "mount", command=namespace)
    else:
        run(LIMITED, tmp_path / "state", "1000")


def run(script, folder, *arguments, command=()):
    file = folder.parent / "script.py"
    file.write_text(script)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, sys.executable, str(file), str(folder), *arguments],
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_lock_file_has_its_blocks_before_it_is_mapped(tmp_path):
    store = SharedStore(str(tmp_path / "state"), MIB)
    store.set("a", 1)
    lock = (tmp_path / "state" / "lock.mdb").stat()
    assert lock.st_size == LOCK_SIZE
    assert lock.st_blocks * 512 >= LOCK_SIZE
    assert store.environment.lmdb.info()["max_readers"] >= 1000
    store.close()


def test_an_error_that_is_none_of_room_is_told_as_such(tmp_path):
    assert not is_full(OSError(13, "Permission denied"))
    (tmp_path / "state").write_text("a file")
    store = SharedStore(str(tmp_path / "state"), MIB)
    with pytest.raises(OSError, match="cannot be used") as failed:
        store.get("a")
    assert not isinstance(failed.value, StateFull)
    store.close()
