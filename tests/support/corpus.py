"""Reads the cases of tests/corpus/h1 (the README there says what the keys mean)."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tests.support.raw import Response

FOLDER = Path(__file__).resolve().parent.parent / "corpus" / "h1"
PROBE = b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n"

_KEYS = {"id", "raw", "each", "answers", "then", "status", "or_refused", "fin", "ref"}
_THEN = {"open", "closed", "refused", "cut", "safe", "unjudged"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as the application saw it, or must see it; None: not looked at."""

    method: str
    target: bytes | None
    body: bytes
    headers: dict[bytes, bytes]
    """Of repeated ones the values joined with `|`; an empty value: not there."""


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    raw: bytes
    answers: tuple[Seen, ...]
    then: str
    status: frozenset[int]
    or_refused: bool
    fin: bool

    @property
    def probed(self) -> bool:
        """A probe is sent behind `raw`."""
        return not self.fin and self.then != "unjudged"

    @property
    def sent(self) -> bytes:
        return self.raw + PROBE if self.probed else self.raw


def _bytes(spelled: Any, item: Any = None) -> bytes:
    """A text, or a list of texts and [text, times]; `item` in the place of {}."""
    if isinstance(spelled, str):
        data = spelled.encode("latin-1")
        return data if item is None else data.replace(b"{}", _item(item))
    parts = (_bytes(part, item) if isinstance(part, str) else _bytes(part[0], item) * part[1] for part in spelled)
    return b"".join(parts)


def _item(item: Any) -> bytes:
    return _bytes(item if isinstance(item, str) else [item])


def _seen(spelled: dict[str, Any], item: Any) -> Seen:
    headers = spelled.get("headers", {})
    return Seen(
        method=_bytes(spelled.get("method", "GET"), item).decode("latin-1"),
        target=_bytes(spelled["target"], item) if "target" in spelled else None,
        body=_bytes(spelled.get("body", ""), item),
        headers={_bytes(name): _bytes(value, item) for name, value in headers.items()},
    )


def _expand(table: dict[str, Any], file: str) -> Iterator[Case]:
    unknown = set(table) - _KEYS
    then = table.get("then", "open" if table.get("answers") else "refused")
    if unknown or then not in _THEN:
        raise ValueError(f"{file}: {table.get('id')}: {unknown or then}")
    for item in table.get("each", [None]):
        name = f"{file}: {table['id']}"
        if item is not None:
            name += " " + (ascii(item) if isinstance(item, str) else f"{item[0]!a} x {item[1]}")
        yield Case(
            id=name,
            raw=_bytes(table["raw"], item),
            answers=tuple(_seen(answer, item) for answer in table.get("answers", ())),
            then=then,
            status=frozenset(table.get("status", [400])),
            or_refused=table.get("or_refused", False),
            fin=table.get("fin", then == "cut"),
        )


@cache
def cases() -> tuple[Case, ...]:
    """All cases of all files. Raises ValueError for an unknown key and an id that is not unique."""
    found: dict[str, Case] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        for table in tomllib.loads(path.read_text(encoding="utf-8"))["case"]:
            for case in _expand(table, path.stem):
                if case.id in found:
                    raise ValueError(f"twice: {case.id}")
                found[case.id] = case
    return tuple(found.values())


def check(case: Case, responses: list[Response], seen: list[dict[str, Any]]) -> None:
    """Hold what came back, and what an Echo has seen, to what *case* asks. Raises AssertionError."""
    refusals = [response for response in responses if response.status != 200]
    if case.or_refused and refusals and len(responses) == 1:
        _check_refusal(case, refusals[0])
        assert not seen, "answered and refused"
        return
    expected = list(case.answers)
    if case.then == "open" or (case.then == "safe" and len(seen) > len(expected)):
        expected.append(Seen("GET", b"/probe", b"", {}))
    statuses = [response.status for response in responses]
    targets = [None if want is None else _text(want.target, got) for want, got in zip_longest(expected, seen)]
    assert [request["target"] for request in seen] == targets, statuses
    for want, got, response in zip(expected, seen, responses, strict=False):
        _check_seen(want, got)
        assert response.status == 200, statuses
        assert want.method == "HEAD" or json.loads(response.body) == got, "the answer to another request"
    after = responses[len(expected) :]
    if case.then == "refused":
        assert len(after) == 1, f"not refused: {statuses}"
        _check_refusal(case, after[0])
    elif case.then == "cut":
        assert len(after) <= 1, statuses
        assert all(400 <= response.status < 500 for response in after), statuses
    elif case.then in ("open", "closed"):
        assert not after, f"more than was asked for: {statuses}"


def _text(target: bytes | None, got: dict[str, Any] | None) -> str | None:
    if target is None:
        return got["target"] if got else "(any)"
    return target.decode("latin-1")


def _check_refusal(case: Case, response: Response) -> None:
    assert response.status in case.status, f"{response.status} {response.body!r}"
    assert response.header(b"connection") == (b"close, upgrade" if response.status == 426 else b"close")


def _check_seen(want: Seen, got: dict[str, Any]) -> None:
    assert got["method"] == want.method
    assert got["body"].encode("latin-1") == want.body
    for name, value in want.headers.items():
        values = [each for key, each in got["headers"] if key == name.decode("latin-1")]
        assert "|".join(values) == value.decode("latin-1"), name
