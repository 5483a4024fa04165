"""How a line ends: by us, by the server, in whatever state it is, and what it leaves behind."""

from __future__ import annotations

import gc
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from rtsync.edges.guard import LineBroken
from rtsync.edges.latch import Latch
from rtsync.edges.transport import Ending, Line
from rtsync.vocabulary.errors import CloseCause, ConfigurationError, ProtocolError, UsageError
from tests.line.recorder import RecordedLine, ending_of, serve
from tests.loopback import CLOSE, LIMIT, PING, TEXT, Certificates, Peer, PeerClosed, ScriptedServer, frame

SOON = 6.0
"""Seconds within which something bounded by a second or so is over on a busy machine."""


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Nothing may rely on the cycle collector to give a descriptor back."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def listen(peer: Peer) -> None:
    """Accept, read until the client closes, and answer that."""
    peer.accept()
    peer.expect_close()


def mute(peer: Peer) -> None:
    """Accept, and then neither send nor answer anything."""
    peer.accept()
    peer.wait_until_released()


# -- by us ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_gc")
def test_a_hundred_lines_open_and_close_with_1000_and_leave_no_descriptor(tls: Certificates | None) -> None:
    server, options = serve(listen, tls)
    with server:
        before = None
        for _ in range(100):
            with RecordedLine(server.url, **options) as client:
                client.wait_open().line.close()
                assert client.wait_ending() == Ending(1000, "", CloseCause.USER, "close() was called")
                assert not client.line.has_errored
            server.peers[-1].finished.wait(LIMIT)
            assert server.peers[-1].closed_with is not None
            assert server.peers[-1].closed_with.code == 1000
            del client
            if before is None:  # The first brings what stays: the shared TLS context's files and the like.
                _until_alone(server)
                before = descriptors()
        _until_alone(server)
        assert descriptors() == before


def _until_alone(server: ScriptedServer) -> None:
    """Wait until the server has given back its own ends, which the threads of its scripts do last."""
    for thread in list(server._state.threads):
        thread.join(LIMIT)
        assert not thread.is_alive()


def test_the_code_and_reason_given_to_close_reach_the_server() -> None:
    with ScriptedServer(listen) as server, RecordedLine(server.url) as client:
        client.wait_open().line.close(4001, "ü" * 100)
        client.wait_ending()
        server.peers[0].finished.wait(LIMIT)
        closed = server.peers[0].closed_with
        assert closed is not None
        assert (closed.code, closed.reason) == (4001, "ü" * 61)  # 123 bytes are room for 61 characters of two


@pytest.mark.parametrize(("code", "reason"), [(1005, ""), (1006, ""), (999, ""), (70000, ""), (1000, "\ud800")])
def test_a_code_or_reason_that_no_close_frame_can_carry_is_refused_and_the_line_stays(code: int, reason: str) -> None:
    with ScriptedServer(listen) as server, RecordedLine(server.url) as client:
        client.wait_open()
        with pytest.raises(ConfigurationError, match="RFC 6455"):
            client.line.close(code, reason)
        client.line.send('{"still": "open"}')
        client.line.close()
        assert client.wait_ending().code == 1000


