"""How far a recording has been sent, on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rtsync.cli.status_line import StatusLine, bar
from rtsync.vocabulary.foreign import one_line

__all__ = ["ProgressLine"]

_WIDTH = 24


class ProgressLine(StatusLine):
    """A recording on its way; gone at the end of its block.

    Args:
        name: of the recording.
        duration_ms: of it; None where that is not known.
    """

    def __init__(self, name: str, duration_ms: int | None) -> None:
        super().__init__()
        self._name = one_line(name, 40)
        self._duration_ms = duration_ms

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()

    def show(self, sent_ms: int) -> None:
        """So much has been sent, the silence behind it included."""
        if self.is_shown:
            self.draw(f"{self._name}  {self._how_far(sent_ms)}")

    def _how_far(self, sent_ms: int) -> str:
        if not self._duration_ms:
            return f"{sent_ms // 1000} s"
        done = min(1.0, sent_ms / self._duration_ms)
        return f"{bar(int(done * _WIDTH), _WIDTH)} {int(done * 100):3} %"
