"""Results as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

__all__ = ["Result", "figure", "times"]


class Result(msgspec.Struct):
    """One table.

    Attributes:
        name: of the measurement.
        title: what was measured, and in which units.
        columns: their headings, the contender's first.
        rows: cells as text.
        rounds: the raw figures, by label and round.
        bars: label and value of what a plot shows.
        unit: of the bars.
    """

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]]
    rounds: dict[str, list[dict[str, Any]]]
    bars: list[tuple[str, float]] = []
    unit: str = ""

    def text(self) -> str:
        """As Markdown, so that it can be pasted into one."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        body = "\n".join(_line(cells, widths) for cells in (self.columns, rule, *self.rows))
        return f"### {self.title}\n\n{body}\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return f"| {first[0]:<{first[1]}} | " + " | ".join(f"{cell:>{width}}" for cell, width in others) + " |"


def figure(value: float | None, scale: float = 1.0) -> str:
    """Three digits of ``value`` times ``scale``; a dash for none."""
    if value is None:
        return "-"
    scaled = value * scale
    digits = 0 if abs(scaled) >= 100 else 1 if abs(scaled) >= 10 else 2
    return f"{scaled:,.{digits}f}"


def times(ratio: float | None) -> str:
    """A ratio: ``2.1x``, or ``1/30`` where it is less than a half."""
    if ratio is None:
        return "-"
    return f"1/{figure(1 / ratio)}" if 0 < ratio < 0.5 else f"{figure(ratio)}x"
