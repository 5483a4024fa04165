"""What of a session a page is shown: the conversation, and not how the application steers it.

Of the settings a page needs what it plays and records by. Instructions, prompts and tools are the application's, and
so is what it says to the model as the system.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rtsync.vocabulary.events import encode

__all__ = ["shown", "shown_item"]

_OF_SESSIONS = frozenset({"session.created", "session.updated"})
_OF_ITEMS = "conversation.item."
_SETTINGS = ("type", "object", "id", "model", "output_modalities", "audio", "expires_at")
_SYSTEM = b'"system"'


def shown(kind: str, data: bytes) -> bytes:
    """The JSON of an event of type ``kind``, as a page is shown it."""
    if kind in _OF_SESSIONS:
        event = msgspec.json.decode(data)
        return encode({**event, "session": _settings(event.get("session") or {})})
    if kind.startswith(_OF_ITEMS) and _SYSTEM in data:
        event = msgspec.json.decode(data)
        if isinstance(event.get("item"), dict):
            return encode({**event, "item": shown_item(event["item"])})
    return data


def shown_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of the conversation; one of the system's is there, and says nothing."""
    return {**item, "content": []} if item.get("role") == "system" else dict(item)


def _settings(session: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: session[name] for name in _SETTINGS if name in session}
    heard = (found.get("audio") or {}).get("input") or {}
    transcription = heard.get("transcription")
    if isinstance(transcription, dict):
        told = {name: value for name, value in transcription.items() if name != "prompt"}
        found["audio"] = {**found["audio"], "input": {**heard, "transcription": told}}
    return found
