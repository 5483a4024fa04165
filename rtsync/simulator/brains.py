"""What answers: the face of a brain, and the scripted one.

A brain is any callable that takes a ``Turn`` and yields pieces of text and ``FunctionCall`` objects. It runs on a
thread of its own for each response, may block, and should come back soon after ``turn.cancelled`` is set.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Brain", "BrainFailed", "Cancellation", "CutShort", "FunctionCall", "ScriptedBrain", "Turn"]


class Cancellation:
    """Set once, when nobody waits for the answer any more: cancelled, cut off, or the session has ended.

    Threads: every method may be called from any thread.
    """

    def __init__(self) -> None:
        self._set = threading.Event()
        self._registering = threading.Lock()  # between "not set yet" and the list of callbacks
        self._callbacks: list[Callable[[], None]] = []

    def __call__(self) -> bool:
        """Whether it is set."""
        return self._set.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds``; True as soon as it is set.

        Threads: blocks the calling thread, and is woken at once by ``set``.
        """
        return self._set.wait(seconds)

    def then(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when it is set; at once when it is already. For brains that block in a socket.

        Threads: the callback runs on the thread that cancels; it must not block.
        """
        with self._registering:
            if not self._set.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def set(self) -> None:
        """Cancel. The second time does nothing."""
        with self._registering:
            self._set.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


@dataclass(frozen=True)
class Turn:
    """What a brain is asked.

    Attributes:
        instructions: the system prompt in force.
        items: the context, oldest first, as plain dicts in GA shape (protocol 5.3).
        tools: tools as the client gave them (protocol 4.8).
        tool_choice: ``auto``, ``none``, ``required`` or an object naming one.
        modality: ``text`` or ``audio``.
        max_output_tokens: a number or ``"inf"``. The simulator enforces it; a brain may use it to stop in time.
        temperature: as set in a preview session; 0.8 otherwise.
        model: model or deployment of the URL.
        metadata: the response's own, or None.
        cancelled: set when the answer is no longer wanted.
    """

    instructions: str
    items: tuple[Mapping[str, Any], ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Any = "auto"
    modality: str = "text"
    max_output_tokens: int | str = "inf"
    temperature: float = 0.8
    model: str = ""
    metadata: Mapping[str, str] | None = None
    cancelled: Cancellation = field(default_factory=Cancellation)


@dataclass(frozen=True)
class FunctionCall:
    """A brain's wish to have a function called. ``arguments`` is JSON text, as on the wire."""

    name: str
    arguments: str


class Brain(Protocol):
    """Answers one turn."""

    def __call__(self, turn: Turn) -> Iterable[str | FunctionCall]:
        """Yield the answer piece by piece.

        Raises:
            BrainFailed: the response ends as ``failed``. Any other exception does that too, and is logged.
            CutShort: the response ends as ``incomplete``.
        """
        ...


class BrainFailed(Exception):
    """The answer cannot be made: the response ends as ``failed`` with this error (protocol 5.1)."""

    def __init__(self, message: str, *, code: str | None = None, kind: str = "server_error") -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind

    def details(self) -> dict[str, Any]:
        """``status_details.error``."""
        return {"type": self.kind, "code": self.code, "message": str(self)}


class CutShort(Exception):
    """The answer stops before its end: the response ends as ``incomplete`` for ``reason`` (protocol 5.1).

    ``reason`` is ``max_output_tokens`` or ``content_filter``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_HONESTY = "I am the scripted brain of the rtsync simulator: I do not think, I only follow a script."

_PARAGRAPHS = f"""\
{_HONESTY} Still, you asked for a couple of paragraphs, so here is the first one. It arrives in small pieces, \
the way a model's words do, so that a program which prints every piece as it comes shows a text that grows \
while you watch.

This is the second paragraph. When it ends, the message, its content part and the response are each closed by an event \
of their own, in the order in which the real service closes them, and the conversation is ready for your next turn."""

_LONGEST_QUOTE = 200


class ScriptedBrain:
    """Deterministic and thoughtless, and it says so: the same turn gets the same answer.

    Asked for paragraphs it gives two; otherwise it quotes the user's words. It calls a function when the choice is
    ``required`` or names one, or when the user's words contain a function's name, with arguments made from the
    function's schema; after a function's output it quotes that.
    """

    def __call__(self, turn: Turn) -> Iterator[str | FunctionCall]:
        """Yield the scripted answer."""
        function = _chosen_function(turn)
        if function is None:
            yield _answer(turn)
        else:
            yield FunctionCall(function["name"], json.dumps(_arguments(function, last_user_text(turn))))


def last_user_text(turn: Turn) -> str:
    """The words of the newest user message: typed text, or the transcript of speech."""
    for item in reversed(turn.items):
        if item["type"] == "message" and item["role"] == "user":
            return " ".join(part.get("text") or part.get("transcript") or "" for part in item["content"]).strip()
    return ""


def _answer(turn: Turn) -> str:
    newest = turn.items[-1] if turn.items else None
    if newest is not None and newest["type"] == "function_call_output":
        return f"The function answered: {_quote(newest['output'])}. {_HONESTY}"
    said = last_user_text(turn)
    if "paragraph" in said.lower():
        return _PARAGRAPHS
    if not said:
        return f"I have read no words of yours yet. {_HONESTY}"
    return f"You said: {_quote(said)}. {_HONESTY}"


def _quote(text: str) -> str:
    shown = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
    return f"“{shown}”"


def _chosen_function(turn: Turn) -> Mapping[str, Any] | None:
    functions = [tool for tool in turn.tools if tool.get("type", "function") == "function"]
    if not functions or turn.tool_choice == "none":
        return None
    if isinstance(turn.tool_choice, Mapping):
        return _named(functions, turn.tool_choice)
    if turn.items and turn.items[-1]["type"] == "function_call_output":
        return None
    if turn.tool_choice == "required":
        return functions[0]
    said = last_user_text(turn)
    return next((function for function in functions if function["name"] in said), None)


def _named(functions: list[Mapping[str, Any]], choice: Mapping[str, Any]) -> Mapping[str, Any] | None:
    # Azure's preview documents nest the name (protocol 4.8).
    name = choice.get("name") or choice.get("function", {}).get("name")
    return next((function for function in functions if function["name"] == name), None)


def _arguments(function: Mapping[str, Any], said: str) -> dict[str, Any]:
    schema = function.get("parameters") or {}
    properties = schema.get("properties", {})
    names = schema.get("required", list(properties))
    return {name: _argument(properties.get(name, {}), said) for name in names}


def _argument(schema: Mapping[str, Any], said: str) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    values: dict[str, Any] = {"integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}, "null": None}
    kind = schema.get("type")
    return values.get(kind, said) if isinstance(kind, str) else said
