"""The Task an ASGI application runs in: what asyncio, contextvars and anyio promise holds inside of it."""

import asyncio
import contextvars
import threading

import anyio
import anyio.lowlevel
import pytest

from tests.support.applications import answer, asgi, begin, head, part, post, read_body
from tests.support.waiting import wait_until

both_loops = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@both_loops
def test_current_task_is_the_requests_own(loop: str):
    """asyncio.current_task() is a Task, the same before and after every await, and another for each request."""
    tasks = []

    async def app(scope, receive, send):
        mine = [asyncio.current_task()]
        await receive()
        mine.append(asyncio.current_task())
        await asyncio.sleep(0)
        mine.append(asyncio.current_task())
        await begin(send)
        await part(send, b"x")
        mine.append(asyncio.current_task())
        await part(send, b"", more_body=False)
        mine.append(asyncio.current_task())
        tasks.append(mine)

    with asgi(app, loop) as served, served.client() as client:
        for _ in range(3):
            assert client.request(head()).status == 200
        wait_until(lambda: len(tasks) == 3)
    assert all(isinstance(task, asyncio.Task) for mine in tasks for task in mine)
    assert all(len(set(mine)) == 1 for mine in tasks)
    assert len({mine[0] for mine in tasks}) == 3


def test_the_task_is_known_to_asyncio():
    """asyncio.all_tasks() has it while it runs."""
    seen = []

    async def app(scope, receive, send):
        seen.append(asyncio.current_task() in asyncio.all_tasks())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task() in asyncio.all_tasks())
        await answer(send, b"x")

    with asgi(app) as served:
        served.get()
    assert seen == [True, True]


@both_loops
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("pipelined", [False, True])
def test_contextvars_are_the_requests_own(loop: str, waits: bool, pipelined: bool):
    """What one request sets, neither the next on its connection nor one on another sees."""
    seen = []

    async def app(scope, receive, send):
        seen.append(variable.get())
        variable.set(scope["path"])
        if waits:
            await asyncio.sleep(0)
        await answer(send, variable.get().encode())

    targets = [f"/{number}" for number in range(5)]
    with asgi(app, loop) as served, served.client() as client, served.client() as other:
        if pipelined:
            client.send(b"".join(head(target) for target in targets))
        for target in targets:
            if not pipelined:
                client.send(head(target))
            assert client.read_response().body == target.encode()
        other.request(head("/other"))
    assert set(seen) == {"unset"}


@both_loops
def test_contextvars_do_not_leak_through_a_large_body(loop: str):
    """Reading is paused and resumed from within the application: its context must not stay with the connection."""
    seen = []

    async def app(scope, receive, send):
        seen.append(variable.get())
        variable.set("leaked")
        await asyncio.sleep(0.01)
        await answer(send, b"%d" % len(await read_body(receive)))

    with asgi(app, loop) as served, served.client() as client:
        for _ in range(3):
            assert client.request(post(b"x" * 600_000)).body == b"600000"
        client.send((post(b"x" * 100_000) + head()) * 3)
        for _ in range(6):
            assert client.read_response().status == 200
    assert seen == ["unset"] * 9


def test_contextvars_cross_to_threads_and_tasks():
    """As under any asyncio program: to_thread and create_task see what the request has set."""

    async def app(scope, receive, send):
        variable.set("mine")
        by_thread = await asyncio.to_thread(variable.get)

        async def child():
            return variable.get()

        await answer(send, f"{by_thread} {await asyncio.create_task(child())}".encode())

    with asgi(app) as served:
        assert served.get().body == b"mine mine"


@pytest.mark.parametrize("first", [False, True], ids=["after an await", "at once"])
def test_anyio_cancel_scopes_work(first: bool):
    """Starlette stands on them: a scope cancels the host task's awaits and nothing else."""

    async def app(scope, receive, send):
        if not first:
            await asyncio.sleep(0)
        with anyio.move_on_after(0.02) as cancelled:
            await anyio.sleep(10)
        assert cancelled.cancelled_caught
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.02):
                await anyio.Event().wait()
        await answer(send, b"moved on")

    with asgi(app) as served, served.client() as client:
        for _ in range(2):
            assert client.request(head()).body == b"moved on"


def test_anyio_task_groups_work():
    """A listener for the disconnect beside the stream, ended when the stream is (as Starlette does it)."""
    listening = []

    async def app(scope, receive, send):
        await read_body(receive)
        async with anyio.create_task_group() as group:

            async def listen():
                listening.append(1)
                try:
                    await receive()
                finally:
                    listening.pop()

            group.start_soon(listen)
            await begin(send)
            for _ in range(3):
                await part(send, b"x")
                await anyio.lowlevel.checkpoint()
            await part(send, b"", more_body=False)
            group.cancel_scope.cancel()

    with asgi(app) as served, served.client() as client:
        for _ in range(3):
            assert client.request(head()).body == b"xxx"
        wait_until(lambda: not listening)


def test_asyncio_timeout_works():
    """asyncio.timeout needs the current task, and to know whose cancellation it is."""

    async def app(scope, receive, send):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await asyncio.sleep(10)
        assert asyncio.current_task().cancelling() == 0
        await answer(send, b"timed out")

    with asgi(app) as served:
        assert served.get().body == b"timed out"


def test_background_work_goes_on_after_the_answer():
    """FastAPI's background tasks run after the response in the same Task."""
    done = threading.Event()

    async def app(scope, receive, send):
        await answer(send, b"answered")
        await asyncio.sleep(0.05)
        done.set()

    with asgi(app) as served, served.client() as client:
        assert client.request(head()).body == b"answered"
        assert client.request(head()).body == b"answered"
        assert done.wait(5)


def test_background_work_goes_on_when_the_client_goes():
    """The client has its answer and closes: nothing is cancelled."""
    done = threading.Event()

    async def app(scope, receive, send):
        await answer(send, b"answered")
        await asyncio.sleep(0.1)
        done.set()

    with asgi(app) as served:
        served.get()
        assert done.wait(5)


def test_what_is_opened_in_a_request_is_closed_in_it():
    """Dependencies with yield are left after the answer, in the Task that entered them."""
    order = []

    async def dependency():
        order.append(asyncio.current_task())
        try:
            yield
        finally:
            order.append(asyncio.current_task())

    async def app(scope, receive, send):
        resource = dependency()
        await anext(resource)
        await answer(send, b"x")
        await resource.aclose()

    with asgi(app) as served:
        served.get()
        wait_until(lambda: len(order) == 2)
    assert order[0] is order[1]


def test_callable_objects_and_partials_are_applications():
    """ASGI spec "Applications": a single asynchronous callable, of whatever kind."""

    class Application:
        async def __call__(self, scope, receive, send):
            await answer(send, b"object")

    with asgi(Application()) as served:
        assert served.get().body == b"object"
