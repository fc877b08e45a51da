"""Work on calls that come from other processes (node/serving.py)."""

import asyncio
import contextvars
import inspect
import logging
import threading
import time

import pytest

from hornbeamd.errors import NotRegistered
from hornbeamd.node.handlers import Hook
from hornbeamd.node.offers import Offers
from hornbeamd.node.serving import Serving
from hornbeamd.node.threads import Threads
from hornbeamd.state import terms
from tests.support.waiting import wait_until

CREDIT = 4
name = contextvars.ContextVar("name", default="nobody")


class FakeJob:
    """A call whose caller is the test."""

    def __init__(self, called, *args, action=None, streamed=False, **kwargs):
        self.name = called
        self.payload = terms.pack((action, args, kwargs))
        self.wanted = True
        self.streamed = streamed
        self.chunks = []
        self.answer = asyncio.get_running_loop().create_future()
        self._cancelled = False
        self._callbacks = []
        self._room = asyncio.Semaphore(CREDIT)

    def on_cancel(self, callback):
        self._callbacks.append(callback)

    def done(self, payload):
        self.answer.set_result(terms.unpack(payload))

    def failed(self, error):
        name = type(error).__name__
        self.answer.set_exception(RuntimeError(name) if name in ("CancelledError", "SystemExit") else error)

    def unknown(self):
        self.answer.set_exception(NotRegistered(self.name))

    async def chunk(self, payload):
        await self._room.acquire()
        if self._cancelled:
            raise asyncio.CancelledError
        self.chunks.append(terms.unpack(payload))

    def end(self):
        self.answer.set_result(None)

    # What the caller does.

    def more(self):
        self._room.release()

    def cancel(self):
        self._cancelled = True
        for callback in self._callbacks:
            callback()
        self._room.release()


class House:
    """Handlers, and a servant for them."""

    def __init__(self, threads=2):
        self.offers = Offers()
        self.threads = Threads(threads)
        self.serving = Serving(self.offers, self.threads)

    def take(self, *args, **kwargs):
        job = FakeJob(*args, **kwargs)
        self.serving.take(job)
        return job

    async def call(self, *args, **kwargs):
        job = self.take(*args, **kwargs)
        try:
            async with asyncio.timeout(5):
                await job.answer
        finally:
            assert not self.serving._at_work
        return job.chunks if job.streamed else job.answer.result()


@pytest.fixture
def house():
    house = House()
    yield house
    house.threads.close()


def in_loop(test):
    """Have a coroutine function be a test."""

    def run(house):
        asyncio.run(test(house))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


async def until(condition):
    """Wait for something that happens in a thread."""
    await asyncio.get_running_loop().run_in_executor(None, wait_until, condition)


@in_loop
async def test_a_plain_function_runs_in_a_thread_and_a_coroutine_function_on_the_loop(house):
    async def there(*args, **kwargs):
        return threading.get_ident(), args, kwargs

    house.offers.register_function("plain", lambda *args, **kwargs: (threading.get_ident(), args, kwargs))
    house.offers.register_function("coroutine", there)
    thread, args, kwargs = await house.call("function:plain", 1, [2], three=(3,))
    assert (args, kwargs) == ((1, [2]), {"three": (3,)})
    assert thread != threading.get_ident()
    assert await house.call("function:coroutine", 1, b=2) == (threading.get_ident(), (1,), {"b": 2})


@in_loop
async def test_an_instance_is_made_in_a_thread_even_for_a_coroutine(house):
    class Model:
        def __init__(self):
            self.made_in = threading.get_ident()

        async def where(self):
            return self.made_in, threading.get_ident()

        def plain(self):
            return self.made_in

    house.offers.add("hook:model", Hook(Model))
    made, called = await house.call("hook:model", action="where")
    assert made != threading.get_ident() == called
    assert await house.call("hook:model", action="where") == (made, called)
    assert await house.call("hook:model", action="plain") == made


@in_loop
async def test_a_plain_function_may_give_something_to_await(house):
    async def answer():
        return 42

    house.offers.register_function("later", lambda: answer())
    assert await house.call("function:later") == 42


