"""A thousand calls over fifty sessions at once."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from rtsync import ConnectionLost, OpenAI, RealtimeSession, Reconnect, ResponseFailed, Tool, ToolError
from rtsync.simulator import SimulatorServer, Turn
from tests.loopback import LIMIT
from tests.session.actors import TEXT, answers, call, open_calls, twice_answered
from tests.session.service import spawn

SESSIONS = 50
CALLS = 20  # of each session
ROUNDS = (1, 4, 2, 3)  # calls of each response of a turn
PATIENCE = 60.0  # seconds for an answer, for which two hundred threads have taken turns; reached only on failure


def brain(turn: Turn) -> Iterator[Any]:
    """Call so many tools as the turn has come to, then say what they have answered."""
    answered = [number_in(output) for output in answers(turn.items)]
    step, so_far = 0, 0
    while so_far < len(answered):
        so_far += ROUNDS[step]
        step += 1
    if step == len(ROUNDS):
        yield " ".join(sorted(answered, key=int))
        return
    for number in range(so_far, so_far + ROUNDS[step]):
        yield call(("work", "fail", "quick")[number % 3], number=number)
        if number % 2:
            yield "I am at it. "


@pytest.mark.unmeasured
@pytest.mark.timeout(4 * PATIENCE)
def test_a_thousand_calls_are_answered_once_each() -> None:
    ran: Counter[str] = Counter()
    counting = threading.Lock()
    chance = random.Random(7)

    def work(number: int) -> int:
        with counting:
            ran["work"] += 1
            pause = chance.random() / 100
        threading.Event().wait(pause)
        return number

    def fail(number: int) -> int:
        with counting:
            ran["fail"] += 1
        raise ToolError(str(number))

    def quick(number: int) -> int:
        with counting:
            ran["quick"] += 1
        return number

    tools: list[Any] = [work, fail, Tool(quick, timeout=None)]
    errors: list[str] = []

    def talk(server: SimulatorServer) -> None:
        target = OpenAI(api_key="k", base_url=server.openai_url)
        with RealtimeSession(target, config=TEXT, tools=tools, connect_timeout=PATIENCE) as session:
            session.on("error", lambda session, event: errors.append(event.error.code))
            for _ in range(CALLS // sum(ROUNDS)):
                said = session.ask("Go!", timeout=PATIENCE).text
                assert said.split() == [str(number) for number in range(sum(ROUNDS))]
            assert (open_calls(session), twice_answered(session), session.tool_calls) == ([], [], ())

    with SimulatorServer(brain=brain, pace=False) as server:
        for task in [spawn(talk, server) for _ in range(SESSIONS)]:
            task.thread.join(3 * PATIENCE)
            task.result()
    assert ran.total() == SESSIONS * CALLS == 1000
    assert errors == []


def number_in(output: str) -> str:
    """What a tool was called with, as it returned it or said it as an error."""
    return output if output.isdigit() else str(json.loads(output)["error"])


class Unrest:
    """A brain that calls tools by chance, a tool that takes some time, and a hand that breaks lines."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._choosing = threading.Lock()
        self.over = threading.Event()

    def fraction(self) -> float:
        with self._choosing:
            return self._chance.random()

    def brain(self, turn: Turn) -> Iterator[Any]:
        if len(answers(turn.items)) < 6 and self.fraction() < 0.7:
            for number in range(1 + int(self.fraction() * 3)):
                yield call("work", number=number)
        else:
            yield "words " * 5

    def work(self, number: int) -> int:
        threading.Event().wait(self.fraction() / 50)
        return number

    def break_lines(self, server: SimulatorServer) -> None:
        for _ in range(40):  # On a slow machine nothing would ever be done between one break and the next.
            if self.over.wait(self.fraction() / 3):
                return
            server.strike("reset" if self.fraction() < 0.5 else "end")


@pytest.mark.unmeasured
def test_lines_that_are_lost_at_any_moment_cost_no_answer() -> None:
    """Four sessions whose lines break again and again: in the end every call is answered, once."""
    unrest = Unrest(3)

    def converse(session: RealtimeSession) -> None:
        for _ in range(8):
            with contextlib.suppress(ResponseFailed, ConnectionLost):
                session.ask("Go!", timeout=30)

    def settle(session: RealtimeSession) -> None:
        with session.events("conversation.item.done", "response.done", timeout=LIMIT) as news:
            session.ask("And now?", timeout=LIMIT)
            while session.tool_calls or open_calls(session):
                next(news)
        assert (open_calls(session), twice_answered(session), session.tool_calls) == ([], [], ())

    policy = Reconnect(attempts=None, first_delay=0.01, longest_delay=0.05, restore="conversation", responses="again")
    with SimulatorServer(brain=unrest.brain, pace=False) as server, contextlib.ExitStack() as stack:
        target = OpenAI(api_key="k", base_url=server.openai_url)
        sessions = [RealtimeSession(target, config=TEXT, tools=[unrest.work], reconnect=policy) for _ in range(4)]
        for session in sessions:
            stack.enter_context(session)
        breaking = spawn(unrest.break_lines, server)
        for task in [spawn(converse, session) for session in sessions]:
            task.thread.join(45)
            task.result()
        unrest.over.set()
        breaking.result()
        for session in sessions:
            settle(session)
        assert sum(session.stats.lines for session in sessions) > 8
