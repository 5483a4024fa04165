"""Frames: the usual ones, the unusual ones and the forbidden ones, in whatever pieces they come."""

from __future__ import annotations

import contextlib
import itertools
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtsync.edges.transport import Line
from rtsync.vocabulary.errors import CloseCause, ProtocolError
from tests.line.recorder import RecordedLine, ending_of, serve
from tests.loopback import (
    BINARY,
    CLOSE,
    CONTINUATION,
    LIMIT,
    PING,
    PONG,
    TEXT,
    Certificates,
    Peer,
    ScriptedServer,
    frame,
)

NORMAL_END = frame(CLOSE, struct.pack("!H", 1000))


def told_to_close(wire: bytes, **options: Any) -> tuple[RecordedLine, int | None]:
    """A line that was sent `wire`, and the close code with which it answered."""
    heard: list[int | None] = []

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(wire)
        heard.append(peer.expect_close(echo=False)[0])

    with ScriptedServer(script) as server, RecordedLine(server.url, **options) as client:
        client.wait_ending()
        server.peers[0].finished.wait(LIMIT)
    return client, heard[0]


# -- what is allowed --------------------------------------------------------------------------------------------------

FINE: dict[str, tuple[bytes, list[bytes]]] = {
    "empty text": (frame(TEXT), [b""]),
    "empty binary": (frame(BINARY), [b""]),
    "length 1": (frame(TEXT, "x"), [b"x"]),
    "length 7": (frame(TEXT, "x" * 7), [b"x" * 7]),
    "length 8": (frame(TEXT, "x" * 8), [b"x" * 8]),
    "length 125": (frame(TEXT, "x" * 125), [b"x" * 125]),
    "length 126": (frame(TEXT, "x" * 126), [b"x" * 126]),
    "length 127": (frame(TEXT, "x" * 127), [b"x" * 127]),
    "length 128": (frame(TEXT, "x" * 128), [b"x" * 128]),
    "length 65535": (frame(TEXT, "x" * 65535), [b"x" * 65535]),
    "length 65536": (frame(TEXT, "x" * 65536), [b"x" * 65536]),
    "length 65537": (frame(BINARY, b"\xfe" * 65537), [b"\xfe" * 65537]),
    "length 1 MiB": (frame(BINARY, b"\xfe" * (1 << 20)), [b"\xfe" * (1 << 20)]),
    "length in more bytes than it needs": (b"\x81\x7e\x00\x01x" + b"\x81\x7f" + b"\0" * 7 + b"\x01y", [b"x", b"y"]),
    "binary is bytes": (frame(BINARY, b"\x00\xff\x80"), [b"\x00\xff\x80"]),
    "text is bytes": (frame(TEXT, "größe 🎧"), ["größe 🎧".encode()]),
    "several in a packet": (frame(TEXT, "a") + frame(BINARY, b"b") + frame(TEXT, "c" * 300), [b"a", b"b", b"c" * 300]),
    "fragments": (frame(TEXT, "fr", fin=0) + frame(CONTINUATION, "ag", fin=0) + frame(CONTINUATION, "s"), [b"frags"]),
    "fragmented binary": (frame(BINARY, b"\xff", fin=0) + frame(CONTINUATION, b"\x00"), [b"\xff\x00"]),
    "empty first fragment": (frame(TEXT, "", fin=0) + frame(CONTINUATION, "x"), [b"x"]),
    "empty last fragment": (frame(TEXT, "x", fin=0) + frame(CONTINUATION), [b"x"]),
    "all fragments empty": (frame(TEXT, "", fin=0) + frame(CONTINUATION, fin=0) + frame(CONTINUATION), [b""]),
    "a character across fragments": (
        frame(TEXT, b"\xf0\x9f", fin=0) + frame(CONTINUATION, b"\x8e\xa7"),
        ["🎧".encode()],
    ),
    "a ping between fragments": (
        frame(TEXT, "a", fin=0)
        + frame(PING, "p")
        + frame(CONTINUATION, "b", fin=0)
        + frame(PONG)
        + frame(CONTINUATION),
        [b"ab"],
    ),
    "messages around fragments": (
        frame(TEXT, "x" * 20) + frame(TEXT, "a", fin=0) + frame(CONTINUATION, "b" * 20) + frame(TEXT, "y" * 20),
        [b"x" * 20, b"a" + b"b" * 20, b"y" * 20],
    ),
    "a pong that nobody asked for": (frame(PONG, "?") + frame(TEXT, "x"), [b"x"]),
    "a longest ping": (frame(PING, "p" * 125) + frame(TEXT, "x"), [b"x"]),
    "ten pings": (frame(PING, "p") * 10 + frame(TEXT, "x"), [b"x"]),
}


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("case", FINE)
def test_what_is_allowed_is_delivered(case: str, together: bool, tls: Certificates | None) -> None:
    wire, messages = FINE[case]

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(wire + NORMAL_END)
        peer.expect_close(echo=False)

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, together=together, **options) as client:
        assert client.wait_ending().code == 1000
    assert client.messages == messages
    assert {type(message) for message in client.messages} == {bytes}