@in_loop
async def test_errors_are_answered_and_logged_where_their_traceback_is(house):
    def fail():
        raise ValueError("bad")

    async def fail_later():
        raise SystemExit(3)

    house.offers.register_function("plain", fail)
    house.offers.register_function("coroutine", fail_later)
    with pytest.raises(ValueError, match="bad"):
        await house.call("function:plain")
    with pytest.raises(RuntimeError, match="SystemExit"):
        await house.call("function:coroutine")
    with pytest.raises(AttributeError, match="has no action 'encod'"):
        house.offers.add("hook:model", Hook(type("Model", (), {})))
        await house.call("hook:model", action="encod")
    with pytest.raises(TypeError, match="object is no term"):
        house.offers.register_function("untold", object)
        await house.call("function:untold")
    with pytest.raises(TypeError, match="ask for it with stream"):
        house.offers.register_function("parts", lambda: (part for part in ()))
        await house.call("function:parts")


def test_the_log_has_the_traceback(house, caplog):
    def inner():
        raise ValueError("bad")

    async def use():
        with pytest.raises(ValueError):
            await house.call("function:outer")

    house.offers.register_function("outer", lambda: inner())
    with caplog.at_level(logging.ERROR, logger="hornbeamd.calls"):
        asyncio.run(use())
    (record,) = caplog.records
    assert record.message == 'function "outer" raised ValueError'
    assert "in inner" in caplog.text


@in_loop
async def test_what_was_unregistered_on_the_way_is_unknown(house):
    with pytest.raises(NotRegistered):
        await house.call("function:gone")


@in_loop
async def test_each_call_has_context_variables_of_its_own(house):
    def plain():
        before = name.get()
        name.set("somebody")
        return before

    async def coroutine():
        return plain()

    name.set("the loop")
    house.offers.register_function("plain", plain)
    house.offers.register_function("coroutine", coroutine)
    for called in ("function:plain", "function:plain", "function:coroutine", "function:coroutine"):
        assert await house.call(called) == "nobody"
    assert name.get() == "the loop"


@in_loop
async def test_no_more_plain_functions_run_at_once_than_there_are_threads(house):
    gate, running = threading.Semaphore(0), []

    def work(number):
        running.append(number)
        gate.acquire(timeout=5)
        return number

    house.offers.register_function("work", work)
    jobs = [house.take("function:work", number) for number in range(6)]
    await until(lambda: len(running) == 2)
    assert sorted(running) == [0, 1]
    gate.release(6)
    assert await asyncio.gather(*(job.answer for job in jobs)) == list(range(6))


@in_loop
async def test_a_call_for_which_the_system_has_no_thread_is_answered(house):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    house.offers.register_function("plain", len)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            await house.call("function:plain", "abc")
    assert await house.call("function:plain", "abc") == 3


@in_loop
async def test_a_cancelled_coroutine_is_cancelled(house):
    began, ended = asyncio.Event(), []

    async def work():
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    house.offers.register_function("work", work)
    job = house.take("function:work")
    await began.wait()
    job.cancel()
    with pytest.raises(RuntimeError, match="CancelledError"):
        await job.answer
    assert ended == ["ended"]
    assert not house.serving._at_work


@in_loop
async def test_a_coroutine_that_is_cancelled_before_its_first_step_is_over_too(house):
    began = []

    async def work():
        began.append(1)

    house.offers.register_function("work", work)
    job = house.take("function:work")
    job.cancel()
    with pytest.raises(RuntimeError, match="CancelledError"):
        await asyncio.wait_for(job.answer, 5)
    assert not began
    assert not house.serving._at_work


@in_loop
async def test_what_is_cancelled_before_it_has_begun_does_not_begin_and_is_over(house):
    gate, began = threading.Event(), []
    house.offers.register_function("work", lambda number: (began.append(number), gate.wait(5)))
    jobs = [house.take("function:work", number) for number in range(3)]
    await until(lambda: len(began) == 2)
    jobs[2].cancel()
    gate.set()
    with pytest.raises(RuntimeError, match="CancelledError"):
        await jobs[2].answer
    assert sorted(began) == [0, 1]


@in_loop
async def test_a_plain_function_that_is_cancelled_is_over_when_it_returns(house):
    began, gate = threading.Event(), threading.Event()
    house.offers.register_function("work", lambda: (began.set(), gate.wait(5))[1])
    loop = asyncio.get_running_loop()
    job = house.take("function:work")
    await until(began.is_set)
    assert house.serving.given_up() is None
    before = loop.time()
    job.cancel()
    job.cancel()
    assert before <= house.serving.given_up() <= loop.time()
    assert not job.answer.done()
    finished = loop.create_task(house.serving.finished())
    gate.set()
    assert await job.answer is True
    await finished
    assert house.serving.given_up() is None