def test_fifty_threads_close_at_once_and_the_server_sees_one_close_frame(tls: Certificates | None) -> None:
    frames: list[int] = []

    def script(peer: Peer) -> None:
        peer.accept()
        while True:  # Never answers, so that a second close frame has all the time to come.
            frames.append(peer.recv_frame()[0])

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, close_timeout=0.5, **options) as client:
        client.wait_open()
        gate = threading.Barrier(50)

        def close() -> None:
            gate.wait()
            client.line.close()

        threads = [threading.Thread(target=close) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
            assert not thread.is_alive()
        assert client.line.finished
        assert client.wait_ending().cause is CloseCause.USER
    assert frames == [CLOSE]


def test_closing_twice_is_closing_once() -> None:
    with ScriptedServer(listen) as server, RecordedLine(server.url) as client:
        client.wait_open().line.close()
        client.line.close(4000, "again")
        assert client.wait_ending().code == 1000


@pytest.mark.parametrize("where", ["on_open", "on_message"])
def test_a_callback_in_the_reader_may_close(where: str, tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_text("{}")
        peer.expect_close()

    took: list[float] = []

    def close(line: Line, *_: object) -> None:
        began = time.monotonic()
        line.close()
        took.append(time.monotonic() - began)

    server, options = serve(script, tls)
    callbacks: dict[str, Any] = {where: close}
    with server, RecordedLine(server.url, **callbacks, **options) as client:
        assert client.wait_ending() == Ending(1000, "", CloseCause.USER, "close() was called")
        assert took[0] < SOON


def test_a_peer_that_ignores_the_close_costs_no_more_than_close_timeout(tls: Certificates | None) -> None:
    server, options = serve(mute, tls)
    with server, RecordedLine(server.url, close_timeout=0.3, **options) as client:
        client.wait_open()
        began = time.monotonic()
        client.line.close()
        assert 0.2 < time.monotonic() - began < SOON
        assert client.wait_ending() == Ending(1006, "", CloseCause.USER, "close() was called")


@pytest.mark.parametrize("heartbeat", [None, 60.0])
@pytest.mark.parametrize("where", ["reader", "elsewhere"])
def test_a_close_that_does_not_wait_still_ends_the_line_in_time(where: str, heartbeat: float | None) -> None:
    def close(line: Line) -> None:
        line.close(wait=False)

    with ScriptedServer(mute) as server:
        on_open = close if where == "reader" else None
        with RecordedLine(server.url, on_open=on_open, close_timeout=0.3, heartbeat=heartbeat) as client:
            client.wait_open()
            if where == "elsewhere":
                began = time.monotonic()
                client.line.close(wait=False)
                assert time.monotonic() - began < SOON
            assert client.line.finished.wait(SOON)
            assert client.wait_ending().cause is CloseCause.USER


@pytest.mark.parametrize(
    ("first", "flood"),
    [
        (b"", frame(TEXT, "{}" * 50) * 50),
        (b"", frame(PING, "x") * 50),
        (b"\x82\x7f" + struct.pack("!Q", 1 << 40), b"x" * 4096),  # one frame without end
    ],
    ids=["messages", "pings", "a frame"],
)
def test_a_peer_that_sends_on_and_on_does_not_keep_a_closed_line_alive(first: bytes, flood: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(first)
        while True:
            peer.send_raw(flood)

    options: dict[str, Any] = {"close_timeout": 0.3, "max_message_size": 1 << 41}
    with (
        ScriptedServer(script) as server,
        RecordedLine(server.url, on_open=lambda line: line.close(), **options) as client,
    ):
        assert client.line.finished.wait(SOON)
        assert client.wait_ending().cause is CloseCause.USER


def test_a_line_closes_in_the_middle_of_a_frame(tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(frame(TEXT, "x" * 5000)[:3000])
        peer.wait_until_released()

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, close_timeout=0.3, heartbeat=None, **options) as client:
        client.wait_open()
        client.wait_phase("session")
        began = time.monotonic()
        client.line.close()
        assert time.monotonic() - began < SOON
        assert client.wait_ending().cause is CloseCause.USER


def test_a_callback_that_blocks_the_reader_does_not_hold_up_close() -> None:
    stuck = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_text("{}")
        peer.expect_close(echo=False)
        peer.wait_until_released()

    with (
        ScriptedServer(script) as server,
        RecordedLine(server.url, close_timeout=0.2, on_message=lambda _line, _message: stuck.wait(LIMIT)) as client,
    ):
        client.wait_messages(1)
        began = time.monotonic()
        client.line.close()
        assert time.monotonic() - began < SOON
        assert not client.line.finished
        stuck.set()
        assert client.wait_ending().cause is CloseCause.USER


def test_a_callback_that_raises_system_exit_leaves_nobody_waiting() -> None:
    with ScriptedServer(listen) as server:
        line = Line(server.url, on_close=lambda *_: sys.exit())

        def run() -> None:
            with pytest.raises(SystemExit):
                line.run_forever()

        thread = threading.Thread(target=run, name="rtsync-reader-test", daemon=True)
        thread.start()
        server.wait_for_connections(1)
        began = time.monotonic()
        line.close()
        assert time.monotonic() - began < 3  # close_timeout, were it never told
        assert line.finished
        thread.join(LIMIT)


def test_a_callback_that_raises_does_not_end_the_line(caplog: pytest.LogCaptureFixture) -> None:
    def explode(_line: Line) -> None:
        raise ValueError("in on_open")

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_text("after")
        peer.expect_close()

    with ScriptedServer(script) as server, RecordedLine(server.url, on_open=explode) as client:
        assert client.wait_messages(1) == [b"after"]
        client.line.close()
        assert client.wait_ending().code == 1000
    assert [record.message for record in caplog.records] == ["a callback of the line failed"]


def test_close_before_run_forever_means_that_it_never_connects() -> None:
    with ScriptedServer(listen) as server:
        client = RecordedLine(server.url)
        client.line.close()
        with client:
            assert client.wait_ending() == Ending(None, "", CloseCause.USER, "close() was called while connecting")
        assert server.connections == 0
        assert not client.opened


def test_a_line_is_used_once() -> None:
    with ScriptedServer(listen) as server, RecordedLine(server.url) as client:
        client.wait_open()
        with pytest.raises(UsageError, match="used once"):
            client.line.run_forever()
        with pytest.raises(UsageError, match="LineOptions"):
            client.line.run_forever(ping_interval=3)


def test_sending_before_during_and_after_is_refused_except_while_open() -> None:
    with ScriptedServer(listen) as server:
        client = RecordedLine(server.url)
        with pytest.raises(LineBroken, match="not open"):
            client.line.send("early")
        with client:
            client.wait_open().line.send("in time")
            client.line.close()
            client.wait_ending()
        with pytest.raises(LineBroken, match="not open"):
            client.line.send("late")


def test_abort_ends_the_line_at_once_and_says_why(tls: Certificates | None) -> None:
    server, options = serve(mute, tls)
    with server, RecordedLine(server.url, heartbeat=None, **options) as client:
        client.wait_open().line.abort("nobody wants it any more")
        ending = client.wait_ending()
        assert (ending.code, ending.cause) == (1006, CloseCause.NETWORK)
        assert "nobody wants it any more" in ending.message


# -- by the server ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1008, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
def test_a_close_code_of_the_server_is_reported_and_echoed(code: int, tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.close(code, "höhere Gewalt")
        peer.expect_close(echo=False)

    server, options = serve(script, tls)
    with server:
        ending = ending_of(server.url, **options)
        assert (ending.code, ending.reason, ending.cause) == (code, "höhere Gewalt", CloseCause.SERVER)
        assert ending.error is None
        assert ending.message == f"the server closed the session ({code} höhere Gewalt)"
        server.peers[0].finished.wait(LIMIT)
        closed = server.peers[0].closed_with
        assert closed is not None
        assert (closed.code, closed.reason) == (code, "")


def test_an_empty_close_frame_is_1005_and_answered_by_an_empty_one(tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.close()
        peer.expect_close(echo=False)

    server, options = serve(script, tls)
    with server:
        ending = ending_of(server.url, **options)
        assert (ending.code, ending.reason, ending.cause) == (1005, "", CloseCause.SERVER)
        server.peers[0].finished.wait(LIMIT)
        closed = server.peers[0].closed_with
        assert closed is not None
        assert closed.code is None


def _close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


@pytest.mark.parametrize(
    ("wire", "answer"),
    [
        (_close(0), 1002),
        (_close(999), 1002),
        (_close(1004), 1002),
        (_close(1005), 1002),
        (_close(1006), 1002),
        (_close(1015), 1002),
        (_close(1016), 1002),
        (_close(2999), 1002),
        (_close(5000), 1002),
        (_close(65535), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, b"\x03\xe8", fin=0), 1002),
        (_close(1000, b"x" * 124), 1002),
        (_close(1000, b"\xc3\x28"), 1007),
        (_close(1000, b"\xed\xa0\x80"), 1007),
        (_close(1000, b"abc\xe2\x82"), 1007),
    ],
)
def test_a_close_frame_that_breaks_the_rules_is_answered_with_the_code_that_says_so(wire: bytes, answer: int) -> None:
    heard: list[int | None] = []

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(wire)
        heard.append(peer.expect_close(echo=False)[0])

    with ScriptedServer(script) as server:
        ending = ending_of(server.url)
        server.peers[0].finished.wait(LIMIT)
    assert heard == [answer]
    assert (ending.code, ending.cause) == (answer, CloseCause.PROTOCOL)
    assert isinstance(ending.error, ProtocolError)
    assert ending.error.close_code == answer


def test_a_longest_close_reason_is_kept_whole() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.close(4000, "r" * 123)
        peer.expect_close(echo=False)

    with ScriptedServer(script) as server:
        assert ending_of(server.url, max_message_size=10).reason == "r" * 123


def test_messages_before_the_close_frame_are_delivered_and_those_behind_it_are_not() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(frame(TEXT, "one") + frame(TEXT, "two" * 100) + _close(1001) + frame(TEXT, "three" * 10))
        peer.expect_close(echo=False)

    with ScriptedServer(script) as server, RecordedLine(server.url) as client:
        assert client.wait_ending().code == 1001
        assert client.messages == [b"one", b"two" * 100]


def test_both_sides_closing_at_once_is_a_normal_end() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.wait_until_released()
        peer.close(1001)
        peer.expect_close(echo=False)

    with ScriptedServer(script) as server, RecordedLine(server.url) as client:
        client.wait_open()
        closer = threading.Thread(target=client.line.close)
        closer.start()
        server.peers[0].release()
        closer.join(LIMIT)
        assert client.wait_ending().code in (1000, 1001)


@pytest.mark.parametrize("half", [b"", frame(TEXT, "x" * 1000)[:500], frame(TEXT, "x")[:1]])
def test_an_end_of_stream_without_a_close_frame_is_1006(half: bytes, tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(frame(TEXT, "whole") + half)

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, **options) as client:
        ending = client.wait_ending()
        assert (ending.code, ending.cause) == (1006, CloseCause.NETWORK)
        assert isinstance(ending.error, LineBroken)
        assert "without a close frame" in ending.message
        assert client.messages == [b"whole"]


def test_a_dropped_tls_connection_is_1006(tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.drop()

    server, options = serve(script, tls)
    with server:
        assert ending_of(server.url, **options).code == 1006


def test_a_reset_in_the_middle_of_a_frame_is_1006(tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(frame(TEXT, "x" * 1000)[:500])
        peer.recv_frame()
        peer.reset()

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, **options) as client:
        client.wait_open().line.send("go")
        ending = client.wait_ending()
        assert (ending.code, ending.cause) == (1006, CloseCause.NETWORK)
        assert isinstance(ending.error, LineBroken)


@pytest.mark.usefixtures("no_gc")
def test_no_way_to_fail_leaves_a_descriptor_behind(certificates: Certificates) -> None:
    def script(peer: Peer) -> None:
        kind = peer.number % 4
        if kind == 0:
            peer.refuse(401, "Unauthorized", body="no")
        elif kind == 1:
            peer.read_request()
            peer.reset()
        elif kind == 2:
            peer.accept()
            peer.reset()
        else:
            peer.accept()
            peer.send_frame(TEXT, "x", masked=True)
            peer.expect_close(echo=False)

    for secure in (None, certificates):
        server, options = serve(script, secure)
        with server:
            for _ in range(4):
                ending_of(server.url, **options)
            _until_alone(server)
            before = descriptors()
            for _ in range(20):
                ending_of(server.url, **options)
            _until_alone(server)
            assert descriptors() == before


# -- while connecting -------------------------------------------------------------------------------------------------


def _closed_in_time(client: RecordedLine) -> None:
    began = time.monotonic()
    client.line.close()
    assert time.monotonic() - began < SOON
    assert client.wait_ending() == Ending(None, "", CloseCause.USER, "close() was called while connecting")
    assert not client.opened


def test_close_ends_a_name_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def getaddrinfo(*_args: object, **_kwargs: object) -> list[Any]:
        asked.set()
        answer.wait(LIMIT)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with RecordedLine("ws://slow.example.test/") as client:
        assert asked.wait(LIMIT)
        assert client.line.phase == "dns"
        _closed_in_time(client)
    answer.set()


def test_close_ends_a_tcp_connect_that_nobody_answers(blackhole_address: tuple[str, int]) -> None:
    host, port = blackhole_address
    with RecordedLine(f"ws://{host}:{port}/") as client:
        client.wait_phase("tcp")
        _closed_in_time(client)


@pytest.mark.parametrize(("scheme", "phase"), [("wss", "tls"), ("ws", "upgrade")])
def test_close_ends_a_handshake_with_a_mute_peer(scheme: str, phase: str) -> None:
    with ScriptedServer(Peer.wait_until_released) as server, RecordedLine(f"{scheme}://{server.authority}/") as client:
        client.wait_phase(phase)
        server.wait_for_connections(1)
        _closed_in_time(client)


def test_close_ends_an_upgrade_over_tls_that_nobody_answers(certificates: Certificates) -> None:
    with (
        ScriptedServer(Peer.wait_until_released, tls=certificates.server_context()) as server,
        RecordedLine(server.url, tls=certificates.client_context()) as client,
    ):
        client.wait_phase("upgrade")
        _closed_in_time(client)


def test_close_ends_a_half_sent_upgrade_response(tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_raw(b"HTTP/1.1 101 Switching Pro")
        peer.wait_until_released()

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, **options) as client:
        client.wait_phase("upgrade")
        _closed_in_time(client)


def test_close_ends_a_wait_for_a_mute_proxy(blackhole_address: tuple[str, int]) -> None:
    with (
        ScriptedServer(Peer.wait_until_released) as proxy,
        RecordedLine("wss://api.example.test/", proxy=proxy.http_url) as client,
    ):
        client.wait_phase("proxy")
        _closed_in_time(client)


def test_abort_while_connecting_is_not_lost(blackhole_address: tuple[str, int]) -> None:
    host, port = blackhole_address
    with RecordedLine(f"ws://{host}:{port}/") as client:
        client.wait_phase("tcp")
        client.line.abort("collected")
        ending = client.wait_ending()
        assert (ending.code, ending.cause) == (None, CloseCause.NETWORK)
        assert isinstance(ending.error, LineBroken)


def test_close_at_any_moment_of_a_connect_ends_it(tls: Certificates | None) -> None:
    """Eighty times, a little later each time, so that every step of the connect is hit."""
    server, options = serve(_listen_if_asked, tls)
    with server:
        for number in range(80):
            with RecordedLine(server.url, **options) as client:
                client.line.finished.wait(number * 0.0001)
                began = time.monotonic()
                client.line.close()
                assert time.monotonic() - began < SOON
                assert client.wait_ending().cause is CloseCause.USER


def _listen_if_asked(peer: Peer) -> None:
    try:
        listen(peer)
    except PeerClosed:
        raise AssertionError("closed twice") from None


# -- the latch that all of them wait on -------------------------------------------------------------------------------


def test_a_latch_wakes_all_who_wait_and_all_who_will() -> None:
    for _ in range(100):
        latch = Latch()
        woken: list[bool] = []

        def wait(latch: Latch = latch, woken: list[bool] = woken) -> None:
            woken.append(latch.wait(LIMIT))

        waiters = [threading.Thread(target=wait) for _ in range(10)]
        setters = [threading.Thread(target=latch.set) for _ in range(3)]
        for thread in [*waiters[:5], *setters, *waiters[5:]]:
            thread.start()
        for thread in [*waiters, *setters]:
            thread.join(LIMIT)
        assert woken == [True] * 10
        assert latch
        assert latch.wait(0)


def test_a_latch_that_nobody_sets_says_so() -> None:
    latch = Latch()
    assert not latch.wait(0)
    assert not latch.wait(0.01)
    latch.set()
    latch.set()
    assert latch.wait(None)
