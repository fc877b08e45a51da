"""The ``h2`` library behind the methods of our own engine: the second engine, and the reference in the tests.

The library reads frames, keeps the states of streams and the windows, and codes header blocks. What a request may hold
is judged by the same rules as with our own engine, so its validation is switched off: it would end a connection on
which a proxy carries the requests of many. Floods are counted here, and refused is here what the library lets pass.
"""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError as H2ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import Decoder, HeaderTuple, HPACKError

from hornbeamd.errors import ProtocolError
from hornbeamd.http.h2 import fields, frames
from hornbeamd.http.h2.floods import EMPTIES, RESETS, Floods
from hornbeamd.http.h2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    FRAME_SIZE,
    GOAWAY,
    HEADERS,
    PADDED,
    PREFACE,
    PRIORITIZED,
    RST_STREAM,
    SETTINGS,
    WINDOW,
    WINDOW_LIMIT,
    WINDOW_UPDATE,
    Code,
    ConnectionFault,
    Setting,
    StreamFault,
)
from hornbeamd.http.h2.headers import LIST_SIZE
from hornbeamd.http.h2.stream import Listener, Stream, Terms


def _decoded(block: bytes) -> list[HeaderTuple]:
    """What a block of literals says."""
    return list(Decoder(max_header_list_size=WINDOW_LIMIT).decode(block, raw=True))


