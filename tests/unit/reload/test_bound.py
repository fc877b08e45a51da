"""Connections that only the thread can use which has loaded the modules: which of them stand against a swap."""

from __future__ import annotations

import gc
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from hornbeamd.errors import CannotSwap
from hornbeamd.reload import bound

connect = partial(sqlite3.connect, ":memory:")
pytestmark = [
    pytest.mark.usefixtures("collected"),
    # Python warns of connections that were not closed from 3.13 on.
    pytest.mark.filterwarnings("ignore:.*unclosed database:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def collected() -> Iterator[None]:
    """What the tests leave does not harm others."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class Derived(sqlite3.Connection):
    pass


def load(make: Callable[[], Any]) -> Any:
    """Have a thread of its own *make* something, as modules are loaded, and judge it here; gives it."""
    given: list[tuple[Any, set[int]]] = []
    thread = threading.Thread(target=lambda: given.append(bound.noting(make)))
    thread.start()
    thread.join()
    made, connections = given[0]
    bound.judge(connections)
    return made


def closed() -> sqlite3.Connection:
    connection = connect()
    connection.close()
    return connection


def by_another_thread() -> sqlite3.Connection:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(connect).result()


@pytest.mark.parametrize("make", [connect, partial(connect, factory=Derived), lambda: {"in": [connect()]}])
def test_one_that_stays_and_that_only_the_loading_thread_can_use(make: Callable[[], Any]) -> None:
    with pytest.raises(CannotSwap, match=r"a connection of sqlite3 .*check_same_thread=False"):
        load(make)


@pytest.mark.parametrize("make", [partial(connect, check_same_thread=False), closed, by_another_thread])
def test_one_that_other_threads_can_use_or_nobody_or_its_own(make: Callable[[], Any]) -> None:
    load(make)


def test_one_that_nobody_has_any_more_or_that_only_the_loading_thread_had() -> None:
    own = threading.local()
    load(lambda: setattr(own, "connection", connect()))
    load(lambda: connect() and None)


def test_one_that_was_there_before() -> None:
    """Of a thread, say, that had the number of this one: these are given again."""
    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(connect).result()
        assert pool.submit(bound.noting, lambda: "loaded").result() == ("loaded", set())
    del before
