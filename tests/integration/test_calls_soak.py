"""Calls from many threads and coroutines at once, with time-outs, cancellations and streams that are left."""

import asyncio
import random
import threading
import time

import pytest

import hornbeam_erlang
from hornbeam_erlang import CallTimeout, HubGone, NotRegistered, aio
from hornbeamd.node import install
from tests.support.hubs import Hub
from tests.support.waiting import wait_until

SECONDS = 10.0
HOOKS = ["handler", "plain"]


class Plain:
    """What threads take from the hub themselves."""

    def plain(self, value, seconds):
        time.sleep(seconds)
        return value

    def coroutine(self, value, seconds):
        return Handler().coroutine(value, seconds)

    def parts(self, end):
        yield from range(end)

    def parts_later(self, end):
        return Handler().parts_later(end)


class Handler:
    """What begins in the event loop."""

    def plain(self, value, seconds):
        time.sleep(seconds)
        return value

    async def coroutine(self, value, seconds):
        await asyncio.sleep(seconds)
        return value

    def parts(self, end):
        yield from range(end)

    async def parts_later(self, end):
        for number in range(end):
            if number % 50 == 0:
                await asyncio.sleep(0)
            yield number


def in_thread(dice, over):
    """Calls of a thread until it is *over*; each answer is the caller's own."""
    while time.monotonic() < over:
        hook, action = dice.choice(HOOKS), dice.choice(["plain", "coroutine"])
        value, seconds = dice.random(), dice.choice([0, 0, 0.001, 0.004, 0.005, 0.02])
        try:
            with hornbeam_erlang.timeout(dice.choice([0.005, 10])):
                assert hornbeam_erlang.execute(hook, action, value, seconds) == value
        except CallTimeout:
            pass
        parts = hornbeam_erlang.stream(hook, dice.choice(["parts", "parts_later"]), 300)
        wanted = dice.choice([0, 1, 40, 300])
        assert [next(parts) for _ in range(wanted)] == list(range(wanted))
        parts.close()


async def in_coroutine(dice, over):
    """The same in a coroutine, with calls that are cancelled."""
    while time.monotonic() < over:
        hook, action, value = dice.choice(HOOKS), dice.choice(["plain", "coroutine"]), dice.random()
        assert await aio.execute(hook, action, value, dice.choice([0, 0.001])) == value
        task = asyncio.ensure_future(aio.execute(hook, action, value, 0.01))
        await asyncio.sleep(dice.choice([0, 0.001, 0.01]))
        task.cancel()
        await asyncio.wait([task])
        parts = aio.stream(hook, dice.choice(["parts", "parts_later"]), 100)
        assert [part async for part in parts] == list(range(100))


@pytest.mark.slow
def test_every_caller_gets_his_own_answer_and_nothing_is_left():
    hub = Hub()
    near, *far = nodes = [hub.node(who) for who in ("near", "one", "two")]
    for node in nodes:
        node.connect_in_background()
    install(near)
    for node in far:
        node.offers.register_hook("handler", Handler)
        node.offers.register_hook("plain", Plain)
    over, errors = time.monotonic() + SECONDS, []

    async def many(seed):
        await asyncio.gather(*(in_coroutine(random.Random(seed + number), over) for number in range(10)))

    def run(work, *args):
        try:
            work(*args)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(in_thread, random.Random(seed), over)) for seed in range(6)]
    threads += [threading.Thread(target=run, args=(lambda seed: asyncio.run(many(seed)), seed)) for seed in (10, 20)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS + 20)
        assert not errors
        assert not any(thread.is_alive() for thread in threads)
        wait_until(
            lambda: all(
                hub.office.status()["names"][f"hook:{hook}"] == {"offers": 2, "in_hand": 0, "waiting": 0}
                for hook in HOOKS
            ),
            explain=hub.office.status,
        )
    finally:
        install(None)
        for node in nodes:
            node.leave_background()
        hub.close()


@pytest.mark.slow
def test_calls_of_threads_go_on_while_hubs_die():
    hub = Hub(loop="uvloop")
    near, *far = nodes = [hub.node(who) for who in ("near", "one", "two")]
    for node in nodes:
        node.connect_in_background()
    install(near)
    for node in far:
        node.offers.register_hook("plain", Plain)
    over, errors, answers = time.monotonic() + SECONDS, [], []

    def run(dice):
        while time.monotonic() < over:
            value = dice.random()
            try:
                with hornbeam_erlang.timeout(dice.choice([0.005, 0.05, 10])):
                    seconds = dice.choice([0, 0, 0.004, 0.02])
                    answer = hornbeam_erlang.execute("plain", dice.choice(["plain", "coroutine"]), value, seconds)
                answers.append(answer == value)
                parts = hornbeam_erlang.stream("plain", dice.choice(["parts", "parts_later"]), 100)
                answers.append(list(parts) == list(range(100)))
            except (CallTimeout, HubGone, NotRegistered):
                pass
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=run, args=(random.Random(seed),)) for seed in range(6)]
    try:
        for thread in threads:
            thread.start()
        dice = random.Random(7)
        while time.monotonic() < over:
            time.sleep(dice.choice([0.01, 0.6, 1.0]))  # a link that was lost at once is in no hurry
            hub.kill()
            hub.start()
        for thread in threads:
            thread.join(SECONDS + 20)
        assert not errors
        assert len(answers) > 100, len(answers)
        assert all(answers)
        idle = {"offers": 2, "in_hand": 0, "waiting": 0}
        wait_until(lambda: hub.office.status()["names"].get("hook:plain") == idle, explain=hub.office.status)
        # All threads have come back, and do nothing.
        started = sum(node.post._hands._started for node in far)
        wait_until(lambda: sum(len(client.idle) for client in hub.office.clients) == started)
    finally:
        install(None)
        for node in nodes:
            node.leave_background()
        hub.close()
    wait_until(lambda: not any(node.post._hands._started for node in far))
