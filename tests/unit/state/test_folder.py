"""A state on disk: whatever the disk kept of the time after a sync, the state is the one of that sync."""

import asyncio
import os
import random

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeamd.errors import SupervisionError
from hornbeamd.state import folder as folders
from hornbeamd.state.folder import prepare, read_synced
from hornbeamd.state.shared import SharedStore
from hornbeamd.state.upkeep import Upkeep, tend

SIZE = 1 << 26
SMALL = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def boots(monkeypatch, tmp_path):
    """Another run of the machine, when called."""
    boot = tmp_path / "boot_id"
    boot.write_text("1\n")
    monkeypatch.setattr(folders, "_BOOT", boot)
    return lambda: boot.write_text(boot.read_text().strip() + "1\n")


def contents(path):
    store = SharedStore(str(path), SIZE)
    try:
        return store.get_multi(store.keys())
    finally:
        store.close()


def write_at_random(store, seed, changes):
    dice = random.Random(seed)
    for _ in range(changes):
        key = dice.randrange(200)
        if dice.random() < 0.3:
            store.delete(key)
        else:
            store.set(key, "x" * dice.choice((1, 50, 500, 9000)), dice.choice((None, None, 1e6)))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Of many runs: the file as synced, the file later, the meta pages put aside, and what was in the state."""
    runs = []
    for seed in range(6):
        path = tmp_path_factory.mktemp("state")
        data = path / "data.mdb"
        os.close(prepare(str(path)))
        upkeep, store = Upkeep(str(path), SIZE), SharedStore(str(path), SIZE)
        upkeep.sync()
        for part in range(3):
            write_at_random(store, f"{seed} before {part}", 60 * (seed % 3))
            assert upkeep.sync() is (seed % 3 > 0)
        kept = store.get_multi(store.keys())
        synced, note = data.read_bytes(), (path / "synced").read_bytes()
        write_at_random(store, f"{seed} after", 5 + 150 * seed)
        runs.append((synced, data.read_bytes(), note, kept))
        upkeep.close()
        store.close()
    return runs


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_mix_of_old_and_new_pages_is_the_state_at_the_sync(images, tmp_path_factory, data):
    synced, later, note, kept = images[data.draw(st.integers(0, len(images) - 1))]
    path = tmp_path_factory.mktemp("crashed")
    pages = max(len(synced), len(later)) // PAGE
    mask, length = data.draw(st.integers(0, 2**pages - 1)), data.draw(st.integers(len(synced) // PAGE, pages))
    image = b"".join(
        ((later if mask >> page & 1 else b"") or synced)[page * PAGE : (page + 1) * PAGE].ljust(PAGE, b"\0")
        for page in range(length)
    )
    (path / "data.mdb").write_bytes(image)
    (path / "synced").write_bytes(note)
    before = folders.boot_id
    folders.boot_id = lambda: "another"
    try:
        os.close(prepare(str(path)))
    finally:
        folders.boot_id = before
    assert contents(path) == kept


def test_the_end_of_all_processes_loses_nothing(tmp_path, boots):
    path = tmp_path / "state"
    for number in range(3):
        lock = prepare(str(path))
        upkeep, store = Upkeep(str(path), SIZE), SharedStore(str(path), SIZE)
        upkeep.sync()
        assert store.size() == number
        store.set(number, number)
        upkeep.close()
        store.close()
        os.close(lock)


def test_what_was_never_synced_is_gone_with_the_machine(tmp_path, boots):
    path = tmp_path / "state"
    os.close(prepare(str(path)))
    store = SharedStore(str(path), SIZE)
    store.set("a", 1)
    store.close()
    (path / "data.mdb").write_bytes(os.urandom(5 * PAGE))
    boots()
    os.close(prepare(str(path)))
    assert contents(path) == {}


def test_a_sync_when_nothing_has_changed_is_none(tmp_path):
    path = tmp_path / "state"
    os.close(prepare(str(path)))
    upkeep, store = Upkeep(str(path), SMALL), SharedStore(str(path), SMALL)
    assert [upkeep.sync(), upkeep.sync()] == [True, False]
    store.set("a", 1)
    assert [upkeep.sync(), upkeep.sync()] == [True, False]
    assert not upkeep.pressing()
    for _ in range(100):
        store.incr("n")
    assert upkeep.pressing()
    upkeep.sync()
    assert not upkeep.pressing()
    upkeep.close()
    store.close()


# --- one daemon, and no other's files ---


def test_a_folder_is_made_for_its_owner_alone(tmp_path):
    path = tmp_path / "state"
    lock = prepare(str(path))
    upkeep = Upkeep(str(path), SIZE)
    upkeep.sync()
    assert path.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.stat().st_mode & 0o777 for file in path.iterdir()} == dict.fromkeys(
        ("data.mdb", "lock.mdb", "synced"), 0o600
    )
    upkeep.close()
    os.close(lock)


def test_a_second_daemon_is_refused(tmp_path):
    lock = prepare(str(tmp_path / "state"))
    with pytest.raises(SupervisionError, match="another daemon"):
        prepare(str(tmp_path / "state"))
    os.close(lock)
    os.close(prepare(str(tmp_path / "state")))


def make_synced(path):
    os.close(prepare(str(path)))
    upkeep = Upkeep(str(path), SIZE)
    upkeep.sync()
    upkeep.close()


@pytest.mark.parametrize("name", ["data.mdb", "synced"])
@pytest.mark.parametrize("content", [b"", b"x", b"precious" * 2000, bytes(3 * PAGE)])
def test_a_file_that_is_not_ours_stays_as_it_is(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SupervisionError, match=name):
        prepare(str(tmp_path))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {name: content}


@pytest.mark.parametrize("content", [b"x", bytes(3 * PAGE)])
def test_damage_is_told_and_left(tmp_path, content):
    make_synced(tmp_path)
    (tmp_path / "data.mdb").write_bytes(content)
    with pytest.raises(SupervisionError, match=r"LMDB|short"):
        prepare(str(tmp_path))
    assert (tmp_path / "data.mdb").read_bytes() == content


def test_a_note_that_is_damaged_is_told(tmp_path):
    make_synced(tmp_path)
    note = bytearray((tmp_path / "synced").read_bytes())
    note[100] ^= 1
    (tmp_path / "synced").write_bytes(note)
    with pytest.raises(SupervisionError, match="damaged"):
        prepare(str(tmp_path))


def test_no_link_is_followed(tmp_path):
    make_synced(tmp_path / "state")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    data = tmp_path / "state" / "data.mdb"
    for link in (os.symlink, os.link):
        data.unlink()
        link(victim, data)
        with pytest.raises(SupervisionError):
            prepare(str(tmp_path / "state"))
    assert victim.read_bytes() == b"precious"


def test_what_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "missing" / "state"):
        with pytest.raises(SupervisionError, match=r"the state cannot live in"):
            prepare(str(path))


def test_the_note_of_a_new_folder_has_no_pages(tmp_path, boots):
    lock = prepare(str(tmp_path / "state"))
    assert read_synced(lock) == ("1", b"")
    os.close(lock)


# --- turns ---


def test_a_turn_does_what_is_due(tmp_path):
    now = [1_000_000.0]
    path = tmp_path / "state"
    os.close(prepare(str(path)))
    upkeep = Upkeep(str(path), SIZE, sync_interval=5, clock=lambda: now[0])
    store = SharedStore(str(path), SIZE, clock=lambda: now[0])
    upkeep.turn(100)
    store.set_multi(dict.fromkeys(range(5), 1), ttl=10)
    note = (path / "synced").read_bytes()
    now[0] += 11
    upkeep.turn(100.5)
    assert (path / "synced").read_bytes() == note
    assert store.environment.lmdb.stat()["entries"] == 10
    upkeep.turn(101)
    assert store.environment.lmdb.stat()["entries"] == 0
    assert (path / "synced").read_bytes() == note
    upkeep.turn(105)
    assert (path / "synced").read_bytes() != note
    upkeep.close()
    store.close()


def test_the_first_turn_is_over_before_it_is_told_and_failures_are_logged(tmp_path, caplog):
    async def run():
        task = await tend(upkeep)
        done.append((path / "synced").stat().st_size > PAGE)
        task.cancel()
        (path / "synced").unlink()
        (path / "synced").mkdir()
        store.set("a", 1)
        upkeep.turn = lambda now: Upkeep.sync(upkeep)
        (await tend(upkeep)).cancel()
        upkeep.turn = fail
        (await tend(upkeep)).cancel()

    def fail(now):
        raise lmdb.PanicError("a bug")

    path, done = tmp_path / "state", []
    os.close(prepare(str(path)))
    upkeep, store = Upkeep(str(path), SIZE, sync_interval=60), SharedStore(str(path), SIZE)
    asyncio.run(run())
    assert done == [True]
    assert caplog.text.count("the state is not kept up") == 2
    assert "lmdb.PanicError: a bug" in caplog.text
    upkeep.close()
    store.close()
