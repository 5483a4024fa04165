"""What a client says in GA terms, as a preview endpoint hears it (protocol 4.1, 4.5, 4.7, 7)."""

from __future__ import annotations

from typing import Any

import pytest

from rtsync.pure.dialect import Preview, to_preview
from rtsync.vocabulary.client_shapes import FunctionTool
from rtsync.vocabulary.events import Event
from rtsync.vocabulary.examples import CLIENT_EXAMPLES

FUNCTION: FunctionTool = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
MCP = {"type": "mcp", "server_label": "docs", "server_url": "https://tools.example"}


def _session(**settings: Any) -> tuple[Any, list[str]]:
    event, notes = to_preview({"type": "session.update", "session": {"type": "realtime", **settings}})
    assert event["type"] == "session.update"
    return event["session"], notes


def _response(**options: Any) -> tuple[Any, list[str]]:
    event, notes = to_preview({"type": "response.create", "event_id": "c1", "response": options})
    assert (event["type"], event["event_id"]) == ("response.create", "c1")
    return event["response"], notes


@pytest.mark.parametrize(
    ("ga", "preview"),
    [
        ({}, {}),
        ({"output_modalities": ["audio"]}, {"modalities": ["text", "audio"]}),
        ({"output_modalities": ["text"]}, {"modalities": ["text"]}),
        ({"max_output_tokens": 50}, {"max_response_output_tokens": 50}),
        ({"instructions": ""}, {"instructions": ""}),
        ({"temperature": 0.7}, {"temperature": 0.7}),
        ({"tracing": "auto"}, {"tracing": "auto"}),
        ({"audio": {"output": {"voice": "ash", "speed": 1.2}}}, {"voice": "ash", "speed": 1.2}),
        ({"audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}}}}, {"output_audio_format": "pcm16"}),
        ({"audio": {"output": {"format": {"type": "audio/pcm"}}}}, {"output_audio_format": "pcm16"}),
        ({"audio": {"input": {"format": {"type": "audio/pcmu"}}}}, {"input_audio_format": "g711_ulaw"}),
        ({"audio": {"input": {"format": {"type": "audio/pcma"}}}}, {"input_audio_format": "g711_alaw"}),
        ({"audio": {"input": {"turn_detection": None}}}, {"turn_detection": None}),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": None}}}},
            {"turn_detection": {"type": "server_vad"}},
        ),
        (
            {"audio": {"input": {"transcription": {"model": "whisper-1"}, "noise_reduction": {"type": "near_field"}}}},
            {
                "input_audio_transcription": {"model": "whisper-1"},
                "input_audio_noise_reduction": {"type": "near_field"},
            },
        ),
        ({"tools": [FUNCTION], "tool_choice": "required"}, {"tools": [FUNCTION], "tool_choice": "required"}),
        (
            {"tool_choice": {"type": "function", "name": "weather"}},
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        ),
        ({"audio": {}}, {}),
    ],
)
def test_a_setting_with_a_counterpart_is_translated(ga: dict[str, Any], preview: dict[str, Any]) -> None:
    assert _session(**ga) == (preview, [])
    assert _response(**ga) == (preview, [])


@pytest.mark.parametrize(
    ("ga", "preview", "word"),
    [
        ({"truncation": "auto"}, {}, "truncation"),
        ({"reasoning": {"effort": "low"}}, {}, "reasoning"),
        ({"parallel_tool_calls": True}, {}, "parallel_tool_calls"),
        ({"tools": [MCP, FUNCTION]}, {"tools": [FUNCTION]}, "MCP"),
        ({"tool_choice": {"type": "mcp", "server_label": "docs"}}, {}, "tool_choice"),
        ({"prompt": {"id": "pmpt_1"}}, {"prompt": {"id": "pmpt_1"}}, "prompt"),
        (
            {"audio": {"input": {"noise_reduction": {"type": "far_field", "strength": 0.5}}}},
            {"input_audio_noise_reduction": {"type": "far_field"}},
            "strength",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000}}}},
            {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000}},
            "idle_timeout_ms",
        ),
        ({"audio": {"output": {"voice": {"id": "voice_1"}}}}, {"voice": {"id": "voice_1"}}, "voices"),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 48000}}}},
            {"input_audio_format": "pcm16"},
            "48000",
        ),
    ],
)
def test_a_setting_without_a_counterpart_is_reported(ga: dict[str, Any], preview: dict[str, Any], word: str) -> None:
    for translated, notes in (_session(**ga), _response(**ga)):
        assert translated == preview
        assert len(notes) == 1
        assert word in notes[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"modalities": ["text"], "model": "gpt-4o-realtime-preview"},  # as old code writes it
        {"voice": "ash", "input_audio_format": "pcm16", "turn_detection": {"type": "server_vad"}},
        {"max_response_output_tokens": "inf", "tool_choice": {"type": "function", "function": {"name": "weather"}}},
        {"future": {"field": [1, None]}},
        {"audio": {"input": {"future": 1}, "echo": {"on": True}}},
        {"audio": "loud", "output_modalities": "audio", "tools": 5},
        {"audio": {"output": None}},
    ],
)
def test_what_is_not_known_passes_unchanged(settings: dict[str, Any]) -> None:
    expected = {"modalities" if name == "output_modalities" else name: value for name, value in settings.items()}
    assert _session(**settings) == (expected, [])


