"""WAV files for the command to read: real words, silence."""

from __future__ import annotations

from pathlib import Path

from rtsync.audio import PCM16, resample, write_wav
from tests.simulator.spoken import Spoken, spoken

__all__ = ["said", "silent", "two_sentences"]


def said(path: Path, words: str, *, sample_rate: int = PCM16.sample_rate) -> Spoken:
    """A WAV in which somebody says `words`; and where in it they are."""
    sound = spoken(words).between(500, 300)
    write_wav(path, resample(sound.pcm, PCM16.sample_rate, sample_rate), sample_rate=sample_rate)
    return sound


def two_sentences(path: Path, first: str, second: str) -> tuple[Spoken, Spoken]:
    """A WAV with two turns, two seconds apart; and where each is."""
    one = spoken(first).between(500, 2000)
    begins_ms = PCM16.duration_ms(len(one.pcm))
    two = spoken(second)
    write_wav(path, one.pcm + two.pcm)
    return one, Spoken(two.pcm, begins_ms + two.start_ms, begins_ms + two.end_ms)


def silent(path: Path, duration_ms: int = 1500) -> Path:
    write_wav(path, PCM16.silence(duration_ms))
    return path
