"""The input audio buffer, and the turns that the service hears in it (protocol 2, 3.5, 4.2).

Theory
------
1. Time is counted in samples: every offset is the number of milliseconds appended since the session began. No clock is
   asked, so the same audio gives the same events however it is cut into appends and however fast it comes.
2. The buffer holds what was not committed yet. The detector reads it in frames of 20 ms; what is shorter waits.
3. Speech begins with three frames of speech among four, or before them, where the detector looks back: a soft
   consonant is known by the vowel that follows. Its start is put back by the prefix padding, not beyond the beginning
   of the buffer. It ends when no frame has been speech for the silence that the session asks for.
4. The id of the item is made when speech begins, and stays with whatever is committed next, by VAD or by hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rtsync.audio.formats import AudioFormat
from rtsync.audio.pcm import samples
from rtsync.simulator.ids import new_id
from rtsync.simulator.refusals import Refused
from rtsync.simulator.schema import audio_bytes
from rtsync.simulator.vad import FRAME_MS, Detector, Heard, SpeechDetector

__all__ = ["Commit", "Happening", "IdleTimeout", "InputAudio", "SpeechStarted", "SpeechStopped", "read_chunk"]

_LARGEST_CHUNK = 15 << 20
_SHORTEST_COMMIT_MS = 100
# An hour of speech is 172 MB; nobody commits that, but a client may stream for hours and never commit.
_LONGEST_KEPT = 64 << 20
_ONSET_FRAMES = 4
_SPEECH_AT_ONSET = 3
_LONGEST_GAP = 3  # frames of nothing that do not part what is heard perhaps from the speech after it: a closed mouth
_PREFIX_MS = 300
_THRESHOLD = 0.5
# The service judges by meaning whether the speaker has finished, and waits 2, 4 or 8 seconds at most. The simulator
# cannot judge: it waits a quarter of that, always.
_EAGERNESS_MS = {"high": 500, "medium": 1000, "auto": 1000, "low": 2000}


@dataclass(frozen=True)
class Commit:
    """Audio that leaves the buffer and becomes the item ``item_id``."""

    item_id: str
    audio: bytes


@dataclass(frozen=True)
class SpeechStarted:
    """Speech began at ``audio_start_ms``, prefix padding included."""

    item_id: str
    audio_start_ms: int


@dataclass(frozen=True)
class SpeechStopped:
    """The turn ended at ``audio_end_ms``, the silence that ended it included."""

    audio_end_ms: int
    commit: Commit


@dataclass(frozen=True)
class IdleTimeout:
    """Nobody spoke for the session's ``idle_timeout_ms`` after the last answer was played."""

    audio_start_ms: int
    audio_end_ms: int
    commit: Commit


Happening = SpeechStarted | SpeechStopped | IdleTimeout


def read_chunk(text: str) -> bytes:
    """The bytes of an append.

    Raises:
        Refused: not base64, or more than 15 MiB at once.
    """
    chunk = audio_bytes(text, "audio")
    if len(chunk) > _LARGEST_CHUNK:
        message = f"Invalid 'audio': at most {_LARGEST_CHUNK} bytes are accepted at once, but got {len(chunk)}."
        raise Refused("invalid_value", message, param="audio")
    return chunk


