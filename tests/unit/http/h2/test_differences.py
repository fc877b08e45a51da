"""Where the two engines differ, each for a reason: all that they differ in is in one table.

What a fault ends is the connection, what a reset ends is a stream; the RFC allows a fault for either (RFC 9113, section
5.4.1). Neither lets anything through that the other refuses.
"""

import pytest

from hornbeamd.http.h2.engines import engine_factory
from hornbeamd.http.h2.frames import CONTINUATION, END_HEADERS, WINDOW_LIMIT
from tests.support.h2frames import GET, POST, Client, block, data, frame, headers, post, window

_ALTSVC = 10

DIFFERENCES = {
    "a length that is no number": (
        headers(1, *POST, (b"content-length", b"x"), end=False),
        "refused",
        "fault",
        "the library reads it before we are asked",
    ),
    "a body longer than its length": (
        headers(1, *POST, (b"content-length", b"1"), end=False) + data(1, b"ab"),
        "taken",
        "fault",
        "with ours the owner counts, who knows what has become of the request",
    ),
    "trailers that do not end the stream": (
        post(1) + headers(1, (b"a", b"b"), end=False),
        "reset",
        "fault",
        "a malformed request is to end nobody else's",
    ),
    "data behind the end": (
        headers(1) + data(1, b"x"),
        "fault",
        "reset",
        "resets that a client provokes are an attack: the library's count as such",
    ),
    "a window of a stream beyond its limit": (
        post(1) + window(1, WINDOW_LIMIT),
        "fault",
        "reset",
        "the same",
    ),
    "a block in more than 64 frames": (
        headers(1, *GET, whole=False)
        + b"".join(frame(CONTINUATION, 0, 1, block([(b"x", b"y")])) for _ in range(70))
        + frame(CONTINUATION, END_HEADERS, 1),
        "taken",
        "fault",
        "the library counts frames of a block, we count its bytes, and frames that are empty",
    ),
    "a malformed frame of RFC 7838": (
        frame(_ALTSVC, 0, 0, b"x") + headers(1),
        "taken",
        "fault",
        "from a client it means nothing, and we do not know the type",
    ),
}


def outcome(client: Client) -> str:
    if client.fault is not None:
        return "fault"
    if client.reset_code(1) is not None:
        return "reset"
    return "refused" if "refused" in client.kinds else "taken"


@pytest.mark.parametrize("what", DIFFERENCES)
def test_they_differ_in_this(what: str):
    sent, ours, theirs, _ = DIFFERENCES[what]
    found = [outcome(Client(engine_factory(name)).send(sent)) for name in ("native", "h2")]
    assert found == [ours, theirs]
