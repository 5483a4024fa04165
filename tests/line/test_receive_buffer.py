"""The memory that a line receives to: what is in it, how long it gets, and when it is given back."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtsync.edges.receive_buffer import ReceiveBuffer

LEAST = 4 << 10
MOST = 1 << 20
AT_ONCE = 1 << 20


def _put(buffer: ReceiveBuffer, data: bytes, size: int | None = None) -> int:
    """One read that has all of `data` waiting; returns how much it took."""
    room = buffer.room(buffer.available + 1 if size is None else size)
    count = min(len(room), len(data))
    room[:count] = data[:count]
    buffer.received(count)
    return count


def _fill(buffer: ReceiveBuffer, times: int) -> None:
    for _ in range(times):
        _put(buffer, b"x" * (4 << 20))
        buffer.take(buffer.available)


@settings(max_examples=200, deadline=None)
@given(
    frames=st.lists(
        st.integers(0, 40)
        | st.sampled_from([LEAST - 1, LEAST, LEAST + 1, 65535, 65536, 65537, MOST - 1, MOST, MOST + 1, AT_ONCE + 1]),
        max_size=12,
    ),
    reads=st.lists(st.integers(1, 300) | st.integers(1, 2 * AT_ONCE), min_size=1),
    lulls=st.sets(st.integers(0, 100)),
)
def test_what_is_put_in_comes_out_whatever_is_wanted_together(
    frames: list[int], reads: list[int], lulls: set[int]
) -> None:
    """As a line does it: a head of ten bytes is wanted, then the frame behind it."""
    heads = [b"%010d" % size for size in frames]
    stream = b"".join(head + bytes([n % 251]) * size for n, (head, size) in enumerate(zip(heads, frames, strict=True)))
    buffer, sent, turn, least = ReceiveBuffer(), 0, 0, len(stream) // 500
    for number, size in enumerate(frames):
        for wanted in (10, 10 + size):
            while buffer.available < wanted:
                count = max(least, reads[turn % len(reads)])
                sent += _put(buffer, stream[sent : sent + count], wanted)
                turn += 1
                if turn in lulls:
                    buffer.shrink()
        start = buffer.position
        assert bytes(buffer.view[start : start + 10]) == buffer.data[start : start + 10] == heads[number]
        assert buffer.take(10 + size)[10:] == bytes([number % 251]) * size
    assert buffer.available == 0
    assert sent == len(stream)


def test_at_rest_it_is_small_and_full_reads_make_it_grow_up_to_its_most() -> None:
    buffer = ReceiveBuffer()
    assert (len(buffer.data), buffer.spacious) == (LEAST, False)
    lengths = []
    for _ in range(6):
        _fill(buffer, 1)
        lengths.append(len(buffer.data))
    assert lengths == [LEAST, 4 * LEAST, 16 * LEAST, 64 * LEAST, MOST, MOST]
    assert buffer.spacious


def test_reads_that_leave_room_do_not_make_it_grow() -> None:
    buffer = ReceiveBuffer()
    for _ in range(100):
        _put(buffer, b"x" * (LEAST - 1))
        buffer.take(LEAST - 1)
    assert len(buffer.data) == LEAST


def test_small_reads_in_a_row_make_it_small_again_and_a_larger_one_between_does_not() -> None:
    buffer = ReceiveBuffer()
    _fill(buffer, 5)
    for _ in range(10):
        for _ in range(15):
            _put(buffer, b"x" * 6600)
            buffer.take(6600)
        _put(buffer, b"x" * (MOST // 8))
        buffer.take(MOST // 8)
    assert len(buffer.data) == MOST
    for _ in range(80):
        _put(buffer, b"x" * 246)
        buffer.take(246)
    assert len(buffer.data) == LEAST


def test_a_lull_makes_it_small_again_unless_something_is_left_in_it() -> None:
    buffer = ReceiveBuffer()
    _fill(buffer, 5)
    _put(buffer, b"half a frame")
    buffer.shrink()
    assert len(buffer.data) == MOST
    assert buffer.take(12) == b"half a frame"
    buffer.shrink()
    assert (len(buffer.data), buffer.spacious) == (LEAST, False)
    _put(buffer, b"more")
    assert buffer.take(4) == b"more"


@pytest.mark.parametrize("size", [100_000, 1_000_000, AT_ONCE])
def test_a_message_that_is_longer_is_received_to_where_it_stays_and_no_further_than_its_end(size: int) -> None:
    buffer, behind = ReceiveBuffer(), b"y" * 400_000
    stream = b"x" * size + behind
    sent = _put(buffer, stream[:10])
    sent += _put(buffer, stream[sent:], size)
    memory = buffer.data
    while buffer.available < size:
        sent += _put(buffer, stream[sent:], size)
    assert buffer.data is memory
    assert sent == size
    assert buffer.take(size) == b"x" * size
    assert _put(buffer, behind) <= MOST  # Others like it find their place there: it is kept.
    assert buffer.data is memory


@pytest.mark.parametrize("size", [MOST + 1, 3_000_000, 5 * AT_ONCE])
def test_a_message_beyond_the_most_is_received_no_further_than_its_end(size: int) -> None:
    buffer, stream = ReceiveBuffer(), b"x" * size + b"y" * 400_000
    sent = _put(buffer, stream[:10])
    while buffer.available < size:
        sent += _put(buffer, stream[sent:], size)
    assert sent == size
    assert buffer.take(size) == b"x" * size


@pytest.mark.parametrize("size", [60 << 20, 1 << 40])
def test_a_message_that_is_only_announced_takes_little_memory(size: int) -> None:
    tracemalloc.start()
    try:
        buffer = ReceiveBuffer()
        have = _put(buffer, b"x" * 14)
        while have < 5 << 20:
            room = buffer.room(size)
            assert len(room) <= max(AT_ONCE, 4 * have)
            have += len(room[:60_000])
            buffer.received(len(room[:60_000]))
        assert tracemalloc.get_traced_memory()[0] < 4 * have + AT_ONCE
    finally:
        tracemalloc.stop()


def test_the_memory_of_a_very_long_message_is_given_back_behind_it() -> None:
    buffer, size = ReceiveBuffer(), 20 << 20
    while buffer.available < size:
        buffer.received(len(buffer.room(size)))
    assert len(buffer.data) == size
    buffer.position = buffer.end
    assert len(buffer.room(1)) <= MOST
    assert len(buffer.data) <= MOST


def test_the_bytes_of_a_long_message_are_moved_less_often_than_twice() -> None:
    buffer, size, moved = ReceiveBuffer(), 60 << 20, 0
    while buffer.available < size:
        memory, left = buffer.data, buffer.available
        room = buffer.room(size)
        moved += left if buffer.data is not memory else 0
        buffer.received(min(len(room), 200_000))
    assert moved < size


def test_views_hold_their_bytes_when_the_buffer_goes_on_in_other_memory() -> None:
    buffer = ReceiveBuffer()
    _put(buffer, b"a" * LEAST)
    view = buffer.view[: LEAST - 10]
    buffer.position = LEAST - 10
    _put(buffer, b"b" * 100_000, 100_000)
    assert bytes(view) == b"a" * (LEAST - 10)
    assert buffer.take(11) == b"a" * 10 + b"b"


def test_the_room_left_over_is_filled_before_there_is_other_room() -> None:
    buffer = ReceiveBuffer()
    _put(buffer, b"one ")
    while room := buffer.spare():
        count = min(5000, len(room))
        room[:count] = b"z" * count
        buffer.received(count)
    assert buffer.take(LEAST) == b"one " + b"z" * (LEAST - 4)


def test_bytes_up_to_a_mark_are_counted() -> None:
    buffer = ReceiveBuffer()
    _put(buffer, b"a line\r\nand more")
    assert buffer.until(b"\r\n") == 8
    assert buffer.take(8) == b"a line\r\n"
    assert buffer.until(b"\n") == len(b"and more")  # What follows is what was there before, and no part of it.


def test_nothing_is_kept_of_a_line_that_has_ended() -> None:
    buffer = ReceiveBuffer()
    _put(buffer, b"left over")
    buffer.discard()
    assert (buffer.available, len(buffer.data)) == (0, 0)
