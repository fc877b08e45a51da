"""The lifespan protocol, every way an application can follow or break it (apps/lifespan.py; ASGI lifespan 2.0)."""

import asyncio
import logging
import traceback
from pickle import PicklingError

import pytest

from hornbeamd.apps.lifespan import Lifespan
from hornbeamd.errors import CannotSwap, LifespanError

COMPLETE = {"type": "lifespan.startup.complete"}
TIMEOUT = 0.05

modes = pytest.mark.parametrize("mode", ["auto", "on"])


async def complete(scope, receive, send):
    assert scope["type"] == "lifespan"
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return


async def failed(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def failed_silently(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed"})


async def failed_and_raised(scope, receive, send):
    await failed(scope, receive, send)
    raise ValueError("behind it")


async def hang(scope, receive, send):
    await receive()
    await asyncio.Event().wait()


async def unknown(scope, receive, send):
    raise NotImplementedError(scope["type"])


async def unknown_after_receive(scope, receive, send):
    await receive()
    raise NotImplementedError(scope["type"])


def unknown_at_once(scope, receive, send):
    raise NotImplementedError(scope["type"])


def asgi_2(scope):
    return None


async def wrong_message(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200})


async def returns(scope, receive, send):
    return None


async def exits(scope, receive, send):
    await receive()
    raise SystemExit(3)


def start(app, mode: str) -> Lifespan:
    lifespan = Lifespan(app, mode, TIMEOUT)

    async def run() -> None:
        await lifespan.startup()
        await lifespan.shutdown()

    asyncio.run(run())
    return lifespan


@modes
def test_startup_and_shutdown(mode: str, caplog):
    with caplog.at_level(logging.WARNING):
        start(complete, mode)
    assert not caplog.records


@modes
@pytest.mark.parametrize("app", [failed, failed_and_raised])
def test_a_startup_that_failed_is_refused_with_its_reason(app, mode: str):
    """docs/applications.md: "a startup.failed refuses the start in auto as well"."""
    with pytest.raises(LifespanError, match="no database"):
        start(app, mode)


async def failed_with_a_traceback(scope, receive, send):
    """As Starlette does."""
    try:
        await receive()
        raise ValueError("no database")
    except ValueError:
        await send({"type": "lifespan.startup.failed", "message": traceback.format_exc()})
        raise


@modes
def test_a_traceback_that_is_the_reason_is_told_once(mode: str):
    with pytest.raises(LifespanError, match=r"^lifespan startup failed: ValueError: no database$") as caught:
        start(failed_with_a_traceback, mode)
    assert isinstance(caught.value.__cause__, ValueError)


@modes
def test_a_startup_that_failed_without_a_reason_is_refused(mode: str):
    with pytest.raises(LifespanError):
        start(failed_silently, mode)


@modes
def test_a_startup_that_hangs_is_refused_after_lifespan_timeout(mode: str):
    with pytest.raises(LifespanError, match=r"lifespan\.startup within 0\.05 s \(lifespan_timeout\)") as caught:
        start(hang, mode)
    assert "asyncio.Event().wait()" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("app", [unknown, unknown_after_receive, unknown_at_once, asgi_2, returns])
def test_an_application_that_does_not_know_lifespan_is_served_in_auto(app):
    """ASGI lifespan, "Scope": an exception when called means that the server goes on without."""
    lifespan = start(app, "auto")
    assert lifespan.state == {}


@pytest.mark.parametrize("app", [unknown, unknown_after_receive, unknown_at_once, asgi_2, returns])
def test_an_application_that_does_not_know_lifespan_is_refused_with_on(app):
    with pytest.raises(LifespanError):
        start(app, "on")


@pytest.mark.parametrize("kind", [CannotSwap, PicklingError])
def test_one_that_cannot_start_beside_old_code_knows_lifespan(kind: type[Exception]):
    async def app(scope, receive, send):
        raise kind("pickle would find old classes")

    with pytest.raises(LifespanError, match=f"{kind.__name__}: pickle would find old classes"):
        start(app, "auto")


def test_the_exception_is_the_cause():
    """Its traceback is what the operator needs."""
    with pytest.raises(LifespanError) as caught:
        start(unknown, "on")
    assert isinstance(caught.value.__cause__, NotImplementedError)


def test_a_message_of_another_protocol_is_raised_in_the_application():
    with pytest.raises(LifespanError):
        start(wrong_message, "on")


def test_an_application_that_exits_in_startup_is_refused():
    """sys.exit() in a startup says that it cannot go on: the start fails with its reason, as any other."""
    try:
        start(exits, "on")
    except (LifespanError, SystemExit) as error:
        failure = error
    assert isinstance(failure, LifespanError)
    assert "SystemExit" in str(failure)


def test_off_never_asks():
    async def app(scope, receive, send):
        raise AssertionError("asked")

    start(app, "off")


def test_state_is_what_startup_has_left_there():
    async def app(scope, receive, send):
        scope["state"]["made"] = 1
        await complete(scope, receive, send)

    assert start(app, "on").state == {"made": 1}


def test_state_of_a_startup_that_raised_is_not_kept():
    async def app(scope, receive, send):
        scope["state"]["half"] = 1
        raise NotImplementedError

    assert start(app, "auto").state == {}


async def ends_after_startup(scope, receive, send):
    await receive()
    await send(COMPLETE)


async def dies_after_startup(scope, receive, send):
    await receive()
    await send(COMPLETE)
    raise ValueError("died")


async def hangs_at_shutdown(scope, receive, send):
    await receive()
    await send(COMPLETE)
    await receive()
    await asyncio.Event().wait()


async def fails_at_shutdown(scope, receive, send):
    await receive()
    await send(COMPLETE)
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "cannot"})


