"""Errors in the browser: what ``reload.development`` puts around applications and hooks.

Where the application raises, a browser gets the traceback in place of the 500, unless a hook ``on_error`` answers.
While the last reload is refused, pages that are opened show why; scripts, other clients and WebSockets get the answers
of the old code.
"""

from __future__ import annotations

import traceback
from typing import Any

from hornbeamd.apps.calls import ASGIApplication, Message, Receive, Scope, Send
from hornbeamd.apps.hooks import Hooks
from hornbeamd.apps.messages import Request
from hornbeamd.reload.page import HEADERS, opens_page, render, takes_pages

RAISED = "The application raised this while it answered the request."
REFUSED = "The code could not be reloaded; the old code goes on. This page looks again by itself."


class _Refusal:
    text = ""
    """Why the last reload was refused, in this process."""


def note_refusal(text: str) -> None:
    """The last reload was refused because of *text*; or it was not, when that is ""."""
    _Refusal.text = text


def around(hooks: Hooks | None) -> Hooks:
    """The *hooks* of the configuration, and what shows errors behind and before them."""
    given = hooks or Hooks()

    def on_request(request: Request) -> Any:
        if _Refusal.text and opens_page(request.method, request.headers.encoded()):
            return 500, HEADERS, render(_Refusal.text, REFUSED, again=True)
        return None if given.on_request is None else given.on_request(request)

    return Hooks(on_request, given.on_response, given.on_error or _on_error)


def _on_error(error: BaseException, request: Request) -> Any:
    if not takes_pages(request.headers.encoded()):
        return None
    return 500, HEADERS, render("".join(traceback.format_exception(error)), RAISED)


def held(app: ASGIApplication) -> ASGIApplication:
    """The application, but for a browser its answers of status 500 wait for how it ends.

    Frameworks answer 500 and then raise the error that was the reason, to have it logged. The page comes in the place
    of that answer.
    """

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not takes_pages(scope["headers"]):
            await app(scope, receive, send)
            return
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            if kept or message.get("status") == 500:
                kept.append(message)
            else:
                await send(message)

        await app(scope, receive, keep)
        for message in kept:
            await send(message)

    return outer
