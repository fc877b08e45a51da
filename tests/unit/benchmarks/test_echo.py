"""The WebSocket load: what it sends, and what it takes for an echo."""

import asyncio
from dataclasses import dataclass, field

import pytest

from benchmarks.echo import Connection, Handshake, exchanges, frame

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n"


@dataclass
class Transport:
    written: list[bytes] = field(default_factory=list)
    closed: bool = False

    def write(self, data):
        self.written.append(data)

    def close(self):
        self.closed = True

    abort = close


def opened(prepared) -> tuple[Connection, Transport]:
    connection, transport = Connection(0, prepared), Transport()
    connection.connection_made(transport)
    connection.data_received(SWITCHING % connection._handshake._accept)
    assert connection.opened.done()
    connection.start()
    return connection, transport


def test_frames_are_those_of_the_rfc():
    """RFC 6455, section 5.7."""
    assert frame(1, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert frame(1, b"Hello", bytes.fromhex("37fa213d")) == bytes.fromhex("818537fa213d7f9f4d5158")


def test_only_the_accept_of_this_key_opens():
    """RFC 6455, section 1.3."""
    handshake = Handshake(b"the sample nonce")
    assert b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" in handshake.request
    assert handshake.accepted(SWITCHING % b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    assert not handshake.accepted(SWITCHING % b"s3pPLMBiTxaQ9kYGzzhZRbK+xOO=")
    assert not handshake.accepted(b"HTTP/1.1 200 OK\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")


def test_no_two_messages_are_alike():
    sent, expected = zip(*exchanges(), strict=True)
    assert {len(data) for data in sent} == {2 + 4 + 64}
    assert len(set(sent)) == len(set(expected)) == len(sent)


def test_an_echo_brings_the_next_message_however_it_arrives():
    async def scenario():
        prepared = exchanges()
        connection, transport = opened(prepared)
        connection.data_received(prepared[0][1])
        for byte in prepared[1][1]:
            connection.data_received(bytes((byte,)))
        assert transport.written[1:] == [sent for sent, _ in prepared[:3]]
        connection.finish()
        assert not connection.ended.done()
        connection.data_received(prepared[2][1])
        assert (connection.echoes, transport.closed) == (3, True)
        await connection.ended

    asyncio.run(scenario())


@pytest.mark.parametrize("position", [0, 1, 2, 65])
def test_one_wrong_byte_ends_it(position):
    async def scenario():
        prepared = exchanges()
        connection, transport = opened(prepared)
        wrong = bytearray(prepared[0][1])
        wrong[position] ^= 1
        connection.data_received(bytes(wrong))
        assert transport.closed
        with pytest.raises(ConnectionError, match="is not the echo"):
            await connection.ended

    asyncio.run(scenario())


def test_an_answer_that_opens_nothing_is_an_error():
    async def scenario():
        connection = Connection(0, exchanges())
        connection.connection_made(Transport())
        connection.data_received(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        for future in (connection.opened, connection.ended):
            with pytest.raises(ConnectionError, match="403"):
                await future

    asyncio.run(scenario())
