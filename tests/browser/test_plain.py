"""What a browser gets on a plain socket: HTTP/1.1, and WebSockets over it."""

import pytest

from tests.browser.conftest import ECHO

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def page(chromium, serve):
    return chromium.open(serve())


def test_a_page_comes_over_http_1_1(page):
    assert page.text == "Hello"
    assert page.protocol == "http/1.1"


def test_a_stream_comes_part_by_part(page):
    script = """
        fetch('/parts').then(async response => {
            const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
            const first = await reader.read();
            await fetch('/go_on');
            return [first.value, (await reader.read()).value];
        })"""
    assert page.run(script) == ["first", "second"]


def test_a_body_is_taken_whole(page):
    script = "fetch('/length', {method: 'POST', body: new Uint8Array(1000000)}).then(response => response.text())"
    assert page.run(script) == "1000000"


def test_a_websocket_runs(page):
    """RFC 6455."""
    assert page.run(ECHO) == ["ws 1.1 Grüße", 700000, 4001, True]
    handshake = page.wait_event("Network.webSocketHandshakeResponseReceived")
    assert handshake["response"]["status"] == 101
