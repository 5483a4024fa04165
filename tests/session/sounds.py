"""A service that collects what is said to it, and sounds to say."""

from __future__ import annotations

import base64
from array import array
from typing import Any

from rtsync.audio import PCM16, AudioFormat
from tests.session.service import Json, Service

__all__ = ["Listener", "counting", "detection", "input_audio"]


def input_audio(form: Any = None, turn_detection: Json | None = None) -> Json:
    """`audio` of a session that hears `form`."""
    return {"input": {"format": form or {"type": "audio/pcm", "rate": 24_000}, "turn_detection": turn_detection}}


def detection(**fields: Any) -> Json:
    return {"type": "server_vad", "silence_duration_ms": 500, **fields}


def counting(duration_ms: int, form: AudioFormat = PCM16) -> bytes:
    """Samples of which no two neighbours are alike, so that one that is missing or comes twice is seen."""
    count = form.byte_count(duration_ms) // form.sample_bytes
    if form is not PCM16:
        return bytes(number % 251 for number in range(count))
    return array("h", [number % 30_011 for number in range(count)]).tobytes()


class Listener:
    """An answer for `Service`: takes appends in, and confirms commits."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    @property
    def heard(self) -> bytes:
        return b"".join(self.chunks)

    def __call__(self, service: Service, event: Json) -> None:
        if event["type"] == "input_audio_buffer.append":
            self.chunks.append(base64.b64decode(event["audio"]))
        elif event["type"] == "input_audio_buffer.commit":
            service.say({"type": "input_audio_buffer.committed", "item_id": "item_1", "previous_item_id": None})
