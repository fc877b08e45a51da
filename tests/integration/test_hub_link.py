"""The two ways to the hub: what is lost with it, what comes back, and what a time-out leaves behind."""

import asyncio
import os
import signal
import socket
import struct
import threading
import time
import traceback
from contextlib import ExitStack, suppress
from typing import NamedTuple

import pytest
import uvloop

from hornbeamd.config.options import Options
from hornbeamd.errors import CallError, CallTimeout, HubGone, NotRegistered
from hornbeamd.node import Place, install, joined
from tests.support.hubs import Hub
from tests.support.waiting import wait_until


class Echo:
    """Works on jobs as their payload says; keeps them in ``jobs``."""

    def __init__(self):
        self.jobs = []
        self.cancelled = []

    def take(self, job):
        self.jobs.append(job)
        job.on_cancel(lambda: self.cancelled.append(job.payload))
        match job.payload:
            case b"raise":
                job.failed(KeyError("lost"))
            case b"huge":
                job.done(bytes(4 << 20))
            case payload if payload.startswith(b"late"):
                pass  # the test answers, or nobody
            case payload if payload.startswith(b"after"):
                asyncio.get_running_loop().call_later(float(payload[6:]), job.done, b"of " + payload)
            case payload if job.streamed:
                self.task = asyncio.ensure_future(self.count(job, int(payload)))
            case payload:
                job.done(payload.upper())

    async def count(self, job, number):
        for each in range(number):
            self.sent = each
            await job.chunk(str(each).encode())
        job.end()


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def hub(stack):
    hub = Hub()
    stack.callback(hub.close)
    return hub


@pytest.fixture
def join(hub, stack):
    def join(who="test"):
        node = hub.node(who)
        node.connect_in_background()
        stack.callback(node.leave_background)
        return node

    return join


@pytest.fixture
def echo(join):
    """Another process, as far as the hub knows."""
    node = join("echo")
    servant = node.post.servant = Echo()
    servant.post = node.post
    node.post.offer("echo", 0)
    return servant


@pytest.fixture(params=["threads", "asyncio", "uvloop", "another loop"])
def post(request, hub, stack, join):
    """A post whose ways are all blocking, whichever it is that is tried."""
    if request.param in ("threads", "another loop"):
        node = join()
        if request.param == "threads":
            return node.post
    new_loop = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    runner = stack.enter_context(asyncio.Runner(loop_factory=new_loop))
    thread = threading.Thread(target=runner.get_loop().run_forever)
    thread.start()
    stack.callback(thread.join)
    stack.callback(runner.get_loop().call_soon_threadsafe, runner.get_loop().stop)
    if request.param == "another loop":
        return Blocking(node.post.aio, runner.get_loop())
    node = hub.node()
    post = Blocking(node.post.aio, runner.get_loop())
    post.run(node.connect())
    stack.callback(lambda: post.run(node.leave()))
    return post


class Blocking:
    def __init__(self, aio, loop):
        self.aio = aio
        self.loop = loop

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def publish(self, topic, payload):
        return self.run(self.aio.publish(topic, payload))

    def call(self, name, payload, timeout):
        return self.run(self.aio.call(name, payload, timeout))

    def cast(self, name, payload):
        return self.run(self.aio.cast(name, payload))

    def stream(self, name, payload, timeout):
        chunks = self.aio.stream(name, payload, timeout)
        try:
            while (chunk := self.run(anext(chunks, None))) is not None:
                yield chunk
        finally:
            self.run(chunks.aclose())

    def lock(self, key, timeout):
        return BlockingContext(self, self.aio.lock(key, timeout))


class BlockingContext:
    def __init__(self, blocking, context):
        self.blocking = blocking
        self.context = context

    def __enter__(self):
        return self.blocking.run(self.context.__aenter__())

    def __exit__(self, *error):
        return self.blocking.run(self.context.__aexit__(*error))


# --- calls ---


def test_calls_are_answered(post, echo):
    assert [post.call("echo", payload, 10) for payload in (b"a", b"b", b"c" * 100_000)] == [b"A", b"B", b"C" * 100_000]


def test_what_a_function_raises_arrives_by_type_and_text(post, echo):
    with pytest.raises(CallError) as caught:
        post.call("echo", b"raise", 10)
    assert (caught.value.type, caught.value.text) == ("KeyError", "'lost'")


def test_a_name_that_nobody_offers(post, hub):
    with pytest.raises(NotRegistered, match="nothing"):
        post.call("nothing", b"", 10)
    post.cast("nothing", b"")


def test_a_cast_runs_and_is_not_waited_for(post, echo):
    post.cast("echo", b"x")
    job = wait_until(lambda: echo.jobs and echo.jobs[0])
    assert (job.payload, job.wanted, job.streamed) == (b"x", False, False)


