"""Sound in pieces of a given length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rtsync.audio.formats import PCM16, AudioFormat
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["DEFAULT_CHUNK_MS", "LONGEST_CHUNK_MS", "checked_chunk_ms", "chunks"]

DEFAULT_CHUNK_MS = 20
"""What telephones send, and what turn detection works in."""
LONGEST_CHUNK_MS = 60_000
"""Well below the 15 MiB that the service takes in one event (protocol 6.1)."""


def chunks(
    sound: bytes | bytearray | memoryview | Iterable[bytes], form: AudioFormat = PCM16, chunk_ms: int = DEFAULT_CHUNK_MS
) -> Iterator[bytes]:
    """``sound``, in the format ``form``, in pieces of ``chunk_ms`` milliseconds, of which the last may be shorter.

    Args:
        sound: bytes, or pieces of bytes of any size.
        form: of the sound.
        chunk_ms: milliseconds, 1 to 60,000.

    Raises:
        ConfigurationError: ``chunk_ms`` is no whole number from 1 to 60,000.
    """
    size = form.byte_count(checked_chunk_ms(chunk_ms))
    return _cut([bytes(sound)] if isinstance(sound, bytes | bytearray | memoryview) else sound, size)


def checked_chunk_ms(chunk_ms: int) -> int:
    """``chunk_ms``, if chunks can be so long.

    Raises:
        ConfigurationError: they cannot.
    """
    if isinstance(chunk_ms, bool) or not isinstance(chunk_ms, int) or not 1 <= chunk_ms <= LONGEST_CHUNK_MS:
        raise ConfigurationError(f"chunk_ms={chunk_ms!r}: a whole number of milliseconds, 1 to {LONGEST_CHUNK_MS}")
    return chunk_ms


def _cut(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    waiting = b""
    for piece in pieces:
        found = waiting + bytes(piece)
        whole = len(found) - len(found) % size
        for start in range(0, whole, size):
            yield found[start : start + size]
        waiting = found[whole:]
    if waiting:
        yield waiting
