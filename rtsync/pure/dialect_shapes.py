"""The objects of the two dialects, one into the other: sessions, options of a response, items, responses (protocol 7).

Nothing is changed in place, nothing that is not known is touched, and a value of an unexpected type stays as it is
under the name that it has. What the preview has no place for is named in ``notes``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

__all__ = ["item_to_ga", "item_to_preview", "response_to_ga", "session_to_ga", "settings_to_preview"]

Notes = list[str]

# GA name -> preview name, for each side of ``audio`` (protocol 4.1).
_AUDIO = {
    "input": {
        "format": "input_audio_format",
        "transcription": "input_audio_transcription",
        "noise_reduction": "input_audio_noise_reduction",
        "turn_detection": "turn_detection",
    },
    "output": {"format": "output_audio_format", "voice": "voice", "speed": "speed"},
}
_FLAT = {flat: (side, name) for side, names in _AUDIO.items() for name, flat in names.items()}
_RENAMED = {"output_modalities": "modalities", "max_output_tokens": "max_response_output_tokens"}
_RENAMED_TO_GA = {preview: ga for ga, preview in _RENAMED.items()}

_FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
_FORMATS_TO_GA: dict[str, dict[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_PARTS = {"output_text": "text", "output_audio": "audio"}
_PARTS_TO_GA = {preview: ga for ga, preview in _PARTS.items()}

_NO_COUNTERPART = ("truncation", "reasoning", "parallel_tool_calls")


# -- to the preview ---------------------------------------------------------------------------------------------------


def settings_to_preview(settings: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    """Settings of a session, without their ``type``, or of ``response.create``."""
    result: dict[str, Any] = {}
    for name, value in settings.items():
        if name in _NO_COUNTERPART:
            notes.append(f"preview endpoints know no {name!r}; it was left out")
        elif name == "audio" and isinstance(value, Mapping):
            result |= _flat_audio(value, settings, notes)
        else:
            flat = _RENAMED.get(name, name)
            kept = name if flat != name and flat in settings else flat
            result |= _setting_to_preview(kept, value, notes)
    return result


def _flat_audio(audio: Mapping[str, Any], taken: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    """The flat settings that ``audio`` holds; what has no flat name, or whose name is ``taken``, stays nested."""
    result: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for side, settings in audio.items():
        if side not in _AUDIO or not isinstance(settings, Mapping):
            rest[side] = settings
            continue
        left = {}
        for name, value in settings.items():
            flat = _AUDIO[side].get(name)
            if flat is None or flat in taken:
                left[name] = value
            else:
                result |= _setting_to_preview(flat, value, notes)
        if left:
            rest[side] = left
    return {**result, "audio": rest} if rest else result


def _setting_to_preview(name: str, value: Any, notes: Notes) -> dict[str, Any]:
    translate = _VALUES_TO_PREVIEW.get(name)
    translated = value if translate is None else translate(value, notes)
    return {} if translated is _LEFT_OUT else {name: translated}


_LEFT_OUT = object()


def _modalities_to_preview(value: Any, _notes: Notes) -> Any:
    """GA says what the model makes, and speech implies its transcript; preview names both (protocol 4.1)."""
    return ["text", "audio"] if _is_list(value) and list(value) == ["audio"] else value


def _format_to_preview(value: Any, notes: Notes) -> Any:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or kind not in _FORMATS:
        return value
    if value.get("rate", 24000) != 24000 and kind == "audio/pcm":
        notes.append(f"pcm16 of preview endpoints has 24000 samples a second, not {value['rate']!r}")
    return _FORMATS[kind]


def _noise_to_preview(value: Any, notes: Notes) -> Any:
    if not isinstance(value, Mapping) or "strength" not in value:
        return value
    notes.append("preview endpoints know no 'strength' of noise reduction; it was left out")
    return _without(value, "strength")


def _turns_to_preview(value: Any, notes: Notes) -> Any:
    if not isinstance(value, Mapping) or "idle_timeout_ms" not in value:
        return value
    if value["idle_timeout_ms"] is None:  # Never, which is how a preview endpoint is without it.
        return _without(value, "idle_timeout_ms")
    notes.append("only late preview endpoints know 'idle_timeout_ms'; it was sent as it is")
    return value


def _voice_to_preview(value: Any, notes: Notes) -> Any:
    if isinstance(value, Mapping):
        notes.append("preview endpoints may know no custom voices; it was sent as it is")
    return value


def _prompt_to_preview(value: Any, notes: Notes) -> Any:
    if value is not None:
        notes.append("only late preview endpoints know 'prompt'; it was sent as it is")
    return value


def _tools_to_preview(value: Any, notes: Notes) -> Any:
    if not _is_list(value) or not any(_is_mcp(tool) for tool in value):
        return value
    notes.append("preview endpoints know no MCP tools; they were left out")
    return [tool for tool in value if not _is_mcp(tool)]


def _tool_choice_to_preview(value: Any, notes: Notes) -> Any:
    if _is_mcp(value):
        notes.append("preview endpoints know no MCP tools to choose; 'tool_choice' was left out")
        return _LEFT_OUT
    if isinstance(value, Mapping) and value.get("type") == "function" and "name" in value and "function" not in value:
        return {**_without(value, "name"), "function": {"name": value["name"]}}
    return value


def _input_to_preview(value: Any, notes: Notes) -> Any:
    return [item_to_preview(item, notes) for item in value] if _is_list(value) else value


_VALUES_TO_PREVIEW: dict[str, Callable[[Any, Notes], Any]] = {
    "modalities": _modalities_to_preview,
    "input_audio_format": _format_to_preview,
    "output_audio_format": _format_to_preview,
    "input_audio_noise_reduction": _noise_to_preview,
    "turn_detection": _turns_to_preview,
    "voice": _voice_to_preview,
    "prompt": _prompt_to_preview,
    "tools": _tools_to_preview,
    "tool_choice": _tool_choice_to_preview,
    "input": _input_to_preview,
}


def item_to_preview(item: Any, notes: Notes) -> Any:
    """An item that the client creates."""
    if not isinstance(item, Mapping):
        return item
    kind, content = item.get("type"), item.get("content")
    if isinstance(kind, str) and kind.startswith("mcp_"):
        notes.append(f"preview endpoints know no items of type {kind!r}; it was sent as it is")
    if _is_list(content) and any(isinstance(part, Mapping) and part.get("type") == "input_image" for part in content):
        notes.append("preview endpoints may know no images; they were sent as they are")
    return _with_parts(item, _PARTS)


# -- to GA ------------------------------------------------------------------------------------------------------------


def session_to_ga(session: Any, kind: str = "realtime") -> Any:
    """A session as the service reports it; ``kind`` is its ``type`` where it has none."""
    if not isinstance(session, Mapping):
        return session
    if session.get("object") == "realtime.transcription_session":
        kind = "transcription"
    return {"type": kind, **_settings_to_ga(session)}


def response_to_ga(response: Any) -> Any:
    """A response as the service reports it; ``temperature`` stays."""
    if not isinstance(response, Mapping):
        return response
    result = _settings_to_ga(response)
    if _is_list(result.get("output")):
        result["output"] = [item_to_ga(item) for item in result["output"]]
    return result


def item_to_ga(item: Any) -> Any:
    """An item as the service reports it."""
    return _with_parts(item, _PARTS_TO_GA) if isinstance(item, Mapping) else item


def _settings_to_ga(settings: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    audio = _copied_audio(settings.get("audio"))
    for name, value in settings.items():
        translated = _VALUES_TO_GA[name](value) if name in _VALUES_TO_GA else value
        if name == "audio":
            result[name] = audio or value
        elif name in _FLAT and audio is not None and _placed(audio, _FLAT[name], translated):
            result["audio"] = audio
        else:
            ga = _RENAMED_TO_GA.get(name, name)
            result[name if ga != name and ga in settings else ga] = translated
    return result


def _copied_audio(audio: Any) -> dict[str, Any] | None:
    """A copy that may be filled; None where something else stands in its place."""
    if audio is None:
        return {}
    if not isinstance(audio, Mapping):
        return None
    return {side: dict(settings) if isinstance(settings, Mapping) else settings for side, settings in audio.items()}


def _placed(audio: dict[str, Any], path: tuple[str, str], value: Any) -> bool:
    """Put ``value`` into ``audio``, unless its place is taken."""
    side, name = path
    settings = audio.setdefault(side, {})
    if not isinstance(settings, dict) or name in settings:
        return False
    settings[name] = value
    return True


def _modalities_to_ga(value: Any) -> Any:
    return ["audio"] if _is_list(value) and "audio" in value else value


def _format_to_ga(value: Any) -> Any:
    return dict(_FORMATS_TO_GA[value]) if isinstance(value, str) and value in _FORMATS_TO_GA else value


def _tool_choice_to_ga(value: Any) -> Any:
    function = value.get("function") if isinstance(value, Mapping) else None
    if isinstance(function, Mapping) and function.keys() == {"name"} and "name" not in value:
        return {**_without(value, "function"), "name": function["name"]}
    return value


_VALUES_TO_GA: dict[str, Callable[[Any], Any]] = {
    "modalities": _modalities_to_ga,
    "input_audio_format": _format_to_ga,
    "output_audio_format": _format_to_ga,
    "tool_choice": _tool_choice_to_ga,
}


# -- both -------------------------------------------------------------------------------------------------------------


def _with_parts(item: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """``item`` with the parts of an assistant's message under their other names; a user's are the same in both."""
    result = dict(item)
    if item.get("role") == "assistant" and _is_list(item.get("content")):
        result["content"] = [_renamed(part, names) for part in item["content"]]
    return result


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    kind = part.get("type") if isinstance(part, Mapping) else None
    return {**part, "type": names[kind]} if isinstance(kind, str) and kind in names else part


def _without(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: inner for key, inner in value.items() if key != name}


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _is_mcp(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("type") == "mcp"
