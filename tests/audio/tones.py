"""Sine tones, and how far what arrives is from them: in plain Python, independent of what is tested."""

from __future__ import annotations

import math
from array import array
from operator import mul

AMPLITUDE = 16_000
_EDGE_MS = 20  # where a filter has not the whole sound under it


def tone(sample_rate: int, hz: float, seconds: float = 0.15, amplitude: float = AMPLITUDE) -> bytes:
    """A sine of ``hz`` as PCM16."""
    step = 2 * math.pi * hz / sample_rate
    values = array("h", (round(amplitude * math.sin(step * n)) for n in range(round(sample_rate * seconds))))
    return values.tobytes()


def error_db(pcm: bytes, sample_rate: int, hz: float, amplitude: float = AMPLITUDE, *, first_sample: int = 0) -> float:
    """The power of its difference from the tone that should be there, in time and level, over that tone's.

    ``first_sample``: how many samples of the tone came before ``pcm``.
    """
    values, first = _middle(pcm, sample_rate)
    step = 2 * math.pi * hz / sample_rate
    wrong = (value - amplitude * math.sin(step * n) for n, value in enumerate(values, first_sample + first))
    return _db(sum(value * value for value in wrong), len(values) * amplitude**2 / 2)


def level_db(pcm: bytes, sample_rate: int, amplitude: float = AMPLITUDE) -> float:
    """The power of ``pcm`` over that of a tone of ``amplitude``."""
    values, _ = _middle(pcm, sample_rate)
    return _db(sum(map(mul, values, values)), len(values) * amplitude**2 / 2)


def _middle(pcm: bytes, sample_rate: int) -> tuple[array[int], int]:
    values = array("h", pcm)
    edge = sample_rate * _EDGE_MS // 1000
    assert len(values) > 4 * edge
    return values[edge:-edge], edge


def _db(power: float, reference: float) -> float:
    return 10 * math.log10(power / reference) if power else -math.inf
