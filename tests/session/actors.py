"""Brains that call tools, and what is left of their calls in a conversation."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import rtsync
from rtsync import RealtimeSession, Simulator, ToolCall
from rtsync.simulator import FunctionCall, Turn
from tests.loopback import LIMIT

__all__ = [
    "Actor",
    "Told",
    "answered",
    "answers",
    "call",
    "conversing_with",
    "open_calls",
    "outputs",
    "texts",
    "twice_answered",
]

Act = Iterable[Any] | Callable[[Turn], Iterable[Any]]
TEXT = {"output_modalities": ["text"]}


def call(name: str, **arguments: Any) -> FunctionCall:
    """The model calls a function."""
    return FunctionCall(name, json.dumps(arguments))


class Actor:
    """A brain that plays its acts one after the other; after the last it says what tools have answered since.

    Attributes:
        turns: what it was asked, in order.
    """

    def __init__(self, *acts: Act) -> None:
        self.turns: list[Turn] = []
        self._acts = list(acts)
        self._playing = threading.Lock()

    def __call__(self, turn: Turn) -> Iterator[Any]:
        with self._playing:
            self.turns.append(turn)
            act = self._acts.pop(0) if self._acts else heard
        yield from act(turn) if callable(act) else act


def heard(turn: Turn) -> Iterator[str]:
    """What tools have answered since somebody spoke."""
    yield f"Heard {' '.join(answers(turn.items))}."


def answers(items: Iterable[Any]) -> list[str]:
    """The outputs behind the last message of the user."""
    found: list[str] = []
    for item in items:
        if item["type"] == "message" and item["role"] == "user":
            found = []
        elif item["type"] == "function_call_output":
            found.append(item["output"])
    return found


@contextmanager
def conversing_with(*acts: Act, **options: Any) -> Iterator[tuple[RealtimeSession, Actor]]:
    """An open session and the brain at its other end."""
    actor = Actor(*acts)
    with RealtimeSession(Simulator(brain=actor, pace=False), config=TEXT, **options) as session:
        yield session, actor


@contextmanager
def answered(session: RealtimeSession) -> Iterator[Callable[[], str]]:
    """What gives the next output that the service has taken, once it has; of those that come from now on."""
    with session.events("conversation.item.done", timeout=LIMIT) as items:

        def next_output() -> str:
            return str(next(event.item.output for event in items if event.item.type == "function_call_output"))

        yield next_output


def outputs(session: RealtimeSession) -> list[str]:
    """What the model was given, in the order of the conversation."""
    items = session.conversation.items
    return [item.data["output"] for item in items if item.type == "function_call_output"]


def texts(session: RealtimeSession) -> list[str]:
    """What the model has said."""
    return [item.text for item in session.conversation.items if item.role == "assistant"]


def open_calls(session: RealtimeSession) -> list[str]:
    """Ids of the calls without an output."""
    items = session.conversation.items
    answered = {item.data["call_id"] for item in items if item.type == "function_call_output"}
    return [i.data["call_id"] for i in items if i.type == "function_call" and i.data["call_id"] not in answered]


def twice_answered(session: RealtimeSession) -> list[str]:
    """Ids of the calls with more than one output."""
    items = session.conversation.items
    counts = Counter(item.data["call_id"] for item in items if item.type == "function_call_output")
    return [call_id for call_id, count in counts.items() if count > 1]


class Told:
    """What the signals of tools have said, in order; to be used as a context manager."""

    def __init__(self, session: RealtimeSession) -> None:
        self.heard: list[tuple[str, ToolCall, Any]] = []
        self.failures: list[tuple[Any, BaseException]] = []
        self._session = session
        self._changed = threading.Condition()

    def __enter__(self) -> Told:
        rtsync.tool_started.connect(self._on_started, self._session)
        rtsync.tool_progress.connect(self._on_progress, self._session)
        rtsync.tool_finished.connect(self._on_finished, self._session)
        rtsync.handler_failed.connect(self._on_failed, self._session)
        return self

    def __exit__(self, *_: object) -> None:
        rtsync.tool_started.disconnect(self._on_started, self._session)
        rtsync.tool_progress.disconnect(self._on_progress, self._session)
        rtsync.tool_finished.disconnect(self._on_finished, self._session)
        rtsync.handler_failed.disconnect(self._on_failed, self._session)

    def _on_started(self, session: RealtimeSession, call: ToolCall) -> None:
        self._note("started", call, None)

    def _on_progress(self, session: RealtimeSession, call: ToolCall, progress: Any) -> None:
        self._note("progress", call, progress)

    def _on_finished(self, session: RealtimeSession, call: ToolCall) -> None:
        self._note("finished", call, None)

    def _on_failed(self, session: RealtimeSession, handler: Any, error: BaseException, **_: Any) -> None:
        with self._changed:
            self.failures.append((handler, error))
            self._changed.notify_all()

    def _note(self, name: str, call: ToolCall, progress: Any) -> None:
        with self._changed:
            self.heard.append((name, call, progress))
            self._changed.notify_all()

    def until(self, name: str) -> ToolCall:
        """The last call that the signal `name` has told of, once it has."""
        found: list[ToolCall] = []

        def has_come() -> bool:
            found[:] = [call for signal, call, _ in self.heard if signal == name]
            return bool(found)

        with self._changed:
            assert self._changed.wait_for(has_come, LIMIT), f"no {name}: {self.heard}"
        return found[-1]

    def failure(self) -> tuple[Any, BaseException]:
        """The first failure, once it has been told."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.failures, LIMIT), "no failure was told"
        return self.failures[0]

    @property
    def names(self) -> list[tuple[str, str]]:
        """Signal and status of each call, in order."""
        return [(signal, call.status) for signal, call, _ in self.heard]
