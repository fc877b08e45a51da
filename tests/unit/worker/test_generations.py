"""Generations in one process: prepared beside what serves, committed or reverted, freed when nothing runs on them."""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest

from hornbeamd import node
from hornbeamd.config.options import Options
from hornbeamd.config.reload import ReloadOptions
from hornbeamd.errors import CannotSwap
from hornbeamd.worker.generations import Generation, Generations

gates: dict[str, threading.Event] = {}
"""Where imports wait, by the version that does."""


class Version:
    """What is served: the module, and what was done with it."""

    def __init__(self, module: ModuleType) -> None:
        self.name = module.VERSION
        self.done: list[str] = []
        self.idle = asyncio.Event()
        self.fails = getattr(module, "FAILS", False)

    async def startup(self) -> None:
        node.current().offers.register_function("version", lambda: self.name)
        await asyncio.sleep(0)
        if self.fails:
            raise ValueError("no database")
        self.done.append("startup")

    async def finished(self) -> None:
        await self.idle.wait()

    def drain(self, seconds: float) -> None:
        self.done.append("drain")

    async def shutdown(self) -> None:
        self.done.append("shutdown")


def build(options: Options) -> Version:
    return Version(importlib.import_module("generations_app"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    node.install(node.alone())
    save(tmp_path, "one")
    yield tmp_path
    sys.modules.pop("generations_app", None)
    node.install(None)
    gates.clear()


def save(folder: Path, version: str, more: str = "") -> None:
    (folder / "generations_app.py").write_text(f"{more}\nVERSION = {version!r}\n\n\nclass Thing:\n    pass\n")


def run(folder: Path, test: Callable[[Generations, Options], Coroutine[Any, Any, None]], most: int = 2) -> None:
    options = Options(pythonpath=(str(folder),), graceful_timeout=0.01, reload=ReloadOptions(generations=most))

    async def live(generations: Generations) -> None:
        try:
            async with asyncio.timeout(10):
                await generations.startup()
                await test(generations, options)
        finally:
            await generations.shutdown()
            generations.unwatch()

    generations = Generations(build)
    with asyncio.Runner() as runner:
        runner.get_loop()
        generations.load(1, options, trial=False)
        runner.run(live(generations))


async def swap(generations: Generations, options: Options, number: int) -> Generation:
    assert await generations.prepare(number, options, everything=False) == ("generations_app",)
    return generations.commit()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it does not come to that")


def called() -> Any:
    target = node.current().offers.find("function:version")
    return target and target.function(None)()


def test_what_is_prepared_is_seen_by_nobody_before_it_is_committed(folder: Path) -> None:
    async def test(generations: Generations, options: Options) -> None:
        save(folder, "two")
        assert await generations.look(everything=False) == ("generations_app",)
        await generations.prepare(2, options, everything=False)
        assert (called(), sys.modules["generations_app"].VERSION, generations.numbers) == ("one", "one", [1])
        new = generations.commit()
        assert (called(), sys.modules["generations_app"].VERSION, generations.numbers) == ("two", "two", [1, 2])
        assert new.version.done == ["startup"]

    run(folder, test)


def test_what_requests_leave_in_a_module_does_not_have_it_loaded_anew(folder: Path) -> None:
    (folder / "generations_state.py").write_text("things = []\n")
    use = "from generations_state import things"
    save(folder, "one", use)

    async def test(generations: Generations, options: Options) -> None:
        for number in (2, 3):
            module = sys.modules["generations_app"]
            module.things.append(module.Thing())
            save(folder, str(number), use)
            await swap(generations, options, number)
        assert len(sys.modules["generations_app"].things) == 2

    try:
        run(folder, test)
    finally:
        del sys.modules["generations_state"]


def test_what_was_imported_late_is_loaded_also_where_it_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    (folder / "generations_late.py").write_text("import generations_gone\n")

    async def test(generations: Generations, options: Options) -> None:
        await generations.load_also(["generations_app", "generations_gone", "generations_gone.views"])
        with pytest.raises(ModuleNotFoundError, match="generations_gone"):
            await generations.load_also(["generations_late"])

    run(folder, test)


def test_the_old_is_shut_down_and_freed_when_nothing_runs_on_it_any_more(folder: Path) -> None:
    async def test(generations: Generations, options: Options) -> None:
        old = generations.current.version
        save(folder, "two")
        await swap(generations, options, 2)
        await asyncio.sleep(0)
        assert old.done == ["startup"]
        old.idle.set()
        await until(lambda: generations.numbers == [2])
        assert old.done == ["startup", "shutdown"]
        assert type(sys.modules) is dict
        del old
        # What was set apart at boot is freed when there is time for it, what came later at once.
        modules = [weakref.ref(sys.modules["generations_app"].Thing)]
        generations.freeze()
        for number in (3, 4):
            save(folder, f"version {number}", "#" * number)
            generations.current.version.idle.set()
            await swap(generations, options, number)
            modules.append(weakref.ref(sys.modules["generations_app"].Thing))
            await until(lambda number=number: generations.numbers == [number])
        await until(lambda: modules[1]() is None)
        assert modules[0]() is not None
        generations.tidy()
        assert modules[0]() is None

    run(folder, test)


def test_nothing_is_collected_where_it_would_free_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(generations: Generations, options: Options) -> None:
        generations.freeze()
        collections: list[int] = []
        monkeypatch.setattr(gc, "collect", lambda: collections.append(generations.current.number))
        for number in (2, 3):
            save(folder, f"version {number}", "#" * number)
            generations.current.version.idle.set()
            await swap(generations, options, number)
            await until(lambda number=number: generations.numbers == [number])
            await asyncio.sleep(0.01)
        assert collections == [3]
        generations.tidy()
        generations.tidy()
        assert collections == [3, 3]

    run(folder, test)


def test_others_have_their_turn_while_caches_are_looked_through(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = functools.lru_cache(10_000)(lambda number: [number])
    for number in range(10_000):
        cache(number)
    monkeypatch.setitem(sys.modules, "library", ModuleType("library"))
    vars(sys.modules["library"])["cache"] = cache
    monkeypatch.setattr("hornbeamd.worker.generations._TURN", 0)

    async def test(generations: Generations, options: Options) -> None:
        save(folder, "two")
        old = generations.current.version
        old.idle.set()
        await swap(generations, options, 2)
        turns = 0
        while generations.numbers != [2]:
            turns += old.done == ["startup", "shutdown"]
            await asyncio.sleep(0)
        assert turns > 20

    run(folder, test)


def test_of_what_is_reverted_nothing_is_left(folder: Path) -> None:
    async def test(generations: Generations, options: Options) -> None:
        save(folder, "two")
        await generations.prepare(2, options, everything=False)
        await generations.revert()
        assert (called(), sys.modules["generations_app"].VERSION, generations.numbers) == ("one", "one", [1])
        assert type(sys.modules) is dict
        assert (await swap(generations, options, 3)).number == 3

    run(folder, test)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("FAILS = True", "ValueError: no database"),
        ("raise StopIteration", "RuntimeError: coroutine raised StopIteration"),
        ("import no_such", "ModuleNotFoundError: No module named 'no_such'"),
        # These two would end the event loop.
        ("raise SystemExit('no lock')", "AppLoadError: the code raised SystemExit: no lock"),
        ("def __code_change__(old): raise KeyboardInterrupt", "AppLoadError: the code raised KeyboardInterrupt"),
    ],
    ids=["startup", "import", "missing", "exit", "interrupt"],
)
def test_what_fails_leaves_all_as_it_was(folder: Path, more: str, error: str) -> None:
    async def test(generations: Generations, options: Options) -> None:
        save(folder, "two", more)
        # As swapping.py has it done: in a Task, which lets SystemExit pass into the event loop.
        preparing = asyncio.create_task(generations.prepare(2, options, everything=False))
        await asyncio.wait([preparing])
        raised = preparing.exception()
        assert f"{type(raised).__name__}: {raised}" == error
        assert (called(), generations.numbers) == ("one", [1])
        assert type(sys.modules) is dict
        save(folder, "three")
        await swap(generations, options, 3)
        assert called() == "three"

    run(folder, test)


CONNECT = "import sqlite3\n{} = sqlite3.connect(':memory:')"


@pytest.mark.filterwarnings("ignore:.*unclosed database:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("kind", "more", "bound"),
    [
        ("asgi", CONNECT.format("db"), True),
        ("asgi", "import threading\nown = threading.local()\n" + CONNECT.format("own.db"), False),
        ("wsgi", CONNECT.format("db"), False),
    ],
    ids=["global", "of-the-thread", "wsgi"],
)
def test_what_only_the_loading_thread_can_use_keeps_an_asgi_application_from_being_swapped(
    folder: Path, kind: Literal["asgi", "wsgi"], more: str, bound: bool
) -> None:
    async def test(generations: Generations, options: Options) -> None:
        save(folder, "two", more)
        options = replace(options, app="generations_app:application", worker_class=kind)
        if not bound:
            await swap(generations, options, 2)
            return
        with pytest.raises(CannotSwap, match="sqlite3"):
            await generations.prepare(2, options, everything=False)
        assert (called(), generations.numbers, type(sys.modules)) == ("one", [1], dict)

    run(folder, test)
    sys.modules.pop("generations_app")
    gc.collect()


def test_where_nothing_changed_only_number_and_options_do(folder: Path) -> None:
    async def test(generations: Generations, options: Options) -> None:
        version = generations.current.version
        assert await generations.prepare(2, options, everything=False) == ()
        assert generations.commit().version is version
        assert generations.numbers == [2]

    run(folder, test)


def test_beyond_the_number_that_may_live_the_oldest_ends(folder: Path) -> None:
    async def test(generations: Generations, options: Options) -> None:
        versions = [generations.current.version]
        for number in (2, 3):
            save(folder, f"version {number}", "#" * number)
            versions.append((await swap(generations, options, number)).version)
        await until(lambda: generations.numbers == [2, 3])
        assert [version.done for version in versions] == [["startup", "drain", "shutdown"], ["startup"], ["startup"]]

    run(folder, test)


def test_one_that_has_nothing_in_hand_is_not_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds a WebSocket open for long keeps it, however often new code comes meanwhile."""
    monkeypatch.setattr("hornbeamd.worker.generations._MOMENT", 0.01)

    async def test(generations: Generations, options: Options) -> None:
        oldest = generations.current.version
        for number in (2, 3, 4):
            save(folder, f"version {number}", "#" * number)
            (await swap(generations, options, number)).version.idle.set()
            await asyncio.sleep(0.02)
            await until(lambda number=number: generations.numbers == [1, number])
        assert oldest.done == ["startup"]

    run(folder, test)


def test_one_that_was_replaced_just_now_is_not_counted_yet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hornbeamd.worker.generations._MOMENT", 0.3)

    async def test(generations: Generations, options: Options) -> None:
        oldest = generations.current.version
        save(folder, "two")
        await swap(generations, options, 2)
        await asyncio.sleep(0)
        monkeypatch.setattr("hornbeamd.worker.generations._MOMENT", 60)
        save(folder, "three")
        await swap(generations, options, 3)
        await asyncio.sleep(0.35)
        assert oldest.done == ["startup"]

    run(folder, test)


def test_while_an_import_hangs_that_was_given_up_there_is_no_other(folder: Path) -> None:
    gates["two"] = threading.Event()

    async def test(generations: Generations, options: Options) -> None:
        save(
            folder,
            "two",
            f"""
from {__name__} import gates
open({str(folder / "importing")!r}, "w").close()
gates["two"].wait(10)""",
        )
        task = asyncio.create_task(generations.prepare(2, options, everything=False))
        await until(lambda: (folder / "importing").exists())
        task.cancel()
        await asyncio.wait([task])
        with pytest.raises(CannotSwap, match="import of an earlier reload has not ended"):
            await generations.prepare(3, options, everything=False)
        gates["two"].set()
        await until(lambda: type(sys.modules) is dict)
        assert (called(), sys.modules["generations_app"].VERSION) == ("one", "one")
        save(folder, "four")
        await swap(generations, options, 4)

    run(folder, test)


def test_when_the_process_ends_all_generations_are_shut_down_once(folder: Path) -> None:
    versions = []

    async def test(generations: Generations, options: Options) -> None:
        versions.append(generations.current.version)
        save(folder, "two")
        versions.append((await swap(generations, options, 2)).version)

    run(folder, test)
    assert [version.done for version in versions] == [["startup", "shutdown"], ["startup", "shutdown"]]


def test_what_is_prepared_when_the_process_ends_is_shut_down_as_well(folder: Path) -> None:
    versions = []

    async def test(generations: Generations, options: Options) -> None:
        save(folder, "two")
        await generations.prepare(2, options, everything=False)
        assert generations._next is not None
        versions.extend([generations.current.version, generations._next.version])

    run(folder, test)
    assert [version.done for version in versions] == [["startup", "shutdown"], ["startup", "shutdown"]]
