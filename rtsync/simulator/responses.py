"""One response: its options, and the exact events that tell its story (protocol 3.4, 3.5, 5.1).

``ResponseWriter`` is told what the model does (text, a call, the end) and returns the events for it, without ids of
their own. Audio will come in here beside the transcript: today a response in the ``audio`` modality
carries its transcript and no sound.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rtsync.simulator.conversation import Conversation, check_item, new_item
from rtsync.simulator.dialect import Dialect, options_to_ga
from rtsync.simulator.ids import new_id
from rtsync.simulator.refusals import Refused
from rtsync.simulator.session_config import SessionConfig
from rtsync.simulator.settings import response_rule
from rtsync.simulator.usage import tokens, usage_object

__all__ = ["ResponseOptions", "ResponseWriter", "read_options"]

Event = dict[str, Any]


@dataclass(frozen=True)
class ResponseOptions:
    """What one response is made with: the session's settings and the request's own over them. GA terms."""

    modality: str
    instructions: str
    tools: list[dict[str, Any]]
    tool_choice: Any
    max_output_tokens: int | str
    temperature: float
    output_audio: dict[str, Any]
    metadata: dict[str, str] | None
    out_of_band: bool
    items: list[dict[str, Any]]


def read_options(value: Any, config: SessionConfig, conversation: Conversation) -> ResponseOptions:
    """The effective options of a ``response.create`` whose ``response`` is ``value`` (None: absent).

    Raises:
        Refused: an option is unknown or wrong, or an ``item_reference`` leads nowhere.
    """
    given = {} if value is None else value
    response_rule(config.dialect)(given, "response")
    items = _read_input(given.get("input"), config.dialect, conversation)
    own = dict(given) if config.dialect is Dialect.GA else _preview_options(given)
    own_audio = own.get("audio", {}).get("output", {})
    audio = {name: config["audio"]["output"][name] for name in ("format", "voice")} | own_audio
    return ResponseOptions(
        modality=_either(own, config, "output_modalities")[0],
        instructions=_either(own, config, "instructions"),
        tools=_either(own, config, "tools"),
        tool_choice=_either(own, config, "tool_choice"),
        max_output_tokens=_either(own, config, "max_output_tokens"),
        temperature=_either(own, config, "temperature"),
        output_audio=copy.deepcopy(audio),
        metadata=own.get("metadata"),
        out_of_band=own.get("conversation") == "none",
        items=items,
    )


def _preview_options(given: Mapping[str, Any]) -> dict[str, Any]:
    return options_to_ga({name: value for name, value in given.items() if name != "input"})


def _either(own: Mapping[str, Any], config: SessionConfig, name: str) -> Any:
    return copy.deepcopy(own[name] if name in own else config[name])


def _read_input(given: Any, dialect: Dialect, conversation: Conversation) -> list[dict[str, Any]]:
    """The context of the response: the conversation, or what ``input`` names instead."""
    if given is None:
        return copy.deepcopy(list(conversation))
    return [_input_item(entry, dialect, conversation, f"response.input[{i}]") for i, entry in enumerate(given)]


def _input_item(entry: Any, dialect: Dialect, conversation: Conversation, path: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or entry.get("type") != "item_reference":
        check_item(entry, dialect, path)
        return new_item(entry, dialect, path)
    found = conversation.find(entry.get("id", ""))
    if found is None:
        message = f"Item with id '{entry.get('id')}' not found in conversation."
        raise Refused("item_not_found", message, param=f"{path}.id")
    return copy.deepcopy(found)


@dataclass
class _OpenItem:
    """The output item being written: a message or a call."""

    item: dict[str, Any]
    index: int
    text: list[str] = field(default_factory=list)


class ResponseWriter:
    """Turns what a brain says into events, once per response.

    Args:
        options: what the response is made with.
        conversation: where its items go; None when out of band.
        inputs: token counts of the context.
        cached: token counts of the part seen before.
    """

    def __init__(
        self,
        options: ResponseOptions,
        conversation: Conversation | None,
        *,
        inputs: dict[str, int],
        cached: dict[str, int],
    ) -> None:
        self.id = new_id("resp")
        self.options = options
        self._conversation = conversation
        self._inputs = inputs
        self._cached = cached
        self._output: list[dict[str, Any]] = []
        self._open: _OpenItem | None = None
        self._output_tokens = 0

    @property
    def out_of_band(self) -> bool:
        """Whether it writes to no conversation."""
        return self._conversation is None

    @property
    def tokens_spent(self) -> int:
        """Input and output tokens together, for the rate limits."""
        return sum(self._inputs.values()) + self._output_tokens

    def has_room(self, text: str) -> bool:
        """Whether ``max_output_tokens`` allows ``text`` as well."""
        cap = self.options.max_output_tokens
        return not isinstance(cap, int) or self._output_tokens + tokens(text) <= cap

    def created(self) -> list[Event]:
        """``response.created``."""
        return [{"type": "response.created", "response": self._shown("in_progress", None, None)}]

    def text(self, delta: str) -> list[Event]:
        """A fragment of the assistant's message; begins the message if none is open."""
        events = [] if self._writing("message") else self._begin_message()
        assert self._open is not None
        self._open.text.append(delta)
        self._output_tokens += tokens(delta)
        return [*events, {"type": f"response.{self._stream}.delta", **self._part_place(), "delta": delta}]

    def call(self, name: str) -> list[Event]:
        """A function call begins; what was open is completed."""
        events = self._close("completed")
        self._output_tokens += tokens(name)
        item = {"type": "function_call", "name": name, "call_id": new_id("call"), "arguments": ""}
        return events + self._begin(item)

    def arguments(self, delta: str) -> list[Event]:
        """A fragment of the open call's arguments."""
        assert self._open is not None
        self._open.text.append(delta)
        self._output_tokens += tokens(delta)
        return [{"type": "response.function_call_arguments.delta", **self._call_place(), "delta": delta}]

    def call_done(self) -> list[Event]:
        """The open call is complete."""
        return self._close("completed")

    def finish(self, status: str, details: dict[str, Any] | None = None) -> list[Event]:
        """Close what is open and end the response: ``response.done`` and all that comes before it."""
        events = self._close("completed" if status == "completed" else "incomplete")
        usage = usage_object(self._inputs, self._cached, self._output_tokens)
        return [*events, {"type": "response.done", "response": self._shown(status, details, usage)}]

    def _writing(self, kind: str) -> bool:
        return self._open is not None and self._open.item["type"] == kind

    @property
    def _stream(self) -> str:
        return "output_text" if self.options.modality == "text" else "output_audio_transcript"

    def _begin_message(self) -> list[Event]:
        events = self._close("completed")
        events += self._begin({"type": "message", "role": "assistant", "content": []})
        part = {"type": "response.content_part.added", **self._part_place(), "part": self._part("")}
        return [*events, part]

    def _begin(self, fields: dict[str, Any]) -> list[Event]:
        item = {"id": new_id("item"), "type": fields["type"], "status": "in_progress", **fields}
        self._open = _OpenItem(item, index=len(self._output))
        self._output.append(item)
        if self._conversation is not None:
            self._conversation.append(item)
        return [self._about_item("response.output_item.added"), *self._about_conversation("added")]

    def _close(self, item_status: str) -> list[Event]:
        if self._open is None:
            return []
        text = "".join(self._open.text)
        item = self._open.item
        item["status"] = item_status
        events = self._close_call(item, text) if item["type"] == "function_call" else self._close_message(item, text)
        events += [*self._about_conversation("done"), self._about_item("response.output_item.done")]
        self._open = None
        return events

    def _close_call(self, item: dict[str, Any], text: str) -> list[Event]:
        item["arguments"] = text
        done = {"type": "response.function_call_arguments.done", **self._call_place(), "name": item["name"]}
        return [{**done, "arguments": text}]

    def _close_message(self, item: dict[str, Any], text: str) -> list[Event]:
        spoken = self.options.modality == "audio"
        kind, key = ("output_audio", "transcript") if spoken else ("output_text", "text")
        item["content"] = [{"type": kind, key: text}]
        place = self._part_place()
        events: list[Event] = [{"type": "response.output_audio.done", **place}] if spoken else []
        events.append({"type": f"response.{self._stream}.done", **place, key: text})
        return [*events, {"type": "response.content_part.done", **place, "part": self._part(text)}]

    def _part(self, text: str) -> dict[str, str]:
        if self.options.modality == "text":
            return {"type": "text", "text": text}
        return {"type": "audio", "transcript": text}

    def _item_place(self) -> dict[str, Any]:
        assert self._open is not None
        return {"response_id": self.id, "item_id": self._open.item["id"], "output_index": self._open.index}

    def _part_place(self) -> dict[str, Any]:
        return {**self._item_place(), "content_index": 0}

    def _call_place(self) -> dict[str, Any]:
        assert self._open is not None
        return {**self._item_place(), "call_id": self._open.item["call_id"]}

    def _about_item(self, kind: str) -> Event:
        assert self._open is not None
        item = copy.deepcopy(self._open.item)
        return {"type": kind, "response_id": self.id, "output_index": self._open.index, "item": item}

    def _about_conversation(self, step: str) -> list[Event]:
        """``conversation.item.added`` or ``.done``; nothing when out of band, or when the client deleted the item."""
        assert self._open is not None
        item = self._open.item
        if self._conversation is None or self._conversation.find(item["id"]) is None:
            return []
        previous = self._conversation.previous_of(item["id"])
        return [{"type": f"conversation.item.{step}", "previous_item_id": previous, "item": copy.deepcopy(item)}]

    def _shown(self, status: str, details: dict[str, Any] | None, usage: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": copy.deepcopy(self._output),
            "conversation_id": None if self._conversation is None else self._conversation.id,
            "output_modalities": [self.options.modality],
            "max_output_tokens": self.options.max_output_tokens,
            "audio": {"output": copy.deepcopy(self.options.output_audio)},
            "temperature": self.options.temperature,
            "usage": usage,
            "metadata": self.options.metadata,
        }
