"""Is this speech? A detector that listens to energy alone, above a floor that follows the noise.

Each frame is 20 ms. The floor is the level of what is not speech: it falls at once with the sound and rises slowly, a
little even during speech, so that a noise that stays is not speech for ever. Before the floor is known, in the first
frames of a session, hiss is told from voice by its sign changes: neighbouring samples of a voice resemble each other.

Its limits: noise that comes and goes is taken for speech (a neural detector, as the service has, would not be).
"""

from __future__ import annotations

import enum
from array import array
from operator import mul
from typing import Protocol

from rtsync.audio.pcm import FULL_SCALE, rms

__all__ = ["FRAME_MS", "Detector", "Heard", "SpeechDetector", "is_hiss"]

FRAME_MS = 20

_LEARNING_FRAMES = 20  # 400 ms
_QUIETEST_FLOOR = 10.0  # as rms: -70 dBFS
_FALL = 0.5  # of the way, for each frame
_RISE_IN_PAUSES = 1.03  # for each frame: 4.4 times a second
_RISE_IN_SPEECH = 1.002  # 1.1 times a second
_HYSTERESIS = 0.7  # speech goes on at 3 dB less than it needs to begin
_RESEMBLANCE = 0.5  # of neighbouring samples: 0 for white noise, above 0.8 for vowels and tones


class Heard(enum.IntEnum):
    """What a frame is."""

    NOTHING = 0
    PERHAPS = 1
    """It may belong to speech that begins a moment later."""
    SPEECH = 2


class Detector(Protocol):
    """Judges frame after frame of one stream."""

    lookback_frames: int
    """How many frames before those that made it sure may belong to speech too, where it heard it perhaps."""

    def hear(self, frame: array[int], *, threshold: float, speaking: bool) -> Heard:
        """What ``frame``, 20 ms of samples, is. ``threshold`` is the session's; ``speaking``: speech has begun."""
        ...


class SpeechDetector:
    """Judges frame after frame of one stream, by energy: always the same for the same samples."""

    lookback_frames = 0

    def __init__(self) -> None:
        self._floor = _QUIETEST_FLOOR
        self._heard = 0

    def hear(self, frame: array[int], *, threshold: float, speaking: bool) -> Heard:
        """What ``frame``, 20 ms of samples, is: speech or nothing.

        ``threshold`` is the session's, 0 to 1: at 0.5 speech has to be 9 dB above the noise and -50 dBFS loud, at 1
        it is 14 dB and -35 dBFS. ``speaking``: speech has begun and goes on more easily.
        """
        level = rms(frame)
        needed = max(_decibels(4 + 10 * threshold) * self._floor, _decibels(30 * threshold - 65) * FULL_SCALE)
        loud = level > needed * (_HYSTERESIS if speaking else 1.0)
        learning = self._heard < _LEARNING_FRAMES
        self._heard += 1
        speech = loud and not (learning and not speaking and is_hiss(frame, level))
        self._follow(level, learning=learning, speech=speech)
        return Heard.SPEECH if speech else Heard.NOTHING

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


def is_hiss(frame: array[int], level: float) -> bool:
    """Whether ``frame``, of this ``rms``, has the sign changes of noise."""
    alike = float(sum(map(mul, frame, frame[1:])))
    return alike < _RESEMBLANCE * level * level * len(frame)
