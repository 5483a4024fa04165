"""The two dialects of the wire. Inside, the simulator speaks GA alone; here preview is translated (protocol 7)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

__all__ = ["Dialect", "item_to_ga", "options_to_ga", "session_to_preview", "to_wire"]


class Dialect(StrEnum):
    """Which vocabulary a connection speaks."""

    GA = "ga"
    PREVIEW = "preview"


_FORMATS: dict[str, dict[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_FORMAT_NAMES = {value["type"]: name for name, value in _FORMATS.items()}

# Preview field -> where its value lives in GA.
_FIELDS: dict[str, tuple[str, ...]] = {
    "modalities": ("output_modalities",),
    "max_response_output_tokens": ("max_output_tokens",),
    "voice": ("audio", "output", "voice"),
    "speed": ("audio", "output", "speed"),
    "output_audio_format": ("audio", "output", "format"),
    "input_audio_format": ("audio", "input", "format"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "turn_detection": ("audio", "input", "turn_detection"),
}

_EVENT_TYPES = {
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "conversation.item.added": "conversation.item.created",
}
_PART_TYPES = {"output_text": "text", "output_audio": "audio"}
_GA_PART_TYPES = {preview: ga for ga, preview in _PART_TYPES.items()}
# Preview has no counterpart of this event; the item was announced by conversation.item.created.
_GA_ONLY = frozenset({"conversation.item.done"})
_NOT_IN_PREVIEW = frozenset({"obfuscation"})


def options_to_ga(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Flat preview settings of a session or a response, as nested GA settings. The caller has validated them."""
    result: dict[str, Any] = {}
    for name, value in fields.items():
        path = _FIELDS.get(name, (name,))
        _place(result, path, _value_to_ga(name, value))
    return result


def _value_to_ga(name: str, value: Any) -> Any:
    if name == "modalities":
        return ["audio"] if "audio" in value else ["text"]
    if name.endswith("_audio_format"):
        return dict(_FORMATS[value])
    return value


def _place(target: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for step in path[:-1]:
        target = target.setdefault(step, {})
    target[path[-1]] = value


def item_to_ga(item: Mapping[str, Any]) -> dict[str, Any]:
    """A preview item with its assistant parts under their GA names."""
    result = copy.deepcopy(dict(item))
    if result.get("role") == "assistant":
        for part in result.get("content", []):
            part["type"] = _GA_PART_TYPES.get(part["type"], part["type"])
    return result


def _item_to_preview(item: Mapping[str, Any]) -> dict[str, Any]:
    result = {"id": item["id"], "object": "realtime.item", **copy.deepcopy(dict(item))}
    for part in result.get("content", []):
        part["type"] = _PART_TYPES.get(part["type"], part["type"])
    return result


def session_to_preview(session: Mapping[str, Any]) -> dict[str, Any]:
    """The effective GA session as the flat object of the preview (protocol 4.4)."""
    if session["type"] == "transcription":
        return _transcription_to_preview(session)
    head = {name: session[name] for name in ("id", "object", "model", "expires_at")}
    return {
        **head,
        "modalities": _modalities(session["output_modalities"]),
        "instructions": session["instructions"],
        "voice": session["audio"]["output"]["voice"],
        **_input_to_preview(session["audio"]["input"]),
        "output_audio_format": _FORMAT_NAMES[session["audio"]["output"]["format"]["type"]],
        "tool_choice": session["tool_choice"],
        "temperature": session["temperature"],
        "max_response_output_tokens": session["max_output_tokens"],
        "tools": session["tools"],
    }


def _modalities(ga: list[str]) -> list[str]:
    return ["audio", "text"] if ga == ["audio"] else ["text"]


def _input_to_preview(audio_input: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "turn_detection": _turn_detection(audio_input["turn_detection"]),
        "input_audio_format": _FORMAT_NAMES[audio_input["format"]["type"]],
        "input_audio_transcription": audio_input["transcription"],
    }


def _turn_detection(ga: dict[str, Any] | None) -> dict[str, Any] | None:
    if ga is None:
        return None
    return {name: value for name, value in ga.items() if name != "idle_timeout_ms"}


def _transcription_to_preview(session: Mapping[str, Any]) -> dict[str, Any]:
    head = {name: session[name] for name in ("id", "object", "expires_at")}
    audio_input = session["audio"]["input"]
    noise = {"input_audio_noise_reduction": audio_input["noise_reduction"]}
    return {**head, **_input_to_preview(audio_input), **noise, "include": session["include"]}


def _response_to_preview(response: Mapping[str, Any]) -> dict[str, Any]:
    output = response["audio"]["output"]
    usage = response["usage"]
    return {
        **{name: response[name] for name in ("object", "id", "status", "status_details")},
        "output": [_item_to_preview(item) for item in response["output"]],
        "conversation_id": response["conversation_id"],
        "modalities": _modalities(response["output_modalities"]),
        "voice": output["voice"],
        "output_audio_format": _FORMAT_NAMES[output["format"]["type"]],
        "temperature": response.get("temperature"),
        "max_output_tokens": response["max_output_tokens"],
        "usage": None if usage is None else _usage_to_preview(usage),
        "metadata": response["metadata"],
    }


def _usage_to_preview(usage: Mapping[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(dict(usage))
    details = result["input_token_details"]
    details.pop("image_tokens", None)
    details.get("cached_tokens_details", {}).pop("image_tokens", None)
    return result


def to_wire(dialect: Dialect, event: dict[str, Any]) -> dict[str, Any] | None:
    """``event``, made in GA terms, as this dialect sends it; None when the dialect has no such event."""
    if dialect is Dialect.GA:
        return _without_temperature(event)
    if event["type"] in _GA_ONLY:
        return None
    result = {name: value for name, value in event.items() if name not in _NOT_IN_PREVIEW}
    result["type"] = _preview_type(event)
    if event["type"] == "response.function_call_arguments.done":
        del result["name"]
    _translate_objects(result)
    return result


def _without_temperature(event: dict[str, Any]) -> dict[str, Any]:
    for name in ("session", "response"):
        if name in event:
            held = {key: value for key, value in event[name].items() if key != "temperature"}
            event = {**event, name: held}
    return event


def _preview_type(event: Mapping[str, Any]) -> str:
    kind = str(event["type"])
    if kind.startswith("session.") and event["session"]["type"] == "transcription":
        return f"transcription_{kind}"
    return _EVENT_TYPES.get(kind, kind)


def _translate_objects(event: dict[str, Any]) -> None:
    if "item" in event:
        event["item"] = _item_to_preview(event["item"])
    if "response" in event:
        event["response"] = _response_to_preview(event["response"])
    if "session" in event:
        event["session"] = session_to_preview(event["session"])
