"""How loud the microphone is, on a terminal."""

from __future__ import annotations

import sys

__all__ = ["Meter"]

_WIDTH = 20
_QUIETEST_DBFS = -60.0
_CLEAR = "\r\x1b[K"


class Meter:
    """One line on stderr that is drawn again and again; none where stderr is no terminal."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr is not None and sys.stderr.isatty()
        self._drawn = ""

    def show(self, peak_dbfs: float, what: str) -> None:
        """Draw the level, and in a few words what is going on."""
        if not self._is_shown:
            return
        full = round(_WIDTH * max(0.0, 1 - peak_dbfs / _QUIETEST_DBFS))
        line = f"[{'#' * full}{'.' * (_WIDTH - full)}] {what}"
        if line != self._drawn:
            self._drawn = line
            self._write(f"{_CLEAR}{line}")

    def clear(self) -> None:
        """Have the line free for words."""
        if self._drawn:
            self._drawn = ""
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
