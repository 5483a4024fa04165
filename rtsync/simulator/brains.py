"""What answers: the face of a brain, and the scripted one.

A brain is any callable that takes a ``Turn`` and yields pieces of text, ``FunctionCall`` and ``McpCall`` objects. It
runs on a thread of its own for each response, may block, and should come back soon after ``turn.cancelled`` is set.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rtsync.simulator.made_arguments import arguments_for
from rtsync.simulator.tool_calls import FunctionCall, McpCall

__all__ = [
    "Brain",
    "BrainFailed",
    "Cancellation",
    "CutShort",
    "FunctionCall",
    "McpCall",
    "Piece",
    "ScriptedBrain",
    "Turn",
    "last_user_text",
]


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
        parallel_tool_calls: whether several tools may be called in one answer.
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
    parallel_tool_calls: bool = True
    cancelled: Cancellation = field(default_factory=Cancellation)


Piece = str | FunctionCall | McpCall


class Brain(Protocol):
    """Answers one turn."""

    def __call__(self, turn: Turn) -> Iterable[Piece]:
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

    Asked for paragraphs it gives two; otherwise it quotes the user's words. It calls a tool, a function or one that an
    MCP server lists, when the choice is ``required`` or names one, and every tool that the user's words name
    (``get_weather`` or "get weather"). Arguments are made from the tool's schema and the words: "add 2 and 3" calls
    ``add`` with 2 and 3. After a tool's output it quotes that.
    """

    def __call__(self, turn: Turn) -> Iterator[Piece]:
        """Yield the scripted answer."""
        approved = _approved_calls(turn)
        tools = [] if approved else _chosen_tools(turn)[: None if turn.parallel_tool_calls else 1]
        if approved:
            yield from approved
        elif tools:
            said = last_user_text(turn)
            yield from (tool.called(json.dumps(arguments_for(tool.schema, said))) for tool in tools)
        else:
            yield _answer(turn)


def last_user_text(turn: Turn) -> str:
    """The words of the newest user message: typed text, or the transcript of speech."""
    for item in reversed(turn.items):
        if item["type"] == "message" and item["role"] == "user":
            return " ".join(part.get("text") or part.get("transcript") or "" for part in item["content"]).strip()
    return ""


def _answer(turn: Turn) -> str:
    answered = _tool_answers(turn)
    if answered:
        return f"{' '.join(answered)} {_HONESTY}"
    said = last_user_text(turn)
    if "paragraph" in said.lower():
        return _PARAGRAPHS
    if not said:
        return f"I have read no words of yours yet. {_HONESTY}"
    return f"You said: {_quote(said)}. {_HONESTY}"


def _quote(text: str) -> str:
    shown = text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
    return f"“{shown}”"


def _tool_answers(turn: Turn) -> list[str]:
    """What tools have answered since anybody spoke, oldest first, as sentences."""
    answers = [_ANSWERS[item["type"]](item) for item in _news(turn) if item["type"] in _ANSWERS]
    return [answer for answer in answers if answer]


def _news(turn: Turn) -> list[Mapping[str, Any]]:
    """What stands behind the last message, oldest first."""
    found: list[Mapping[str, Any]] = []
    for item in reversed(turn.items):
        if item["type"] == "message":
            break
        found.append(item)
    return found[::-1]


def _mcp_answer(call: Mapping[str, Any]) -> str:
    if call.get("error"):
        return f"The tool failed: {_quote(str(call['error'].get('message', '')))}."
    return f"The tool answered: {_quote(call.get('output') or '')}."


def _refusal(response: Mapping[str, Any]) -> str:
    if response["approve"]:
        return ""
    reason = response.get("reason")
    return f"I may not call that tool: {_quote(reason)}." if reason else "I may not call that tool."


_ANSWERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "function_call_output": lambda item: f"The function answered: {_quote(item['output'])}.",
    "mcp_call": _mcp_answer,
    "mcp_approval_response": _refusal,
}


@dataclass(frozen=True)
class _Tool:
    """A function of the client's, or a tool that an MCP server lists."""

    name: str
    schema: Mapping[str, Any]
    server_label: str | None = None

    def called(self, arguments: str) -> Piece:
        if self.server_label is None:
            return FunctionCall(self.name, arguments)
        return McpCall(self.server_label, self.name, arguments)

    def is_chosen_by(self, choice: Mapping[str, Any]) -> bool:
        # Azure's preview documents nest the name (protocol 4.8).
        name = choice.get("name") or choice.get("function", {}).get("name")
        if choice.get("type") == "mcp":
            return choice.get("server_label") == self.server_label and name in (None, self.name)
        return self.server_label is None and name == self.name

    def is_named_in(self, said: str) -> bool:
        spoken = re.sub(r"[_\-.]+|(?<=[a-z])(?=[A-Z])", " ", self.name)
        return self.name in said or re.search(rf"\b{re.escape(spoken)}\b", said, re.IGNORECASE) is not None


def _tools(turn: Turn) -> list[_Tool]:
    functions = [
        _Tool(tool["name"], tool.get("parameters") or {})
        for tool in turn.tools
        if tool.get("type", "function") == "function"
    ]
    labels = {tool["server_label"] for tool in turn.tools if tool.get("type") == "mcp"}
    listings = [item for item in turn.items if item["type"] == "mcp_list_tools" and item["server_label"] in labels]
    return functions + [
        _Tool(tool["name"], tool.get("input_schema") or {}, item["server_label"])
        for item in listings
        for tool in item["tools"]
    ]


def _chosen_tools(turn: Turn) -> list[_Tool]:
    tools = _tools(turn)
    if turn.tool_choice == "none":
        return []
    if isinstance(turn.tool_choice, Mapping):
        return [tool for tool in tools if tool.is_chosen_by(turn.tool_choice)][:1]
    if turn.items and turn.items[-1]["type"] in _ANSWERS:
        return []
    if turn.tool_choice == "required":
        return tools[:1]
    said = last_user_text(turn)
    return [tool for tool in tools if tool.is_named_in(said)]


def _approved_calls(turn: Turn) -> list[McpCall]:
    """The calls that the user has approved since anybody spoke, and that were not made yet."""
    approved = {
        item["approval_request_id"]
        for item in _news(turn)
        if item["type"] == "mcp_approval_response" and item["approve"]
    }
    made = {item.get("approval_request_id") for item in turn.items if item["type"] == "mcp_call"}
    return [
        McpCall(item["server_label"], item["name"], item["arguments"], item["id"])
        for item in turn.items
        if item["type"] == "mcp_approval_request" and item["id"] in approved - made
    ]
