"""Low-pass filters for changing the sample rate: sinc functions under a Kaiser window."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

__all__ = ["FilterShape"]


class FilterShape(NamedTuple):
    """A low-pass filter in continuous time, from which rows of coefficients are taken."""

    half_width: int
    """Samples that count, to either side."""
    cutoff: float
    """Where it has fallen by 6 dB; 1.0 is half of the input's sample rate."""
    beta: float = 7.5
    """Of the window: how deep the stop band lies, against how steep the fall is. 7.5 is 75 dB."""

    @property
    def width(self) -> int:
        """Samples of a window, which is also the length of a row."""
        return 2 * self.half_width

    def row(self, fraction: float) -> list[float]:
        """The coefficients for a moment ``fraction`` of a sample behind the window's sample ``half_width - 1``.

        They add up to 1, so that a constant stays what it is.
        """
        values = [self._at(fraction - offset) for offset in range(1 - self.half_width, self.half_width + 1)]
        total = math.fsum(values)
        return [value / total for value in values]

    def whole_row(self, fraction: float, scale: int) -> list[int]:
        """``row(fraction)`` in whole numbers that add up to exactly ``scale``."""
        row = [round(value * scale) for value in self.row(fraction)]
        row[row.index(max(row))] += scale - sum(row)
        return row

    def _at(self, distance: float) -> float:
        inside = 1 - (distance / self.half_width) ** 2
        return _sinc(self.cutoff * distance) * _bessel(self.beta * math.sqrt(inside)) if inside > 0 else 0.0


def _sinc(value: float) -> float:
    return math.sin(math.pi * value) / (math.pi * value) if value else 1.0


@functools.lru_cache(maxsize=4096)
def _bessel(value: float) -> float:
    """The modified Bessel function of the first kind, order 0, by its power series."""
    total = term = 1.0
    step = 0
    while term > total * 1e-12:
        step += 1
        term *= (value / (2 * step)) ** 2
        total += term
    return total
