"""A thousand calls over fifty sessions at once."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rtsync import OpenAI, RealtimeSession, Tool, ToolError
from rtsync.simulator import SimulatorServer, Turn
from tests.session.actors import TEXT, answers, call, open_calls, twice_answered
from tests.session.service import spawn

SESSIONS = 50
CALLS = 20  # of each session
ROUNDS = (1, 4, 2, 3)  # calls of each response of a turn


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
        with RealtimeSession(target, config=TEXT, tools=tools, connect_timeout=30) as session:
            session.on("error", lambda session, event: errors.append(event.error.code))
            for _ in range(CALLS // sum(ROUNDS)):
                said = session.ask("Go!", timeout=50).text
                assert said.split() == [str(number) for number in range(sum(ROUNDS))]
            assert (open_calls(session), twice_answered(session), session.tool_calls) == ([], [], ())

    with SimulatorServer(brain=brain, pace=False) as server:
        for task in [spawn(talk, server) for _ in range(SESSIONS)]:
            task.thread.join(55)
            task.result()
    assert ran.total() == SESSIONS * CALLS == 1000
    assert errors == []


def number_in(output: str) -> str:
    """What a tool was called with, as it returned it or said it as an error."""
    return output if output.isdigit() else str(json.loads(output)["error"])
