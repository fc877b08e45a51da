"""Threads that take calls of plain functions from a hub (node/hands.py)."""

import asyncio
import contextlib
import os
import signal
import socket
import threading

import pytest

from hornbeamd.errors import CallTimeout, HubGone, NotRegistered
from hornbeamd.hub.wire import Frames, Kind, encode
from hornbeamd.node import calling, install
from hornbeamd.node.calling import Call
from hornbeamd.node.hands import Hands
from tests.support.hubs import Hub
from tests.support.waiting import wait_until


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def nodes(hub):
    """Who calls, and who is called."""
    nodes = [hub.node(who) for who in ("near", "far")]
    for node in nodes:
        node.connect_in_background()
    yield nodes
    for node in nodes:
        node.leave_background()
        node.close()


@pytest.fixture
def near(nodes):
    return nodes[0]


@pytest.fixture
def far(nodes):
    return nodes[1]


def call(node, function, *args, timeout=10.0):
    with calling.timeout(timeout):
        return calling.call(node, Call(f"function:{function}", None, args, {}))


def hands():
    """The threads that take calls, of all nodes."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("hand-")]


class Gate:
    """A function that runs until it is let through."""

    def __init__(self):
        self.began = threading.Semaphore(0)
        self.through = threading.Event()

    def __call__(self, value=None):
        self.began.release()
        assert self.through.wait(10)
        return value

    def begun(self, times=1):
        return all(self.began.acquire(timeout=10) for _ in range(times))


def in_thread(function, *args):
    """Call it in a thread; gives that, and a list of its result or error."""
    found = []

    def run():
        try:
            found.append(function(*args))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


@contextlib.contextmanager
def held_up(node):
    """The event loop of *node* does nothing else within the block."""
    entered, gate = threading.Event(), threading.Event()
    node.post.loop.call_soon_threadsafe(lambda: (entered.set(), gate.wait(10)))
    assert entered.wait(10)
    yield
    gate.set()


def test_a_busy_event_loop_does_not_hold_up_plain_functions(near, far):
    far.offers.register_function("plain", lambda value: (value, threading.current_thread().name[:5]))
    assert call(near, "plain", 1) == (1, "hand-")
    with held_up(far):
        assert call(near, "plain", 2) == (2, "hand-")


def test_threads_are_started_when_there_is_something_for_them_to_do(near, far):
    async def coroutine():
        return "on the loop"

    before, gate = len(hands()), Gate()
    far.offers.register_function("coroutine", coroutine)
    assert call(near, "coroutine") == "on the loop"
    assert len(hands()) == before
    far.offers.register_function("gate", gate)
    wait_until(lambda: len(hands()) == before + 1)
    callers = [in_thread(call, near, "gate") for _ in range(12)]
    assert gate.begun(8)
    assert len(hands()) == before + 8
    assert not gate.began.acquire(blocking=False)
    gate.through.set()
    for caller, found in callers:
        caller.join(10)
        assert found == [None]


def test_a_call_that_was_given_up_keeps_its_thread_and_is_known(hub, near, far):
    far.use_threads(1)
    gate = Gate()
    far.offers.register_function("gate", gate)
    with pytest.raises(CallTimeout):
        call(near, "gate", timeout=0.05)
    wait_until(lambda: far.serving.given_up() is not None)
    later, found = in_thread(call, near, "gate", "later")
    wait_until(lambda: hub.office.status()["names"]["function:gate"] == {"offers": 1, "in_hand": 1, "waiting": 1})
    gate.through.set()
    later.join(10)
    assert found == ["later"]
    assert far.serving.given_up() is None


def test_hands_come_back_to_the_next_hub_and_one_that_is_busy_when_it_has_finished(hub, near, far):
    far.use_threads(1)
    gate, done = Gate(), []
    far.offers.register_function("gate", lambda value: done.append(gate(value)))
    far.offers.register_function("next", lambda: "next")
    caller, found = in_thread(call, near, "gate", "old")
    assert gate.begun()
    hub.kill()
    caller.join(10)
    assert isinstance(found[0], HubGone)
    wait_until(lambda: far.serving.given_up() is not None)
    hub.start()
    wait_until(lambda: hub.office.status()["names"].get("function:next"))
    later, found = in_thread(call, near, "next")
    wait_until(lambda: hub.office.status()["names"]["function:next"]["waiting"])
    gate.through.set()
    later.join(10)
    assert found == ["next"]
    assert done == ["old"]
    for _ in range(3):
        hub.kill()
        hub.start()
        wait_until(lambda: hub.office.status()["names"].get("function:next"))
        assert call(near, "next") == "next"


def test_a_process_that_ends_does_what_was_sent_to_its_hands(hub, near, far):
    """Also what is still unread when it begins to end."""
    before = len(hands())
    far.use_threads(2)
    gate, done = Gate(), []
    far.offers.register_function("gate", lambda value: done.append(gate(value)))
    callers = [in_thread(call, near, "gate", number) for number in range(2)]
    assert gate.begun(2)
    finished = asyncio.run_coroutine_threadsafe(far.finish(10), far.post.loop)
    wait_until(lambda: not hub.office.status()["names"].get("function:gate", {}).get("offers"))
    with pytest.raises(NotRegistered):
        call(near, "gate", 2)
    assert not finished.done()
    gate.through.set()
    assert finished.result(10) is True
    for caller, found in callers:
        caller.join(10)
        assert found == [None]
    assert sorted(done) == [0, 1]
    wait_until(lambda: len(hands()) == before)


def test_what_comes_out_to_be_a_coroutine_takes_no_thread(near, far):
    far.use_threads(1)
    began, ended, gate = threading.Event(), threading.Event(), asyncio.Event()

    async def wait():
        began.set()
        try:
            await gate.wait()
            return "let through"
        finally:
            ended.set()

    far.offers.register_function("wait", lambda: wait())
    far.offers.register_function("plain", lambda: "plain")
    caller, found = in_thread(call, near, "wait")
    assert began.wait(10)
    assert call(near, "plain") == "plain"
    far.post.loop.call_soon_threadsafe(gate.set)
    caller.join(10)
    assert found == ["let through"]

    gate.clear()
    for event in (began, ended):
        event.clear()
    with pytest.raises(CallTimeout):
        call(near, "wait", timeout=0.05)
    assert ended.wait(10)
    assert call(near, "plain") == "plain"


def test_nothing_is_left_of_a_node_that_has_left(hub):
    before = len(hands())
    node = hub.node("short")
    node.connect_in_background()
    node.offers.register_function("f", len)
    wait_until(lambda: len(hands()) == before + 1)
    node.leave_background()
    node.close()
    wait_until(lambda: len(hands()) == before)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_has_hands_of_its_own(near, far):
    far.offers.register_function("f", lambda: "parent")
    assert call(near, "f") == "parent"
    install(far)
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        status = 2
        try:
            asyncio.run(far.publish_async("t", 1))  # so that it is connected
            far.offers.register_function("g", os.getpid)
            os.write(writing, b"x")
            threading.Event().wait()
        finally:
            os._exit(status)
    try:
        assert os.read(reading, 1) == b"x"
        assert call(near, "g") == pid
        assert call(near, "f") == "parent"
    finally:
        install(None)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)
    wait_until(lambda: not near.post.offered("function:g"))


# --- what is heard of a call before it is read, and a system that has no threads ---


def test_what_is_heard_of_a_call_before_a_thread_has_read_it_is_not_lost():
    ours, hubs = socket.socketpair()
    taken = []
    hands = Hands("", 1000, taken.append)
    hands.hear(Kind.CANCEL, 7)
    hands.hear(Kind.CANCEL, 8)
    hands._take(hands._hand(ours), 7, Kind.CALL, "function:f", b"")
    hands._take(hands._hand(ours), 9, Kind.CALL, "function:f", b"")
    told = []
    for job in taken:
        job.on_cancel(lambda job=job: told.append(job.id))
    assert told == [7]
    hands.hear(Kind.CANCEL, 9)
    assert told == [7, 9]
    ours.close()
    hubs.close()


def test_what_is_heard_of_calls_that_are_over_is_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr("hornbeamd.node.hands._EARLY", 10)
    hands = Hands("", 1000, lambda job: None)
    for id in range(100):
        hands.hear(Kind.CANCEL, id)
    assert len(hands._early) == 10


def test_what_was_sent_before_the_end_is_done_though_nobody_has_read_it(tmp_path):
    """Of threads that end nothing is lost: a socket that is shut for reading gives what is in it (unix(7), Linux)."""
    gate = Gate()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "hub"))
    listener.listen()
    hands = Hands(str(tmp_path / "hub"), 1000, lambda job: (gate(), job.done(b"done")))
    hands.open(None, "test", b"key", 1)
    hub, _ = listener.accept()
    for id in (1, 2):
        hub.sendall(encode(Kind.WORK, id, Kind.CALL, "function:f", b""))
    assert gate.begun()
    ended = hands.end()
    assert not ended.done()
    gate.through.set()
    ended.result(10)
    heard = Frames(1000).feed(hub.recv(1 << 16))
    assert [message[0] for message in heard] == [Kind.HELLO, Kind.HAND, Kind.RESULT, Kind.RESULT]
    assert hub.recv(1) == b""
    hub.close()
    listener.close()


def test_when_the_system_has_no_thread_it_is_tried_again(near, far, monkeypatch, caplog):
    start, refused = threading.Thread.start, threading.Event()

    def refuse(thread):
        if thread.name.startswith("hand-") and not refused.is_set():
            refused.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    far.offers.register_function("f", lambda: "done")
    assert call(near, "f") == "done"
    assert refused.is_set()
    assert "there is no thread for calls of plain functions" in caplog.text