@pytest.mark.parametrize("case", FINE)
def test_what_is_allowed_is_delivered_when_it_comes_byte_by_byte(case: str) -> None:
    wire, messages = FINE[case]
    if len(wire) > 400:
        wire, messages = wire[:400], []  # The rest is as it is; the line is left in the middle of a frame.
    with _InPieces() as pieces:
        assert pieces.send([wire[n : n + 1] for n in range(len(wire))], len(messages)) == messages


class _InPieces:
    """A line and a server that sends the next piece only when the line has received the one before."""

    def __enter__(self) -> _InPieces:
        self._server = ScriptedServer(self._script).__enter__()
        self.client = RecordedLine(self._server.url).__enter__().wait_open()
        self._peer = self._server.wait_for_connections(1)[0]
        self._start = self.client.line.counters[0]
        return self

    def _script(self, peer: Peer) -> None:
        peer.accept()
        peer.wait_until_released()

    def send(self, pieces: Sequence[bytes], count: int) -> list[bytes]:
        total = self._start
        deadline = time.monotonic() + LIMIT
        for piece in pieces:
            self._peer.send_raw(piece)
            total += len(piece)
            while self.client.line.counters[0] < total:
                assert time.monotonic() < deadline
                assert not self.client.closes, self.client.line.ending
                time.sleep(0)  # Lets the reader have the interpreter.
        return self.client.wait_messages(count)

    def __exit__(self, *_: object) -> None:
        self.client.line.abort("done")
        self._peer.release()
        self.client.__exit__(None, None, None)
        self._server.__exit__(None, None, None)


EVERY_KIND = (
    frame(TEXT, "one")
    + frame(TEXT, "fr", fin=0)
    + frame(PING, "ping")
    + frame(CONTINUATION, "ag")
    + frame(BINARY, b"\xff" * 130)
    + frame(TEXT)
    + frame(TEXT, "another one of some length")
    + b"\x81\x7f"
    + b"\0" * 7
    + b"\x0clong header."
)
EVERY_MESSAGE = [b"one", b"frag", b"\xff" * 130, b"", b"another one of some length", b"long header."]


