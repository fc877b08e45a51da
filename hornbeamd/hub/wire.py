"""What goes over a socket of the hub: frames, and the messages in them.

A frame is its length as four bytes, least significant first, and a message: a MessagePack array whose first item
says what kind of message it is. ``SHAPES`` has the others. Payloads are packed terms (state/terms.py), which the hub
does not look into. Ids are chosen by whoever begins an exchange of messages, and are unique among those that
it has not finished on this connection.

From a client to the hub:

=============  ==========================  ====================================================================
HELLO          version, who, pid           first of all; ``who`` is for people ("worker 3")
PUBLISH        id, topic, payload          answered by COUNT
SUBSCRIBE      id, pattern, subscribers    from now on the client has so many subscribers of that pattern, 0 for none;
                                           answered by DONE
OFFER          id, name, slots             it takes calls of that name, so many at once, or any number with 0;
                                           answered by DONE
OFFER_HANDS    id, name, slots             as OFFER, but its hands take them
HANDS          id, key                     connections that say this key are hands of this client; answered by DONE
HAND           key                         this connection is such a hand: a thread that waits for one call at a time
CLAIM          id                          the client itself goes on with what a hand of its works on
WITHDRAW       id, name                    no more of them; answered by DONE; those it has, it finishes
CALL           id, name, payload           answered by RESULT or ERROR
CAST           name, payload               a call that nobody waits for
STREAM         id, name, payload           answered by CHUNK any number of times, then END or ERROR
LOCK           id, key                     answered by DONE when the client has the lock of that key
UNLOCK         id                          gives back, or no longer waits for, the lock asked for by that id
OFFERED        id, name                    how many offer it; answered by COUNT
STATUS         id                          answered by RESULT
=============  ==========================  ====================================================================

From the hub to a client:

=============  ==========================  ====================================================================
COUNT          id, number                  how many got the message, or offer the name
MESSAGE        topic, payload              one copy for all subscribers in the client
MISSED         pattern, messages           so many of that pattern were dropped, because the client did not read
DONE           id
WORK           id, mode, name, payload     a call for a name that it offers; the mode is CALL, CAST or STREAM
=============  ==========================  ====================================================================

Both ways, since the hub stands between a caller and a worker:

=============  ==========================  ====================================================================
RESULT         id, payload
ERROR          id, reason, type, text      ``reason``: see :class:`Reason`; ``type`` is empty unless it RAISED
CHUNK          id, payload                 at most ``CREDIT`` of them that the caller has not asked for with MORE
END            id
MORE           id, chunks                  the caller can take so many more
CANCEL         id                          the caller is not interested any more, and gets no answer
=============  ==========================  ====================================================================

A hand gets WORK and nothing else: while it works nobody reads there, so what concerns its call, MORE and CANCEL, goes
to the client whose hand it is. It answers where it got it; after CLAIM the client does.

A worker closes every WORK with one RESULT, ERROR or END, also after CANCEL and for a CAST, when it is really over:
until then the call takes one of the offer's slots. What it says then, but for that it is over, reaches nobody.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import ormsgpack

from hornbeamd.errors import WireError

VERSION = 1
CREDIT = 16
"""How many chunks of a stream may be on their way before the caller says MORE."""

LENGTH = 4

ENVELOPE = 64 * 1024
"""How many bytes of a message may be other than its payload. The hub takes messages of ``max_message_size`` and this;
its clients take twice this, because some of what it passes on grows by a few bytes."""


class Kind(IntEnum):
    """What a message is."""

    HELLO = 1
    PUBLISH = 2
    COUNT = 3
    SUBSCRIBE = 4
    MESSAGE = 5
    MISSED = 6
    OFFER = 7
    WITHDRAW = 8
    DONE = 9
    CALL = 10
    CAST = 11
    STREAM = 12
    WORK = 13
    RESULT = 14
    ERROR = 15
    CHUNK = 16
    END = 17
    MORE = 18
    CANCEL = 19
    LOCK = 20
    UNLOCK = 21
    STATUS = 22
    OFFERED = 23
    OFFER_HANDS = 24
    HANDS = 25
    HAND = 26
    CLAIM = 27


class Reason(IntEnum):
    """Why a call has no result."""

    RAISED = 0  # the function did
    UNKNOWN = 1  # nobody offers the name
    GONE = 2  # the process at work on it ended
    BUSY = 3  # too many calls wait for the name already


SHAPES: dict[int, tuple[type, ...]] = {
    Kind.HELLO: (int, str, int),
    Kind.PUBLISH: (int, str, bytes),
    Kind.COUNT: (int, int),
    Kind.SUBSCRIBE: (int, str, int),
    Kind.MESSAGE: (str, bytes),
    Kind.MISSED: (str, int),
    Kind.OFFER: (int, str, int),
    Kind.WITHDRAW: (int, str),
    Kind.DONE: (int,),
    Kind.CALL: (int, str, bytes),
    Kind.CAST: (str, bytes),
    Kind.STREAM: (int, str, bytes),
    Kind.WORK: (int, int, str, bytes),
    Kind.RESULT: (int, bytes),
    Kind.ERROR: (int, int, str, str),
    Kind.CHUNK: (int, bytes),
    Kind.END: (int,),
    Kind.MORE: (int, int),
    Kind.CANCEL: (int,),
    Kind.LOCK: (int, bytes),
    Kind.UNLOCK: (int,),
    Kind.STATUS: (int,),
    Kind.OFFERED: (int, str),
    Kind.OFFER_HANDS: (int, str, int),
    Kind.HANDS: (int, bytes),
    Kind.HAND: (bytes,),
    Kind.CLAIM: (int,),
}
"""The types of the items of each kind, behind the kind itself."""

_SHAPES = {kind: (int, *shape) for kind, shape in SHAPES.items()}


def encode(kind: int, *items: Any) -> bytes:
    """One message as a frame. Raises TypeError on text that is no Unicode (lone surrogates)."""
    body = ormsgpack.packb((int(kind), *items))  # members of an Enum take twice as long
    return len(body).to_bytes(LENGTH, "little") + body


class Frames:
    """Puts together the messages of one connection. ``limit`` is the size in bytes that a message may have."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._wanted = LENGTH
        """How much must be there before it is worth looking."""

    def feed(self, data: bytes) -> list[list[Any]]:
        """The messages that *data* completes, in their order. Raises WireError when it is none of the protocol."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        messages = []
        at, end = 0, len(data)
        while end - at >= LENGTH:
            size = int.from_bytes(data[at : at + LENGTH], "little")
            if size > self._limit:
                raise WireError(f"a message of {size} bytes; {self._limit} are allowed")
            if end - at - LENGTH < size:
                self._wanted = LENGTH + size
                break
            at += LENGTH
            messages.append(_decode(data[at : at + size]))
            at += size
        else:
            self._wanted = LENGTH
        if at < end:
            self._rest += data[at:]
        return messages


def _decode(body: bytes) -> list[Any]:
    try:
        message = ormsgpack.unpackb(body)
        kind = message[0]
        shape = _SHAPES[kind]
    except (ValueError, TypeError, LookupError):
        raise WireError("a message that is none") from None
    if tuple(map(type, message)) != shape:
        raise WireError(f"a message of the kind {Kind(kind).name} with other items than it has")
    return message  # type: ignore[no-any-return]