class H2Engine:
    """The server's side of one connection, over ``h2.connection.H2Connection``."""

    def __init__(self, listener: Listener, terms: Terms, now: float) -> None:
        self._listener = listener
        self._terms = terms
        self._floods = Floods(now)
        self._rest = bytearray()
        self._begun = self._settled = False  # the preface, and the client's first SETTINGS, have come
        self._opened = self._data_frames = 0
        self._next_push = 2
        self.now = now
        self.streams: dict[int, Stream] = {}
        self.last_stream = 0
        self.closing = False
        self.push_enabled = True
        self._h2 = self._connection()
        offer = {
            Setting.MAX_CONCURRENT_STREAMS: terms.streams,
            Setting.INITIAL_WINDOW_SIZE: terms.stream_window,
            Setting.MAX_HEADER_LIST_SIZE: LIST_SIZE,
            Setting.ENABLE_CONNECT_PROTOCOL: 1,
        }
        self.out: list[bytes] = [frames.settings(offer)]
        self._h2.increment_flow_control_window(terms.connection_window - WINDOW)
        self._gather()

    def _connection(self) -> H2Connection:
        config = H2Configuration(
            client_side=False,
            header_encoding=None,
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
        )
        connection = H2Connection(config)
        # Too many streams are refused one by one, here; the library would end the connection.
        values = {
            SettingCodes.MAX_CONCURRENT_STREAMS: WINDOW_LIMIT,
            SettingCodes.INITIAL_WINDOW_SIZE: self._terms.stream_window,
            SettingCodes.MAX_HEADER_LIST_SIZE: LIST_SIZE,
        }
        connection.local_settings = Settings(client=False, initial_values=values)
        connection.decoder.max_header_list_size = LIST_SIZE
        connection.initiate_connection()
        connection.clear_outbound_data_buffer()
        return connection

    def _gather(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self.out.append(data)

    # --- reading ---------------------------------------------------------------------------------------------------

    def feed(self, data: bytes, now: float) -> None:
        """Read *data*. Raises :class:`ConnectionFault`; the engine is of no use for reading afterwards.

        The library is given a frame at a time: it is never ahead of the events that it has reported.
        """
        self.now = now
        rest = self._rest
        rest += data
        if not self._begun:
            if not PREFACE.startswith(rest[: len(PREFACE)]):
                raise ConnectionFault(Code.PROTOCOL_ERROR, "no preface")
            if len(rest) < len(PREFACE):
                return
            self._begun = True
            self._h2.receive_data(bytes(rest[: len(PREFACE)]))
            del rest[: len(PREFACE)]
        position = 0
        while len(rest) - position >= 9:
            length = int.from_bytes(rest[position : position + 3], "big")
            if length > FRAME_SIZE:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a frame that is too large")
            end = position + 9 + length
            if end > len(rest):
                break
            self._take_frame(bytes(rest[position:end]))
            position = end
        del rest[:position]

    def _take_frame(self, frame: bytes) -> None:
        kind, flags = frame[3], frame[4]
        number = int.from_bytes(frame[5:9], "big") & WINDOW_LIMIT
        if not self._settled:
            if kind != SETTINGS or flags & ACK:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "no SETTINGS behind the preface")
            self._settled = True
        self._count(kind, flags, number, len(frame) - 9)
        if kind == GOAWAY and not self._in_block:
            # The library closes at once; what is under way is to be answered.
            if number or len(frame) < 17:
                code = Code.PROTOCOL_ERROR if number else Code.FRAME_SIZE_ERROR
                raise ConnectionFault(code, "GOAWAY that is none")
            return
        if kind == RST_STREAM and self._idle(number):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        try:
            events = self._h2.receive_data(frame)
        except H2ProtocolError as error:
            code = Code(error.error_code)
            if isinstance(error.__cause__, HPACKError) and code == Code.PROTOCOL_ERROR:
                raise ConnectionFault(Code.COMPRESSION_ERROR, "a header block that cannot be decoded") from None
            raise ConnectionFault(code, str(error)) from None
        self._gather()
        known = number in self.streams
        for event in events:
            self._take_event(event)
        if kind in (DATA, HEADERS) and not known and number <= self.last_stream and not events:
            self._floods.spend(RESETS, self.now)  # the library has reset the stream again

    @property
    def _in_block(self) -> bool:
        """Within a header block, where the library takes nothing but CONTINUATION."""
        return bool(self._h2.incoming_buffer._headers_buffer)

    def _idle(self, number: int) -> bool:
        return number >= self._next_push if not number & 1 else number > self.last_stream and not self.closing

    def _count(self, kind: int, flags: int, number: int, size: int) -> None:
        """Take what *kind* costs from its budget: the library has none."""
        if kind == WINDOW_UPDATE:
            self._floods.update(self._data_frames, self.now)
        elif kind == RST_STREAM:
            self._floods.spend(RESETS, self.now)
        elif kind == CONTINUATION:
            if not size:
                self._floods.spend(EMPTIES, self.now)
        elif kind == HEADERS:
            padding = (1 if flags & PADDED else 0) + (5 if flags & PRIORITIZED else 0)
            if size <= padding and not flags & END_HEADERS:
                self._floods.spend(EMPTIES, self.now)
        elif kind != DATA:
            self._floods.control(self._opened, self.now)

    def _take_event(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._take_request(event)
            case DataReceived():
                self._take_data(event)
            case TrailersReceived():
                self._take_trailers(event)
            case StreamReset():
                self._take_reset(event)
            case WindowUpdated():
                stream = self.streams.get(event.stream_id or 0)
                if stream is not None or not event.stream_id:
                    self._listener.room_made(stream)
            case RemoteSettingsChanged():
                self.push_enabled = bool(self._h2.remote_settings.enable_push)
                if SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
                    self._listener.room_made(None)

    def _take_request(self, event: RequestReceived) -> None:
        number = event.stream_id
        assert number is not None
        ended = event.stream_ended is not None
        closing, self._opened = self.closing, self._opened + 1
        if not closing:
            self.last_stream = number
        if closing or len(self.streams) >= self._terms.streams:
            self._refuse(number, Code.REFUSED_STREAM)
            return
        stream = Stream(number, 0, 0, ended)
        try:
            pairs = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
            request, _, _ = fields.whole_request(pairs, ended, self._terms.limits)
        except StreamFault as fault:
            self._refuse(number, fault.code)
            return
        except ProtocolError as error:
            self.streams[number] = stream
            self._listener.request_refused(stream, error)
            return
        self.streams[number] = stream
        self._listener.request_came(stream, request, ended)

    def _refuse(self, number: int, code: Code) -> None:
        self._h2.reset_stream(number, code)
        self._gather()
        self._floods.spend(RESETS, self.now)

    def _take_data(self, event: DataReceived) -> None:
        stream = self.streams.get(event.stream_id or 0)
        data = bytes(event.data or b"")
        ended = event.stream_ended is not None
        if not data and not ended:
            self._floods.spend(EMPTIES, self.now)
        if stream is None:
            return  # given up; the library has given the room back
        stream.received += len(data)
        stream.remote_done = ended
        self.consumed(stream, (event.flow_controlled_length or 0) - len(data))
        if data or ended:
            self._hand_on(stream, data, ended)

    def _take_trailers(self, event: TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id or 0)
        if stream is None:
            return
        pairs = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
        try:
            fields.check_trailers(pairs, self._terms.limits)
        except StreamFault as fault:
            self._fault(stream, fault.code)
            return
        stream.remote_done = True
        self._hand_on(stream, b"", True)

    def _hand_on(self, stream: Stream, data: bytes, ended: bool) -> None:
        try:
            self._listener.data_came(stream, data, ended)
        except StreamFault as fault:
            self._fault(stream, fault.code)

    def _fault(self, stream: Stream, code: Code) -> None:
        """Reset *stream*, and tell the listener: before the budget, which may end the connection."""
        self.reset(stream, code)
        self._listener.stream_reset(stream)
        self._floods.spend(RESETS, self.now)

    def _take_reset(self, event: StreamReset) -> None:
        stream = self.streams.pop(event.stream_id or 0, None)
        if stream is not None:
            self._listener.stream_reset(stream)
        if not event.remote_reset:
            self._floods.spend(RESETS, self.now)

    def blame(self) -> None:
        """Count a stream that ends before its time because of the client. Raises :class:`ConnectionFault`."""
        self._floods.spend(RESETS, self.now)

    def let_go(self) -> None:
        """Read no more, and hold the listener no more."""
        del self._listener

    # --- windows of the client ---------------------------------------------------------------------------------------

    def consumed(self, stream: Stream, size: int) -> None:
        """*size* bytes of a request body have been taken, or thrown away: the client may send as many more."""
        if size:
            self._h2.acknowledge_received_data(size, stream.id)
            self._gather()

    # --- writing -----------------------------------------------------------------------------------------------------

    def room(self, stream: Stream) -> int:
        """Bytes of data that may be sent on *stream* now; not positive when it has to wait."""
        return self._h2.local_flow_control_window(stream.id) if stream.id in self.streams else 0

    def headers(self, stream: Stream, block: bytes, end: bool) -> None:
        """Send what *block* says, coded as the library does."""
        if stream.id in self.streams:
            self._h2.send_headers(stream.id, _decoded(block), end)
            self._sent(stream, end)

    def data(self, stream: Stream, data: bytes, end: bool) -> None:
        """Send *data*, which is no longer than :meth:`room` says."""
        if stream.id in self.streams:
            size = len(data)
            for start in range(0, size or 1, FRAME_SIZE):
                self._data_frames += 1
                part = bytes(data[start : start + FRAME_SIZE])
                self._h2.send_data(stream.id, part, end and start + FRAME_SIZE >= size)
            self._sent(stream, end)

    def _sent(self, stream: Stream, end: bool) -> None:
        if end:
            del self.streams[stream.id]
            if not stream.remote_done:  # the answer needed no more of the request (section 8.1)
                self._h2.reset_stream(stream.id, Code.NO_ERROR)
        self._gather()

    def push(self, parent: Stream, block: bytes) -> Stream | None:
        """Promise on *parent* the response to the request in *block* (section 8.4); None where that cannot be now."""
        pushed = sum(1 for number in self.streams if not number & 1)
        full = pushed >= self._h2.remote_settings.max_concurrent_streams or len(self.streams) >= self._terms.streams
        number = self._next_push
        if full or not self.push_enabled or self.closing or number > WINDOW_LIMIT or parent.id not in self.streams:
            return None
        if len(block) >= FRAME_SIZE - 4:
            return None
        self._next_push = number + 2
        self._h2.push_stream(parent.id, number, _decoded(block))
        self._gather()
        stream = self.streams[number] = Stream(number, 0, 0, True)
        return stream

    def reset(self, stream: Stream, code: Code) -> None:
        """Give up *stream*."""
        if self.streams.pop(stream.id, None) is not None:
            self._h2.reset_stream(stream.id, code)
            self._gather()

    def goaway(self, code: Code, reason: str = "", final: bool = True) -> None:
        """Say that the connection ends; if not *final*, streams that are under way are still taken (section 6.8).

        Not by the library, which would send nothing afterwards.
        """
        self.out.append(frames.goaway(self.last_stream if final else WINDOW_LIMIT, code, reason))
        self.closing = self.closing or final
