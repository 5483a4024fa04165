"""What becomes of a conversation when the process that holds it dies, hangs, or is stopped."""

from __future__ import annotations

import signal
import time

import pytest

from rtsync.bus import MOVED, SessionDirectory
from rtsync.simulator import SimulatorServer
from tests.bus.conversing import LIMIT, TEXT, USER, Memory, answer_in, ask, say, texts_of, until, worker
from tests.process.programs import Program

PROMISED = 5.0  # seconds in which another worker goes on; measured here, on a busy machine


def _holder(directory: SessionDirectory, session_id: str, programs: list[Program]) -> Program:
    """The program that holds the session."""
    holder = directory.info(session_id, USER).holder
    assert holder is not None
    return next(program for program in programs if f":{program.process.pid}:" in holder)


def test_another_worker_goes_on_within_five_seconds_when_one_is_killed_in_the_middle_of_an_answer(
    bus: str, service: SimulatorServer, memory: Memory
) -> None:
    with SessionDirectory(bus) as directory, worker(bus, service) as one, worker(bus, service) as two:
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        first, last_id = ask(directory, session_id, "the first")
        assert first == "I know: the first"
        with directory.stream(session_id, USER, after=last_id, heartbeat=LIMIT) as stream:
            say(directory, session_id, "slowly")
            until(stream, "response.output_text.delta")
            killed = time.monotonic()
            _holder(directory, session_id, [one, two]).signal(signal.SIGKILL)
            memory.go.set()
            seen: list[str] = []
            assert answer_in(stream, seen.append) == "I know: the first, slowly"
            assert time.monotonic() - killed < PROMISED
        assert seen.count(MOVED) == 1
        assert [kind for kind in seen if kind.startswith("session.")] == []
        said = texts_of(directory.snapshot(session_id, USER).items)
        assert said == ["the first", "I know: the first", "slowly", "I know: the first, slowly"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_stopped_hands_over_at_once(
    bus: str, service: SimulatorServer, memory: Memory, number: signal.Signals
) -> None:
    options = ("--lease", "60")  # Nobody could wait for that.
    with (
        SessionDirectory(bus) as directory,
        worker(bus, service, *options) as one,
        worker(bus, service, *options) as two,
    ):
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        _, last_id = ask(directory, session_id, "the first")
        with directory.stream(session_id, USER, after=last_id, heartbeat=LIMIT) as stream:
            say(directory, session_id, "slowly")
            until(stream, "response.output_text.delta")
            stopped = _holder(directory, session_id, [one, two])
            stopped.signal(number)
            moved = until(stream, MOVED)
            memory.go.set()
            assert moved["cause"] == "handover"
            assert len(moved["again"]) == 1
            assert moved["lost"] == []
            assert answer_in(stream) == "I know: the first, slowly"
        ended = stopped.end()
        assert ended.status == 0
        assert "Traceback" not in ended.err
