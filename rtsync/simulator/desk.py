"""The service's desk: takes client events, gives server events, and keeps what a session is (protocol 2 to 5).

Pure: no thread, no socket, no clock but the one it is given. The caller serialises the calls, stamps ``event_id`` and
sends what it gets in that order; that alone makes the order of the wire exact.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rtsync.simulator.conversation import Conversation, audio_part, new_item, without_audio
from rtsync.simulator.dialect import Dialect
from rtsync.simulator.ids import new_id
from rtsync.simulator.input_audio import (
    Commit,
    Happening,
    IdleTimeout,
    InputAudio,
    SpeechStarted,
    SpeechStopped,
    read_chunk,
)
from rtsync.simulator.mcp import McpOutcome, McpServers
from rtsync.simulator.refusals import INTERNAL, Refused, error_event
from rtsync.simulator.responses import ResponseWriter, read_options
from rtsync.simulator.schema import Nullable, Record, Rule, Text, Whole, unsupported
from rtsync.simulator.session_config import SessionConfig, wrong_kind
from rtsync.simulator.tool_calls import McpCall
from rtsync.simulator.transcription import Recording, failed, transcribed
from rtsync.simulator.usage import ContextMeter, RateLimits
from rtsync.simulator.vad import Detector, SpeechDetector

__all__ = ["Answer", "Desk", "binary_frame", "broken_json"]

Event = dict[str, Any]

# In the order in which the live server prints them (protocol 2.3).
_GA_TYPES = [
    "session.update",
    "session.close",
    "input_audio_buffer.append",
    "session.input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "response.create",
    "response.cancel",
]
_PREVIEW_TYPES = ["session.update", "transcription_session.update", *_GA_TYPES[2:3], *_GA_TYPES[4:]]
_TRANSLATION_ONLY = frozenset({"session.close", "session.input_audio_buffer.append"})
_TYPES = {Dialect.GA: _GA_TYPES, Dialect.PREVIEW: _PREVIEW_TYPES}

_UNPADDED = frozenset({"response.output_audio.delta", "response.function_call_arguments.delta"})

_PADDING = string.ascii_letters + string.digits

_WISH = "rtsync-simulator"  # a key of metadata

_HEAD: dict[str, Rule] = {"type": Text(), "event_id": Nullable(Text(512))}


def _anything(value: Any, path: str) -> None:
    """Checked by the room the value goes to."""


def _event(required: tuple[str, ...] = (), **fields: Rule) -> Record:
    return Record({**_HEAD, **fields}, required=required)


_RECORDS: dict[str, Record] = {
    "session.update": _event(("session",), session=_anything),
    "transcription_session.update": _event(("session",), session=_anything),
    "input_audio_buffer.append": _event(("audio",), audio=Text()),
    "input_audio_buffer.commit": _event(),
    "input_audio_buffer.clear": _event(),
    "conversation.item.create": _event(("item",), item=_anything, previous_item_id=Nullable(Text())),
    "conversation.item.truncate": _event(
        ("item_id", "content_index", "audio_end_ms"), item_id=Text(), content_index=Whole(0), audio_end_ms=Whole(0)
    ),
    "conversation.item.delete": _event(("item_id",), item_id=Text()),
    "conversation.item.retrieve": _event(("item_id",), item_id=Text()),
    "response.create": _event(response=_anything),
    "response.cancel": _event(response_id=Nullable(Text())),
}


@dataclass
class Answer:
    """What one client event caused.

    Attributes:
        events: to send, in this order.
        started: responses that now have to be generated.
        recorded: audio that now has to be transcribed.
        close: code and reason, when the session ends with this answer.
    """

    events: list[Event] = field(default_factory=list)
    started: list[ResponseWriter] = field(default_factory=list)
    recorded: list[Recording] = field(default_factory=list)
    close: tuple[int, str] | None = None

    def add(self, other: Answer) -> None:
        """Put ``other`` behind."""
        self.events += other.events
        self.started += other.started
        self.recorded += other.recorded


class Desk:
    """One session's state and its answers.

    A ``response.create`` with ``metadata`` ``{"rtsync-simulator": "server_error"}`` is answered by the error of an
    internal failure.

    Args:
        config: the session's configuration; says dialect and kind.
        now: monotonic seconds, for the rate limits.
        rate_limits_first: send ``rate_limits.updated`` after ``response.created`` instead of after ``response.done``.
        obfuscation: put the padding field on text deltas, as the service does.
        mcp: the MCP servers that can be named; the built-in one unless given.
        detector: makes the judge of what is speech.
        speaks: whether the desk makes the sound of answers itself; otherwise it is told it by ``sound``.
    """

    def __init__(
        self,
        config: SessionConfig,
        *,
        now: Callable[[], float],
        rate_limits_first: bool = False,
        obfuscation: bool = True,
        mcp: McpServers | None = None,
        detector: Callable[[], Detector] = SpeechDetector,
        speaks: bool = True,
    ) -> None:
        self.config = config
        self.conversation = Conversation()
        self._now = now
        self._rate_limits_first = rate_limits_first
        self._obfuscation = obfuscation
        self._input_audio = InputAudio(config.input_format, detector())
        self._speaks = speaks
        self._heard_from_ms: dict[str, int] = {}  # response: where its first sound fell in the user's audio
        self._mcp = McpServers() if mcp is None else mcp
        self._listed: set[str] = set()  # labels of MCP servers
        self._meter = ContextMeter()
        self._limits = RateLimits()
        self._active: dict[str, ResponseWriter] = {}

    def greeting(self) -> list[Event]:
        """``session.created``: the first frame, and the only one until the client speaks.

        Unless the session came with MCP servers, from a client secret: then they are listed.
        """
        return [{"type": "session.created", "session": self.config.shown()}, *self._list_tools(self._tools())]

    def answer(self, event: Any) -> Answer:
        """The answer to one decoded client event. A refusal is an ``error`` event, never an exception."""
        try:
            return self._dispatch(event)
        except Refused as refused:
            given = event.get("event_id") if isinstance(event, dict) else None
            return Answer([error_event(refused, given if isinstance(given, str) else None)])

    def is_active(self, response_id: str) -> bool:
        """Whether this response is still being generated."""
        return response_id in self._active

    def say(self, response_id: str, delta: str) -> list[Event]:
        """The model says ``delta``. Ends the response as incomplete when its token cap is reached."""
        writer = self._active[response_id]
        if not writer.has_room(delta):
            return self._cut_short(writer)
        events = self._padded(writer.text(delta))
        self._note_sound(writer)
        return events

    def sound(self, response_id: str, sound: bytes) -> list[Event]:
        """The model's voice says what ``say`` has told. Ends the response when its token cap is reached."""
        writer = self._active[response_id]
        events = self._padded(writer.sound(sound))
        self._note_sound(writer)
        return events if writer.has_room("") else events + self._cut_short(writer)

    def _note_sound(self, writer: ResponseWriter) -> None:
        if writer.audio_ms and writer.id not in self._heard_from_ms:
            self.config.lock_voice()
            self._heard_from_ms[writer.id] = self._input_audio.position_ms

    def begin_call(self, response_id: str, name: str) -> list[Event]:
        """The model begins to call a function."""
        writer = self._active[response_id]
        return writer.call(name) if writer.has_room(name) else self._cut_short(writer)

    def begin_mcp_call(self, response_id: str, call: McpCall) -> list[Event]:
        """The model begins to call a tool of an MCP server."""
        writer = self._active[response_id]
        if not writer.has_room(call.name):
            return self._cut_short(writer)
        return writer.mcp_call(call.server_label, call.name, call.approval_request_id)

    def run_mcp_call(self, response_id: str) -> list[Event]:
        """The arguments are written; the server is asked now."""
        return self._active[response_id].mcp_running()

    def end_mcp_call(self, response_id: str, outcome: McpOutcome) -> list[Event]:
        """The server has answered."""
        return self._active[response_id].mcp_done(outcome.output, outcome.error)

    def ask_approval(self, response_id: str, call: McpCall) -> list[Event]:
        """The model asks the user to approve a call."""
        return self._active[response_id].mcp_approval(call.server_label, call.name, call.arguments)

    def call_arguments(self, response_id: str, delta: str) -> list[Event]:
        """The model writes on at the arguments of its call."""
        writer = self._active[response_id]
        return self._padded(writer.arguments(delta)) if writer.has_room(delta) else self._cut_short(writer)

    def end_call(self, response_id: str) -> list[Event]:
        """The call is written."""
        return self._active[response_id].call_done()

    def end(self, response_id: str, error: Mapping[str, Any] | None = None) -> list[Event]:
        """The model is done, or failed with ``error`` (``type``, ``code``, ``message``)."""
        writer = self._active[response_id]
        if error is None:
            return self._finish(writer, "completed")
        return self._finish(writer, "failed", {"type": "failed", "error": dict(error)})

    def cut_short(self, response_id: str, reason: str) -> list[Event]:
        """The model stopped before its end: ``max_output_tokens`` or ``content_filter``."""
        return self._cut_short(self._active[response_id], reason)

    def _cut_short(self, writer: ResponseWriter, reason: str = "max_output_tokens") -> list[Event]:
        return self._finish(writer, "incomplete", {"type": "incomplete", "reason": reason})

    def _finish(self, writer: ResponseWriter, status: str, details: dict[str, Any] | None = None) -> list[Event]:
        del self._active[writer.id]
        events = writer.finish(status, details)
        self._note_sound(writer)
        self._await_user(writer, status)
        self._limits.spend(writer.tokens_spent, self._now())
        return events if self._rate_limits_first else [*events, self._rate_limits()]

    def _await_user(self, writer: ResponseWriter, status: str) -> None:
        """From the end of an answer's playback on, the user may be idle. It plays from its first sound on."""
        since_ms = self._heard_from_ms.pop(writer.id, self._input_audio.position_ms)
        if status in ("completed", "incomplete") and not writer.out_of_band:
            self._input_audio.await_user(since_ms + writer.audio_ms)

    def _rate_limits(self) -> Event:
        names = ("tokens",) if self.config.dialect is Dialect.GA else ("requests", "tokens")
        return {"type": "rate_limits.updated", "rate_limits": self._limits.report(*names)}

    def _padded(self, events: list[Event]) -> list[Event]:
        if self._obfuscation:
            for event in events:
                if event["type"].endswith(".delta") and event["type"] not in _UNPADDED:
                    event["obfuscation"] = "".join(random.choices(_PADDING, k=random.randint(1, 16)))
        return events

    def _dispatch(self, event: Any) -> Answer:
        kind = self._event_type(event)
        _RECORDS[kind](event, "")
        result = self._handlers()[kind](event)
        return result if isinstance(result, Answer) else Answer(result)

    def _event_type(self, event: Any) -> str:
        if not isinstance(event, dict):
            raise Refused("invalid_event", "Invalid event: expected a JSON object.")
        if "type" not in event:
            raise Refused("invalid_event", "The 'type' field is missing.")
        kind, accepted = event["type"], _TYPES[self.config.dialect]
        Text()(kind, "type")
        if kind not in accepted:
            raise unsupported(kind, "type", accepted)
        if kind in _TRANSLATION_ONLY:
            raise Refused("invalid_event", f"'{kind}' is accepted by translation sessions only.", param="type")
        return str(kind)

    def _handlers(self) -> dict[str, Callable[[Event], list[Event] | Answer]]:
        return {
            "session.update": self._update_session,
            "transcription_session.update": self._update_transcription_session,
            "input_audio_buffer.append": self._append_audio,
            "input_audio_buffer.commit": self._commit_audio,
            "input_audio_buffer.clear": self._clear_audio,
            "conversation.item.create": self._create_item,
            "conversation.item.truncate": self._truncate_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.retrieve": self._retrieve_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    def _update_session(self, event: Event) -> list[Event]:
        if self.config.dialect is Dialect.PREVIEW and self.config.kind == "transcription":
            raise wrong_kind("realtime", self.config.kind)
        return self._update(event)

    def _update_transcription_session(self, event: Event) -> list[Event]:
        if self.config.kind != "transcription":
            raise wrong_kind("transcription", self.config.kind)
        return self._update(event)

    def _update(self, event: Event) -> list[Event]:
        self.config.update(event["session"])
        self._input_audio.change_format(self.config.input_format)
        return [{"type": "session.updated", "session": self.config.shown()}, *self._list_tools(self._tools())]

    def _tools(self) -> list[Event]:
        return [] if self.config.kind == "transcription" else list(self.config["tools"])

    def _list_tools(self, tools: list[Event]) -> list[Event]:
        """List the MCP servers among ``tools`` that were not listed before (protocol 3.5, MCP call)."""
        events: list[Event] = []
        for tool in tools:
            if tool.get("type") == "mcp" and tool["server_label"] not in self._listed:
                self._listed.add(tool["server_label"])
                events += self._list_server(tool)
        return events

    def _list_server(self, tool: Event) -> list[Event]:
        item: Event = {"id": new_id("item"), "type": "mcp_list_tools", "server_label": tool["server_label"]}
        item["tools"] = []
        self.conversation.append(item)
        added, _ = self._announce(item)
        found = self._mcp.listing(tool)
        item["tools"] = found or []
        _, done = self._announce(item)
        steps = ("in_progress", "failed" if found is None else "completed")
        return [added, *({"type": f"mcp_list_tools.{step}", "item_id": item["id"]} for step in steps), done]

    def _append_audio(self, event: Event) -> Answer:
        answer = Answer()
        detection = self.config["audio"]["input"]["turn_detection"]
        for happening in self._input_audio.append(read_chunk(event["audio"]), detection):
            answer.add(self._heard(happening, detection))
        return answer

    def _heard(self, happening: Happening, detection: Event) -> Answer:
        if isinstance(happening, SpeechStarted):
            return Answer([_about("speech_started", happening), *self._interrupted(detection)])
        kind = "speech_stopped" if isinstance(happening, SpeechStopped) else "timeout_triggered"
        answer = Answer([_about(kind, happening)])
        answer.add(self._committed(happening.commit))
        if detection.get("create_response"):
            answer.add(self._answer_by_itself())
        return answer

    def _interrupted(self, detection: Event) -> list[Event]:
        """The user speaks into the answer: it ends (protocol 3.5, interruption)."""
        writer = self._default_response()
        if writer is None or not detection.get("interrupt_response"):
            return []
        return self._finish(writer, "cancelled", {"type": "cancelled", "reason": "turn_detected"})

    def _answer_by_itself(self) -> Answer:
        """The response that the end of a turn starts. It fails while another one, not interrupted, goes on."""
        try:
            return self._create_response({})
        except Refused as refused:
            return Answer([error_event(refused)])

    def _clear_audio(self, event: Event) -> list[Event]:
        self._input_audio.clear()
        return [{"type": "input_audio_buffer.cleared"}]

    def _commit_audio(self, event: Event) -> Answer:
        return self._committed(self._input_audio.commit())

    def _committed(self, commit: Commit) -> Answer:
        part = audio_part("input_audio", commit.audio, self.config.input_format)
        item = {"id": commit.item_id, "type": "message", "status": "completed", "role": "user", "content": [part]}
        previous = self.conversation.last_id
        self.conversation.append(item)
        announced = {"type": "input_audio_buffer.committed", "previous_item_id": previous, "item_id": commit.item_id}
        return Answer([announced, *self._announce(item)], recorded=self._recorded(commit.item_id, part))

    def _recorded(self, item_id: str, part: Event) -> list[Recording]:
        settings = self.config["audio"]["input"]["transcription"]
        if settings is None:
            return []
        logprobs = "item.input_audio_transcription.logprobs" in (self.config["include"] or [])
        return [Recording(item_id, 0, part["audio"], part["format"], settings, logprobs)]

    def transcribed(self, recording: Recording, text: str) -> list[Event]:
        """The transcriber has heard ``text``; nothing when the item has been deleted meanwhile."""
        item = self.conversation.find(recording.item_id)
        if item is None:
            return []
        item["content"][recording.content_index]["transcript"] = text
        return self._padded(transcribed(recording, text))

    def not_transcribed(self, recording: Recording, message: str) -> list[Event]:
        """The transcriber has failed."""
        return [] if self.conversation.find(recording.item_id) is None else failed(recording, message)

    def _create_item(self, event: Event) -> list[Event]:
        item = new_item(event["item"], self.config.dialect, form=self.config.input_format)
        self.conversation.create(item, event.get("previous_item_id"))
        return self._announce(item)

    def _announce(self, item: Event) -> list[Event]:
        previous = self.conversation.previous_of(item["id"])
        fields = {"previous_item_id": previous, "item": without_audio(item)}
        return [{"type": f"conversation.item.{step}", **fields} for step in ("added", "done")]

    def _truncate_item(self, event: Event) -> list[Event]:
        place = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
        written = place["content_index"] == 0 and any(
            writer.truncate(place["item_id"], place["audio_end_ms"]) for writer in self._active.values()
        )
        if not written:
            self.conversation.truncate(**place)
        return [{"type": "conversation.item.truncated", **place}]

    def _delete_item(self, event: Event) -> list[Event]:
        self.conversation.delete(event["item_id"])
        return [{"type": "conversation.item.deleted", "item_id": event["item_id"]}]

    def _retrieve_item(self, event: Event) -> list[Event]:
        return [{"type": "conversation.item.retrieved", "item": self.conversation.retrieve(event["item_id"])}]

    def _create_response(self, event: Event) -> Answer:
        if self.config.kind == "transcription":
            raise Refused("invalid_value", "Responses cannot be created in a transcription session.", param="type")
        _fail_on_request(event.get("response"))
        options = read_options(event.get("response"), self.config, self.conversation)
        if not options.out_of_band:
            self._check_idle()
        listed = [] if options.out_of_band else self._list_tools(options.tools)
        if listed:  # The listings belong to the context.
            options = read_options(event.get("response"), self.config, self.conversation)
        inputs, cached = self._meter.measure(options.instructions, options.tools, options.items)
        conversation = None if options.out_of_band else self.conversation
        writer = ResponseWriter(options, conversation, inputs=inputs, cached=cached, speaks=self._speaks)
        self._active[writer.id] = writer
        if not options.out_of_band:
            self._input_audio.stop_awaiting()
        first = [self._rate_limits()] if self._rate_limits_first else []
        return Answer([*listed, *writer.created(), *first], started=[writer])

    def _check_idle(self) -> None:
        active = self._default_response()
        if active is not None:
            message = (
                f"Conversation already has an active response in progress: {active.id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise Refused("conversation_already_has_active_response", message)

    def _default_response(self) -> ResponseWriter | None:
        return next((writer for writer in self._active.values() if not writer.out_of_band), None)

    def _cancel_response(self, event: Event) -> list[Event]:
        named = event.get("response_id")
        writer = self._active.get(named) if named is not None else self._default_response()
        if writer is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found")
        return self._finish(writer, "cancelled", {"type": "cancelled", "reason": "client_cancelled"})


def _fail_on_request(options: Any) -> None:
    """An internal failure, for clients that want to see one: nothing else of theirs provokes it."""
    metadata = options.get("metadata") if isinstance(options, dict) else None
    if isinstance(metadata, dict) and metadata.get(_WISH) == "server_error":
        raise Refused(None, INTERNAL, kind="server_error")


def _about(kind: str, happening: Happening) -> Event:
    """The ``input_audio_buffer`` event for what was heard."""
    event: Event = {"type": f"input_audio_buffer.{kind}"}
    if isinstance(happening, SpeechStarted | IdleTimeout):
        event["audio_start_ms"] = happening.audio_start_ms
    if isinstance(happening, SpeechStopped | IdleTimeout):
        event["audio_end_ms"] = happening.audio_end_ms
    item_id = happening.item_id if isinstance(happening, SpeechStarted) else happening.commit.item_id
    return {**event, "item_id": item_id}


def broken_json(reason: str) -> Event:
    """The ``error`` event for a message that is not JSON."""
    return error_event(Refused("invalid_json", f"Invalid event: failed to parse JSON value. {reason}"))


def binary_frame() -> Event:
    """The ``error`` event for a binary frame."""
    message = "Expected a text WebSocket message; binary frames are not supported."
    return error_event(Refused("invalid_event", message))
