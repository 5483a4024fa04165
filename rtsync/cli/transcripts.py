"""How transcripts look: lines of text, lines of JSON, subtitles."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
import msgspec

from rtsync.cli.outcome import complain
from rtsync.cli.output import escaped
from rtsync.cli.progress import ProgressLine
from rtsync.cli.turns import SpokenTurn
from rtsync.vocabulary.foreign import one_line

__all__ = ["STYLES", "Transcript"]

_Style = Callable[[SpokenTurn, str, int], str]


def _text(turn: SpokenTurn, _name: str, _number: int) -> str:
    return one_line(turn.text or "")


def _json(turn: SpokenTurn, name: str, _number: int) -> str:
    said = {"file": name, "start_ms": turn.start_ms, "end_ms": turn.end_ms, "text": turn.text}
    return escaped(msgspec.json.encode(said).decode())


def _srt(turn: SpokenTurn, name: str, number: int) -> str:
    end_ms = turn.start_ms if turn.end_ms is None else turn.end_ms
    return f"{number}\n{_moment(turn.start_ms)} --> {_moment(end_ms)}\n{_text(turn, name, number)}\n"


def _moment(offset_ms: int) -> str:
    seconds, milliseconds = divmod(offset_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02},{milliseconds:03}"


STYLES: dict[str, _Style] = {"text": _text, "json": _json, "srt": _srt}
"""How a turn is written: the turn, the name of its file, and the how-many-th of it that is."""


class Transcript:
    """What was said in one file, written to stdout as it becomes known.

    Args:
        name: of the file.
        style: a key of ``STYLES``.
        duration_ms: of it, where it is known: the silence that ends its last turn may be longer than it is.
        progress: what makes room on the screen.
        headed: whether the name stands above it; JSON names it on every line.
    """

    def __init__(self, name: str, style: str, duration_ms: int | None, progress: ProgressLine, *, headed: bool) -> None:
        self._name = name
        self._render = STYLES[style]
        self._duration_ms = duration_ms
        self._progress = progress
        self._heading = f"==> {one_line(name)} <==" if headed and style == "text" else None
        self._count = 0
        self._is_complete = True

    def write(self, turns: Iterable[SpokenTurn]) -> None:
        """Write ``turns``, behind those before.

        Raises:
            OSError: stdout cannot be written.
        """
        for turn in turns:
            self._progress.clear()
            if turn.error is not None:
                self._is_complete = False
                complain(f"{self._name}: the words from {turn.start_ms / 1000:.1f} s on are missing: {turn.error}")
            elif turn.text:
                self._count += 1
                if self._count == 1 and self._heading:
                    click.echo(self._heading)
                if self._duration_ms is not None and turn.end_ms is not None:
                    turn.end_ms = min(turn.end_ms, self._duration_ms)
                click.echo(self._render(turn, self._name, self._count))

    def end(self) -> bool:
        """Nothing more comes; whether all that was said stands there. Says so where nobody spoke."""
        if self._is_complete and not self._count:
            self._is_complete = False
            complain(f"{self._name}: no speech was heard")
        return self._is_complete
