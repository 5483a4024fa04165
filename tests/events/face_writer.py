"""Writes `rtsync/session/typed_face.pyi`: run `python -m tests.events.face_writer` when a server event is added.

One method cannot tell a type checker that "response.done" means `ResponseDone` without an overload for each type, so
the overloads are written by a program and held to it by a test.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from rtsync.pure.dialect import canonical
from rtsync.vocabulary.names import PREVIEW_SERVER_TYPES
from rtsync.vocabulary.server_events import SERVER_EVENTS

FACE = Path(__file__).parents[2] / "rtsync" / "session" / "typed_face.pyi"

HEAD = '''"""What type checkers know of the methods that take an event type. Written by ``tests/events/face_writer.py``.

A type may be given under its GA or its preview name. The last overload of each method is for types that are not known
when the program is checked, and for several at once.
"""

from collections.abc import Callable, Iterator
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, overload

from rtsync.session.session import Expectation, RealtimeSession, Wanted
from rtsync.threads.following import Subscription
from rtsync.vocabulary.events import Event
from rtsync.vocabulary.server_events import (
    {classes},
)

__all__ = ["events", "expect", "on", "once", "typed_as", "wait_for"]

E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)
E_contra = TypeVar("E_contra", bound=Event, contravariant=True)
R = TypeVar("R")
Overloads = TypeVar("Overloads", bound=Callable[..., Any])

Handler: TypeAlias = Callable[[RealtimeSession, E], R]
Where: TypeAlias = Callable[[E], object] | None

class _Decorator(Protocol[E]):
    def __call__(self, handler: Handler[E, R], /) -> Handler[E, R]: ...

class _Expectation(Expectation, Generic[E_co]):
    @property
    def event(self) -> E_co: ...
    def __enter__(self) -> Self: ...

class _Subscription(Subscription, Generic[E_co]):
    def __enter__(self) -> Self: ...
    def __iter__(self) -> Iterator[E_co]: ...
    def __next__(self) -> E_co: ...

def typed_as(overloads: Overloads) -> Callable[[Callable[..., Any]], Overloads]: ...
'''

WAIT = "timeout: float | None = 30.0, where: Where[{event}] = None, settled: bool = True"

# Of each method: the rest of its signatures behind `self` and the type, and what they return.
SIGNATURES: dict[str, list[tuple[str, str]]] = {
    "on": [("handler: Handler[{event}, R]", "Handler[{event}, R]"), ("", "_Decorator[{event}]")],
    "once": [("handler: Handler[{event}, R]", "Handler[{event}, R]"), ("", "_Decorator[{event}]")],
    "wait_for": [(f"*, {WAIT}", "{event}")],
    "expect": [(f"*, {WAIT}", "_Expectation[{event}]")],
    "events": [("/, *, timeout: float | None = None", "_Subscription[{event}]")],
}
GENERAL = {"wait_for": "type: Wanted", "expect": "type: Wanted", "events": "*types: str"}


def names_of(event_type: str) -> list[str]:
    """The type, and the preview's name for it."""
    previews = {name for name in PREVIEW_SERVER_TYPES - SERVER_EVENTS.keys() if canonical(name) == event_type}
    return [event_type, *sorted(previews)]


def overloads(method: str) -> Iterator[str]:
    for event_type, described in SERVER_EVENTS.items():
        known = ", ".join(f'"{name}"' for name in names_of(event_type))
        for rest, returned in SIGNATURES[method]:
            yield _overload(method, f"type: Literal[{known}]", rest, returned, described.__name__)
    for rest, returned in SIGNATURES[method]:
        first = GENERAL.get(method, "type: str")
        yield _overload(method, first, rest.removeprefix("/, *, " if "*" in first[:1] else ""), returned, "Event")


def _overload(method: str, first: str, rest: str, returned: str, event: str) -> str:
    parameters = ", ".join(part for part in ("self: RealtimeSession", first, rest.format(event=event)) if part)
    return f"@overload\ndef {method}({parameters}) -> {returned.format(event=event)}: ..."


def face() -> str:
    """The stub, before `ruff format` has laid it out."""
    classes = ", ".join(sorted(described.__name__ for described in SERVER_EVENTS.values()))
    parts = [HEAD.replace("{classes}", classes), *(text for method in SIGNATURES for text in overloads(method))]
    return "\n".join(parts) + "\n"


def is_current() -> bool:
    """Whether the stub says what this program would write, however it is laid out."""
    return ast.dump(ast.parse(FACE.read_text(encoding="utf-8"))) == ast.dump(ast.parse(face()))


if __name__ == "__main__":
    FACE.write_text(face(), encoding="utf-8")
