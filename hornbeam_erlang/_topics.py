"""Messages by topic, from any process of the server to any other."""

from __future__ import annotations

from typing import Any

from hornbeamd.node import current
from hornbeamd.node.subscriptions import Subscription


def publish(topic: str, message: Any) -> int:
    """Send *message*, a term, to all who are subscribed to *topic*; how many these are, in all processes.

    What one thread or Task publishes arrives in order, once or not at all. Without a hub it reaches nobody: 0.
    """
    return current().publish(topic, message)


def subscribe(topic: str, queue_size: int | None = None) -> Subscription:
    """The messages of *topic* from the moment it is entered, with ``with`` or, in a coroutine, ``async with``::

        with subscribe("room:*") as messages:
            for message in messages:
                ...

    In a topic ``*`` stands for any segment between colons. *queue_size* messages wait at most (by default
    ``queue_size`` of ``[hornbeam.hub]``); what comes when so many do is dropped, and counted in ``missed``.
    """
    return current().subscribe(topic, queue_size)


def unsubscribe(subscription: Subscription) -> None:
    """End a subscription, as leaving its block does: who iterates over it comes to the end.

    Raises TypeError on anything but what :func:`subscribe` gave, such as the name of a topic.
    """
    if not isinstance(subscription, Subscription):
        raise TypeError(
            f"unsubscribe() takes the subscription that subscribe() gave, not an object of type"
            f" {type(subscription).__name__}"
        )
    subscription.close()
