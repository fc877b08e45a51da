"""Frames of HTTP/2 and their numbers (RFC 9113, sections 4, 6 and 7)."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (section 3.4)."""

FRAME_SIZE: Final = 16384
"""The largest payload that we take and send: what every implementation supports (section 4.2)."""

WINDOW: Final = 65535
"""Every flow-control window before the settings say otherwise (section 6.9.2)."""

WINDOW_LIMIT: Final = 2**31 - 1

# Types of frames (section 6). Plain integers: they index the handlers of every frame that arrives.
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20


class Setting(IntEnum):
    """Settings (section 6.5.2; RFC 8441, section 3)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6
    ENABLE_CONNECT_PROTOCOL = 8


class Code(IntEnum):
    """Error codes (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class ConnectionFault(Exception):
    """The client broke a rule, and the connection ends (section 5.4.1)."""

    def __init__(self, code: Code, reason: str) -> None:
        self.code = code
        super().__init__(reason)


class StreamFault(Exception):
    """The client broke a rule on one stream, which is reset (section 5.4.2)."""

    def __init__(self, code: Code, reason: str) -> None:
        self.code = code
        super().__init__(reason)


_HEAD = Struct(">IBI")
_WORD = Struct(">I")
_SETTING = Struct(">HI")


def frame_head(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    """The nine bytes in front of a payload of *length* bytes (section 4.1)."""
    return _HEAD.pack(length << 8 | kind, flags, stream_id)


def settings(values: dict[Setting, int]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join([_SETTING.pack(key, value) for key, value in values.items()])
    return frame_head(len(payload), SETTINGS, 0, 0) + payload


SETTINGS_ACK: Final = frame_head(0, SETTINGS, ACK, 0)


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """The settings of a frame, in the order in which they apply. *payload* is a multiple of six bytes long."""
    return list(_SETTING.iter_unpack(payload))


def ping_ack(payload: bytes) -> bytes:
    """The answer to a PING."""
    return frame_head(8, PING, ACK, 0) + payload


def window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return frame_head(4, WINDOW_UPDATE, 0, stream_id) + _WORD.pack(increment)


def rst_stream(stream_id: int, code: Code) -> bytes:
    """An RST_STREAM frame."""
    return frame_head(4, RST_STREAM, 0, stream_id) + _WORD.pack(code)


_REASON = 200


def goaway(last: int, code: Code, reason: str = "") -> bytes:
    """A GOAWAY frame; *last* is the highest stream that was or may be acted on."""
    text = reason.encode("ascii", "replace")[:_REASON]
    return frame_head(8 + len(text), GOAWAY, 0, 0) + _WORD.pack(last) + _WORD.pack(code) + text


# --- reading ---------------------------------------------------------------------------------------------------


def unpad(flags: int, payload: bytes) -> bytes:
    """Take the padding off a payload (sections 6.1 and 6.2). Raises :class:`ConnectionFault`."""
    if not flags & PADDED:
        return payload
    if not payload:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "padding without its length")
    if payload[0] >= len(payload):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - payload[0]]


def check_dependency(number: int, payload: bytes) -> None:
    """Hold the priority at the start of *payload* to RFC 7540, section 5.3.1. Raises :class:`ConnectionFault`."""
    if int.from_bytes(payload[:4], "big") & WINDOW_LIMIT == number:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "a stream that depends on itself")
