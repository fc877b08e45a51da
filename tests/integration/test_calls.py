"""Calls and hooks: in a program alone, in one process of a server, and from one to another, with the same results."""

import asyncio
import contextvars
import threading
from contextlib import ExitStack, aclosing, closing

import pytest

import hornbeam_erlang
from hornbeam_erlang import aio
from hornbeamd.errors import CallError, CallTimeout, HubGone, NotRegistered
from hornbeamd.node import alone, install
from tests.support.hubs import Hub
from tests.support.waiting import wait_until

variable = contextvars.ContextVar("variable", default="unset")


@pytest.fixture(params=["alone", "here", "there"])
def place(request):
    """Where handlers are."""
    return request.param


@pytest.fixture
def offers(place):
    """What handlers are registered with: that of this process, or of another."""
    with ExitStack() as stack:
        stack.callback(install, None)
        if place == "alone":
            near = far = alone()
        else:
            hub = Hub(limit=1 << 16)
            stack.callback(hub.close)
            near, far = (hub.node(who, max_message_size=1 << 16) for who in ("near", "far"))
            for node in {near, far if place == "there" else near}:
                node.connect_in_background()
                stack.callback(node.leave_background)
        install(near)
        yield far.offers if place == "there" else near.offers


@pytest.fixture(params=["thread", "coroutine"])
def caller(request):
    """Who calls: the names of ``hornbeam_erlang``, as a thread uses them, or as a coroutine does."""
    return hornbeam_erlang if request.param == "thread" else Coroutines()


class Coroutines:
    """``hornbeam_erlang.aio``, each call in an event loop of its own."""

    def __getattr__(self, name):
        function = getattr(aio, name)

        def call(*args, **kwargs):
            async def run():
                return await function(*args, **kwargs)

            return asyncio.run(run())

        return call

    def stream(self, *args, **kwargs):
        async def run():
            return [part async for part in aio.stream(*args, **kwargs)]

        return asyncio.run(run())


class Model:
    """A handler in all the ways that there are."""

    def __init__(self):
        self.calls = 0

    def count(self):
        self.calls += 1
        return self.calls

    def echo(self, *args, **kwargs):
        return args, kwargs

    async def echo_later(self, *args, **kwargs):
        await asyncio.sleep(0)
        return args, kwargs

    def fail(self):
        raise ValueError("bad")

    def fail_at_the_end(self):
        return next(iter(()))

    async def fail_later(self):
        raise SystemExit("worse")

    def parts(self, end):
        yield from range(end)

    async def parts_later(self, end):
        for number in range(end):
            yield number

    def broken_parts(self):
        yield 1
        raise KeyError("behind")

    def listed(self, end):
        return list(range(end))


def test_a_function_gets_its_arguments_and_gives_its_result(offers, caller):
    offers.register_function("plain", lambda *args, **kwargs: (args, kwargs))
    offers.register_function("coroutine", Model().echo_later)
    for name in ("plain", "coroutine"):
        assert caller.call(name) == ((), {})
        assert caller.call(name, 1, (2, b"3"), four={"5": {6.0}}) == ((1, (2, b"3")), {"four": {"5": {6.0}}})


@pytest.mark.parametrize("action", ["echo", "echo_later"])
def test_an_action_is_a_method_and_a_class_has_one_instance(offers, caller, action):
    offers.register_hook("model", Model)
    assert caller.execute("model", action, "text", upper=True) == (("text",), {"upper": True})
    assert [caller.execute("model", "count") for _ in range(3)] == [1, 2, 3]


def test_a_function_as_handler_gets_the_action(offers, caller):
    offers.register_hook("function", lambda action, *args, **kwargs: [action, args, kwargs])
    assert caller.execute("function", "go", 1, two=2) == ["go", (1,), {"two": 2}]


