"""Polyphase filters on PCM, in pure Python at the speed of C.

1. **The arithmetic is exact.** Samples and coefficients are whole numbers, and so are their sums: the result is the
   same however the stream is cut, on every machine.
2. **A product of two long integers is a convolution.** With samples as the digits of one number, 40 bits each, and
   coefficients as those of another, the digits of their product are the filter's sums, all of them in one
   multiplication: 2 ns for a sample and a coefficient, where a loop takes 40.
3. **Lanes.** For a ratio of ``up`` to ``down`` the input is dealt to ``down`` lanes, and each of ``up`` phases of the
   output is the sum of what its coefficients make of the lanes. ``down`` samples, a group, become ``up``.
4. **Offset binary.** Samples are packed as 0 to 65535. The coefficients of a phase add up to exactly ``_SCALE``, so
   that the offset goes through unchanged.
5. **Overflow is seen.** A bias keeps every sum positive, and the bits above the sample's say on which side it left 16
   bits; it becomes the nearest value that fits.
"""

from __future__ import annotations

import functools
from operator import mul
from typing import NamedTuple

from rtsync.audio.kaiser import FilterShape

__all__ = ["PolyphaseFilter"]

_SCALE = 1 << 20
_DIGIT = 5  # bytes
_DIGIT_BITS = 8 * _DIGIT
_SHIFT = 4  # a sum that is shifted by it has its sample in bytes 2 and 3
_BIAS = (1 << 38) + _SCALE // 2  # more than any sum; and half a step, so that cutting off rounds
_FITTING = 4  # the four bits above a sample that fits, which are what the bias leaves there
_FLIP = bytes(value ^ 0x80 for value in range(256))  # the upper byte of a sample, to and from offset binary
_FITS = bytes(value for value in range(256) if value & 0xF == _FITTING)


class PolyphaseFilter:
    """Makes ``up`` samples of every ``down``, through a low-pass filter. PCM16 in, PCM16 out, piece by piece.

    Output ``j`` is the sound at the moment ``j * down / up``, counted in samples of the input. It comes as soon as
    ``half_width`` samples after that moment, and the rest of its group, are there. Before the first sample was silence.
    """

    def __init__(self, up: int, down: int, shape: FilterShape) -> None:
        self._up, self._down = up, down
        self._phases, self._digits = _phases(up, down, shape)
        self._waiting = bytearray(2 * (shape.half_width - 1))
        self._reach = (up - 1) * down // up + shape.width  # samples that a group is made of

    def feed(self, pcm: bytes) -> bytes:
        """What can be said after ``pcm``, whole samples of any number."""
        self._waiting += pcm
        groups = max(0, (len(self._waiting) // 2 - self._reach) // self._down + 1)
        if not groups:
            return b""
        made = self._groups(groups)
        del self._waiting[: 2 * groups * self._down]
        return made

    def _groups(self, groups: int) -> bytes:
        lanes = self._lanes()
        digits = len(self._waiting) // (2 * self._down) + 1 + self._digits
        bias = _repeated(_BIAS, digits)
        sums = [sum(map(mul, phase.coefficients, lanes[phase.first : phase.last]), bias) for phase in self._phases]
        low, high = _samples(sums, digits, self._digits - 1, groups)
        made = bytearray(2 * groups * self._up)
        for number in range(self._up):
            made[2 * number :: 2 * self._up] = low[number * groups : (number + 1) * groups]
            made[2 * number + 1 :: 2 * self._up] = high[number * groups : (number + 1) * groups]
        return bytes(made)

    def _lanes(self) -> list[int]:
        """The lanes as numbers, twice over, because the window of a phase may begin in any of them."""
        waiting = bytes(self._waiting)
        low, high = waiting[::2], waiting[1::2].translate(_FLIP)
        lanes = [_packed(low[lane :: self._down], high[lane :: self._down]) for lane in range(self._down)]
        return lanes + lanes


class _Phase(NamedTuple):
    first: int
    """The lane in which its window begins."""
    last: int
    """The one behind the last lane that it touches."""
    coefficients: tuple[int, ...]
    """One number for each lane from first to last."""


@functools.lru_cache(maxsize=16)
def _phases(up: int, down: int, shape: FilterShape) -> tuple[tuple[_Phase, ...], int]:
    """The phases, and how many digits the coefficients of a lane have."""
    digits = -(-((up - 1) * down // up + shape.width) // down)
    return tuple(_phase(number * down, up, down, shape, digits) for number in range(up)), digits


def _phase(moment: int, up: int, down: int, shape: FilterShape, digits: int) -> _Phase:
    first, rest = divmod(moment, up)
    lanes = [0] * min(down, shape.width)
    for at, coefficient in enumerate(shape.whole_row(rest / up, _SCALE)):
        # Reversed, as a convolution wants them.
        lanes[at % down] += coefficient << (_DIGIT_BITS * (digits - 1 - (first + at) // down))
    return _Phase(first, first + len(lanes), tuple(lanes))


def _packed(low: bytes, high: bytes) -> int:
    packed = bytearray(_DIGIT * len(low))
    packed[::_DIGIT] = low
    packed[1::_DIGIT] = high
    return int.from_bytes(packed, "little")


@functools.lru_cache(maxsize=16)
def _repeated(value: int, count: int) -> int:
    """A number with ``value`` in each of ``count`` digits."""
    return int.from_bytes(value.to_bytes(_DIGIT, "little") * count, "little")


def _samples(sums: list[int], digits: int, first: int, count: int) -> tuple[bytes, bytes]:
    """Lower and upper bytes of the samples in ``sums``: of each, ``count`` of its ``digits``, from ``first`` on."""
    start, end = _DIGIT * first, _DIGIT * (first + count)
    raw = b"".join([(total >> _SHIFT).to_bytes(_DIGIT * digits, "little")[start:end] for total in sums])
    low, high, above = raw[2::_DIGIT], raw[3::_DIGIT], raw[4::_DIGIT]
    if above.translate(None, _FITS):
        low, high = _saturated(low, high, above)
    return low, high.translate(_FLIP)


def _saturated(low: bytes, high: bytes, above: bytes) -> tuple[bytes, bytes]:
    fitting_low, fitting_high = bytearray(low), bytearray(high)
    for at, value in enumerate(above):
        if value & 0xF != _FITTING:
            fitting_low[at] = fitting_high[at] = 0xFF if value & 0xF > _FITTING else 0
    return bytes(fitting_low), bytes(fitting_high)
