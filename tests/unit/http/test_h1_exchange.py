"""What an exchange asks of its connection (http/h1/exchange.py)."""

from types import SimpleNamespace

from hornbeamd.http.exchange import Request
from hornbeamd.http.h1.exchange import H1Exchange
from hornbeamd.http.rules import parse_target


def made(write_paused: bool = False, closing: bool = False) -> H1Exchange:
    transport = SimpleNamespace(is_closing=lambda: closing)
    connection = SimpleNamespace(write_paused=write_paused, transport=transport)
    return H1Exchange(connection, Request("GET", b"/", parse_target(b"/", "GET"), ()))


def test_a_full_buffer_blocks():
    assert not made().blocked
    assert made(write_paused=True).blocked


def test_a_connection_that_has_just_broken_blocks_until_the_loop_has_said_so():
    """Else an application that does nothing but send would never let the loop turn."""
    exchange = made(closing=True)
    assert exchange.blocked
    exchange.lost = True
    assert not exchange.blocked


def test_a_connection_that_closes_behind_the_answer_does_not_hold_its_application():
    exchange = made(closing=True)
    exchange.finished = True
    assert not exchange.blocked
