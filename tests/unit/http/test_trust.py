"""Who is among the peers that an option names (http/trust.py)."""

import pytest

from hornbeamd.http.trust import Trust


@pytest.mark.parametrize(
    ("allowed", "host", "trusted"),
    [
        ((), "127.0.0.1", False),
        ((), None, False),
        (("127.0.0.1",), "127.0.0.1", True),
        (("127.0.0.1",), "127.0.0.2", False),
        (("10.0.0.0/8",), "10.255.0.1", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("10.1.2.3/8",), "10.9.9.9", True),
        (("::1",), "::1", True),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", True),
        (("10.0.0.0/8",), "::1", False),
        (("0.0.0.0/0",), "::1", False),
        (("unix",), None, True),
        (("unix",), "127.0.0.1", False),
        (("*",), None, True),
        (("*",), "2001:db8::1", True),
        (("10.0.0.0/8", "192.0.2.1"), "192.0.2.1", True),
        (("*",), "no address", False),
    ],
)
def test_who_is_trusted(allowed: tuple, host: str | None, trusted: bool):
    assert Trust(allowed).peer(None if host is None else (host, 4711)) is trusted


def test_an_empty_list_is_false():
    assert not Trust(())
    assert all(Trust((name,)) for name in ("unix", "*", "10.0.0.0/8"))
