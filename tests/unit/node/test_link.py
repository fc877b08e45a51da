"""The link of an event loop, and a hub that says what the test wants; test_hub_link.py has real ones."""

import asyncio

import pytest

from hornbeamd.hub.wire import Frames, Kind, encode
from hornbeamd.node.hands import Hands
from hornbeamd.node.link import Link
from hornbeamd.node.standing import Standing
from hornbeamd.node.subscriptions import Subscriptions


class Transport:
    """Keeps what is written, as messages."""

    def __init__(self):
        self.written = []
        self.frames = Frames(1 << 20)
        self.closed = False

    def set_write_buffer_limits(self, high):
        assert high > 65536

    def write(self, data):
        self.written += [[Kind(message[0]), *message[1:]] for message in self.frames.feed(data)]

    def abort(self):
        self.closed = True

    close = abort

    def get_extra_info(self, name):
        return None


class Met(Link):
    """A link that is connected to a transport of the test's, from the start."""

    def __init__(self):
        self.jobs = []
        self.hands = Hands("", 1000, self.jobs.append)
        self.standing = Standing(Subscriptions(lambda pattern: None))
        super().__init__("", "test", 1000, self.standing, self.hands, self.jobs.append)
        self.transport = Transport()

    async def _keep_connected(self):
        """The test does."""

    def begin(self):
        self.start()
        self.connection_made(self.transport)
        assert self.transport.written.pop(0)[0] == Kind.HELLO
        return self

    def hear(self, *message):
        self.data_received(encode(*message))

    async def asked(self, kind):
        """Let those who ask have their turn; gives the id of what was asked last."""
        await asyncio.sleep(0)
        return [message for message in self.transport.written if message[0] == kind][-1][1]


def run(test):
    asyncio.run(asyncio.wait_for(test(), 10))


@pytest.mark.parametrize("kind", [Kind.CANCEL, Kind.MORE])
def test_ids_of_the_hub_are_others_than_ours(kind):
    async def test():
        link = Met().begin()
        call = asyncio.create_task(link.ask(5, Kind.CALL, "function:f", b""))
        id = await link.asked(Kind.CALL)
        link.hear(Kind.WORK, id, Kind.STREAM, "function:g", b"")
        told = []
        link.jobs[0].on_cancel(lambda: told.append("cancelled"))
        link.hear(kind, id) if kind == Kind.CANCEL else link.hear(kind, id, 5)
        await asyncio.sleep(0)
        assert not call.done()
        assert told == (["cancelled"] if kind == Kind.CANCEL else [])
        link.hear(Kind.RESULT, id, b"ours")
        assert (await call)[2] == b"ours"
        link.hear(kind, 999, *([5] if kind == Kind.MORE else []))  # of a job that is over

    run(test)


def test_what_comes_too_late_is_nobodys():
    async def test():
        link = Met().begin()
        with pytest.raises(TimeoutError):
            await link.ask(0.01, Kind.CALL, "function:f", b"")
        old = await link.asked(Kind.CALL)
        assert link.transport.written[-1] == [Kind.CANCEL, old]
        link.transport.written.clear()
        call = asyncio.create_task(link.ask(5, Kind.CALL, "function:f", b""))
        new = await link.asked(Kind.CALL)
        link.hear(Kind.RESULT, old, b"the previous answer")
        link.hear(Kind.RESULT, new, b"its own")
        assert (await call)[2] == b"its own"

    run(test)


@pytest.mark.parametrize("how", ["late", "cancelled"])
def test_a_lock_that_comes_when_nobody_waits_any_more_is_given_back(how):
    async def test():
        link = Met().begin()
        waiting = asyncio.create_task(link.lock(0.01 if how == "late" else 5, b"k"))
        id = await link.asked(Kind.LOCK)
        future = link._asked[id]
        if how == "late":
            # Its time is over, and it is there, before the Task has its turn.
            future.set_exception(TimeoutError())
            link.hear(Kind.DONE, id)
            assert await waiting is None
        else:
            link.hear(Kind.DONE, id)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert link.transport.written[-1] == [Kind.UNLOCK, id]

    run(test)


def test_nothing_is_written_while_the_hub_does_not_read():
    async def test():
        link = Met().begin()
        link.pause_writing()
        asking = asyncio.create_task(link.ask(5, Kind.PUBLISH, "t", b""))
        with pytest.raises(TimeoutError):
            await link.tell(0.01, Kind.CAST, "function:f", b"")
        assert not link.transport.written
        link.resume_writing()
        link.hear(Kind.COUNT, await link.asked(Kind.PUBLISH), 3)
        assert (await asking)[2] == 3

    run(test)


def test_a_hub_that_is_not_understood_is_left():
    async def test():
        link = Met().begin()
        link.data_received(b"\xff" * 8)
        assert link.transport.closed

    run(test)


def test_a_child_that_is_forked_while_the_connection_closes_has_nothing_to_let_go_of():
    async def test():
        Met().begin().after_fork()

    run(test)
