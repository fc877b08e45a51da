from __future__ import annotations

import anyio
import pytest

from hornbeamd.admin.conversation import Answer, Question, words
from hornbeamd.admin.pages import Check, Pages

GOOD, BAD = Check("workers", True, "2 of 2 serve"), Check("shutdown", False, "the server is about to end")


class Health:
    def __init__(self, alive: list[Check], ready: list[Check]) -> None:
        self._alive, self._ready = alive, ready

    def alive(self) -> list[Check]:
        return self._alive

    def ready(self) -> list[Check]:
        return self._ready


async def expose(accept: str) -> Answer:
    return words(200, f"metrics for {accept}")


def asked(method: str, path: str, query: str = "", *, alive: tuple[Check, ...] = (), ready: tuple[Check, ...] = ()):
    pages = Pages(Health(list(alive), list(ready)), expose)
    return anyio.run(pages.respond, Question(method, path, query, "text/plain"))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("path", "word"), [("/livez", "alive"), ("/readyz", "ready")])
def test_what_is_well_is_said_in_a_word(method: str, path: str, word: str) -> None:
    answer = asked(method, path, alive=(GOOD,), ready=(GOOD,))
    assert (answer.status, answer.body) == (200, f"{word}\n".encode())


def test_what_is_not_well_is_named() -> None:
    answer = asked("GET", "/readyz", ready=(GOOD, BAD))
    assert (answer.status, answer.body) == (503, b"[-] shutdown: the server is about to end\nnot ready\n")


def test_text_that_is_no_unicode_is_told_as_well() -> None:
    failure = Check("supervisor", False, "ValueError: caf\udce9")
    assert asked("GET", "/livez", alive=(failure,)).body == b"[-] supervisor: ValueError: caf\\udce9\nnot alive\n"


def test_the_two_are_told_apart() -> None:
    assert asked("GET", "/livez", alive=(GOOD,), ready=(BAD,)).status == 200
    assert asked("GET", "/livez", alive=(BAD,), ready=(GOOD,)).status == 503


@pytest.mark.parametrize("query", ["verbose", "verbose=1", "timeout=1&verbose"])
def test_all_that_was_looked_at_is_told_to_who_asks(query: str) -> None:
    assert asked("GET", "/readyz", query, ready=(GOOD,)).body == b"[+] workers: 2 of 2 serve\nready\n"
    answer = asked("GET", "/readyz", query, ready=(GOOD, BAD))
    assert answer.body.splitlines()[:2] == [b"[+] workers: 2 of 2 serve", b"[-] shutdown: the server is about to end"]


def test_metrics_get_what_the_client_accepts() -> None:
    assert asked("GET", "/metrics").body == b"metrics for text/plain\n"


@pytest.mark.parametrize("path", ["/", "/metrics/", "//metrics", "/METRICS", "*", "/livez/../metrics"])
def test_there_is_nothing_else(path: str) -> None:
    answer = asked("POST", path)
    assert (answer.status, answer.body) == (404, b"there is nothing here but /livez, /readyz and /metrics\n")


def test_nothing_can_be_changed() -> None:
    answer = asked("POST", "/metrics")
    assert (answer.status, answer.headers) == (405, (("allow", "GET, HEAD"),))
