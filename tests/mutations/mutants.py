"""Frames of the service as they should never be: good events, each damaged in one or more ways, from a seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rtsync.vocabulary.examples import SERVER_EXAMPLES, TRANSLATION_SERVER_EXAMPLES
from tests.scenarios.replay import FRAMES, frames_of

__all__ = ["KINDS", "mutants"]

Json = dict[str, Any]
Slots = list[tuple[Any, Any]]

_DEEP = "@deep@"
_LONG = "@long@"
_DEPTHS = (20, 100, 400, 900, 1100, 20_000)
_NUMBERS = (-1, 2**31, -(2**63), 2**64, 10**40, -(10**300), 1e308, -0.0, 5e-324, float("inf"), float("nan"))
_OTHERS: tuple[Any, ...] = (
    0, 1.5, True, False, "", "x", "null", [], {}, [[]], [None], [{}], {"type": None}, {"id": []}, "\x00", "\ud800",
    "\u2028\U0001f600", {"": {"": []}}, ["text", 1, {"type": 5}],
)  # fmt: skip
_TYPES = ("response.new.delta", "conversation.item.input_audio_transcription", "session", "", "error.", "rtsync", "*")
_NOT_JSON = (
    "",
    "{",
    "[]",
    "null",
    "12",
    '"text"',
    "{'type': 'error'}",
    "\ufeff{}",
    "<html>",
    '{"a": 1',
    '{"type" "error"}',
)


def _scenarios() -> Iterator[list[Json]]:
    for path in sorted(FRAMES.glob("*.jsonl")):
        yield [event for who, event in frames_of(Path(path).stem) if who == "server"]


_STORIES = list(_scenarios())
_EVENTS: list[Json] = [
    *SERVER_EXAMPLES.values(),
    *TRANSLATION_SERVER_EXAMPLES.values(),
    *(event for story in _STORIES for event in story if "audio.delta" not in event["type"]),
]
_TEXTS = [json.dumps(event) for event in _EVENTS]


def mutants(seed: int) -> Iterator[str]:
    """Text messages without end, all of them different stories of one seed."""
    chance = random.Random(seed)
    while True:
        yield from _disordered(chance) if chance.random() < 0.02 else [_mutant(chance)]


def _mutant(chance: random.Random) -> str:
    event = json.loads(chance.choice(_TEXTS))
    for _ in range(chance.choice((1, 1, 2, 5))):
        chance.choice(_DAMAGES)(event, chance)
    text = json.dumps(event)
    text = text.replace(f'"{_DEEP}"', _deep(chance)) if _DEEP in text else text
    text = text.replace(f'"{_LONG}"', "9" * chance.choice((400, 5000))) if _LONG in text else text
    return _unreadable(text, chance) if chance.random() < 0.03 else text


def _disordered(chance: random.Random) -> Iterator[str]:
    """A whole scenario, its events out of order, some twice, some never."""
    story = list(chance.choice(_STORIES))
    chance.shuffle(story)
    for event in story:
        for _ in range(chance.choice((0, 1, 1, 1, 2))):
            yield json.dumps(event)


def _slots(value: Any) -> Slots:
    """Every place in ``value`` that holds something."""
    found: Slots = []
    todo = [value]
    while todo:
        container = todo.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            found.append((container, key))
            if isinstance(container[key], dict | list):
                todo.append(container[key])
    return found


def _replaced(event: Json, chance: random.Random, value: Any) -> None:
    if slots := _slots(event):
        container, key = chance.choice(slots)
        container[key] = copy.deepcopy(value)


def _drop(event: Json, chance: random.Random) -> None:
    if slots := _slots(event):
        container, key = chance.choice(slots)
        del container[key]


def _null(event: Json, chance: random.Random) -> None:
    _replaced(event, chance, None)


def _another_type(event: Json, chance: random.Random) -> None:
    _replaced(event, chance, chance.choice(_OTHERS))


def _unknown_event(event: Json, chance: random.Random) -> None:
    event["type"] = chance.choice(_TYPES)


def _anothers_type(event: Json, chance: random.Random) -> None:
    event["type"] = chance.choice(_EVENTS)["type"]


def _nested(event: Json, chance: random.Random) -> None:
    _replaced(event, chance, _DEEP)


def _huge(event: Json, chance: random.Random) -> None:
    _replaced(event, chance, chance.choice((*_NUMBERS, _LONG)))


def _renamed(event: Json, chance: random.Random) -> None:
    """A field under another's name, as a new version of the service may have it."""
    if slots := [(container, key) for container, key in _slots(event) if isinstance(container, dict)]:
        container, key = chance.choice(slots)
        container[chance.choice(("id", "item", "response", "delta", "content", "self", "items"))] = container.pop(key)


def _extra(event: Json, chance: random.Random) -> None:
    event[f"new_{chance.randrange(9)}"] = copy.deepcopy(chance.choice(_OTHERS))


_DAMAGES: tuple[Callable[[Json, random.Random], None], ...] = (
    _drop, _null, _another_type, _unknown_event, _anothers_type, _nested, _huge, _renamed, _extra,
)  # fmt: skip
KINDS = len(_DAMAGES)


def _deep(chance: random.Random) -> str:
    depth = chance.choice(_DEPTHS) if chance.random() < 0.2 else 20
    opened, closed = chance.choice((("[", "]"), ('{"item":', "}")))
    return opened * depth + "0" + closed * depth


def _unreadable(text: str, chance: random.Random) -> str:
    """No JSON object at all, or half of one."""
    if chance.random() < 0.5:
        return chance.choice(_NOT_JSON)
    return text[: chance.randrange(len(text))]
