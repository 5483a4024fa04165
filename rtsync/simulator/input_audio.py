"""The input audio buffer: what was appended and not yet committed (protocol 2, input_audio_buffer.*)."""

from __future__ import annotations

from rtsync.simulator.refusals import Refused
from rtsync.simulator.schema import audio_bytes

__all__ = ["InputAudio"]

_LARGEST_CHUNK = 15 << 20
_SHORTEST_COMMIT_MS = 100
# An hour of speech is 172 MB; nobody commits that, but a client may stream for hours and never commit.
_LONGEST_KEPT = 64 << 20


class InputAudio:
    """Raw bytes of the session's input format. Voice activity detection will read them here."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def append(self, text: str) -> None:
        """Add base64 ``text``; the oldest audio goes when more than 64 MiB are held.

        Raises:
            Refused: not base64, or more than 15 MiB at once.
        """
        chunk = audio_bytes(text, "audio")
        if len(chunk) > _LARGEST_CHUNK:
            message = f"Invalid 'audio': at most {_LARGEST_CHUNK} bytes are accepted at once, but got {len(chunk)}."
            raise Refused("invalid_value", message, param="audio")
        self._bytes += chunk
        del self._bytes[: max(0, len(self._bytes) - _LONGEST_KEPT)]

    def clear(self) -> None:
        """Forget what was appended."""
        self._bytes.clear()

    def commit(self, bytes_per_ms: int) -> bytes:
        """Take everything out.

        Raises:
            Refused: less than 100 ms.
        """
        length_ms = len(self._bytes) / bytes_per_ms
        if length_ms < _SHORTEST_COMMIT_MS:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {length_ms:.2f}ms of audio."
            )
            raise Refused("input_audio_buffer_commit_empty", message)
        committed = bytes(self._bytes)
        self._bytes.clear()
        return committed