@pytest.mark.parametrize(
    ("action", "type", "text"),
    [
        ("fail", "ValueError", "bad"),
        ("fail_later", "SystemExit", "worse"),
        ("fail_at_the_end", "StopIteration", ""),
        ("parts", "TypeError", "the result comes in parts: ask for it with stream"),
        ("_secret", "AttributeError", "the action '_secret' is private, as its name begins with an underscore"),
        (
            "nothing",
            "AttributeError",
            "Model has no action 'nothing'; it has: broken_parts, count, echo, echo_later, fail, fail_at_the_end,"
            " fail_later, listed, parts, parts_later",
        ),
    ],
)
def test_what_is_raised_arrives_with_its_type_and_text(offers, caller, action, type, text):
    offers.register_hook("model", Model())
    with pytest.raises(CallError) as caught:
        caller.execute("model", action, *([3] if action == "parts" else []))
    assert (caught.value.type, caught.value.text) == (type, text)
    assert str(caught.value) == f"{type}: {text}"


def test_an_exception_of_a_module_is_told_with_it(offers, caller):
    def fail():
        raise contextvars_error

    contextvars_error = CallError("inner", "ValueError")
    offers.register_function("outer", fail)
    with pytest.raises(CallError) as caught:
        caller.call("outer")
    assert (caught.value.type, caught.value.text) == ("hornbeamd.errors.CallError", "ValueError: inner")


@pytest.mark.usefixtures("offers")
def test_a_name_that_nobody_has(caller):
    for call in (
        lambda: caller.call("nobody"),
        lambda: caller.execute("nobody", "go"),
        lambda: list(caller.stream("nobody", "go")),
    ):
        with pytest.raises(NotRegistered, match="nobody") as caught:
            call()
        assert isinstance(caught.value, RuntimeError)
    assert caller.cast("nobody", 1) is None


def test_what_is_unregistered_is_not_there_any_more(offers, caller):
    offers.register_function("f", len)
    offers.register_hook("h", Model)
    assert caller.call("f", "abc") == 3
    offers.unregister_function("f")
    offers.unregister_hook("h")
    for call in (lambda: caller.call("f", "abc"), lambda: caller.execute("h", "count")):
        with pytest.raises(NotRegistered):
            call()


def test_the_last_registration_counts(offers, caller):
    offers.register_function("f", lambda: "first")
    offers.register_function("f", lambda: "second")
    assert caller.call("f") == "second"


@pytest.mark.parametrize("action", ["parts", "parts_later", "listed"])
def test_parts_arrive_in_order(offers, caller, action):
    offers.register_hook("model", Model)
    assert list(caller.stream("model", action, 100)) == list(range(100))


def test_an_error_behind_the_parts(offers):
    offers.register_hook("model", Model)
    parts = hornbeam_erlang.stream("model", "broken_parts")
    assert next(parts) == 1
    with pytest.raises(CallError, match="KeyError: 'behind'"):
        next(parts)
    with pytest.raises(CallError, match="TypeError: a result of type int does not come in parts"):
        list(hornbeam_erlang.stream("model", "count"))


class Endless:
    """A source that never ends by itself, in both kinds."""

    def __init__(self):
        self.made = 0
        self.closed = threading.Event()

    def plain(self):
        try:
            while True:
                self.made += 1
                yield self.made
        finally:
            self.closed.set()

    async def coroutine(self):
        with closing(self.plain()) as parts:
            for part in parts:
                yield part


@pytest.mark.parametrize("action", ["plain", "coroutine"])
def test_a_stream_that_is_closed_ends_at_its_source(offers, action):
    source = Endless()
    offers.register_hook("source", source)
    parts = hornbeam_erlang.stream("source", action)
    assert [next(parts) for _ in range(50)] == list(range(1, 51))
    assert not source.closed.is_set()
    parts.close()
    assert source.closed.wait(10)
    assert source.made < 200


@pytest.mark.parametrize("action", ["plain", "coroutine"])
def test_a_coroutine_that_leaves_a_stream_ends_it_at_its_source(offers, action):
    source = Endless()
    offers.register_hook("source", source)

    async def use():
        async with aclosing(aio.stream("source", action)) as parts:
            assert [await anext(parts) for _ in range(50)] == list(range(1, 51))

    asyncio.run(use())
    assert source.closed.wait(10)
    assert source.made < 200


