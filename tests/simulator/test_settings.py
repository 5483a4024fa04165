"""Session configuration: defaults, merging, and what is refused (protocol 4)."""

from __future__ import annotations

from typing import Any

import pytest

from rtsync.simulator.dialect import Dialect, session_to_preview
from rtsync.simulator.refusals import Refused
from rtsync.simulator.session_config import SessionConfig

TOOL = {"type": "function", "name": "stop", "description": "", "parameters": {}}


def ga() -> SessionConfig:
    return SessionConfig(model="gpt-realtime", expires_at=7)


def preview() -> SessionConfig:
    return SessionConfig(Dialect.PREVIEW, model="dep", expires_at=7)


def test_the_default_session_is_the_documented_one() -> None:
    shown = ga().shown()
    shown.pop("temperature")  # preview only; the dialect leaves it out
    shown.pop("instructions")
    assert shown.pop("id").startswith("sess_")
    assert shown == {
        "type": "realtime",
        "object": "realtime.session",
        "model": "gpt-realtime",
        "output_modalities": ["audio"],
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": 7,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 200,
                    "idle_timeout_ms": None,
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
        },
        "include": None,
    }


def test_the_default_preview_session_has_the_documented_keys() -> None:
    assert list(session_to_preview(preview().shown())) == [
        "id",
        "object",
        "model",
        "expires_at",
        "modalities",
        "instructions",
        "voice",
        "turn_detection",
        "input_audio_format",
        "input_audio_transcription",
        "output_audio_format",
        "tool_choice",
        "temperature",
        "max_response_output_tokens",
        "tools",
    ]


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    config = ga()
    before = config.shown()
    config.update({"type": "realtime", "audio": {"output": {"voice": "marin"}}})
    before["audio"]["output"]["voice"] = "marin"
    assert config.shown() == before


def test_a_refused_update_changes_nothing_at_all() -> None:
    config = ga()
    before = config.shown()
    with pytest.raises(Refused):
        config.update({"instructions": "new", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}})
    assert config.shown() == before


def test_null_and_empty_values_clear() -> None:
    config = ga()
    config.update({"instructions": "Be brief.", "tools": [TOOL], "prompt": {"id": "pmpt_1"}})
    config.update(
        {"instructions": "", "tools": [], "prompt": None, "tracing": None, "audio": {"input": {"turn_detection": None}}}
    )
    shown = config.shown()
    assert (shown["instructions"], shown["tools"], shown["prompt"]) == ("", [], None)
    assert shown["audio"]["input"]["turn_detection"] is None


