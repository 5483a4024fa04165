"""What becomes of a conversation when the process that holds it dies, hangs, or is stopped."""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
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
            for program in (one, two):
                program.read_error("holding sessions")  # The other one stands ready, as it does where there are two.
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


def test_a_worker_that_hangs_is_followed_and_says_nothing_more_when_it_wakes(
    bus: str, service: SimulatorServer, memory: Memory
) -> None:
    with SessionDirectory(bus) as directory, worker(bus, service, "--lease", "1") as one:
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        _, last_id = ask(directory, session_id, "the first")
        with directory.stream(session_id, USER, after=last_id, heartbeat=LIMIT) as stream:
            say(directory, session_id, "slowly")
            until(stream, "response.output_text.delta")
            one.signal(signal.SIGSTOP)  # In the middle of an answer, which goes on in its socket.
            with worker(bus, service, "--lease", "1") as two:
                assert until(stream, MOVED)["cause"] == "owner_lost"
                memory.go.set()
                assert answer_in(stream) == "I know: the first, slowly"
                one.signal(signal.SIGCONT)
                one.read_error("a session is left: stale")
                assert ask(directory, session_id, "the last")[0] == "I know: the first, slowly, the last"
                assert _holder(directory, session_id, [one, two]) is two
        with directory.stream(session_id, USER, after=last_id, heartbeat=0.2) as stream:
            types = [posted.type for posted in itertools.takewhile(lambda each: each.data, stream)]
        assert types.count("response.done") == 2
        assert types.count(MOVED) == 1


def test_a_worker_that_slept_goes_on_where_nobody_has_followed(bus: str, service: SimulatorServer) -> None:
    with SessionDirectory(bus) as directory, worker(bus, service, "--lease", "0.5") as one:
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        ask(directory, session_id, "the first")
        one.signal(signal.SIGSTOP)
        threading.Event().wait(2.0)  # Four leases: the time is what is tested.
        one.signal(signal.SIGCONT)
        assert ask(directory, session_id, "the second")[0] == "I know: the first, the second"
        assert directory.info(session_id, USER).claims == 1


def test_what_is_said_while_nobody_holds_the_session_is_done_once_and_in_order(
    bus: str, service: SimulatorServer
) -> None:
    with SessionDirectory(bus) as directory:
        with worker(bus, service, "--lease", "1") as one:
            session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
            _, last_id = ask(directory, session_id, "turn 0")
            one.signal(signal.SIGKILL)
            one.process.wait()
        for number in range(1, 20):
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"turn {number}"}]}
            directory.send(session_id, USER, {"type": "conversation.item.create", "item": item})
        assert directory.info(session_id, USER).backlog == 19
        with worker(bus, service, "--lease", "1"):
            said, _ = ask(directory, session_id, "turn 20", last_id)
            assert said == "I know: " + ", ".join(f"turn {number}" for number in range(21))
            assert directory.info(session_id, USER).backlog == 0


def test_nothing_is_lost_and_nothing_done_twice_while_one_holder_after_the_other_is_killed(
    bus: str, service: SimulatorServer
) -> None:
    """Items are sent without a pause, while whoever holds the session is killed again and again."""
    with SessionDirectory(bus) as directory, contextlib.ExitStack() as programs:

        def another() -> Program:
            return programs.enter_context(worker(bus, service, "--lease", "0.6"))

        workers = [another(), another()]
        session_id = directory.open(USER, config=TEXT, timeout=LIMIT)
        sent = 0
        for _ in range(4):
            for _ in range(25):
                text = {"type": "input_text", "text": f"turn {sent}"}
                item = {"type": "message", "role": "user", "content": [text]}
                directory.send(session_id, USER, {"type": "conversation.item.create", "item": item})
                sent += 1
            _held(directory, session_id, workers).signal(signal.SIGKILL)
            workers.append(another())
        said, _ = ask(directory, session_id, "the last")
        assert said == "I know: " + ", ".join([*(f"turn {number}" for number in range(sent)), "the last"])
        with directory.stream(session_id, USER, heartbeat=0.2) as stream:
            posted = [each.event for each in itertools.takewhile(lambda each: each.data, stream)]
        added = [event.item.id for event in posted if event is not None and event.type == "conversation.item.added"]
        assert len(added) == len(set(added)) == sent + 2


def _held(directory: SessionDirectory, session_id: str, programs: list[Program]) -> Program:
    """The program that holds the session, as soon as one does that lives."""
    while True:
        try:
            holder = _holder(directory, session_id, programs)
        except AssertionError:
            continue
        if holder.process.poll() is None:
            return holder
