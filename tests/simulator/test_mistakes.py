"""What a client can do wrong in a session that stays open, over the wire: every line of protocol 6.4."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rtsync.simulator import SimulatorServer, Turn
from tests.simulator.documented import check_ga
from tests.simulator.talk import GA, PREVIEW, Talk, user_message

GA_TYPES = (
    "'session.update', 'session.close', 'input_audio_buffer.append', 'session.input_audio_buffer.append', "
    "'input_audio_buffer.commit', 'input_audio_buffer.clear', 'conversation.item.create', "
    "'conversation.item.truncate', 'conversation.item.delete', 'conversation.item.retrieve', 'response.create' "
    "and 'response.cancel'"
)
OUTPUT = {"type": "function_call_output", "call_id": "call_x", "output": ""}

SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"

MISTAKES: list[tuple[dict[str, Any], str | None, str | None, str]] = [
    ({"type": "nope"}, "invalid_value", "type", f"Invalid value: 'nope'. Supported values are: {GA_TYPES}."),
    ({"event": 1}, "invalid_event", None, "The 'type' field is missing."),
    (
        {"type": "session.update", "session": {"bogus_field": 1}},
        "unknown_parameter",
        "session.bogus_field",
        "Unknown parameter: 'session.bogus_field'.",
    ),
    (
        {"type": "conversation.item.create", "item": {}},
        "missing_required_parameter",
        "item.type",
        "Missing required parameter: 'item.type'.",
    ),
    (
        {"type": "conversation.item.create"},
        "missing_required_parameter",
        "item",
        "Missing required parameter: 'item'.",
    ),
    (
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": "Hi"}},
        "invalid_type",
        "item.content",
        "Invalid type for 'item.content': expected an array of objects, but got a string instead.",
    ),
    (
        {"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}},
        "integer_below_min_value",
        "session.audio.input.format.rate",
        "Invalid 'session.audio.input.format.rate': integer below minimum value. "
        "Expected a value >= 24000, but got 16000 instead.",
    ),
    (
        {"type": "session.update", "session": {"type": "transcription"}},
        "invalid_parameter",
        "session.type",
        "Passing a transcription session update event to a realtime session is not allowed.",
    ),
    (
        {"type": "input_audio_buffer.commit"},
        "input_audio_buffer_commit_empty",
        None,
        "Error committing input audio buffer: buffer too small. "
        "Expected at least 100ms of audio, but buffer only has 0.00ms of audio.",
    ),
    (
        {"type": "response.cancel"},
        "response_cancel_not_active",
        None,
        "Cancellation failed: no active response found",
    ),
    (
        {"type": "conversation.item.create", "item": OUTPUT},
        "invalid_tool_call_id",
        None,
        "Tool call ID 'call_x' not found in conversation.",
    ),
    (
        {"type": "conversation.item.delete", "item_id": "x"},
        "item_delete_invalid_item_id",
        None,
        "Error deleting item: the item with id 'x' does not exist.",
    ),
    (
        {"type": "conversation.item.retrieve", "item_id": "x"},
        "item_retrieve_invalid_item_id",
        None,
        "Error retrieving item: the item with id 'x' does not exist.",
    ),
    (
        {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 1},
        "item_truncate_invalid_item_id",
        None,
        "Error truncating item: the item with id 'x' does not exist.",
    ),
]


@pytest.mark.parametrize(("event", "code", "param", "message"), MISTAKES)
@pytest.mark.parametrize("event_id", ["mine", None])
def test_a_mistake_is_answered_in_the_services_words(
    simulator: SimulatorServer,
    event: dict[str, Any],
    code: str | None,
    param: str | None,
    message: str,
    event_id: str | None,
) -> None:
    with Talk(simulator) as talk:
        talk.until("session.created")
        talk.socket.send(json.dumps(event | ({"event_id": event_id} if event_id else {})))
        answer = talk.receive()
    check_ga(answer)
    assert answer["error"] == {
        "type": "invalid_request_error",
        "code": code,
        "message": message,
        "param": param,
        "event_id": event_id,
    }


@pytest.mark.parametrize("text", ["{", "", "nonsense", "[" * 100_000])
def test_a_message_that_is_not_json_is_refused_and_the_session_goes_on(simulator: SimulatorServer, text: str) -> None:
    with Talk(simulator) as talk:
        talk.text_only()
        talk.socket.send(text)
        error = talk.receive()
        talk.say("Still there?")
        talk.until("response.done")
    assert error["error"]["code"] == "invalid_json"
    assert error["error"]["message"].startswith("Invalid event: failed to parse JSON value. ")


def test_a_binary_frame_is_refused_and_the_session_goes_on(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.text_only()
        talk.socket.send(b"\x00\x01")
        error = talk.receive()
        talk.say("Still there?")
        talk.until("response.done")
    assert error["error"]["code"] == "invalid_event"
    assert error["error"]["message"] == "Expected a text WebSocket message; binary frames are not supported."


@pytest.mark.parametrize("value", ["3", "null", "[]", '"text"'])
def test_json_that_is_no_object_is_refused(simulator: SimulatorServer, value: str) -> None:
    with Talk(simulator) as talk:
        talk.until("session.created")
        talk.socket.send(value)
        assert talk.receive()["error"]["code"] == "invalid_event"


def test_the_preview_dialect_lists_its_own_types(simulator: SimulatorServer) -> None:
    with Talk(simulator, PREVIEW) as talk:
        talk.until("session.created")
        talk.send("nope")
        message = talk.receive()["error"]["message"]
    assert "'transcription_session.update'" in message
    assert "'session.close'" not in message


def test_ga_settings_are_unknown_to_the_preview_and_the_other_way_round(simulator: SimulatorServer) -> None:
    with Talk(simulator) as ga, Talk(simulator, PREVIEW) as preview:
        ga.until("session.created")
        preview.until("session.created")
        ga.send("session.update", session={"modalities": ["text"]})
        preview.send("session.update", session={"output_modalities": ["text"]})
        assert ga.receive()["error"]["param"] == "session.modalities"
        assert preview.receive()["error"]["param"] == "session.output_modalities"


def test_strictness_about_the_session_type_is_an_option() -> None:
    with SimulatorServer(strict_session_type=True) as server, Talk(server) as talk:
        talk.until("session.created")
        talk.send("session.update", session={"output_modalities": ["text"]})
        error = talk.receive()["error"]
    assert (error["code"], error["param"]) == ("missing_required_parameter", "session.type")


def test_an_item_under_a_taken_id_is_refused(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.until("session.created")
        talk.send("conversation.item.create", item=user_message("one", id="item_1"))
        talk.until("conversation.item.done")
        talk.send("conversation.item.create", item=user_message("two", id="item_1"))
        assert talk.receive()["error"]["param"] == "item.id"


def in_audio(**response: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": {"output_modalities": ["audio"], **response}}


# What a mistake needs before it is one: events that are sent first, and the type of the event that ends their answers.
# "item_A" stands for the id of the model's spoken item.
LATER: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str | None, str | None, str]] = {
    "bad base64": (
        [],
        {"type": "input_audio_buffer.append", "audio": "?"},
        "invalid_value",
        "audio",
        "Invalid 'audio'. Expected base64-encoded audio bytes (mono, in the session's input format).",
    ),
    "unknown neighbour": (
        [],
        {"type": "conversation.item.create", "item": user_message("x"), "previous_item_id": "nowhere"},
        "item_not_found",
        "previous_item_id",
        "Error adding item: the previous item with id 'nowhere' does not exist.",
    ),
    "duplicate id": (
        [{"type": "conversation.item.create", "item": user_message("x", id="item_1")}],
        {"type": "conversation.item.create", "item": user_message("y", id="item_1")},
        "item_create_duplicate_item_id",
        "item.id",
        "Error adding item: an item with id 'item_1' already exists.",
    ),
    "truncating words": (
        [{"type": "conversation.item.create", "item": user_message("x", id="item_1")}],
        {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0, "audio_end_ms": 0},
        None,
        None,
        "Only model output audio messages can be truncated",
    ),
    "truncating past the end": (
        [in_audio()],
        {"type": "conversation.item.truncate", "item_id": "item_A", "content_index": 0, "audio_end_ms": 90_000},
        "invalid_value",
        "audio_end_ms",
        "Audio content of 400ms is already shorter than 90000ms",
    ),
    "truncating another part": (
        [in_audio()],
        {"type": "conversation.item.truncate", "item_id": "item_A", "content_index": 1, "audio_end_ms": 0},
        None,
        None,
        "Only model output audio messages can be truncated",
    ),
    "a voice after sound": (
        [in_audio()],
        {"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"voice": "sage"}}}},
        "cannot_update_voice",
        "session.audio.output.voice",
        "Cannot update a conversation's voice if assistant audio is present.",
    ),
    "reasoning without a mind": (
        [],
        {"type": "session.update", "session": {"type": "realtime", "reasoning": {"effort": "low"}}},
        "invalid_value",
        "session.reasoning",
        "Reasoning is not supported by the model 'gpt-realtime'.",
    ),
}


def say_hello(turn: Turn) -> list[str]:
    return ["Hello"]


@pytest.mark.parametrize("name", LATER)
def test_a_mistake_that_needs_a_history_is_answered_too(name: str) -> None:
    setup, event, code, param, message = LATER[name]
    with SimulatorServer(pace=False, brain=say_hello) as server, Talk(server) as talk:
        talk.until("session.created")
        ids = {"item_A": "item_A"}
        for earlier in setup:
            talk.socket.send(json.dumps(earlier))
            spoken = earlier["type"] == "response.create"
            events = talk.until("rate_limits.updated" if spoken else "conversation.item.done")
            ids["item_A"] = events[-2]["response"]["output"][0]["id"] if spoken else ids["item_A"]
        event = {key: ids.get(str(value), value) for key, value in event.items()}
        talk.socket.send(json.dumps({**event, "event_id": "mine"}))
        answer = talk.receive()
    check_ga(answer)
    expected = {"type": "invalid_request_error", "code": code, "message": message, "param": param}
    assert answer["error"] == {**expected, "event_id": "mine"}


def test_a_second_response_while_one_is_active_is_refused_by_its_name() -> None:
    def endless(turn: Turn) -> Iterator[str]:
        while not turn.cancelled():
            yield "and on "

    with SimulatorServer(brain=endless) as server, Talk(server) as talk:
        talk.send("response.create")
        active = talk.until("response.created")[-1]["response"]["id"]
        talk.send("response.create", event_id="mine")
        error = talk.until("error")[-1]["error"]
    assert error == {
        "type": "invalid_request_error",
        "code": "conversation_already_has_active_response",
        "message": f"Conversation already has an active response in progress: {active}. "
        "Wait until the response is finished before creating a new one.",
        "param": None,
        "event_id": "mine",
    }


def test_a_transcription_session_creates_no_response(simulator: SimulatorServer) -> None:
    with Talk(simulator, "/v1/realtime?intent=transcription") as talk:
        talk.until("session.created")
        talk.send("response.create", event_id="mine")
        error = talk.receive()["error"]
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "type", "mine")


@pytest.mark.parametrize("target", [GA, PREVIEW])
def test_an_internal_failure_can_be_wished_for(simulator: SimulatorServer, target: str) -> None:
    with Talk(simulator, target) as talk:
        talk.until("session.created")
        talk.send("response.create", event_id="mine", response={"metadata": {"rtsync-simulator": "server_error"}})
        error = talk.receive()["error"]
        talk.send("response.create")
        talk.until("response.done")
    assert error == {"type": "server_error", "code": None, "message": SERVER_ERROR, "param": None, "event_id": "mine"}
