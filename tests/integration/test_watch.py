"""The watcher on real files: whatever way they are saved, it says so once, and says which."""

import errno
import os
import shutil
from contextlib import asynccontextmanager

import anyio
import pytest

from hornbeamd.config.reload import ReloadOptions
from hornbeamd.reload import signs
from hornbeamd.reload.watch import Watcher


class Told:
    """What the watcher told, in order."""

    def __init__(self):
        self._send, self._receive = anyio.create_memory_object_stream(100)

    async def changed(self, paths):
        await self._send.send({os.path.basename(path) for path in paths})

    async def next(self):
        with anyio.fail_after(10):
            return await self._receive.receive()

    def nothing(self):
        return not self._receive.statistics().current_buffer_used

    def close(self):
        self._send.close()
        self._receive.close()


@asynccontextmanager
async def watching(folders, files=(), **options):
    told = Told()
    started = anyio.Event()

    class Noticed(Watcher):
        def _look_and_cover(self):
            found = super()._look_and_cover()
            anyio.from_thread.run_sync(started.set)
            return found

    watcher = Noticed(
        ReloadOptions(**{"debounce": 0.02, **options}),
        [str(each) for each in folders],
        [str(each) for each in files],
        told.changed,
    )
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(watcher.run)
            with anyio.fail_after(10):
                await started.wait()
            yield told
            group.cancel_scope.cancel()
    finally:
        told.close()


def run(body, *folders, **settings):
    """Run *body* with what a watcher of *folders* tells."""

    async def main():
        async with watching(folders, **settings) as told:
            await body(told)

    anyio.run(main)


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "app.py").write_text("1")
    return folder


@pytest.mark.parametrize("poll", [None, 0.1], ids=["told", "polled"])
def test_the_ways_in_which_editors_save(app, poll):
    async def body(told):
        (app / "app.py").write_text("in place")
        assert await told.next() == {"app.py"}

        (app / "4913").write_text("")
        (app / "4913").unlink()
        os.rename(app / "app.py", app / "app.py~")
        (app / "app.py").write_text("as Vim does")
        (app / "app.py~").unlink()
        assert await told.next() == {"app.py"}

        (app / "app.py___jb_tmp___").write_text("as JetBrains do")
        os.rename(app / "app.py", app / "app.py___jb_old___")
        os.rename(app / "app.py___jb_tmp___", app / "app.py")
        (app / "app.py___jb_old___").unlink()
        assert await told.next() == {"app.py"}

        (app / ".app.py.tmp").write_text("by a rename, over it")
        os.replace(app / ".app.py.tmp", app / "app.py")
        assert await told.next() == {"app.py"}

        (app / "app.py").unlink()
        assert await told.next() == {"app.py"}
        assert told.nothing()

    run(body, app, poll=poll)


def test_folders_that_come_go_and_are_exchanged(app, tmp_path):
    async def body(told):
        (app / "shop/deep").mkdir(parents=True)
        (app / "shop/deep/model.py").write_text("1")
        assert await told.next() == {"model.py"}
        (app / "shop/deep/model.py").write_text("22")
        assert await told.next() == {"model.py"}

        shutil.copytree(app, tmp_path / "new")
        (tmp_path / "new/app.py").write_text("another one")
        os.rename(app, tmp_path / "old")
        os.rename(tmp_path / "new", app)
        assert "app.py" in await told.next()
        (app / "app.py").write_text("in the new folder")
        assert await told.next() == {"app.py"}

        shutil.rmtree(app)
        assert await told.next() == {"app.py", "model.py"}
        app.mkdir()
        (app / "app.py").write_text("again")
        assert await told.next() == {"app.py"}
        (app / "app.py").write_text("and again")
        assert await told.next() == {"app.py"}

    run(body, app)


def test_a_folder_that_is_not_there_yet(tmp_path):
    async def body(told):
        (tmp_path / "not/there").mkdir(parents=True)
        (tmp_path / "not/there/app.py").write_text("1")
        assert await told.next() == {"app.py"}

    run(body, tmp_path / "not/there")


def test_the_configuration_is_watched_beside_folders_that_are_not_its_own(app, tmp_path):
    config = tmp_path / "etc/sys.toml"
    config.parent.mkdir()
    config.write_text("1")

    async def body(told):
        config.write_text("22")
        assert await told.next() == {"sys.toml"}

    run(body, app, files=[config])


def test_a_link_that_leads_to_itself_is_passed_over(app):
    async def body(told):
        (app / "circle").symlink_to("circle")
        (app / "app.py").write_text("22")
        assert await told.next() == {"app.py"}

    run(body, app)


def test_a_tree_that_git_still_writes_is_waited_for(app):
    lock = app / ".git/index.lock"
    lock.parent.mkdir()
    lock.write_text("")

    async def body(told):
        (app / "app.py").write_text("half of the branch")
        with anyio.move_on_after(0.3):
            await told._receive.receive()
            raise AssertionError("it did not wait")
        for number in range(300):
            (app / f"module{number}.py").write_text("the other half")
        lock.unlink()
        assert len(await told.next()) == 301
        assert told.nothing()

    run(body, app)


@pytest.mark.parametrize(
    ("number", "limit"), [(errno.ENOSPC, "max_user_watches"), (errno.EMFILE, "max_user_instances")]
)
def test_where_the_system_tells_of_no_more_folders_they_are_looked_at(app, monkeypatch, caplog, number, limit):
    def refused(self, snapshot):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(signs.Events, "cover", refused)

    async def body(told):
        (app / "app.py").write_text("22")
        assert await told.next() == {"app.py"}

    with caplog.at_level("INFO", logger="hornbeamd.reload"):
        run(body, app)
    assert f"fs.inotify.{limit}" in caplog.text
