"""What a client may set, as rules: sessions and responses, both dialects (protocol 4.1 to 4.8)."""

from __future__ import annotations

from typing import Any

from rtsync.simulator.dialect import Dialect
from rtsync.simulator.refusals import Refused
from rtsync.simulator.schema import (
    Anything,
    Choice,
    Either,
    Flag,
    ListOf,
    Nullable,
    Number,
    Record,
    Rule,
    Tagged,
    Text,
    Whole,
)

__all__ = ["METADATA", "TRANSLATION", "response_rule", "session_rule"]

_EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
_INCLUDE = Nullable(ListOf(Choice("item.input_audio_transcription.logprobs")))
_TOKEN_CAP = Either(Choice("inf"), Whole(1, 4096))

_FORMAT = Tagged(
    "type",
    {
        "audio/pcm": Record({"type": Text(), "rate": Whole(24000, 24000)}),
        "audio/pcmu": Record({"type": Text()}),
        "audio/pcma": Record({"type": Text()}),
    },
)
_TRANSCRIPTION = Record(
    {
        "model": Text(),
        "language": Nullable(Text()),
        "languages": Nullable(ListOf(Text(), "strings")),
        "prompt": Nullable(Text()),
        "keywords": Nullable(ListOf(Text(), "strings")),
        "delay": Choice(*_EFFORTS),
    }
)
_NOISE = Record({"type": Choice("near_field", "far_field"), "strength": Number(0)})
_VAD_FLAGS: dict[str, Rule] = {"type": Text(), "create_response": Flag(), "interrupt_response": Flag()}
_SERVER_VAD = Record(
    {
        **_VAD_FLAGS,
        "threshold": Number(0, 1),
        "prefix_padding_ms": Whole(0),
        "silence_duration_ms": Whole(0),
        "idle_timeout_ms": Nullable(Whole(5000, 30000)),
    }
)
_SEMANTIC_VAD = Record({**_VAD_FLAGS, "eagerness": Choice("low", "medium", "high", "auto")})
_TURN_DETECTION = Tagged("type", {"server_vad": _SERVER_VAD, "semantic_vad": _SEMANTIC_VAD}, default="server_vad")

_VOICE = Either(Text(), Record({"id": Text()}, required=("id",)))
_AUDIO_INPUT = Record(
    {
        "format": _FORMAT,
        "transcription": Nullable(_TRANSCRIPTION),
        "noise_reduction": Nullable(_NOISE),
        "turn_detection": Nullable(_TURN_DETECTION),
    }
)

_FUNCTION = Record(
    {"type": Text(), "name": Text(), "description": Nullable(Text()), "parameters": Anything(), "strict": Anything()},
    required=("name",),
)
_MCP = Record(
    dict.fromkeys(("type", "server_label", "server_url", "connector_id", "tunnel_id", "server_description"), Text())
    | dict.fromkeys(("headers", "allowed_tools", "require_approval", "allowed_callers"), Anything())
    | {"authorization": Text(), "defer_loading": Flag()},
    required=("server_label",),
)
_TOOL_CHOICE = Either(
    Choice("none", "auto", "required"),
    Tagged(
        "type",
        {
            "function": Record({"type": Text(), "name": Text()}, required=("name",)),
            "mcp": Record({"type": Text(), "server_label": Text(), "name": Nullable(Text())}),
        },
    ),
)
_TRACING = Nullable(
    Either(Choice("auto"), Record({"workflow_name": Text(), "group_id": Text(), "metadata": Anything()}))
)
_PROMPT = Nullable(Record({"id": Text(), "version": Nullable(Text()), "variables": Anything()}, required=("id",)))
_TRUNCATION = Either(
    Choice("auto", "disabled"),
    Record(
        {
            "type": Choice("retention_ratio"),
            "retention_ratio": Number(0, 1),
            "token_limits": Nullable(Record({"post_instructions": Whole(0)})),
        },
        required=("type", "retention_ratio"),
    ),
)


def _modalities(value: Any, path: str) -> None:
    """GA: text or audio, never both."""
    ListOf(Choice("text", "audio"), "strings")(value, path)
    if len(set(value)) != 1:
        raise _combination(value, path, "['text'] and ['audio']")


def _preview_modalities(value: Any, path: str) -> None:
    """Preview: text, or both, never audio alone."""
    ListOf(Choice("text", "audio"), "strings")(value, path)
    if set(value) not in ({"text"}, {"text", "audio"}):
        raise _combination(value, path, "['text'] and ['audio', 'text']")


def _combination(value: Any, path: str, accepted: str) -> Refused:
    message = f"Invalid modalities: {value}. Supported combinations are: {accepted}."
    return Refused("invalid_value", message, param=path)


