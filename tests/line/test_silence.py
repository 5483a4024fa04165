"""A peer that says nothing: when that is noticed, and when it is nothing to notice."""

from __future__ import annotations

import threading
import time

import pytest

from rtsync.edges.guard import LineBroken
from rtsync.edges.transport import Ending, Line
from rtsync.vocabulary.errors import CloseCause
from tests.line.recorder import RecordedLine, serve
from tests.loopback import CLOSE, LIMIT, PING, TEXT, Certificates, Peer, PeerGone, ScriptedServer, frame

BEAT = 0.2
"""Heartbeat of these tests, in seconds."""


def _assert_silent_end(ending: Ending) -> None:
    assert (ending.code, ending.cause) == (1006, CloseCause.NETWORK)
    assert isinstance(ending.error, LineBroken)
    assert "not a byte from the server" in ending.message


def test_a_silent_peer_is_pinged_and_then_given_up(tls: Certificates | None) -> None:
    heard: list[tuple[int, bytes]] = []

    def script(peer: Peer) -> None:
        peer.accept()
        while True:  # Reads, and answers nothing.
            heard.append(peer.recv_frame())

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, heartbeat=BEAT, **options) as client:
        client.wait_open()
        began = time.monotonic()
        _assert_silent_end(client.wait_ending())
        assert BEAT < time.monotonic() - began < LIMIT / 3
    assert heard == [(PING, b"")]


@pytest.mark.parametrize("cut", [1, 500])
def test_a_peer_that_stalls_in_the_middle_of_a_frame_is_given_up(cut: int, tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(frame(TEXT, "x" * 1000)[:cut])
        peer.wait_until_released()

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, heartbeat=BEAT, **options) as client:
        _assert_silent_end(client.wait_ending())


def test_a_peer_that_answers_pings_is_not_given_up(tls: Certificates | None) -> None:
    pings: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.accept()
        while len(pings) < 5:
            op, payload = peer.recv_frame()
            assert op == PING
            pings.append(payload)
            peer.send_frame(0xA, payload)
        peer.close(1000)
        peer.expect_close(echo=False)

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, heartbeat=BEAT / 3, **options) as client:
        assert client.wait_ending().code == 1000
        assert client.pongs == [b""] * 5


def test_bytes_that_trickle_in_keep_the_line_alive_in_the_middle_of_a_frame(tls: Certificates | None) -> None:
    """One frame that takes several times as long as any silence may."""
    paused = threading.Event()
    wire = frame(TEXT, "x" * 30)

    def script(peer: Peer) -> None:
        peer.accept()
        for byte in wire:
            peer.send_raw(bytes([byte]))
            paused.wait(BEAT / 5)
        peer.close(1000)
        peer.expect_close(echo=False)

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, heartbeat=BEAT, **options) as client:
        began = time.monotonic()
        ending = client.wait_ending()
        assert time.monotonic() - began > 3 * BEAT
    assert client.messages == [b"x" * 30]
    assert ending.code == 1000


def test_a_callback_that_takes_long_is_not_the_servers_silence() -> None:
    """The reader reads nothing meanwhile; that must cost the server no more than a ping."""

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_text("think about it")
        assert peer.recv_frame() == (PING, b"")
        peer.send_text("still here")
        peer.expect_close()

    def think(_line: Line, _message: bytes) -> None:
        threading.Event().wait(3 * BEAT)

    with ScriptedServer(script) as server, RecordedLine(server.url, heartbeat=BEAT, on_message=think) as client:
        assert client.wait_messages(2) == [b"think about it", b"still here"]
        client.line.close()
        assert client.wait_ending().code == 1000


def test_without_a_heartbeat_silence_is_borne() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        with pytest.raises((TimeoutError, PeerGone)):
            peer.recv_frame(limit=3 * BEAT)
        peer.send_text("awake")
        peer.expect_close()

    with ScriptedServer(script) as server, RecordedLine(server.url, heartbeat=None) as client:
        assert client.wait_messages(1) == [b"awake"]


def test_a_silent_peer_that_does_not_read_either_is_given_up(tls: Certificates | None) -> None:
    """The ping finds no room; a sender stands in the middle of a frame. The reader must not wait for either."""

    def script(peer: Peer) -> None:
        peer.accept()
        peer.stop_reading()
        peer.wait_until_released()

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, heartbeat=BEAT, send_timeout=LIMIT, **options) as client:
        client.wait_open()
        failed: list[Exception] = []

        def send() -> None:
            try:
                client.line.send("x" * (64 << 20))
            except Exception as error:
                failed.append(error)

        sender = threading.Thread(target=send)
        sender.start()
        _assert_silent_end(client.wait_ending())
        sender.join(LIMIT)
        assert not sender.is_alive()
        assert [type(error) for error in failed] == [LineBroken]


def test_a_close_frame_in_the_silence_is_not_taken_for_life() -> None:
    """Our own close frame goes out, nothing comes back: `close_timeout` counts, not the heartbeat."""
    heard: list[int] = []

    def script(peer: Peer) -> None:
        peer.accept()
        while True:
            heard.append(peer.recv_frame()[0])

    with ScriptedServer(script) as server, RecordedLine(server.url, heartbeat=LIMIT, close_timeout=BEAT) as client:
        client.wait_open().line.close(wait=False)
        assert client.wait_ending().cause is CloseCause.USER
    assert heard == [CLOSE]
