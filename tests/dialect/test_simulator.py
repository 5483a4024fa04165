"""Against the service's side of the dialect, written apart: the same program on a GA and on a preview endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import connect

from rtsync.pure.dialect import Arrival, Preview
from rtsync.simulator import SimulatorServer
from rtsync.vocabulary.names import SERVER_TYPES

Event = dict[str, Any]
GA = "/v1/realtime?model=gpt-realtime"
PREVIEW = "/openai/realtime?api-version=2024-10-01-preview&deployment=gpt-4o-realtime-preview"
LIMIT = 45.0  # seconds; reached only on failure
# The position of this one is free (protocol 3.4).
FREE = {"rate_limits.updated"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorServer]:
    with SimulatorServer(pace=False) as server:
        yield server


class Conversation:
    """A program that speaks GA, over either dialect."""

    def __init__(self, server: SimulatorServer, path: str) -> None:
        self._preview = Preview() if path == PREVIEW else None
        self._socket = connect(
            server.url + path, additional_headers={"Authorization": "Bearer secret"}, proxy=None, open_timeout=LIMIT
        )
        self._waiting: list[Arrival] = []
        self.heard: list[Event] = []
        self.wire_types: list[str] = []

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, event: Event) -> None:
        translated, notes = self._preview.outgoing(event) if self._preview else (event, [])
        assert notes == []
        self._socket.send(json.dumps(translated))

    def hear(self, kind: str) -> Event:
        """The next event of this type; all others are heard on the way."""
        while True:
            if not self._waiting:
                came = json.loads(self._socket.recv(timeout=LIMIT))
                self._waiting = self._preview.incoming(came) if self._preview else [Arrival(came, came["type"])]
            event, wire_type = self._waiting.pop(0)
            self.heard.append(event)
            self.wire_types.append(wire_type)
            if event["type"] == kind:
                return event


def _types(conversation: Conversation) -> list[str]:
    """What was heard, runs of one type once."""
    kinds = [event["type"] for event in conversation.heard if event["type"] not in FREE]
    return [kind for before, kind in zip([None, *kinds], kinds, strict=False) if kind != before]


def _say(text: str) -> Event:
    content = [{"type": "input_text", "text": text}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}


def _text(conversation: Conversation) -> None:
    conversation.hear("session.created")
    conversation.send({"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}})
    conversation.hear("session.updated")
    conversation.send(_say("Good morning"))
    conversation.hear("conversation.item.done")
    conversation.send({"type": "response.create"})
    conversation.hear("response.done")


def _speech(conversation: Conversation) -> None:
    conversation.hear("session.created")
    voice = {"output": {"voice": "ash", "format": {"type": "audio/pcmu"}}, "input": {"turn_detection": None}}
    conversation.send({"type": "session.update", "session": {"type": "realtime", "audio": voice}})
    conversation.hear("session.updated")
    conversation.send(_say("Good morning"))
    conversation.send(
        {"type": "response.create", "response": {"output_modalities": ["audio"], "max_output_tokens": 500}}
    )
    conversation.hear("response.done")


def _tool(conversation: Conversation) -> None:
    conversation.hear("session.created")
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "name": "get_weather", "description": "Weather", "parameters": parameters}
    session = {"type": "realtime", "output_modalities": ["text"], "tools": [tool]}
    conversation.send({"type": "session.update", "session": session})
    conversation.send(_say("What is the weather in Tokyo?"))
    choice = {"type": "function", "name": "get_weather"}
    conversation.send({"type": "response.create", "response": {"tool_choice": choice}})
    done = conversation.hear("response.function_call_arguments.done")
    conversation.hear("response.done")
    output = {"type": "function_call_output", "call_id": done["call_id"], "output": '{"c": 21}'}
    conversation.send({"type": "conversation.item.create", "item": output})
    conversation.send({"type": "response.create"})
    conversation.hear("response.done")


def _beside(conversation: Conversation) -> None:
    conversation.hear("session.created")
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]}
    conversation.send({"type": "conversation.item.create", "item": said})
    conversation.hear("conversation.item.done")
    options = {
        "conversation": "none",
        "output_modalities": ["text"],
        "metadata": {"a": "b"},
        "input": [said, _say("And?")["item"]],
    }
    conversation.send({"type": "response.create", "response": options})
    conversation.hear("response.done")


PROGRAMS = [_text, _speech, _tool, _beside]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_hears_the_same_on_both_dialects(simulator: SimulatorServer, program: Any) -> None:
    with Conversation(simulator, GA) as ga, Conversation(simulator, PREVIEW) as preview:
        for conversation in (ga, preview):
            program(conversation)
    assert _types(preview) == _types(ga)
    assert {event["type"] for event in preview.heard} <= SERVER_TYPES
    for kind in ("response.done", "conversation.item.done", "response.function_call_arguments.done", "session.updated"):
        assert [_told(event) for event in preview.heard if event["type"] == kind] == [
            _told(event) for event in ga.heard if event["type"] == kind
        ]


def test_what_came_under_preview_names_says_so(simulator: SimulatorServer) -> None:
    with Conversation(simulator, PREVIEW) as preview:
        _speech(preview)
    assert {"response.audio.delta", "response.audio_transcript.done", "conversation.item.created"} <= set(
        preview.wire_types
    )
    assert "response.output_audio.delta" not in preview.wire_types


def _told(event: Event) -> Any:
    """What both dialects can say about a response, an item, a call or a session."""
    if "response" in event:
        response = event["response"]
        shared = ("status", "status_details", "output_modalities", "max_output_tokens", "audio", "metadata")
        return {**{name: response[name] for name in shared}, "output": [_item(item) for item in response["output"]]}
    if "session" in event:
        session = event["session"]
        settings = {
            name: session[name] for name in ("type", "output_modalities", "tools", "tool_choice", "max_output_tokens")
        }
        return {
            **settings,
            "voice": session["audio"]["output"]["voice"],
            "format": session["audio"]["output"]["format"],
        }
    return _item(event["item"]) if "item" in event else {name: event[name] for name in ("name", "arguments")}


def _item(item: Event) -> Event:
    return {name: value for name, value in item.items() if name not in ("id", "call_id", "object")}
