"""Where sound comes from: paths, bytes, files and iterators, all read the same way."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, Self, runtime_checkable

from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["AudioSource", "Input", "ReadableFile"]


@runtime_checkable
class ReadableFile(Protocol):
    """A binary file: anything with a ``read(size)`` that gives bytes."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        ...


AudioSource = str | os.PathLike[str] | bytes | bytearray | memoryview | ReadableFile | Iterable[bytes]
"""A path, bytes, a binary file, or bytes in pieces of any size."""


class Input:
    """A source, read from where it stands to its end.

    Attributes:
        name: of the file, or None.
        left: bytes up to the end, counted when it was opened; None where that cannot be known, as of a pipe.

    Raises:
        ConfigurationError: no such file, a text file, or nothing that could be read.
    """

    def __init__(self, source: AudioSource) -> None:
        self.name: str | None = None
        self._ours = not isinstance(source, ReadableFile)
        self._file = self._opened(source)
        self._head = b""
        self.left = _left(self._file)

    def _opened(self, source: AudioSource) -> Any:
        if isinstance(source, str | os.PathLike):
            self.name = os.fspath(source)
            return _opened_path(self.name)
        if isinstance(source, bytes | bytearray | memoryview):
            return io.BytesIO(source)
        if isinstance(source, io.TextIOBase):
            raise ConfigurationError('A text file holds no sound: open it in binary, open(path, "rb")')
        if isinstance(source, ReadableFile):
            name = getattr(source, "name", None)
            self.name = name if isinstance(name, str) and not name.startswith("<") else None  # not "<stdin>"
            return source
        if isinstance(source, Iterable):
            return _Pieces(iter(source))
        raise ConfigurationError(
            f"Sound is a path, bytes, a binary file or an iterable of bytes, not {type(source).__name__}"
        )

    @property
    def title(self) -> str:
        """What to call it in a message."""
        return self.name or "The sound"

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, which stay; fewer at the end."""
        self._head += self._read(size - len(self._head))
        return self._head[:size]

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer at the end."""
        head, self._head = self._head[:size], self._head[size:]
        return head + self._read(size - len(head))

    def skip(self, size: int) -> bool:
        """Go on by ``size`` bytes; whether there were so many."""
        while size:
            passed = len(self.read(min(size, 1 << 16)))
            if not passed:
                return False
            size -= passed
        return True

    def _read(self, size: int) -> bytes:
        pieces = []
        while size > 0:
            piece = self._file.read(size)
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise ConfigurationError(f"{self.title}: read() gave {type(piece).__name__}, not bytes")
            if not piece:
                break
            pieces.append(bytes(piece))
            size -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Close what was opened here; a file that was given stays open."""
        if self._ours:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened_path(path: str) -> io.BufferedReader:
    try:
        return open(path, "rb")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def _left(file: Any) -> int | None:
    """Bytes between where ``file`` stands and its end."""
    try:
        if not file.seekable():
            return None
        here = file.tell()
        end = int(file.seek(0, io.SEEK_END))
        file.seek(here)
    except (AttributeError, OSError):
        return None
    return end - int(here)


class _Pieces:
    """An iterator of bytes as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._waiting = b""

    def read(self, size: int) -> bytes:
        while not self._waiting:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise ConfigurationError(f"Sound comes in pieces of bytes, not of {type(piece).__name__}")
            self._waiting = bytes(piece)
        taken, self._waiting = self._waiting[:size], self._waiting[size:]
        return taken

    def close(self) -> None:
        """Who made the iterator may go on with it."""
