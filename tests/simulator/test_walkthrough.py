"""The walkthrough over the wire: exact events, exact order, both dialects (protocol 3.4, 3.5)."""

from __future__ import annotations

import base64
import re

import pytest

from rtsync.simulator import SimulatorServer
from tests.simulator.documented import check_ga, check_preview
from tests.simulator.talk import PREVIEW, Talk, types, user_message

TEXT_RESPONSE = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]


def test_a_text_turn_tells_the_documented_story(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
        talk.say("Say a couple paragraphs!")
        events = talk.until("rate_limits.updated")
    asked = ["session.created", "session.updated", "conversation.item.added", "conversation.item.done"]
    assert types(events) == asked + TEXT_RESPONSE
    for event in events:
        check_ga(event)


def test_the_parts_of_a_text_turn_belong_together(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.text_only()
        talk.say("Say a couple paragraphs!")
        all_events = talk.until("rate_limits.updated")
    events = {event["type"]: event for event in all_events}
    text = "".join(event["delta"] for event in all_events if event["type"] == "response.output_text.delta")
    response = events["response.done"]["response"]
    (item,) = response["output"]
    assert "\n\n" in text
    assert events["response.output_text.done"]["text"] == text
    assert item["content"] == [{"type": "output_text", "text": text}]
    assert events["response.output_item.done"]["item"] == item == events["conversation.item.done"]["item"]
    assert events["response.created"]["response"]["id"] == response["id"]
    assert re.fullmatch(r"resp_[0-9A-Za-z]{21}", response["id"])
    assert re.fullmatch(r"item_[0-9A-Za-z]{21}", item["id"])
    assert re.fullmatch(r"conv_[0-9A-Za-z]{21}", response["conversation_id"])
    assert response["status"] == "completed"
    assert response["status_details"] is None
    assert response["usage"]["output_tokens"] == sum(e["type"] == "response.output_text.delta" for e in all_events)


def test_items_know_what_they_follow(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.text_only()
        talk.send("conversation.item.create", item=user_message("one", id="item_1"))
        talk.say("two")
        events = [event for event in talk.until("rate_limits.updated") if event["type"] == "conversation.item.added"]
    first, second, answer = events
    assert first["previous_item_id"] is None
    assert second["previous_item_id"] == "item_1"
    assert answer["previous_item_id"] == second["item"]["id"]


def test_an_audio_response_carries_sound_and_transcript(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.until("session.created")
        talk.say("Hello")
        events = talk.until("rate_limits.updated")[2:]
    deltas = {event["type"] for event in events if event["type"].endswith(".delta")}
    assert deltas == {"response.output_audio_transcript.delta", "response.output_audio.delta"}
    assert events[4]["type"] == "response.output_audio_transcript.delta"
    assert [event["type"] for event in events if not event["type"].endswith(".delta")] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    for event in events:
        check_ga(event)


def test_a_function_call_and_its_output_make_a_turn(simulator: SimulatorServer) -> None:
    tool = {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    with Talk(simulator) as talk:
        talk.text_only()
        talk.send("session.update", session={"type": "realtime", "tools": [tool], "tool_choice": "required"})
        talk.say("Tokyo")
        events = talk.until("rate_limits.updated")[3:]
        assert types(events) == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
            "rate_limits.updated",
        ]
        done = events[-5]
        assert (done["name"], done["arguments"]) == ("get_weather", '{"city": "Tokyo"}')
        assert re.fullmatch(r"call_[0-9A-Za-z]{16}", done["call_id"])
        output = {"type": "function_call_output", "call_id": done["call_id"], "output": "21 degrees"}
        talk.send("conversation.item.create", item=output)
        talk.send("response.create", response={"tool_choice": "auto"})
        answer = talk.until("rate_limits.updated")
    for event in events + answer:
        check_ga(event)
    assert "21 degrees" in answer[-2]["response"]["output"][0]["content"][0]["text"]


def test_the_preview_dialect_tells_the_same_story_in_its_own_words(simulator: SimulatorServer) -> None:
    with Talk(simulator, PREVIEW) as talk:
        talk.send("session.update", session={"modalities": ["text"]})
        talk.say("Hello")
        events = talk.until("rate_limits.updated")
    assert types(events) == [
        "session.created",
        "session.updated",
        "conversation.item.created",
        "response.created",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.text.delta",
        "response.text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    for event in events:
        check_preview(event)
    item = events[-2]["response"]["output"][0]
    assert (item["object"], item["content"][0]["type"]) == ("realtime.item", "text")
    assert not any("obfuscation" in event for event in events)


def test_preview_function_calls_carry_no_name_in_their_last_event(simulator: SimulatorServer) -> None:
    tool = {"type": "function", "name": "stop", "parameters": {"type": "object", "properties": {}}}
    with Talk(simulator, PREVIEW) as talk:
        talk.send("response.create", response={"tools": [tool], "tool_choice": {"type": "function", "name": "stop"}})
        events = talk.until("response.done")
    for event in events:
        check_preview(event)
    (done,) = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    assert "name" not in done


def test_out_of_band_responses_stay_out_of_the_conversation(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.text_only()
        talk.send("conversation.item.create", item=user_message("Lisbon", id="item_mine"))
        talk.until("conversation.item.done")
        options = {
            "conversation": "none",
            "metadata": {"purpose": "title"},
            "input": [{"type": "item_reference", "id": "item_mine"}],
        }
        talk.send("response.create", response=options)
        events = talk.until("rate_limits.updated")
    assert types(events) == [kind for kind in TEXT_RESPONSE if not kind.startswith("conversation.")]
    response = events[-2]["response"]
    assert response["conversation_id"] is None
    assert response["metadata"] == {"purpose": "title"}
    assert "Lisbon" in response["output"][0]["content"][0]["text"]
    for event in events:
        check_ga(event)


@pytest.mark.parametrize("first", [True, False])
def test_rate_limits_come_where_they_are_asked_to(first: bool) -> None:
    with SimulatorServer(pace=False, rate_limits_first=first) as server, Talk(server) as talk:
        talk.text_only()
        talk.say("Hello")
        events = talk.until("response.done" if first else "rate_limits.updated")
    at = types(events).index("rate_limits.updated")
    assert types(events)[at - 1] == ("response.created" if first else "response.done")


def test_obfuscation_can_be_left_out() -> None:
    with SimulatorServer(pace=False, obfuscation=False) as server, Talk(server) as talk:
        talk.text_only()
        talk.say("Hello")
        assert not any("obfuscation" in event for event in talk.until("response.done"))


def test_obfuscation_pads_text_deltas(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.text_only()
        talk.say("Hello")
        deltas = [event for event in talk.until("response.done") if event["type"].endswith(".delta")]
    assert all(event["obfuscation"] for event in deltas)


def test_audio_committed_by_hand_becomes_an_item(simulator: SimulatorServer) -> None:
    with Talk(simulator) as talk:
        talk.until("session.created")
        talk.send("input_audio_buffer.append", audio=base64.b64encode(bytes(4800)).decode())
        talk.send("input_audio_buffer.commit")
        events = talk.until("conversation.item.done")
        item = events[-1]["item"]
        talk.send("conversation.item.retrieve", item_id=item["id"])
        retrieved = talk.receive()
    assert types(events) == ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
    assert events[0]["item_id"] == item["id"]
    assert item["content"] == [{"type": "input_audio", "transcript": None}]
    assert len(base64.b64decode(retrieved["item"]["content"][0]["audio"])) == 4800
    assert retrieved["item"]["object"] == "realtime.item"
    for event in [*events, retrieved]:
        check_ga(event)


def test_a_transcription_session_has_its_own_shape(simulator: SimulatorServer) -> None:
    with Talk(simulator, "/v1/realtime?intent=transcription") as talk:
        created = talk.receive()
        talk.send("session.update", session={"type": "transcription", "audio": {"input": {"turn_detection": None}}})
        updated = talk.receive()
        talk.send("response.create")
        refused = talk.receive()
    assert created["session"]["object"] == "realtime.transcription_session"
    assert created["session"].keys() == {"type", "object", "id", "expires_at", "audio", "include"}
    assert created["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 200
    assert updated["session"]["audio"]["input"]["turn_detection"] is None
    assert refused["type"] == "error"


def test_a_preview_transcription_session_has_events_of_its_own(simulator: SimulatorServer) -> None:
    with Talk(simulator, PREVIEW + "&intent=transcription") as talk:
        assert talk.receive()["type"] == "transcription_session.created"
        talk.send("transcription_session.update", session={"turn_detection": None})
        updated = talk.receive()
    assert updated["type"] == "transcription_session.updated"
    assert updated["session"]["turn_detection"] is None


def test_a_sideband_connection_gets_a_session(simulator: SimulatorServer) -> None:
    with Talk(simulator, "/v1/realtime?call_id=rtc_1") as talk:
        assert talk.receive()["session"]["type"] == "realtime"