def test_a_setting_given_in_both_dialects_is_left_to_the_service() -> None:
    """One of the two would be lost."""
    both = {
        "modalities": ["text"],
        "output_modalities": ["audio"],
        "voice": "ash",
        "audio": {"output": {"voice": "sage"}},
    }
    assert _session(**both) == (both, [])


def test_an_update_of_a_transcription_session_has_another_name() -> None:
    session = {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}, "include": []}
    event, notes = to_preview({"type": "session.update", "event_id": "c1", "session": session})
    assert event == {
        "type": "transcription_session.update",
        "event_id": "c1",
        "session": {"input_audio_transcription": {"model": "whisper-1"}, "include": []},
    }
    assert notes == []


def test_a_transcription_session_that_does_not_say_so_is_known_by_its_connection() -> None:
    event = {"type": "session.update", "session": {"audio": {"input": {"turn_detection": None}}}}
    assert to_preview(event, "transcription")[0]["type"] == "transcription_session.update"
    assert to_preview(event)[0]["type"] == "session.update"


def test_an_assistants_parts_have_other_names() -> None:
    item = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Hi"}, {"type": "output_audio", "transcript": "Ho"}],
    }
    event, notes = to_preview({"type": "conversation.item.create", "previous_item_id": "root", "item": item})
    assert [part["type"] for part in event["item"]["content"]] == ["text", "audio"]
    assert event["previous_item_id"] == "root"
    assert notes == []


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "function_call_output", "call_id": "call_1", "output": "{}"},
        {"type": "message", "role": "assistant", "content": None},
        {"type": "message", "role": "assistant", "content": [None, {"type": ["output_text"]}, {}]},
        None,
        "item",
    ],
)
def test_other_items_pass_unchanged(item: Any) -> None:
    event = {"type": "conversation.item.create", "item": item}
    assert to_preview(event) == (event, [])


@pytest.mark.parametrize(
    ("item", "word"),
    [
        ({"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}, "images"),
        ({"type": "mcp_approval_response", "id": "i", "approval_request_id": "r", "approve": True}, "mcp_approval"),
    ],
)
def test_items_that_a_preview_may_refuse_are_sent_and_reported(item: dict[str, Any], word: str) -> None:
    event = {"type": "conversation.item.create", "item": item}
    translated, (note,) = to_preview(event)
    assert translated == event
    assert word in note


def test_the_input_of_a_response_is_translated_item_by_item() -> None:
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    options, notes = _response(
        conversation="none", metadata={"a": "b"}, input=[{"type": "item_reference", "id": "i"}, said]
    )
    assert options["input"] == [
        {"type": "item_reference", "id": "i"},
        {**said, "content": [{"type": "text", "text": "Hi"}]},
    ]
    assert (options["conversation"], options["metadata"], notes) == ("none", {"a": "b"}, [])


def test_received_items_can_be_sent_back() -> None:
    """Views of events are mappings and sequences, not dicts and lists."""
    came = Event({"item": {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}})
    event, _ = to_preview({"type": "conversation.item.create", "item": came.item})
    assert event["item"]["content"][0] == {"type": "text", "text": "Hi"}


@pytest.mark.parametrize("kind", sorted(CLIENT_EXAMPLES.keys() - {"session.update", "response.create"}))
def test_other_events_are_the_same_in_both_dialects(kind: str) -> None:
    assert to_preview(CLIENT_EXAMPLES[kind]) == (CLIENT_EXAMPLES[kind], [])


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.create"},
        {"type": "response.create", "response": None},
        {"type": "session.update"},
        {"type": "session.update", "session": "text"},
        {"type": "future.event", "session": {"type": "realtime"}},
        {"type": "input_audio_buffer.append", "audio": b"\0\0"},
        {},
    ],
)
def test_events_without_settings_pass_unchanged(event: dict[str, Any]) -> None:
    assert to_preview(event) == (event, [])


def test_a_note_comes_once_in_a_session() -> None:
    preview = Preview()
    update = {"type": "session.update", "session": {"type": "realtime", "truncation": "auto", "reasoning": {}}}
    assert len(preview.outgoing(update)[1]) == 2
    assert preview.outgoing(update)[1] == []
    assert preview.outgoing({"type": "response.create", "response": {"prompt": {"id": "p"}, "reasoning": {}}})[1] == [
        "only late preview endpoints know 'prompt'; it was sent as it is"
    ]
    assert len(Preview().outgoing(update)[1]) == 2
