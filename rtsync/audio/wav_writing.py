"""WAV files, written as the sound comes.

1. A path gets its file when the sound is complete: until then it is written beside it, under a name that begins with a
   dot and ends in ``.part``. Whoever looks finds the old file or the whole new one, never half of one.
2. The sizes in the header are known at the end, and put there where the file can go back. Into a pipe go the largest
   numbers there are, which programs that read WAVs from pipes take for "to the end"; so does ``WavReader``. A ``.part``
   that a killed program left behind reads the same way.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from rtsync.audio.formats import ALAW, PCM16, ULAW, AudioFormat, audio_format
from rtsync.audio.pcm import checked_sample_rate
from rtsync.audio.wav_encodings import ALAW_TAG, PCM_TAG, ULAW_TAG
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["WavWriter", "WritableFile", "write_wav"]

_TAGS = {PCM16: PCM_TAG, ULAW: ULAW_TAG, ALAW: ALAW_TAG}
_UNKNOWN = 0xFFFF_FFFF
_LARGEST = _UNKNOWN - 1024  # bytes of sound, so that the header's sizes can be written


@runtime_checkable
class WritableFile(Protocol):
    """A binary file: anything with a ``write`` that takes bytes."""

    def write(self, data: bytes, /) -> Any:
        """Take ``data``."""
        ...


class WavWriter:
    """Writes a mono WAV file piece by piece, in a ``with`` statement: a body that raises leaves no file at a path.

    Attributes:
        duration_ms: whole milliseconds that have been written.

    Args:
        target: a path, or a binary file, which is written from where it stands, and stays open.
        form: of the bytes that are written: PCM16 or G.711, by name or as an ``AudioFormat``.
        sample_rate: Hz, where it is not that of the format.

    Raises:
        ConfigurationError: no such format or rate, a text file, or a path that cannot be written.

    Threads: one thread at a time; everything blocks as long as the file does.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | WritableFile,
        form: AudioFormat | str = PCM16,
        *,
        sample_rate: int | None = None,
    ) -> None:
        self.form = audio_format(form)
        self.sample_rate = self.form.sample_rate if sample_rate is None else checked_sample_rate(sample_rate)
        self._written = 0  # bytes of sound
        self._open = True
        self._path: _PathInMaking | None = None
        if isinstance(target, str | os.PathLike):
            self._path = _PathInMaking(os.fspath(target))
            self._file: Any = self._path.file
        elif isinstance(target, io.TextIOBase) or not isinstance(target, WritableFile):
            raise ConfigurationError("A WAV is written to a path or a binary file")
        else:
            self._file = target
        self._start = _place(self._file)
        self._file.write(self._header(_UNKNOWN))

    @property
    def duration_ms(self) -> int:
        """Whole milliseconds that have been written."""
        return self._written // self.form.sample_bytes * 1000 // self.sample_rate

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write ``data``, in the format of the file. A sample may be cut between two calls.

        Raises:
            ConfigurationError: the file is closed, ``data`` is no bytes, or a WAV can hold no more (4 GiB).
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise ConfigurationError(f"Sound comes in pieces of bytes, not of {type(data).__name__}")
        if not self._open:
            raise ConfigurationError("This WAV is closed")
        if self._written + len(data) > _LARGEST:
            raise ConfigurationError("A WAV holds at most 4 GiB: begin another one")
        self._file.write(bytes(data))
        self._written += len(data)

    def close(self) -> None:
        """Complete the file, and put it in its place. A second call does nothing.

        Raises:
            ConfigurationError: the sound ended in the middle of a sample. At a path there is no file then.
        """
        if not self._open:
            return
        if self._written % self.form.sample_bytes:
            self.discard()
            raise ConfigurationError("PCM16 has two bytes a sample, and an odd number of bytes was written")
        self._open = False
        try:
            self._complete()
            if self._path:
                self._path.put()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Stop without completing the file. At a path everything is as it was before."""
        self._open = False
        if self._path:
            self._path.discard()

    def _complete(self) -> None:
        if self._written % 2:
            self._file.write(b"\0")  # chunks begin at even places
        if self._start is not None:
            end = self._file.tell()
            self._file.seek(self._start)
            self._file.write(self._header(self._written))
            self._file.seek(end)
        flush = getattr(self._file, "flush", None)
        if flush is not None:
            flush()

    def _header(self, size: int) -> bytes:
        """Everything up to the sound, of which there are ``size`` bytes."""
        tag, width, rate = _TAGS[self.form], self.form.sample_bytes, self.sample_rate
        layout = struct.pack("<HHIIHH", tag, 1, rate, rate * width, width, 8 * width)
        chunks = _chunk(b"fmt ", layout)
        if tag != PCM_TAG:
            chunks = _chunk(b"fmt ", layout + b"\0\0") + _chunk(b"fact", struct.pack("<I", size // width))
        riff_size = min(_UNKNOWN, 4 + len(chunks) + 8 + size + size % 2)
        return struct.pack("<4sI4s", b"RIFF", riff_size, b"WAVE") + chunks + struct.pack("<4sI", b"data", size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def write_wav(
    target: str | os.PathLike[str] | WritableFile,
    sound: bytes | bytearray | memoryview | Iterable[bytes],
    form: AudioFormat | str = PCM16,
    *,
    sample_rate: int | None = None,
) -> int:
    """Write ``sound``, bytes or pieces of bytes in the format ``form``, as a mono WAV.

    Returns:
        Its length in whole milliseconds.

    Raises:
        ConfigurationError: see ``WavWriter``. At a path everything is then as it was before.

    Threads: blocks until all is written.
    """
    with WavWriter(target, form, sample_rate=sample_rate) as writer:
        for piece in [sound] if isinstance(sound, bytes | bytearray | memoryview) else sound:
            writer.write(piece)
    return writer.duration_ms


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(data)) + data


def _place(file: Any) -> int | None:
    """Where ``file`` stands, if it can come back there."""
    try:
        return int(file.tell()) if file.seekable() else None
    except (AttributeError, OSError):
        return None


class _PathInMaking:
    """A file that is written beside its path, or into it where that is a device or a pipe."""

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)
        self._part: str | None = None
        try:
            if os.path.exists(self._path) and not stat.S_ISREG(os.stat(self._path).st_mode):
                self.file = open(self._path, "wb")  # noqa: SIM115  closed by put or discard
                return
            folder, name = os.path.split(self._path)
            self._part = os.path.join(folder, f".{name}.{os.urandom(4).hex()}.part")
            self.file = open(self._part, "xb")  # noqa: SIM115  likewise
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error

    def put(self) -> None:
        self.file.close()
        if self._part is not None:
            with contextlib.suppress(FileNotFoundError):  # there was none before
                os.chmod(self._part, stat.S_IMODE(os.stat(self._path).st_mode))
            os.replace(self._part, self._path)

    def discard(self) -> None:
        self.file.close()
        if self._part is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._part)
