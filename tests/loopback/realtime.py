"""The little of the Realtime protocol that lets a client library open: the greeting."""

from __future__ import annotations

from typing import Any

from tests.loopback.peer import Peer

__all__ = ["realtime_greeting", "session_created"]


def session_created(**fields: object) -> dict[str, Any]:
    """Return a GA `session.created` with its usual fields; `fields` replace those of the session."""
    session: dict[str, Any] = {
        "type": "realtime",
        "object": "realtime.session",
        "id": "sess_loopback",
        "model": "gpt-realtime",
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "expires_at": 4102444800,
    }
    return {"type": "session.created", "event_id": "event_loopback_1", "session": session | fields}


def realtime_greeting(peer: Peer, **fields: object) -> dict[str, Any]:
    """Accept the upgrade where the script has not, and send `session.created`; return that event."""
    if not peer.accepted:
        peer.accept()
    event = session_created(**fields)
    peer.send_json(event)
    return event