def METADATA(value: Any, path: str) -> None:  # noqa: N802 - a rule among constants
    """At most 16 pairs, keys of 64 and values of 512 characters."""
    if not isinstance(value, dict):
        Record({})(value, path)
    if len(value) > 16:
        message = f"Invalid '{path}': too many properties. Expected at most 16 properties, but got {len(value)}."
        raise Refused("object_above_max_properties", message, param=path)
    for name, text in value.items():
        Text(64)(name, f"{path}.{name}")
        Text(512)(text, f"{path}.{name}")


_GA_COMMON: dict[str, Rule] = {
    "output_modalities": _modalities,
    "instructions": Text(),
    "tools": ListOf(Tagged("type", {"function": _FUNCTION, "mcp": _MCP}), "objects"),
    "tool_choice": _TOOL_CHOICE,
    "max_output_tokens": _TOKEN_CAP,
    "prompt": _PROMPT,
    "reasoning": Nullable(Record({"effort": Choice(*_EFFORTS)})),
    "parallel_tool_calls": Nullable(Flag()),
}
_KIND: dict[str, Rule] = {"type": Choice("realtime", "transcription")}

_GA_SESSION = Record(
    {
        **_KIND,
        **_GA_COMMON,
        "model": Text(),
        "audio": Record(
            {
                "input": _AUDIO_INPUT,
                "output": Record({"format": _FORMAT, "voice": _VOICE, "speed": Number(0.25, 1.5)}),
            }
        ),
        "include": _INCLUDE,
        "tracing": _TRACING,
        "truncation": _TRUNCATION,
    }
)
_GA_TRANSCRIPTION = Record({**_KIND, "audio": Record({"input": _AUDIO_INPUT}), "include": _INCLUDE})

_PREVIEW_FORMAT = Choice("pcm16", "g711_ulaw", "g711_alaw")
_PREVIEW_TOOL_CHOICE = Either(
    Choice("none", "auto", "required"),
    Record({"type": Choice("function"), "name": Text(), "function": Record({"name": Text()})}, required=("type",)),
)
_PREVIEW_COMMON: dict[str, Rule] = {
    "modalities": _preview_modalities,
    "instructions": Text(),
    "voice": Text(),
    "output_audio_format": _PREVIEW_FORMAT,
    "tools": ListOf(Tagged("type", {"function": _FUNCTION}), "objects"),
    "tool_choice": _PREVIEW_TOOL_CHOICE,
    "temperature": Number(0.6, 1.2),
    "max_response_output_tokens": _TOKEN_CAP,
}
_PREVIEW_INPUT: dict[str, Rule] = {
    "input_audio_format": _PREVIEW_FORMAT,
    "input_audio_transcription": Nullable(_TRANSCRIPTION),
    "input_audio_noise_reduction": Nullable(_NOISE),
    "turn_detection": Nullable(_TURN_DETECTION),
    "include": _INCLUDE,
}
_PREVIEW_SESSION = Record(
    {
        **_PREVIEW_COMMON,
        **_PREVIEW_INPUT,
        "model": Text(),
        "speed": Number(0.25, 1.5),
        "tracing": _TRACING,
        "prompt": _PROMPT,
    }
)
_PREVIEW_TRANSCRIPTION = Record(dict(_PREVIEW_INPUT))

TRANSLATION: Rule = Record(
    {
        "audio": Record(
            {
                "input": Record({"transcription": Nullable(_TRANSCRIPTION), "noise_reduction": Nullable(_NOISE)}),
                "output": Record({"language": Text()}),
            }
        )
    }
)
"""What the ``session`` of an update may hold in a translation session (protocol 4.10)."""

_SESSIONS: dict[tuple[Dialect, str], Rule] = {
    (Dialect.GA, "realtime"): _GA_SESSION,
    (Dialect.GA, "transcription"): _GA_TRANSCRIPTION,
    (Dialect.PREVIEW, "realtime"): _PREVIEW_SESSION,
    (Dialect.PREVIEW, "transcription"): _PREVIEW_TRANSCRIPTION,
}

# ``input`` is checked by the room that knows items.
_OF_A_RESPONSE: dict[str, Rule] = {
    "conversation": Choice("auto", "none"),
    "metadata": Nullable(METADATA),
    "input": Nullable(ListOf(Anything(), "objects")),
}
_RESPONSES: dict[Dialect, Rule] = {
    Dialect.GA: Record(
        {
            **_GA_COMMON,
            **_OF_A_RESPONSE,
            "audio": Record({"output": Record({"format": _FORMAT, "voice": _VOICE})}),
        }
    ),
    # The SDK's preview models spell the cap of a response both ways.
    Dialect.PREVIEW: Record({**_PREVIEW_COMMON, **_OF_A_RESPONSE, "max_output_tokens": _TOKEN_CAP}),
}


def session_rule(dialect: Dialect, kind: str) -> Rule:
    """What the ``session`` of an update may hold, for a ``realtime`` or ``transcription`` session."""
    return _SESSIONS[dialect, kind]


def response_rule(dialect: Dialect) -> Rule:
    """What the ``response`` of ``response.create`` may hold (protocol 4.7)."""
    return _RESPONSES[dialect]
