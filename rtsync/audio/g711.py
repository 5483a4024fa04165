"""G.711, the sound of telephones: 8-bit mu-law and A-law samples, to and from 16-bit PCM.

The tables are made on first use, from the rules of ITU-T G.711. Every function takes and gives bytes: PCM as 16-bit
little-endian mono, G.711 as one byte a sample. The results are the same, byte for byte, as those of the ``audioop``
module that Python had up to 3.12.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable

from rtsync.audio.pcm import pcm_bytes, samples

__all__ = ["alaw_to_pcm", "pcm_to_alaw", "pcm_to_ulaw", "ulaw_to_pcm"]

_ULAW_BIAS = 33
_ULAW_HIGHEST = 8191
_ULAW_BITS = 14
_ALAW_BITS = 13


def pcm_to_ulaw(pcm: bytes) -> bytes:
    """``pcm`` as mu-law."""
    return bytes(map(_ulaw_codes().__getitem__, samples(pcm)))


def pcm_to_alaw(pcm: bytes) -> bytes:
    """``pcm`` as A-law."""
    return bytes(map(_alaw_codes().__getitem__, samples(pcm)))


def ulaw_to_pcm(data: bytes) -> bytes:
    """Mu-law ``data`` as PCM, at the same sample rate."""
    return _translated(data, *_ulaw_bytes())


def alaw_to_pcm(data: bytes) -> bytes:
    """A-law ``data`` as PCM, at the same sample rate."""
    return _translated(data, *_alaw_bytes())


def _translated(data: bytes, low: bytes, high: bytes) -> bytes:
    pcm = bytearray(2 * len(data))
    pcm[::2] = data.translate(low)
    pcm[1::2] = data.translate(high)
    return bytes(pcm)


def _codes(bits: int, code: Callable[[int], int]) -> bytes:
    """The codes of all samples, of which the upper ``bits`` bits count.

    Those of negative samples stand at the end, as negative indexes want it.
    """
    half, alike = 1 << (bits - 1), 1 << (16 - bits)
    return b"".join(bytes([code(value)]) * alike for value in (*range(half), *range(-half, 0)))


@functools.cache
def _ulaw_codes() -> bytes:
    return _codes(_ULAW_BITS, _ulaw_code)


@functools.cache
def _alaw_codes() -> bytes:
    return _codes(_ALAW_BITS, _alaw_code)


def _bytes_of(value: Callable[[int], int]) -> tuple[bytes, bytes]:
    """Lower and upper bytes of the samples of all codes."""
    pcm = pcm_bytes(array("h", map(value, range(256))))
    return pcm[::2], pcm[1::2]


@functools.cache
def _ulaw_bytes() -> tuple[bytes, bytes]:
    return _bytes_of(_ulaw_value)


@functools.cache
def _alaw_bytes() -> tuple[bytes, bytes]:
    return _bytes_of(_alaw_value)


def _ulaw_code(value: int) -> int:
    mask = 0xFF if value >= 0 else 0x7F
    magnitude = min(abs(value) + _ULAW_BIAS, _ULAW_HIGHEST)
    segment = max(0, magnitude.bit_length() - 6)
    return ((segment << 4) | ((magnitude >> (segment + 1)) & 0xF)) ^ mask


def _alaw_code(value: int) -> int:
    mask = 0xD5 if value >= 0 else 0x55
    magnitude = value if value >= 0 else -value - 1
    segment = max(0, magnitude.bit_length() - 5)
    return ((segment << 4) | ((magnitude >> max(1, segment)) & 0xF)) ^ mask


def _ulaw_value(code: int) -> int:
    code ^= 0xFF
    magnitude = (((code & 0xF) << 3) + 4 * _ULAW_BIAS) << ((code & 0x70) >> 4)
    return 4 * _ULAW_BIAS - magnitude if code & 0x80 else magnitude - 4 * _ULAW_BIAS


def _alaw_value(code: int) -> int:
    code ^= 0x55
    segment = (code & 0x70) >> 4
    magnitude = ((code & 0xF) << 4) + 8
    if segment:
        magnitude = (magnitude + 0x100) << (segment - 1)
    return magnitude if code & 0x80 else -magnitude
