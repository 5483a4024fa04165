"""Frames as a client writes them (RFC 6455 5.2), in one piece, masked without a loop over bytes.

websocket-client's writer turns payload and mask into integers and back, at any size. That is the fastest for short
frames, of those ways that need no compiler. For longer ones a translation table per byte of the mask is: every fourth
byte of the payload goes through the same one.
"""

from __future__ import annotations

import functools
import os
from struct import Struct

__all__ = ["client_frame"]

_FIN = 0x80
_MASKED = 0x80
_OPCODES = frozenset({0x0, 0x1, 0x2, 0x8, 0x9, 0xA})  # RFC 6455 5.2; the others are reserved.
_BY_TABLES = 700  # bytes of payload from which on tables are faster than integers

_integer = int.from_bytes
_pack_short = Struct("!BB").pack
_pack_medium = Struct("!BBH").pack
_pack_long = Struct("!BBQ").pack


@functools.cache
def _exclusive_or(key: int) -> bytes:
    """The table that translates every byte to its exclusive or with ``key``."""
    return (_integer(bytes(range(256)), "little") ^ _integer(bytes((key,)) * 256, "little")).to_bytes(256, "little")


def client_frame(payload: bytes | bytearray, opcode: int) -> bytes | bytearray:
    """One unfragmented frame with ``payload``, masked with a fresh key (RFC 6455 5.3).

    Raises:
        ValueError: there is no such opcode.
    """
    if opcode not in _OPCODES:
        raise ValueError(f"no opcode of RFC 6455: {opcode!r}")
    try:
        key = _keys.pop()
    except IndexError:
        key = _fresh_key()
    size = len(payload)
    if size < 126:
        head = _pack_short(_FIN | opcode, _MASKED | size)
    elif size < 1 << 16:
        head = _pack_medium(_FIN | opcode, _MASKED | 126, size)
    else:
        head = _pack_long(_FIN | opcode, _MASKED | 127, size)
    if size >= _BY_TABLES:
        return _by_tables(head + key, payload, key)
    mask = _integer((key * (size // 4 + 1))[:size], "little")
    return head + key + (_integer(payload, "little") ^ mask).to_bytes(size, "little")


def _fresh_key() -> bytes:
    """Four bytes that nobody can foresee. Fetched from the system a thousand at a time, of which the others are kept:
    each call there hands the interpreter to another thread.
    """
    fetched = os.urandom(4096)
    _keys.extend(fetched[place : place + 4] for place in range(4, 4096, 4))
    return fetched[:4]


_keys: list[bytes] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keys.clear)  # The parent's are the parent's.


def _by_tables(head: bytes, payload: bytes | bytearray, key: bytes) -> bytearray:
    frame = bytearray(head)
    frame += payload
    for lane in range(4):
        places = slice(len(head) + lane, None, 4)
        frame[places] = frame[places].translate(_exclusive_or(key[lane]))
    return frame
