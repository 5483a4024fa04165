"""What a preview endpoint says, as GA would have said it (protocol 3.3, 3.4, 3.5, 7)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from rtsync.pure.dialect import Arrival, Memory, Preview, canonical, from_preview
from rtsync.vocabulary.examples import SERVER_EXAMPLES
from rtsync.vocabulary.names import PREVIEW_SERVER_TYPES, SERVER_TYPES
from tests.events.documented import DOCUMENTED

USER_ITEM = {
    "id": "item_1",
    "object": "realtime.item",
    "type": "message",
    "status": "completed",
    "role": "user",
    "content": [{"type": "input_text", "text": "Say hi"}],
}
BEGUN = {
    "id": "item_2",
    "object": "realtime.item",
    "type": "message",
    "status": "in_progress",
    "role": "assistant",
    "content": [],
}
SAID = {**BEGUN, "status": "completed", "content": [{"type": "text", "text": "Hi!"}]}
SAID_IN_GA = {**SAID, "content": [{"type": "output_text", "text": "Hi!"}]}
PART = {"response_id": "resp_1", "item_id": "item_2", "output_index": 0, "content_index": 0}
CALL = {
    "id": "item_2",
    "type": "function_call",
    "status": "in_progress",
    "name": "weather",
    "call_id": "call_1",
    "arguments": "",
}

# Protocol 3.5, preview text response, from the user's item on.
TEXT_RESPONSE: list[dict[str, Any]] = [
    {"type": "conversation.item.created", "event_id": "e1", "previous_item_id": None, "item": USER_ITEM},
    {
        "type": "response.created",
        "event_id": "e2",
        "response": {
            "object": "realtime.response",
            "id": "resp_1",
            "status": "in_progress",
            "output": [],
            "usage": None,
        },
    },
    {"type": "rate_limits.updated", "event_id": "e3", "rate_limits": [{"name": "requests", "limit": 1000}]},
    {"type": "response.output_item.added", "event_id": "e4", "response_id": "resp_1", "output_index": 0, "item": BEGUN},
    {"type": "conversation.item.created", "event_id": "e5", "previous_item_id": "item_1", "item": BEGUN},
    {"type": "response.content_part.added", "event_id": "e6", **PART, "part": {"type": "text", "text": ""}},
    {"type": "response.text.delta", "event_id": "e7", **PART, "delta": "Hi!"},
    {"type": "response.text.done", "event_id": "e8", **PART, "text": "Hi!"},
    {"type": "response.content_part.done", "event_id": "e9", **PART, "part": {"type": "text", "text": "Hi!"}},
    {"type": "response.output_item.done", "event_id": "e10", "response_id": "resp_1", "output_index": 0, "item": SAID},
    {
        "type": "response.done",
        "event_id": "e11",
        "response": {
            "object": "realtime.response",
            "id": "resp_1",
            "status": "completed",
            "output": [SAID],
            "modalities": ["text"],
            "voice": "alloy",
            "output_audio_format": "pcm16",
            "temperature": 0.8,
            "max_output_tokens": "inf",
            "usage": {"total_tokens": 82, "input_token_details": {"cached_tokens": 0, "text_tokens": 5}},
        },
    },
]


def _one(event: dict[str, Any]) -> dict[str, Any]:
    (arrival,) = from_preview(event, Memory())
    return arrival.event


def _all(events: list[dict[str, Any]]) -> list[Arrival]:
    memory = Memory()
    return [arrival for event in events for arrival in from_preview(event, memory)]


def test_a_text_response_arrives_in_the_order_of_ga() -> None:
    assert [(event["type"], wire_type) for event, wire_type in _all(TEXT_RESPONSE)] == [
        ("conversation.item.added", "conversation.item.created"),
        ("conversation.item.done", ""),
        ("response.created", "response.created"),
        ("rate_limits.updated", "rate_limits.updated"),
        ("response.output_item.added", "response.output_item.added"),
        ("conversation.item.added", "conversation.item.created"),
        ("response.content_part.added", "response.content_part.added"),
        ("response.output_text.delta", "response.text.delta"),
        ("response.output_text.done", "response.text.done"),
        ("response.content_part.done", "response.content_part.done"),
        ("conversation.item.done", ""),
        ("response.output_item.done", "response.output_item.done"),
        ("response.done", "response.done"),
    ]


def test_items_are_done_with_what_was_said_and_where_they_stand() -> None:
    done = [event for event, _ in _all(TEXT_RESPONSE) if event["type"] == "conversation.item.done"]
    assert done == [
        {"type": "conversation.item.done", "event_id": "e1", "previous_item_id": None, "item": USER_ITEM},
        {"type": "conversation.item.done", "event_id": "e10", "previous_item_id": "item_1", "item": SAID_IN_GA},
    ]


def test_a_response_is_told_in_ga_terms_and_keeps_its_temperature() -> None:
    response = _all(TEXT_RESPONSE)[-1].event["response"]
    assert response == {
        "object": "realtime.response",
        "id": "resp_1",
        "status": "completed",
        "output": [SAID_IN_GA],
        "output_modalities": ["text"],
        "audio": {"output": {"voice": "alloy", "format": {"type": "audio/pcm", "rate": 24000}}},
        "temperature": 0.8,
        "max_output_tokens": "inf",
        "usage": {"total_tokens": 82, "input_token_details": {"cached_tokens": 0, "text_tokens": 5}},
    }


def test_a_session_is_told_in_ga_terms() -> None:
    turns = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200}
    session = {
        "id": "sess_1",
        "object": "realtime.session",
        "model": "gpt-4o-mini-realtime-preview-2024-12-17",
        "expires_at": 1734626723,
        "modalities": ["audio", "text"],
        "instructions": "...",
        "voice": "alloy",
        "turn_detection": turns,
        "input_audio_format": "pcm16",
        "output_audio_format": "g711_ulaw",
        "input_audio_transcription": None,
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "temperature": 0.8,
        "max_response_output_tokens": "inf",
        "tools": [],
    }
    assert _one({"type": "session.created", "event_id": "e1", "session": session}) == {
        "type": "session.created",
        "event_id": "e1",
        "session": {
            "type": "realtime",
            "id": "sess_1",
            "object": "realtime.session",
            "model": "gpt-4o-mini-realtime-preview-2024-12-17",
            "expires_at": 1734626723,
            "output_modalities": ["audio"],
            "instructions": "...",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": None,
                    "turn_detection": turns,
                },
                "output": {"voice": "alloy", "format": {"type": "audio/pcmu"}},
            },
            "tool_choice": {"type": "function", "name": "weather"},
            "temperature": 0.8,
            "max_output_tokens": "inf",
            "tools": [],
        },
    }


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "transcription_session.updated", "session": {"input_audio_format": "pcm16"}}, "realtime"),
        ({"type": "session.created", "session": {"object": "realtime.transcription_session"}}, "realtime"),
        ({"type": "session.created", "session": {"id": "sess_1"}}, "transcription"),
        ({"type": "session.created", "session": {"type": "transcription"}}, "realtime"),
    ],
)
def test_a_transcription_session_is_told_apart(event: dict[str, Any], kind: str) -> None:
    (arrival,) = from_preview(event, Memory(), kind)
    assert arrival.event["session"]["type"] == "transcription"
    assert arrival.event["type"] in ("session.created", "session.updated")
    assert arrival.wire_type == event["type"]


@pytest.mark.parametrize("modalities", [["text"], [], None, "audio text"])
def test_modalities_without_audio_stay_as_they_are(modalities: Any) -> None:
    session = _one({"type": "session.updated", "session": {"modalities": modalities}})["session"]
    assert session["output_modalities"] == modalities


def test_the_name_of_a_function_is_remembered() -> None:
    done = {
        "type": "response.function_call_arguments.done",
        "item_id": "item_2",
        "call_id": "call_1",
        "arguments": "{}",
    }
    memory = Memory()
    from_preview({"type": "response.output_item.added", "response_id": "resp_1", "item": CALL}, memory)
    assert from_preview(done, memory) == [Arrival({**done, "name": "weather"}, done["type"])]
    named = {**done, "name": "other"}
    assert from_preview(named, memory) == [Arrival(named, done["type"])]
    assert from_preview(done, Memory()) == [Arrival(done, done["type"])]


def test_an_item_outside_the_conversation_is_not_announced() -> None:
    events = [event for event in TEXT_RESPONSE[3:] if event["type"] != "conversation.item.created"]
    assert not [event for event, _ in _all(events) if event["type"].startswith("conversation.item")]


@pytest.mark.parametrize("status", [{}, {"status": None}, {"status": "completed"}])
def test_the_models_item_is_not_done_before_it_is_said_whatever_its_status(status: dict[str, Any]) -> None:
    begun = {**{name: value for name, value in BEGUN.items() if name != "status"}, **status}
    events = [{**event, "item": begun} if event.get("item") is BEGUN else event for event in TEXT_RESPONSE]
    kinds = [event["type"] for event, _ in _all(events)]
    assert kinds == [event["type"] for event, _ in _all(TEXT_RESPONSE)]


def test_an_item_announced_before_its_response_says_so_is_done_once() -> None:
    events = [*TEXT_RESPONSE[:3], TEXT_RESPONSE[4], TEXT_RESPONSE[3], *TEXT_RESPONSE[5:]]
    done = [event["item"]["id"] for event, _ in _all(events) if event["type"] == "conversation.item.done"]
    assert done == ["item_1", "item_2"]


def test_a_late_preview_that_says_done_itself_is_not_repeated() -> None:
    itself = {"type": "conversation.item.done", "previous_item_id": "item_1", "item": SAID_IN_GA}
    events = [*TEXT_RESPONSE[:9], itself, *TEXT_RESPONSE[9:]]
    done = [event["item"]["id"] for event, _ in _all(events) if event["type"] == "conversation.item.done"]
    assert done == ["item_1", "item_2"]


def test_a_deleted_item_is_forgotten() -> None:
    events = [*TEXT_RESPONSE[:9], {"type": "conversation.item.deleted", "item_id": "item_2"}, TEXT_RESPONSE[9]]
    kinds = [event["type"] for event, _ in _all(events)]
    assert kinds[-2:] == ["conversation.item.deleted", "response.output_item.done"]


def test_nothing_is_remembered_of_what_is_done() -> None:
    memory = Memory()
    for event in TEXT_RESPONSE:
        from_preview(event, memory)
    assert (memory.announced, memory.begun) == ({}, {})


def test_a_server_that_never_finishes_its_items_fills_no_memory() -> None:
    memory = Memory()
    for number in range(5000):
        item = {**BEGUN, "id": f"item_{number}"}
        from_preview({"type": "response.output_item.added", "item": item}, memory)
        from_preview({"type": "conversation.item.created", "item": item}, memory)
    assert len(memory.announced) == len(memory.begun) <= 256
    assert "item_4999" in memory.announced


def test_a_setting_told_in_both_dialects_is_kept_twice() -> None:
    session = {
        "type": "realtime",
        "voice": "ash",
        "audio": {"output": {"voice": "sage"}},
        "modalities": [],
        "output_modalities": [],
    }
    assert _one({"type": "session.updated", "session": session})["session"] == session


def test_content_part_events_keep_their_names() -> None:
    event = {"type": "response.content_part.done", **PART, "part": {"type": "audio", "transcript": "Hi"}}
    assert _one(event) == event


def test_a_retrieved_item_is_told_in_ga_terms() -> None:
    part = {"type": "audio", "audio": "AAAA", "transcript": "Hi"}
    event = {"type": "conversation.item.retrieved", "item": {**SAID, "content": [part]}}
    assert _one(event)["item"]["content"] == [{**part, "type": "output_audio"}]


def test_every_documented_name_is_translated() -> None:
    for preview, ga in DOCUMENTED["preview_to_ga"].items():
        first = ga[0] if isinstance(ga, list) else ga.partition(" ")[0]
        assert canonical(preview) == first
    assert {canonical(name) for name in PREVIEW_SERVER_TYPES} <= SERVER_TYPES
    assert sorted(PREVIEW_SERVER_TYPES) == DOCUMENTED["preview_server_types"]


def test_ga_names_stand_for_themselves() -> None:
    others = SERVER_TYPES - {"conversation.item.created"}
    assert {name for name in others if canonical(name) != name} == set()
    assert canonical("future.event") == "future.event"


@pytest.mark.parametrize("kind", sorted(SERVER_EXAMPLES.keys() - {"conversation.item.created", "session.updated"}))
def test_what_is_in_ga_terms_already_passes_unchanged(kind: str) -> None:
    example = SERVER_EXAMPLES[kind]
    assert from_preview(example, Memory()) == [Arrival(example, kind)]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "future.event", "session": {"voice": "ash"}, "item": SAID},
        {"type": "error", "error": {"code": "invalid_value", "param": "session.modalities"}},
        {"type": 5, "item": SAID},
        {"type": None},
        {"type": ["response.text.delta"]},
        {},
    ],
)
def test_what_is_not_known_passes_unchanged(event: dict[str, Any]) -> None:
    wire_type = event.get("type") if isinstance(event.get("type"), str) else ""
    assert from_preview(event, Memory()) == [Arrival(event, str(wire_type))]


def test_what_came_is_never_changed() -> None:
    before = copy.deepcopy(TEXT_RESPONSE)
    _all(TEXT_RESPONSE)
    assert before == TEXT_RESPONSE


def test_each_connection_has_its_own_memory() -> None:
    first, second = Preview(), Preview()
    first.incoming(TEXT_RESPONSE[4])
    assert len(second.incoming(TEXT_RESPONSE[9])) == 1
    assert len(first.incoming(TEXT_RESPONSE[9])) == 2
