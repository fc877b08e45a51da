"""Who may do what."""

from __future__ import annotations

import os
import socket

import pytest

from hornbeamd.control.command import CHANGE, LOOK
from hornbeamd.control.peers import Access, Peer, peer_of

DAEMON, GROUP = 500, 600


def peer(uid: int, *groups: int) -> Peer:
    return Peer(1, uid, frozenset(groups))


@pytest.mark.parametrize(
    ("access", "who", "may"),
    [
        (Access(DAEMON), peer(0), {LOOK, CHANGE}),
        (Access(DAEMON), peer(DAEMON), {LOOK, CHANGE}),
        (Access(DAEMON), peer(501, DAEMON, 0), set()),
        (Access(DAEMON), None, {LOOK, CHANGE}),
        (Access(DAEMON, GROUP), peer(501, 501), set()),
        (Access(DAEMON, GROUP), peer(501, 501, GROUP), {LOOK, CHANGE}),
        (Access(DAEMON, GROUP, LOOK), peer(501, GROUP), {LOOK}),
        (Access(DAEMON, GROUP, LOOK), peer(DAEMON), {LOOK, CHANGE}),
        (Access(DAEMON, GROUP, LOOK), peer(0), {LOOK, CHANGE}),
    ],
)
def test_root_and_the_daemons_user_may_all_and_a_group_what_is_configured(access, who, may):
    assert {kind for kind in (LOOK, CHANGE) if access.refusal(who, kind) is None} == may


def test_a_refusal_says_who_may():
    assert Access(DAEMON).refusal(peer(7), LOOK) == (
        "user 7 may not control this daemon: root and user 500 may (see control.group)"
    )
    assert "members of group 600" in Access(DAEMON, GROUP).refusal(peer(7), LOOK)
    assert "may look, but not change" in Access(DAEMON, GROUP, LOOK).refusal(peer(7, GROUP), CHANGE)


def test_the_system_tells_who_is_at_the_other_end():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = peer_of(ours)
    assert found is not None
    assert (found.pid, found.uid) == (os.getpid(), os.geteuid())
    assert found.groups == {os.getegid(), *os.getgroups()}
