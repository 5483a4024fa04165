"""What the load server sends: events in the service's order and shapes (protocol 3.5), as frames made beforehand.

Ids fit together, so that whoever keeps state has it to keep: items, content, responses and usage grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

__all__ = ["AUDIO_DELTA", "LOADS", "MARK", "REQUEST", "TEXT_DELTA", "Load", "bursts", "frame", "greeting", "stream"]

REQUEST = b"input_audio_buffer.clear"  # What a client asks for the next burst with,
MARK = "input_audio_buffer.cleared"  # and what ends the burst: its honest answer.

TEXT_DELTA = "response.output_text.delta"
AUDIO_DELTA = "response.output_audio.delta"
_SMALL = 246  # bytes of a text delta, as on the wire
_AUDIO = 6400  # characters of base64: 100 ms of pcm16 at 24 kHz
_LARGE = 1_000_000
_STAMP = "9" * 20  # Room for nanoseconds of the monotonic clock.

_encode = msgspec.json.encode
Events = Iterator[dict[str, Any]]


class Load(msgspec.Struct, frozen=True):
    """A kind of traffic.

    Attributes:
        title: for people.
        handled: the type of event that the one handler is for.
        events: how many deltas a burst holds.
        turn: deltas of one response.
    """

    title: str
    handled: str
    events: int
    turn: int


LOADS = {
    "text": Load("text deltas of 246 B", TEXT_DELTA, 20_000, 500),
    "audio": Load("audio deltas of 6.4 kB", AUDIO_DELTA, 5_000, 100),
    "large": Load("events of 1 MB", AUDIO_DELTA, 60, 10),
    "voice": Load("voice turns, speech to response.done", AUDIO_DELTA, 4_000, 40),
}


def frame(payload: bytes) -> bytes:
    """A whole text frame as a server sends it: not masked."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def greeting() -> bytes:
    """``session.created``."""
    session = {
        "type": "realtime", "object": "realtime.session", "id": "sess_" + "0" * 21, "model": "gpt-realtime",
        "output_modalities": ["audio"], "instructions": "", "tools": [], "tool_choice": "auto",
        "max_output_tokens": "inf", "tracing": None, "truncation": "auto", "prompt": None, "expires_at": 4102444800,
        "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": None},
                  "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0}},
    }  # fmt: skip
    return frame(_encode({"type": "session.created", "event_id": "event_" + "0" * 21, "session": session}))


