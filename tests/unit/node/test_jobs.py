"""A call from another process, while it is worked on here: what is said to the hub, and when."""

import asyncio
import threading

import pytest

from hornbeamd.hub.wire import CREDIT, Kind, Reason
from hornbeamd.node.jobs import HandJob, HubJob, described


class Outlet:
    def __init__(self, limit=1000):
        self.sent = []
        self.ended = []
        self.limit = limit

    def send(self, *message):
        if any(isinstance(item, bytes) and len(item) > self.limit for item in message):
            raise ValueError("too large")
        self.sent.append(message)

    def over(self, id):
        self.ended.append(id)


@pytest.fixture
def outlet():
    return Outlet()


def job(outlet, mode=Kind.CALL):
    return HubJob(outlet, 7, mode, "function:f", b"payload")


def test_it_is_answered_once(outlet):
    call = job(outlet)
    assert (call.wanted, call.streamed) == (True, False)
    call.done(b"result")
    call.done(b"another")
    call.failed(ValueError())
    call.end()
    call.cancel()
    assert outlet.sent == [(Kind.RESULT, 7, b"result")]
    assert outlet.ended == [7]


def test_what_it_raised_is_told(outlet):
    job(outlet).failed(KeyError("k"))
    assert outlet.sent == [(Kind.ERROR, 7, Reason.RAISED, "KeyError", "'k'")]


def test_what_is_not_registered_any_more_was_not_raised_by_it(outlet):
    job(outlet).unknown()
    assert outlet.sent == [(Kind.ERROR, 7, Reason.UNKNOWN, "", "")]
    assert outlet.ended == [7]


def test_a_result_that_is_too_large_is_its_error(outlet):
    job(outlet).done(bytes(1001))
    assert outlet.sent == [(Kind.ERROR, 7, Reason.RAISED, "ValueError", "too large")]
    assert outlet.ended == [7]


def test_of_a_cast_it_is_told_only_that_it_is_over(outlet):
    cast = job(outlet, Kind.CAST)
    assert not cast.wanted
    cast.done(b"result")
    assert outlet.sent == [(Kind.RESULT, 7, b"")]


def test_who_is_cancelled_is_told_once_and_frees_its_slot_when_it_is_over(outlet):
    call, told = job(outlet), []
    call.on_cancel(lambda: told.append(1))
    call.on_cancel(lambda: told.append(2))
    call.cancel()
    call.cancel()
    assert told == [1, 2]
    call.on_cancel(lambda: told.append(3))  # it is, already
    assert told == [1, 2, 3]
    assert not outlet.sent
    call.done(b"nobody wants it")
    assert outlet.sent == [(Kind.RESULT, 7, b"")]


@pytest.mark.parametrize(("mode", "told"), [(Kind.CALL, [1]), (Kind.STREAM, [1]), (Kind.CAST, [])])
def test_with_the_hub_goes_who_waits_and_to_the_next_hub_nothing_is_said(outlet, mode, told):
    call, heard = job(outlet, mode), []
    call.on_cancel(lambda: heard.append(1))
    call.lose()
    call.done(b"result")
    assert heard == told
    assert not outlet.sent
    assert outlet.ended == [7]


def test_parts_are_sent_as_far_as_the_caller_takes_them(outlet):
    async def main():
        stream = job(outlet, Kind.STREAM)
        assert stream.streamed

        async def send():
            for number in range(CREDIT + 5):
                await stream.chunk(b"%d" % number)
            stream.end()

        task = asyncio.create_task(send())
        await asyncio.sleep(0)
        assert [message[0] for message in outlet.sent] == [Kind.CHUNK] * CREDIT
        stream.more(3)
        await asyncio.sleep(0)
        assert len(outlet.sent) == CREDIT + 3
        stream.more(100)
        await task

    asyncio.run(main())
    assert outlet.sent[-2:] == [(Kind.CHUNK, 7, b"20"), (Kind.END, 7)]


@pytest.mark.parametrize("end", ["cancel", "lose"])
def test_who_waits_to_send_a_part_is_woken_at_the_end(outlet, end):
    async def main():
        stream = job(outlet, Kind.STREAM)

        async def send():
            while True:
                await stream.chunk(b"")

        task = asyncio.create_task(send())
        await asyncio.sleep(0)
        getattr(stream, end)()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError


def test_exceptions_are_described():
    assert described(ValueError("x")) == ("ValueError", "x")
    assert described(asyncio.CancelledError()) == ("asyncio.exceptions.CancelledError", "")
    assert described(Unspeakable()) == (f"{__name__}.Unspeakable", "(an error that cannot be shown)")
    assert len(described(ValueError("x" * 100_000))[1]) == 16 * 1024
    assert described(ValueError("\ud800"))[1] == "?"


# --- in a thread ---


def held(outlet, mode=Kind.STREAM):
    return HandJob(outlet, 7, mode, "function:f", b"payload", lambda job, take: take(job))


def in_thread(function):
    """Run *function* in a thread; gives that, and what it gave or raised."""
    found = []

    def run():
        try:
            found.append(function())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def test_parts_of_a_thread_wait_until_the_caller_can_take_them(outlet):
    stream = held(outlet)
    for _ in range(CREDIT):
        stream.chunk(b"part")
    thread, _ = in_thread(lambda: stream.chunk(b"one more"))
    assert len(outlet.sent) == CREDIT
    stream.more(1)
    thread.join(10)
    stream.end()
    assert outlet.sent[CREDIT:] == [(Kind.CHUNK, 7, b"one more"), (Kind.END, 7)]


@pytest.mark.parametrize("end", ["cancel", "lose"])
def test_a_thread_that_waits_for_its_caller_is_told_that_he_is_gone(outlet, end):
    stream, told = held(outlet), []
    stream.on_cancel(lambda: told.append("cancelled"))
    for _ in range(CREDIT):
        stream.chunk(b"part")
    thread, found = in_thread(lambda: stream.chunk(b"one more"))
    getattr(stream, end)()
    thread.join(10)
    assert isinstance(found[0], asyncio.CancelledError)
    assert told == ["cancelled"]
    stream.end()
    assert outlet.sent[CREDIT:] == ([(Kind.END, 7)] if end == "cancel" else [])


@pytest.mark.parametrize("heard", ["nothing", "cancel", "lose"])
def test_what_becomes_a_job_of_the_loop_is_that_ones_to_answer(outlet, heard):
    call, taken, told = held(outlet), [], []
    call.more(2)
    call.move(taken.append)
    assert taken == [call]
    loop = Outlet()
    job = HubJob(loop, call.id, call.mode, call.name, b"")
    if heard != "nothing":
        getattr(call, heard)()
    call.become(job)
    job.on_cancel(lambda: told.append("cancelled"))
    assert told == ([] if heard == "nothing" else ["cancelled"])
    job.end()
    call.end()
    assert outlet.sent == []
    assert loop.sent == ([] if heard == "lose" else [(Kind.END, 7)])
    assert outlet.ended[0] == 7
    assert job._credit == CREDIT + 2
