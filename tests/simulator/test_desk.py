"""The desk: client events in, server events out, by plain calls."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from rtsync.simulator.desk import Desk
from rtsync.simulator.dialect import Dialect, to_wire
from rtsync.simulator.session_config import SessionConfig
from tests.simulator.talk import user_message

Event = dict[str, Any]


def new_desk(dialect: Dialect = Dialect.GA, kind: str = "realtime") -> Desk:
    desk = Desk(SessionConfig(dialect, kind, model="gpt-realtime"), now=lambda: 0.0, obfuscation=False)
    if kind == "realtime":
        field = "output_modalities" if dialect is Dialect.GA else "modalities"
        told(desk, "session.update", session={field: ["text"]})
    return desk


def told(desk: Desk, kind: str, **fields: Any) -> list[Event]:
    return desk.answer({"type": kind, **fields}).events


def error(events: list[Event]) -> Event:
    assert [event["type"] for event in events] == ["error"]
    found: Event = events[0]["error"]
    return found


def create(desk: Desk, **fields: Any) -> list[Event]:
    return told(desk, "conversation.item.create", **fields)


def respond(desk: Desk, *deltas: str, **options: Any) -> Event:
    """Run a response through; its last `response`."""
    answer = desk.answer({"type": "response.create", "response": options})
    assert answer.started, answer.events
    response_id = answer.started[0].id
    for delta in deltas:
        desk.say(response_id, delta)
    (done,) = [event for event in desk.end(response_id) if event["type"] == "response.done"]
    found: Event = done["response"]
    return found


def ids(desk: Desk) -> list[str]:
    return [item["id"] for item in desk.conversation]


def test_items_go_where_they_are_told() -> None:
    desk = new_desk()
    create(desk, item=user_message("b", id="b"))
    create(desk, item=user_message("d", id="d"))
    added = create(desk, item=user_message("c", id="c"), previous_item_id="b")
    first = create(desk, item=user_message("a", id="a"), previous_item_id="root")
    assert ids(desk) == ["a", "b", "c", "d"]
    assert [event["previous_item_id"] for event in added + first] == ["b", "b", None, None]


def test_an_unknown_neighbour_adds_nothing() -> None:
    desk = new_desk()
    found = error(create(desk, item=user_message("a"), previous_item_id="nowhere"))
    assert (found["code"], found["param"]) == ("item_not_found", "previous_item_id")
    assert ids(desk) == []


def test_a_deleted_item_is_gone() -> None:
    desk = new_desk()
    create(desk, item=user_message("a", id="a"))
    assert told(desk, "conversation.item.delete", item_id="a") == [
        {"type": "conversation.item.deleted", "item_id": "a"}
    ]
    assert error(told(desk, "conversation.item.delete", item_id="a"))["code"] == "item_delete_invalid_item_id"


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (None, "invalid_type", "item"),
        ({"type": "item_reference", "id": "x"}, "invalid_value", "item.type"),
        ({"type": "message", "content": []}, "missing_required_parameter", "item.role"),
        ({"type": "message", "role": "robot", "content": []}, "invalid_value", "item.role"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        ({"type": "message", "role": "user", "content": ["x"]}, "invalid_type", "item.content[0]"),
        (
            {"type": "message", "role": "user", "content": [{"type": "output_text", "text": ""}]},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "audio": ""}]},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "?"}]},
            "invalid_value",
            "item.content[0].audio",
        ),
        ({"type": "function_call", "name": "f"}, "missing_required_parameter", "item.arguments"),
        (user_message("x", bogus=1), "unknown_parameter", "item.bogus"),
    ],
)
def test_an_item_that_breaks_a_rule_is_refused_by_field(item: Any, code: str, param: str) -> None:
    found = error(create(new_desk(), item=item))
    assert (found["code"], found["param"]) == (code, param)


def test_user_audio_is_announced_without_its_bytes_and_retrieved_with_them() -> None:
    desk = new_desk()
    audio = base64.b64encode(bytes(9600)).decode()
    part = {"type": "input_audio", "audio": audio}
    added, done = create(desk, item={"id": "a", "type": "message", "role": "user", "content": [part]})
    assert added["item"]["content"] == done["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    (retrieved,) = told(desk, "conversation.item.retrieve", item_id="a")
    assert retrieved["item"]["content"][0]["audio"] == audio


def test_assistant_text_and_calls_can_be_restored() -> None:
    desk = new_desk()
    text = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Earlier."}]}
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    create(desk, item=text)
    added, _ = create(desk, item=call)
    call_id = added["item"]["call_id"]
    create(desk, item={"type": "function_call_output", "call_id": call_id, "output": "1"})
    assert len(ids(desk)) == 3


def test_only_model_audio_can_be_truncated() -> None:
    desk = new_desk()
    create(desk, item=user_message("a", id="a"))
    found = error(told(desk, "conversation.item.truncate", item_id="a", content_index=0, audio_end_ms=0))
    assert (found["code"], found["message"]) == (None, "Only model output audio messages can be truncated")


def test_truncating_past_the_end_is_refused_and_at_the_end_takes_the_transcript() -> None:
    desk = new_desk()
    item = respond(desk, "Hello", output_modalities=["audio"])["output"][0]
    place = {"item_id": item["id"], "content_index": 0}
    found = error(told(desk, "conversation.item.truncate", **place, audio_end_ms=2000))
    assert found["message"] == "Audio content of 400ms is already shorter than 2000ms"
    (truncated,) = told(desk, "conversation.item.truncate", **place, audio_end_ms=400)
    assert truncated == {"type": "conversation.item.truncated", **place, "audio_end_ms": 400}
    kept = desk.conversation.find(item["id"])
    assert kept is not None
    assert kept["content"][0]["transcript"] is None


def test_bytes_are_counted_in_the_sessions_format() -> None:
    desk = new_desk()
    told(desk, "input_audio_buffer.append", audio=base64.b64encode(bytes(2400)).decode())
    assert "has 50.00ms" in error(told(desk, "input_audio_buffer.commit"))["message"]
    told(desk, "session.update", session={"audio": {"input": {"format": {"type": "audio/pcmu"}}}})
    assert told(desk, "input_audio_buffer.commit")[0]["type"] == "input_audio_buffer.committed"
    assert "has 0.00ms" in error(told(desk, "input_audio_buffer.commit"))["message"]


def test_a_cleared_buffer_is_empty() -> None:
    desk = new_desk()
    told(desk, "input_audio_buffer.append", audio=base64.b64encode(bytes(4800)).decode())
    assert told(desk, "input_audio_buffer.clear") == [{"type": "input_audio_buffer.cleared"}]
    assert error(told(desk, "input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"


@pytest.mark.parametrize("audio", ["?", "AAA", "ä"])
def test_audio_that_is_not_base64_is_refused(audio: str) -> None:
    found = error(told(new_desk(), "input_audio_buffer.append", audio=audio))
    assert (found["code"], found["param"]) == ("invalid_value", "audio")


def test_more_than_15_mib_at_once_are_refused() -> None:
    audio = base64.b64encode(bytes((15 << 20) + 1)).decode()
    assert error(told(new_desk(), "input_audio_buffer.append", audio=audio))["param"] == "audio"


@pytest.mark.parametrize(
    ("options", "code", "param"),
    [
        ({"bogus": 1}, "unknown_parameter", "response.bogus"),
        ({"conversation": "other"}, "invalid_value", "response.conversation"),
        ({"metadata": {str(n): "" for n in range(17)}}, "object_above_max_properties", "response.metadata"),
        ({"metadata": {"a": "x" * 513}}, "string_above_max_length", "response.metadata.a"),
        ({"metadata": {"k" * 65: ""}}, "string_above_max_length", "response.metadata." + "k" * 65),
        ({"metadata": {"a": 1}}, "invalid_type", "response.metadata.a"),
        ({"metadata": []}, "invalid_type", "response.metadata"),
        ({"input": "text"}, "invalid_type", "response.input"),
        ({"input": [{"type": "nope"}]}, "invalid_value", "response.input[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "item_not_found", "response.input[0].id"),
        ({"max_output_tokens": 0}, "integer_below_min_value", "response.max_output_tokens"),
    ],
)
def test_a_wrong_option_of_a_response_is_refused_by_name(options: Event, code: str, param: str) -> None:
    found = error(told(new_desk(), "response.create", response=options))
    assert (found["code"], found["param"]) == (code, param)


def test_options_hold_for_one_response_only() -> None:
    desk = new_desk()
    own = respond(desk, metadata={"a": "b"}, max_output_tokens=7, audio={"output": {"voice": "echo"}})
    after = respond(desk)
    assert (own["metadata"], own["max_output_tokens"], own["audio"]["output"]["voice"]) == ({"a": "b"}, 7, "echo")
    assert own["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert (after["metadata"], after["max_output_tokens"], after["audio"]["output"]["voice"]) == (None, "inf", "alloy")


def test_an_empty_input_is_an_empty_context() -> None:
    desk = new_desk()
    create(desk, item=user_message("Hello"))
    answer = desk.answer({"type": "response.create", "response": {"input": []}})
    assert answer.started
    assert answer.started[0].options.items == []


def test_usage_adds_up_and_counts_what_was_seen_before_as_cached() -> None:
    desk = new_desk()
    told(desk, "session.update", session={"instructions": "one two three"})
    create(desk, item=user_message("four five"))
    first = respond(desk, "six", " seven")["usage"]
    create(desk, item=user_message("eight"))
    second = respond(desk, "nine")["usage"]
    assert (first["input_tokens"], first["output_tokens"], first["total_tokens"]) == (5, 2, 7)
    assert first["input_token_details"]["cached_tokens"] == 0
    assert (second["input_tokens"], second["output_tokens"], second["total_tokens"]) == (8, 1, 9)
    assert second["input_token_details"]["cached_tokens"] == 5
    assert second["input_token_details"]["cached_tokens_details"]["text_tokens"] == 5


def test_spoken_input_counts_as_audio_tokens() -> None:
    desk = new_desk()
    told(desk, "session.update", session={"instructions": ""})
    told(desk, "input_audio_buffer.append", audio=base64.b64encode(bytes(96_000)).decode())
    told(desk, "input_audio_buffer.commit")
    usage = respond(desk, "ok")["usage"]
    assert usage["input_token_details"]["audio_tokens"] == usage["input_tokens"] == 20


def test_images_count_as_image_tokens() -> None:
    desk = new_desk()
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    create(desk, item={"type": "message", "role": "user", "content": [image]})
    details = respond(desk, "ok")["usage"]["input_token_details"]
    assert details["image_tokens"] > 0


def test_a_brain_may_stop_for_the_content_filter() -> None:
    desk = new_desk()
    answer = desk.answer({"type": "response.create"})
    assert answer.started
    done = desk.cut_short(answer.started[0].id, "content_filter")[0]["response"]
    assert done["status_details"] == {"type": "incomplete", "reason": "content_filter"}


def test_text_before_a_call_is_an_item_of_its_own() -> None:
    desk = new_desk()
    answer = desk.answer({"type": "response.create"})
    assert answer.started
    response_id = answer.started[0].id
    events = [*desk.say(response_id, "Let me see."), *desk.begin_call(response_id, "look")]
    events += [*desk.call_arguments(response_id, "{}"), *desk.end_call(response_id), *desk.end(response_id)]
    assert [event["output_index"] for event in events if event["type"] == "response.output_item.done"] == [0, 1]
    (done,) = [event["response"] for event in events if event["type"] == "response.done"]
    assert [item["type"] for item in done["output"]] == ["message", "function_call"]
    assert [item["status"] for item in done["output"]] == ["completed", "completed"]
    assert ids(desk) == [item["id"] for item in done["output"]]


def test_an_item_deleted_while_it_is_written_leaves_the_response_whole() -> None:
    desk = new_desk()
    answer = desk.answer({"type": "response.create"})
    assert answer.started
    desk.say(answer.started[0].id, "Hello")
    (item_id,) = ids(desk)
    told(desk, "conversation.item.delete", item_id=item_id)
    events = desk.end(answer.started[0].id)
    assert "conversation.item.done" not in [event["type"] for event in events]
    (done,) = [event["response"] for event in events if event["type"] == "response.done"]
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "Hello"}]


def test_a_response_that_says_nothing_is_complete_and_empty() -> None:
    response = respond(new_desk())
    assert (response["status"], response["output"]) == ("completed", [])


def test_a_long_event_id_is_refused() -> None:
    found = error(told(new_desk(), "input_audio_buffer.clear", event_id="x" * 513))
    assert (found["code"], found["param"]) == ("string_above_max_length", "event_id")


@pytest.mark.parametrize("value", [1, None, ["x"]])
def test_a_type_that_is_no_string_is_refused(value: Any) -> None:
    assert error(new_desk().answer({"type": value}).events)["code"] == "invalid_type"


@pytest.mark.parametrize("kind", ["session.close", "session.input_audio_buffer.append"])
def test_translation_events_are_refused_in_a_conversation(kind: str) -> None:
    assert error(told(new_desk(), kind))["param"] == "type"


def test_preview_responses_take_preview_options() -> None:
    desk = new_desk(Dialect.PREVIEW)
    item = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Before."}]}
    response = respond(desk, "Hi", modalities=["text"], temperature=0.7, max_response_output_tokens=9, input=[item])
    shown = to_wire(Dialect.PREVIEW, {"type": "response.done", "response": response})
    assert shown is not None
    assert shown["response"]["modalities"] == ["text"]
    assert (shown["response"]["temperature"], shown["response"]["max_output_tokens"]) == (0.7, 9)
    assert "image_tokens" not in shown["response"]["usage"]["input_token_details"]


def test_a_preview_transcription_session_takes_its_own_update_only() -> None:
    desk = new_desk(Dialect.PREVIEW, "transcription")
    assert error(told(desk, "session.update", session={}))["code"] == "invalid_parameter"
    assert told(desk, "transcription_session.update", session={})[0]["type"] == "session.updated"
    other = new_desk(Dialect.PREVIEW)
    assert error(told(other, "transcription_session.update", session={}))["message"] == (
        "Passing a transcription session update event to a realtime session is not allowed."
    )


def test_ga_shows_no_temperature() -> None:
    wired = to_wire(Dialect.GA, new_desk().greeting()[0])
    assert wired is not None
    assert "temperature" not in wired["session"]
