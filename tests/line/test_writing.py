"""The frames that are sent, read by others: websocket-client, wsproto, and the server of ``websockets``."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websocket import ABNF
from websocket._abnf import frame_buffer
from websockets.sync.server import ServerConnection, serve
from wsproto import connection as wsproto_connection
from wsproto.events import BytesMessage, TextMessage

from rtsync.edges.frames import client_frame
from tests.line.recorder import RecordedLine

# Each way to write a length, each way to mask, and every remainder by the four bytes of a mask.
LENGTHS = (
    *range(10), 124, 125, 126, 127, 255, 256, 698, 699, 700, 701, 702, 703, 4800, 6401, 65534, 65535, 65536, 65537,
    65539, 1_000_000, 1_000_003,
)  # fmt: skip
DATA = (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY)
CONTROL = (ABNF.OPCODE_CLOSE, ABNF.OPCODE_PING, ABNF.OPCODE_PONG)


def pieces(data: bytes) -> Callable[[int], bytes]:
    """A socket's `recv` that gives `data` and no more."""
    position = 0

    def recv(size: int) -> bytes:
        nonlocal position
        position += size
        return data[position - size : position]

    return recv


def head_of(frame: bytes) -> int:
    """The length of what stands before the payload of a masked frame."""
    return 4 + {126: 4, 127: 10}.get(frame[1] & 0x7F, 2)


@pytest.mark.parametrize("opcode", DATA)
@pytest.mark.parametrize("length", LENGTHS)
def test_websocket_client_reads_what_was_to_be_sent(opcode: int, length: int) -> None:
    payload = os.urandom(length)
    written = client_frame(payload, opcode)
    read = frame_buffer(pieces(bytes(written)), skip_utf8_validation=True).recv_frame()
    assert (read.fin, read.rsv1, read.rsv2, read.rsv3) == (1, 0, 0, 0)
    assert (read.opcode, read.mask_value, read.data) == (opcode, 1, payload)
    assert len(written) == head_of(bytes(written)) + length


@pytest.mark.parametrize("opcode", CONTROL)
@pytest.mark.parametrize("length", [0, 2, 3, 125])
def test_websocket_client_reads_control_frames(opcode: int, length: int) -> None:
    payload = b"\x03\xe8" + b"x" * (length - 2) if length else b""
    read = frame_buffer(pieces(bytes(client_frame(payload, opcode))), skip_utf8_validation=False).recv_frame()
    assert (read.fin, read.opcode, read.mask_value, read.data) == (1, opcode, 1, payload)


@pytest.mark.parametrize("length", LENGTHS)
def test_websocket_client_writes_the_same_bytes_with_the_same_mask(length: int) -> None:
    payload = os.urandom(length)
    written = bytes(client_frame(payload, ABNF.OPCODE_TEXT))
    key = written[head_of(written) - 4 : head_of(written)]
    theirs = ABNF.create_frame(payload, ABNF.OPCODE_TEXT)
    theirs.get_mask_key = lambda _length: key
    assert written == theirs.format()


@given(st.binary(max_size=2000), st.booleans())
def test_any_payload_comes_back(payload: bytes, mutable: bool) -> None:
    written = bytes(client_frame(bytearray(payload) if mutable else payload, ABNF.OPCODE_BINARY))
    read = frame_buffer(pieces(written), skip_utf8_validation=True).recv_frame()
    assert read.data == payload


def test_the_payload_is_left_as_it_was() -> None:
    for length in (100, 10_000):
        payload = bytearray(b"x" * length)
        client_frame(payload, ABNF.OPCODE_TEXT)
        assert payload == b"x" * length


@pytest.mark.parametrize("length", LENGTHS)
def test_wsproto_reads_what_was_to_be_sent(length: int) -> None:
    server = wsproto_connection.Connection(wsproto_connection.ConnectionType.SERVER)
    text, data = "ü" * (length // 2) + "x" * (length % 2), os.urandom(length)
    server.receive_data(bytes(client_frame(text.encode(), ABNF.OPCODE_TEXT)))
    server.receive_data(bytes(client_frame(data, ABNF.OPCODE_BINARY)))
    assert list(server.events()) == [TextMessage(text), BytesMessage(bytearray(data))]


def test_every_frame_has_a_mask_of_its_own() -> None:
    """Of 4 bytes at random: among 2,000 of them two are the same once in two thousand runs, and never three pairs."""
    for payload in (b"x" * 10, b"x" * 1000):
        frames = [bytes(client_frame(payload, ABNF.OPCODE_TEXT)) for _ in range(2000)]
        keys = [frame[head_of(frame) - 4 : head_of(frame)] for frame in frames]
        assert len(set(keys)) > 1997
        for place in range(4):
            assert len({key[place] for key in keys}) > 200


@pytest.mark.parametrize("opcode", [3, 7, 11, 15, 16, -1])
def test_an_opcode_that_does_not_exist_is_refused(opcode: int) -> None:
    with pytest.raises(ValueError, match=str(opcode)):
        client_frame(b"", opcode)


def test_a_server_of_another_house_gives_back_what_it_was_sent() -> None:
    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message, text=True)

    texts = ["x" * (length // 2) + "\N{SNOWMAN}" for length in LENGTHS]
    with serve(echo, "127.0.0.1", 0, max_size=None, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with RecordedLine(f"ws://127.0.0.1:{server.socket.getsockname()[1]}/") as client:
                line = client.wait_open().line
                for text, as_bytes in zip(texts, itertools.cycle([False, True]), strict=False):
                    line.send(text.encode() if as_bytes else text)
                assert client.wait_messages(len(texts)) == [text.encode() for text in texts]
                line.close()
                assert client.wait_ending().code == 1000
        finally:
            server.shutdown()
            thread.join()
