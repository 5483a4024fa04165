"""16-bit little-endian mono PCM: bytes to samples and back, loudness, a lower sample rate."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable
from operator import mul

__all__ = ["FULL_SCALE", "loudness", "lower_rate", "pcm_bytes", "rms", "samples", "saturated"]

FULL_SCALE = 32768
"""What 0 dBFS is, as a sample."""

_SWAP = sys.byteorder == "big"


def samples(pcm: bytes | bytearray | memoryview) -> array[int]:
    """The samples of ``pcm``; an odd byte at the end is left out."""
    found = array("h")
    found.frombytes(bytes(pcm[: len(pcm) & ~1]))
    if _SWAP:
        found.byteswap()
    return found


def pcm_bytes(values: array[int]) -> bytes:
    """The bytes of ``values``, an array of type ``h``."""
    if _SWAP:
        values = array("h", values)
        values.byteswap()
    return values.tobytes()


def saturated(values: Iterable[float]) -> array[int]:
    """``values`` as samples: rounded, and what does not fit 16 bits as the nearest value that does."""
    whole = list(map(round, values))
    try:
        return array("h", whole)
    except OverflowError:
        return array("h", [max(-FULL_SCALE, min(FULL_SCALE - 1, value)) for value in whole])


def rms(values: array[int]) -> float:
    """Root mean square of ``values``; 0 when there are none."""
    return math.sqrt(sum(map(mul, values, values)) / len(values)) if values else 0.0


def loudness(values: array[int]) -> float:
    """Level of ``values`` in dB below full scale; minus infinity for silence."""
    level = rms(values)
    return 20 * math.log10(level / FULL_SCALE) if level else -math.inf


def lower_rate(pcm: bytes, factor: int) -> bytes:
    """``pcm`` at a ``factor`` times lower sample rate: each sample is the mean of ``factor`` of the old ones.

    The mean is a plain low-pass filter, good enough for voice; what is left over at the end, fewer than ``factor``
    samples, is left out.
    """
    values = samples(pcm)
    whole = len(values) - len(values) % factor
    lanes = [values[lane:whole:factor] for lane in range(factor)]
    return pcm_bytes(array("h", [sum(group) // factor for group in zip(*lanes, strict=True)]))
