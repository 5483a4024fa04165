"""The bounded queue: order, bounds, what is dropped, and what never is."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync.pure.backlog import Backlog, Limits, Trouble

DROPPING = Limits(events=4, size=1000, drop_deltas=True)


def taken(backlog: Backlog[str]) -> list[str]:
    found: list[str] = []
    while backlog:
        entry = backlog.take()
        assert entry is not None
        found += entry.items
    return found


def filled(limits: Limits, items: Iterable[str]) -> Backlog[str]:
    """A queue of events of ten bytes, of which those with a d in front are deltas."""
    backlog: Backlog[str] = Backlog(limits)
    for item in items:
        backlog.put(item, 10, item.startswith("d"))
    return backlog


def test_entries_are_taken_in_the_order_of_their_coming() -> None:
    for limits in (Limits(), Limits(drop_deltas=True)):
        assert taken(filled(limits, ["d1", "a", "d2", "d3", "b", "c", "d4"])) == ["d1", "a", "d2", "d3", "b", "c", "d4"]


def test_an_empty_queue_gives_nothing() -> None:
    backlog: Backlog[str] = Backlog(Limits())
    assert (bool(backlog), backlog.take(), backlog.oldest()) == (False, None, None)


def test_the_oldest_entry_is_seen_with_its_arrival_and_stays() -> None:
    backlog: Backlog[str] = Backlog(Limits(drop_deltas=True))
    backlog.put("a", 10, delta=True, now=5.0, number=3)
    backlog.put("b", 10, now=6.0, number=4)
    assert backlog.oldest() == backlog.oldest() == (5.0, 3)
    batch = backlog.take()
    assert batch is not None
    assert (batch.arrived, batch.numbers, batch.items, batch.sizes) == (5.0, (3,), ("a",), (10,))
    assert backlog.oldest() == (6.0, 4)


def test_events_and_bytes_are_counted_now_and_at_most() -> None:
    backlog = filled(Limits(), "abc")
    backlog.take()
    assert (backlog.events, backlog.size, backlog.most_events, backlog.most_size) == (2, 20, 3, 30)
    taken(backlog)
    assert (backlog.events, backlog.size, backlog.most_events, backlog.most_size) == (0, 0, 3, 30)


@pytest.mark.parametrize("limits", [Limits(events=3), Limits(size=39)])
def test_one_more_than_fits_is_an_overflow_and_is_kept(limits: Limits) -> None:
    backlog = filled(limits, "abc")
    assert backlog.put("d", 10, delta=True) is Trouble.OVERFLOW
    assert taken(backlog) == ["a", "b", "c", "d"]


def test_the_only_entry_fits_however_large() -> None:
    for drop in (False, True):
        backlog: Backlog[str] = Backlog(Limits(events=4, size=100, drop_deltas=drop))
        assert backlog.put("vast", 10_000, delta=True) is None
        assert taken(backlog) == ["vast"]


def test_entries_without_a_size_fit_always_and_are_not_counted() -> None:
    backlog = filled(DROPPING, "abcd")
    for number in range(10):
        assert backlog.put(f"signal {number}") is None
    assert (backlog.events, backlog.size, backlog.most_events) == (4, 40, 4)
    assert taken(backlog) == [*"abcd", *(f"signal {number}" for number in range(10))]
    assert (backlog.events, backlog.size) == (0, 0)


def test_the_oldest_deltas_make_room_and_nothing_else_does() -> None:
    backlog = filled(DROPPING, ["a", "d1", "d2", "b"])
    assert backlog.put("c", 10) is Trouble.DROPPING
    assert backlog.put("d3", 10, delta=True) is Trouble.DROPPED
    assert (backlog.dropped, backlog.events, backlog.size) == (2, 4, 40)
    assert taken(backlog) == ["a", "b", "c", "d3"]


def test_as_many_deltas_go_as_a_large_event_needs() -> None:
    backlog = filled(DROPPING, ["d1", "d2", "d3"])
    backlog.put("large", 985)
    assert backlog.dropped == 2
    assert taken(backlog) == ["d3", "large"]


def test_a_delta_that_finds_no_room_is_dropped_itself_and_is_no_overflow() -> None:
    backlog = filled(DROPPING, "abce")
    assert backlog.put("delta", 10, delta=True) is Trouble.DROPPING
    assert backlog.put("delta", 10, delta=True) is Trouble.DROPPED
    assert taken(backlog) == [*"abce"]


def test_without_deltas_to_drop_it_overflows_and_what_is_no_delta_stays() -> None:
    backlog = filled(DROPPING, ["d1", "a", "b", "c"])
    assert backlog.put("e", 10) is Trouble.DROPPING
    assert backlog.put("f", 10) is Trouble.OVERFLOW
    assert taken(backlog) == [*"abcef"]


def test_dropping_is_told_once_until_the_queue_was_half_empty() -> None:
    backlog = filled(DROPPING, ["d1", "d2", "d3", "d4"])
    assert backlog.put("d5", 10, delta=True) is Trouble.DROPPING
    backlog.take()
    assert backlog.dropping
    assert [backlog.put("d", 10, delta=True) for _ in range(5)] == [None, *[Trouble.DROPPED] * 4]
    backlog.take()
    backlog.take()
    assert not backlog.dropping
    assert [backlog.put("d", 10, delta=True) for _ in range(3)] == [None, None, Trouble.DROPPING]


def test_clearing_forgets_the_entries_and_not_the_totals() -> None:
    backlog = filled(DROPPING, ["d1", "d2", "d3", "d4", "d5"])
    backlog.clear()
    assert not backlog
    assert (backlog.events, backlog.size, backlog.dropped, backlog.most_events) == (0, 0, 1, 4)


ENTRIES = st.lists(
    st.one_of(st.just("take"), st.tuples(st.sampled_from(["d", "e"]), st.integers(0, 400)), st.just("signal")),
    max_size=60,
)


@given(ENTRIES, st.booleans())
def test_whatever_comes_order_and_sums_hold_and_only_deltas_are_lost(steps: list[object], drop: bool) -> None:
    backlog: Backlog[tuple[int, str, int]] = Backlog(Limits(events=4, size=1000, drop_deltas=drop))
    came: list[tuple[int, str, int]] = []
    gone: list[tuple[int, str, int]] = []
    for number, step in enumerate(steps):
        if step == "take":
            entry = backlog.take()
            gone += [] if entry is None else list(entry.items)
        elif step == "signal":
            came.append((number, "signal", 0))
            backlog.put(came[-1])
        else:
            assert isinstance(step, tuple)
            came.append((number, *step))
            if backlog.put(came[-1], step[1], step[0] == "d") is Trouble.OVERFLOW:
                break
        assert backlog.events <= 1 or (backlog.events <= 4 and backlog.size <= 1000)
    while (entry := backlog.take()) is not None:
        gone += entry.items
    assert gone == [entry for entry in came if entry in gone]
    lost = [entry for entry in came if entry not in gone]
    assert len(lost) == backlog.dropped
    assert {kind for _, kind, _ in lost} <= ({"d"} if drop else set())
    assert (backlog.events, backlog.size) == (0, 0)


@given(
    runs=st.lists(st.lists(st.integers(0, 30), max_size=6), max_size=8),
    drops=st.booleans(),
    takes=st.integers(0, 5),
)
def test_a_run_for_which_there_is_room_is_queued_as_if_its_entries_had_come_one_by_one(
    runs: list[list[int]], drops: bool, takes: int
) -> None:
    limits = Limits(events=8, size=100, drop_deltas=drops)
    singly, together = Backlog[str](limits), Backlog[str](limits)
    for number, sizes in enumerate(runs):
        items = [f"{number}.{place}" for place in range(len(sizes))]
        if together.has_room(len(sizes), sum(sizes)):
            troubles = [singly.put(item, size, True) for item, size in zip(items, sizes, strict=True)]
            together.extend(items, range(len(sizes)), sizes)
            assert not any(troubles)
        for backlog in (singly, together):
            backlog.put("other", 1)
            for _ in range(takes):
                backlog.take()
        for name in ("events", "size", "most_events", "most_size", "dropped"):
            assert getattr(together, name) == getattr(singly, name)
    assert taken(together) == taken(singly)


def test_a_run_is_taken_in_batches_that_keep_its_order_and_its_numbers() -> None:
    backlog = Backlog[str](Limits(), at_once=4)
    backlog.put("before", 5, number=1)
    backlog.extend([f"d{n}" for n in range(10)], range(2, 12), [n + 1 for n in range(10)], now=3.0)
    backlog.put("behind", number=11)
    assert (backlog.events, backlog.size, backlog.most_events) == (11, 60, 11)
    batches = []
    while (batch := backlog.take()) is not None:
        batches.append(batch)
        assert len(batch.items) == len(batch.numbers) == len(batch.sizes)
    assert [len(batch.items) for batch in batches] == [1, 4, 4, 2, 1]
    assert [number for batch in batches for number in batch.numbers] == [*range(1, 12), 11]
    assert [batch.size for batch in batches] == [5, 10, 26, 19, 0]
    assert (backlog.events, backlog.size, batches[1].arrived) == (0, 0, 3.0)


def test_deltas_of_a_run_that_may_be_dropped_stand_each_by_themselves() -> None:
    backlog = Backlog[str](Limits(events=4, size=1000, drop_deltas=True), at_once=4)
    backlog.extend(["d1", "d2", "d3", "d4"], range(1, 5), [10] * 4)
    assert backlog.put("e", 10, number=5) is Trouble.DROPPING
    assert taken(backlog) == ["d2", "d3", "d4", "e"]
