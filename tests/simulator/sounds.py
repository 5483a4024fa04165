"""Made sound: the simulator's own voice as speech, silence, and noise from a fixed row of numbers."""

from __future__ import annotations

import base64
import functools
import random
from array import array

from rtsync.audio.formats import PCM16, AudioFormat
from rtsync.audio.pcm import FULL_SCALE, pcm_bytes, samples
from rtsync.simulator.voice import Speaker

WORDS = "Good morning to everybody in this room"


def speech(text: str = WORDS, form: AudioFormat = PCM16, voice: str = "ash") -> bytes:
    """Somebody says `text`, without a pause."""
    return Speaker(voice, form=form).say(text)


def silence(duration_ms: int, form: AudioFormat = PCM16) -> bytes:
    return form.from_pcm(bytes(2 * duration_ms * form.sample_rate // 1000))


def noise(duration_ms: int, decibels: float, seed: int = 1) -> bytes:
    """White noise of this level below full scale, 24 kHz PCM."""
    level = FULL_SCALE * 10 ** (decibels / 20)
    return pcm_bytes(array("h", [int(value * level) for value in _gaussian(duration_ms * 24, seed)]))


@functools.cache
def _gaussian(count: int, seed: int) -> list[float]:
    made = random.Random(seed)
    return [made.gauss(0, 1) for _ in range(count)]


def mixed(one: bytes, other: bytes) -> bytes:
    """Both at once, as long as the first."""
    background = samples(other)
    loudest = FULL_SCALE - 1
    sums = [max(-loudest, min(loudest, a + background[at])) for at, a in enumerate(samples(one))]
    return pcm_bytes(array("h", sums))


def coded(audio: bytes) -> str:
    return base64.b64encode(audio).decode()
