"""The loop that coroutine functions run in (node/home.py)."""

import asyncio
import threading

from hornbeamd.node import home
from hornbeamd.node.home import Background, Home, fast_loop


def test_outside_the_server_it_is_the_callers_or_one_in_the_background():
    here = Home()

    async def use():
        assert here.loop is asyncio.get_running_loop()

    asyncio.run(use())
    loop = here.loop
    assert loop.is_running()
    assert here.loop is loop
    asyncio.run(use())
    here.close()
    assert loop.is_closed()
    here.close()


def test_in_the_server_it_is_that_of_the_server_wherever_it_is_asked_for():
    here = Home()
    server = Background("server")

    async def use():
        return here.loop

    here.settle(server.loop)
    assert here.loop is asyncio.run(use()) is server.loop
    here.settle(None)
    assert here.loop is not server.loop
    here.close()
    server.stop()


def test_a_loop_in_the_background_runs_until_it_is_stopped_and_cancels_what_runs():
    background = Background("test", fast_loop)
    cancelled = []

    async def wait():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(threading.current_thread().name)

    async def begin():
        background.task = asyncio.ensure_future(wait())
        return threading.current_thread().name

    assert background.run(begin()) == "test"
    background.stop()
    assert cancelled == ["test"]
    assert background.loop.is_closed()


def test_without_uvloop_it_is_that_of_asyncio(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(home.importlib, "import_module", missing)
    loop = fast_loop()
    assert isinstance(loop, asyncio.SelectorEventLoop)
    loop.close()