def test_partial_objects_are_completed() -> None:
    config = ga()
    audio_input = {
        "turn_detection": {"type": "semantic_vad"},
        "transcription": {"model": "whisper-1"},
        "format": {"type": "audio/pcmu"},
    }
    config.update({"audio": {"input": audio_input, "output": {"format": {"type": "audio/pcm"}}}})
    shown = config.shown()["audio"]
    assert shown["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }
    assert shown["input"]["transcription"] == {"model": "whisper-1", "language": None, "prompt": None}
    assert shown["output"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert config.input_format.bytes_per_ms == 8


def test_the_model_stays_whatever_an_update_says() -> None:
    config = ga()
    config.update({"model": "another"})
    assert config.model == "gpt-realtime"


def test_shown_objects_are_copies() -> None:
    config = ga()
    config.shown()["audio"]["output"]["voice"] = "changed"
    assert config["audio"]["output"]["voice"] == "alloy"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
        ({"output_modalities": []}, "invalid_value", "session.output_modalities"),
        ({"output_modalities": "text"}, "invalid_type", "session.output_modalities"),
        ({"output_modalities": ["smell"]}, "invalid_value", "session.output_modalities[0]"),
        ({"max_output_tokens": 0}, "integer_below_min_value", "session.max_output_tokens"),
        ({"max_output_tokens": 5000}, "integer_above_max_value", "session.max_output_tokens"),
        ({"max_output_tokens": "many"}, "invalid_value", "session.max_output_tokens"),
        ({"max_output_tokens": True}, "invalid_type", "session.max_output_tokens"),
        ({"audio": {"output": {"speed": 2}}}, "decimal_above_max_value", "session.audio.output.speed"),
        ({"audio": {"output": {"voice": 1}}}, "invalid_type", "session.audio.output.voice"),
        ({"audio": {"sideways": {}}}, "unknown_parameter", "session.audio.sideways"),
        ({"audio": None}, "invalid_type", "session.audio"),
        (
            {"audio": {"input": {"turn_detection": {"type": "psychic"}}}},
            "invalid_value",
            "session.audio.input.turn_detection.type",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 1}}}},
            "integer_below_min_value",
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        ({"audio": {"input": {"format": {}}}}, "missing_required_parameter", "session.audio.input.format.type"),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
        ({"tools": [{"type": "mcp"}]}, "missing_required_parameter", "session.tools[0].server_label"),
        ({"tools": ["stop"]}, "invalid_type", "session.tools[0]"),
        ({"tool_choice": "maybe"}, "invalid_value", "session.tool_choice"),
        ({"temperature": 1}, "unknown_parameter", "session.temperature"),
        ({"id": "sess_1"}, "unknown_parameter", "session.id"),
        ({"instructions": None}, "invalid_type", "session.instructions"),
        ({"type": "other"}, "invalid_value", "session.type"),
        ({"type": "transcription"}, "invalid_parameter", "session.type"),
        ({"reasoning": {"effort": "low"}}, "invalid_value", "session.reasoning"),
        ("text", "invalid_type", "session"),
        (None, "invalid_type", "session"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(fields: Any, code: str, param: str) -> None:
    with pytest.raises(Refused) as refused:
        ga().update(fields)
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"modalities": ["audio"]}, "invalid_value", "session.modalities"),
        ({"temperature": 2}, "decimal_above_max_value", "session.temperature"),
        ({"input_audio_format": "mp3"}, "invalid_value", "session.input_audio_format"),
        ({"type": "realtime"}, "unknown_parameter", "session.type"),
        ({"audio": {}}, "unknown_parameter", "session.audio"),
    ],
)
def test_a_wrong_preview_setting_is_refused_by_its_name(fields: Any, code: str, param: str) -> None:
    with pytest.raises(Refused) as refused:
        preview().update(fields)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_preview_settings_arrive_and_are_shown_in_preview_words() -> None:
    config = preview()
    update = {
        "modalities": ["text"],
        "voice": "echo",
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_alaw",
        "input_audio_transcription": {"model": "whisper-1"},
        "turn_detection": None,
        "temperature": 0.7,
        "max_response_output_tokens": 10,
        "tool_choice": "none",
        "model": "ignored",
    }
    config.update(update)
    assert config.input_format.bytes_per_ms == 8
    shown = session_to_preview(config.shown())
    assert shown["input_audio_transcription"]["model"] == "whisper-1"
    for name in update.keys() - {"input_audio_transcription", "model"}:
        assert shown[name] == update[name]


@pytest.mark.parametrize("model", ["gpt-realtime-2", "gpt-realtime-2.1", "my-deployment"])
def test_models_that_may_reason_accept_reasoning(model: str) -> None:
    config = SessionConfig(model=model)
    config.update({"reasoning": {"effort": "low"}})
    assert config.shown()["reasoning"] == {"effort": "low"}


def test_dated_models_do_not_reason() -> None:
    with pytest.raises(Refused):
        SessionConfig(model="gpt-realtime-2025-08-28").update({"reasoning": {"effort": "low"}})


def test_a_transcription_session_refuses_what_only_a_conversation_has() -> None:
    config = SessionConfig(kind="transcription")
    wrong: list[dict[str, Any]] = [{"instructions": "x"}, {"audio": {"output": {}}}, {"type": "realtime"}]
    for fields in wrong:
        with pytest.raises(Refused):
            config.update(fields)
    config.update({"audio": {"input": {"turn_detection": {"type": "server_vad"}}}})
    detection = config.shown()["audio"]["input"]["turn_detection"]
    assert detection == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
    }
