"""A voice without words: vowel-like sound of the right length for a text, always the same for the same text.

Each syllable is a soft hiss and a vowel: pulses at the voice's pitch that ring at the formants of that vowel, with the
rise and fall of a spoken syllable. Nobody will understand it, but it has a speaker's rhythm, pauses and spectrum:
detectors take it for speech, meters move, and a player can be tested by ear.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from array import array
from collections.abc import Iterator
from typing import Any

from rtsync.audio.formats import FORMATS, PCM16, AudioFormat
from rtsync.audio.pcm import lower_rate, pcm_bytes

__all__ = ["Speaker", "Speech"]

_RATE = PCM16.sample_rate
_SYLLABLE_MS = 200
_HISS_SHARE = 0.25
_PAUSES_MS = {",": 120, ";": 120, ":": 120, "—": 120, "\n": 120, ".": 240, "!": 240, "?": 240, "…": 240}
_STEP_MS = 10  # durations are multiples of it, so that every sample rate comes out even

# First three formants in Hz of a neutral speaker.
_FORMANTS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
_GAINS = (1.0, 0.5, 0.2)
_DAMPING = 90.0  # Hz, the bandwidth of the formants
_PEAK = 14000
_PITCHES = {
    "alloy": 130, "ash": 105, "ballad": 115, "coral": 190, "echo": 100,
    "sage": 175, "shimmer": 205, "verse": 120, "marin": 185, "cedar": 95,
}  # fmt: skip
_CHUNKS_MS = (100, 150, 250)  # as seen on Azure (protocol 3.5); the last one repeats

_SYLLABLE = re.compile(r"[^aeiouy]*[aeiouy]+")
_LETTERS_OF_A_SYLLABLE = 3  # where a script writes no vowels that we know


class Speaker:
    """Says texts in one voice and one format.

    Args:
        voice: name, or a custom voice's object; each has its own pitch.
        speed: 1.0 is five syllables a second.
        form: of the bytes that ``say`` gives.
    """

    def __init__(self, voice: Any = "alloy", speed: float = 1.0, form: AudioFormat = PCM16) -> None:
        self.form = form
        self._pitch = _pitch(voice)
        self._speed = speed

    def say(self, text: str) -> bytes:
        """The sound of ``text``."""
        return b"".join(
            _sound(vowel, self._pitch, self._length_ms(ms), self.form.name) for vowel, ms in _segments(text)
        )

    def duration_ms(self, text: str) -> int:
        """How long ``say(text)`` is."""
        return sum(self._length_ms(ms) for _, ms in _segments(text))

    def _length_ms(self, ms: int) -> int:
        return max(_STEP_MS, round(ms / self._speed / _STEP_MS) * _STEP_MS)


class Speech:
    """One spoken text as it goes over the wire: said piece by piece, sent in the service's chunk sizes."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self._waiting = bytearray()
        self._sent: list[bytes] = []

    @property
    def form(self) -> AudioFormat:
        """The format of its bytes."""
        return self._speaker.form

    @property
    def sent(self) -> bytes:
        """What has been given out so far."""
        return b"".join(self._sent)

    @property
    def sent_ms(self) -> int:
        """The length of ``sent``."""
        return self.form.duration_ms(sum(map(len, self._sent)))

    @property
    def spoken_ms(self) -> int:
        """The length of what has been given out and of what waits."""
        return self.sent_ms + self.form.duration_ms(len(self._waiting))

    def say(self, text: str) -> list[bytes]:
        """Speak ``text``; the chunks that are full now."""
        return self.feed(self._speaker.say(text))

    def feed(self, sound: bytes) -> list[bytes]:
        """Take sound that another voice made, in this format; the chunks that are full now."""
        self._waiting += sound
        chunks = []
        while len(self._waiting) >= (size := self._next_size()):
            chunks.append(self._take(size))
        return chunks

    def rest(self) -> list[bytes]:
        """What is left at the end, shorter than a chunk."""
        return [self._take(len(self._waiting))] if self._waiting else []

    def _next_size(self) -> int:
        return _CHUNKS_MS[min(len(self._sent), len(_CHUNKS_MS) - 1)] * self.form.bytes_per_ms

    def _take(self, size: int) -> bytes:
        chunk = bytes(self._waiting[:size])
        del self._waiting[:size]
        self._sent.append(chunk)
        return chunk


def _pitch(voice: Any) -> int:
    named = voice["id"] if isinstance(voice, dict) else str(voice)
    return _PITCHES.get(named) or 95 + sum(named.encode()) % 110


def _segments(text: str) -> Iterator[tuple[str, int]]:
    """The vowels and pauses (vowel ``""``) of ``text``, each with its length in ms at speed 1."""
    for word in re.findall(r"[^\W\d_]+|\d|[^\w ]", text):
        if word in _PAUSES_MS:
            yield "", _PAUSES_MS[word]
        elif word.isalnum():
            yield from ((vowel, _SYLLABLE_MS) for vowel in _vowels(word))


@functools.lru_cache(maxsize=4096)
def _vowels(word: str) -> str:
    plain = unicodedata.normalize("NFD", word.lower())
    found = _SYLLABLE.findall(plain)
    if found:
        return "".join(syllable[-1].replace("y", "i") for syllable in found)
    vowels = "aeiou"
    return "".join(vowels[ord(word[at]) % len(vowels)] for at in range(0, len(word), _LETTERS_OF_A_SYLLABLE))


@functools.lru_cache(maxsize=512)
def _sound(vowel: str, pitch: int, length_ms: int, form: str) -> bytes:
    """A syllable on ``vowel``, or silence, in the format of that name."""
    wanted = FORMATS[form]
    count = length_ms * _RATE // 1000
    pcm = pcm_bytes(_syllable(vowel, pitch, count) if vowel else array("h", bytes(2 * count)))
    return wanted.from_pcm(lower_rate(pcm, _RATE // wanted.sample_rate) if wanted.sample_rate != _RATE else pcm)


def _syllable(vowel: str, pitch: int, count: int) -> array[int]:
    hiss = int(count * _HISS_SHARE)
    values = array("h", _hiss(hiss))
    values.extend(_vowel(vowel, pitch, count - hiss))
    return values


def _hiss(count: int) -> Iterator[int]:
    """A breath before the vowel: noise from a fixed row of numbers, swelling from nothing."""
    state = 1
    for at in range(count):
        state = (1103515245 * state + 12345) & 0x7FFFFFFF
        yield ((state >> 16) % 1201 - 600) * at // count


def _vowel(vowel: str, pitch: int, count: int) -> Iterator[int]:
    pulse = _pulse(vowel, _RATE // pitch)
    for at in range(count):
        # Half a sine over the syllable, flattened: a quick rise, a body, a fall.
        swell = min(1.0, 1.6 * math.sin(math.pi * (at + 0.5) / count))
        yield int(pulse[at % len(pulse)] * swell)


@functools.lru_cache(maxsize=128)
def _pulse(vowel: str, period: int) -> tuple[float, ...]:
    """One period of the voice: the formants ring and die away."""
    ringing = [_ringing(vowel, at / _RATE) for at in range(period)]
    highest = max(map(abs, ringing))
    mean = sum(ringing) / period
    return tuple((value - mean) * _PEAK / highest for value in ringing)


def _ringing(vowel: str, seconds: float) -> float:
    fading = math.exp(-math.pi * _DAMPING * seconds)
    formants = zip(_FORMANTS[vowel], _GAINS, strict=True)
    return fading * sum(gain * math.sin(2 * math.pi * hz * seconds) for hz, gain in formants)
