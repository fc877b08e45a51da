"""What a browser gets on a plain socket."""

import pytest

from tests.support.daemon import Daemon

pytestmark = pytest.mark.clients

APP = """
import asyncio

go_on = asyncio.Event()
PAGE = b"<!doctype html><title>Page</title><link rel=icon href=data:,><p>Hello"


async def app(scope, receive, send):
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["method"] == "POST":
        more, length = True, 0
        while more:
            message = await receive()
            more, length = message["more_body"], length + len(message["body"])
        await send({"type": "http.response.body", "body": b"%d" % length})
    elif scope["path"] == "/parts":
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"second"})
    elif scope["path"] == "/go_on":
        go_on.set()
        await send({"type": "http.response.body"})
    else:
        await send({"type": "http.response.body", "body": PAGE})
"""


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    (folder / "app.py").write_text(APP)
    options = ("--worker-class", "asgi", "--workers", "1", "--lifespan", "off")
    with Daemon("app:app", *options, folder=folder, ready=1) as daemon:
        yield chromium.open(daemon.url)


def test_a_page_comes_over_http_1_1(page):
    assert page.text == "Hello"
    assert page.run("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "http/1.1"


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
    script = "fetch('/', {method: 'POST', body: new Uint8Array(1000000)}).then(response => response.text())"
    assert page.run(script) == "1000000"
