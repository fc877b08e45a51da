"""What the hub's refusals say to people, who know functions and hooks, and no names on the wire."""

import pytest

from hornbeamd.errors import CallError, HubGone, NotRegistered
from hornbeamd.hub.wire import Reason
from hornbeamd.node.letters import refusal


@pytest.mark.parametrize(
    ("reason", "kind", "said"),
    [
        (Reason.UNKNOWN, NotRegistered, 'hook "p" is not registered in any process'),
        (Reason.GONE, HubGone, 'hook "p": the process at work on it ended: worker 1'),
        (Reason.BUSY, CallError, 'hook "p": 3 calls wait already'),
        (Reason.RAISED, CallError, "ValueError: no"),
    ],
)
def test_a_refusal_names_what_was_called(reason, kind, said):
    text = {Reason.RAISED: "no"}.get(reason, said.partition(": ")[2])
    error = refusal("hook:p", reason, "ValueError" if reason is Reason.RAISED else "", text)
    assert type(error) is kind
    assert str(error) == said
