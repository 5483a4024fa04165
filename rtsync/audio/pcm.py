"""Samples: 16-bit little-endian mono PCM as arrays of numbers, and back."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable
from operator import mul

from rtsync.vocabulary.errors import ConfigurationError

__all__ = [
    "FULL_SCALE",
    "HIGHEST_SAMPLE_RATE",
    "LOWEST_SAMPLE_RATE",
    "SAMPLE_BYTES",
    "checked_sample_rate",
    "lower_rate",
    "pcm_bytes",
    "rms",
    "samples",
    "saturated",
    "whole_samples",
]

FULL_SCALE = 32768
"""What 0 dBFS is, as a sample."""
SAMPLE_BYTES = 2
"""Bytes of one sample."""
LOWEST_SAMPLE_RATE = 4_000
"""Hz, of what can be read, written and resampled."""
HIGHEST_SAMPLE_RATE = 192_000
"""Hz, likewise."""

_SWAP = sys.byteorder == "big"


def samples(pcm: bytes | bytearray | memoryview) -> array[int]:
    """The samples of ``pcm``; an odd byte at the end is left out."""
    found = array("h")
    found.frombytes(bytes(pcm[: len(pcm) & ~1]))
    if _SWAP:
        found.byteswap()
    return found


def whole_samples(pcm: bytes | bytearray | memoryview) -> array[int]:
    """The samples of ``pcm``.

    Raises:
        ConfigurationError: an odd number of bytes.
    """
    if len(pcm) % SAMPLE_BYTES:
        raise ConfigurationError(
            f"PCM16 has two bytes a sample, and the sound ends in the middle of one: an odd number of bytes, {len(pcm)}"
        )
    return samples(pcm)


def pcm_bytes(values: array[int]) -> bytes:
    """The bytes of ``values``, an array of type ``h``."""
    if _SWAP:
        values = array("h", values)
        values.byteswap()
    return values.tobytes()


def checked_sample_rate(rate: int, name: str = "sample_rate") -> int:
    """``rate``, if it is one.

    Raises:
        ConfigurationError: it is no whole number of Hz, or out of range.
    """
    if isinstance(rate, bool) or not isinstance(rate, int) or not LOWEST_SAMPLE_RATE <= rate <= HIGHEST_SAMPLE_RATE:
        raise ConfigurationError(
            f"{name}={rate!r}: a sample rate is a whole number of Hz, {LOWEST_SAMPLE_RATE} to {HIGHEST_SAMPLE_RATE}"
        )
    return rate


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


def lower_rate(pcm: bytes, factor: int) -> bytes:
    """``pcm`` at a ``factor`` times lower sample rate: each sample is the mean of ``factor`` of the old ones.

    The mean is a plain low-pass filter, good enough for voice; what is left over at the end, fewer than ``factor``
    samples, is left out.
    """
    values = samples(pcm)
    whole = len(values) - len(values) % factor
    lanes = [values[lane:whole:factor] for lane in range(factor)]
    return pcm_bytes(array("h", [sum(group) // factor for group in zip(*lanes, strict=True)]))
