"""The history of what arrived, and the windows that threads have on it."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtsync.pure.history import Entry, History, Window
from rtsync.pure.runs import Run
from rtsync.vocabulary.events import Event

# On a busy machine an example may take long; that says nothing about the code.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DELTA = "response.output_text.delta"
AUDIO = "response.output_audio.delta"
SPOKEN = "response.output_audio_transcript.delta"
DONE = "response.done"
MANY = 20_000  # more than any bound


def filled(*types: str, size: int = 100) -> History:
    history = History()
    for kind in types:
        history.add(Event({"type": kind}), size)
    return history


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.sequence for entry in entries]


def oldest(history: History) -> int:
    return min(history.numbers())


def types(history: History, start: int = 0) -> list[str]:
    return [entry.type for entry in history.since(start)]


def returned(history: History, window: Window, kind: str) -> int | None:
    """What a wait does: the number of the oldest match in the window, or None; -1 for "may have been dropped"."""
    start = window.on_wait(history.newest)
    if history.dropped(frozenset({kind}), start, window.seen):
        return -1
    for entry in history.since(start):
        if entry.type == kind and entry.sequence not in window.returned:
            window.on_return(entry, history.numbers)
            return entry.sequence
    return None


# -- history -------------------------------------------------------------------------------------------------------


def test_events_are_numbered_from_one_in_the_order_of_arrival() -> None:
    history = filled("session.created", DELTA, DONE, AUDIO)
    assert history.newest == 4
    assert numbers(history.since(0)) == [1, 2, 3, 4]
    assert types(history) == ["session.created", DELTA, DONE, AUDIO]


def test_since_gives_what_came_behind_a_number() -> None:
    history = filled(DELTA, DONE, DELTA, DONE)
    assert numbers(history.since(2)) == [3, 4]
    assert history.since(4) == []
    assert history.since(99) == []


def test_an_entry_carries_what_it_was_given() -> None:
    history, event, owner = History(), Event({"type": DONE}), object()
    entry = history.add(event, 17, None, owner)
    assert (entry.sequence, entry.event, entry.size, entry.owner) == (1, event, 17, owner)
    assert history.since(0)[0] is entry


def test_deltas_do_not_push_other_events_out() -> None:
    history = filled("session.created", *[DELTA] * MANY, DONE)
    kept = types(history)
    assert (kept[0], kept[-1]) == ("session.created", DONE)
    assert 100 < kept.count(DELTA) < MANY


def test_other_events_do_not_push_deltas_out() -> None:
    history = filled(DELTA, *["input_audio_buffer.committed"] * MANY)
    kept = types(history)
    assert kept[0] == DELTA
    assert 1000 < len(kept) < MANY


def test_nothing_is_dropped_while_there_is_room() -> None:
    history = filled(*[DONE] * 2048, *[DELTA] * 512)
    assert len(history.since(0)) == 2560
    assert not history.dropped(None, 0, {})


def test_deltas_are_bounded_by_their_bytes_too() -> None:
    history = filled(*[AUDIO] * 100, size=100_000)
    assert 0 < len(history.since(0)) * 100_000 <= 2 << 20
    assert numbers(history.since(0))[-1] == 100


def test_the_newest_delta_is_kept_however_large() -> None:
    history = filled(AUDIO, AUDIO, size=64 << 20)
    assert numbers(history.since(0)) == [2]
    history.add(Event({"type": AUDIO}), 10)
    assert numbers(history.since(0)) == [3]
    history.add(Event({"type": AUDIO}), 10)
    assert numbers(history.since(0)) == [3, 4]


def test_the_numbers_that_are_kept_are_known() -> None:
    assert History().numbers() == set()
    history = filled(DONE, *[DELTA] * MANY)
    assert sorted(history.numbers()) == numbers(history.since(0))
    assert oldest(history) == 1


# -- what was dropped ----------------------------------------------------------------------------------------------


def test_nothing_is_dropped_while_everything_is_kept() -> None:
    history = filled(DELTA, DONE)
    assert not history.dropped(frozenset({DELTA, DONE, "vendor.thing"}), 0, {})
    assert not history.dropped(None, 0, {})


def test_a_dropped_event_of_the_type_is_told_of() -> None:
    history = filled(*[DELTA] * MANY, DONE)
    assert history.dropped(frozenset({DELTA}), 0, {})
    assert history.dropped(frozenset({DONE, DELTA}), 0, {})
    assert history.dropped(None, 0, {})


def test_a_dropped_event_of_another_type_is_not() -> None:
    history = filled(*[DELTA] * MANY, DONE)
    assert not history.dropped(frozenset({DONE}), 0, {})
    assert not history.dropped(frozenset({AUDIO}), 0, {})
    assert not history.dropped(frozenset({"vendor.thing"}), 0, {})


@pytest.mark.parametrize(
    ("wanted", "start", "seen", "lost"),
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
    wanted: set[str] | None, start: int, seen: dict[str, int], lost: bool
) -> None:
    history = filled(DONE, *["response.created"] * 2048)
    assert history.dropped(None if wanted is None else frozenset(wanted), start, seen) is lost


def test_what_was_dropped_before_the_window_is_not_missed() -> None:
    history = filled(*[DELTA] * MANY)
    last_dropped = oldest(history) - 1
    assert history.dropped(frozenset({DELTA}), last_dropped - 1, {})
    assert not history.dropped(frozenset({DELTA}), last_dropped, {})
    assert not history.dropped(None, last_dropped, {})


@pytest.mark.unmeasured
def test_a_loop_over_deltas_that_were_all_returned_never_reports_a_loss() -> None:
    history, window = History(), Window(start=0)
    for number in range(1, 3000):
        history.add(Event({"type": DELTA}), 100)
        assert returned(history, window, DELTA) == number


def overfull(kind: str = DELTA) -> tuple[int, int]:
    """How many deltas it takes until some are dropped, and how many those are."""
    history, count = History(), 0
    while not count or oldest(history) == 1:
        history.add(Event({"type": kind}), 100)
        count += 1
    return count, oldest(history) - 1


def test_a_loop_that_falls_behind_reports_the_first_delta_that_was_really_lost() -> None:
    count, dropped = overfull()
    for read in (dropped, dropped - 1):
        history, window = History(), Window(start=0)
        for number in range(1, count + 1):
            history.add(Event({"type": DELTA}), 100)
            if number <= read:
                assert returned(history, window, DELTA) == number
        assert returned(history, window, DELTA) == (dropped + 1 if read == dropped else -1)


def test_of_two_types_each_has_its_own_account() -> None:
    history, window = filled(AUDIO, DELTA), Window(start=0)
    assert returned(history, window, DELTA) == 2
    while oldest(history) <= 2:
        history.add(Event({"type": SPOKEN}), 100)
    assert history.dropped(frozenset({AUDIO, DELTA}), 0, window.seen)
    assert history.dropped(frozenset({AUDIO}), 0, window.seen)
    assert not history.dropped(frozenset({DELTA}), 0, window.seen)


def test_an_undocumented_type_is_not_blamed_for_another_one() -> None:
    history = filled(*["vendor.animation.delta"] * MANY)
    assert history.dropped(frozenset({"vendor.animation.delta"}), 0, {})
    assert not history.dropped(frozenset({"vendor.animation.done"}), 0, {})


def test_names_from_the_wire_do_not_fill_the_memory_and_no_loss_is_hidden_by_that() -> None:
    history = filled(*(f"vendor.{number}.delta" for number in range(MANY)), DONE)
    assert history.dropped(frozenset({"vendor.never.seen"}), 0, {})  # So many that they share an account.
    assert history.dropped(frozenset({"vendor.0.delta"}), 0, {})
    assert history.dropped(frozenset({f"vendor.{MANY - 1000}.delta"}), 0, {})
    assert not history.dropped(frozenset({DONE}), 0, {})


# -- windows -------------------------------------------------------------------------------------------------------


def test_a_thread_that_never_sent_sees_what_comes_from_its_first_wait_on() -> None:
    history, window = filled(DONE), Window()
    assert returned(history, window, DONE) is None
    history.add(Event({"type": DONE}), 1)
    assert returned(history, window, DONE) == 2


def test_the_thread_that_opens_sees_everything_from_the_beginning() -> None:
    assert returned(filled("session.created"), Window(start=0), "session.created") == 1


def test_an_answer_between_send_and_wait_is_found() -> None:
    history, window = filled(DONE), Window()
    window.on_send(history.newest)
    history.add(Event({"type": DONE}), 1)
    assert returned(history, window, DONE) == 2


def test_events_before_the_window_are_never_returned() -> None:
    history, window = filled(DONE, DONE), Window(start=0)
    assert returned(history, window, DONE) == 1
    window.on_send(history.newest)
    assert returned(history, window, DONE) is None


def test_several_sends_before_a_wait_share_one_window() -> None:
    history, window = History(), Window()
    window.on_send(history.newest)
    history.add(Event({"type": "session.updated"}), 1)
    window.on_send(history.newest)
    history.add(Event({"type": DONE}), 1)
    assert returned(history, window, "session.updated") == 1
    assert returned(history, window, DONE) == 2


def test_inside_a_window_each_event_is_returned_once() -> None:
    history, window = filled(DELTA, DONE, DELTA), Window(start=0)
    assert [returned(history, window, kind) for kind in (DELTA, DELTA, DELTA, DONE, DONE)] == [1, 3, None, 2, None]


def test_a_send_after_a_wait_forgets_what_was_returned() -> None:
    history, window = filled(DELTA), Window(start=0)
    returned(history, window, DELTA)
    assert (window.returned, window.seen) == ({1}, {DELTA: 1})
    window.on_send(history.newest)
    assert (window.start, window.waited, window.returned, window.seen) == (1, False, set(), {})


def test_a_window_that_is_never_renewed_does_not_grow_without_bound() -> None:
    history, window = History(), Window(start=0)
    for number in range(MANY):
        entry = history.add(Event({"type": f"vendor.{number}"}), 1)
        window.on_return(entry, history.numbers)
    assert len(window.returned) < MANY / 2
    assert len(window.seen) < MANY / 2
    assert {entry.sequence for entry in history.since(0)} <= window.returned


def test_a_window_that_follows_deltas_forgets_those_that_are_gone_though_older_events_are_kept() -> None:
    history, window = filled(DONE), Window(start=0)
    for _ in range(MANY):
        window.on_return(history.add(Event({"type": DELTA}), 1), history.numbers)
    assert len(window.returned) < MANY / 2
    assert oldest(history) == 1


def test_names_of_types_are_not_kept_when_they_are_as_long_as_messages() -> None:
    history, window = History(), Window(start=0)
    tracemalloc.start()
    try:
        for number in range(400):
            entry = history.add(Event({"type": f"{number}" + "x" * 100_000}), 1 << 20)
            window.on_return(entry, history.numbers)
        assert tracemalloc.get_traced_memory()[0] < 4_000_000  # The history keeps eight of them.
    finally:
        tracemalloc.stop()
    assert history.dropped(frozenset({"7" + "x" * 100_000}), 0, {})


@dataclass
class Naive:
    """The same promises over a list that keeps everything."""

    events: list[str] = field(default_factory=list)
    start: int | None = None
    waited: bool = False
    returned: set[int] = field(default_factory=set)

    def send(self) -> None:
        if self.start is None or self.waited:
            self.start, self.waited, self.returned = len(self.events), False, set()

    def wait(self, kind: str) -> int | None:
        self.start = len(self.events) if self.start is None else self.start
        self.waited = True
        for number, event_type in enumerate(self.events[self.start :], self.start + 1):
            if event_type == kind and number not in self.returned:
                self.returned.add(number)
                return number
        return None


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "wait", "wait", "send"]), st.sampled_from([DELTA, AUDIO, DONE, "vendor.delta"])),
    max_size=60,
)


@UNHURRIED
@given(STEPS)
def test_windows_agree_with_a_list_that_keeps_everything(steps: list[tuple[str, str]]) -> None:
    history, window, naive = History(), Window(), Naive()
    for step, kind in steps:
        if step == "add":
            history.add(Event({"type": kind}), 1)
            naive.events.append(kind)
        elif step == "send":
            window.on_send(history.newest)
            naive.send()
        else:
            assert returned(history, window, kind) == naive.wait(kind)


BURSTS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "wait", "wait", "send"]), st.sampled_from([DELTA, AUDIO, DONE, "vendor.delta"]),
        st.sampled_from([1, 3, 200, 600])
    ),
    max_size=20,
)  # fmt: skip


@settings(UNHURRIED, max_examples=60)
@given(BURSTS)
def test_under_pressure_a_wait_returns_the_right_event_or_says_that_it_may_be_gone(
    bursts: list[tuple[str, str, int]],
) -> None:
    history, window, naive = History(), Window(), Naive()
    for step, kind, times in bursts:
        if step == "send":
            window.on_send(history.newest)
            naive.send()
        for _ in range(times if step != "send" else 0):
            if step == "add":
                history.add(Event({"type": kind}), 1)
                naive.events.append(kind)
                continue
            found, expected = returned(history, window, kind), naive.wait(kind)
            if found == -1:  # Told of a loss: then the right one is really gone.
                assert expected is not None
                assert expected not in numbers(history.since(0))
                return
            assert found == expected
            if found is None:
                break


@pytest.mark.parametrize("kind", [DELTA, DONE, "vendor.thing", ""])
def test_the_whole_of_a_window_is_reported_lost_when_one_event_of_it_is(kind: str) -> None:
    history = filled(*[kind] * MANY)
    kept = numbers(history.since(0))
    assert kept == list(range(oldest(history), MANY + 1))
    assert history.dropped(frozenset({kind}), 0, {})
    assert not history.dropped(frozenset({kind}), 0, {kind: kept[0] - 1})


_runs = st.lists(
    st.lists(
        st.tuples(st.sampled_from([DELTA, AUDIO]), st.sampled_from([0, 10, 60_000, 600_000])), min_size=1, max_size=20
    )
    | st.integers(1, 1200).map(lambda count: [(DELTA, 10)] * count),
    min_size=1,
    max_size=8,
)


def run_of(history: History, kinds_and_sizes: list[tuple[str, int]]) -> Run:
    messages = [json.dumps({"type": kind, "delta": "x" * size}).encode() for kind, size in kinds_and_sizes]
    run = Run(
        list(map(json.loads, messages)), [kind for kind, _ in kinds_and_sizes], list(map(len, messages)), messages
    )
    run.number(history.newest + 1)
    return run


@UNHURRIED
@given(runs=_runs, start=st.integers(0, 2000))
@pytest.mark.unmeasured
def test_the_newest_deltas_of_runs_are_kept_within_the_bounds_and_all_others_are_told_of(
    runs: list[list[tuple[str, int]]], start: int
) -> None:
    history, came = History(), dict[int, Event]()
    for kinds_and_sizes in runs:
        run = run_of(history, kinds_and_sizes)
        came |= {number: event for number, event, _ in run}
        history.extend(run)
    kept = history.since(0)
    assert history.newest == len(came)
    assert numbers(kept) == sorted(history.numbers()) == list(range(len(came) - len(kept) + 1, len(came) + 1))
    assert [entry.event for entry in kept] == [came[entry.sequence] for entry in kept]
    assert [entry.sequence for entry in history.since(start)] == [number for number in numbers(kept) if number > start]
    newest = kept[-64:]  # However large.
    assert len(kept) <= 512
    assert sum(entry.size for entry in kept) <= max(1 << 20, sum(entry.size for entry in newest))
    if all(size <= 10 for run in runs for _, size in run):
        assert len(kept) >= min(len(came), 512 - 64)
    for kind in (DELTA, AUDIO):
        lost = [number for number, event in came.items() if event.type == kind and number not in history.numbers()]
        assert history.dropped(frozenset({kind}), start, {}) is (max(lost, default=0) > start)
        assert not history.dropped(frozenset({kind}), 0, {kind: max(lost, default=0)})


def test_deltas_that_nobody_looks_back_for_take_little_memory() -> None:
    tracemalloc.start()
    try:
        history = History()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20):
            history.extend(run_of(history, [(DELTA, 200)] * 25))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(history.numbers()) > 400
    assert (after - before) / len(history.numbers()) < 450  # bytes, of which the message is 290
