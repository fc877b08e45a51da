"""Which mount serves a path, and how mounts start and end (apps/mounts.py)."""

import asyncio
import logging

import pytest

from hornbeamd.apps.mounts import Mounted, Mounts, NotFound
from hornbeamd.errors import LifespanError
from hornbeamd.http.exchange import Exchange, Request
from hornbeamd.http.rules import parse_target


class Named:
    """A handler that notes what happens to it."""

    def __init__(self, name, notes, fails=(), why=None):
        self.name, self.notes, self.fails, self.why = name, notes, fails, why
        self.capacity = 0

    def handle(self, exchange):
        self.notes.append(self.name)

    async def startup(self):
        self._note("start")

    async def shutdown(self):
        self._note("stop")

    def _note(self, what):
        self.notes.append(f"{what} {self.name}")
        if what in self.fails:
            raise RuntimeError(f"no {what}")

    def stuck(self, now):
        return self.why


class Patient(Exchange):
    """An exchange that notes how long it may take, and whether it was answered."""

    def __init__(self, target, method="GET"):
        self.request = Request(method, target, parse_target(target, method), ())
        self.seconds = None
        self.answered = None

    def answer_within(self, seconds):
        self.seconds = seconds

    def answer(self, status, headers=(), text=None):
        self.answered = status


def served(target, *prefixes, method="GET"):
    """The prefix of the mount that serves *target*; None for 404."""
    notes = []
    mounts = Mounts([Mounted(prefix, Named(prefix, notes)) for prefix in prefixes], NotFound(), 0)
    exchange = Patient(target, method)
    mounts.handle(exchange)
    assert len(notes) == (exchange.answered != 404)
    return notes[0] if notes else None


@pytest.mark.parametrize(
    ("target", "prefix"),
    [
        (b"/", "/"),
        (b"/x", "/"),
        (b"/api", "/api"),
        (b"/api/", "/api"),
        (b"/api/x", "/api"),
        (b"/api?x", "/api"),
        (b"/api//x", "/api"),
        (b"/apiv2", "/"),
        (b"/api/v2", "/api/v2"),
        (b"/api/v2/x", "/api/v2"),
        (b"/api/v20", "/api"),
        (b"/API", "/"),
        (b"//api", "/"),
        (b"/x/../api", "/"),
        (b"/api/../x", "/api"),
        (b"/%61pi/x", "/api"),
        (b"/api%2Fx", "/"),
        (b"/api%2fx", "/"),
        (b"/api/v2%2Fx", "/api"),
        (b"/api%252Fx", "/"),
        (b"/%2Fapi", "/"),
        (b"/api%00", "/"),
        (b"/api%3Fx", "/"),
        (b"/caf%C3%A9/x", "/café"),
        (b"http://a/api/x", "/api"),
    ],
)
def test_the_longest_prefix_that_fits_serves(target, prefix):
    assert served(target, "/", "/api", "/api/v2", "/café") == prefix


def test_the_order_of_the_mounts_does_not_matter():
    assert served(b"/api/v2/x", "/api/v2", "/api") == served(b"/api/v2/x", "/api", "/api/v2") == "/api/v2"


def test_where_no_prefix_fits_the_answer_is_404():
    assert served(b"/x", "/api") is None
    assert served(b"*", "/api", method="OPTIONS") is None


def test_the_server_as_a_whole_is_the_root_mounts():
    """RFC 9110, section 9.3.7: OPTIONS * is about no path."""
    assert served(b"*", "/", "/api", method="OPTIONS") == "/"


def test_a_mount_may_have_a_timeout_of_its_own():
    mounts = Mounts([Mounted("/a", Named("a", []), 0.5), Mounted("/b", Named("b", []))], NotFound(), 0)
    patient = [Patient(b"/a"), Patient(b"/b")]
    for exchange in patient:
        mounts.handle(exchange)
    assert [exchange.seconds for exchange in patient] == [0.5, None]


def life(*handlers):
    mounts = Mounts([Mounted(f"/{each.name}", each) for each in handlers], NotFound(), 0)

    async def both():
        await mounts.startup()
        await mounts.shutdown()

    asyncio.run(both())


def test_mounts_start_in_order_and_begin_to_end_in_reverse():
    notes = []
    life(Named("a", notes), Named("b", notes), Named("c", notes))
    assert notes == ["start a", "start b", "start c", "stop c", "stop b", "stop a"]


def test_a_mount_that_refuses_the_start_ends_those_that_have_started():
    notes = []
    with pytest.raises(LifespanError, match="the mount /c: no start"):
        life(Named("a", notes), Named("b", notes, ["stop"]), Named("c", notes, ["start"]), Named("d", notes))
    assert notes == ["start a", "start b", "start c", "stop b", "stop a"]


def test_all_mounts_shut_down_even_when_one_fails(caplog):
    notes = []
    with caplog.at_level(logging.ERROR):
        life(Named("a", notes), Named("b", notes, ["stop"]), Named("c", notes))
    assert notes[3:] == ["stop c", "stop b", "stop a"]
    assert "a mount did not shut down" in caplog.text


def test_a_mount_that_hangs_takes_no_time_from_the_others():
    notes = []

    class Hanging(Named):
        async def shutdown(self):
            await asyncio.Event().wait()

    async def limited():
        mounts = Mounts([Mounted("/a", Named("a", notes)), Mounted("/b", Hanging("b", notes))], NotFound(), 0)
        await mounts.startup()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(mounts.shutdown(), 0.01)

    asyncio.run(limited())
    assert "stop a" in notes


def test_a_mount_that_is_stuck_says_which_it_is():
    mounts = Mounts([Mounted("/a", Named("a", [])), Mounted("/b", Named("b", [], why="all hang"))], NotFound(), 0)
    assert mounts.stuck(1.0) == "mount /b: all hang"
    assert Mounts([Mounted("/a", Named("a", []))], NotFound(), 0).stuck(1.0) is None


def test_a_start_that_is_given_up_ends_those_that_have_started():
    notes = []

    class Hangs(Named):
        async def startup(self):
            await asyncio.Event().wait()

    async def run():
        task = asyncio.create_task(
            Mounts([Mounted("/a", Named("a", notes)), Mounted("/b", Hangs("b", notes))], NotFound(), 0).startup()
        )
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert notes == ["start a", "stop a"]