class InputAudio:
    """What was appended and not yet committed, and who speaks in it. Raw bytes of the session's input format.

    Args:
        form: the session's input format.
        detector: judges what is speech; the built-in one unless given.
    """

    def __init__(self, form: AudioFormat, detector: Detector | None = None) -> None:
        self._form = form
        self._bytes = bytearray()
        self._unheard = 0  # bytes at the end that make no whole frame
        self._heard_ms = 0  # offset of the first of them
        self._detector = SpeechDetector() if detector is None else detector
        self._turn: _Turn | None = None
        self._item_id: str | None = None
        self._recent: deque[Heard] = deque(maxlen=_ONSET_FRAMES + self._detector.lookback_frames)
        self._idle_from_ms: int | None = None

    @property
    def position_ms(self) -> int:
        """How much has been appended since the session began."""
        return self._heard_ms + self._form.duration_ms(self._unheard)

    def change_format(self, form: AudioFormat) -> None:
        """From now on the bytes are of ``form``; those in the buffer are not converted."""
        if form is not self._form:
            self._heard_ms, self._unheard = self.position_ms, 0
            self._form = form
            self._forget_turn()

    def append(self, chunk: bytes, detection: Mapping[str, Any] | None) -> Iterator[Happening]:
        """Add ``chunk`` and listen to it as ``turn_detection`` says; the oldest audio goes when 64 MiB are held.

        What happens is to be dealt with one by one, before the next is asked for.
        """
        self._bytes += chunk
        self._unheard += len(chunk)
        del self._bytes[: max(0, len(self._bytes) - _LONGEST_KEPT)]
        self._unheard = min(self._unheard, len(self._bytes))
        if detection is None:
            self._forget_turn()
        yield from self._listen(detection)

    def await_user(self, played_until_ms: int) -> None:
        """An answer has ended; it will have been played at this offset. From there the idle time counts."""
        self._idle_from_ms = max(played_until_ms, self.position_ms)

    def stop_awaiting(self) -> None:
        """A new answer begins: no idle time counts."""
        self._idle_from_ms = None

    def clear(self) -> None:
        """Forget what was appended, and who was speaking."""
        self._keep_from(len(self._bytes))
        self._forget_turn()
        self._item_id = None

    def commit(self) -> Commit:
        """Take everything out. Speech that had begun gives the item its id.

        Raises:
            Refused: less than 100 ms.
        """
        length_ms = len(self._bytes) / self._form.bytes_per_ms
        if length_ms < _SHORTEST_COMMIT_MS:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {length_ms:.2f}ms of audio."
            )
            raise Refused("input_audio_buffer_commit_empty", message)
        self._forget_turn()
        return self._taken(0, len(self._bytes))

    def _listen(self, detection: Mapping[str, Any] | None) -> Iterator[Happening]:
        size = FRAME_MS * self._form.bytes_per_ms
        while self._unheard >= size:
            start = len(self._bytes) - self._unheard
            frame = bytes(self._bytes[start : start + size])
            self._unheard -= size
            self._heard_ms += FRAME_MS
            if detection is not None:
                yield from self._hear(frame, detection)

    def _hear(self, frame: bytes, detection: Mapping[str, Any]) -> Iterator[Happening]:
        heard = self._detector.hear(
            samples(self._form.to_pcm(frame)),
            threshold=detection.get("threshold", _THRESHOLD),
            speaking=self._turn is not None,
        )
        if self._turn is None:
            yield from self._await_speech(heard, detection)
        elif heard is Heard.SPEECH:
            self._turn.last_speech_ms = self._heard_ms
        elif self._heard_ms - self._turn.last_speech_ms >= _silence_ms(detection):
            yield self._end_turn(self._turn, _silence_ms(detection))

    def _await_speech(self, heard: Heard, detection: Mapping[str, Any]) -> Iterator[Happening]:
        self._recent.append(heard)
        idle_ms = detection.get("idle_timeout_ms")
        if heard is Heard.SPEECH and self._onset().count(Heard.SPEECH) >= _SPEECH_AT_ONSET:
            yield self._begin_turn(detection.get("prefix_padding_ms", _PREFIX_MS))
        elif idle_ms is not None and self._idle_from_ms is not None and self._heard_ms - self._idle_from_ms >= idle_ms:
            yield self._time_out(self._idle_from_ms)

    def _onset(self) -> list[Heard]:
        return list(self._recent)[-_ONSET_FRAMES:]

    def _begin_turn(self, prefix_ms: int) -> SpeechStarted:
        start_ms = max(self._heard_ms - self._frames_of_onset() * FRAME_MS - prefix_ms, self._oldest_ms)
        self._turn = _Turn(start_ms, self._heard_ms)
        self._item_id = self._item_id or new_id("item")
        self._idle_from_ms = None
        return SpeechStarted(self._item_id, start_ms)

    def _frames_of_onset(self) -> int:
        """How many frames ago the speech began that has just become certain."""
        onset = self._onset()
        frames = certain = len(onset) - onset.index(Heard.SPEECH)
        for ago, heard in enumerate(reversed(list(self._recent)[:-certain]), certain + 1):
            if heard is not Heard.NOTHING and self._detector.lookback_frames:
                frames = ago
            elif ago - frames > _LONGEST_GAP:
                break
        return frames

    def _end_turn(self, turn: _Turn, silence_ms: int) -> SpeechStopped:
        end_ms = min(turn.last_speech_ms + silence_ms, self._heard_ms)
        commit = self._taken(self._index_at(turn.start_ms), self._index_at(end_ms))
        self._forget_turn()
        return SpeechStopped(end_ms, commit)

    def _time_out(self, since_ms: int) -> IdleTimeout:
        self._idle_from_ms = None
        commit = self._taken(self._index_at(since_ms), self._index_at(self._heard_ms))
        return IdleTimeout(since_ms, self._heard_ms, commit)

    @property
    def _oldest_ms(self) -> int:
        """The offset of the first byte in the buffer."""
        heard = len(self._bytes) - self._unheard
        return self._heard_ms - self._form.duration_ms(heard)

    def _index_at(self, offset_ms: int) -> int:
        """Where in the buffer the audio of this offset begins."""
        heard = len(self._bytes) - self._unheard
        return max(0, heard - (self._heard_ms - offset_ms) * self._form.bytes_per_ms)

    def _taken(self, start: int, end: int) -> Commit:
        """The audio between two places in the buffer; what lies before it is dropped."""
        item_id, self._item_id = self._item_id or new_id("item"), None
        commit = Commit(item_id, bytes(self._bytes[start:end]))
        self._keep_from(end)
        return commit

    def _keep_from(self, index: int) -> None:
        del self._bytes[:index]
        if self._unheard > len(self._bytes):  # part of a frame goes with the rest
            self._heard_ms = self.position_ms
            self._unheard = 0

    def _forget_turn(self) -> None:
        self._turn = None
        self._recent.clear()


@dataclass
class _Turn:
    """Speech that goes on."""

    start_ms: int
    last_speech_ms: int


def _silence_ms(detection: Mapping[str, Any]) -> int:
    if detection["type"] == "semantic_vad":
        return _EAGERNESS_MS[detection["eagerness"]]
    return int(detection["silence_duration_ms"])
