"""Windows and the bounded history, by plain calls."""

from __future__ import annotations

import pytest

from rtsync.pure.history import Entry, History, Window
from rtsync.vocabulary.events import Event

DELTA = "response.output_text.delta"
DONE = "response.done"


def add(history: History, *types: str, size: int = 10) -> list[Entry]:
    return [history.add(Event({"type": name}), size) for name in types]


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.sequence for entry in entries]


def test_events_are_numbered_from_one() -> None:
    history = History()
    assert history.newest == 0
    assert numbers(add(history, DONE, DELTA, DONE)) == [1, 2, 3]
    assert history.newest == 3


def test_what_came_behind_a_number_is_given_in_order_deltas_among_the_others() -> None:
    history = History()
    add(history, DONE, DELTA, DONE, DELTA, DELTA, DONE)
    assert numbers(history.since(0)) == [1, 2, 3, 4, 5, 6]
    assert numbers(history.since(3)) == [4, 5, 6]
    assert history.since(6) == []


def test_nothing_is_dropped_while_there_is_room() -> None:
    history = History()
    add(history, *[DONE] * 2048, *[DELTA] * 512)
    assert len(history.since(0)) == 2560
    assert not history.dropped(None, 0, {})


def test_deltas_do_not_push_other_events_out() -> None:
    history = History()
    add(history, DONE, *[DELTA] * 5000)
    assert history.since(0)[0].event.type == DONE
    assert not history.dropped(frozenset({DONE}), 0, {})
    assert history.dropped(frozenset({DELTA}), 0, {})
    assert history.dropped(None, 0, {})


def test_deltas_are_bounded_by_their_bytes_too() -> None:
    history = History()
    add(history, *[DELTA] * 100, size=100_000)
    assert len(history.since(0)) == 10
    [large] = add(history, DELTA, size=5 << 20)
    assert history.since(0) == [large]  # Somebody may be about to wait for it.


@pytest.mark.parametrize(
    ("types", "start", "seen", "lost"),
    [
        ({DONE}, 0, {}, True),
        ({DONE}, 1, {}, False),
        ({DONE}, 0, {DONE: 1}, False),
        ({DONE}, 0, {DELTA: 9}, True),
        ({"session.updated"}, 0, {}, False),
        ({DONE, "session.updated"}, 0, {}, True),
        (None, 0, {}, True),
        (None, 1, {}, False),
        ({"brand.new"}, 0, {}, False),
    ],
)
def test_a_wait_is_told_of_what_was_dropped_and_might_have_been_wanted(
    types: set[str] | None, start: int, seen: dict[str, int], lost: bool
) -> None:
    history = History()
    add(history, DONE, *["response.created"] * 2048)
    assert history.dropped(None if types is None else frozenset(types), start, seen) is lost


def test_unknown_types_are_remembered_together_so_that_the_wire_cannot_fill_the_memory() -> None:
    history = History()
    add(history, *(f"unknown.{number}" for number in range(5000)))
    assert history.dropped(frozenset({"unknown.0"}), 0, {})
    assert history.dropped(frozenset({"never.seen"}), 0, {})
    assert not history.dropped(frozenset({DONE}), 0, {})
    assert len(history._dropped) < 300


def test_the_first_send_opens_a_window_and_further_ones_share_it() -> None:
    window = Window()
    assert window.start is None
    window.on_send(5)
    window.on_send(7)
    assert window.start == 5


def test_a_send_behind_a_wait_opens_a_new_window() -> None:
    history = History()
    window = Window()
    [first] = add(history, DONE)
    window.on_send(0)
    assert window.on_wait(1) == 0
    window.on_return(first, history.oldest)
    window.on_send(9)
    assert window.start == 9
    assert not window.returned
    assert not window.seen
    assert window.on_wait(12) == 9


def test_a_thread_that_never_sent_gets_its_window_at_its_first_wait() -> None:
    window = Window()
    assert window.on_wait(4) == 4
    assert window.on_wait(8) == 4


def test_what_was_returned_is_remembered_only_while_it_is_kept() -> None:
    history, window = History(), Window()
    window.on_wait(0)
    for _ in range(20_000):
        [entry] = add(history, DONE)
        window.on_return(entry, history.oldest)
    assert len(window.returned) <= 2 * 2560
    assert set(numbers(history.since(0))) <= window.returned
