"""What a tool returned, as text for the model."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import pickle
import socket
import sqlite3
import uuid
from collections import OrderedDict, deque
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pydantic
import pytest

from rtsync.pure.tool_results import NotSerialisable, serialise
from rtsync.vocabulary.errors import RealtimeError
from rtsync.vocabulary.events import Event, Fields


class Unit(enum.Enum):
    CELSIUS = "c"


@dataclasses.dataclass
class Point:
    x: int
    unit: Unit = Unit.CELSIUS


class Guest(msgspec.Struct):
    name: str


class Span(NamedTuple):
    start: int
    end: int


class Person(pydantic.BaseModel):
    name: str
    born: dt.date


def row() -> sqlite3.Row:
    with sqlite3.connect(":memory:") as connection:
        connection.row_factory = sqlite3.Row
        found: sqlite3.Row = connection.execute("select 1 as id, 'Ann' as name").fetchone()
    connection.close()
    return found


RESULTS: list[tuple[Any, str]] = [
    ("", ""),
    ("sunny", "sunny"),
    ('{"a": 1}', '{"a": 1}'),
    ("half \ud83d", "half ?"),
    (None, "null"),
    (True, "true"),
    (3, "3"),
    (10**30, "1" + "0" * 30),
    (1.5, "1.5"),
    (float("nan"), "null"),
    ([float("inf")], "[null]"),
    (b"text \xc3\xa9", "text é"),
    (bytearray(b"text"), "text"),
    (memoryview(b"text"), "text"),
    ({"a": b"hi"}, '{"a":"aGk="}'),
    (Point(1), '{"x":1,"unit":"c"}'),
    ([Point(1)], '[{"x":1,"unit":"c"}]'),
    (Guest("Ann"), '{"name":"Ann"}'),
    (Span(1, 2), "[1,2]"),
    ({1}, "[1]"),
    ({1: "a"}, '{"1":"a"}'),
    (OrderedDict(a=1), '{"a":1}'),
    (dt.datetime(2026, 5, 1, tzinfo=dt.UTC), '"2026-05-01T00:00:00Z"'),
    (dt.timedelta(seconds=90), '"PT90S"'),
    (Decimal("1.10"), '"1.10"'),
    (uuid.UUID(int=0), '"00000000-0000-0000-0000-000000000000"'),
    (Path("a/b"), '"a/b"'),
    (Unit.CELSIUS, '"c"'),
    (Fields({"a": {"b": [1]}}), '{"a":{"b":[1]}}'),
    ({"fields": Fields({"a": [{"b": 1}]})}, '{"fields":{"a":[{"b":1}]}}'),
    (Person(name="Ann", born=dt.date(2000, 1, 1)), '{"name":"Ann","born":"2000-01-01"}'),
    ([row()], '[{"id":1,"name":"Ann"}]'),
]


@pytest.mark.parametrize(
    ("result", "text"), RESULTS, ids=[f"{index}-{type(row[0]).__name__}" for index, row in enumerate(RESULTS)]
)
def test_results_become_text(result: Any, text: str) -> None:
    assert serialise(result) == text


def test_items_of_an_event_become_arrays() -> None:
    fields = Fields({"a": [1, {"b": 2}]})
    assert json.loads(serialise(fields["a"])) == [1, {"b": 2}]


def test_an_event_is_what_the_wire_said() -> None:
    wire = {"type": "session.created", "event_id": "e1", "session": {"id": "s", "tools": [{"type": "function"}]}}
    assert json.loads(serialise(Event(wire))) == wire


def numbers() -> Iterator[int]:
    yield 1


def loop() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


REFUSED: list[tuple[Any, str]] = [
    (object(), r"^the tool returned builtins\.object, or something that holds one, which JSON cannot express; return"),
    ({"a": [socket.socket]}, "^the tool returned builtins.type"),
    (numbers(), "^the tool returned builtins.generator"),
    (ValueError("SECRET"), "^the tool returned builtins.ValueError"),
    ({"SECRET": complex(1)}, "^the tool returned builtins.complex"),
    ({("SECRET", 1): 2}, r"^what the tool returned \(dict\) holds keys or values that JSON cannot express"),
    (["SECRET \ud800"], r"^what the tool returned \(list\) holds half of a character"),
    (loop(), r"^what the tool returned \(list\) contains itself, or is nested too deeply"),
    (b"\xff\xfe", "^the tool returned bytes that are no UTF-8 text"),
]


@pytest.mark.parametrize(("result", "said"), REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_what_json_cannot_express_is_named_by_its_type(result: Any, said: str) -> None:
    with pytest.raises(NotSerialisable, match=said) as caught:
        serialise(result)
    assert "SECRET" not in str(caught.value)
    assert isinstance(caught.value, RealtimeError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_any_sequence_of_ours_or_pythons_is_an_array() -> None:
    assert serialise(deque([1, 2])) == "[1,2]"
