"""The tree against children made of events: order of starts and stops, restarts, giving up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from hornbeamd.errors import SupervisionError
from hornbeamd.supervisor.intensity import Intensity
from hornbeamd.supervisor.spec import ChildSpec, Restart, Strategy
from hornbeamd.supervisor.tree import Tree


class FakeChild:
    """Runs until told to die; writes what happens to it into ``story``."""

    def __init__(self, name: str, story: list[str], failures: int = 0) -> None:
        self.name = name
        self.story = story
        self.failures = failures
        self.death = anyio.Event()
        self.normal = False

    async def start(self) -> None:
        self.story.append(f"start {self.name}")
        if self.failures:
            self.failures -= 1
            raise SupervisionError("cannot")
        self.death = anyio.Event()

    async def ended(self) -> bool:
        await self.death.wait()
        return self.normal

    async def stop(self, timeout: float) -> None:
        self.story.append(f"stop {self.name}")

    async def die(self) -> None:
        self.death.set()
        await anyio.wait_all_tasks_blocked()


def run(
    scenario: Callable[[Tree, list[FakeChild], list[str]], Awaitable[None]],
    *,
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    limit: int = 10,
    restart: Restart = Restart.PERMANENT,
) -> list[str]:
    """Play a scenario on a tree of three children; gives its story, with "gave up" in it where it did."""
    story: list[str] = []

    async def play() -> None:
        async with anyio.create_task_group() as group:
            tree = Tree(
                group,
                strategy,
                Intensity(limit, 10.0),
                serving=lambda: False,
                give_up=lambda why: story.append(f"gave up: {why}"),
            )
            children = [FakeChild(name, story) for name in "abc"]
            for child in children:
                await tree.start_child(ChildSpec(id=child.name, restart=restart), child)
            await anyio.wait_all_tasks_blocked()
            story.clear()
            await scenario(tree, children, story)
            group.cancel_scope.cancel()

    anyio.run(play)
    return story


def test_one_for_one() -> None:
    async def scenario(tree: Tree, children: list[FakeChild], story: list[str]) -> None:
        await children[1].die()

    assert run(scenario) == ["start b"]


def test_rest_for_one_twice() -> None:
    async def scenario(tree: Tree, children: list[FakeChild], story: list[str]) -> None:
        await children[1].die()
        await children[0].die()

    once = ["stop c", "start b", "start c"]
    assert run(scenario, strategy=Strategy.REST_FOR_ONE) == [*once, "stop c", "stop b", "start a", "start b", "start c"]


def test_shutdown_stops_the_youngest_first() -> None:
    async def scenario(tree: Tree, children: list[FakeChild], story: list[str]) -> None:
        await tree.shutdown()

    assert run(scenario) == ["stop c", "stop b", "stop a"]


def test_a_child_stopped_on_purpose_stays_away() -> None:
    async def scenario(tree: Tree, children: list[FakeChild], story: list[str]) -> None:
        await tree.stop_child("b")
        await children[1].die()
        await tree.shutdown()

    assert run(scenario) == ["stop b", "stop c", "stop a"]


def test_a_temporary_child_that_ended_is_forgotten() -> None:
    async def scenario(tree: Tree, children: list[FakeChild], story: list[str]) -> None:
        await children[1].die()
        await tree.shutdown()

    assert run(scenario, restart=Restart.TEMPORARY) == ["stop c", "stop a"]


def test_a_restart_that_fails_is_tried_again_and_counts() -> None:
    async def scenario(tree: Tree, children: list[FakeChild], story: list[str]) -> None:
        children[1].failures = 2
        await children[1].die()

    assert run(scenario) == ["start b", "start b", "start b"]


def test_too_many_deaths_while_nothing_serves() -> None:
    async def scenario(tree: Tree, children: list[FakeChild], story: list[str]) -> None:
        children[1].failures = 5
        await children[1].die()

    assert run(scenario, limit=2) == ["start b", "start b", "gave up: b ended too often and nothing serves"]
