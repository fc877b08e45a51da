"""What a process of a pool does: loads its handler, counts the calls, looks at its memory and at what is stuck."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hornbeamd import node
from hornbeamd.config.options import Options
from hornbeamd.config.pools import PoolOptions
from hornbeamd.errors import AppLoadError
from hornbeamd.state import terms
from hornbeamd.worker import pooled
from hornbeamd.worker.memory import resident
from hornbeamd.worker.pooled import Pooled


class Model:
    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    def answer(self) -> int:
        return 42


class Joined(Model):
    class Encode:
        at_once = 64

        def __call__(self, text: str) -> str:
            return text

    encode = Encode()


class Broken:
    def __init__(self) -> None:
        raise OSError("no weights")


class Job:
    """A call of ``answer``."""

    name = "hook:models"
    payload = b""
    wanted, streamed = True, False

    def on_cancel(self, callback: Any) -> None:
        self.cancel = callback

    def done(self, payload: bytes) -> None:
        """It is answered."""

    def failed(self, error: BaseException) -> None:
        """It is answered."""

    def unknown(self) -> None:
        """It is answered."""


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    models = ModuleType("pooled_models")
    models.__dict__.update(Model=Model, Joined=Joined, Broken=Broken, answer=lambda action: action, number=5)
    monkeypatch.setitem(sys.modules, "pooled_models", models)
    monkeypatch.setattr(Model, "made", 0)
    node.install(node.alone())
    yield
    node.install(None)


def service(handler: str = "Model", *, listeners: tuple[Any, ...] = (), **options: Any) -> Pooled:
    birth = SimpleNamespace(options=Options(), listeners=list(listeners))
    return Pooled(birth, PoolOptions(name="models", handler=f"pooled_models:{handler}", **options))


def serve(made: Pooled) -> list[Any]:
    """What it tells the supervisor, in the order in which it does; to be called in an event loop."""
    told: list[Any] = []
    made.serve(made.build(Options()), told.append)
    return told


async def served(made: Pooled) -> None:
    """The same for a moment."""
    serve(made)


def test_a_class_gets_its_instance_before_there_are_calls() -> None:
    asyncio.run(served(service()))
    assert Model.made == 1
    target = node.current().offers.find("hook:models")
    assert target is not None
    assert target.function("answer")() == 42


def test_a_new_version_takes_the_calls_and_one_that_is_the_same_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def adopt() -> None:
        made = service()
        old, new = made.build(Options()), made.build(Options())
        made.serve(old, lambda message: None)
        offered: list[Any] = []
        monkeypatch.setattr(node.current().post, "offer", lambda *offer: offered.append(offer))
        made.adopt(old, Options())
        assert offered == []
        made.adopt(new, Options())
        assert node.current().offers.find("hook:models") is new.hook

    asyncio.run(adopt())


def test_what_cannot_be_loaded_is_a_failed_boot() -> None:
    with pytest.raises(OSError, match="no weights"):
        service("Broken").build(Options())
    with pytest.raises(AppLoadError, match="has no attribute 'Modell'; did you mean 'Model'"):
        service("Modell").build(Options())
    with pytest.raises(TypeError, match="a handler is a class, an object or a function, not 5"):
        service("number").build(Options())


def test_it_does_not_keep_the_address_taken() -> None:
    listener = socket.socket()
    service(listeners=(listener,))
    assert listener.fileno() == -1


@pytest.mark.parametrize(
    ("handler", "options", "slots"),
    [
        ("Model", {}, 1),
        ("answer", {"threads": 4}, 4),
        ("Joined", {"threads": 4}, 64),
        ("Joined", {"concurrency": 3}, 3),
        ("Model", {"concurrency": 7, "threads": 2}, 7),
    ],
)
def test_how_many_calls_it_takes_at_once(
    monkeypatch: pytest.MonkeyPatch, handler: str, options: dict[str, int], slots: int
) -> None:
    offered: list[tuple[str, int, int]] = []
    monkeypatch.setattr(node.current().post, "offer", lambda *offer: offered.append(offer))
    asyncio.run(served(service(handler, **options)))
    assert offered == [("hook:models", slots, options.get("threads", 1))]
    assert node.current().threads.size == options.get("threads", 1)


def test_it_asks_once_to_be_replaced_after_max_requests() -> None:
    async def asks_at() -> int:
        """After how many calls it does."""
        made = service(max_requests=3, max_requests_jitter=2)
        told = serve(made)
        lengths = []
        for _ in range(8):
            made.take(Job())
            await asyncio.sleep(0)
            lengths.append(len(told))
        assert told == [{"event": "recycle", "why": "max_requests"}]
        return lengths.index(1) + 1

    assert {asyncio.run(asks_at()) for _ in range(50)} == {3, 4, 5}


def test_without_a_limit_it_never_asks() -> None:
    async def calls() -> None:
        made = service()
        told = serve(made)
        for _ in range(10):
            made.take(Job())
        assert told == []

    asyncio.run(calls())


class Scale:
    """In the place of the memory of this process."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)

    def __call__(self) -> int:
        return self.sizes.pop(0)


def test_it_asks_to_be_replaced_when_it_has_become_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    async def grow() -> Any:
        told = asyncio.get_running_loop().create_future()
        made = service(max_memory=200)
        made.serve(made.build(Options()), told.set_result)
        return await asyncio.wait_for(told, 5)

    monkeypatch.setattr(pooled, "BEAT", 0)
    monkeypatch.setattr(pooled, "resident", Scale(100, 200, 201))
    assert asyncio.run(grow()) == {"event": "recycle", "why": "max_memory: it holds 201 bytes"}


def test_a_limit_that_no_replacement_would_meet_is_told_and_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def grow() -> list[Any]:
        told = serve(service(max_memory=200))
        for _ in range(5):
            await asyncio.sleep(0)
        return told

    monkeypatch.setattr(pooled, "BEAT", 0)
    monkeypatch.setattr(pooled, "resident", Scale(300))
    with caplog.at_level("WARNING", logger="hornbeamd.worker"):
        assert asyncio.run(grow()) == []
    assert "takes more than max_memory" in caplog.text


def test_it_is_stuck_when_a_call_goes_on_for_its_time_again_after_it_was_given_up() -> None:
    async def use() -> None:
        made = service(timeout=10.0)
        serve(made)
        assert made.stuck(1e9) is None
        gate = threading.Event()
        node.current().offers.register_function("wait", lambda: gate.wait(5))
        job = Job()
        job.name, job.payload = "function:wait", terms.pack((None, (), {}))
        made.take(job)
        assert made.stuck(1e9) is None
        job.cancel()
        now = asyncio.get_running_loop().time()
        assert made.stuck(now + 9.0) is None
        assert made.stuck(now + 11.0).startswith("a call goes on 11.0 s after")
        gate.set()
        await node.current().serving.finished()
        assert made.stuck(now + 11.0) is None

    asyncio.run(use())


def test_the_memory_of_this_process_is_known() -> None:
    before = resident()
    held = b"x" * 64_000_000
    assert 1_000_000 < before < resident() - 60_000_000
    assert len(held)
