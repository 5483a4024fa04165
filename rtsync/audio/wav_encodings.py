"""The ways in which WAV files write samples, brought to PCM16; and several channels mixed to one.

Format tags are those of Microsoft's ``mmreg.h``, layouts of samples those of its "Multiple channel audio data and WAVE
files".
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, Mapping
from operator import add

from rtsync.audio.g711 import alaw_to_pcm, ulaw_to_pcm
from rtsync.audio.pcm import FULL_SCALE, pcm_bytes, samples, saturated

__all__ = ["ALAW_TAG", "PCM_TAG", "ULAW_TAG", "decoder", "encoding_name", "mixed_down"]

PCM_TAG = 1
_FLOAT_TAG = 3
ALAW_TAG = 6
ULAW_TAG = 7

_COMPRESSED = {
    0x02: "Microsoft ADPCM", 0x11: "IMA ADPCM", 0x14: "G.723 ADPCM", 0x31: "GSM 6.10", 0x40: "G.721 ADPCM",
    0x45: "G.726 ADPCM", 0x50: "MPEG", 0x55: "MP3", 0x92: "Dolby AC-3", 0xFF: "AAC", 0x160: "Windows Media Audio",
    0x161: "Windows Media Audio", 0x162: "Windows Media Audio", 0x1610: "AAC", 0x704F: "Opus", 0xF1AC: "FLAC",
}  # fmt: skip
_FLIP = bytes(value ^ 0x80 for value in range(256))


def decoder(tag: int, sample_bytes: int) -> Callable[[bytes], bytes] | None:
    """What makes PCM16 of samples under format ``tag`` with ``sample_bytes`` bytes each; None for what we cannot read.

    Integers of more than 16 bits lose the lower ones. Floats have full scale at 1.0; beyond that they are clipped.
    """
    return _DECODERS.get((tag, sample_bytes))


def encoding_name(tag: int, sample_bytes: int) -> str:
    """What people call it."""
    match tag:
        case 1:
            return f"{8 * sample_bytes}-bit PCM"
        case 3:
            return f"{8 * sample_bytes}-bit float"
        case 6:
            return "G.711 A-law"
        case 7:
            return "G.711 mu-law"
    return _COMPRESSED.get(tag, "an unknown encoding") + f" (format tag 0x{tag:04X})"


def mixed_down(pcm: bytes, channels: int) -> bytes:
    """PCM16 with ``channels`` samples a frame as mono: their mean, which can neither clip nor wrap."""
    if channels == 1:
        return pcm
    values = samples(pcm)
    lanes = [values[channel::channels] for channel in range(channels)]
    sums = map(add, *lanes) if channels == 2 else map(sum, zip(*lanes, strict=True))
    half = channels // 2
    return pcm_bytes(array("h", [(total + half) // channels for total in sums]))


def _unsigned_8(data: bytes) -> bytes:
    pcm = bytearray(2 * len(data))
    pcm[1::2] = data.translate(_FLIP)
    return bytes(pcm)


def _integer(sample_bytes: int) -> Callable[[bytes], bytes]:
    def upper_bytes(data: bytes) -> bytes:
        pcm = bytearray(2 * (len(data) // sample_bytes))
        pcm[::2] = data[sample_bytes - 2 :: sample_bytes]
        pcm[1::2] = data[sample_bytes - 1 :: sample_bytes]
        return bytes(pcm)

    return upper_bytes


def _float(code: str) -> Callable[[bytes], bytes]:
    def scaled(data: bytes) -> bytes:
        values = array(code, data)
        if sys.byteorder == "big":
            values.byteswap()
        try:
            return pcm_bytes(saturated([value * FULL_SCALE for value in values]))
        except (OverflowError, ValueError):  # infinite, or not a number
            return pcm_bytes(saturated([_finite(value) * FULL_SCALE for value in values]))

    return scaled


def _finite(value: float) -> float:
    return 0.0 if math.isnan(value) else max(-1.0, min(1.0, value))


_DECODERS: Mapping[tuple[int, int], Callable[[bytes], bytes]] = {
    (PCM_TAG, 1): _unsigned_8,
    (PCM_TAG, 2): bytes,
    (PCM_TAG, 3): _integer(3),
    (PCM_TAG, 4): _integer(4),
    (_FLOAT_TAG, 4): _float("f"),
    (_FLOAT_TAG, 8): _float("d"),
    (ALAW_TAG, 1): alaw_to_pcm,
    (ULAW_TAG, 1): ulaw_to_pcm,
}
