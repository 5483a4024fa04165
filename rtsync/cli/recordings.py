"""The WAV files that a command was given."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

import click

from rtsync import ConfigurationError

if TYPE_CHECKING:
    from rtsync.audio import WavReader

__all__ = ["STDIN", "Recording"]

STDIN = Path("-")


class Recording:
    """A WAV, at any rate; ``-`` is stdin. An iterable of raw PCM16 at ``sample_rate``, for ``send_audio``.

    Raises:
        ConfigurationError: from ``with``: it cannot be read, or is no WAV.
        click.ClickException: while it is read: a disk that fails, a WAV in a pipe that is damaged further on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wav: WavReader | None = None

    @property
    def name(self) -> str:
        """What to call it."""
        return "stdin" if self._path == STDIN else str(self._path)

    def check(self) -> None:
        """See whether it can be read; of stdin, which comes once, only whether something comes.

        Raises:
            click.UsageError: stdin is a keyboard.
            ConfigurationError: as of ``with``.
        """
        if self._path != STDIN:
            with self:
                pass
        elif sys.stdin is None or sys.stdin.isatty():
            raise click.UsageError("stdin is a terminal: pipe a WAV into it, or name a FILE")

    def __enter__(self) -> Self:
        from rtsync.audio import HIGHEST_SAMPLE_RATE, LOWEST_SAMPLE_RATE, WavReader

        source: BinaryIO | Path = sys.stdin.buffer if self._path == STDIN else self._path
        wav = self._wav = WavReader(source)
        if not LOWEST_SAMPLE_RATE <= wav.sample_rate <= HIGHEST_SAMPLE_RATE:
            wav.close()
            rates = f"{LOWEST_SAMPLE_RATE} to {HIGHEST_SAMPLE_RATE} Hz"
            raise ConfigurationError(f"{self.name} is a WAV at {wav.sample_rate} Hz; those at {rates} can be read")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.close()

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self._opened.sample_rate

    @property
    def duration_ms(self) -> int | None:
        """Its length; None where a pipe does not tell."""
        return self._opened.duration_ms

    @property
    def is_empty(self) -> bool:
        """Whether it is known to hold no sound."""
        return self._opened.frame_count == 0

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._opened
        except OSError as error:  # Not to be taken for one of stdout.
            raise click.ClickException(f"{self.name} cannot be read: {error.strerror or error}") from error

    @property
    def _opened(self) -> WavReader:
        assert self._wav is not None
        return self._wav
