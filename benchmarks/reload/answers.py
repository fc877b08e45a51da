"""What the application answers in each version, so that an answer of two versions is told from one of one.

A version is a number that three modules state: `heads.py` for a field of the head, `bodies.py` for the text of the
body, `sizes.py` for its length. An answer is whole when all three are the same.
"""

import re
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["", "wrong", "mixed"]

_BODY = re.compile(rb"version (\d+) \.*")
_PIECE = re.compile(rb"version (\d+) piece (\d+)")

PIECES = 30
"""How many lines a slow download has."""


def size(version: int) -> int:
    """The length of a body."""
    return 200 + version * 37 % 1000


@dataclass(frozen=True, slots=True)
class Judged:
    verdict: Verdict
    version: int = 0


def judge(head: bytes | None, body: bytes) -> Judged:
    """Judge an answer by the version in its head and by its body."""
    match = _BODY.fullmatch(body)
    if match is None or head is None or not head.isdigit():
        return Judged("wrong")
    version = int(match[1])
    return Judged("" if int(head) == version and len(body) == size(version) else "mixed", version)


def judge_download(head: bytes | None, body: bytes) -> Judged:
    """Judge a slow download, whose lines all state the version."""
    found = [(int(version), int(number)) for version, number in _PIECE.findall(body)]
    if [number for _, number in found] != list(range(PIECES)) or head is None or not head.isdigit():
        return Judged("wrong")
    versions = {version for version, _ in found} | {int(head)}
    return Judged("" if len(versions) == 1 else "mixed", int(head))
