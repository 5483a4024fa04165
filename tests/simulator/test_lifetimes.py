"""Cancelling, expiring, stopping, vanishing: how responses, sessions and the server end."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rtsync.simulator import FunctionCall, SimulatorServer, Turn
from tests.simulator.documented import check_ga
from tests.simulator.talk import GA, LIMIT, Talk, types

STOP_BOUND = 3.0
LONG_TEXT = "word " * 100_000


class Endless:
    """A brain that goes on until it is cancelled, and tells when it has ended."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def __call__(self, turn: Turn) -> Iterable[str | FunctionCall]:
        try:
            while not turn.cancelled():
                yield "and on "
        finally:
            self.ended.set()


def test_a_cancelled_response_ends_at_once_with_what_it_had() -> None:
    brain = Endless()
    with SimulatorServer(brain=brain) as server, Talk(server) as talk:
        talk.text_only()
        talk.say("Go on")
        before = talk.until("response.output_text.delta")
        talk.send("response.cancel")
        after = talk.until("rate_limits.updated")
        assert brain.ended.wait(LIMIT)
    text = "".join(event.get("delta", "") for event in before + after)
    assert types([event for event in after if not event["type"].endswith(".delta")]) == [
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    response = after[-2]["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["output"][0]["content"] == [{"type": "output_text", "text": text}]
    for event in after:
        check_ga(event)


def test_a_response_is_cancelled_by_its_id_while_another_goes_on() -> None:
    with SimulatorServer(brain=Endless()) as server, Talk(server) as talk:
        talk.text_only()
        talk.send("response.create")
        first = talk.until("response.created")[-1]["response"]["id"]
        talk.send("response.create", response={"conversation": "none"})
        second = talk.until("response.created")[-1]["response"]["id"]
        talk.send("response.cancel", response_id=second)
        assert talk.until("response.done")[-1]["response"]["id"] == second
        talk.send("response.cancel")
        assert talk.until("response.done")[-1]["response"]["id"] == first


def test_a_second_response_is_refused_while_one_is_active() -> None:
    with SimulatorServer(brain=Endless()) as server, Talk(server) as talk:
        talk.text_only()
        talk.send("response.create")
        active = talk.until("response.created")[-1]["response"]["id"]
        talk.send("response.create", event_id="second")
        error = talk.until("error")[-1]["error"]
        talk.send("response.cancel")
        talk.until("response.done")
        talk.send("response.create")
        talk.until("response.created")
    assert error == {
        "type": "invalid_request_error",
        "code": "conversation_already_has_active_response",
        "message": f"Conversation already has an active response in progress: {active}. "
        "Wait until the response is finished before creating a new one.",
        "param": None,
        "event_id": "second",
    }


def test_the_token_cap_makes_a_response_incomplete(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.text_only()
        talk.send("response.create", response={"max_output_tokens": 3})
        events = talk.until("response.done")
    response = events[-1]["response"]
    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["usage"]["output_tokens"] == 3
    for event in events:
        check_ga(event)


def test_a_brain_that_raises_fails_the_response_and_the_session_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def broken(turn: Turn) -> Iterable[str | FunctionCall]:
        yield "So far "
        raise ZeroDivisionError

    with SimulatorServer(brain=broken, pace=False) as server, Talk(server) as talk:
        talk.text_only()
        for _ in range(2):
            talk.send("response.create")
            events = talk.until("rate_limits.updated")
    response = events[-2]["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["type"] == "server_error"
    assert "ZeroDivisionError" in caplog.text
    for event in events:
        check_ga(event)


def test_pacing_spreads_the_deltas_of_a_model(simulator: SimulatorServer) -> None:
    def twenty(turn: Turn) -> Iterable[str | FunctionCall]:
        yield "word " * 20

    with SimulatorServer(brain=twenty) as server, Talk(server) as talk:
        talk.text_only()
        started = time.monotonic()
        talk.send("response.create")
        talk.until("response.done")
    assert time.monotonic() - started > 20 / 80  # 40 a second, and no finer than twice that


def test_a_session_expires_with_an_error_and_1001() -> None:
    with SimulatorServer(max_session_seconds=0.2, brain=Endless()) as server, Talk(server) as talk:
        talk.until("session.created")
        talk.send("response.create")
        error = talk.until("error")[-1]
        closed = talk.close_code()
    assert error["error"]["code"] == "session_expired"
    assert closed == (1001, "Your session hit the maximum duration of 60 minutes.")


def test_an_expired_session_does_not_wait_for_a_client_that_never_answers_the_close() -> None:
    with SimulatorServer(max_session_seconds=0.1) as server, raw(server) as sock:
        heard = b""
        while chunk := sock.recv(4096):
            heard += chunk
    assert b"session_expired" in heard


def test_a_session_expires_under_a_client_that_floods() -> None:
    with SimulatorServer(max_session_seconds=0.3) as server, raw(server) as sock:
        flood = frame(json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA"}).encode()) * 500
        heard = b""
        sock.setblocking(False)
        until = time.monotonic() + LIMIT
        while b"session_expired" not in heard and time.monotonic() < until:
            with contextlib.suppress(BlockingIOError):
                sock.send(flood)
            with contextlib.suppress(BlockingIOError):
                heard += sock.recv(65536)
    assert b"session_expired" in heard


def test_stop_closes_live_sessions_with_1001() -> None:
    server = SimulatorServer(brain=Endless()).start()
    talk = Talk(server)
    talk.until("session.created")
    talk.send("response.create")
    talk.until("response.created")
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert talk.close_code()[0] == 1001
    stopping.join(LIMIT)
    assert not stopping.is_alive()


def raw(server: SimulatorServer, target: str = GA, *, receive_buffer: int | None = None) -> socket.socket:
    """A connection upgraded by hand, for clients that misbehave."""
    address = urlsplit(server.http_url)
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(LIMIT)
    sock.connect((address.hostname or "", address.port or 0))
    head = (
        f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer k\r\n\r\n"
    )
    sock.sendall(head.encode())
    assert sock.recv(12) == b"HTTP/1.1 101"
    return sock


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """A masked client frame (mask of zeros)."""
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack("!H", len(payload))
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def timed_stop(server: SimulatorServer) -> float:
    started = time.monotonic()
    server.stop()
    return time.monotonic() - started


def test_stop_is_bounded_with_a_client_that_stopped_reading() -> None:
    flowing = threading.Event()

    def flood(turn: Turn) -> Iterable[str | FunctionCall]:
        flowing.set()
        while not turn.cancelled():
            yield LONG_TEXT

    server = SimulatorServer(brain=flood, pace=False).start()
    with raw(server, receive_buffer=4096) as sock:
        sock.sendall(frame(json.dumps({"type": "response.create"}).encode()))
        assert flowing.wait(LIMIT)
        assert timed_stop(server) < STOP_BOUND


def test_stop_is_bounded_when_no_room_is_left_for_the_close_frame() -> None:
    server = SimulatorServer(send_timeout=60).start()
    with raw(server, receive_buffer=4096) as sock:
        until = time.monotonic() + LIMIT
        sock.settimeout(0.5)  # the server answers until nothing fits any more, then stops reading, then this fills up
        unknown = frame(json.dumps({"type": "x" * 200}).encode()) * 100
        with pytest.raises(TimeoutError):
            while time.monotonic() < until:
                sock.sendall(unknown)
        assert timed_stop(server) < STOP_BOUND


def test_a_client_that_does_not_read_is_given_up() -> None:
    ended = threading.Event()

    def flood(turn: Turn) -> Iterable[str | FunctionCall]:
        try:
            while not turn.cancelled():
                yield LONG_TEXT
        finally:
            ended.set()

    with (
        SimulatorServer(brain=flood, pace=False, send_timeout=0.2) as server,
        raw(server, receive_buffer=4096) as sock,
    ):
        sock.sendall(frame(json.dumps({"type": "response.create"}).encode()))
        assert ended.wait(LIMIT)


@pytest.mark.parametrize("said", [b"", b"GET /v1/realtime HTTP/1.1\r\nHost"])
@pytest.mark.parametrize("tls", [False, True])
def test_stop_is_bounded_with_a_client_that_never_finishes_its_request(said: bytes, tls: bool) -> None:
    server = SimulatorServer(tls=tls).start()
    address = urlsplit(server.http_url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as sock:
        sock.sendall(said)
        assert timed_stop(server) < STOP_BOUND


def test_stop_is_bounded_with_a_client_that_never_answers_the_close() -> None:
    server = SimulatorServer().start()
    with raw(server):
        assert timed_stop(server) < STOP_BOUND


def test_a_client_that_vanishes_ends_its_response() -> None:
    brain = Endless()
    with SimulatorServer(brain=brain) as server:
        sock = raw(server)
        sock.sendall(frame(json.dumps({"type": "response.create"}).encode()))
        heard = b""
        while b"response.created" not in heard:
            heard += sock.recv(4096)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()  # a reset, no close frame
        assert brain.ended.wait(LIMIT)


def test_stopping_twice_and_starting_again_work() -> None:
    server = SimulatorServer(pace=False)
    server.stop()
    for _ in range(2):
        with server, Talk(server) as talk:
            assert talk.receive()["type"] == "session.created"
        server.stop()
    assert repr(server) == "<SimulatorServer stopped>"
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url


def test_a_port_that_is_taken_is_an_oserror_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = descriptors()
    with SimulatorServer() as server:
        with pytest.raises(OSError, match="in use"):
            SimulatorServer(port=server.port, tls=True).start()
        assert list(tmp_path.iterdir()) == []
    assert descriptors() == before


def test_the_server_pings_and_drops_who_does_not_answer() -> None:
    with SimulatorServer(ping_interval=0.05) as server, raw(server) as sock:
        heard = b""
        while chunk := sock.recv(4096):
            heard += chunk
    assert heard.count(b"\x89\x04") >= 2


def test_a_session_outlives_pings_that_are_answered() -> None:
    with SimulatorServer(ping_interval=0.4, pace=False) as server, Talk(server) as talk:
        talk.text_only()
        with pytest.raises(TimeoutError):
            talk.socket.recv(timeout=2.0)  # five pings; two unanswered ones would have ended it
        talk.say("Still there?")
        talk.until("response.done")


def test_a_message_over_the_cap_ends_the_connection_with_1009() -> None:
    with SimulatorServer(max_message_size=1000) as server, Talk(server) as talk:
        talk.until("session.created")
        talk.send("conversation.item.create", item="x" * 5000)
        assert talk.close_code()[0] == 1009


def test_invalid_utf8_ends_the_connection_with_1007(simulator: SimulatorServer) -> None:
    with raw(simulator) as sock:
        sock.sendall(frame(b"\xff\xfe"))
        heard = b""
        while chunk := sock.recv(4096):
            heard += chunk
    assert struct.pack("!H", 1007) in heard


def test_a_large_message_in_fragments_is_understood(simulator: SimulatorServer) -> None:
    text = "ä" * 1_000_000
    event = json.dumps({"type": "response.create", "response": {"instructions": text}}, ensure_ascii=False)
    with Talk(simulator) as talk:
        talk.text_only()
        talk.socket.send(event[at : at + 50_000] for at in range(0, len(event), 50_000))
        assert talk.until("response.done")[-1]["response"]["usage"]["input_tokens"] > 1_000_000 / 12


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0


def one_session(server: SimulatorServer) -> None:
    with Talk(server) as talk:
        talk.text_only()
        talk.say("Hello")
        talk.until("response.done")


@pytest.mark.unmeasured
def test_200_sessions_one_after_another_leave_nothing_behind() -> None:
    before_all = descriptors()
    with SimulatorServer(pace=False) as server:
        for _ in range(200):
            one_session(server)
        deadline = time.monotonic() + LIMIT
        while (left := session_threads()) and time.monotonic() < deadline:
            left[0].join(LIMIT)
        assert session_threads() == []
    assert descriptors() == before_all


def session_threads() -> list[threading.Thread]:
    names = ("rtsync-simulator-session", "rtsync-simulator-response")
    return [thread for thread in threading.enumerate() if thread.name.startswith(names)]


@pytest.mark.unmeasured
def test_100_sessions_at_once_are_all_answered_and_closed() -> None:
    failures: list[BaseException] = []

    def talk_once(server: SimulatorServer) -> None:
        try:
            one_session(server)
        except BaseException as error:
            failures.append(error)

    with SimulatorServer(pace=False) as server:
        clients = [threading.Thread(target=talk_once, args=(server,)) for _ in range(100)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert failures == []


def test_every_accepted_socket_has_no_delay(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.text_only()
        sockets = [connection._sock for connection in simulator._running()._connections]
        delays = [sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in sockets]
    assert len(delays) == 1
    assert all(delays)
