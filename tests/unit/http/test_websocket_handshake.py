"""The opening handshake (RFC 6455, section 4.2; RFC 8441, section 5)."""

import pytest

from hornbeamd.errors import ProtocolError, ResponseError
from hornbeamd.http.rules import CHUNKED
from hornbeamd.http.websocket.handshake import Offer, acceptance, connect_offer, upgrade_offer
from tests.support.websocket import ACCEPT, KEY

ASKING = {
    b"host": b"a",
    b"upgrade": b"websocket",
    b"connection": b"Upgrade",
    b"sec-websocket-key": KEY.encode(),
    b"sec-websocket-version": b"13",
}


def offer_of(method: str = "GET", length: int = 0, more: tuple = (), **changed: bytes | None) -> Offer | None:
    """What a handshake offers that is changed in these fields; None takes one away."""
    fields = ASKING | {name.replace("_", "-").encode(): value for name, value in changed.items()}
    return upgrade_offer(method, [(n, v) for n, v in fields.items() if v is not None] + list(more), length)


def refused(**changed) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        offer_of(**changed)
    return caught.value


@pytest.mark.parametrize(
    ("upgrade", "connection"),
    [
        (b"websocket", b"Upgrade"),
        (b"WebSocket", b"upgrade"),
        (b"h2c, websocket", b"keep-alive, Upgrade"),
        (b" websocket ,", b"keep-alive,UPGRADE"),
    ],
)
def test_what_asks_for_a_websocket(upgrade: bytes, connection: bytes):
    """RFC 6455, section 4.2.1, items 3 and 4: tokens of a list, in any case."""
    assert offer_of(upgrade=upgrade, connection=connection) == Offer((), (), KEY.encode())


@pytest.mark.parametrize(
    ("upgrade", "connection"),
    [(b"h2c", b"Upgrade"), (b"websockets", b"Upgrade"), (b"websocket", b"keep-alive"), (b"websocket", None)],
)
def test_what_does_not(upgrade: bytes, connection: bytes | None):
    """RFC 9110, section 7.8: any other upgrade may be ignored, and one without the connection option is none."""
    assert offer_of(upgrade=upgrade, connection=connection) is None


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
def test_it_is_asked_for_with_get(method: str):
    """RFC 6455, section 4.2.1, item 1."""
    assert refused(method=method).status == 400


@pytest.mark.parametrize("length", [1, 10, CHUNKED])
def test_it_has_no_body(length: int):
    assert refused(length=length).status == 400


def test_a_content_length_of_nothing_is_no_body():
    assert offer_of(more=[(b"content-length", b"0")]) is not None


@pytest.mark.parametrize(
    "key",
    [None, b"", b"dGhlIHNhbXBsZSBub25jZQ", b"dGhlIHNhbXBsZSBub25jZQ=", b"c2hvcnQ=", b"=" * 24, b"\xff" * 22 + b"=="],
)
def test_the_key_is_the_base64_of_16_bytes(key: bytes | None):
    """RFC 6455, section 4.2.1, item 5."""
    assert refused(sec_websocket_key=key).status == 400


def test_there_is_one_key():
    assert refused(more=[(b"sec-websocket-key", KEY.encode())]).status == 400


@pytest.mark.parametrize("version", [None, b"", b"12", b"8", b"14", b"013", b"13, 8"])
def test_the_version_is_13(version: bytes | None):
    """RFC 6455, section 4.4: the answer says so. RFC 9110, section 15.5.22: and names the protocol."""
    error = refused(sec_websocket_version=version)
    assert error.status == 426
    assert dict(error.headers) == {b"sec-websocket-version": b"13", b"upgrade": b"websocket"}


def test_subprotocols():
    """RFC 6455, section 11.3.4: one list, over as many fields as there are, in the order of preference."""
    more = [(b"sec-websocket-protocol", b"chat, soap"), (b"sec-websocket-protocol", b"v2.chat ,, chat")]
    offer = offer_of(more=more)
    assert offer is not None
    assert offer.subprotocols == ("chat", "soap", "v2.chat")


@pytest.mark.parametrize("name", [b"\x80\xff", b"a b", b"a;b", b'"a"', b"a\xe9"])
def test_a_subprotocol_is_a_token(name: bytes):
    assert refused(sec_websocket_protocol=name).status == 400


def test_extensions_are_kept_as_sent():
    offer = offer_of(sec_websocket_extensions=b"permessage-deflate; client_max_window_bits, x-other")
    assert offer is not None
    assert offer.extensions == ("permessage-deflate; client_max_window_bits", "x-other")


def test_extended_connect():
    """RFC 8441, section 5: no key, the same version."""
    assert connect_offer([(b"sec-websocket-version", b"13"), (b"sec-websocket-protocol", b"chat")]) == Offer(
        ("chat",), ()
    )
    with pytest.raises(ProtocolError) as caught:
        connect_offer([])
    assert caught.value.status == 426


# --- the answer ---


def test_the_answer_to_a_key():
    """RFC 6455, section 1.3."""
    assert acceptance(Offer((), (), KEY.encode()), None, []) == [(b"sec-websocket-accept", ACCEPT)]


def test_the_answer_to_an_extended_connect_has_none():
    assert acceptance(Offer(("chat",), ()), "chat", [(b"x-a", b"1")]) == [
        (b"x-a", b"1"),
        (b"sec-websocket-protocol", b"chat"),
    ]


def test_the_extension_that_was_agreed_upon():
    fields = acceptance(Offer((), ()), None, [], "permessage-deflate")
    assert fields == [(b"sec-websocket-extensions", b"permessage-deflate")]


def test_a_subprotocol_that_was_not_offered_is_the_applications_mistake():
    with pytest.raises(ResponseError, match="not offered"):
        acceptance(Offer(("chat",), ()), "soap", [])


@pytest.mark.parametrize(
    "name",
    [b"Sec-WebSocket-Accept", b"sec-websocket-protocol", b"sec-websocket-extensions", b"content-length"],
)
def test_fields_that_are_not_the_applications(name: bytes):
    with pytest.raises(ResponseError, match="accepted WebSocket"):
        acceptance(Offer((), ()), None, [(name, b"1")])
