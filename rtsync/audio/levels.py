"""How loud PCM16 is, and making it louder or softer.

Levels are in dBFS: decibels below full scale, 0 being the level of a square wave that fills 16 bits. A sine that fills
them has a peak of 0 and an RMS of -3 dBFS; speech at a microphone lies around -30, a quiet room below -60; digital
silence is minus infinity.
"""

from __future__ import annotations

import math

from rtsync.audio.pcm import FULL_SCALE, checked_sample_rate, pcm_bytes, rms, saturated, whole_samples

__all__ = ["LevelMeter", "apply_gain", "peak_dbfs", "rms_dbfs"]


def rms_dbfs(pcm: bytes | bytearray | memoryview) -> float:
    """The root mean square of ``pcm``, PCM16 at any rate, in dBFS; minus infinity for silence and for no bytes.

    Raises:
        ConfigurationError: an odd number of bytes.
    """
    return _dbfs(rms(whole_samples(pcm)))


def peak_dbfs(pcm: bytes | bytearray | memoryview) -> float:
    """The largest sample of ``pcm``, PCM16 at any rate, in dBFS; minus infinity for silence and for no bytes.

    Raises:
        ConfigurationError: an odd number of bytes.
    """
    values = whole_samples(pcm)
    return _dbfs(max(max(values), -min(values))) if values else -math.inf


def apply_gain(pcm: bytes | bytearray | memoryview, gain_db: float) -> bytes:
    """``pcm``, PCM16 at any rate, louder by ``gain_db``, or softer where that is negative; minus infinity silences it.

    What becomes too loud for 16 bits is clipped.

    Raises:
        ConfigurationError: an odd number of bytes.
    """
    factor = 10 ** (gain_db / 20)
    return pcm_bytes(saturated([value * factor for value in whole_samples(pcm)]))


class LevelMeter:
    """A meter for a stream: rises at once, falls slowly enough for an eye to follow.

    Attributes:
        rms_dbfs: of the piece that was fed last.
        peak_dbfs: the highest peak, falling by ``fall_db_per_s`` since.

    Args:
        sample_rate: Hz, of the PCM16 that is fed; time is counted in samples.
        fall_db_per_s: how fast a peak falls.

    Raises:
        ConfigurationError: a rate that is no whole number of Hz, or out of range.

    Threads: one thread feeds; any thread may read the attributes.
    """

    def __init__(self, sample_rate: int, *, fall_db_per_s: float = 20.0) -> None:
        self.rms_dbfs = -math.inf
        self.peak_dbfs = -math.inf
        self._fall_db_per_sample = fall_db_per_s / checked_sample_rate(sample_rate)

    def feed(self, pcm: bytes | bytearray | memoryview) -> float:
        """Take ``pcm`` into account; its ``rms_dbfs``.

        Raises:
            ConfigurationError: an odd number of bytes.
        """
        fallen = self.peak_dbfs - self._fall_db_per_sample * (len(pcm) // 2)
        self.peak_dbfs = max(peak_dbfs(pcm), fallen)
        self.rms_dbfs = rms_dbfs(pcm)
        return self.rms_dbfs


def _dbfs(value: float) -> float:
    return 20 * math.log10(value / FULL_SCALE) if value else -math.inf
