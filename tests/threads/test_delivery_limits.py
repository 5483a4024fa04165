"""What waits for handlers is bounded, by plain calls: what is dropped, who is told, and who is waited for no longer."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Iterator

import pytest

from rtsync import QueueDispatcher
from rtsync.pure.backlog import Limits
from rtsync.threads.delivery import Delivery, Inline, Posted, Worker
from tests.loopback import LIMIT

FEW = Limits(events=10, size=1000)
DROPPING = Limits(events=10, size=1000, drop_deltas=True)


class Stuck:
    """A worker with a handler that does not return before it is told to; what runs behind it is noted."""

    def __init__(self, limits: Limits) -> None:
        self.worker = Worker("rtsync-handlers-test", limits)
        self.go_on = threading.Event()
        self.inside = threading.Event()
        self.ran: list[int] = []
        self.worker.put(1, self._stubborn, 10)
        assert self.inside.wait(LIMIT)

    def _stubborn(self) -> None:
        self.worker.current = self._stubborn
        self.inside.set()
        self.go_on.wait(LIMIT)

    def fill(self, first: int, count: int, *, delta: bool = False) -> None:
        for number in range(first, first + count):
            self.worker.put(number, functools.partial(self.ran.append, number), 10, delta)

    def finish(self) -> list[int]:
        """Let the handler go on; what has run at the end."""
        self.go_on.set()
        self.worker.end()
        assert self.worker.join(LIMIT)
        return self.ran


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    stuck = Stuck(FEW)
    yield stuck
    stuck.finish()


def test_an_overflow_names_the_handler_that_is_stuck(stuck: Stuck) -> None:
    stuck.fill(2, 10)
    assert stuck.worker.overflow is None
    stuck.fill(12, 1)
    said = str(stuck.worker.overflow)
    assert "11 events (110 bytes) are waiting" in said
    assert "Stuck._stubborn has been running for" in said


def test_behind_an_overflow_no_event_is_queued_and_every_lifecycle_signal_is(stuck: Stuck) -> None:
    stuck.fill(2, 50)
    stuck.worker.put(52, functools.partial(stuck.ran.append, -1))
    assert stuck.finish() == [*range(2, 13), -1]


def test_lifecycle_signals_fit_into_a_full_queue(stuck: Stuck) -> None:
    stuck.fill(2, 10)
    for _ in range(100):
        stuck.worker.put(11, functools.partial(stuck.ran.append, -1))
    assert stuck.worker.overflow is None
    assert stuck.finish() == [*range(2, 12), *[-1] * 100]


def test_behind_an_overflow_nobody_waits_for_the_handlers(stuck: Stuck) -> None:
    told: list[str] = []
    stuck.worker.when_settled(12, lambda: told.append("before the end"))
    stuck.fill(2, 20)
    assert told == []
    stuck.worker.end()
    assert told == ["before the end"]
    assert stuck.worker.gave_up(12)
    assert not stuck.worker.gave_up(0)
    stuck.worker.when_settled(12, lambda: told.append("behind the end"))
    assert told == ["before the end", "behind the end"]
    stuck.finish()
    assert not stuck.worker.gave_up(12)  # They have run after all.


def test_an_ordinary_end_is_waited_out(stuck: Stuck) -> None:
    told: list[int] = []
    stuck.fill(2, 5)
    stuck.worker.when_settled(6, lambda: told.append(len(stuck.ran)))
    stuck.worker.end()
    assert (told, stuck.worker.gave_up(6)) == ([], False)
    stuck.finish()
    assert told == [5]


def test_a_wait_that_is_forgotten_is_not_woken(stuck: Stuck) -> None:
    told: list[int] = []
    wake = functools.partial(told.append, 1)
    stuck.worker.when_settled(1, wake)
    stuck.worker.when_settled(1, functools.partial(told.append, 2))
    assert stuck.worker.awaiting == 2
    stuck.worker.forget(wake)
    assert stuck.worker.awaiting == 1
    stuck.finish()
    assert told == [2]


def test_the_lag_is_the_age_of_the_oldest_event_that_is_not_done(stuck: Stuck) -> None:
    stuck.fill(2, 1)
    before = stuck.worker.lag()
    assert stuck.worker.lag() >= before > 0
    stuck.finish()
    assert stuck.worker.lag() == 0


def test_deltas_are_dropped_and_said_once_and_everything_else_runs_in_order(caplog: pytest.LogCaptureFixture) -> None:
    stuck = Stuck(DROPPING)
    with caplog.at_level(logging.WARNING, "rtsync.handlers"):
        for first in range(2, 32, 10):
            stuck.fill(first, 8, delta=True)
            stuck.fill(first + 8, 2)
    assert [record.message.partition(",")[0] for record in caplog.records] == ["the handlers fall behind"]
    assert "_stubborn has been running for" in caplog.text
    assert stuck.worker.queue.dropped == 20
    assert stuck.finish() == [10, 11, 20, 21, 26, 27, 28, 29, 30, 31]


def test_without_deltas_left_to_drop_it_overflows() -> None:
    stuck = Stuck(DROPPING)
    stuck.fill(2, 5, delta=True)
    stuck.fill(7, 10)
    assert stuck.worker.overflow is None
    stuck.fill(17, 1)
    assert stuck.worker.overflow is not None
    assert stuck.finish() == list(range(7, 18))


def test_who_waits_for_events_of_which_all_are_dropped_is_woken() -> None:
    posted, told = Posted(QueueDispatcher(), DROPPING), list[int]()
    for number in range(1, 11):
        posted.put(number, lambda: None, 10, delta=True)
    posted.when_settled(1, lambda: told.append(1))
    posted.when_settled(2, lambda: told.append(2))
    posted.put(11, lambda: None, 10)
    assert told == [1]
    posted.put(12, lambda: None, 10)
    assert told == [1, 2]


def test_a_main_loop_that_never_drains_is_an_overflow_too() -> None:
    posted = Posted(QueueDispatcher(), FEW)
    for number in range(1, 12):
        posted.put(number, lambda: None, 10)
    assert "no handler is running" in str(posted.overflow)


def test_handlers_of_the_reader_thread_need_no_queue() -> None:
    inline, ran = Inline(FEW), list[int]()
    for number in range(1, 100):
        inline.put(number, functools.partial(ran.append, number), 1000)
    assert (len(ran), inline.overflow, inline.queue.most_events) == (99, None, 0)


@pytest.mark.parametrize("limits", [FEW, DROPPING])
def test_a_worker_that_keeps_up_gets_everything(limits: Limits) -> None:
    worker, ran = Worker("rtsync-handlers-test", limits), list[int]()
    for first in range(0, 3000, 10):
        settled = threading.Event()
        for number in range(first, first + 10):
            worker.put(number, functools.partial(ran.append, number), 10, delta=number % 2 == 0)
        worker.when_settled(first + 9, settled.set)
        assert settled.wait(LIMIT)
    worker.end()
    assert worker.join(LIMIT)
    assert (ran, worker.overflow, worker.queue.dropped) == (list(range(3000)), None, 0)


def test_counters_are_whole_while_events_come_and_go() -> None:
    delivery: Delivery = Worker("rtsync-handlers-test", Limits(events=10_000))
    for number in range(5000):
        delivery.put(number, lambda: None, 7)
    delivery.end()
    assert delivery.join(LIMIT)
    assert (delivery.queue.events, delivery.queue.size) == (0, 0)
    assert delivery.queue.most_size == 7 * delivery.queue.most_events
