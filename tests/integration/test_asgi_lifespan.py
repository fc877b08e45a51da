"""ASGI lifespan around a server that serves (ASGI spec, lifespan protocol 2.0)."""

import asyncio
import threading

import pytest

from hornbeamd.errors import LifespanError
from tests.support.applications import answer, asgi, head
from tests.support.waiting import wait_until


def lifespan(events, startup=None, shutdown=None, http=None):
    """An application that notes its lifespan."""

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await (http or default)(scope, receive, send)
            return
        assert (await receive())["type"] == "lifespan.startup"
        events.append("startup")
        if startup is not None:
            await startup(scope)
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        events.append("shutdown")
        if shutdown is not None:
            await shutdown(scope)
        await send({"type": "lifespan.shutdown.complete"})

    async def default(scope, receive, send):
        events.append("request")
        await answer(send, b"x")

    return app


def test_startup_comes_before_the_first_request_and_shutdown_after_the_last():
    events = []
    with asgi(lifespan(events), lifespan="on") as served:
        served.get()
        served.get()
    assert events == ["startup", "request", "request", "shutdown"]


def test_startup_runs_in_the_loop_that_serves():
    """docs/applications.md: what startup makes belongs to the loop, and its tasks go on running."""
    ticks = []
    loops = set()

    async def startup(scope):
        loops.add(asyncio.get_running_loop())

        async def tick():
            while True:
                ticks.append(1)
                await asyncio.sleep(0.005)

        scope["state"]["ticker"] = asyncio.create_task(tick())

    async def shutdown(scope):
        scope["state"]["ticker"].cancel()

    async def http(scope, receive, send):
        loops.add(asyncio.get_running_loop())
        assert not scope["state"]["ticker"].done()
        await answer(send, b"x")

    with asgi(lifespan([], startup, shutdown, http), lifespan="on") as served:
        assert served.get().status == 200
        count = len(ticks)
        wait_until(lambda: len(ticks) > count + 3)
    assert len(loops) == 1


def test_each_request_gets_a_copy_of_the_state():
    """ASGI spec "Lifespan State": a shallow copy for every request."""
    seen = []
    shared = object()

    async def startup(scope):
        scope["state"].update(count=0, shared=shared)

    async def http(scope, receive, send):
        seen.append((scope["state"]["count"], scope["state"]["shared"] is shared))
        scope["state"]["count"] += 1
        scope["state"]["added"] = 1
        assert set(scope["state"]) == {"count", "shared", "added"}
        await answer(send, b"x")

    with asgi(lifespan([], startup, None, http), lifespan="on") as served, served.client() as client:
        for _ in range(3):
            assert client.request(head()).status == 200
    assert seen == [(0, True)] * 3


def test_requests_that_still_run_are_cancelled_before_shutdown():
    """No request runs any more when the application tears down what they use."""
    events = []

    async def http(scope, receive, send):
        events.append("request")
        try:
            await asyncio.sleep(60)
        finally:
            events.append("cancelled")

    async def shutdown(scope):
        await asyncio.sleep(0.01)
        events.append("torn down")

    with asgi(lifespan(events, None, shutdown, http), lifespan="on") as served, served.client() as client:
        client.send(head())
        wait_until(lambda: "request" in events)
    assert events == ["startup", "request", "cancelled", "shutdown", "torn down"]


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_startup_that_fails_refuses_the_start(mode: str):
    """docs/applications.md: in auto as well; the reason is in the error."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(LifespanError, match="no database"), asgi(app, lifespan=mode):
        raise AssertionError("it serves")


def test_an_application_without_lifespan_serves_in_auto():
    async def app(scope, receive, send):
        assert scope["type"] == "http", scope["type"]
        await answer(send, b"x")

    with asgi(app, lifespan="auto") as served:
        assert served.get().body == b"x"


def test_requests_that_are_cut_clean_up_before_the_lifespan_ends():
    """What a request does in its finally may need what startup has made."""
    ends = []
    inside = threading.Event()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            ends.append("lifespan")
            await send({"type": "lifespan.shutdown.complete"})
            return
        try:
            inside.set()
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ends.append("request")

    with asgi(app, lifespan="on") as served, served.client() as client:
        client.send(head())
        assert inside.wait(5)
    assert ends == ["request", "lifespan"]
