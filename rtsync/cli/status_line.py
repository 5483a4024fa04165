"""A line on a terminal that is drawn again and again."""

from __future__ import annotations

import sys

__all__ = ["StatusLine", "bar"]

_CLEAR = "\r\x1b[K"


class StatusLine:
    """One line on stderr; none where stderr is no terminal.

    Attributes:
        is_shown: whether there is one.
    """

    def __init__(self) -> None:
        self.is_shown = sys.stderr is not None and sys.stderr.isatty()
        self._drawn = ""

    def draw(self, line: str) -> None:
        """Have it say ``line``."""
        if self.is_shown and line != self._drawn:
            self._drawn = line
            self._write(f"{_CLEAR}{line}")

    def clear(self) -> None:
        """Have the line free for something else."""
        if self._drawn:
            self._drawn = ""
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def bar(full: int, width: int) -> str:
    """``[###...]``, of which ``full`` are full."""
    return f"[{'#' * full}{'.' * (width - full)}]"