class Numbers:
    """A source of numbers, in all ways that there are, which knows when it is closed."""

    def __init__(self):
        self.made = 0
        self.closed = threading.Event()

    def plain(self, end):
        try:
            for number in range(end):
                self.made += 1
                yield number
        finally:
            self.closed.set()

    async def asynchronous(self, end):
        try:
            for number in range(end):
                self.made += 1
                yield number
        finally:
            self.closed.set()

    def indirect(self, end):
        return self.asynchronous(end)

    async def awaited(self, end):
        return self.plain(end)

    def listed(self, end):
        self.closed.set()
        return list(range(end))


WAYS = ["plain", "asynchronous", "indirect", "awaited"]


@pytest.mark.parametrize("way", [*WAYS, "listed"])
def test_a_result_in_parts(house, way):
    numbers = Numbers()
    house.offers.add("hook:numbers", Hook(numbers))

    async def use():
        assert await house.call("hook:numbers", CREDIT, action=way, streamed=True) == list(range(CREDIT))

    asyncio.run(use())
    assert numbers.closed.is_set()


@pytest.mark.parametrize("way", WAYS)
def test_parts_wait_for_the_caller_and_end_with_him(house, way):
    numbers = Numbers()
    house.offers.add("hook:numbers", Hook(numbers))

    async def use():
        job = house.take("hook:numbers", 1000, action=way, streamed=True)
        await until(lambda: numbers.made == CREDIT + 1)
        job.more()
        await until(lambda: numbers.made == CREDIT + 2)
        job.cancel()
        with pytest.raises(RuntimeError, match="CancelledError"):
            await job.answer
        await until(numbers.closed.is_set)
        assert job.chunks == list(range(CREDIT + 1))
        assert numbers.made == CREDIT + 2
        assert not house.serving._at_work

    asyncio.run(use())


@in_loop
async def test_what_does_not_come_in_parts_is_refused_as_a_stream(house):
    house.offers.register_function("whole", lambda: "text")
    with pytest.raises(TypeError, match="ask for it with execute"):
        await house.call("function:whole", streamed=True)


@in_loop
async def test_an_error_behind_some_parts_arrives(house):
    def parts():
        yield 1
        raise ValueError("bad")

    house.offers.register_function("parts", parts)
    with pytest.raises(ValueError, match="bad"):
        await house.call("function:parts", streamed=True)


@in_loop
async def test_closing_cancels_what_is_at_work(house):
    began = asyncio.Event()

    async def work():
        began.set()
        await asyncio.Event().wait()

    house.offers.register_function("work", work)
    job = house.take("function:work")
    await began.wait()
    house.serving.close()
    with pytest.raises(RuntimeError, match="CancelledError"):
        await job.answer


# --- in the thread that has read it ---


class FakeHeldJob:
    """A call that the thread of the test has read."""

    def __init__(self, called, *args, action=None, streamed=False, **kwargs):
        self.name = called
        self.payload = terms.pack((action, args, kwargs))
        self.streamed = streamed
        self.answer = None
        self.chunks = []
        self.on_loop = None
        self.cancel = None

    def on_cancel(self, callback):
        self.cancel = callback

    def done(self, payload):
        self.answer = terms.unpack(payload)

    def failed(self, error):
        self.answer = error

    def unknown(self):
        self.answer = NotRegistered(self.name)

    def chunk(self, payload):
        if len(self.chunks) == CREDIT:
            self.cancel()
            raise asyncio.CancelledError
        self.chunks.append(terms.unpack(payload))

    def end(self):
        self.answer = "end"

    def move(self, take):
        self.on_loop = FakeJob("", streamed=self.streamed)
        self.on_loop.name = self.name
        take(self.on_loop)


def held(house, *args, **kwargs):
    job = FakeHeldJob(*args, **kwargs)
    house.serving.work(job)
    assert not house.serving._held
    return job


def test_what_a_thread_has_read_it_does_itself(house):
    def where(*args, **kwargs):
        before = name.get()
        name.set("somebody")
        return threading.get_ident(), before, args, kwargs

    house.offers.register_function("where", where)
    for _ in range(2):
        job = held(house, "function:where", 1, two=2)
        assert job.answer == (threading.get_ident(), "nobody", (1,), {"two": 2})
    assert isinstance(held(house, "function:gone").answer, NotRegistered)


