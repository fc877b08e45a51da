"""The state as an operator reads and writes it: keys are text, values JSON or the nearest that there is to it.

A value that JSON cannot give back as it is, such as a tuple or an array, is shown as Python would show it. The store is
used in threads: a large one takes longer than the event loop has.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from hornbeamd.errors import ControlError
from hornbeamd.state.shared import SharedStore
from hornbeamd.state.terms import pack
from hornbeamd.worker.answers import LONGEST
from hornbeamd.worker.channel import Message


class Showing:
    """The subject ``state`` of the hub's answers, about *store*."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store
        self._actions: dict[str, Callable[[Message], dict[str, Any]]] = {
            "get": self._get,
            "set": self._set,
            "delete": self._delete,
            "keys": self._keys,
            "size": self._size,
        }

    async def answer(self, message: Message) -> dict[str, Any]:
        """Do what the question's ``action`` says, and give what came of it."""
        try:
            return await asyncio.to_thread(self._actions[message["action"]], message)
        except (OSError, ValueError) as error:  # StateFull among them
            raise ControlError(str(error)) from error

    def _get(self, message: Message) -> dict[str, Any]:
        value = self._store.get(message["key"], _NOTHING)
        if value is _NOTHING:
            return {"found": False, "type": "", "value": None, "text": None}
        if len(pack(value)) > LONGEST // 2:
            raise ControlError(f"the value is too long to be shown: {len(pack(value))} bytes")
        as_json = is_json(value)
        text = None if as_json else repr(value)
        return {"found": True, "type": type(value).__name__, "value": value if as_json else None, "text": text}

    def _set(self, message: Message) -> dict[str, Any]:
        value = spoken(message["value"])
        self._store.set(message["key"], value, message["ttl"])
        return {"type": type(value).__name__}

    def _delete(self, message: Message) -> dict[str, Any]:
        found = self._store.get(message["key"], _NOTHING) is not _NOTHING
        self._store.delete(message["key"])
        return {"found": found}

    def _keys(self, message: Message) -> dict[str, Any]:
        keys = self._store.keys(message["prefix"] or None)
        some = [
            {"key": key if isinstance(key, str) else repr(key), "type": type(key).__name__}
            for key in keys[: message["limit"]]
        ]
        return {"keys": some, "total": len(keys)}

    def _size(self, message: Message) -> dict[str, Any]:
        used, most = self._store.room()
        return {"entries": self._store.size(), "bytes": used, "max_bytes": most}


_NOTHING: Any = object()


def spoken(text: str) -> Any:
    """What an operator means by *text*: the value that it is as JSON, or else the text."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return text


def is_json(value: Any) -> bool:
    """Whether JSON gives *value* back equal and of the same type, through and through."""
    try:
        # Packed terms tell 1 from True and () from [], as == does not.
        return pack(json.loads(json.dumps(value, allow_nan=False))) == pack(value)
    except (TypeError, ValueError, RecursionError):
        return False


def _no_number(text: str) -> Any:
    raise ValueError(text)