def test_a_coroutine_that_is_cancelled_cancels_the_call_where_it_runs(offers):
    began, ended = threading.Event(), threading.Event()

    async def work():
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    offers.register_function("work", work)

    async def use():
        task = asyncio.ensure_future(aio.call("work"))
        await asyncio.get_running_loop().run_in_executor(None, began.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(use())
    assert ended.wait(10)


def test_a_time_out_cancels_the_call_and_the_next_caller_gets_his_own_answer(offers, caller):
    ended = threading.Event()

    async def work(name):
        if name == "slow":
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
        return name

    offers.register_function("work", work)
    with hornbeam_erlang.timeout(0.05), pytest.raises(CallTimeout) as caught:
        caller.call("work", "slow")
    assert isinstance(caught.value, TimeoutError)
    assert ended.wait(10)
    assert [caller.call("work", name) for name in ("a", "b")] == ["a", "b"]


def test_the_answer_of_a_plain_function_after_the_time_out_reaches_nobody(offers, place):
    gate, over = threading.Event(), threading.Event()

    def work(name):
        if name == "slow":
            gate.wait(10)
            over.set()
        return name

    offers.register_function("work", work)

    async def use():
        with pytest.raises(CallTimeout), aio.timeout(0.05):
            await aio.call("work", "slow")

    asyncio.run(use())
    if place == "there":  # in the thread of the caller nothing can end it
        with hornbeam_erlang.timeout(0.05), pytest.raises(CallTimeout):
            hornbeam_erlang.call("work", "slow")
    gate.set()
    assert over.wait(10)
    assert [hornbeam_erlang.call("work", name) for name in ("a", "b")] == ["a", "b"]


def test_the_time_out_of_a_stream_is_for_each_part_and_as_it_was_when_it_was_asked_for(offers):
    closed = threading.Semaphore(0)

    async def parts():
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.release()

    offers.register_hook("coroutine", type("Handler", (), {"parts": staticmethod(parts)}))
    with hornbeam_erlang.timeout(0.3):
        found = hornbeam_erlang.stream("coroutine", "parts")
    assert next(found) == 1
    with pytest.raises(CallTimeout):
        next(found)
    assert closed.acquire(timeout=10)

    async def use():
        with aio.timeout(0.3):
            found = aio.stream("coroutine", "parts")
        assert await anext(found) == 1
        with pytest.raises(CallTimeout):
            await anext(found)

    asyncio.run(use())
    assert closed.acquire(timeout=10)


def test_a_time_out_is_more_than_nothing():
    for seconds in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="more than 0"), hornbeam_erlang.timeout(seconds):
            raise AssertionError


def test_a_coroutine_function_is_not_waited_for_where_an_event_loop_runs(offers, place):
    offers.register_hook("model", Model)

    async def use():
        return hornbeam_erlang.execute("model", "echo_later", 1)

    if place == "there":  # the other process has a loop of its own
        assert asyncio.run(use()) == ((1,), {})
    else:
        with pytest.raises(RuntimeError, match=r'hook "model" is a coroutine function.*hornbeam_erlang\.aio'):
            asyncio.run(use())


def test_coroutine_functions_of_one_process_share_a_loop(offers, place):
    async def where():
        return id(asyncio.get_running_loop())

    offers.register_function("where", where)
    loops = {hornbeam_erlang.call("where") for _ in range(2)}
    assert len(loops) == 1
    if place != "alone":
        assert asyncio.run(aio.call("where")) in loops


def test_plain_functions_do_not_hold_up_the_loop_of_a_coroutine(offers):
    gate = threading.Event()
    offers.register_function("work", lambda: gate.wait(10))

    async def use():
        task = asyncio.ensure_future(aio.call("work"))
        await asyncio.sleep(0)
        gate.set()
        assert await task is True

    asyncio.run(use())


def test_a_cast_is_done_and_not_waited_for(offers, caller):
    gate, done, later = threading.Event(), threading.Event(), threading.Event()

    def work(number):
        assert gate.wait(10)
        assert variable.get() == "unset"
        done.set()
        return object()

    async def work_later():
        later.set()
        raise ValueError("for the log")

    offers.register_function("work", work)
    offers.register_function("later", work_later)
    variable.set("the caller's")
    assert caller.cast("work", 1) is None
    gate.set()
    assert done.wait(10)
    # In an event loop that ends with the caller there would be nothing to run it.
    hornbeam_erlang.cast("later")
    assert later.wait(10)