def test_what_a_thread_raises_is_answered_and_logged_where_its_traceback_is(house, caplog):
    def inner():
        raise SystemExit("bad")

    house.offers.register_function("outer", lambda: inner())
    house.offers.register_function("untold", object)
    house.offers.add("hook:model", Hook(type("Model", (), {})))
    with caplog.at_level(logging.ERROR, logger="hornbeamd.calls"):
        assert str(held(house, "function:outer").answer) == "bad"
    assert caplog.records[0].message == 'function "outer" raised SystemExit'
    assert "in inner" in caplog.text
    assert "object is no term" in str(held(house, "function:untold").answer)
    assert "has no action 'encod'" in str(held(house, "hook:model", action="encod").answer)


def test_what_is_cancelled_before_a_thread_begins_does_not_begin(house):
    began = []
    house.offers.register_function("work", lambda: began.append(1))
    job = FakeHeldJob("function:work")
    job.on_cancel = lambda callback: callback()
    house.serving.work(job)
    assert isinstance(job.answer, asyncio.CancelledError)
    assert not began


def test_what_a_thread_goes_on_with_after_it_was_given_up_is_known(house):
    seen = []

    def work():
        seen.append(house.serving.given_up())
        job.cancel()
        seen.append(house.serving.given_up())
        return "late"

    house.offers.register_function("work", work)
    job = FakeHeldJob("function:work")
    before = time.monotonic()
    house.serving.work(job)
    assert seen[0] is None
    assert before <= seen[1] <= time.monotonic()
    assert job.answer == "late"
    assert house.serving.given_up() is None


@in_loop
async def test_what_a_thread_has_read_is_waited_for_with_its_generation(house):
    began, gate = threading.Event(), threading.Event()
    house.offers.register_function("work", lambda: (began.set(), gate.wait(5)))
    thread = threading.Thread(target=house.serving.work, args=(FakeHeldJob("function:work"),))
    thread.start()
    await until(began.is_set)
    generations = house.offers.generations
    await asyncio.wait_for(house.serving.finished(generations.lasting), 5)
    waiting = [asyncio.ensure_future(house.serving.finished(of)) for of in (generations.current, None)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    gate.set()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    thread.join(5)


def test_a_thread_gives_parts_until_nobody_wants_them(house):
    numbers = Numbers()
    house.offers.add("hook:numbers", Hook(numbers))
    whole = held(house, "hook:numbers", CREDIT, action="plain", streamed=True)
    assert (whole.chunks, whole.answer) == (list(range(CREDIT)), "end")
    numbers.closed.clear()
    left = held(house, "hook:numbers", 1000, action="plain", streamed=True)
    assert left.chunks == list(range(CREDIT))
    assert isinstance(left.answer, asyncio.CancelledError)
    assert numbers.closed.is_set()
    assert "ask for it with stream" in str(held(house, "hook:numbers", 1, action="plain").answer)


@in_loop
async def test_what_comes_out_to_be_a_coroutine_goes_on_in_the_loop(house):
    class Model:
        async def coroutine(self, number):
            return number, name.get()

        def plain(self, number):
            name.set("somebody")
            return self.coroutine(number)

    async def parts():
        yield 1

    house.offers.add("hook:model", Hook(Model))
    house.offers.register_function("parts", lambda: parts())
    for action, called in (("coroutine", "nobody"), ("plain", "somebody")):
        job = held(house, "hook:model", 7, action=action)
        assert job.answer is None
        assert await asyncio.wait_for(job.on_loop.answer, 5) == (7, called)
        assert not house.serving._of(None)
    job = held(house, "function:parts", streamed=True)
    await asyncio.wait_for(job.on_loop.answer, 5)
    assert job.on_loop.chunks == [1]
    assert not house.serving._at_work


@in_loop
async def test_a_coroutine_that_nobody_comes_to_await_is_closed(house):
    made = []

    async def work():
        raise AssertionError

    def make():
        made.append(work())
        return made[-1]

    house.offers.register_function("make", make)
    job = held(house, "function:make").on_loop
    job.cancel()
    with pytest.raises(RuntimeError, match="CancelledError"):
        await asyncio.wait_for(job.answer, 5)
    assert inspect.getcoroutinestate(made[0]) == inspect.CORO_CLOSED