def test_what_is_too_large_is_said_by_whom_it_comes_from(hub, stack):
    caller, servant = hub.node("a", max_message_size=1 << 20), hub.node("b", max_message_size=1 << 20)
    for node in (caller, servant):
        node.connect_in_background()
        stack.callback(node.leave_background)
    servant.post.servant = Echo()
    servant.post.offer("echo", 0)
    with pytest.raises(ValueError, match="max_message_size"):
        caller.post.call("echo", bytes(2 << 20), 10)
    with pytest.raises(CallError, match="max_message_size") as caught:
        caller.post.call("echo", b"huge", 10)
    assert caught.value.type == "ValueError"
    assert caller.post.call("echo", b"fine", 10) == b"FINE"


def test_a_timeout_leaves_nothing_behind(post, echo):
    """The next caller never gets the previous answer, and the function is told that nobody waits."""
    for number in range(5):
        late = b"late %d" % number
        with pytest.raises(CallTimeout):
            post.call("echo", late, 0.02)
        wait_until(lambda late=late: late in echo.cancelled)
        echo.post._link.loop.call_soon_threadsafe(echo.jobs[-1].done, b"the previous answer")
        assert post.call("echo", b"next", 10) == b"NEXT"


def test_an_answer_at_the_very_moment_of_the_timeout_is_nobody_elses(post, echo):
    """Answers are sent before, at and after the time-out of their calls; whatever arrives is the own one."""
    for number in range(30):
        delay = b"after %.4f" % (0.008 + number % 10 * 0.0005)
        with suppress(CallTimeout):
            assert post.call("echo", delay, 0.01) == b"of " + delay
    assert post.call("echo", b"next", 10) == b"NEXT"


def test_a_cancelled_call_is_cancelled_where_it_runs(hub, join, echo):
    node = join()

    async def main():
        task = asyncio.create_task(node.post.aio.call("echo", b"late", 10))
        await asyncio.to_thread(wait_until, lambda: echo.jobs)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    wait_until(lambda: echo.cancelled)


# --- streams ---


def test_a_stream_comes_in_parts_and_in_order(post, echo):
    assert list(post.stream("echo", b"100", 10)) == [str(number).encode() for number in range(100)]
    assert post.call("echo", b"next", 10) == b"NEXT"


def test_a_stream_runs_ahead_by_its_credit_only(post, echo):
    chunks = post.stream("echo", b"1000", 10)
    assert next(chunks) == b"0"
    wait_until(lambda: echo.sent == 16)
    for _ in range(20):
        next(chunks)
    wait_until(lambda: echo.sent >= 24)
    assert echo.sent <= 21 + 16
    chunks.close()
    wait_until(lambda: echo.cancelled == [b"1000"])
    assert wait_until(echo.task.done)
    assert post.call("echo", b"next", 10) == b"NEXT"


def test_a_stream_that_raises_or_takes_too_long(post, echo):
    with pytest.raises(CallError, match="lost"):
        list(post.stream("echo", b"raise", 10))
    with pytest.raises(CallTimeout):
        list(post.stream("echo", b"late", 0.02))
    with pytest.raises(NotRegistered):
        list(post.stream("nothing", b"", 10))
    assert post.call("echo", b"next", 10) == b"NEXT"


# --- locks ---


def test_a_lock_is_held_by_one(post, hub, join):
    other = join()
    with post.lock(b"k", 10):
        assert hub_locks(hub) == 1
        began = time.monotonic()
        with other.post.lock(b"k", 0.05):  # in vain, and so without it
            assert time.monotonic() - began >= 0.05
        with other.post.lock(b"another", 10):
            pass
    with other.post.lock(b"k", 10):
        pass
    wait_until(lambda: hub_locks(hub) == 0)


