"""What is said to each new hub, and who waits until it is known."""

from itertools import count

import pytest

from hornbeamd.hub.wire import Frames, Kind
from hornbeamd.node.standing import Standing
from hornbeamd.node.subscriptions import Subscription, Subscriptions


class Hub:
    """What a link says for a standing, as messages; it is the loop of that link, too."""

    def __init__(self, standing):
        self.standing = standing
        self.ids = count(1)
        self.heard = []

    def call_soon_threadsafe(self, callback, *args):
        self.soon.append((callback, args))

    def meet(self):
        """A new connection."""
        self.heard.clear()
        self._hear(self.standing.all(self.ids))

    def follow(self):
        self.soon = []
        self.standing.follow(self, lambda key: self._hear([self.standing.one(next(self.ids), key)]))

    def turn(self):
        """One turn of the loop."""
        soon, self.soon = self.soon, []
        for callback, args in soon:
            callback(*args)

    def confirm(self):
        for message in self.heard:
            self.standing.done(message[1])

    def _hear(self, frames):
        self.heard += Frames(1000).feed(b"".join(frames))

    @property
    def said(self):
        return [(Kind(kind), *rest) for kind, _, *rest in self.heard]


@pytest.fixture
def standing():
    subscriptions = Subscriptions(lambda pattern: standing.announce(pattern))
    standing = Standing(subscriptions)
    return standing


@pytest.fixture
def hub(standing):
    return Hub(standing)


def subscribed(standing, pattern):
    subscription = Subscription(standing.subscriptions, pattern, 10)
    return subscription, subscription._begin()


def test_all_is_said_to_a_new_hub(standing, hub):
    _, first = subscribed(standing, "a:*")
    _, second = subscribed(standing, "a:*")
    offered = standing.offer("function:f", 3, 0)
    hub.meet()
    assert hub.said == [(Kind.SUBSCRIBE, "a:*", 2), (Kind.OFFER, "function:f", 3)]
    assert not any(future.done() for future in (first, second, offered))
    hub.confirm()
    assert all(future.done() for future in (first, second, offered))


def test_changes_are_said_as_they_are_by_then(standing, hub):
    hub.meet()
    hub.follow()
    one, entered = subscribed(standing, "t")
    hub.turn()
    subscribed(standing, "t")
    standing.offer("function:f", 0, 0)
    hub.turn()
    one.close()
    standing.offer("function:g", 0, 0)
    standing.withdraw("function:f")
    standing.withdraw("function:g")
    hub.turn()
    assert hub.said == [
        (Kind.SUBSCRIBE, "t", 1),
        (Kind.SUBSCRIBE, "t", 2),
        (Kind.OFFER, "function:f", 0),
        (Kind.SUBSCRIBE, "t", 1),
        (Kind.WITHDRAW, "function:g"),
        (Kind.WITHDRAW, "function:f"),
        (Kind.WITHDRAW, "function:g"),
    ]
    hub.confirm()
    assert entered.done()


def test_what_an_old_hub_has_not_confirmed_the_next_one_does(standing, hub):
    hub.meet()
    hub.follow()
    _, entered = subscribed(standing, "t")
    gone, _ = subscribed(standing, "gone")
    hub.turn()
    left = gone._end()
    hub.turn()
    old = [message[1] for message in hub.heard]
    hub.meet()
    assert hub.said == [(Kind.SUBSCRIBE, "t", 1)]
    assert left.done()  # the new one has never heard of it
    assert not entered.done()
    for id in old:
        standing.done(id)  # comes from nobody any more
    assert not entered.done()
    hub.confirm()
    assert entered.done()


@pytest.mark.parametrize("forget", [False, True])
def test_after_a_fork(standing, hub, forget):
    hub.meet()
    hub.follow()
    subscribed(standing, "t")
    standing.offer("function:f", 1, 0)
    held = standing._lock
    standing.after_fork(forget=forget)
    assert standing._lock is not held  # by a thread that the child does not have
    hub.meet()
    assert hub.said == ([] if forget else [(Kind.OFFER, "function:f", 1)])
