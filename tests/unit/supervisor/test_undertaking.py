"""What pools do together: whoever waits for all of them goes on when all are there, or as soon as one is not."""

from __future__ import annotations

import asyncio

import pytest

from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor.actions import Proven, Settled
from hornbeamd.supervisor.undertaking import Undertaking


def run(test) -> None:
    async def limited() -> None:
        async with asyncio.timeout(5):
            await test(Undertaking(), asyncio.get_running_loop())

    asyncio.run(limited())


def test_it_waits_for_all_and_tells_stages_apart() -> None:
    async def test(undertaking: Undertaking, loop: asyncio.AbstractEventLoop) -> None:
        await undertaking.all_reach(Proven, [])
        waiting = loop.create_task(undertaking.all_reach(Proven, ["models", "pictures"]))
        for pool, stage in (("models", Proven), ("pictures", Settled)):
            undertaking.reached(pool, stage)
            await asyncio.sleep(0)
            assert not waiting.done()
        undertaking.reached("pictures", Proven)
        await waiting
        await undertaking.all_reach(Proven, ["models"])

    run(test)


def test_the_first_failure_is_told_to_all_who_wait_now_or_later() -> None:
    async def test(undertaking: Undertaking, loop: asyncio.AbstractEventLoop) -> None:
        waiting = loop.create_task(undertaking.all_reach(Proven, ["models"]))
        await asyncio.sleep(0)
        undertaking.fail("no weights")
        undertaking.fail("no pictures")
        for each in (waiting, undertaking.all_reach(Settled, [])):
            with pytest.raises(SupervisionError, match="no weights"):
                await each

    run(test)
