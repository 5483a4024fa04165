"""Another sample rate, in a stream: windowed-sinc filters, exact counts, the same bytes however the stream is cut.

1. Whatever lies within 0.85 of the lower of the two Nyquist frequencies arrives as it was; whatever lies above that
   frequency is gone (more than 70 dB down), so that nothing is folded into what is heard.
2. Rates in a small ratio (24 to 8 kHz, 48 to 24, 16 to 24) take one polyphase filter. Any others take two: a steep one,
   which leaves a stream with room above what it holds, and a short one that can afford to have many phases.
3. Output ``j`` is the sound at ``j / to_rate`` seconds, by whole-number arithmetic: nothing drifts. ``n`` samples
   become ``ceil(n * to_rate / from_rate)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from typing import Protocol

from rtsync.audio.kaiser import FilterShape
from rtsync.audio.pcm import checked_sample_rate, pcm_bytes, samples, saturated
from rtsync.audio.polyphase import PolyphaseFilter
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["Resampler", "resample"]

_STEEP_HALF_WIDTH = 32  # samples of the lower rate: 75 dB within 0.15 of its band
_STEEP_CUTOFF = 0.925  # in the middle of that
_SHORT = FilterShape(7, 1.0)
_ROOM = 1.6  # how much faster than the lower rate the stream between two filters is; _SHORT needs as much
_SMALL = 64  # phases times lanes for which one filter is the cheaper way
_LONGEST_GROUP_MS = 10  # a group is also a delay
_MOST_PHASES = 4096  # of a filter that has no groups: -78 dB at the upper end of the band
_BLOCK_BYTES = 1 << 14


class Resampler:
    """Brings a stream of PCM16 mono from one sample rate to another.

    ``feed`` gives what can be said so far, some milliseconds less than what it was given; ``flush`` gives the rest. The
    bytes are the same, in whatever pieces they are fed.

    Args:
        from_rate: Hz, 4,000 to 192,000.
        to_rate: Hz, likewise.

    Raises:
        ConfigurationError: a rate that is no whole number, or out of range.

    Threads: one thread at a time.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self.from_rate = checked_sample_rate(from_rate, "from_rate")
        self.to_rate = checked_sample_rate(to_rate, "to_rate")
        self._start()

    def _start(self) -> None:
        self._filters = _filters(self.from_rate, self.to_rate)
        self._half_sample = b""
        self._fed = 0  # samples
        self._given = 0

    def feed(self, pcm: bytes | bytearray | memoryview) -> bytes:
        """What can be said after ``pcm``, at the new rate. A sample may be cut between two calls."""
        found = self._half_sample + bytes(memoryview(pcm))
        whole = len(found) & ~1
        self._half_sample = found[whole:]
        self._fed += whole // 2
        return self._filtered(found[:whole])

    def flush(self) -> bytes:
        """The end of the stream. Afterwards another one may begin.

        Raises:
            ConfigurationError: the stream ended in the middle of a sample.
        """
        if self._half_sample:
            self._start()
            raise ConfigurationError(_ODD)
        missing = -(-self._fed * self.to_rate // self.from_rate) - self._given
        rest = bytearray()
        while len(rest) < 2 * missing:
            rest += self._filtered(bytes(2 * (self.from_rate // 50)))
        self._start()
        return bytes(rest[: 2 * missing])

    def _filtered(self, pcm: bytes) -> bytes:
        made = bytearray()
        for start in range(0, len(pcm), _BLOCK_BYTES):
            block = pcm[start : start + _BLOCK_BYTES]
            for stage in self._filters:
                block = stage.feed(block)
            made += block
        self._given += len(made) // 2
        return bytes(made)


def resample(pcm: bytes | bytearray | memoryview, from_rate: int, to_rate: int) -> bytes:
    """``pcm``, PCM16 mono at ``from_rate`` Hz, at ``to_rate`` Hz: ``ceil(n * to_rate / from_rate)`` samples.

    Raises:
        ConfigurationError: an odd number of bytes, or a rate that ``Resampler`` refuses.
    """
    resampler = Resampler(from_rate, to_rate)
    return resampler.feed(pcm) + resampler.flush()


_ODD = "PCM16 has two bytes a sample, and the sound ends in the middle of one: an odd number of bytes"


class _Filter(Protocol):
    def feed(self, pcm: bytes) -> bytes: ...


def _filters(from_rate: int, to_rate: int) -> Sequence[_Filter]:
    if from_rate == to_rate:
        return ()
    up, down = _ratio(from_rate, to_rate)
    steep = _steep(from_rate, to_rate)
    if up * down <= _SMALL:
        return (PolyphaseFilter(up, down, steep),)
    lower = min(from_rate, to_rate)
    spare = int(from_rate / lower / _ROOM)
    first_up, first_down = (1, spare) if spare else (2, 1)
    return (
        PolyphaseFilter(first_up, first_down, steep),
        _short(from_rate * first_up, to_rate * first_down),
    )


def _steep(from_rate: int, to_rate: int) -> FilterShape:
    band = min(1.0, to_rate / from_rate)
    return FilterShape(math.ceil(_STEEP_HALF_WIDTH / band), _STEEP_CUTOFF * band)


def _short(from_rate: int, to_rate: int) -> _Filter:
    up, down = _ratio(from_rate, to_rate)
    if down * 1000 <= from_rate * _LONGEST_GROUP_MS:
        return PolyphaseFilter(up, down, _SHORT)
    return _Interpolation(up, down, _SHORT)


def _ratio(from_rate: int, to_rate: int) -> tuple[int, int]:
    shared = math.gcd(from_rate, to_rate)
    return to_rate // shared, from_rate // shared


class _Interpolation:
    """A filter for a ratio of large numbers, sample by sample: slower than groups, without their delay and tables."""

    def __init__(self, up: int, down: int, shape: FilterShape) -> None:
        self._up, self._down, self._shape = up, down, shape
        self._waiting = bytearray(2 * (shape.half_width - 1))
        self._moment = 0  # of the next output, in samples of the waiting ones times `up`
        self._phases = min(up, _MOST_PHASES)
        self._rows: list[list[float] | None] = [None] * self._phases

    def feed(self, pcm: bytes) -> bytes:
        self._waiting += pcm
        values = list(map(float, samples(self._waiting)))
        end = (len(values) - self._shape.width + 1) * self._up
        moments = range(self._moment, end, self._down)
        if not moments:
            return b""
        made = pcm_bytes(saturated([self._at(values, *divmod(moment, self._up)) for moment in moments]))
        self._moment += len(moments) * self._down
        self._forget()
        return made

    def _at(self, values: list[float], first: int, rest: int) -> float:
        phase = rest * self._phases // self._up
        row = self._rows[phase] or self._row(phase)
        value: float = sum(map(mul, row, values[first : first + self._shape.width]))
        return value

    def _row(self, phase: int) -> list[float]:
        # In the middle of the moments that share it.
        row = self._rows[phase] = self._shape.row((phase + (0.5 if self._phases < self._up else 0.0)) / self._phases)
        return row

    def _forget(self) -> None:
        past = min(self._moment // self._up, len(self._waiting) // 2)
        del self._waiting[: 2 * past]
        self._moment -= past * self._up
