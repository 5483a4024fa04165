"""The audio formats of the wire, under their names in both dialects (protocol 4.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rtsync.audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm
from rtsync.vocabulary.errors import ConfigurationError

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
        return f"<{self.name}, {self.sample_rate} Hz>"

    def __rich_repr__(self) -> Any:
        yield self.name
        yield "sample_rate", self.sample_rate

    @property
    def bytes_per_ms(self) -> int:
        """Bytes of one millisecond."""
        return self.sample_rate * self.sample_bytes // 1000

    def duration_ms(self, byte_count: int) -> int:
        """Whole milliseconds in ``byte_count`` bytes."""
        return byte_count // self.bytes_per_ms

    def byte_count(self, duration_ms: int) -> int:
        """Bytes of ``duration_ms`` milliseconds."""
        return duration_ms * self.bytes_per_ms

    def silence(self, duration_ms: int) -> bytes:
        """``duration_ms`` milliseconds without a sound. In G.711 that is not the byte 0."""
        return self.from_pcm(bytes(2)) * (self.byte_count(duration_ms) // self.sample_bytes)


PCM16 = AudioFormat("audio/pcm", "pcm16", 24000, 2, _as_it_is, _as_it_is)
"""16-bit little-endian PCM at 24,000 Hz."""
ULAW = AudioFormat("audio/pcmu", "g711_ulaw", 8000, 1, ulaw_to_pcm, pcm_to_ulaw)
"""G.711 mu-law at 8,000 Hz: telephones in North America and Japan."""
ALAW = AudioFormat("audio/pcma", "g711_alaw", 8000, 1, alaw_to_pcm, pcm_to_alaw)
"""G.711 A-law at 8,000 Hz: telephones elsewhere."""

FORMATS: Mapping[str, AudioFormat] = {found.name: found for found in (PCM16, ULAW, ALAW)}
"""By preview name."""

_BY_TYPE = {found.type: found for found in FORMATS.values()}


def audio_format(value: AudioFormat | str | Mapping[str, Any]) -> AudioFormat:
    """The format that ``value`` means: a GA format object, its ``type`` alone, a preview name, or a format itself.

    Raises:
        ConfigurationError: no such format, or PCM at a rate that is not the service's.
    """
    if isinstance(value, AudioFormat):
        return value
    named = value.get("type") if isinstance(value, Mapping) else value
    found = FORMATS.get(named) or _BY_TYPE.get(named) if isinstance(named, str) else None
    if found is None:
        raise ConfigurationError(f"{named!r} is no audio format: {', '.join((*FORMATS, *_BY_TYPE))} are")
    if isinstance(value, Mapping) and value.get("rate") not in (None, found.sample_rate):
        raise ConfigurationError(f"{named} has {found.sample_rate} Hz, not {value['rate']!r}: resample the sound")
    return found
