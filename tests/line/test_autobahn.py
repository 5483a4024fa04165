"""What Autobahn's cases and the examples of RFC 6455 have to come to, with both callbacks that a line may have."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from rtsync.edges.transport import Line
from rtsync.vocabulary.errors import ProtocolError
from rtsync.vocabulary.events import decode_object
from tests.line.autobahn import CASES, Case
from tests.line.recorder import RecordedLine, saying, serve
from tests.loopback import CLOSE, LIMIT, PONG, Certificates

_SHORT = 400  # bytes; longer ones are not sent octet by octet

# The frames of RFC 6455 5.7, byte for byte.
EXAMPLES: dict[str, Case] = {
    "an unmasked text": Case(b"\x81\x05Hello", (b"Hello",)),
    "fragments": Case(b"\x01\x03Hel\x80\x02lo", (b"Hello",)),
    "a ping": Case(b"\x89\x05Hello", pongs=(b"Hello",)),
    "a pong": Case(b"\x8a\x05Hello"),
    "256 bytes of binary": Case(b"\x82\x7e\x01\x00" + bytes(range(256)), (bytes(range(256)),)),
    "64 KiB of binary": Case(b"\x82\x7f\0\0\0\0\0\x01\0\0" + bytes(65536), (bytes(65536),)),
}
# Right for a client's frames: from a server nothing may be masked (5.1).
MASKED = {
    "a masked text": b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
    "a masked pong": b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
    "a masked ping": b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
    "a masked fragment": b"\x01\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
    "a masked close frame": b"\x88\x82\x37\xfa\x21\x3d\x34\x12",
    "a masked nothing": b"\x81\x80\x37\xfa\x21\x3d",
    "a mask and no more": b"\x81\x85\x37",
    "a masked long text": b"\x81\xfe\x01\x00\x37\xfa\x21\x3d" + bytes(256),
}
_END = b"\x88\x02\x03\xe8"


def _decoded(_line: Line, message: bytes | memoryview) -> None:
    """What a session does with text: JSON or not, it has to be UTF-8."""
    try:
        decode_object(message)
    except ProtocolError:
        pass


def _assert_outcome(case: Case, pieces: Sequence[bytes], *, together: bool, tls: Certificates | None = None) -> None:
    """A line that is sent these pieces does what the case says, and ends."""
    heard: list[tuple[int, bytes]] = []
    server, options = serve(saying(pieces, heard), tls)
    check = _decoded if case.text else None
    with server, RecordedLine(server.url, together=together, on_message=check, **options) as client:
        ending = client.wait_ending()
        assert server.peers[0].finished.wait(LIMIT)
    answer = b"" if case.answer is None else struct.pack("!H", case.answer)
    assert (case.behind and not heard) or heard == [*((PONG, payload) for payload in case.pongs), (CLOSE, answer)]
    assert client.messages == list(case.messages)
    assert ending.code == (1005 if case.answer is None else case.answer)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("number", CASES)
def test_every_case_of_autobahn_comes_out_as_it_should(number: str, together: bool, tls: Certificates | None) -> None:
    _assert_outcome(CASES[number], [CASES[number].wire], together=together, tls=tls)


@pytest.mark.parametrize("number", [number for number, case in CASES.items() if len(case.wire) <= _SHORT])
def test_every_short_case_of_autobahn_comes_out_the_same_octet_by_octet(number: str) -> None:
    wire = CASES[number].wire
    _assert_outcome(CASES[number], [wire[n : n + 1] for n in range(len(wire))], together=True)


@pytest.mark.parametrize("step", [64, 997, 2048])
@pytest.mark.parametrize("number", ["1.1.7", "1.2.7", "9.1.3", "9.2.3", "10.1.1"])
def test_long_cases_of_autobahn_come_out_the_same_in_chops(number: str, step: int) -> None:
    wire = CASES[number].wire
    _assert_outcome(CASES[number], [wire[n : n + step] for n in range(0, len(wire), step)], together=True)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_rfc_are_read(name: str, together: bool, tls: Certificates | None) -> None:
    _assert_outcome(EXAMPLES[name], [EXAMPLES[name].wire + _END], together=together, tls=tls)


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_frame_of_a_server_is_refused_whole_or_not(name: str) -> None:
    refused = Case(MASKED[name], answer=1002)
    _assert_outcome(refused, [refused.wire], together=True)
    _assert_outcome(refused, [refused.wire[n : n + 1] for n in range(len(refused.wire))], together=True)
