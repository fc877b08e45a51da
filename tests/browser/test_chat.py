"""examples/websocket_chat as people use it, over TLS: two tabs, one room."""

import signal
from pathlib import Path

import pytest

from tests.support.chromium import DEADLINE, Page
from tests.support.daemon import Daemon
from tests.support.waiting import wait_until

pytestmark = pytest.mark.clients

SYS_TOML = Path(__file__).resolve().parents[2] / "examples" / "websocket_chat" / "sys.toml"


@pytest.fixture
def daemon(certificate, tmp_path):
    flags = ("--no-reload-in-place", *certificate.options)
    with Daemon("-c", str(SYS_TOML), *flags, folder=tmp_path, ready=1) as daemon:
        yield daemon


@pytest.fixture
def join(chromium, daemon):
    """Open the page in a tab and join the lobby under a name."""

    def open_and_join(name: str) -> Page:
        page = chromium.open(daemon.url)
        page.focus("#name")
        page.type(name)
        page.press_enter()
        page.wait_text(f"{name} joined")
        return page

    return open_and_join


def test_what_one_says_the_other_reads(join):
    ann, bob = join("Ann"), join("Bob")
    ann.wait_text("Bob joined")
    for speaker, other, text in ((ann, bob, "Guten Tag, <b>Bob</b>!"), (bob, ann, "Grüß dich")):
        speaker.type(text)
        speaker.press_enter()
        speaker.wait_text(f": {text}")
        other.wait_text(f": {text}")
    handshake = ann.wait_event("Network.webSocketHandshakeResponseReceived")
    assert handshake["response"]["status"] == 200  # RFC 8441: it shares the connection of the page


def test_the_page_shows_what_can_be_done(join, chromium, daemon):
    assert chromium.open(daemon.url).buttons == ["Join"]
    assert join("Ann").buttons == ["Send"]


def test_who_closes_the_tab_has_left(join):
    ann, bob = join("Ann"), join("Bob")
    bob.close()
    ann.wait_text("Bob left")


def test_after_a_reload_people_join_again(join, daemon):
    ann = join("Ann")
    daemon.signal(signal.SIGHUP)
    ann.wait_text("The connection has ended: service restart")
    ann.focus("#name")
    ann.press_enter()
    # That she left may be told by the worker that ends after she has come back.
    wait_until(lambda: "Ann joined" in ann.text.partition("service restart")[2], deadline=DEADLINE, explain=ann.text)
