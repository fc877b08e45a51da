"""Answers of a process to the supervisor: short and long ones, refusals, failures."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from hornbeamd.errors import ControlError
from hornbeamd.worker.answers import LONGEST, Answers
from hornbeamd.worker.channel import Inbox, Outbox


async def length(message: dict[str, Any]) -> dict[str, Any]:
    return {"text": "x" * message["length"]}


async def refuse(message: dict[str, Any]) -> dict[str, Any]:
    raise ControlError("not now", 75)


async def fail(message: dict[str, Any]) -> dict[str, Any]:
    raise KeyError("gone")


def answers(*questions: dict[str, Any]) -> list[dict[str, Any]]:
    """What comes over the channel when these are asked in this order."""

    async def ask() -> list[dict[str, Any]]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            told = Answers(theirs, Outbox(theirs), {"length": length, "refuse": refuse, "fail": fail})
            for number, question in enumerate(questions):
                told.asked({"do": "ask", "id": number, **question})
            inbox, found = Inbox(), []
            while len(found) < len(questions):
                found += inbox.feed(await asyncio.get_running_loop().sock_recv(ours, 65536))
            return found

    return asyncio.run(asyncio.wait_for(ask(), 10))


def test_each_question_is_answered_also_with_more_than_the_socket_takes_at_once() -> None:
    short, long, last = answers(*({"what": "length", "length": size} for size in (1, LONGEST - 1000, 2)))
    assert short == {"event": "answer", "id": 0, "answer": {"text": "x"}}
    assert (long["id"], len(long["answer"]["text"])) == (1, LONGEST - 1000)
    assert last == {"event": "answer", "id": 2, "answer": {"text": "xx"}}


def test_what_is_too_long_is_refused_in_words() -> None:
    (answer,) = answers({"what": "length", "length": LONGEST})
    assert answer == {"event": "answer", "id": 0, "error": "the answer is longer than 512 KiB", "code": 1}


def test_a_refusal_keeps_its_code_and_a_failure_has_its_class(caplog) -> None:
    refused, failed = answers({"what": "refuse"}, {"what": "fail"})
    assert (refused["error"], refused["code"]) == ("not now", 75)
    assert (failed["error"], failed["code"]) == ("KeyError: 'gone'", 1)
    assert "a question could not be answered" in caplog.text
