"""How far a recording has been sent, on a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rtsync.vocabulary.foreign import one_line

__all__ = ["ProgressLine"]

_WIDTH = 24
_CLEAR = "\r\x1b[K"


class ProgressLine:
    """One line on stderr that is drawn again and again, and gone at the end; none where stderr is no terminal.

    Args:
        name: of the recording.
        duration_ms: of it; None where that is not known.
    """

    def __init__(self, name: str, duration_ms: int | None) -> None:
        self._name = one_line(name, 40)
        self._duration_ms = duration_ms
        self._is_shown = sys.stderr is not None and sys.stderr.isatty()
        self._drawn = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()

    def show(self, sent_ms: int) -> None:
        """So much has been sent, the silence behind it included."""
        if not self._is_shown:
            return
        line = f"{self._name}  {self._bar(sent_ms)}"
        if line != self._drawn:
            self._drawn = line
            self._write(f"{_CLEAR}{line}")

    def clear(self) -> None:
        """Have the line free for something else."""
        if self._drawn:
            self._drawn = ""
            self._write(_CLEAR)

    def _bar(self, sent_ms: int) -> str:
        if not self._duration_ms:
            return f"{sent_ms // 1000} s"
        done = min(1.0, sent_ms / self._duration_ms)
        full = int(done * _WIDTH)
        return f"[{'#' * full}{'.' * (_WIDTH - full)}] {int(done * 100):3} %"

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
