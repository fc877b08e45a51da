"""What a browser gets over TLS: HTTP/2, and WebSockets over either version of HTTP."""

import pytest

from tests.browser.conftest import ECHO

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def url(serve, certificate):
    return serve(*certificate.options)


@pytest.fixture
def page(chromium, url):
    return chromium.open(url)


def test_a_page_comes_over_http_2(page):
    assert page.text == "Hello"
    assert page.protocol == "h2"
    assert page.run("isSecureContext")


def test_many_requests_share_a_connection(page):
    script = """
        Promise.all(Array.from({length: 50}, (_, number) => fetch(`/?${number}`).then(response => response.text())))
            .then(() => performance.getEntriesByType('resource').map(entry => entry.nextHopProtocol))"""
    assert page.run(script) == ["h2"] * 50
    used = {event["response"]["connectionId"] for event in page.events("Network.responseReceived")}
    assert len(used) == 1


def test_a_request_that_is_cut_leaves_the_others_alone(page):
    """Chromium resets the stream (RFC 9113, section 5.4.2); the application learns it on the same connection."""
    script = """
        (async () => {
            const cut = new AbortController();
            const response = await fetch('/endless', {signal: cut.signal});
            await response.body.getReader().read();
            cut.abort();
            return response.status;
        })()"""
    assert page.run(script) == 200
    page.wait("fetch('/gone').then(response => response.text()).then(text => text === '1')")
    used = {event["response"]["connectionId"] for event in page.events("Network.responseReceived")}
    assert len(used) == 1


def test_a_websocket_runs_over_the_connection_of_the_page(page):
    """RFC 8441: the answer to the extended CONNECT is 200."""
    assert page.run(ECHO) == ["wss 2 Grüße", 700000, 4001, True]
    handshake = page.wait_event("Network.webSocketHandshakeResponseReceived")
    assert handshake["response"]["status"] == 200


def test_a_websocket_runs_over_http_1_1(chromium, serve, certificate):
    """RFC 6455."""
    page = chromium.open(serve(*certificate.options, "--http-version", "HTTP/1.1"))
    assert page.protocol == "http/1.1"
    assert page.run(ECHO) == ["wss 1.1 Grüße", 700000, 4001, True]
    handshake = page.wait_event("Network.webSocketHandshakeResponseReceived")
    assert handshake["response"]["status"] == 101
