"""A blocking HTTP/2 client over the ``h2`` library: a second opinion on what the server sends."""

import socket
import struct
from collections import Counter, defaultdict
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings

from tests.support.raw import DEADLINE

_DATA, _GOAWAY = 0, 7


class H2Client:
    """One connection with prior knowledge. Events gather in :attr:`events`, what came of streams beside them."""

    def __init__(self, address: Any, deadline: float = DEADLINE, sock: socket.socket | None = None, **settings: int):
        self.sock = sock or socket.create_connection(address, deadline)
        self.sock.settimeout(deadline)
        config = h2.config.H2Configuration(client_side=True, header_encoding=None, normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        values = {getattr(h2.settings.SettingCodes, name.upper()): value for name, value in settings.items()}
        if values:
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values=values)
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []
        self.heads: dict[int, dict[bytes, bytes]] = {}
        self.informed: dict[int, list[dict[bytes, bytes]]] = defaultdict(list)
        self.trailers: dict[int, dict[bytes, bytes]] = {}
        self.bodies: dict[int, bytearray] = defaultdict(bytearray)
        self.carried: Counter[int] = Counter()
        """Bytes of DATA on a stream, also those that the library keeps to itself."""
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.promises: dict[int, dict[bytes, bytes]] = {}
        self.goaways: list[tuple[int, int]] = []
        self.closed = False
        self._rest = bytearray()
        self.flush()

    def __enter__(self) -> "H2Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def start(self, path: bytes = b"/", *fields: tuple[bytes, bytes], method: bytes = b"GET", end: bool = True) -> int:
        """Send the head of a request; return its stream."""
        stream: int = self.h2.get_next_available_stream_id()
        pseudo = [(b":method", method), (b":scheme", b"http"), (b":authority", b"a"), (b":path", path)]
        self.h2.send_headers(stream, [*pseudo, *fields], end_stream=end)
        self.flush()
        return stream

    def connect(self, path: bytes, *fields: tuple[bytes, bytes]) -> int:
        """Ask for a WebSocket (RFC 8441, section 4); return the stream."""
        while not self.h2.remote_settings.enable_connect_protocol:
            assert self.read(), "the server does not offer it"
        stream: int = self.h2.get_next_available_stream_id()
        pseudo = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http")]
        self.h2.send_headers(stream, [*pseudo, (b":path", path), (b":authority", b"a"), *fields])
        self.flush()
        return stream

    def read(self) -> bool:
        """Take in one read, and give back what it took of the windows; False at the end of the connection."""
        data = self.sock.recv(65536)
        if not data:
            self.closed = True
            return False
        self._rest += data
        while len(self._rest) >= 9 and len(self._rest) >= (end := 9 + int.from_bytes(self._rest[:3], "big")):
            frame, self._rest = bytes(self._rest[:end]), self._rest[end:]
            if frame[3] == _GOAWAY:  # behind which the library takes nothing, although streams may go on
                self.goaways.append(struct.unpack_from("!II", frame, 9))
                continue
            if frame[3] == _DATA:
                self.carried[int.from_bytes(frame[5:9], "big")] += len(frame) - 9
            for event in self.h2.receive_data(frame):
                self.events.append(event)
                self._take(event)
        self.flush()
        return True

    def _take(self, event: Any) -> None:
        match event:
            case h2.events.ResponseReceived():
                self.heads[event.stream_id] = dict(event.headers)
            case h2.events.InformationalResponseReceived():
                self.informed[event.stream_id].append(dict(event.headers))
            case h2.events.TrailersReceived():
                self.trailers[event.stream_id] = dict(event.headers)
            case h2.events.DataReceived():
                self.bodies[event.stream_id] += event.data
                if event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.ended.add(event.stream_id)
            case h2.events.StreamReset():
                self.resets[event.stream_id] = event.error_code
            case h2.events.PushedStreamReceived():
                self.promises[event.pushed_stream_id] = dict(event.headers)

    def finish(self, *streams: int) -> None:
        """Read until all of *streams* have ended, or were reset."""
        while not all(stream in self.ended or stream in self.resets for stream in streams):
            if not self.read():
                raise AssertionError(f"the connection ended before {streams}")

    def get(self, path: bytes = b"/", *fields: tuple[bytes, bytes], method: bytes = b"GET") -> tuple[int, bytes]:
        """One request; return the status and the body of its response."""
        stream = self.start(path, *fields, method=method)
        self.finish(stream)
        return int(self.heads[stream][b":status"]), bytes(self.bodies[stream])

    def read_to_end(self) -> None:
        """Read until the server closes the connection."""
        while self.read():
            pass
