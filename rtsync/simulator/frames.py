"""WebSocket frames by hand, right and wrong (RFC 6455, section 5): what a server that keeps the rules cannot send."""

from __future__ import annotations

import struct
from typing import Literal

__all__ = ["TEXT", "WrongFrame", "close_frame", "fragments", "frame", "wrong_frame"]

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0x0, 0x1, 0x2, 0x8, 0x9
_UNKNOWN = 0x3
_MASK = b"\x11\x22\x33\x44"

WrongFrame = Literal[
    "binary", "masked", "reserved", "opcode", "utf8", "json", "array", "fragment", "continuation", "ping", "close",
    "length", "huge",
]  # fmt: skip
"""What a frame can have wrong with it:

* ``binary``: a binary message, which the service never sends
* ``masked``: masked, as only a client may
* ``reserved``: a reserved bit set, without an extension that means something by it
* ``opcode``: a kind of frame that does not exist
* ``utf8``: a text message that is not UTF-8
* ``json``: a text message that is not JSON
* ``array``: a text message that is JSON and no event
* ``fragment``: the beginning of a message, without an end
* ``continuation``: the end of a message that never began
* ``ping``: a ping longer than a control frame may be
* ``close``: a close frame with half a code
* ``length``: an impossible length
* ``huge``: an event of any size, correct otherwise
"""


def frame(op: int, payload: bytes, *, fin: bool = True, reserved: int = 0, masked: bool = False) -> bytes:
    """One frame. A server's must have ``reserved`` 0 and not be ``masked``."""
    head = bytes([fin << 7 | reserved << 4 | op]) + _length(len(payload), masked << 7)
    if not masked:
        return head + payload
    return head + _MASK + bytes(byte ^ _MASK[at % 4] for at, byte in enumerate(payload))


def _length(size: int, mask_bit: int) -> bytes:
    if size < 126:
        return bytes([mask_bit | size])
    if size < 1 << 16:
        return bytes([mask_bit | 126]) + struct.pack("!H", size)
    return bytes([mask_bit | 127]) + struct.pack("!Q", size)


def close_frame(code: int | None, reason: str) -> bytes:
    """A close frame with any code, those that must not be sent included; None leaves code and reason out."""
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


def fragments(text: str, size: int) -> bytes:
    """A text message in frames of at most ``size`` bytes each, which the protocol allows."""
    data = text.encode()
    starts = range(0, max(1, len(data)), size)
    return b"".join(
        frame(TEXT if at == 0 else CONTINUATION, data[at : at + size], fin=at + size >= len(data)) for at in starts
    )


def wrong_frame(kind: WrongFrame, size: int) -> bytes:
    """A frame that is wrong in this way; ``size`` is the length of a ``huge`` message in bytes."""
    return _huge(size) if kind == "huge" else _WRONG[kind]


def _huge(size: int) -> bytes:
    head, tail = b'{"type":"rtsync.huge","padding":"', b'"}'
    return frame(TEXT, head + b"x" * (size - len(head) - len(tail)) + tail)


_EVENT = b'{"type":"rtsync.wrong"}'
_WRONG: dict[WrongFrame, bytes] = {
    "binary": frame(BINARY, _EVENT),
    "masked": frame(TEXT, _EVENT, masked=True),
    "reserved": frame(TEXT, _EVENT, reserved=0b010),
    "opcode": frame(_UNKNOWN, _EVENT),
    "utf8": frame(TEXT, b'{"type":"\xff\xfe"}'),
    "json": frame(TEXT, b'{"type":'),
    "array": frame(TEXT, b'["not", "an event"]'),
    "fragment": frame(TEXT, _EVENT[:10], fin=False),
    "continuation": frame(CONTINUATION, _EVENT[10:]),
    "ping": frame(PING, b"x" * 126),
    "close": frame(CLOSE, b"\x03"),
    "length": bytes([0x80 | TEXT, 127]) + struct.pack("!Q", 1 << 63),
}
