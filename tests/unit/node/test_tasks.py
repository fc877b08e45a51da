"""Tasks, and who asks for their results (node/tasks.py)."""

import asyncio
import threading

import pytest

from hornbeamd.errors import CallError, CallTimeout, NotRegistered
from hornbeamd.node import tasks as module
from hornbeamd.node.alone import AlonePost
from hornbeamd.node.home import Background
from hornbeamd.node.offers import Offers
from hornbeamd.node.tasks import KEPT, MOST_KEPT, Tasks
from hornbeamd.state import terms


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tasks(clock):
    return Tasks(Offers(), AlonePost(), clock)


@pytest.fixture
def loop():
    background = Background("test")
    yield background.loop
    background.stop()


async def give(value):
    return value


async def fail(error):
    raise error


async def wait(event):
    await event.wait()
    return "waited"


def test_a_result_may_be_asked_for_any_number_of_times(tasks, loop):
    id = tasks.begin(give([1, 2]), loop)
    for _ in range(3):
        assert tasks.result(id, 5) == [1, 2]
    assert asyncio.run(tasks.result_async(id, 5)) == [1, 2]


def test_a_time_out_loses_nothing_and_leaves_nothing(tasks, loop):
    gate = asyncio.Event()
    id = tasks.begin(wait(gate), loop)
    assert tasks.outcome(id, 0.01) is None
    with pytest.raises(CallTimeout, match=r"unfinished after 0\.01 s"):
        tasks.result(id, 0.01)
    assert asyncio.run(tasks.outcome_async(id, 0.01)) is None
    assert not tasks._unfinished[id].watchers
    loop.call_soon_threadsafe(gate.set)
    assert tasks.outcome(id, 5) == ("done", "waited")
    assert not tasks._unfinished


def test_several_may_wait_for_one_task(tasks, loop):
    gate = asyncio.Event()
    id = tasks.begin(wait(gate), loop)
    found = []
    waiting = [threading.Thread(target=lambda: found.append(tasks.outcome(id, 5))) for _ in range(3)]
    for thread in waiting:
        thread.start()

    async def several():
        impatient = asyncio.ensure_future(tasks.outcome_async(id, 5))
        patient = [asyncio.ensure_future(tasks.outcome_async(id, 5)) for _ in range(3)]
        await asyncio.sleep(0)
        impatient.cancel()
        loop.call_soon_threadsafe(gate.set)
        found.extend(await asyncio.gather(*patient))

    asyncio.run(several())
    for thread in waiting:
        thread.join(5)
    assert found == [("done", "waited")] * 6


@pytest.mark.parametrize("error", [CallError("bad", "ValueError"), CallTimeout("late"), NotRegistered("no one")])
def test_an_error_comes_as_what_it_was(tasks, loop, error):
    id = tasks.begin(fail(error), loop)
    with pytest.raises(CallError) as caught:
        tasks.result(id, 5)
    assert type(caught.value) is type(error)
    assert (caught.value.text, caught.value.type) == (error.text, error.type)


def test_results_are_forgotten_after_their_time(tasks, loop, clock):
    old = tasks.begin(give(1), loop)
    assert tasks.outcome(old, 5)
    clock.now = KEPT - 1
    new = tasks.begin(give(2), loop)
    assert tasks.outcome(new, 5)
    assert tasks.outcome(old, 5) == ("done", 1)
    clock.now = KEPT
    with pytest.raises(NotRegistered, match="there is no task"):
        tasks.outcome(old, 5)
    assert tasks.outcome(new, 5) == ("done", 2)


def test_of_too_many_results_the_oldest_are_forgotten(tasks, loop, monkeypatch):
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    ids = []
    for number in range(4):
        ids.append(tasks.begin(give(number), loop))
        assert tasks.outcome(ids[-1], 5) == ("done", number)
    for id in ids[:2]:
        with pytest.raises(NotRegistered):
            tasks.outcome(id, 5)
    assert [tasks.outcome(id, 5)[1] for id in ids[2:]] == [2, 3]
    assert MOST_KEPT > 2


def test_too_many_unfinished_tasks_are_refused(tasks, loop, monkeypatch):
    monkeypatch.setattr(module, "MOST_UNFINISHED", 1)
    gate = asyncio.Event()
    id = tasks.begin(wait(gate), loop)
    with pytest.raises(CallError, match="1 tasks are unfinished"):
        tasks.begin(give(1), loop)
    loop.call_soon_threadsafe(gate.set)
    assert tasks.outcome(id, 5)
    assert tasks.outcome(tasks.begin(give(1), loop), 5) == ("done", 1)


class OtherProcess(AlonePost):
    """A post to the process that has *offers*."""

    def __init__(self, offers):
        super().__init__()
        self.offers = offers

    def call(self, name, payload, timeout):
        target = self.offers.find(name)
        if target is None:
            raise NotRegistered(name)
        action, args, kwargs = terms.unpack(payload)
        return terms.pack(asyncio.run(target.function(action)(*args, **kwargs)))


def test_ids_tell_which_process_to_ask_and_cannot_be_guessed(loop):
    offers = Offers()
    mine = Tasks(offers, AlonePost())
    other = Tasks(Offers(), OtherProcess(offers))
    ids = {mine.begin(give(1), loop) for _ in range(10)}
    assert len(ids) == 10
    assert all(len(id.partition(".")[2]) >= 22 for id in ids)  # 128 bits
    assert {other.result(id, 5) for id in ids} == {1}
    with pytest.raises(NotRegistered, match="there is no task"):
        other.result(min(ids)[:-1], 5)
    with pytest.raises(NotRegistered, match=r"the process that had the task .* is gone"):
        other.result("another.process", 5)


@pytest.mark.parametrize("id", ["", "nothing", None, 3])
def test_what_is_no_id_is_no_task(tasks, id):
    with pytest.raises(NotRegistered, match="there is no task"):
        tasks.result(id, 5)