def test_who_is_cancelled_while_waiting_for_a_lock_waits_no_longer(hub, join):
    node = join()

    async def main():
        async def enter():
            async with node.post.aio.lock(b"k", 10):
                raise AssertionError("entered")

        task = asyncio.create_task(enter())
        await asyncio.to_thread(wait_until, lambda: hub.office.locks.status()["waiting"] == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with node.post.lock(b"k", 10):
        asyncio.run(main())
        wait_until(lambda: hub.office.locks.status() == {"held": 1, "waiting": 0})
    wait_until(lambda: hub_locks(hub) == 0)


def hub_locks(hub):
    return hub.office.locks.status()["held"]


def test_without_a_hub_a_lock_is_not_waited_for_long(post, hub):
    hub.kill()
    entered = False
    with post.lock(b"k", 0.05):
        entered = True
    assert entered
    hub.start()


# --- a process that does not read ---


def test_who_does_not_read_is_told_what_it_missed(hub, join):
    reader, writer = join("reader"), join("writer")
    with reader.subscribe("t:*") as messages, reader.subscribe("t:5") as others:
        gate = threading.Event()
        reader.post.loop.call_soon_threadsafe(gate.wait)
        counts = [writer.publish(f"t:{number % 10}", bytes(100_000)) for number in range(100)]
        gate.set()
        reached = sum(count > 0 for count in counts)
        assert 40 <= reached < 100  # 4 MiB wait in the hub
        wait_until(lambda: messages.missed == 100 - reached)
        assert sum(counts) + messages.missed + others.missed == 110
        assert len([messages.get(10) for _ in range(reached)]) == reached
        assert writer.publish("t:5", "again") == 2
        assert messages.get(10) == "again"


# --- the hub dies ---


def test_subscriptions_and_offers_are_said_again_to_the_next_hub(hub, join, echo):
    node = join()
    with node.subscribe("room:*") as messages:
        for number in range(3):
            hub.kill()
            hub.start()
            # The one that publishes may be back before the one that is subscribed.
            wait_until(lambda number=number: node.publish("room:1", number))
            assert messages.get(10) == number
            wait_until(lambda: hub.office.calls.status(10).get("echo"))
            assert node.post.call("echo", b"again", 10) == b"AGAIN"
        assert messages.missed == 0
    wait_until(lambda: hub.office.topics.count("room:*") == 0)


def test_what_is_entered_while_there_is_no_hub_waits_for_it(hub, join):
    node = join()
    hub.kill()
    starter = threading.Timer(0.05, hub.start)
    starter.start()
    with node.subscribe("t") as messages:
        assert node.publish("t", 1) == 1
        assert messages.get(10) == 1
    starter.join()


def test_calls_in_flight_raise_and_publishes_count_nobody(post, hub, echo):
    killer = threading.Thread(target=lambda: (wait_until(lambda: echo.jobs), hub.kill()))
    killer.start()
    with pytest.raises(HubGone):
        post.call("echo", b"late", 20)
    killer.join()
    wait_until(lambda: echo.cancelled)
    hub.start()
    wait_until(lambda: hub.office.calls.status(10).get("echo"))
    assert post.call("echo", b"next", 10) == b"NEXT"


def test_a_stream_ends_with_its_hub(post, hub, echo):
    chunks = post.stream("echo", b"100", 10)
    for _ in range(7):
        next(chunks)
    wait_until(lambda: echo.sent == 16)  # so that some are here already, and more are asked for when there is no hub
    hub.kill()
    with pytest.raises(HubGone):
        list(chunks)
    hub.start()


def test_publishing_without_a_hub_reaches_nobody_and_loses_no_time(post, hub, monkeypatch):
    monkeypatch.setattr("hornbeamd.node.hubpost.PATIENCE", 0.05)
    hub.kill()
    assert post.publish("t", b"\x01") == 0
    post.cast("t", b"\x01")
    hub.start()


def test_nobody_listens_any_more(hub, join, monkeypatch):
    monkeypatch.setattr("hornbeamd.node.hubpost.PATIENCE", 0.05)
    node = join()
    hub.close()
    assert node.publish("t", 1) == 0
    with pytest.raises(HubGone):
        node.post.call("echo", b"", 0.05)


def test_a_process_that_has_left_has_no_link(hub):
    node = hub.node()
    node.connect_in_background()
    node.leave_background()
    with pytest.raises(HubGone):
        asyncio.run(node.post.aio.call("echo", b"", 1))
    assert node.publish("t", 1) == 0  # a thread opens a connection of its own
    node.post._direct.close()


# --- forks ---


def in_child(function):
    """Run *function* in a forked child; whether it gave something true."""
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        try:
            os._exit(0 if function() else 1)
        except BaseException:
            traceback.print_exc()
        os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(hub, join, echo):
    node = join()
    assert node.post.call("echo", b"a", 10) == b"A"
    with node.subscribe("t") as messages:

        def child():
            assert node.post.call("echo", b"b", 10) == b"B"
            with node.subscribe("t") as own:
                assert node.publish("t", "from the child") == 2
                assert own.get(10) == "from the child"
            return asyncio.run(node.post.aio.call("echo", b"c", 10)) == b"C"

        install(node)
        try:
            assert in_child(child)
        finally:
            install(None)
        assert messages.get(10) == "from the child"
        assert node.publish("t", "from the parent") == 1
        assert messages.get(10) == "from the parent"
    assert node.post.call("echo", b"d", 10) == b"D"


# --- what is no hub ---


@pytest.fixture
def stranger(tmp_path):
    """A socket on which somebody listens who is no hub, and answers everything with the same bytes."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "hub"))
    listener.listen()
    met = []

    def answer():
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                met.append(client)
                client.sendall(struct.pack("<I", 0xFFFFFFFF) + b"junk")

    thread = threading.Thread(target=answer)
    thread.start()
    yield Stranger(Place(str(tmp_path), str(tmp_path)), met)
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    for client in met:
        client.close()
    listener.close()


class Stranger(NamedTuple):
    place: Place
    met: list


def test_who_is_no_hub_is_left_and_tried_again(stranger):
    node = joined(stranger.place, Options(), "test")
    with pytest.raises(HubGone):
        node.post.call("echo", b"", 10)
    node.connect_in_background()
    wait_until(lambda: len(stranger.met) >= 3)  # the thread's, and two of the link
    node.leave_background()
