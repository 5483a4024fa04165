"""What a file is by its first bytes, for messages that say what to do with it."""

from __future__ import annotations

import shlex

__all__ = ["HEAD_BYTES", "conversion", "foreign_container", "looks_like_base64"]

HEAD_BYTES = 64
"""How many of the first bytes are looked at."""

_BEGINNINGS = (
    (b"OggS", "Ogg (Opus or Vorbis)"),
    (b"fLaC", "FLAC"),
    (b"ID3", "MP3"),
    (b"FORM", "AIFF"),
    (b"caff", "CAF"),
    (b".snd", "AU"),
    (b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (b"#!AMR", "AMR"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
    (b"RF64", "RF64, a WAV of more than 4 GiB"),
    (b"BW64", "BW64, a WAV of more than 4 GiB"),
    (b"RIFX", "RIFX, a big-endian WAV"),
)
# An MPEG frame: eleven bits set, then version and layer. Raw samples may begin like this.
_MPEG_FRAMES = {b"\xff\xfb": "MP3", b"\xff\xf3": "MP3", b"\xff\xf2": "MP3", b"\xff\xf1": "AAC", b"\xff\xf9": "AAC"}
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_BASE64_VARIETY = 8  # different characters in a row of 64: a tone or silence in samples has fewer


def foreign_container(head: bytes, *, raw: bool = False) -> str | None:
    """The name of the format that begins like ``head``; None where it is none of those that we know.

    ``raw``: the sound is said to be raw samples, so two telling bytes are not enough.
    """
    if head[4:8] == b"ftyp":
        return "MP4 (M4A, AAC)"
    named = next((name for magic, name in _BEGINNINGS if head.startswith(magic)), None)
    return named if named or raw else _MPEG_FRAMES.get(head[:2])


def looks_like_base64(head: bytes) -> bool:
    """Whether ``head`` is text as events carry sound, and not sound."""
    found = set(head)
    return len(head) == HEAD_BYTES and found <= _BASE64 and len(found) >= _BASE64_VARIETY


def conversion(name: str | None) -> str:
    """How to make a WAV of the file called ``name``, for the end of a message."""
    return f"ffmpeg -i {shlex.quote(name) if name else 'INPUT'} -ac 1 -ar 24000 -c:a pcm_s16le OUTPUT.wav makes one"
