"""Results as bars, in an SVG file: no library needed. Bars are logarithmic, for what differs a hundredfold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.table import Result, figure

__all__ = ["svg"]

_WIDTH, _LEFT, _BAR, _GAP = 900, 330, 16, 6
_OURS, _THEIRS = "#1f6feb", "#9aa4b2"


def svg(results: Sequence[Result]) -> str:
    """One picture of all results that have bars."""
    parts, y = [], 10
    for result in results:
        if result.bars:
            drawn, y = _chart(result, y)
            parts += drawn
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" viewBox="0 0 {_WIDTH} {y}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _chart(result: Result, y: int) -> tuple[list[str], int]:
    """The bars of one result, and where the next begins."""
    parts = [f'<text x="10" y="{y + 14}" font-weight="bold">{escape(result.title)}</text>']
    y += 24
    values = [value for _, value in result.bars if value > 0]
    least, most = min(values, default=1.0) / 2, max(values, default=1.0)
    room = _WIDTH - _LEFT - 110
    for label, value in result.bars:
        share = math.log(value / least) / math.log(most / least) if value > 0 else 0.0
        colour = _OURS if label.startswith("rtsync") else _THEIRS
        length = max(1.0, room * share)
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{length:.0f}" height="{_BAR}" fill="{colour}"/>',
            f'<text x="{_LEFT + length + 6:.0f}" y="{y + 12}">{figure(value)} {escape(result.unit)}</text>',
        ]
        y += _BAR + _GAP
    return parts, y + 14
