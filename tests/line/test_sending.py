"""Sending from many threads, to peers that read everything, slowly, or nothing."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import defaultdict

import pytest
from websocket import ABNF

from rtsync.edges.guard import LineBroken
from rtsync.vocabulary.errors import CloseCause, SendTimeout, WaitTimeout
from tests.line.recorder import RecordedLine, serve
from tests.loopback import BINARY, CLOSE, LIMIT, PING, TEXT, Certificates, Peer, PeerGone, ScriptedServer, frame

SOON = 6.0
"""Seconds within which something bounded by a second or so is over on a busy machine."""


class Received:
    """A script that does not read, and once released reads what is there to read: whole messages, and a rest.

    Only with a `narrow` window is it full after a few kilobytes; but through that, reading megabytes takes minutes.
    """

    def __init__(self, *, narrow: bool = False) -> None:
        self._narrow = narrow
        self.messages: list[tuple[int, bytes]] = []
        self.broken_off = False
        self.told = threading.Event()

    def __call__(self, peer: Peer) -> None:
        if self._narrow:
            peer.stop_reading()
        peer.accept()
        peer.wait_until_released()
        try:
            while (message := peer.recv_frame())[0] != CLOSE:
                self.messages.append(message)
                self.told.set()
            peer.send_frame(*message)
        except PeerGone:
            self.broken_off = bool(peer.wire._buffer)
            raise


def test_messages_go_out_as_they_were_given(tls: Certificates | None) -> None:
    got: list[tuple[int, bytes]] = []

    def script(peer: Peer) -> None:
        peer.accept()
        got.extend(peer.recv_frame() for _ in range(7))
        peer.expect_close()

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, **options) as client:
        line = client.wait_open().line
        line.send("größe")
        line.send(b"bytes as text")
        line.send_text("text")
        line.send_bytes(bytearray(b"\x00\xff"))
        for size in (0, 126, 65536):
            line.send("x" * size)
        line.close()
        client.wait_ending()
        assert line.counters[1] > 65536 + 126
    assert got[:4] == [(TEXT, "größe".encode()), (TEXT, b"bytes as text"), (TEXT, b"text"), (BINARY, b"\x00\xff")]
    assert got[4:] == [(TEXT, b"x" * size) for size in (0, 126, 65536)]


def test_twenty_threads_never_interleave_and_each_keeps_its_order(tls: Certificates | None) -> None:
    per_thread, threads = 60, 20
    orders: dict[int, list[int]] = defaultdict(list)

    def script(peer: Peer) -> None:
        peer.accept()
        for _ in range(per_thread * threads):
            message = peer.recv_json()
            assert message["pad"] == chr(97 + message["thread"]) * message["size"]
            orders[message["thread"]].append(message["number"])
        peer.expect_close()

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, **options) as client:
        line = client.wait_open().line

        def send(thread: int) -> None:
            for number in range(per_thread):
                size = (thread * 997 + number * 7919) % 30_000
                pad = chr(97 + thread) * size
                line.send(json.dumps({"thread": thread, "number": number, "size": size, "pad": pad}))

        senders = [threading.Thread(target=send, args=(thread,)) for thread in range(threads)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(LIMIT)
            assert not sender.is_alive()
        line.close()
        assert client.wait_ending().code == 1000
    assert orders == {thread: list(range(per_thread)) for thread in range(threads)}


def test_twenty_megabytes_go_out_in_one_message(tls: Certificates | None) -> None:
    message = bytes(range(32, 127)) * (20_000_000 // 95)
    got: list[bool] = []

    def script(peer: Peer) -> None:
        peer.accept()
        got.append(peer.recv_message() == (TEXT, message))
        peer.expect_close()

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, **options) as client:
        client.wait_open().line.send(message)
        client.line.close(timeout=LIMIT)
        assert client.wait_ending().code == 1000
    assert got == [True]


def test_both_directions_at_once_under_load(tls: Certificates | None) -> None:
    count, message = 2000, "y" * 3000

    def script(peer: Peer) -> None:
        peer.accept()
        echo = threading.Thread(target=peer.send_raw, args=(frame(TEXT, message) * count,))
        echo.start()
        for _ in range(count):
            assert peer.recv_frame() == (TEXT, b"x" * 3000)
        echo.join()
        peer.expect_close()

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, **options) as client:
        client.wait_open()
        for _ in range(count):
            client.line.send("x" * 3000)
        assert client.wait_messages(count) == [message.encode()] * count
        client.line.close()
        assert client.wait_ending().code == 1000


def test_a_peer_that_stops_reading_ends_the_line_and_nothing_follows_half_a_frame(tls: Certificates | None) -> None:
    received = Received()
    server, options = serve(received, tls)
    with server, RecordedLine(server.url, send_timeout=0.3, **options) as client:
        line = client.wait_open().line
        message = "z" * 200_000
        began = time.monotonic()
        with pytest.raises(SendTimeout, match=r"0\.3 s"):
            while True:
                began = time.monotonic()
                line.send(message)
        assert 0.2 < time.monotonic() - began < SOON
        with pytest.raises(LineBroken):
            line.send("after it")
        began = time.monotonic()
        line.close()
        assert time.monotonic() - began < SOON
        ending = client.wait_ending()
        assert (ending.code, ending.error is None) == (1006, ending.cause is CloseCause.USER)
        server.peers[0].release()
        server.peers[0].finished.wait(LIMIT)
    assert set(received.messages) <= {(TEXT, message.encode())}


def test_the_timeout_of_one_send_beats_that_of_the_line(tls: Certificates | None) -> None:
    server, options = serve(Received(), tls)
    with server, RecordedLine(server.url, send_timeout=LIMIT, **options) as client:
        line = client.wait_open().line
        with pytest.raises(SendTimeout):
            line.send("z" * (40 << 20), timeout=0.2)
        ending = client.wait_ending()
        assert (ending.code, ending.cause) == (1006, CloseCause.NETWORK)
        assert "stopped reading" in ending.message


def test_a_sender_whose_turn_does_not_come_gives_up_alone(tls: Certificates | None) -> None:
    received = Received()
    server, options = serve(received, tls)
    big = "z" * (40 << 20)
    with server, RecordedLine(server.url, send_timeout=LIMIT, heartbeat=None, **options) as client:
        line = client.wait_open().line
        blocked = threading.Thread(target=line.send, args=(big,))
        blocked.start()
        client.wait_blocked()
        with pytest.raises(WaitTimeout, match="kept the line busy"):
            line.send("too late", timeout=0.1)
        assert blocked.is_alive()
        server.peers[0].release()
        line.send("in time")
        blocked.join(LIMIT)
        assert not blocked.is_alive()
        assert received.told.wait(LIMIT)
        line.close(timeout=LIMIT)
        client.wait_ending()
        server.peers[0].finished.wait(LIMIT)
    assert received.messages[:2] == [(TEXT, big.encode()), (TEXT, b"in time")]


def test_a_ping_while_a_sender_is_blocked_does_not_hang_the_reader(tls: Certificates | None) -> None:
    received = Received()
    server, options = serve(received, tls)
    big = "z" * (40 << 20)
    with server, RecordedLine(server.url, send_timeout=LIMIT, **options) as client:
        blocked = threading.Thread(target=client.wait_open().line.send, args=(big,))
        blocked.start()
        client.wait_blocked()
        peer = server.peers[0]
        peer.send_frame(PING, "are you there")
        peer.send_text("behind the ping")
        assert client.wait_messages(1) == [b"behind the ping"]
        assert client.pings == [b"are you there"]
        assert blocked.is_alive()
        peer.release()
        blocked.join(LIMIT)
        assert not blocked.is_alive()
        assert received.told.wait(LIMIT)
        client.line.close(timeout=LIMIT)
        client.wait_ending()
    assert received.messages[0] == (TEXT, big.encode())


def test_close_while_a_sender_is_blocked_ends_both(tls: Certificates | None) -> None:
    server, options = serve(Received(), tls)
    failed: list[Exception] = []
    with server, RecordedLine(server.url, send_timeout=LIMIT, close_timeout=0.5, **options) as client:

        def send() -> None:
            try:
                client.line.send("z" * (40 << 20))
            except Exception as error:
                failed.append(error)

        client.wait_open()
        blocked = threading.Thread(target=send)
        blocked.start()
        client.wait_blocked()
        began = time.monotonic()
        client.line.close()
        assert time.monotonic() - began < SOON
        assert client.wait_ending().cause is CloseCause.USER
        blocked.join(LIMIT)
        assert not blocked.is_alive()
    assert [type(error) for error in failed] == [LineBroken]


def test_a_control_frame_that_finds_no_room_costs_neither_the_line_nor_a_message(tls: Certificates | None) -> None:
    """Over TLS OpenSSL has the record once it was offered: that goes out in front of the next frame."""
    received = Received(narrow=True)
    server, options = serve(received, tls)
    with server, RecordedLine(server.url, heartbeat=None, **options) as client:
        guard = client.wait_open().line._guard
        assert guard is not None
        assert isinstance(guard._sock, socket.socket)
        guard._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sent, refused = 0, 0
        while refused < 5:
            try:
                guard.sendall(ABNF.create_frame(b"p" * 125, ABNF.OPCODE_PING).format(), 0.02, give_up=False)
                sent += 1
            except WaitTimeout:
                refused += 1
        server.peers[0].release()
        client.line.send("the line lives")
        client.line.close(timeout=LIMIT)
        client.wait_ending()
        server.peers[0].finished.wait(LIMIT)
    pings = [message for message in received.messages if message == (PING, b"p" * 125)]
    assert sent <= len(pings) <= sent + refused
    assert received.messages[len(pings)] == (TEXT, b"the line lives")
    assert not received.broken_off


def test_send_fails_at_once_when_the_peer_is_gone(tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.reset()

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, **options) as client:
        client.wait_until(lambda: client.closes)
        began = time.monotonic()
        with pytest.raises(LineBroken):
            client.line.send("x" * 1_000_000)
        assert time.monotonic() - began < SOON


def test_a_reset_wakes_a_blocked_sender(tls: Certificates | None) -> None:
    server, options = serve(Received(), tls)
    failed: list[Exception] = []
    with server, RecordedLine(server.url, send_timeout=LIMIT, **options) as client:

        def send() -> None:
            try:
                client.line.send("z" * (40 << 20))
            except Exception as error:
                failed.append(error)

        client.wait_open()
        blocked = threading.Thread(target=send)
        blocked.start()
        client.wait_blocked()
        server.peers[0].reset()
        blocked.join(SOON)
        assert not blocked.is_alive()
        assert client.wait_ending().code == 1006
    assert [type(error) for error in failed] == [LineBroken]


def test_what_cannot_be_encoded_is_refused_and_the_line_stays() -> None:
    got: list[tuple[int, bytes]] = []

    def script(peer: Peer) -> None:
        peer.accept()
        got.append(peer.recv_frame())
        peer.expect_close()

    with ScriptedServer(script) as server, RecordedLine(server.url) as client:
        line = client.wait_open().line
        with pytest.raises(UnicodeEncodeError):
            line.send("\ud800")
        line.send("good")
        line.close()
        assert client.wait_ending().code == 1000
    assert got == [(TEXT, b"good")]