@pytest.mark.parametrize("step", [1, 4])
def test_a_stream_split_at_any_byte_gives_the_same_messages(step: int) -> None:
    """Both halves at every place, and at every fourth place with its pieces again in two."""
    for cut in range(1, len(EVERY_KIND), step):
        middle = [] if step == 1 else [cut + (len(EVERY_KIND) - cut) // 2]
        ends = [0, cut, *middle, len(EVERY_KIND)]
        with _InPieces() as pieces:
            parts = [EVERY_KIND[a:b] for a, b in itertools.pairwise(ends)]
            assert pieces.send(parts, len(EVERY_MESSAGE)) == EVERY_MESSAGE


def test_whole_messages_that_arrive_together_are_handed_over_together() -> None:
    first, second = [b"a" * 20, b"b" * 200, b"c" * 20], [b"d" * 20, b"e" * 20]
    wire = b"".join(frame(TEXT, text) for text in first) + frame(PING) + b"".join(frame(TEXT, text) for text in second)
    gate = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        gate.wait(LIMIT)
        peer.send_raw(wire + NORMAL_END)
        peer.expect_close(echo=False)

    with ScriptedServer(script) as server, RecordedLine(server.url, together=True) as client:
        client.wait_open()
        gate.set()
        client.wait_ending()
    assert client.batches == [first, second]


_payloads = st.binary(max_size=40) | st.integers(120, 135).map(lambda size: b"x" * size)
_controls = st.lists(st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125)), max_size=2)
_messages = st.tuples(
    st.sampled_from([TEXT, BINARY]), st.lists(st.tuples(_payloads, _controls), min_size=1, max_size=4)
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=st.lists(_messages, min_size=1, max_size=6), cuts=st.lists(st.floats(0, 1), max_size=8))
def test_any_stream_of_frames_in_any_pieces_gives_its_messages(
    messages: list[tuple[int, list[tuple[bytes, list[bytes]]]]], cuts: list[float]
) -> None:
    wire = b""
    for kind, parts in messages:
        for number, (payload, controls) in enumerate(parts):
            wire += frame(CONTINUATION if number else kind, payload, fin=int(number == len(parts) - 1))
            wire += b"".join(controls)
    ends = sorted({0, len(wire), *(int(cut * len(wire)) for cut in cuts)})
    with _InPieces() as pieces:
        parts_sent = [wire[a:b] for a, b in itertools.pairwise(ends)]
        got = pieces.send(parts_sent, len(messages))
    assert got == [b"".join(payload for payload, _ in parts) for _, parts in messages]


def test_pings_are_answered_with_what_they_carry_in_their_order(tls: Certificates | None) -> None:
    payloads = [b"", b"x", b"\x00\xff" * 62, b"p" * 125]
    heard: list[tuple[int, bytes]] = []

    def script(peer: Peer) -> None:
        peer.accept()
        for payload in payloads:
            peer.send_frame(PING, payload)
        heard.extend(peer.recv_frame() for _ in payloads)
        peer.send_frame(PONG, "unasked")
        peer.send_text("done")
        peer.expect_close()

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, **options) as client:
        client.wait_messages(1)
        assert client.pings == payloads
        assert client.pongs == [b"unasked"]
    assert heard == [(PONG, payload) for payload in payloads]


# -- what is not ------------------------------------------------------------------------------------------------------

