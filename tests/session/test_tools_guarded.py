"""Tools beside guards and budgets: who speaks next, and who does not."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rtsync import Budget, CloseCause, RealtimeSession, ResponseFailed, SessionClosed, Simulator
from rtsync.simulator import FunctionCall, Turn
from tests.loopback import LIMIT
from tests.session.test_guards import NICE, no_bad

CONFIG = {"output_modalities": ["text"], "instructions": "You are a clerk."}


def answered(turn: Turn) -> bool:
    return bool(turn.items) and turn.items[-1]["type"] == "function_call_output"


@pytest.mark.unmeasured
def test_an_answer_that_tools_led_to_is_guarded_and_replaced() -> None:
    def brain(turn: Turn) -> Iterator[Any]:
        if NICE in turn.instructions:
            yield "All is fine."
        elif answered(turn):
            yield "bad"
        else:
            yield FunctionCall("count", "{}")

    def count() -> int:
        return 7

    for _ in range(100):
        with RealtimeSession(Simulator(brain=brain, pace=False), config=CONFIG, tools=[count]) as session:
            session.guard(no_bad, interval=0)
            assert session.ask("Count!").text == "All is fine."
            chain = [response.status for response in session.respond(instructions="Again.").chain()]
            assert len(chain) in (1, 3)
            said = [(item.type, item.text) for item in session.conversation.items if item.role != "user"]
            assert next(text for kind, text in said if kind == "message") == "All is fine."
            assert "bad" not in [text for _, text in said]


def test_what_is_stopped_beside_a_call_is_not_replaced_because_the_call_is_answered() -> None:
    def brain(turn: Turn) -> Iterator[Any]:
        if answered(turn):
            yield "All is fine."
        else:
            yield "bad"
            yield FunctionCall("count", "{}")

    def count() -> int:
        return 7

    def late(text: str, response: Any) -> str | None:
        return NICE if response.done and "bad" in text else None

    with RealtimeSession(Simulator(brain=brain, pace=False), config=CONFIG, tools=[count]) as session:
        session.guard(late, interval=0)
        stopped = session.respond()
        with pytest.raises(ResponseFailed):
            stopped.wait(LIMIT)
        assert stopped.replacement is None
        responses = list(stopped.chain(timeout=LIMIT))
        assert [response.wait(LIMIT).text for response in responses[1:]] == ["All is fine."]


def test_tools_lead_to_no_response_when_the_budget_is_spent() -> None:
    inside, go_on = threading.Event(), threading.Event()
    turns: list[Turn] = []

    def brain(turn: Turn) -> Iterator[Any]:
        turns.append(turn)
        yield "Goodbye." if "goodbye" in turn.instructions else FunctionCall("slow", "{}")

    def slow() -> int:
        inside.set()
        assert go_on.wait(LIMIT)
        return 7

    for _ in range(50):
        turns.clear()
        inside.clear()
        go_on.clear()
        budget = Budget(max_tokens=1, farewell="Say goodbye.", grace=LIMIT)
        with RealtimeSession(Simulator(brain=brain, pace=False), config=CONFIG, tools=[slow], budget=budget) as session:
            response = session.respond()
            assert inside.wait(LIMIT)
            go_on.set()
            with contextlib.suppress(SessionClosed):  # The last words have seen the output, or it came too late.
                assert response.final(LIMIT).text in ("", "Goodbye.")
            with pytest.raises(SessionClosed) as closed:
                session.wait_for("never", timeout=LIMIT)
            assert closed.value.cause is CloseCause.BUDGET
        assert len(turns) == 2
