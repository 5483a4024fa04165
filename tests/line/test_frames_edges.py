"""Frames across the edges of what is received at a time: the buffer's end, TLS records, and the end of the stream."""

from __future__ import annotations

import hashlib
import itertools
import random
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence

import pytest

from rtsync.edges.guard import LineBroken
from rtsync.edges.receive_buffer import ReceiveBuffer
from tests.line.recorder import RecordedLine, saying, serve
from tests.loopback import CLOSE, CONTINUATION, LIMIT, PING, PONG, TEXT, Certificates, Peer, frame

_END = frame(CLOSE, struct.pack("!H", 1000))
_LEAST = len(ReceiveBuffer().data)


def _told(pieces: Sequence[bytes], tls: Certificates | None, *, pongs: int = 0) -> RecordedLine:
    """A line that has read these pieces, each written by itself, to a regular end."""
    heard: list[tuple[int, bytes]] = []
    server, options = serve(saying(pieces, heard), tls)
    with server, RecordedLine(server.url, together=True, **options) as client:
        assert client.wait_ending().code == 1000
        assert server.peers[0].finished.wait(LIMIT)
    assert [opcode for opcode, _ in heard] == [PONG] * pongs + [CLOSE]
    return client


@pytest.mark.parametrize("edge", [_LEAST, 4 * _LEAST])
@pytest.mark.parametrize("short", range(16))
def test_a_frame_may_lie_anywhere_across_the_end_of_the_buffer(edge: int, short: int, tls: Certificates | None) -> None:
    """Heads of all three lengths, control frames and fragments, `short` bytes of each before the edge."""
    kinds = [
        (frame(TEXT, "seven b"), [b"seven b"], 0),
        (frame(TEXT, b"c" * 300), [b"c" * 300], 0),
        (frame(TEXT, b"d" * 70_000), [b"d" * 70_000], 0),
        (frame(PING, "eleven byte") + frame(TEXT, "e" * 20), [b"e" * 20], 1),
        (frame(TEXT, "fragme", fin=0) + frame(PING) + frame(CONTINUATION, "nt of some length"), [
            b"fragment of some length"
        ], 1),
    ]  # fmt: skip
    for wire, messages, pongs in kinds:
        filler = b"f" * (edge - 4 - short - (6 if edge > 65_545 else 0))
        before = frame(TEXT, filler)
        client = _told([before + wire + _END], tls, pongs=pongs)
        assert client.messages == [filler, *messages]


_SIZES = [
    *range(301),
    4_095,
    4_096,
    16_383,
    16_384,
    65_535,
    65_536,
    65_537,
    262_143,
    262_145,
    1_048_577,
    *[246] * 1000,
    0,
    1,
    7,
    8,
]


def _mixed(seed: int) -> tuple[bytes, list[bytes], int]:
    """Messages of all these sizes, some of them in fragments, control frames between; what they are; how many pings."""
    chance = random.Random(seed)
    sizes = _SIZES.copy()
    if seed:
        chance.shuffle(sizes)
    wire, messages, pings = [], [], 0
    for number, size in enumerate(sizes):
        message = chance.randbytes(min(size, 50)).hex().encode().ljust(size, b"%d" % (number % 10))[:size]
        messages.append(message)
        if number % 11 == 5:
            cut = chance.randint(0, size)
            wire += [frame(TEXT, message[:cut], fin=0), frame(PING, b"within"), frame(CONTINUATION, message[cut:])]
            pings += 1
        else:
            wire.append(frame(TEXT, message))
        if number % 7 == 3:
            wire.append(frame(PING, b"p" * (number % 126)))
            pings += 1
    return b"".join(wire), messages, pings


def _in_steps(wire: bytes, steps: Iterator[int]) -> Iterator[bytes]:
    start = 0
    while start < len(wire):
        step = next(steps)
        yield wire[start : start + step]
        start += step


@pytest.mark.parametrize("step", [997, 16_384, 65_536, 1 << 24, None])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_messages_of_all_sizes_come_as_they_were_sent_in_whatever_pieces(
    seed: int, step: int | None, tls: Certificates | None
) -> None:
    wire, messages, pings = _mixed(seed)
    chance = random.Random(seed)
    steps = itertools.repeat(step) if step else iter(lambda: int(chance.lognormvariate(8, 3)) + 1, None)
    client = _told([*_in_steps(wire, steps), _END], tls, pongs=pings)
    assert [len(message) for message in client.messages] == [len(message) for message in messages]
    assert _digest(client.messages) == _digest(messages)


def _digest(messages: list[bytes]) -> str:
    return hashlib.sha256(b"".join(messages)).hexdigest()


def test_records_that_are_here_already_are_handed_over_together(tls: Certificates | None) -> None:
    """The reader stands in a callback while each of them is written by itself."""
    texts = [b"%d" % number * 100 for number in range(50)]
    first, sent = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_text("the first")
        first.wait(LIMIT)
        for text in texts:
            peer.send_frame(TEXT, text)
        sent.set()
        peer.close(1000)
        peer.expect_close(echo=False)

    def hold(_line: object, _message: object) -> None:
        first.set()
        assert sent.wait(LIMIT)

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, together=True, on_message=hold, **options) as client:
        assert client.wait_ending().code == 1000
    assert client.messages == [b"the first", *texts]
    assert len(client.batches) < 10  # Two, as a rule: the system may be a moment late with the last ones.


@pytest.mark.parametrize("how", ["drop", "half_close"])
def test_what_came_before_the_stream_ended_is_delivered(how: str, tls: Certificates | None) -> None:
    """The end is there to be read together with the messages."""
    gone = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_text("one")
        peer.send_frame(TEXT, "x" * 20_000)
        peer.send_text("the last")
        getattr(peer, how)()
        gone.set()

    def wait(_line: object) -> None:
        assert gone.wait(LIMIT)

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, on_open=wait, **options) as client:
        ending = client.wait_ending()
    assert client.messages == [b"one", b"x" * 20_000, b"the last"]
    assert (ending.code, type(ending.error)) == (1006, LineBroken)


def test_a_message_that_is_announced_and_does_not_come_takes_little_memory(tls: Certificates | None) -> None:
    announced = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_raw(b"\x81\x7f" + struct.pack("!Q", 60 << 20) + b"x" * 1000)
        announced.set()
        peer.wait_until_released()

    server, options = serve(script, tls)
    with server:
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            with RecordedLine(server.url, **options) as client:
                assert announced.wait(LIMIT)
                _wait_until(lambda: client.line.counters[0] > 1000)
                client.line.abort("enough")
                client.wait_ending()
            assert tracemalloc.get_traced_memory()[1] - before < 3 << 20
        finally:
            tracemalloc.stop()


def test_a_line_gives_the_memory_of_a_burst_back_when_it_is_over(tls: Certificates | None) -> None:
    small = [threading.Event(), threading.Event()]

    def script(peer: Peer) -> None:
        peer.accept()
        for gate in small:
            peer.send_raw(frame(TEXT, b"x" * 6500) * 300)
            gate.wait(LIMIT)

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, **options) as client:
        guard = client.wait_open().line._guard
        assert guard is not None
        buffer = guard.buffer
        for burst, gate in enumerate(small, 1):
            client.wait_messages(300 * burst)
            _wait_until(lambda: not buffer.spacious)
            gate.set()
        client.wait_ending()
    assert len(buffer.data) == 0


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)