FORBIDDEN: dict[str, bytes] = {
    "a continuation without a beginning": frame(CONTINUATION, "x"),
    "an unfinished continuation without a beginning": frame(CONTINUATION, "x", fin=0),
    "a continuation after a whole message": frame(TEXT, "ok" * 8) + frame(CONTINUATION, "x"),
    "a continuation after the last fragment": frame(TEXT, "a", fin=0) + frame(CONTINUATION) + frame(CONTINUATION),
    "a message inside another": frame(TEXT, "a", fin=0) + frame(TEXT, "b" * 20),
    "a fragmented message inside another": frame(TEXT, "a", fin=0) + frame(BINARY, "b", fin=0),
    "an empty message inside an empty one": frame(TEXT, "", fin=0) + frame(TEXT),
    "a mask": frame(TEXT, "x" * 20, masked=True),
    "a mask on nothing": frame(TEXT, masked=True),
    "a mask and a long length": frame(TEXT, "x" * 70_000, masked=True),
    "a masked ping": frame(PING, "x", masked=True),
    "a fragmented ping": frame(PING, "x", fin=0),
    "a fragmented pong": frame(PONG, "x", fin=0),
    "a ping of 126 bytes": frame(PING, "x" * 126),
    "a pong of 126 bytes": frame(PONG, "x" * 126),
    "a ping of 70 000 bytes": frame(PING, "x" * 70_000),
    "a close frame of 126 bytes": frame(CLOSE, struct.pack("!H", 1000) + b"x" * 124),
    **{f"reserved bits {rsv} on text": frame(TEXT, "x" * 20, rsv=rsv) for rsv in range(1, 8)},
    **{f"reserved bits {rsv} on a ping": frame(PING, "x", rsv=rsv) for rsv in range(1, 8)},
    "reserved bits on a continuation": frame(TEXT, "a", fin=0) + frame(CONTINUATION, "b", rsv=4),
    "reserved bits on a close frame": frame(CLOSE, struct.pack("!H", 1000), rsv=1),
    **{f"opcode {op}": frame(op, "x" * 20) for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    **{f"opcode {op}, empty": frame(op) for op in (3, 7, 11, 15)},
    "an unknown opcode between fragments": frame(TEXT, "a", fin=0) + frame(3, "x") + frame(CONTINUATION),
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_what_is_forbidden_is_answered_with_1002(case: str) -> None:
    before = frame(TEXT, "a good one before it")
    client, answer = told_to_close(before + FORBIDDEN[case] + frame(TEXT, "a good one behind it"))
    ending = client.line.ending
    assert answer == 1002
    assert ending is not None
    assert (ending.code, ending.cause) == (1002, CloseCause.PROTOCOL)
    assert isinstance(ending.error, ProtocolError)
    assert ending.error.close_code == 1002
    assert client.line.has_errored
    assert client.messages in (
        [b"a good one before it"],
        [b"a good one before it", b"ok" * 8],
        [b"a good one before it", b"a"],
    )


@pytest.mark.parametrize(
    "header",
    [
        b"\x81\x7f" + struct.pack("!Q", 1 << 62),
        b"\x81\x7f" + struct.pack("!Q", (1 << 64) - 1),
        b"\x82\x7f" + struct.pack("!Q", 1 << 63),
        b"\x01\x7f" + struct.pack("!Q", 1 << 40),
        b"\x81\x7e" + struct.pack("!H", 1001),
    ],
)
def test_a_length_beyond_the_limit_is_answered_with_1009_before_a_byte_of_it_has_come(header: bytes) -> None:
    client, answer = told_to_close(header, max_message_size=1000)
    assert answer == 1009
    assert client.line.ending is not None
    assert (client.line.ending.code, client.line.ending.cause) == (1009, CloseCause.SIZE)
    assert "max_message_size is 1000" in client.line.ending.message


@pytest.mark.parametrize("size", [0, 1, 1000, 100_000])
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_message_of_exactly_the_limit_is_delivered_and_one_byte_more_is_not(size: int, kind: int) -> None:
    fits = frame(kind, b"x" * size)
    client, answer = told_to_close(fits + fits + frame(kind, b"x" * (size + 1)) + fits, max_message_size=size)
    assert client.messages == [b"x" * size] * 2
    assert answer == 1009


def test_the_limit_counts_all_fragments_and_no_control_frames() -> None:
    part = frame(CONTINUATION, "x" * 100, fin=0)
    fits = frame(TEXT, "x" * 100, fin=0) + part * 9 + frame(PING, "p" * 125) + frame(PONG) + frame(CONTINUATION)
    client, answer = told_to_close(
        fits + frame(TEXT, fin=0) + part * 10 + frame(CONTINUATION, "y"), max_message_size=1000
    )
    assert client.messages == [b"x" * 1000]
    assert len(client.pings) == 1
    assert answer == 1009


@contextlib.contextmanager
def _measured() -> Iterator[Callable[[], int]]:
    """Gives what tells the most memory that Python's objects have taken since, in bytes."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_a_flood_that_is_too_large_is_not_stored() -> None:
    """The server does not wait for our answer: the line still ends in its time, having kept nothing."""

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(b"\x82\x7f" + struct.pack("!Q", 1 << 40))
        while True:
            peer.send_raw(b"\0" * 65536)

    with ScriptedServer(script) as server, _measured() as peak, RecordedLine(server.url) as client:
        assert client.wait_ending().code == 1009
        assert peak() < 1 << 20


def test_the_connection_is_still_there_for_the_server_to_read_the_answer(tls: Certificates | None) -> None:
    """Closing over unread bytes would be a reset, which throws our close frame away at the other end."""
    heard: list[int | None] = []

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(frame(CONTINUATION) + frame(BINARY, b"x" * 300_000))
        heard.append(peer.expect_close(echo=False)[0])

    server, options = serve(script, tls)
    with server:
        for _ in range(20):
            ending_of(server.url, **options)
            server.peers[-1].finished.wait(LIMIT)
    assert heard == [1002] * 20


# -- UTF-8 ------------------------------------------------------------------------------------------------------------


def _decode(_line: Line, message: bytes) -> None:
    message.decode()


@pytest.mark.parametrize(
    "bad",
    [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xe2\x82", b"secret audio \x80"],
)
@pytest.mark.parametrize("fragments", [False, True])
def test_text_that_is_not_utf8_is_answered_with_1007_and_not_shown(
    bad: bytes, fragments: bool, caplog: pytest.LogCaptureFixture
) -> None:
    wire = frame(TEXT, bad, fin=0) + frame(CONTINUATION) if fragments else frame(TEXT, bad)
    wire += b"" if fragments else frame(TEXT, "x" * 20)
    client, answer = told_to_close(wire, on_message=_decode)
    ending = client.line.ending
    assert answer == 1007
    assert ending is not None
    assert (ending.code, ending.cause) == (1007, CloseCause.PROTOCOL)
    assert isinstance(ending.error, ProtocolError)
    assert ending.error.close_code == 1007
    shown = repr(ending) + repr(ending.error) + str(ending.error) + repr(ending.error.__cause__) + caplog.text
    assert repr(bad)[2:-1] not in shown
    assert "audio" not in shown
    assert client.messages == [bad]


def test_a_callback_that_fails_ends_the_line_and_names_no_content(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_line: Line, _message: bytes) -> None:
        raise ZeroDivisionError("of the handler")

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_text("secret words")
        peer.wait_until_released()

    with ScriptedServer(script) as server:
        ending = ending_of(server.url, on_message=fail)
    assert ending.code == 1006
    assert isinstance(ending.error, ZeroDivisionError)
    assert "ZeroDivisionError" in ending.message
    assert "secret words" not in caplog.text + repr(ending)


# -- cost -------------------------------------------------------------------------------------------------------------


def _reader_seconds(wire: bytes, expected: bytes) -> float:
    """CPU seconds that the reader thread spends on one message."""
    spent: list[float] = []

    def note(*_: object) -> None:
        spent.append(time.thread_time())

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(wire)
        peer.expect_close()

    with ScriptedServer(script) as server, RecordedLine(server.url, on_open=note, on_message=note) as client:
        assert client.wait_messages(1) == [expected]
        client.line.close()
        client.wait_ending()
    return spent[1] - spent[0]


def _in_fragments(size: int, fragment: int) -> bytes:
    count = size // fragment
    body = frame(CONTINUATION, b"x" * fragment, fin=0) * (count - 2)
    return frame(TEXT, b"x" * fragment, fin=0) + body + frame(CONTINUATION, b"x" * fragment)


@pytest.mark.parametrize(
    ("build", "size", "times"),
    # Beyond 32 MiB the memory of one frame comes from the system each time, which takes longer than all the rest.
    [(lambda size: _in_fragments(size, 256), 1 << 17, 64), (lambda size: frame(TEXT, b"x" * size), 1 << 20, 16)],
    ids=["fragments", "one frame"],
)
def test_the_cost_of_a_message_grows_with_its_size_and_not_faster(
    build: Callable[[int], bytes], size: int, times: int
) -> None:
    """64 times the size: linear is 64, quadratic 4,096, and a busy machine is neither. 16 times: 16 and 256."""
    least = min(_reader_seconds(build(size), b"x" * size) for _ in range(3))
    most = min(_reader_seconds(build(times * size), b"x" * times * size) for _ in range(2))
    assert most < 8 * times * max(least, 0.0005)


@pytest.mark.unmeasured
def test_a_hundred_thousand_empty_fragments_are_kept_as_nothing() -> None:
    done = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(frame(TEXT, fin=0) + frame(CONTINUATION, fin=0) * 100_000)
        peer.send_frame(PING, "behind them")
        assert peer.recv_frame() == (PONG, b"behind them")
        done.set()
        peer.wait_until_released()

    with ScriptedServer(script) as server, RecordedLine(server.url) as client:
        assert done.wait(LIMIT)
        assert client.line._partial == b""
        client.line.abort("enough")
