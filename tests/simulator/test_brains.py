"""The scripted brain, and the cancellation that every brain gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rtsync.simulator import Cancellation, FunctionCall, McpCall, ScriptedBrain, Turn
from tests.simulator.talk import user_message

HI: dict[str, Any] = user_message("Weather in Tokyo?")
TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["celsius", "kelvin"]},
            "days": {"type": "integer"},
            "exact": {"type": "boolean"},
            "note": {"type": ["string", "null"]},
        },
    },
}


def answer(*items: dict[str, Any], **fields: Any) -> list[str | FunctionCall | McpCall]:
    return list(ScriptedBrain()(Turn("", items, **fields)))


def test_it_says_that_it_does_not_think() -> None:
    for words in ("Hello", "Say a couple paragraphs!", ""):
        (text,) = answer(user_message(words))
        assert isinstance(text, str)
        assert "I do not think" in text


def test_the_same_turn_gets_the_same_answer() -> None:
    assert answer(HI) == answer(HI)


def test_a_couple_of_paragraphs_are_two() -> None:
    (text,) = answer(user_message("Say a couple paragraphs!"))
    assert isinstance(text, str)
    assert len(text.split("\n\n")) == 2


def test_it_quotes_the_newest_words_and_cuts_long_ones() -> None:
    (text,) = answer(user_message("old"), user_message("new " * 100))
    assert isinstance(text, str)
    assert "new new" in text
    assert "old" not in text
    assert len(text) < 400


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "name": "get_weather"},
        {"type": "function", "function": {"name": "get_weather"}},
    ],
)
def test_it_calls_the_function_it_has_to(choice: Any) -> None:
    (call,) = answer(HI, tools=(TOOL,), tool_choice=choice)
    assert isinstance(call, FunctionCall)
    assert call.name == "get_weather"
    assert json.loads(call.arguments) == {
        "city": "Tokyo",
        "unit": "celsius",
        "days": 1,
        "exact": True,
        "note": "Tokyo",
    }


@pytest.mark.parametrize("choice", ["auto", "none", {"type": "function", "name": "other"}])
def test_it_calls_no_function_it_need_not(choice: Any) -> None:
    assert isinstance(answer(HI, tools=(TOOL,), tool_choice=choice)[0], str)


def test_it_calls_a_function_that_is_named_in_the_words() -> None:
    assert isinstance(answer(user_message("Please call get_weather"), tools=(TOOL,))[0], FunctionCall)


def test_it_quotes_what_the_function_answered() -> None:
    output = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
    (text,) = answer(HI, output, tools=(TOOL,), tool_choice="required")
    assert isinstance(text, str)
    assert "rain" in text


def test_a_cancellation_tells_everyone_once() -> None:
    told: list[str] = []
    cancelled = Cancellation()
    cancelled.then(lambda: told.append("before"))
    assert not cancelled()
    assert not cancelled.wait(0)
    cancelled.set()
    cancelled.set()
    cancelled.then(lambda: told.append("after"))
    assert told == ["before", "after"]
    assert cancelled()
    assert cancelled.wait(0)