class Dialogue:
    """The events of one session, in order."""

    def __init__(self) -> None:
        self._events = 0
        self._turns = 0
        self._last: str | None = None

    def mark(self) -> dict[str, Any]:
        return self._event(MARK)

    def text_turn(self, deltas: int) -> Events:
        """A response in text."""
        place, begin = self._begin_response({"type": "text", "text": ""}, ["text"])
        yield from begin
        words = [" hello"] * deltas
        for word in words:
            yield self._padded(TEXT_DELTA, place, word)
        said = "".join(words)
        yield self._event("response.output_text.done", **place, text=said)
        yield from self._end_response(place, {"type": "text", "text": said}, {"type": "output_text", "text": said})

    def audio_turn(self, deltas: int, size: int = _AUDIO, transcript: bool = False) -> Events:
        """A response in audio, with a piece of transcript before each piece of audio where asked for."""
        place, begin = self._begin_response({"type": "audio", "transcript": ""}, ["audio"])
        yield from begin
        audio = ("UklGRiQA" * (size // 8 + 1))[:size]
        for _ in range(deltas):
            if transcript:
                yield self._padded("response.output_audio_transcript.delta", place, " hello")
            yield self._event(AUDIO_DELTA, **place, delta=audio)
        said = " hello" * deltas if transcript else ""
        yield self._event("response.output_audio.done", **place)
        yield self._event("response.output_audio_transcript.done", **place, transcript=said)
        spoken = {"type": "audio", "transcript": said}
        yield from self._end_response(place, spoken, {"type": "output_audio", "transcript": said})

    def voice_turn(self, deltas: int) -> Events:
        """Somebody speaks, is transcribed, and is answered."""
        item_id = f"item_U{self._turns:020d}"
        yield self._event("input_audio_buffer.speech_started", audio_start_ms=1236, item_id=item_id)
        yield self._event("input_audio_buffer.speech_stopped", audio_end_ms=3808, item_id=item_id)
        yield self._event("input_audio_buffer.committed", previous_item_id=self._last, item_id=item_id)
        yield from self.item(item_id)
        transcription = "conversation.item.input_audio_transcription"
        yield self._event(f"{transcription}.delta", item_id=item_id, content_index=0, delta="What is new?")
        yield self._event(f"{transcription}.completed", item_id=item_id, content_index=0, transcript="What is new?")
        yield from self.audio_turn(deltas, transcript=True)

    def item(self, item_id: str | None = None) -> Events:
        """An item of the user's, behind the last one."""
        item_id = item_id or f"item_U{self._events:020d}"
        content = [{"type": "input_audio", "transcript": None}]
        item = {"id": item_id, "type": "message", "status": "completed", "role": "user", "content": content}
        yield self._event("conversation.item.added", previous_item_id=self._last, item=item)
        yield self._event("conversation.item.done", previous_item_id=self._last, item=item)
        self._last = item_id

    def response(self) -> Events:
        """A response that said nothing."""
        self._turns += 1
        response_id = f"resp_{self._turns:021d}"
        for kind, status in (("response.created", "in_progress"), ("response.done", "completed")):
            yield self._event(kind, response=_response(response_id, status, [], ["text"]))

    def stamped(self) -> tuple[Events, dict[str, Any]]:
        """The beginning of a response, and a delta of it with room for the time of its sending."""
        place, begin = self._begin_response({"type": "text", "text": ""}, ["text"])
        return begin, self._event(TEXT_DELTA, **place, delta=_STAMP, obfuscation="0" * 8)

    def _begin_response(self, part: dict[str, Any], modalities: list[str]) -> tuple[dict[str, Any], Events]:
        """Where the deltas of the next response belong, and the events before them."""
        self._turns += 1
        place = {
            "response_id": f"resp_{self._turns:021d}",
            "item_id": f"item_{self._turns:021d}",
            "output_index": 0,
            "content_index": 0,
        }
        return place, self._beginning(place, part, modalities)

    def _beginning(self, place: dict[str, Any], part: dict[str, Any], modalities: list[str]) -> Events:
        item = {"id": place["item_id"], "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        response = _response(place["response_id"], "in_progress", [], modalities)
        yield self._event("response.created", response=response)
        yield self._event("response.output_item.added", response_id=place["response_id"], output_index=0, item=item)
        yield self._event("conversation.item.added", previous_item_id=self._last, item=item)
        yield self._event("response.content_part.added", **place, part=part)

    def _end_response(self, place: dict[str, Any], part: dict[str, Any], content: dict[str, Any]) -> Events:
        yield self._event("response.content_part.done", **place, part=part)
        item = {
            "id": place["item_id"], "type": "message", "status": "completed", "role": "assistant", "content": [content],
        }  # fmt: skip
        yield self._event("conversation.item.done", previous_item_id=self._last, item=item)
        yield self._event("response.output_item.done", response_id=place["response_id"], output_index=0, item=item)
        modalities = ["text" if content["type"] == "output_text" else "audio"]
        yield self._event("response.done", response=_response(place["response_id"], "completed", [item], modalities))
        limit = {"name": "tokens", "limit": 40000, "remaining": 39873, "reset_seconds": 0.5}
        yield self._event("rate_limits.updated", rate_limits=[limit])
        self._last = place["item_id"]

    def _padded(self, kind: str, place: dict[str, Any], delta: str) -> dict[str, Any]:
        """A delta of 246 bytes, which the service's ``obfuscation`` fills up."""
        event = self._event(kind, **place, delta=delta, obfuscation="")
        event["obfuscation"] = "x" * (_SMALL - len(_encode(event)))
        return event

    def _event(self, kind: str, **fields: Any) -> dict[str, Any]:
        self._events += 1
        return {"type": kind, "event_id": f"event_{self._events:021d}", **fields}


def _response(response_id: str, status: str, output: list[Any], modalities: list[str]) -> dict[str, Any]:
    details = {"text_tokens": 120, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 64}
    usage = {
        "total_tokens": 127, "input_tokens": 120, "output_tokens": 7, "input_token_details": details,
        "output_token_details": {"text_tokens": 7, "audio_tokens": 0},
    }  # fmt: skip
    return {
        "object": "realtime.response", "id": response_id, "status": status, "status_details": None, "output": output,
        "conversation_id": "conv_" + "0" * 21, "output_modalities": modalities, "max_output_tokens": "inf",
        "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy"}},
        "usage": usage if status == "completed" else None, "metadata": None,
    }  # fmt: skip


def _turns(dialogue: Dialogue, load: str, deltas: int) -> Events:
    settings = LOADS[load]
    make: dict[str, Callable[[int], Events]] = {
        "text": dialogue.text_turn,
        "audio": dialogue.audio_turn,
        "large": lambda count: dialogue.audio_turn(count, _LARGE),
        "voice": dialogue.voice_turn,
    }
    for _ in range(0, deltas, settings.turn):
        count = min(settings.turn, deltas)
        deltas -= count
        yield from make[load](count)


def _frames(events: Iterable[dict[str, Any]], mark: dict[str, Any]) -> tuple[bytes, int]:
    """The events and then the mark as one piece of bytes, and how many they are."""
    made = [frame(_encode(event)) for event in events]
    return b"".join([*made, frame(_encode(mark))]), len(made) + 1


def bursts(load: str, deltas: int, *, items: int = 0, responses: int = 0) -> list[tuple[bytes, int]]:
    """What is sent at each request, and how many events that is: growth where asked for, a warm-up, what is measured.

    Without ``deltas`` there is the mark alone.
    """
    dialogue = Dialogue()
    found: list[tuple[bytes, int]] = []
    if items or responses:
        past = [event for _ in range(items) for event in dialogue.item()]
        past += [event for _ in range(responses) for event in dialogue.response()]
        found.append(_frames(past, dialogue.mark()))
    if deltas:
        found.append(_frames(_turns(dialogue, load, max(1, deltas // 10)), dialogue.mark()))
    found.append(_frames(_turns(dialogue, load, deltas), dialogue.mark()))
    return found


def stream() -> tuple[bytes, Callable[[int], bytes]]:
    """How a session of many begins, and what makes a delta of it that was sent at a given moment (nanoseconds)."""
    begin, delta = Dialogue().stamped()
    before, after = frame(_encode(delta)).split(_STAMP.encode())
    return b"".join(frame(_encode(event)) for event in begin), lambda now: b"%b%020d%b" % (before, now, after)
