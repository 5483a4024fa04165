"""What strikes between any two bytes: resets, ends, stalls, slow lines. Seen by a client without a library."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rtsync.simulator import SimulatorServer, Turn
from tests.simulator.talk import LIMIT
from tests.simulator.wire import CLOSE, PING, PONG, TEXT, Raw

both = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@contextmanager
def bad(*faults: str, tls: bool = False, **options: object) -> Iterator[SimulatorServer]:
    with SimulatorServer(faults=faults, tls=tls, pace=False, **options) as server:  # type: ignore[arg-type]
        yield server


def answer_size() -> int:
    """Bytes of the answer to the upgrade."""
    with SimulatorServer() as server, Raw(server) as client:
        return len(client.head)


@both
@pytest.mark.parametrize("size", [0, 1, 40, 200, 500])
def test_a_reset_strikes_after_exactly_so_many_bytes(size: int, tls: bool) -> None:
    with bad(f"reset@bytes={size}", tls=tls) as server, Raw(server, upgrade=False) as client:
        client.ask()
        heard, ending = client.rest()
        assert (len(heard), ending) == (size, "reset")
        assert heard.startswith(b"HTTP/1.1 101"[:size])
        assert server.strikes == 1


def test_the_bytes_of_the_answer_and_of_the_frames_are_counted_together() -> None:
    size = answer_size()
    with bad(f"reset@bytes={size + 2}") as server, Raw(server) as client:
        assert client.rest() == (b"\x81\x7e", "reset")  # the head of the first frame


@both
def test_a_reset_strikes_at_the_door_before_anything_is_read(tls: bool) -> None:
    with bad("reset@accept,first=1", tls=tls) as server:
        address = (server.host, server.port)
        with pytest.raises(ConnectionResetError), socket.create_connection(address, timeout=LIMIT) as sock:
            sock.recv(1)  # if connecting has not failed already
        assert server.lines == 0
        with Raw(server) as client:
            assert client.frame().event["type"] == "session.created"


@both
def test_a_reset_strikes_after_an_event_or_inside_its_frame(tls: bool) -> None:
    with bad("reset@events=2,first=1", "reset@events=2,inside=10,skip=1", tls=tls) as server:
        with Raw(server) as client:
            client.frame()
            client.wrong()
            assert client.frame().event["type"] == "error"
            assert client.rest() == (b"", "reset")
        with Raw(server) as client:
            client.frame()
            client.wrong()
            heard, ending = client.rest()
            assert (heard[:2], len(heard), ending) == (b"\x81\x7e", 10, "reset")


def test_inside_nothing_of_the_event_comes_at_all() -> None:
    with bad("end@on=session.created,inside=0") as server, Raw(server) as client:
        assert client.rest() == (b"", "end")


def test_a_reset_waits_for_the_nth_event_of_a_type() -> None:
    with bad("reset@on=response.output_text.delta,nth=3") as server, Raw(server) as client:
        client.until_event("session.created")
        client.say("session.update", session={"type": "realtime", "output_modalities": ["text"]})
        client.until_event("session.updated")
        client.say("response.create")
        for _ in range(3):
            client.until_event("response.output_text.delta")
        assert client.rest() == (b"", "reset")


def test_a_reset_strikes_after_a_time() -> None:
    with bad("reset@seconds=0.2") as server, Raw(server) as client:
        client.frame()
        assert client.rest() == (b"", "reset")


@both
def test_a_reset_strikes_under_a_client_that_does_not_read(tls: bool) -> None:
    def flood(turn: Turn) -> Iterator[str]:
        while not turn.cancelled():
            yield "word " * 100_000

    with SimulatorServer(brain=flood, pace=False, tls=tls) as server, Raw(server, receive_buffer=4096) as client:
        client.frame()
        client.say("response.create")
        client.until_event("response.created")
        assert server.strike("reset") == 1
        assert client.rest()[1] == "reset"


@pytest.mark.parametrize(("tls", "notify", "ending"), [(False, "", "end"), (True, "", "cut"), (True, ",notify", "end")])
def test_the_stream_ends_without_a_close_frame(tls: bool, notify: str, ending: str) -> None:
    with bad(f"end{notify}@events=1", tls=tls) as server, Raw(server) as client:
        assert client.frame().event["type"] == "session.created"
        assert client.rest() == (b"", ending)


def test_the_stream_ends_in_the_middle_of_the_answer() -> None:
    with bad("end@bytes=12") as server, Raw(server, upgrade=False) as client:
        client.ask()
        assert client.rest() == (b"HTTP/1.1 101", "end")


@both
def test_the_upgrade_is_never_answered(tls: bool) -> None:
    with bad("stall@bytes=0", tls=tls) as server, Raw(server, upgrade=False) as client:
        client.ask()
        assert client.is_silent()


def test_tls_is_never_answered() -> None:
    with (
        bad("stall@accept", tls=True) as server,
        socket.create_connection((server.host, server.port), timeout=LIMIT) as sock,
    ):
        sock.sendall(b"\x16\x03\x01")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)


@both
def test_a_half_open_line_answers_no_ping_and_no_event(tls: bool) -> None:
    with bad("stall@events=1", tls=tls, ping_interval=0.1) as server, Raw(server) as client:
        client.frame()
        client.send(PING, b"there?")
        client.wrong()
        client.send(CLOSE)
        assert client.is_silent(0.5)  # nor does it ping or give up by itself


@pytest.mark.parametrize("effect", ["stall", "stall=reads"])
def test_one_who_does_not_read_stops_a_client_that_sends(effect: str) -> None:
    with bad(f"{effect}@events=1") as server, Raw(server) as client:
        client.frame()
        client.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            for _ in range(2000):
                client.send(TEXT, b"x" * 30_000)


def test_a_stalled_reader_still_sends() -> None:
    with bad("stall=reads@on=response.created") as server, Raw(server) as client:
        client.frame()
        client.say("response.create")
        client.until_event("response.created")
        client.wrong()
        client.send(PING)
        events = client.until_event("rate_limits.updated")
        assert "error" not in [event["type"] for event in events]
        assert client.is_silent()


@both
def test_a_stalled_writer_stops_in_mid_frame_and_still_reads(tls: bool) -> None:
    with bad("stall=writes@events=2,inside=7", tls=tls) as server, Raw(server) as client:
        client.frame()
        client.wrong()
        client.exactly(7)
        for _ in range(300):
            client.send(TEXT, b"x" * 30_000)  # more than fits anywhere, if nobody read
        assert client.is_silent()


@both
@pytest.mark.parametrize("effect", ["stall,lasting=0.4", "stall=writes,lasting=0.4", "stall=reads,lasting=0.4"])
def test_after_a_stall_that_passes_everything_comes(effect: str, tls: bool) -> None:
    with bad(f"{effect}@events=1", tls=tls, ping_interval=0.1) as server, Raw(server) as client:
        client.frame()
        started = time.monotonic()
        client.wrong()
        client.send(PING, b"there?")
        frames = [client.frame(), client.frame()]
        while PONG not in [frame.op for frame in frames] or TEXT not in [frame.op for frame in frames]:
            frames.append(client.frame())
        assert time.monotonic() - started > 0.3
        answers = [frame for frame in frames if frame.op != PING]
        assert [(frame.op, frame.op == TEXT and frame.event["type"]) for frame in answers] == [
            (TEXT, "error"),
            (PONG, False),
        ]


def test_a_stall_of_the_upgrade_that_passes_is_a_late_answer() -> None:
    with bad("stall,lasting=0.3@bytes=20") as server, Raw(server, upgrade=False) as client:
        started = time.monotonic()
        client.ask()
        client.exactly(20)
        client.until(b"\r\n\r\n")
        assert time.monotonic() - started > 0.25
        assert client.frame().event["type"] == "session.created"


@both
def test_a_late_handshake(tls: bool) -> None:
    started = time.monotonic()
    with bad("stall,lasting=0.3@accept", tls=tls) as server, Raw(server) as client:
        assert time.monotonic() - started > 0.25
        assert client.frame().event["type"] == "session.created"


@both
def test_a_slow_line_lets_so_many_bytes_out_each_second(tls: bool) -> None:
    with bad("drip=400@bytes=100", tls=tls) as server, Raw(server, upgrade=False) as client:
        client.ask()
        client.exactly(100)
        started = time.monotonic()
        client.exactly(200)
        assert time.monotonic() - started > 200 / 400 - 0.2
        assert client.is_silent(0.001) or client.exactly(1)  # byte by byte, not all at once


def test_on_a_slow_line_everything_comes_in_the_end() -> None:
    with bad("drip=20000") as server, Raw(server) as client:
        client.frame()
        client.say("response.create", response={"output_modalities": ["text"]})
        events = client.until_event("rate_limits.updated")
        assert events[-2]["response"]["status"] == "completed"
        client.send(CLOSE, b"\x03\xe8")
        assert client.frame().close == (1000, "")
        assert client.rest() == (b"", "end")


def test_bytes_are_counted_where_a_slow_line_lets_them_out() -> None:
    with bad("drip=400", f"reset@bytes={answer_size() + 50}") as server, Raw(server) as client:
        heard, ending = client.rest()
        assert (len(heard), ending) == (50, "reset")


def test_a_stall_strikes_a_slow_line_at_its_byte() -> None:
    with bad("drip=2000", f"stall,lasting=0.3@bytes={answer_size() + 50}") as server, Raw(server) as client:
        client.exactly(50)
        started = time.monotonic()
        client.exactly(1)
        assert time.monotonic() - started > 0.2
        client.exactly(100)


@pytest.mark.parametrize("effect", ["stall", "stall=reads", "stall=writes", "drip=1", "stall,lasting=3600", "end"])
@both
def test_stop_is_bounded_while_lines_suffer(effect: str, tls: bool) -> None:
    with bad(effect, tls=tls) as server, Raw(server, upgrade=False) as client:
        client.ask()
        wait_for_strikes(server, 1)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 3.0


@pytest.mark.parametrize("effect", ["stall", "stall=reads", "stall=writes", "drip=1", "stall,lasting=3600"])
def test_a_client_that_leaves_a_suffering_line_is_forgotten(effect: str) -> None:
    with bad(effect) as server:
        with Raw(server, upgrade=False) as client:
            client.ask()
            wait_for_strikes(server, 1)
            client.wrong()
        for thread in threading.enumerate():
            if thread.name.startswith(("rtsync-simulator-session", "rtsync-simulator-pump")):
                thread.join(LIMIT)
                assert not thread.is_alive()


def wait_for_strikes(server: SimulatorServer, count: int) -> None:
    until = time.monotonic() + LIMIT
    while server.strikes < count:
        assert time.monotonic() < until
        time.sleep(0.01)
