"""The audio formats of the wire, under their names in both dialects (protocol 4.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rtsync.audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm

__all__ = ["ALAW", "FORMATS", "PCM16", "ULAW", "AudioFormat", "audio_format"]


def _as_it_is(data: bytes) -> bytes:
    return data


class AudioFormat(msgspec.Struct, frozen=True):
    """One format: raw mono samples without a header.

    Attributes:
        type: ``type`` of the GA format object.
        name: the preview's name.
        sample_rate: Hz.
        sample_bytes: bytes of one sample.
        to_pcm: bytes of this format as 16-bit PCM at the same rate.
        from_pcm: 16-bit PCM at this rate as bytes of this format.
    """

    type: str
    name: str
    sample_rate: int
    sample_bytes: int
    to_pcm: Callable[[bytes], bytes]
    from_pcm: Callable[[bytes], bytes]

    def __repr__(self) -> str:
        return f"AudioFormat({self.name!r}, sample_rate={self.sample_rate})"

    @property
    def bytes_per_ms(self) -> int:
        """Bytes of one millisecond."""
        return self.sample_rate * self.sample_bytes // 1000

    def duration_ms(self, byte_count: int) -> int:
        """Whole milliseconds in ``byte_count`` bytes."""
        return byte_count // self.bytes_per_ms


PCM16 = AudioFormat("audio/pcm", "pcm16", 24000, 2, _as_it_is, _as_it_is)
ULAW = AudioFormat("audio/pcmu", "g711_ulaw", 8000, 1, ulaw_to_pcm, pcm_to_ulaw)
ALAW = AudioFormat("audio/pcma", "g711_alaw", 8000, 1, alaw_to_pcm, pcm_to_alaw)

FORMATS: Mapping[str, AudioFormat] = {found.name: found for found in (PCM16, ULAW, ALAW)}
"""By preview name."""

_BY_TYPE = {found.type: found for found in FORMATS.values()}


def audio_format(value: str | Mapping[str, Any]) -> AudioFormat:
    """The format that ``value`` means: a GA format object, its ``type`` alone, or a preview name.

    Raises:
        KeyError: no such format.
    """
    named = value if isinstance(value, str) else value["type"]
    return FORMATS.get(named) or _BY_TYPE[named]
