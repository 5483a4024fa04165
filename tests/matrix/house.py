"""A service with a memory: it keeps each connection's conversation apart, and goes wrong when a test says so."""

from __future__ import annotations

import queue
import select
import threading
from collections.abc import Callable
from typing import Any

from tests.loopback import LIMIT, Peer, PeerClosed, realtime_greeting

__all__ = ["STALL", "House", "Json", "Room", "attentive", "reticent", "said"]

Json = dict[str, Any]
Answer = Callable[["Room", Json], object]
Door = Callable[[Peer], object]

STALL = {"type": "matrix.stall"}
"""A client event after which the room reads no more."""


def said(item: Json) -> str:
    """The text of an item: its words, or what a function was called with or gave."""
    parts = item.get("content", ())
    spoken = "".join(part.get("text") or part.get("transcript") or "" for part in parts)
    return spoken or item.get("arguments") or item.get("output") or ""


class Room:
    """One connection: what was heard on it, and the conversation that the service holds for it."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.events: list[Json] = []
        """Every client event, in order."""
        self.items: dict[str, Json] = {}
        """The conversation, by id, in order."""
        self.config: Json = {}
        self.closed_with: PeerClosed | None = None
        self.quiet = False
        """Whether the room only begins responses, and answers nothing else."""
        self.stalled = threading.Event()
        self._heard: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self._numbers = iter(range(1, 1_000_000))

    def hear(self, kind: str) -> Json:
        """The next client event of type `kind`; others are passed over."""
        while True:
            event = self._heard.get(timeout=LIMIT)
            if event["type"] == kind:
                return event

    def say(self, *events: Json) -> None:
        """Send events, all in one write."""
        self.peer.send_json(*events)

    def sent(self, kind: str) -> list[Json]:
        """The client events of one type, in order."""
        return [event for event in self.events if event["type"] == kind]

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Id and text of each item of the conversation, in order."""
        return [(item_id, said(item)) for item_id, item in self.items.items()]

    def await_bytes(self) -> None:
        """Block until something has come that nobody reads: somebody stands in a send."""
        assert self.stalled.wait(LIMIT)
        readiness = select.poll()
        readiness.register(self.peer.wire.sock.fileno(), select.POLLIN)
        assert readiness.poll(LIMIT * 1000), "nobody sends"

    # -- the service --------------------------------------------------------------------------------------------------

    def serve(self, answer: Answer) -> None:
        """Hear until the client closes."""
        try:
            while True:
                event = self.peer.recv_json()
                self.events.append(event)
                if event["type"] == STALL["type"]:
                    self.peer.stop_reading()
                    self.stalled.set()
                    self.peer.wait_until_released()
                answer(self, event)
                self._heard.put(event)
        except PeerClosed as closed:
            self.closed_with = closed

    def update(self, event: Json) -> None:
        """Answer a `session.update`."""
        self.config |= event["session"]
        self.say({"type": "session.updated", "event_id": self._new("event"), "session": dict(self.config)})

    def create(self, event: Json) -> None:
        """Answer a `conversation.item.create`: the item is acknowledged."""
        item = {"id": self._new("item"), "status": "completed", **event["item"]}
        assert item["id"] not in self.items, f"{item['id']} was created twice"
        added = self._enter(item)
        self.say(added, {**added, "type": "conversation.item.done", "event_id": self._new("event")})

    def begin(self, event: Json, *pieces: str) -> None:
        """Begin to answer a `response.create`, and say some of it."""
        self.say(*self._begun(event, pieces))

    def respond(self, event: Json, text: str) -> None:
        """Answer a `response.create` with a whole message."""
        created, output, _added, part, *deltas = self._begun(event, (text,))
        response, where = created["response"], {name: part[name] for name in _WHERE}
        item = {**output["item"], "status": "completed", "content": [{"type": "output_text", "text": text}]}
        added = self._enter(item)
        whole = {"response_id": response["id"], "output_index": 0, "item": item}
        done = {**response, "status": "completed", "output": [item]}
        self.say(
            *(created, output, {**added, "item": output["item"]}, part, *deltas),
            {"type": "response.output_text.done", **where, "text": text},
            {**added, "type": "conversation.item.done"},
            {"type": "response.output_item.done", **whole},
            {"type": "response.done", "response": done},
        )

    def _enter(self, item: Json) -> Json:
        """Put an item at the end of the conversation; returns the event that says so."""
        last = next(reversed(self.items), None)
        self.items[item["id"]] = item
        event_id = self._new("event")
        return {"type": "conversation.item.added", "event_id": event_id, "previous_item_id": last, "item": item}

    def _begun(self, event: Json, pieces: tuple[str, ...]) -> list[Json]:
        response_id, item_id = self._new("resp"), self._new("item")
        metadata = event.get("response", {}).get("metadata")
        last = next(reversed(self.items), None)
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        response = {"id": response_id, "object": "realtime.response", "status": "in_progress", "output": []}
        where = dict(zip(_WHERE, (response_id, item_id, 0, 0), strict=True))
        return [
            {"type": "response.created", "response": {**response, "metadata": metadata}},
            {"type": "response.output_item.added", "response_id": response_id, "output_index": 0, "item": item},
            {"type": "conversation.item.added", "previous_item_id": last, "item": item},
            {"type": "response.content_part.added", **where, "part": {"type": "text", "text": ""}},
            *({"type": "response.output_text.delta", **where, "delta": piece} for piece in pieces),
        ]

    def _new(self, kind: str) -> str:
        """An id that no other room gives."""
        return f"{kind}_{self.peer.number}_{next(self._numbers)}"


_WHERE = ("response_id", "item_id", "output_index", "content_index")


def reticent(room: Room, event: Json) -> None:
    """Begin responses and say some words of them; answer nothing else, and end nothing."""
    if event["type"] == "response.create":
        room.begin(event, "so ", "far")


def attentive(room: Room, event: Json) -> None:
    """Answer whatever is asked, as long as the room is not quiet; a response says "yes"."""
    kind = event["type"]
    if room.quiet:
        reticent(room, event)
    elif kind == "session.update":
        room.update(event)
    elif kind == "conversation.item.create":
        room.create(event)
    elif kind == "response.create":
        room.respond(event, "yes")


class House:
    """All connections of a server: give `play` to a `ScriptedServer`.

    Args:
        answer: called with room and event for every client event.
        door: called for every connection first; where it says True it has dealt with it, and there is no room.
        greeting: fields of the session in `session.created`.
    """

    def __init__(self, answer: Answer = attentive, door: Door = lambda _peer: False, **greeting: object) -> None:
        self._answer = answer
        self._door = door
        self._greeting = greeting
        self._changed = threading.Condition()  # guards the list of rooms
        self.rooms: list[Room] = []
        """The connections that were let in, in order."""

    def play(self, peer: Peer) -> None:
        """The script of one connection."""
        if self._door(peer):
            return
        room = Room(peer)
        realtime_greeting(peer, **self._greeting)
        with self._changed:
            self.rooms.append(room)
            self._changed.notify_all()
        room.serve(self._answer)

    def room(self, number: int = 1) -> Room:
        """One connection of those that were let in, from 1; blocks until it is there."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.rooms) >= number, LIMIT)
            assert came, f"{len(self.rooms)} of {number} rooms"
            return self.rooms[number - 1]
