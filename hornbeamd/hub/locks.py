"""Locks by key: who asks first has it first, and who is gone has none."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from hornbeamd.hub.client import Client
from hornbeamd.hub.wire import Kind


@dataclass(eq=False, slots=True)
class Lock:
    """That a client has the lock of a key, or waits for it."""

    client: Client
    id: int
    key: bytes


class Locks:
    """The locks of all clients."""

    def __init__(self) -> None:
        self._queues: dict[bytes, OrderedDict[Lock, None]] = {}
        """Who wants each key, in order; the first has it."""

    def ask(self, client: Client, id: int, key: bytes) -> None:
        """*client* gets DONE when the lock is its own."""
        lock = Lock(client, id, key)
        client.begin(id, lock)
        queue = self._queues.setdefault(key, OrderedDict())
        queue[lock] = None
        if len(queue) == 1:
            client.tell(Kind.DONE, id)

    def give_up(self, lock: Lock) -> None:
        """Give it back, or wait for it no longer."""
        del lock.client.asked[lock.id]
        queue = self._queues[lock.key]
        held = next(iter(queue)) is lock
        del queue[lock]
        if not queue:
            del self._queues[lock.key]
        elif held:
            heir = next(iter(queue))
            heir.client.tell(Kind.DONE, heir.id)

    def status(self) -> dict[str, int]:
        """How many are held, and how many clients wait for one."""
        held = len(self._queues)
        return {"held": held, "waiting": sum(map(len, self._queues.values())) - held}
