"""WAV files, read as a stream of PCM16 mono.

1. Chunks before the sound (``LIST``, ``fact``, ``JUNK``) are passed over, an odd one with its padding byte.
2. A program that writes into a pipe cannot know the size, and writes 0 or the largest number it has. Then the sound
   goes to the end of the file, and a frame that is cut off there is left out.
3. A size that is larger than the file is another matter: a download or a disk was cut off. It is refused before
   anything is read from it, or at the end where the end is not known before.
4. What is compressed, or no WAV at all, is refused by name, with the command that makes a WAV of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

from rtsync.audio.containers import conversion, foreign_container
from rtsync.audio.sources import AudioSource, Input
from rtsync.audio.wav_encodings import decoder, encoding_name, mixed_down
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["WavReader"]

_EXTENSIBLE_TAG = 0xFFFE
_SUBFORMAT = bytes.fromhex("0000 0000 1000 8000 00AA 0038 9B71")  # the end of the GUID of any format with a tag
_LEAST_UNKNOWN = 0x7FFF_F000  # sox and espeak write this, arecord 0x80000000, ffmpeg 0xFFFFFFFF
_LONGEST_FORMAT = 4096  # bytes
_PIECE_MS = 100


class WavReader:
    """Reads a WAV file as PCM16 mono at the file's own rate, piece by piece: memory does not grow with the file.

    PCM of 8, 16, 24 and 32 bits, float and G.711, under plain and extensible headers. Several channels become one.

    Attributes:
        sample_rate: Hz.
        channels: in the file.
        encoding: such as ``"24-bit PCM"``.
        frame_count: samples of one channel; None where the header does not say (rule 2) and the end is not to be seen.
        duration_ms: whole milliseconds, or None likewise.

    Args:
        source: a path, bytes, a binary file, or an iterable of bytes. A file is read from where it stands, and stays
            open.

    Raises:
        ConfigurationError: it cannot be opened, is no WAV, is compressed, damaged, or shorter than it says.

    Threads: one thread at a time; opening and reading block as long as the source does.
    """

    def __init__(self, source: AudioSource | Input) -> None:
        self._input = source if isinstance(source, Input) else Input(source)
        try:
            self._open()
        except BaseException:
            self._input.close()
            raise

    def _open(self) -> None:
        header = _Header(self._input)
        self._layout, self._size = header.read()
        self.sample_rate = self._layout.sample_rate
        self.channels = self._layout.channels
        self.encoding = self._layout.encoding
        size = header.sound_left if self._size is None else self._size
        self.frame_count = None if size is None else size // self._layout.frame_bytes
        self.duration_ms = None if self.frame_count is None else self.frame_count * 1000 // self.sample_rate
        self._read = 0  # bytes

    def read(self, frame_count: int) -> bytes:
        """The next ``frame_count`` samples as PCM16 mono; fewer at the end, and none behind it.

        Raises:
            ConfigurationError: the file ends before its sound does.
        """
        wanted = frame_count * self._layout.frame_bytes
        if self._size is not None:
            wanted = min(wanted, self._size - self._read)
        data = self._input.read(wanted)
        self._read += len(data)
        if self._size is not None and len(data) < wanted:
            raise _truncated(self._input, self._size, self._read)
        whole = len(data) - len(data) % self._layout.frame_bytes
        return mixed_down(self._layout.decode(data[:whole]), self.channels)

    def __iter__(self) -> Iterator[bytes]:
        """The rest of the sound, in pieces of 100 ms."""
        while piece := self.read(max(1, self.sample_rate * _PIECE_MS // 1000)):
            yield piece

    def close(self) -> None:
        """Close the file, if it was opened here."""
        self._input.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Layout(NamedTuple):
    channels: int
    sample_rate: int
    frame_bytes: int
    encoding: str
    decode: Callable[[bytes], bytes]


class _Header:
    """Everything before the sound."""

    def __init__(self, source: Input) -> None:
        self._input = source
        self._at = 0

    def read(self) -> tuple[_Layout, int | None]:
        """The layout, and the bytes of the sound, or None where the end of the file ends it."""
        riff_size = self._riff_size()
        layout = None
        while True:
            kind, size = self._chunk()
            if kind == b"data":
                break
            if kind == b"fmt ":
                layout = self._layout(size)
            elif not self._input.skip(size + size % 2):
                raise self._bad("ends before its sound begins")
            else:
                self._at += size + size % 2
        if layout is None:
            raise self._bad("has no 'fmt ' chunk before its sound, so that nobody can tell what the sound is")
        return layout, self._sound_size(size, riff_size, layout)

    @property
    def sound_left(self) -> int | None:
        """Bytes from here to the end."""
        return None if self._input.left is None else self._input.left - self._at

    def _take(self, size: int) -> bytes:
        data = self._input.read(size)
        self._at += len(data)
        return data

    def _riff_size(self) -> int:
        head = self._take(12)
        if not head:
            raise self._bad("is empty: 0 bytes")
        if head[:4] == b"RIFF" and len(head) == 12 and head[8:] == b"WAVE":
            return int.from_bytes(head[4:8], "little")
        found = foreign_container(head)
        raise self._bad(
            f"is {found}" if found else "is no WAV file: it does not begin with RIFF and WAVE", convert=True
        )

    def _chunk(self) -> tuple[bytes, int]:
        head = self._take(8)
        if len(head) < 8:
            raise self._bad("ends before its sound begins: there is no 'data' chunk")
        return head[:4], int.from_bytes(head[4:], "little")

    def _layout(self, size: int) -> _Layout:
        data = self._take(size + size % 2) if size <= _LONGEST_FORMAT else b""
        if len(data) < 16:
            raise self._bad("has a damaged 'fmt ' chunk")
        tag, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", data)
        if tag == _EXTENSIBLE_TAG:
            if data[26:40] != _SUBFORMAT:
                raise self._bad(
                    "holds an encoding of its own (an extensible header with an unknown GUID)", convert=True
                )
            tag = int.from_bytes(data[24:26], "little")
        sample_bytes = -(-bits // 8)
        decode, encoding = decoder(tag, sample_bytes), encoding_name(tag, sample_bytes)
        if decode is None:
            raise self._bad(f"holds {encoding}; PCM of 8 to 32 bits, float and G.711 can be read", convert=True)
        if not channels or not rate or frame_bytes != channels * sample_bytes:
            raise self._bad(
                f"has a damaged 'fmt ' chunk: {channels} channels, {rate} Hz, {bits} bits, {frame_bytes} bytes a frame"
            )
        return _Layout(channels, rate, frame_bytes, encoding, decode)

    def _sound_size(self, size: int, riff_size: int, layout: _Layout) -> int | None:
        left = self.sound_left
        ends_here = riff_size + 8 <= self._at or riff_size >= _LEAST_UNKNOWN
        if (size == 0 and ends_here) or (size >= _LEAST_UNKNOWN and (left is None or left < size)):
            return None
        if left is not None and left < size:
            raise _truncated(self._input, size, left)
        if size % layout.frame_bytes:
            raise self._bad(
                f"is damaged: {size} bytes of sound are no whole number of {layout.frame_bytes}-byte frames"
            )
        return size

    def _bad(self, what: str, *, convert: bool = False) -> ConfigurationError:
        return ConfigurationError(
            f"{self._input.title} {what}" + (f"; {conversion(self._input.name)}" if convert else "")
        )


def _truncated(source: Input, size: int, there: int) -> ConfigurationError:
    return ConfigurationError(
        f"{source.title} is cut off: of {size} bytes of sound {there} are there. What is there can be saved: "
        f"{conversion(source.name)}"
    )
