"""WAV files made by hand, right and wrong ones."""

from __future__ import annotations

import io
import struct
import wave

PCM, FLOAT, ALAW, ULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
SUBFORMAT = bytes.fromhex("0000000010008000 00AA00389B71")


def chunk(kind: bytes, data: bytes, size: int | None = None) -> bytes:
    return struct.pack("<4sI", kind, len(data) if size is None else size) + data + b"\0" * (len(data) % 2)


def layout(tag: int, channels: int, sample_rate: int, bits: int) -> bytes:
    frame = channels * -(-bits // 8)
    return struct.pack("<HHIIHH", tag, channels, sample_rate, sample_rate * frame, frame, bits)


def extensible(tag: int, channels: int, sample_rate: int, bits: int, valid_bits: int, guid: bytes = SUBFORMAT) -> bytes:
    plain = layout(EXTENSIBLE, channels, sample_rate, bits)
    return plain + struct.pack("<HHIH", 22, valid_bits, 0, tag) + guid


def riff(*chunks: bytes, size: int | None = None, magic: bytes = b"RIFF", kind: bytes = b"WAVE") -> bytes:
    body = kind + b"".join(chunks)
    return magic + struct.pack("<I", len(body) if size is None else size) + body


def wav(data: bytes, tag: int = PCM, channels: int = 1, sample_rate: int = 24_000, bits: int = 16) -> bytes:
    return riff(chunk(b"fmt ", layout(tag, channels, sample_rate, bits)), chunk(b"data", data))


def written_by_wave(data: bytes, channels: int = 1, sample_rate: int = 24_000, sample_bytes: int = 2) -> bytes:
    """As the standard library writes it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(sample_bytes)
        writer.setframerate(sample_rate)
        writer.writeframes(data)
    return file.getvalue()
