"""The cases that Autobahn's fuzzing server puts to a client, as data: what is sent, and what has to come of it.

Numbered as there (https://github.com/crossbario/autobahn-testsuite), groups 1 to 7, 9 and 10; 12 and 13 are about
compression, which is never offered. Each row stands for the case in one piece, in pieces and octet by octet, which its
test multiplies. An echo stands here as the message that it would be of.
"""

from __future__ import annotations

import dataclasses
import struct

from tests.loopback import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

__all__ = ["CASES", "Case"]


@dataclasses.dataclass(frozen=True)
class Case:
    """What the server sends, and what has to come of it.

    Attributes:
        wire: all of it, the server's close frame included where it sends one.
        messages: what is delivered, of a message that is refused for its UTF-8 all that came.
        answer: code of the close frame that the client sends; None for one without.
        pongs: what the pongs carry that it sends before.
        text: whether messages are text, and so checked for UTF-8.
        behind: whether something follows the server's close frame. That may meet a socket that is closed, and be
            answered with a reset before the server has read the answer.
    """

    wire: bytes
    messages: tuple[bytes, ...] = ()
    answer: int | None = 1000
    pongs: tuple[bytes, ...] = ()
    text: bool = False
    behind: bool = False


def _code(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


_END = _code(1000)
_HI = frame(TEXT, "Hello, world!")
_PING = frame(PING)


def _split(op: int, parts: list[bytes]) -> bytes:
    """A message in these fragments."""
    last = len(parts) - 1
    return b"".join(frame(CONTINUATION if n else op, part, fin=int(n == last)) for n, part in enumerate(parts))


def _fine(wire: bytes, *messages: bytes, pongs: tuple[bytes, ...] = ()) -> Case:
    return Case(wire + _END, messages, 1000, pongs)


def _refused(wire: bytes, *messages: bytes, code: int = 1002, pongs: tuple[bytes, ...] = ()) -> Case:
    """Refused, whatever comes behind."""
    return Case(wire + _HI, messages, code, pongs)


def _text(*parts: bytes) -> Case:
    return Case(_split(TEXT, list(parts)) + _END, (b"".join(parts),), text=True)


def _not_text(*parts: bytes) -> Case:
    return Case(_split(TEXT, list(parts)) + _HI, (b"".join(parts),), 1007, text=True)


def _octets(data: bytes) -> list[bytes]:
    return [data[n : n + 1] for n in range(len(data))]


def _named(group: str, cases: list[Case]) -> dict[str, Case]:
    return {f"{group}.{number}": case for number, case in enumerate(cases, 1)}


_SIZES = (0, 125, 126, 127, 128, 65535, 65536)

_FRAMING = _named("1.1", [_fine(frame(TEXT, b"*" * size), b"*" * size) for size in _SIZES]) | _named(
    "1.2", [_fine(frame(BINARY, b"\xfe" * size), b"\xfe" * size) for size in _SIZES]
)

_ODD = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
_TEN = tuple(b"payload-%d" % number for number in range(10))
_PINGS = _named(
    "2",
    [
        _fine(_PING, pongs=(b"",)),
        _fine(frame(PING, "Hello, world!"), pongs=(b"Hello, world!",)),
        _fine(frame(PING, _ODD), pongs=(_ODD,)),
        _fine(frame(PING, b"\xfe" * 125), pongs=(b"\xfe" * 125,)),
        _refused(frame(PING, b"\xfe" * 126)),
        _fine(frame(PONG)),
        _fine(frame(PONG, "unsolicited pong payload")),
        _fine(frame(PONG, "unsolicited") + frame(PING, "ping payload"), pongs=(b"ping payload",)),
        _fine(b"".join(frame(PING, payload) for payload in _TEN), pongs=_TEN),
    ],
)

_RESERVED_BITS = _named(
    "3",
    [
        _refused(frame(TEXT, "Hello, world!", rsv=1)),
        _refused(_HI + frame(TEXT, "Hello, world!", rsv=2) + _PING, b"Hello, world!"),
        _refused(_HI + frame(TEXT, "Hello, world!", rsv=3) + _PING, b"Hello, world!"),
        _refused(_HI + frame(TEXT, "Hello, world!", rsv=4) + _PING, b"Hello, world!"),
        _refused(frame(BINARY, _ODD, rsv=5)),
        _refused(frame(PING, "Hello, world!", rsv=6)),
        _refused(frame(CLOSE, struct.pack("!H", 1000), rsv=7)),
    ],
)

_OPCODES = {
    f"4.{group}.{number}": _refused(before + frame(op, payload) + _PING, *([b"Hello, world!"] if before else []))
    for group, first in ((1, 3), (2, 11))
    for number, op, before, payload in [
        (1, first, b"", b""),
        (2, first + 1, b"", b"reserved opcode payload"),
        (3, first + 2, _HI, b""),
        (4, first + 3, _HI, b"reserved opcode payload"),
        (5, first + 4, _HI, b"reserved opcode payload"),
    ]
}

_STRAY_END, _STRAY = frame(CONTINUATION, "nothing to continue"), frame(CONTINUATION, "nothing to continue", fin=0)
_FIVE = [b"fragment%d" % number for number in range(1, 6)]
_FRAGMENTS = {
    "5.1": _refused(frame(PING, "fragment1", fin=0) + frame(CONTINUATION, "fragment2")),
    "5.2": _refused(frame(PONG, "fragment1", fin=0) + frame(CONTINUATION, "fragment2")),
    "5.3-5": _fine(_split(TEXT, _FIVE[:2]), b"fragment1fragment2"),
    "5.6-8": _fine(
        frame(TEXT, "fragment1", fin=0) + frame(PING, "ping payload") + frame(CONTINUATION, "fragment2"),
        b"fragment1fragment2",
        pongs=(b"ping payload",),
    ),
    "5.9-11": _refused(_STRAY_END),
    "5.12-14": _refused(_STRAY),
    "5.15": _refused(_split(TEXT, _FIVE[:2]) + _STRAY, b"fragment1fragment2"),
    "5.16": _refused((_STRAY + frame(TEXT, "fragment1", fin=0) + frame(CONTINUATION, "fragment2")) * 2),
    "5.17": _refused((_STRAY_END + frame(TEXT, "fragment1", fin=0) + frame(CONTINUATION, "fragment2")) * 2),
    "5.18": _refused(frame(TEXT, "fragment1", fin=0) + frame(TEXT, "fragment2")),
    "5.19-20": _fine(
        frame(TEXT, _FIVE[0], fin=0)
        + frame(CONTINUATION, _FIVE[1], fin=0)
        + frame(PING, "pongme 1!")
        + frame(CONTINUATION, _FIVE[2], fin=0)
        + frame(CONTINUATION, _FIVE[3], fin=0)
        + frame(PING, "pongme 2!")
        + frame(CONTINUATION, _FIVE[4]),
        b"".join(_FIVE),
        pongs=(b"pongme 1!", b"pongme 2!"),
    ),
}

_GREEK = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()  # With the second letter in three bytes.
_MIXED = "Hello-µ@ßöäüàá-UTF-8!!".encode()
_SURROGATE = b"\xed\xa0\x80"
_BEYOND = b"\xf4\x90\x80\x80"  # U+110000
_LONELY = [bytes(b for start in range(*span) for b in (start, 0x20))
           for span in ((0xC0, 0xE0), (0xE0, 0xF0), (0xF0, 0xF8), (0xF8, 0xFC), (0xFC, 0xFE))]  # fmt: skip
_INCOMPLETE = [
    b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80",
    b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf",
]  # fmt: skip
_VALID_ENDS = {2, 5, 7, 9, 11}  # of the bytes of _GREEK, those with which a character is whole
_NON_CHARACTERS = [chr(plane << 16 | low).encode() for plane in range(17) for low in (0xFFFE, 0xFFFF)]


def _each(group: str, sequences: list[bytes], *, valid: bool) -> dict[str, Case]:
    """A row for each by itself, and for each octet by octet in fragments."""
    make = _text if valid else _not_text
    rows: dict[str, Case] = {}
    for number, data in enumerate(sequences, 1):
        rows[f"{group}.{number}"] = make(data)
        rows[f"{group}.{number}, in fragments"] = make(*_octets(data))
    return rows


_UTF8: dict[str, Case] = {
    "6.1.1": _text(b""),
    "6.1.2": _text(b"", b"", b""),
    "6.1.3": _text(b"", b"middle frame payload", b""),
    "6.2.1": _text(_MIXED),
    "6.2.2": _text(_MIXED[:7], _MIXED[7:]),
    "6.2.3": _text(*_octets(_MIXED)),
    "6.2.4": _text(*_octets(_GREEK)),
    "6.3.1": _not_text(_GREEK + _SURROGATE + b"edited"),
    "6.3.2": _not_text(*_octets(_GREEK + _SURROGATE + b"edited")),
    "6.4.1": _not_text(_GREEK, _BEYOND, b"edited"),
    "6.4.2": _not_text(_GREEK + b"\xf4", b"\x90", b"\x80\x80edited"),
    **_each("6.5", [_MIXED, _GREEK], valid=True),
    **{
        f"6.6.{length}": (_text if length in _VALID_ENDS else _not_text)(_GREEK[:length])
        for length in range(1, len(_GREEK) + 1)
    },
    **_each("6.7", [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"], valid=True),
    **_each("6.8", [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"], valid=False),
    **_each("6.9", [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"], valid=True),
    **_each("6.10", [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"], valid=False),
    **_each("6.11", [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"], valid=True),
    "6.11.5": _not_text(_BEYOND),
    **_each("6.12", [b"\x80", b"\xbf", *((b"\x80\xbf" * 3)[:size] for size in range(2, 7)), bytes(range(0x80, 0xC0))],
            valid=False),
    **_each("6.13", _LONELY, valid=False),
    **_each("6.14", _INCOMPLETE, valid=False),
    **_each("6.15", [b"".join(_INCOMPLETE)], valid=False),
    **_each("6.16", [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"], valid=False),
    **_each("6.17", [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf",
                     b"\xfc\x80\x80\x80\x80\xaf"], valid=False),
    **_each("6.18", [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf",
                     b"\xfc\x83\xbf\xbf\xbf\xbf"], valid=False),
    **_each("6.19", [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80",
                     b"\xfc\x80\x80\x80\x80\x80"], valid=False),
    **_each("6.20", [chr(code).encode("utf-8", "surrogatepass")
                     for code in (0xD800, 0xDB7F, 0xDB80, 0xDBFF, 0xDC00, 0xDF80, 0xDFFF)], valid=False),
    **_each("6.21", [(chr(high) + chr(low)).encode("utf-8", "surrogatepass")
                     for high in (0xD800, 0xDB7F, 0xDB80, 0xDBFF) for low in (0xDC00, 0xDFFF)], valid=False),
    **_each("6.22", _NON_CHARACTERS, valid=True),
    **_each("6.23", [chr(code).encode() for code in range(0xFFF9, 0x10000)], valid=True),
}  # fmt: skip

_MAY_BE_SENT = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
_MAY_NOT = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
_LONG = b"BAsd7&jh23" * 26214
_CLOSING = {
    "7.1.1": _fine(_HI, b"Hello, world!"),
    "7.1.2": Case(_END + _END, behind=True),
    "7.1.3": Case(_END + _PING, behind=True),
    "7.1.4": Case(_END + _HI, behind=True),
    "7.1.5": Case(frame(TEXT, "fragment1", fin=0) + _END + frame(CONTINUATION, "fragment2"), behind=True),
    "7.1.6": Case(frame(TEXT, _LONG) + _END + _PING, (_LONG,), behind=True),
    "7.3.1": Case(frame(CLOSE), answer=None),
    "7.3.2": _refused(frame(CLOSE, "a")),
    "7.3.3": Case(_END),
    "7.3.4": Case(_code(1000, b"Hello World!")),
    "7.3.5": Case(_code(1000, b"*" * 123)),
    "7.3.6": _refused(_code(1000, b"*" * 124)),
    "7.5.1": _refused(_code(1000, _GREEK + _SURROGATE + b"edited"), code=1007),
    **_named("7.7", [Case(_code(code), answer=code) for code in _MAY_BE_SENT]),
    **_named("7.9", [_refused(_code(code)) for code in _MAY_NOT]),
    **_named("7.13", [_refused(_code(code, b"reason")) for code in _MAY_NOT]),
}

_MIB = 1 << 20


def _in_fragments(op: int, size: int, fragment: int) -> Case:
    return _fine(_split(op, [b"*" * fragment] * (size // fragment)), b"*" * size)


_LIMITS = {
    **_named("9.1", [_fine(frame(TEXT, b"*" * size), b"*" * size) for size in
                     (65536, 262_144, _MIB, 4 * _MIB, 8 * _MIB, 16 * _MIB)]),
    **_named("9.2", [_fine(frame(BINARY, b"\xfe" * size), b"\xfe" * size) for size in
                     (65536, 262_144, _MIB, 4 * _MIB, 8 * _MIB, 16 * _MIB)]),
    **{f"9.3, fragments of {size}": _in_fragments(TEXT, 4 * _MIB, size) for size in (256, 4096, 65536, _MIB, 4 * _MIB)},
    **{f"9.4, fragments of {size}": _in_fragments(BINARY, 4 * _MIB, size) for size in (1024, 16384, 262_144)},
    **{f"9.7, 1000 of {size}": _fine(frame(TEXT, b"*" * size) * 1000, *([b"*" * size] * 1000)) for size in
       (0, 16, 64, 256, 1024, 4096)},
    "10.1.1": _fine(_split(TEXT, [b"*" * 1300] * 50 + [b"*" * 536]), b"*" * 65536),
}  # fmt: skip

CASES: dict[str, Case] = {
    **_FRAMING, **_PINGS, **_RESERVED_BITS, **_OPCODES, **_FRAGMENTS, **_UTF8, **_CLOSING, **_LIMITS
}  # fmt: skip
"""All of them, by number."""