async def raises_at_shutdown(scope, receive, send):
    await receive()
    await send(COMPLETE)
    await receive()
    raise ValueError("cannot")


def test_a_lifespan_may_end_after_startup(caplog):
    with caplog.at_level(logging.WARNING):
        start(ends_after_startup, "on")
    assert not caplog.records


@pytest.mark.parametrize("app", [dies_after_startup, hangs_at_shutdown, fails_at_shutdown, raises_at_shutdown])
def test_a_shutdown_that_goes_wrong_is_logged_and_ends(app, caplog):
    """Nothing can be refused any more: the worker goes on ending."""

    async def run() -> None:
        lifespan = Lifespan(app, "on", TIMEOUT)
        await lifespan.startup()
        await asyncio.sleep(0)
        await lifespan.shutdown()

    asyncio.run(run())
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_no_task_is_left_behind():
    """asyncio would complain about a pending one when the loop closes."""

    async def run() -> set:
        for app in (complete, hangs_at_shutdown, ends_after_startup):
            lifespan = Lifespan(app, "on", TIMEOUT)
            await lifespan.startup()
            await lifespan.shutdown()
        with pytest.raises(LifespanError):
            await Lifespan(hang, "on", TIMEOUT).startup()
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(run()) == set()


def test_startup_and_shutdown_run_in_one_task():
    """anyio's task groups and cancel scopes must be left in the Task that has entered them."""
    tasks = []

    async def app(scope, receive, send):
        async def noted():
            tasks.append(asyncio.current_task())
            return await receive()

        await complete(scope, noted, send)

    start(app, "on")
    assert len(tasks) == 2
    assert tasks[0] is tasks[1]


def test_a_startup_that_is_given_up_leaves_nothing_behind():
    """A reload that takes too long is taken back while the new application still starts."""
    ended = []

    async def starts(scope, receive, send):
        try:
            await hang(scope, receive, send)
        finally:
            ended.append(True)

    async def run():
        startup = asyncio.create_task(Lifespan(starts, "auto", 10.0).startup())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        startup.cancel()
        await asyncio.wait([startup])
        await asyncio.sleep(0)
        assert startup.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
    assert ended == [True]
