"""What the user said, as events: deltas, the whole, usage in both forms, or the failure (protocol 3.5, 4.6, 5.2).

The words come from the simulator's ears (``ears.py``).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rtsync.audio.formats import audio_format
from rtsync.simulator.usage import heard_tokens, pieces, tokens

__all__ = ["Recording", "Transcriber", "failed", "transcribed"]

Event = dict[str, Any]
Transcriber = Callable[[bytes, int], str]

_KIND = "conversation.item.input_audio_transcription"
_WHOLE_AT_ONCE = "whisper-1"
_DIARIZING = "diarize"
_LOGPROB = -0.01


@dataclass(frozen=True)
class Recording:
    """Audio of one content part, waiting to be transcribed.

    Attributes:
        item_id: of its item.
        content_index: of the part.
        audio: base64, as items hold it.
        form: name of its format.
        settings: the session's ``transcription`` when it was committed; None when only the brain listens.
        logprobs: whether ``include`` asks for them.
    """

    item_id: str
    content_index: int
    audio: str
    form: str
    settings: Mapping[str, Any] | None = None
    logprobs: bool = False

    def words(self, transcriber: Transcriber) -> str:
        """What the transcriber hears in it."""
        form = audio_format(self.form)
        return transcriber(form.to_pcm(base64.b64decode(self.audio)), form.sample_rate)

    @property
    def duration_ms(self) -> int:
        """How long it is."""
        return audio_format(self.form).duration_ms(len(self.audio) * 3 // 4)

    @property
    def model(self) -> str:
        """The transcription model asked for."""
        return str((self.settings or {}).get("model") or "")

    @property
    def place(self) -> dict[str, Any]:
        """Where its events say that it stands."""
        return {"item_id": self.item_id, "content_index": self.content_index}


def transcribed(recording: Recording, text: str) -> list[Event]:
    """The events of a transcription that succeeded."""
    parts = [text] if recording.model == _WHOLE_AT_ONCE else pieces(text)
    deltas = [_event(recording, "delta", [part], delta=part) for part in parts]
    whole = _event(recording, "completed", parts, transcript=text, usage=_usage(recording, text))
    return [*deltas, *_segments(recording, text), whole]


def failed(recording: Recording, message: str) -> list[Event]:
    """The event of a transcription that failed."""
    error = {"type": "transcription_error", "code": "audio_unintelligible", "message": message, "param": None}
    return [{"type": f"{_KIND}.failed", **recording.place, "error": error}]


def _event(recording: Recording, step: str, parts: list[str], **fields: Any) -> Event:
    event = {"type": f"{_KIND}.{step}", **recording.place, **fields}
    if recording.logprobs:
        event["logprobs"] = [
            {"token": part, "logprob": _LOGPROB, "bytes": list(part.encode("utf-8", "replace"))} for part in parts
        ]
    return event


def _segments(recording: Recording, text: str) -> Iterator[Event]:
    """One speaker, from beginning to end: the diarising models tell who spoke when."""
    if _DIARIZING in recording.model:
        span = {"start": 0.0, "end": recording.duration_ms / 1000}
        yield {"type": f"{_KIND}.segment", **recording.place, "id": "seg_0", "text": text, "speaker": "A", **span}


def _usage(recording: Recording, text: str) -> dict[str, Any]:
    if recording.model == _WHOLE_AT_ONCE:
        return {"type": "duration", "seconds": recording.duration_ms / 1000}
    heard, written = heard_tokens(recording.duration_ms), tokens(text)
    return {
        "type": "tokens",
        "total_tokens": heard + written,
        "input_tokens": heard,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        "output_tokens": written,
    }
