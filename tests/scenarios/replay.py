"""A recorded conversation, played to a session frame by frame.

``frames/NAME.jsonl`` holds one frame a line, in the order of the wire: ``{"server": event}`` is sent as it stands,
``{"client": event}`` is waited for, and ``{"close": code}`` ends the connection. What the file cannot know is filled in
while it is played: sound (``"<base64 of 4800 bytes>"``), and what the service repeats of the client's own words: a
response's metadata and, in an error, the id of the event that it answers.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rtsync import Event, RealtimeSession, Snapshot, Target
from tests.loopback import Peer, PeerClosed, ScriptedServer
from tests.session.service import target_of

__all__ = ["OVER", "Frame", "Replay", "client_events", "frames_of", "replayed", "sound"]

Json = dict[str, Any]
Frame = tuple[str, Any]

FRAMES = Path(__file__).with_name("frames")
OVER = "scenario.over"
"""Type of the event that follows the last frame, where the file does not end with a close."""

_SOUND = re.compile(r"<base64(?: of (\d+) bytes)?>")
_OWN_WORDS = frozenset({"event_id", "audio"})  # of a client event: not what the file says, but the client's


def sound(size: int) -> bytes:
    """The bytes that stand for so many bytes of sound."""
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def frames_of(name: str) -> list[Frame]:
    """The frames of a scenario: who sends, and what; sound is filled in."""
    lines = (FRAMES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    frames = [next(iter(json.loads(line).items())) for line in lines]
    return [(who, _with_sound(what)) for who, what in frames]


def _with_sound(event: Any) -> Any:
    match = _SOUND.fullmatch(event.get("delta", "")) if isinstance(event, dict) else None
    return {**event, "delta": base64.b64encode(sound(int(match[1]))).decode()} if match else event


def client_events(name: str) -> list[Json]:
    """What the client says in a scenario."""
    return [what for who, what in frames_of(name) if who == "client"]


class Replay:
    """A session in the middle of a scenario."""

    def __init__(self, session: RealtimeSession, frames: list[Frame]) -> None:
        self.session = session
        self.sent_types: list[str] = [event["type"] for who, event in frames if who == "server"]
        """What the service says, from beginning to end."""
        self.seen: list[Event] = []
        """What a handler of all events has seen so far."""
        session.on("*", lambda _session, event: self.seen.append(event))

    @property
    def seen_types(self) -> list[str]:
        """Types of the events that the handler has seen, without the one that ends the scenario."""
        return [event.type for event in self.seen if event.type != OVER]

    def finish(self) -> Snapshot:
        """Hear the last frame, and return what the session knows then."""
        self.session.wait_for(OVER)
        return self.session.conversation


@contextmanager
def replayed(
    name: str, aim: Callable[[ScriptedServer], Target] = target_of, *, frames: list[Frame] | None = None, **options: Any
) -> Iterator[Replay]:
    """An open session with a server that plays the scenario to it.

    Args:
        name: of the scenario.
        aim: gives the target for the server.
        frames: in place of the scenario's own.
        options: of the session.
    """
    chosen = frames_of(name) if frames is None else frames
    with ScriptedServer(_Script(chosen).play) as server:
        session = RealtimeSession(aim(server), **options)
        replay = Replay(session, chosen)
        with session:
            yield replay


class _Script:
    """The service's side of one scenario."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames
        self._event_ids: dict[str, str] = {}
        self._asked: list[Json] = []
        self._metadata: dict[str, Json] = {}

    def play(self, peer: Peer) -> None:
        peer.accept()
        for who, what in self._frames:
            if who == "server":
                peer.send_json(self._filled(what))
            elif who == "client":
                self._hear(peer.recv_json(), what)
            else:
                peer.close(what)
                peer.expect_close(echo=False)
                return
        peer.send_json({"type": OVER})
        try:
            unexpected = peer.recv_json()
        except PeerClosed:
            return
        raise AssertionError(f"the scenario was over, and the client sent {unexpected}")

    def _hear(self, event: Json, wanted: Json) -> None:
        assert _covers(event, {name: value for name, value in wanted.items() if name not in _OWN_WORDS}), (
            f"heard {event} in place of {wanted}"
        )
        if "event_id" in wanted:
            self._event_ids[wanted["event_id"]] = event["event_id"]
        if event["type"] == "response.create":
            self._asked.append(event.get("response", {}).get("metadata") or {})

    def _filled(self, event: Json) -> Json:
        if event["type"] == "error":
            error = event["error"]
            return {**event, "error": {**error, "event_id": self._event_ids.get(error["event_id"])}}
        if event["type"] in ("response.created", "response.done") and "metadata" in event["response"]:
            response = event["response"]
            return {**event, "response": {**response, "metadata": self._metadata_of(response)}}
        return event

    def _metadata_of(self, response: Json) -> Json | None:
        """What the file says and what the client asked for; null where there is neither, as the service does."""
        if response["id"] not in self._metadata:
            self._metadata[response["id"]] = self._asked.pop(0) if self._asked else {}
        return {**(response["metadata"] or {}), **self._metadata[response["id"]]} or None


def _covers(event: object, wanted: object) -> bool:
    """Whether ``event`` says all that ``wanted`` says; it may say more."""
    if isinstance(wanted, Mapping):
        return isinstance(event, Mapping) and all(
            name in event and _covers(event[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(event, list) and len(event) == len(wanted) and all(map(_covers, event, wanted))
    return event == wanted
