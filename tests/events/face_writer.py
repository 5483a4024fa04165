"""Writes `rtsync/session/typed_face.pyi`: run `python -m tests.events.face_writer` when a server event is added.

One method cannot tell a type checker that "response.done" means `ResponseDone` without an overload for each type, so
the overloads are written by a program and held to it by a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rtsync.pure.dialect import canonical
from rtsync.vocabulary.names import PREVIEW_SERVER_TYPES
from rtsync.vocabulary.server_events import SERVER_EVENTS

FACE = Path(__file__).parents[2] / "rtsync" / "session" / "typed_face.pyi"

HEAD = '''"""What type checkers know of the methods that take an event type. Written by ``tests/events/face_writer.py``.

A type may be given under its GA or its preview name. The last overloads of each method are for types that are not known
when the program is checked, for several at once, and for handlers that take the event by keyword, as blinker gives it.
"""

# One overload a line reads better than one argument a line.
# fmt: off
# ruff: noqa: E501

from collections.abc import Callable, Iterator
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, overload

from rtsync.session.session import RealtimeSession
from rtsync.session.waits import Expectation, Wanted
from rtsync.threads.following import Subscription
from rtsync.vocabulary.events import Event
from rtsync.vocabulary.server_events import (
{classes}
)

__all__ = ["events", "expect", "on", "once", "typed_as", "wait_for"]

E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Overloads = TypeVar("Overloads", bound=Callable[..., Any])

S: TypeAlias = RealtimeSession
Handler: TypeAlias = Callable[[RealtimeSession, E], R]
Where: TypeAlias = Callable[[E], object] | None

class _Decorator(Protocol[E]):
    def __call__(self, handler: Handler[E, R], /) -> Handler[E, R]: ...

class _ByKeyword(Protocol[R_co]):
    def __call__(self, session: RealtimeSession, /, *, event: Event) -> R_co: ...

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
ANY_HANDLER = [
    ("type: str, handler: Handler[Event, R]", "Handler[Any, R]"),
    ("type: str, handler: _ByKeyword[R]", "_ByKeyword[R]"),
    ("type: str", "_Decorator[Any]"),
]
GENERAL = {
    "on": ANY_HANDLER,
    "once": ANY_HANDLER,
    "wait_for": [(f"type: Wanted, *, {WAIT}".format(event="Event"), "Event")],
    "expect": [(f"type: Wanted, *, {WAIT}".format(event="Event"), "_Expectation[Event]")],
    "events": [("*types: str, timeout: float | None = None", "_Subscription[Event]")],
}


def names_of(event_type: str) -> list[str]:
    """The type, and the preview's name for it."""
    previews = {name for name in PREVIEW_SERVER_TYPES - SERVER_EVENTS.keys() if canonical(name) == event_type}
    return [event_type, *sorted(previews)]


def overloads(method: str) -> Iterator[str]:
    for event_type, described in SERVER_EVENTS.items():
        known = ", ".join(f'"{name}"' for name in names_of(event_type))
        for rest, returned in SIGNATURES[method]:
            parameters = f"type: Literal[{known}]", rest.format(event=described.__name__)
            yield _overload(method, returned.format(event=described.__name__), *parameters)
    for general, returned in GENERAL[method]:
        yield _overload(method, returned, general)


def _overload(method: str, returned: str, *parameters: str) -> str:
    listed = ", ".join(part for part in ("self: S", *parameters) if part)
    return f"@overload\ndef {method}({listed}) -> {returned}: ..."


def face() -> str:
    """The text of the stub."""
    classes = "\n".join(f"    {name}," for name in sorted(described.__name__ for described in SERVER_EVENTS.values()))
    parts = [HEAD.replace("{classes}", classes), *("\n" + "\n".join(overloads(method)) for method in SIGNATURES)]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    FACE.write_text(face(), encoding="utf-8")