def test_a_cast_does_not_end_the_loop_that_it_runs_in(offers):
    async def leave():
        began.set()
        raise SystemExit("for the log")

    async def answer():
        return "still there"

    began = threading.Event()
    offers.register_function("leave", leave)
    offers.register_function("answer", answer)
    hornbeam_erlang.cast("leave")
    assert began.wait(10)
    assert hornbeam_erlang.call("answer") == "still there"


def test_what_is_no_term_stays_in_its_process(offers, place):
    offers.register_function("same", lambda value: value)
    thing = object()
    if place == "there":
        with pytest.raises(TypeError, match="object is no term"):
            hornbeam_erlang.call("same", thing)
        offers.register_function("make", object)
        with pytest.raises(CallError, match="TypeError: object is no term"):
            hornbeam_erlang.call("make")
    else:
        assert hornbeam_erlang.call("same", thing) is thing


@pytest.mark.parametrize("place", ["there"], indirect=True)
def test_what_is_too_large_is_refused_before_anything_is_sent(offers, caller):
    called = []
    offers.register_function("f", called.append)
    offers.register_function("g", lambda: b"x" * (1 << 17))
    with pytest.raises(ValueError, match="max_message_size"):
        caller.call("f", b"x" * (1 << 17))
    assert not called
    with pytest.raises(CallError, match=r"ValueError: .*max_message_size"):
        caller.call("g")
    assert caller.call("f", "small") is None


def test_a_module_and_a_name_are_imported_when_nobody_has_them(offers, caller):
    assert caller.execute("collections:OrderedDict", "fromkeys", ["a"]) == {"a": None}
    assert caller.execute("json:JSONEncoder", "encode", [1]) == "[1]"
    with pytest.raises(CallError, match="ModuleNotFoundError: No module named 'no_such_module'"):
        caller.execute("no_such_module:Thing", "go")
    with pytest.raises(NotRegistered):
        caller.call("json:dumps", 1)
    offers.register_hook("json:loads", lambda action, *args: "registered")
    assert caller.execute("json:loads", "go") == "registered"


def test_the_result_of_a_task_waits_for_whoever_asks(offers, caller):
    gate = threading.Event()

    def work(number):
        assert gate.wait(10)
        if number < 0:
            raise ValueError("bad")
        return number

    offers.register_hook("work", lambda action, number: work(number))
    offers.register_hook("later", Model)
    ids = [hornbeam_erlang.execute_async("work", "go", number) for number in (1, 2, -1)]
    assert len(set(ids)) == 3
    with pytest.raises(CallTimeout, match=r"unfinished after 0\.01 s"):
        caller.await_result(ids[0], timeout_ms=10)
    gate.set()
    for _ in range(2):
        assert [caller.await_result(id) for id in ids[:2]] == [1, 2]
        with pytest.raises(CallError, match="ValueError: bad"):
            caller.await_result(ids[2])
    later = hornbeam_erlang.execute_async("later", "echo_later", 1)
    assert caller.await_result(later) == ((1,), {})
    with pytest.raises(NotRegistered, match="there is no task"):
        caller.await_result("nothing")


def test_a_task_begun_by_a_coroutine(offers):
    offers.register_hook("model", Model)

    async def use():
        id = await aio.execute_async("model", "echo_later", 1)
        return await aio.await_result(id)

    assert asyncio.run(use()) == ((1,), {})


def test_a_task_is_not_waited_for_where_an_event_loop_runs(offers):
    offers.register_hook("model", Model)

    async def use():
        id = await aio.execute_async("model", "echo_later", 1)
        with pytest.raises(RuntimeError, match=r"use hornbeam_erlang\.aio"):
            hornbeam_erlang.await_result(id)
        assert await aio.await_result(id) == ((1,), {})
        assert hornbeam_erlang.await_result(id) == ((1,), {})

    asyncio.run(use())


def test_the_other_names():
    assert hornbeam_erlang.hook is hornbeam_erlang.register_hook
    assert hornbeam_erlang.unhook is hornbeam_erlang.unregister_hook
    assert set(hornbeam_erlang.__all__) == set(aio.__all__)


