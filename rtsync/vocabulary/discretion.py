"""What of an event may be seen: its structure always, its content on request, credentials and audio never.

Structure is a list of fields (types, ids, states, codes, names, settings) and all numbers. Any other text is content
(what users and models say, instructions, arguments) and shows as its length, also in a field that nobody knows yet.
The service's own words on an error are shown: see ``rtsync.vocabulary.foreign`` for what is taken out of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["disclosed", "outline"]

_LONGEST_SHOWN = 120
_DEEPEST_SHOWN = 20
_LONGEST_OUTLINE = 4000

_STRUCTURE = frozenset(
    {
        "approval_request_id", "call_id", "connector_id", "conversation_id", "event_id", "group_id", "id", "item_id",
        "previous_item_id", "response_id", "transcript_id",
        "object", "phase", "role", "status", "type",
        "code", "param", "reason",
        "anchor", "conversation", "detail", "eagerness", "effort", "format", "include", "input_audio_format",
        "language", "max_output_tokens", "max_response_output_tokens", "modalities", "model", "name",
        "output_audio_format", "output_modalities", "require_approval", "server_label", "tool_choice", "truncation",
        "voice",
    }
)  # fmt: skip
# Objects and lists in which any name and any number is content, or a credential.
_CLOSED = frozenset(
    {
        "api_key", "arguments", "authorization", "client_secret", "headers", "image_url", "logprobs", "metadata",
        "parameters", "variables",
    }
)  # fmt: skip
# Not even on request: audio, images and credentials. The value of a client secret is called just "value"; the URL of an
# MCP server may hold a key.
_NEVER = frozenset(
    {"api_key", "audio", "authorization", "client_secret", "headers", "image_url", "secret", "server_url", "value"}
)
_NEVER_INSIDE = frozenset({"api_key", "authorization", "client_secret", "headers", "image_url", "secret"})


def outline(value: Any) -> str:
    """``value``, a JSON value, as a bounded repr of its structure."""
    text = _outlined(value, "", shown=False, depth=0)
    return text if len(text) <= _LONGEST_OUTLINE else f"{text[:_LONGEST_OUTLINE]}...<{len(text)} characters>"


def _outlined(value: Any, field: str, *, shown: bool, depth: int) -> str:
    if depth > _DEEPEST_SHOWN:
        return "..."
    if isinstance(value, Mapping | list):
        if field in _CLOSED:
            return f"<{len(value)} entries>"
        if isinstance(value, list):
            return f"[{', '.join(_outlined(part, field, shown=shown, depth=depth + 1) for part in value)}]"
        names = _STRUCTURE | {"message"} if _is_error(value) else _STRUCTURE
        inner = (
            f"{_name(name)}: {_outlined(part, name, shown=name in names, depth=depth + 1)}"
            for name, part in value.items()
        )
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, str | bytes | bytearray | memoryview):
        return _cut(value) if shown and isinstance(value, str) else _length(value)
    return repr(value)


def _is_error(value: Mapping[str, Any]) -> bool:
    """Whether this is an error object of the service (protocol 5.4), whose ``message`` is the service's own."""
    return isinstance(value.get("message"), str) and "code" in value and "content" not in value


def _name(name: object) -> str:
    return _cut(name) if isinstance(name, str) else f"<{type(name).__name__}>"


def _cut(text: str) -> str:
    return repr(text) if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]!r}...<{len(text)} characters>"


def _length(value: str | bytes | bytearray | memoryview) -> str:
    return f"<{len(value)} {'characters' if isinstance(value, str) else 'bytes'}>"


def disclosed(value: Any) -> Any:
    """``value``, a JSON value, with its content: a copy in which credentials, audio and images are lengths."""
    return _disclosed(value, "", audio=False, depth=0)


def _disclosed(value: Any, field: str, *, audio: bool, depth: int) -> Any:
    if depth > _DEEPEST_SHOWN:
        return "..."
    if isinstance(value, Mapping | list):
        if field in _NEVER_INSIDE:
            return f"<{len(value)} entries>"
        if isinstance(value, list):
            return [_disclosed(part, field, audio=audio, depth=depth + 1) for part in value]
        kind = value.get("type")
        audio = isinstance(kind, str) and kind.endswith("audio.delta")
        return {str(name): _disclosed(part, name, audio=audio, depth=depth + 1) for name, part in value.items()}
    hidden = field in _NEVER or (audio and field == "delta")
    if isinstance(value, bytes | bytearray | memoryview) or (hidden and isinstance(value, str)):
        return _length(value)
    return value
