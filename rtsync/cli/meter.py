"""How loud the microphone is, on a terminal."""

from __future__ import annotations

from rtsync.cli.status_line import StatusLine, bar

__all__ = ["Meter"]

_WIDTH = 20
_QUIETEST_DBFS = -60.0


class Meter(StatusLine):
    """The level, and in a few words what is going on."""

    def show(self, peak_dbfs: float, what: str) -> None:
        """Draw them."""
        if self.is_shown:
            self.draw(f"{bar(round(_WIDTH * max(0.0, 1 - peak_dbfs / _QUIETEST_DBFS)), _WIDTH)} {what}")
