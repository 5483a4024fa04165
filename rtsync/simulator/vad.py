"""Is this speech? A detector that listens to energy alone, above a floor that follows the noise.

Each frame is 20 ms. The floor is the level of what is not speech: it falls at once with the sound and rises slowly, a
little even during speech, so that a noise that stays is not speech for ever. Before the floor is known, in the first
frames of a session, hiss is told from voice by its sign changes: neighbouring samples of a voice resemble each other.

Its limits: noise that comes and goes is taken for speech (a neural detector, as the service has, would not be).
"""

from __future__ import annotations

from array import array
from operator import mul

from rtsync.audio.pcm import FULL_SCALE, rms

__all__ = ["FRAME_MS", "SpeechDetector"]

FRAME_MS = 20

_LEARNING_FRAMES = 20  # 400 ms
_QUIETEST_FLOOR = 10.0  # as rms: -70 dBFS
_FALL = 0.5  # of the way, for each frame
_RISE_IN_PAUSES = 1.03  # for each frame: 4.4 times a second
_RISE_IN_SPEECH = 1.002  # 1.1 times a second
_HYSTERESIS = 0.7  # speech goes on at 3 dB less than it needs to begin
_RESEMBLANCE = 0.5  # of neighbouring samples: 0 for white noise, above 0.8 for vowels and tones


class SpeechDetector:
    """Judges frame after frame of one stream."""

    def __init__(self) -> None:
        self._floor = _QUIETEST_FLOOR
        self._heard = 0

    def is_speech(self, frame: array[int], *, threshold: float, speaking: bool) -> bool:
        """Whether ``frame``, 20 ms of samples, is speech.

        ``threshold`` is the session's, 0 to 1: at 0.5 speech has to be 9 dB above the noise and -50 dBFS loud, at 1
        it is 14 dB and -35 dBFS. ``speaking``: speech has begun and goes on more easily.
        """
        level = rms(frame)
        needed = max(_decibels(4 + 10 * threshold) * self._floor, _decibels(30 * threshold - 65) * FULL_SCALE)
        loud = level > needed * (_HYSTERESIS if speaking else 1.0)
        learning = self._heard < _LEARNING_FRAMES
        self._heard += 1
        speech = loud and not (learning and not speaking and _is_hiss(frame, level))
        self._follow(level, learning=learning, speech=speech)
        return speech

    def _follow(self, level: float, *, learning: bool, speech: bool) -> None:
        if level < self._floor:
            floor = self._floor + (level - self._floor) * _FALL
        elif learning and not speech:
            floor = level
        else:
            floor = min(level, self._floor * (_RISE_IN_SPEECH if speech else _RISE_IN_PAUSES))
        self._floor = max(_QUIETEST_FLOOR, floor)


def _decibels(value: float) -> float:
    return float(10 ** (value / 20))


def _is_hiss(frame: array[int], level: float) -> bool:
    alike = float(sum(map(mul, frame, frame[1:])))
    return alike < _RESEMBLANCE * level * level * len(frame)