# --- between processes -------------------------------------------------------------------------------------------


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    install(None)
    hub.close()


@pytest.fixture
def nodes(hub):
    """Two processes of a server; the first is this one."""
    nodes = [hub.node(who) for who in ("first", "second")]
    for node in nodes:
        node.connect_in_background()
    install(nodes[0])
    yield nodes
    for node in nodes:
        node.leave_background()


def test_a_task_of_another_process(nodes, caller):
    first, second = nodes
    gate = threading.Event()
    first.offers.register_hook("work", lambda action: gate.wait(10))
    first.offers.register_hook("fail", lambda action: 1 / 0)
    done, failed = (hornbeam_erlang.execute_async(path, "go") for path in ("work", "fail"))
    install(second)
    with pytest.raises(CallTimeout, match="unfinished"):
        caller.await_result(done, 10)
    gate.set()
    assert caller.await_result(done) is True
    with pytest.raises(CallError, match="ZeroDivisionError") as caught:
        caller.await_result(failed)
    assert caught.value.type == "ZeroDivisionError"
    with pytest.raises(NotRegistered, match="there is no task"):
        caller.await_result(done[:-1])
    first.leave_background()
    with pytest.raises(NotRegistered, match=r"the process that had the task .* is gone"):
        caller.await_result(done)


def test_a_process_that_goes_during_a_call_is_known_at_once_and_the_call_is_not_done_again(hub, nodes):
    _, second = nodes
    third = hub.node("third")
    third.connect_in_background()
    began, calls = threading.Event(), []

    async def work():
        calls.append(1)
        began.set()
        await asyncio.Event().wait()

    second.offers.register_function("work", work)
    failed = []

    def call():
        try:
            hornbeam_erlang.call("work")
        except HubGone as error:
            failed.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert began.wait(10)
    third.offers.register_function("work", work)
    second.leave_background()
    thread.join(10)
    assert not thread.is_alive()
    assert len(failed) == 1
    assert calls == [1]
    third.leave_background()


def test_calls_go_to_the_process_that_has_the_fewest(hub, nodes):
    _, second = nodes
    third = hub.node("third")
    third.connect_in_background()
    gate, running = threading.Event(), []

    def work(who):
        running.append(who)
        gate.wait(10)
        return who

    for who, node in (("second", second), ("third", third)):
        node.offers.register_function("work", lambda who=who: work(who))
    threads = [threading.Thread(target=hornbeam_erlang.call, args=("work",)) for _ in range(6)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        wait_until(lambda number=number: len(running) == number)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert sorted(running) == ["second"] * 3 + ["third"] * 3
    third.leave_background()


def test_a_process_that_ends_finishes_what_it_has_and_takes_no_more(hub, nodes):
    _, second = nodes
    gate, began, results = threading.Event(), threading.Event(), []

    def work():
        began.set()
        return gate.wait(10)

    second.offers.register_function("work", work)
    thread = threading.Thread(target=lambda: results.append(hornbeam_erlang.call("work")))
    thread.start()
    assert began.wait(10)
    finished = asyncio.run_coroutine_threadsafe(second.finish(10), second.home.loop)
    wait_until(lambda: not hub.office.status()["names"].get("function:work", {}).get("offers"))
    with pytest.raises(NotRegistered):
        hornbeam_erlang.call("work")
    assert not finished.done()
    gate.set()
    assert finished.result(10) is True
    thread.join(10)
    assert results == [True]


def test_a_process_ends_without_a_hub_too(hub, nodes):
    _, second = nodes
    for name in ("f", "g"):
        second.offers.register_function(name, len)
    hub.kill()
    finished = asyncio.run_coroutine_threadsafe(second.finish(10), second.home.loop)
    assert finished.result(10) is True
    hub.start()


def test_what_was_registered_is_offered_to_a_new_hub(hub, nodes):
    _, second = nodes
    second.offers.register_function("f", len)
    assert hornbeam_erlang.call("f", "abc") == 3
    hub.kill()
    hub.start()
    wait_until(lambda: "function:f" in hub.office.status()["names"])
    assert hornbeam_erlang.call("f", "abc") == 3
