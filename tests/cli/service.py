"""A service that answers `rtsync chat` up to the middle of an answer, and then does what the test wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.loopback import Peer, PeerClosed, realtime_greeting

__all__ = ["PIECE", "cancelled", "hear_the_close", "interrupted_answer", "take_the_words"]

PIECE = "Once upon a time"
Json = dict[str, Any]


def interrupted_answer(then: Callable[[Peer], object]) -> Callable[[Peer], None]:
    """A script: greet, take the session and the words, send one piece of the answer, and `then`."""

    def script(peer: Peer) -> None:
        peer.send_json(*_answers(take_the_words(peer)))
        then(peer)

    return script


def take_the_words(peer: Peer) -> Json:
    """Greet, and answer all but the `response.create`, which is returned."""
    realtime_greeting(peer)
    event: Json = peer.recv_json()
    while event["type"] != "response.create":
        peer.send_json(*_answers(event))
        event = peer.recv_json()
    return event


def cancelled(peer: Peer, event_id: str) -> None:
    """End the answer as a `response.cancel` ends it."""
    peer.send_json({"type": "response.done", "event_id": event_id, "response": _response("cancelled")})


def hear_the_close(peer: Peer) -> PeerClosed:
    """Read up to the client's close frame."""
    try:
        while True:
            peer.recv_message()
    except PeerClosed as closed:
        return closed


def _answers(event: Json) -> list[Json]:
    if event["type"] == "session.update":
        return [{"type": "session.updated", "event_id": "event_2", "session": event["session"]}]
    if event["type"] == "conversation.item.create":
        item = {"id": "item_1", "status": "completed", **event["item"]}
        kinds = ("conversation.item.added", "conversation.item.done")
        return [{"type": kind, "event_id": kind, "previous_item_id": None, "item": item} for kind in kinds]
    metadata = event["response"].get("metadata")
    begun = {"type": "response.created", "event_id": "event_5", "response": _response("in_progress", metadata)}
    place = {"response_id": "resp_1", "item_id": "item_2", "output_index": 0, "content_index": 0}
    return [begun, {"type": "response.output_text.delta", "event_id": "event_6", **place, "delta": PIECE}]


def _response(status: str, metadata: Json | None = None) -> Json:
    return {"object": "realtime.response", "id": "resp_1", "status": status, "output": [], "metadata": metadata}
