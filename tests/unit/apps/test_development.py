"""What development mode puts around an application and its hooks."""

import asyncio
from types import SimpleNamespace

import pytest

from hornbeamd.apps import development
from hornbeamd.apps.development import around, held, note_refusal
from hornbeamd.apps.hooks import Hooks
from hornbeamd.apps.messages import Headers

BROWSER = [(b"accept", b"text/html")]
START = {"type": "http.response.start", "status": 500, "headers": []}
BODY = {"type": "http.response.body", "body": b"sorry"}


def request(headers=(), method="GET"):
    return SimpleNamespace(method=method, headers=Headers(headers))


@pytest.fixture(autouse=True)
def _not_refused():
    yield
    note_refusal("")


def run(app, headers, kind="http"):
    """What gets out of the held application, and what it raises."""
    sent = []

    async def send(message):
        sent.append(message)

    async def main():
        try:
            await held(app)({"type": kind, "headers": headers}, None, send)
        except RuntimeError as error:
            return error

    return sent, asyncio.run(main())


def answering(*messages, raises=None):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)
        if raises:
            raise raises

    return app


def test_an_answer_before_an_error_is_held_back_from_browsers_only():
    failing = answering(START, BODY, raises=RuntimeError("why"))
    sent, error = run(failing, BROWSER)
    assert sent == []
    assert str(error) == "why"
    sent, error = run(failing, [(b"accept", b"*/*")])
    assert sent == [START, BODY]
    assert str(error) == "why"


@pytest.mark.parametrize("start", [START, {**START, "status": 200}])
def test_an_answer_without_an_error_is_as_the_application_gave_it(start):
    assert run(answering(start, BODY), BROWSER) == ([start, BODY], None)


def test_an_error_becomes_a_page_for_browsers():
    hooks = around(None)
    status, headers, page = hooks.on_error(ValueError("<no>"), request(BROWSER))
    assert status == 500
    assert ("content-type", "text/html; charset=utf-8") in headers
    assert b"ValueError: &lt;no&gt;" in page
    assert hooks.on_error(ValueError("no"), request()) is None


def test_hooks_of_the_application_come_first_where_they_answer_errors():
    given = Hooks(on_request=lambda request: "asked", on_error=lambda error, request: "answered")
    hooks = around(given)
    assert hooks.on_error(ValueError(), request(BROWSER)) == "answered"
    assert hooks.on_request(request(BROWSER)) == "asked"


def test_a_refused_reload_is_told_until_it_is_healed():
    hooks = around(Hooks(on_request=lambda request: "asked"))
    note_refusal("SyntaxError: invalid syntax")
    status, _, page = hooks.on_request(request(BROWSER))
    assert status == 500
    assert b"SyntaxError: invalid syntax" in page
    assert development.REFUSED.encode() in page
    assert hooks.on_request(request()) == "asked"
    note_refusal("")
    assert hooks.on_request(request(BROWSER)) == "asked"
    assert around(None).on_request(request(BROWSER)) is None
