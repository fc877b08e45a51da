"""Lists of fields: what our rules let pass as a request, those of the ``h2`` library let pass, too."""

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError as H2ProtocolError
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h2 import fields
from hornbeamd.http.h2.frames import END_HEADERS, END_STREAM, HEADERS, StreamFault
from tests.support.h2frames import LIMITS, OPENING, block, frame

PSEUDO = st.tuples(
    st.sampled_from([(b":method", b"GET"), (b":method", b"POST"), (b":method", b"CONNECT")]),
    st.sampled_from([(b":scheme", b"http"), (b":scheme", b"https"), (b":scheme", b"ftp")]),
    st.sampled_from([(b":authority", b"a"), (b":authority", b"b.example"), (b":authority", b"")]),
    st.sampled_from([(b":path", b"/"), (b":path", b"/a?b=%20c"), (b":path", b"a"), (b":path", b"")]),
).map(list)
USUAL = [
    b"accept",
    b"x",
    b"cookie",
    b"te",
    b"content-length",
    b"host",
    b"expect",
    b"X",
    b":path",
    b":status",
    b":protocol",
]
OF_THE_CONNECTION = [b"connection", b"proxy-connection", b"keep-alive", b"upgrade", b"transfer-encoding"]
NAMES = st.sampled_from([*USUAL, *OF_THE_CONNECTION])
VALUES = st.sampled_from([b"", b"1", b"trailers", b"a", b"gzip, deflate", b"a\nb", b" a", b"websocket"])
REGULAR = st.lists(st.tuples(NAMES | st.binary(max_size=3), VALUES | st.binary(max_size=4)), max_size=4)


def accepted(pairs, ended):
    """Tell whether our rules let *pairs* pass."""
    split = 0
    while split < len(pairs) and pairs[split][0][:1] == b":":
        split += 1
    try:
        fields.request(pairs[:split], fields.judge(pairs[split:], LIMITS), ended, LIMITS)
    except (StreamFault, ProtocolError):
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(PSEUDO, REGULAR, st.booleans(), st.data())
def test_what_we_let_pass_the_library_lets_pass(pseudo, regular, ended, data):
    pairs = [*pseudo, *regular]
    if data.draw(st.booleans()):
        pairs = data.draw(st.permutations(pairs))
    if data.draw(st.booleans()):
        pairs = pairs[: data.draw(st.integers(0, len(pairs)))]
    # The library joins crumbs of cookies first, and then minds the space behind the last.
    if (b"cookie", b"") in pairs or not accepted(pairs, ended):
        return
    library = H2Connection(H2Configuration(client_side=False, header_encoding=None))
    library.initiate_connection()
    flags = END_HEADERS | END_STREAM if ended else END_HEADERS
    try:
        events = library.receive_data(OPENING + frame(HEADERS, flags, 1, block(pairs)))
    except H2ProtocolError as error:
        raise AssertionError(f"only we take {pairs}: {error}") from None
    assert any(isinstance(event, RequestReceived) for event in events)
