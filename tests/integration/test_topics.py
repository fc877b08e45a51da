"""Messages by topic: in a program alone, and through a hub, with the same results."""

import asyncio
import threading
from contextlib import ExitStack

import pytest

from hornbeam_erlang import aio, publish, subscribe, unsubscribe
from hornbeamd.node import alone, install
from tests.support.hubs import Hub
from tests.support.waiting import wait_until


@pytest.fixture(params=["alone", "hub"])
def node(request):
    with ExitStack() as stack:
        if request.param == "alone":
            node = alone()
        else:
            hub = Hub()
            stack.callback(hub.close)
            node = hub.node()
            node.connect_in_background()
            stack.callback(node.leave_background)
        install(node)
        stack.callback(install, None)
        yield node


def in_thread(function, *args):
    """Start *function* in a thread; gives what waits for its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*args)))
    thread.start()

    def result():
        thread.join(10)
        return results[0]

    return result


@pytest.mark.usefixtures("node")
class TestThreads:
    def test_a_message_reaches_all_who_subscribed_and_is_counted(self):
        assert publish("news", 1) == 0
        with subscribe("news") as one, subscribe("news") as two, subscribe("other"):
            assert publish("news", {"a": (1, "b")}) == 2
            assert one.get(10) == two.get(10) == {"a": (1, "b")}
        assert publish("news", 1) == 0

    def test_patterns_have_a_star_for_a_segment(self):
        with subscribe("room:*") as some, subscribe("room:5") as one, subscribe("*:5") as other:
            assert publish("room:5", "x") == 3
            assert publish("room:6", "y") == 1
            assert publish("room:5:typing", "z") == 0
            assert [some.get(10), some.get(10), one.get(10), other.get(10)] == ["x", "y", "x", "x"]

    def test_items_tell_the_topic(self):
        with subscribe("room:*") as messages:
            publish("room:1", "a")
            publish("room:2", "b")
            items = messages.items()
            assert [next(items), next(items)] == [("room:1", "a"), ("room:2", "b")]

    def test_each_subscriber_has_a_copy_of_its_own(self):
        message = {"list": [1]}
        with subscribe("t") as one, subscribe("t") as two:
            publish("t", message)
            message["list"].append(2)
            got = one.get(10)
            got["list"].append(3)
            assert two.get(10) == {"list": [1]}

    def test_what_one_thread_publishes_arrives_in_order(self):
        def many(name):
            for number in range(200):
                publish(f"from:{name}", number)

        with subscribe("from:*") as messages:
            threads = [in_thread(many, name) for name in "ab"]
            got = {"from:a": [], "from:b": []}
            items = messages.items()
            for _ in range(400):
                topic, number = next(items)
                got[topic].append(number)
            for thread in threads:
                thread()
        assert got == {"from:a": list(range(200)), "from:b": list(range(200))}

    def test_a_slow_subscriber_is_bounded_and_told(self):
        with subscribe("t", queue_size=3) as slow, subscribe("t") as quick:
            for number in range(10):
                assert publish("t", number) == 2
            assert [quick.get(10) for _ in range(10)] == list(range(10))
            assert wait_until(lambda: slow.missed) == 7
            assert [slow.get(10) for _ in range(3)] == [0, 1, 2]
            publish("t", "later")
            assert slow.get(10) == "later"

    def test_closing_ends_the_iteration_of_whoever_waits(self):
        with subscribe("t") as messages:
            ended = in_thread(lambda: list(messages))
            wait_until(lambda: messages._waiters)
            unsubscribe(messages)
            assert ended() == []
            with pytest.raises(EOFError):
                messages.get(1)
        assert publish("t", 1) == 0

    def test_a_topic_is_no_subscription(self):
        for what in ("t", None, subscribe):
            with pytest.raises(TypeError, match=r"the subscription that subscribe\(\) gave, not an object of type"):
                unsubscribe(what)

    def test_what_waits_is_dropped_at_the_end(self):
        with subscribe("t") as messages:
            publish("t", 1)
        assert list(messages) == []

    def test_nothing_comes_within_the_time(self):
        with subscribe("t") as messages:
            with pytest.raises(TimeoutError):
                messages.get(0.01)
            publish("t", 1)
            assert messages.get(10) == 1

    def test_several_threads_share_a_subscription(self):
        with subscribe("t") as messages:
            takers = [in_thread(messages.get, 10) for _ in range(3)]
            wait_until(lambda: len(messages._waiters) == 3)
            for number in range(3):
                publish("t", number)
            assert sorted(taker() for taker in takers) == [0, 1, 2]

    def test_it_is_entered_once_and_before_it_is_used(self):
        messages = subscribe("t")
        with pytest.raises(RuntimeError, match="not entered"):
            next(messages)
        with messages, pytest.raises(RuntimeError, match="once"):
            messages.__enter__()
        with pytest.raises(RuntimeError, match="once"):
            messages.__enter__()

    @pytest.mark.parametrize("topic", ["room:*", "*", "a:*:b"])
    def test_nothing_is_published_to_a_pattern(self, topic):
        with pytest.raises(ValueError, match="pattern"):
            publish(topic, 1)

    @pytest.mark.parametrize("topic", [None, 1, b"news", ("a",)])
    def test_a_topic_is_text(self, topic):
        for use in (lambda: publish(topic, 1), lambda: subscribe(topic)):
            with pytest.raises(TypeError, match=type(topic).__name__):
                use()

    def test_a_topic_is_unicode(self):
        for use in (lambda: publish("\ud800", 1), lambda: subscribe("\ud800")):
            with pytest.raises(UnicodeEncodeError):
                use()

    def test_a_message_is_a_term(self):
        with pytest.raises(TypeError, match="object"):
            publish("t", object())

    def test_a_queue_has_room(self):
        with pytest.raises(ValueError, match="0 messages"):
            subscribe("t", queue_size=0)


@pytest.mark.usefixtures("node")
class TestCoroutines:
    """On an event loop that is not the one that reads from the hub."""

    def run(self, coroutine):
        asyncio.run(asyncio.wait_for(coroutine, 20))

    def test_messages_come_in_order(self):
        async def main():
            async with aio.subscribe("room:*") as messages:
                for number in range(100):
                    assert await aio.publish(f"room:{number}", number) == 1
                got = []
                async for topic, number in messages.items():
                    got.append((topic, number))
                    if len(got) == 100:
                        break
            assert got == [(f"room:{number}", number) for number in range(100)]
            assert await aio.publish("room:1", 1) == 0

        self.run(main())

    def test_the_iteration_ends_with_the_subscription(self):
        async def main():
            async with aio.subscribe("t") as messages:
                task = asyncio.create_task(anext(messages, "ended"))
                await asyncio.sleep(0)
                await aio.unsubscribe(messages)
                assert await task == "ended"

        self.run(main())

    def test_a_message_that_comes_when_its_taker_is_cancelled_goes_to_the_next(self):
        async def main():
            async with aio.subscribe("t") as messages:
                one = asyncio.create_task(messages.get_async())
                two = asyncio.create_task(messages.get_async())
                await asyncio.sleep(0)
                publish("t", 1)
                one.cancel()
                assert await two == 1

        self.run(main())

    def test_nothing_comes_within_the_time(self):
        async def main():
            async with aio.subscribe("t") as messages:
                with pytest.raises(TimeoutError):
                    await messages.get_async(0.01)
                await aio.publish("t", 1)
                assert await messages.get_async(10) == 1

        self.run(main())

    def test_what_would_block_the_loop_is_refused(self):
        async def main():
            with pytest.raises(RuntimeError, match="async with"):
                subscribe("t").__enter__()

        self.run(main())

    def test_publishing_without_waiting_works_in_a_coroutine(self):
        async def main():
            async with aio.subscribe("t") as messages:
                assert publish("t", 1) == 1
                assert await anext(messages) == 1

        self.run(main())

    def test_threads_and_several_loops_at_once(self):
        def loop(name):
            async def main():
                async with aio.subscribe("t") as messages:
                    ready.wait(10)
                    return [await anext(messages) for _ in range(50)]

            return asyncio.run(main())

        ready = threading.Barrier(4)
        takers = [in_thread(loop, name) for name in "abc"]
        with subscribe("t") as messages:
            ready.wait(10)
            assert {publish("t", number) for number in range(50)} == {4}
            assert [messages.get(10) for _ in range(50)] == list(range(50))
        assert [taker() for taker in takers] == [list(range(50))] * 3
