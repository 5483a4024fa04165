"""One response: its options, and the exact events that tell its story (protocol 3.4, 3.5, 5.1).

``ResponseWriter`` is told what the model does (text, a call, the end) and returns the events for it, without ids of
their own. In the ``audio`` modality it speaks the text: the transcript runs ahead, the sound follows in the
service's chunk sizes.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rtsync.audio.formats import audio_format
from rtsync.simulator.conversation import Conversation, audio_part, check_item, check_length, new_item, without_audio
from rtsync.simulator.dialect import Dialect, options_to_ga
from rtsync.simulator.ids import new_id
from rtsync.simulator.refusals import Refused
from rtsync.simulator.session_config import SessionConfig
from rtsync.simulator.settings import response_rule
from rtsync.simulator.usage import spoken_tokens, tokens, usage_object
from rtsync.simulator.voice import Speaker, Speech

__all__ = ["ResponseOptions", "ResponseWriter", "read_options"]

Event = dict[str, Any]


@dataclass(frozen=True)
class ResponseOptions:
    """What one response is made with: the session's settings and the request's own over them. GA terms."""

    modality: str
    instructions: str
    tools: list[dict[str, Any]]
    tool_choice: Any
    parallel_tool_calls: bool
    max_output_tokens: int | str
    temperature: float
    output_audio: dict[str, Any]
    speed: float
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
    items = _read_input(given.get("input"), config, conversation)
    own = dict(given) if config.dialect is Dialect.GA else _preview_options(given)
    own_audio = own.get("audio", {}).get("output", {})
    if "voice" in own_audio and own.get("conversation") != "none":
        config.check_voice(own_audio["voice"], "response.audio.output.voice")
    audio = {name: config["audio"]["output"][name] for name in ("format", "voice")} | own_audio
    return ResponseOptions(
        modality=_either(own, config, "output_modalities")[0],
        instructions=_either(own, config, "instructions"),
        tools=_either(own, config, "tools"),
        tool_choice=_either(own, config, "tool_choice"),
        parallel_tool_calls=_either(own, config, "parallel_tool_calls") is not False,
        max_output_tokens=_either(own, config, "max_output_tokens"),
        temperature=_either(own, config, "temperature"),
        output_audio=copy.deepcopy(audio),
        speed=config["audio"]["output"]["speed"],
        metadata=own.get("metadata"),
        out_of_band=own.get("conversation") == "none",
        items=items,
    )


def _preview_options(given: Mapping[str, Any]) -> dict[str, Any]:
    return options_to_ga({name: value for name, value in given.items() if name != "input"})


def _either(own: Mapping[str, Any], config: SessionConfig, name: str) -> Any:
    return copy.deepcopy(own[name] if name in own else config.get(name))


def _read_input(given: Any, config: SessionConfig, conversation: Conversation) -> list[dict[str, Any]]:
    """The context of the response: the conversation, or what ``input`` names instead."""
    if given is None:
        return copy.deepcopy(list(conversation))
    return [_input_item(entry, config, conversation, f"response.input[{i}]") for i, entry in enumerate(given)]


def _input_item(entry: Any, config: SessionConfig, conversation: Conversation, path: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or entry.get("type") != "item_reference":
        check_item(entry, config.dialect, path)
        return new_item(entry, config.dialect, path, form=config.input_format)
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
    speech: Speech | None = None
    cut_ms: int | None = None  # Where a truncation cut it while it was being written.


class ResponseWriter:
    """Turns what a brain says into events, once per response.

    Args:
        options: what the response is made with.
        conversation: where its items go; None when out of band.
        inputs: token counts of the context.
        cached: token counts of the part seen before.
        speaks: whether it makes the sound itself, in the voice without words; otherwise it is told it by ``sound``.
    """

    def __init__(
        self,
        options: ResponseOptions,
        conversation: Conversation | None,
        *,
        inputs: dict[str, int],
        cached: dict[str, int],
        speaks: bool = True,
    ) -> None:
        self.id = new_id("resp")
        self.options = options
        self._conversation = conversation
        self._inputs = inputs
        self._cached = cached
        self._speaks = speaks
        self._unsaid_ms = 0  # about: how long the sound of text will be that another voice has not said yet
        self._output: list[dict[str, Any]] = []
        self._open: _OpenItem | None = None
        self._text_tokens = 0
        self._audio_ms = 0

    @property
    def out_of_band(self) -> bool:
        """Whether it writes to no conversation."""
        return self._conversation is None

    @property
    def tokens_spent(self) -> int:
        """Input and output tokens together, for the rate limits."""
        return sum(self._inputs.values()) + self._text_tokens + spoken_tokens(self.audio_ms)

    @property
    def audio_ms(self) -> int:
        """How much audio has been sent."""
        speech = self._open.speech if self._open is not None else None
        return self._audio_ms + (0 if speech is None else speech.sent_ms)

    def has_room(self, text: str) -> bool:
        """Whether ``max_output_tokens`` allows ``text``, and its sound, as well."""
        cap = self.options.max_output_tokens
        return not isinstance(cap, int) or self._text_tokens + tokens(text) + self._spoken_with(text) <= cap

    def _spoken_with(self, text: str) -> int:
        if self.options.modality == "text":
            return 0
        speech = self._open.speech if self._open is not None else None
        spoken_ms = self._audio_ms + self._unsaid_ms + (0 if speech is None else speech.spoken_ms)
        return spoken_tokens(spoken_ms + self._speaker().duration_ms(text))

    def _speaker(self) -> Speaker:
        audio = self.options.output_audio
        return Speaker(audio["voice"], self.options.speed, audio_format(audio["format"]))

    def created(self) -> list[Event]:
        """``response.created``."""
        return [{"type": "response.created", "response": self._shown("in_progress", None, None)}]

    def text(self, delta: str) -> list[Event]:
        """A fragment of the assistant's message; begins the message if none is open."""
        events = [] if self._writing("message") else self._begin_message()
        assert self._open is not None
        self._open.text.append(delta)
        self._text_tokens += tokens(delta)
        events.append({"type": f"response.{self._stream}.delta", **self._part_place(), "delta": delta})
        speech = self._open.speech
        if speech is not None and not self._speaks:
            self._unsaid_ms += self._speaker().duration_ms(delta)
            return events
        return events if speech is None else events + self._sound(speech.say(delta))

    def sound(self, sound: bytes) -> list[Event]:
        """Sound of the open message, in the response's format, as another voice makes it."""
        assert self._open is not None
        assert self._open.speech is not None
        self._unsaid_ms = max(0, self._unsaid_ms - self._open.speech.form.duration_ms(len(sound)))
        return self._sound(self._open.speech.feed(sound))

    def call(self, name: str) -> list[Event]:
        """A function call begins; what was open is completed."""
        events = self._complete()
        self._text_tokens += tokens(name)
        item = {"type": "function_call", "name": name, "call_id": new_id("call"), "arguments": ""}
        return events + self._begin(item)

    def arguments(self, delta: str) -> list[Event]:
        """A fragment of the open call's arguments."""
        assert self._open is not None
        self._open.text.append(delta)
        self._text_tokens += tokens(delta)
        if self._writing("mcp_call"):
            return [{"type": "response.mcp_call_arguments.delta", **self._item_place(), "delta": delta}]
        return [{"type": "response.function_call_arguments.delta", **self._call_place(), "delta": delta}]

    def mcp_call(self, server_label: str, name: str, approval_request_id: str | None) -> list[Event]:
        """A call of an MCP server's tool begins."""
        events = self._complete()
        self._text_tokens += tokens(name)
        place = {"type": "mcp_call", "server_label": server_label, "name": name, "arguments": ""}
        return events + self._begin(
            {**place, "approval_request_id": approval_request_id, "output": None, "error": None}
        )

    def mcp_running(self) -> list[Event]:
        """Its arguments are written; the server is called."""
        assert self._open is not None
        return [*self._mcp_arguments_done(), self._mcp_step("in_progress")]

    def mcp_done(self, output: str | None, error: Mapping[str, Any] | None) -> list[Event]:
        """The server has answered."""
        assert self._open is not None
        self._open.item |= {"output": output, "error": None if error is None else dict(error)}
        return [self._mcp_step("completed" if error is None else "failed"), *self._complete()]

    def mcp_approval(self, server_label: str, name: str, arguments: str) -> list[Event]:
        """Ask the user to approve a call, instead of calling."""
        events = self._complete()
        self._text_tokens += tokens(name) + tokens(arguments)
        request = {"type": "mcp_approval_request", "server_label": server_label, "name": name, "arguments": arguments}
        return [*events, *self._begin(request), *self._complete()]

    def call_done(self) -> list[Event]:
        """The open call is complete."""
        return self._complete()

    def finish(self, status: str, details: dict[str, Any] | None = None) -> list[Event]:
        """Close what is open and end the response: ``response.done`` and all that comes before it.

        Sound that was made and not sent is lost when the response is cancelled; otherwise it still goes out.
        """
        events = self._unsent_sound() if status != "cancelled" else []
        events += self._close("completed" if status == "completed" else "incomplete")
        usage = usage_object(self._inputs, self._cached, self._text_tokens, spoken_tokens(self._audio_ms))
        return [*events, {"type": "response.done", "response": self._shown(status, details, usage)}]

    def _writing(self, kind: str) -> bool:
        return self._open is not None and self._open.item["type"] == kind

    @property
    def _stream(self) -> str:
        return "output_text" if self.options.modality == "text" else "output_audio_transcript"

    def _begin_message(self) -> list[Event]:
        events = self._complete()
        events += self._begin({"type": "message", "role": "assistant", "content": []})
        assert self._open is not None
        self._open.speech = Speech(self._speaker()) if self.options.modality == "audio" else None
        part = {"type": "response.content_part.added", **self._part_place(), "part": self._part("")}
        return [*events, part]

    def _begin(self, fields: dict[str, Any]) -> list[Event]:
        # Items of MCP carry no status (protocol 3.5).
        status = {} if fields["type"].startswith("mcp_") else {"status": "in_progress"}
        item = {"id": new_id("item"), "type": fields["type"], **status, **fields}
        self._open = _OpenItem(item, index=len(self._output))
        self._output.append(item)
        if self._conversation is not None:
            self._conversation.append(item)
        return [self._about_item("response.output_item.added"), *self._about_conversation("added")]

    def _complete(self) -> list[Event]:
        return self._unsent_sound() + self._close("completed")

    def _unsent_sound(self) -> list[Event]:
        speech = self._open.speech if self._open is not None else None
        return [] if speech is None else self._sound(speech.rest())

    def _sound(self, chunks: list[bytes]) -> list[Event]:
        kind = "response.output_audio.delta"
        return [{"type": kind, **self._part_place(), "delta": base64.b64encode(chunk).decode()} for chunk in chunks]

    def _close(self, item_status: str) -> list[Event]:
        if self._open is None:
            return []
        text = "".join(self._open.text)
        item = self._open.item
        if "status" in item:
            item["status"] = item_status
        events = self._closing[item["type"]](item, text)
        events += [*self._about_conversation("done"), self._about_item("response.output_item.done")]
        self._open = None
        return events

    @property
    def _closing(self) -> dict[str, Callable[[dict[str, Any], str], list[Event]]]:
        return {
            "message": self._close_message,
            "function_call": self._close_call,
            "mcp_call": lambda item, text: [] if item["arguments"] else self._mcp_arguments_done(),
            "mcp_approval_request": lambda item, text: [],
        }

    def truncate(self, item_id: str, audio_end_ms: int) -> bool:
        """Cut the spoken item that is being written, at what of it was heard; False where it is not this one.

        Clients truncate before they cancel, or before they know that the service has (unconfirmed, protocol 8).

        Raises:
            Refused: less than that was sent.
        """
        if self._open is None or self._open.speech is None or self._open.item["id"] != item_id:
            return False
        check_length(self._open.speech.sent_ms, audio_end_ms)
        self._open.cut_ms = audio_end_ms
        return True

    def _mcp_arguments_done(self) -> list[Event]:
        assert self._open is not None
        text = self._open.item["arguments"] = "".join(self._open.text)
        return [{"type": "response.mcp_call_arguments.done", **self._item_place(), "arguments": text}]

    def _mcp_step(self, step: str) -> Event:
        assert self._open is not None
        return {
            "type": f"response.mcp_call.{step}",
            "item_id": self._open.item["id"],
            "output_index": self._open.index,
        }

    def _close_call(self, item: dict[str, Any], text: str) -> list[Event]:
        item["arguments"] = text
        done = {"type": "response.function_call_arguments.done", **self._call_place(), "name": item["name"]}
        return [{**done, "arguments": text}]

    def _close_message(self, item: dict[str, Any], text: str) -> list[Event]:
        assert self._open is not None
        speech, place = self._open.speech, self._part_place()
        events: list[Event] = []
        if speech is None:
            item["content"] = [{"type": "output_text", "text": text}]
        else:
            cut = self._open.cut_ms
            kept = speech.sent if cut is None else speech.sent[: cut * speech.form.bytes_per_ms]
            item["content"] = [audio_part("output_audio", kept, speech.form, text if cut is None else None)]
            self._audio_ms += speech.sent_ms
            self._unsaid_ms = 0
            self._open.speech = None
            events.append({"type": "response.output_audio.done", **place})
        key = "text" if speech is None else "transcript"
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
        item = without_audio(self._open.item)
        return {"type": kind, "response_id": self.id, "output_index": self._open.index, "item": item}

    def _about_conversation(self, step: str) -> list[Event]:
        """``conversation.item.added`` or ``.done``; nothing when out of band, or when the client deleted the item."""
        assert self._open is not None
        item = self._open.item
        if self._conversation is None or self._conversation.find(item["id"]) is None:
            return []
        previous = self._conversation.previous_of(item["id"])
        return [{"type": f"conversation.item.{step}", "previous_item_id": previous, "item": without_audio(item)}]

    def _shown(self, status: str, details: dict[str, Any] | None, usage: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [without_audio(item) for item in self._output],
            "conversation_id": None if self._conversation is None else self._conversation.id,
            "output_modalities": [self.options.modality],
            "max_output_tokens": self.options.max_output_tokens,
            "audio": {"output": copy.deepcopy(self.options.output_audio)},
            "temperature": self.options.temperature,
            "usage": usage,
            "metadata": self.options.metadata,
        }
