"""Deliveries by plain calls: order, batches, what is settled when, and ends."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from rtsync import ConfigurationError, Event, UsageError
from rtsync.pure.runs import Run
from rtsync.threads.delivery import Inline, Posted, QueueDispatcher, Worker, delivery_for
from tests.loopback import LIMIT
from tests.session.service import spawn


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("rtsync-handlers-test")
    yield worker
    worker.end()
    assert worker.join(LIMIT)


def test_the_worker_runs_jobs_in_order(worker: Worker) -> None:
    seen: list[int] = []
    for number in range(5000):
        worker.put(number, functools.partial(seen.append, number))
    settled = threading.Event()
    worker.when_settled(4999, settled.set)
    assert settled.wait(LIMIT)
    assert seen == list(range(5000))


def test_the_worker_wakes_from_every_sleep(worker: Worker) -> None:
    for number in range(2000):
        ran = threading.Event()
        worker.put(number, ran.set)
        assert ran.wait(LIMIT)


def _run_of(count: int) -> Run:
    run = Run([{"type": "x.delta"}] * count, ["x.delta"] * count, [100] * count)
    run.number(1)
    return run


def _release(handled: threading.Semaphore, events: Iterable[Event]) -> None:
    for _ in events:
        handled.release()


def _put_to_sleep(worker: Worker) -> None:
    ran = threading.Event()
    worker.put(0, ran.set)
    assert ran.wait(LIMIT)
    while not worker.asleep:
        threading.Event().wait(0.001)


def test_a_few_deltas_are_worth_no_waking_before_the_reader_has_nothing_else_to_do(worker: Worker) -> None:
    handled = threading.Semaphore(0)
    worker.handle = functools.partial(_release, handled)
    _put_to_sleep(worker)
    worker.put_run(_run_of(3))
    assert worker.queued() == (3, 300)
    worker.flush()
    assert all(handled.acquire(timeout=LIMIT) for _ in range(3))


@pytest.mark.parametrize("also", ["many", "an event by itself", "the end"])
def test_the_worker_does_not_sleep_over(also: str, worker: Worker) -> None:
    handled = threading.Semaphore(0)
    worker.handle = functools.partial(_release, handled)
    _put_to_sleep(worker)
    worker.put_run(_run_of(2100 if also == "many" else 3))
    if also == "an event by itself":
        worker.put(4, lambda: None)
    elif also == "the end":
        worker.end()
    assert all(handled.acquire(timeout=LIMIT) for _ in range(3))


def test_settled_is_told_when_the_last_job_of_the_event_is_done(worker: Worker) -> None:
    go_on, order = threading.Event(), list[str]()
    told = threading.Event()

    def slow() -> None:
        go_on.wait(LIMIT)
        order.append("job 1")

    def tell() -> None:
        order.append("settled 1")
        told.set()

    worker.put(1, slow)
    worker.put(1, lambda: order.append("job 1 again"))
    worker.when_settled(0, lambda: order.append("settled 0"))
    worker.when_settled(1, tell)
    go_on.set()
    assert told.wait(LIMIT)
    assert order == ["settled 0", "job 1", "job 1 again", "settled 1"]


def test_nothing_put_is_settled_at_once() -> None:
    for delivery in (Worker("rtsync-handlers-test"), Inline(), Posted(lambda _job: None)):
        told: list[int] = []
        delivery.when_settled(7, functools.partial(told.append, 1))
        assert told == [1]


def test_a_worker_that_never_ran_ends_without_a_thread() -> None:
    worker = Worker("rtsync-handlers-test")
    worker.end()
    assert worker.join(0)
    assert worker._thread is None


def test_a_job_that_exits_ends_nothing_and_settles(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    def leave() -> None:
        raise SystemExit(3)

    told = threading.Event()
    worker.put(1, leave)
    worker.when_settled(1, told.set)
    assert told.wait(LIMIT)
    ran = threading.Event()
    worker.put(2, ran.set)
    assert ran.wait(LIMIT)
    assert "SystemExit" in caplog.text


def test_a_stuck_handler_is_named(worker: Worker) -> None:
    go_on, inside = threading.Event(), threading.Event()

    def job() -> None:
        worker.current = test_a_stuck_handler_is_named
        inside.set()
        go_on.wait(LIMIT)

    worker.put(1, job)
    assert inside.wait(LIMIT)
    assert "test_a_stuck_handler_is_named has been running for" in str(worker.stuck())
    assert not worker.join(0)
    go_on.set()
    told = threading.Event()
    worker.when_settled(1, told.set)
    assert told.wait(LIMIT)
    assert worker.stuck() is None
    assert worker.current is None


def test_the_reader_may_not_wait_in_any_place() -> None:
    for delivery in (Worker("rtsync-handlers-test"), Inline(), Posted(lambda _job: None)):
        delivery.reader = threading.get_ident()
        with pytest.raises(UsageError, match="wait for itself"):
            delivery.check_may_wait(settled=False)


def test_posted_jobs_are_drained_in_batches_by_one_drain_at_a_time() -> None:
    jobs: list[Callable[[], None]] = []
    posted = Posted(jobs.append)
    seen: list[int] = []
    for number in range(200):
        posted.put(number, functools.partial(seen.append, number))
    drains = 0
    while jobs:
        assert len(jobs) == 1
        jobs.pop()()
        drains += 1
    assert seen == list(range(200))
    assert drains >= 4


def test_an_event_that_arrives_behind_the_last_job_of_a_batch_posts_no_second_drain() -> None:
    jobs: list[Callable[[], None]] = []
    posted = Posted(jobs.append)
    take = posted._next

    def interrupted() -> Callable[[], None] | None:
        found = take()
        if found is None and not late:
            late.append(1)
            threading.Thread(target=posted.put, args=(2, lambda: None)).start()
        return found

    late: list[int] = []
    posted._next = interrupted  # type: ignore[method-assign]
    posted.put(1, lambda: None)
    jobs.pop()()
    while not jobs and posted.queue:
        pass
    assert len(jobs) <= 1
    while jobs:
        jobs.pop()()
        assert len(jobs) <= 1


def test_a_handler_that_leaves_the_loop_leaves_the_queue_posted() -> None:
    jobs: list[Callable[[], None]] = []
    posted = Posted(jobs.append)
    seen: list[int] = []

    def leave() -> None:
        raise KeyboardInterrupt

    posted.put(1, leave)
    posted.put(2, lambda: seen.append(2))
    with pytest.raises(KeyboardInterrupt):
        jobs.pop()()
    assert len(jobs) == 1
    jobs.pop()()
    assert seen == [2]
    posted.end()
    assert posted.drained


def test_a_loop_run_by_a_handler_drains_what_comes_meanwhile() -> None:
    jobs: list[Callable[[], None]] = []
    posted = Posted(jobs.append)
    order: list[str] = []

    def modal() -> None:
        order.append("dialog opens")
        while jobs:
            jobs.pop()()
        order.append("dialog closes")

    told: list[str] = []
    posted.put(1, modal)
    posted.put(2, lambda: order.append("second"))
    posted.when_settled(2, lambda: told.append(order[-1]))
    while jobs:
        jobs.pop()()
    assert order == ["dialog opens", "dialog closes", "second"]
    assert told == ["second"]


def test_a_dispatcher_runs_what_is_queued_by_now() -> None:
    dispatcher = QueueDispatcher()
    seen: list[int] = []

    def first() -> None:
        seen.append(1)
        dispatcher(functools.partial(seen.append, 2))

    dispatcher(first)
    assert dispatcher.drain() == 1
    assert seen == [1]
    assert dispatcher.drain() == 1
    assert dispatcher.drain() == 0


def test_numbers_without_a_job_are_settled_with_the_jobs_before_them() -> None:
    dispatcher = QueueDispatcher()
    posted, told = Posted(dispatcher), list[int]()
    for number in (3, 7):
        posted.put(number, lambda: None)
    for number in (1, 2, 3, 5, 6, 7, 9):
        posted.when_settled(number, functools.partial(told.append, number))
    assert told == [1, 2]  # Nobody handles events 1 and 2, so nothing stands before them.
    assert dispatcher.drain() == 1
    assert told == [1, 2, 3, 5, 6, 7, 9]


def test_what_comes_behind_a_job_that_runs_is_settled_with_it() -> None:
    dispatcher = QueueDispatcher()
    posted, told = Posted(dispatcher), list[int]()

    def job() -> None:
        posted.when_settled(2, functools.partial(told.append, 2))
        posted.when_settled(3, functools.partial(told.append, 3))
        posted.when_settled(6, functools.partial(told.append, 6))
        assert told == [2]

    posted.put(3, job)
    posted.put(6, lambda: told.append(-6))
    dispatcher.drain()
    assert told == [2, 3, -6, 6]


def test_a_job_that_fails_is_logged_and_settles(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    told = threading.Event()
    worker.put(1, lambda: 1 / 0)  # type: ignore[arg-type]
    worker.when_settled(1, told.set)
    assert told.wait(LIMIT)
    assert "ZeroDivisionError" in caplog.text


def test_a_worker_that_ends_does_first_what_it_has() -> None:
    worker, seen, go_on = Worker("rtsync-handlers-test"), list[int](), threading.Event()

    def hold() -> None:
        go_on.wait(LIMIT)

    worker.put(0, hold)
    for number in range(1, 1000):
        worker.put(number, functools.partial(seen.append, number))
    worker.end()
    assert not worker.join(0)
    go_on.set()
    assert worker.join(LIMIT)
    assert seen == list(range(1, 1000))
    assert worker.join(0)


def test_a_handler_that_joins_its_own_worker_is_not_stuck_for_ever() -> None:
    worker, joined = Worker("rtsync-handlers-test"), list[bool]()
    worker.put(1, lambda: joined.append(worker.join(0.01)))
    worker.end()
    assert worker.join(LIMIT)
    assert joined == [False]


def test_jobs_of_many_threads_are_all_done_each_threads_in_order(worker: Worker) -> None:
    seen: list[tuple[int, int]] = []

    def put(thread: int) -> None:
        for number in range(500):
            worker.put(number, functools.partial(seen.append, (thread, number)))

    for one in [spawn(put, thread) for thread in range(4)]:
        one.result()
    told = threading.Event()
    worker.when_settled(500, told.set)
    assert told.wait(LIMIT)
    for thread in range(4):
        assert [number for found, number in seen if found == thread] == list(range(500))


def test_who_waits_for_a_job_is_woken_before_the_next_one_runs() -> None:
    dispatcher = QueueDispatcher()
    posted, order = Posted(dispatcher), list[str]()

    def job() -> None:
        assert posted.in_handler()
        assert posted.handling == (1, None)
        posted.when_settled(1, lambda: order.append("settled"))
        order.append("job")

    posted.put(1, job)
    posted.put(2, lambda: order.append("next job"))
    dispatcher.drain()
    assert order == ["job", "settled", "next job"]
    assert not posted.in_handler()


def test_nothing_is_stuck_where_nothing_runs() -> None:
    for delivery in (Worker("rtsync-handlers-test"), Inline(), Posted(lambda _job: None)):
        assert delivery.stuck() is None
        assert not delivery.in_handler()


# -- inline --------------------------------------------------------------------------------------------------------


def test_inline_jobs_run_at_once_in_the_thread_that_puts_them() -> None:
    inline, seen = Inline(), list[tuple[int, bool]]()
    inline.put(1, lambda: seen.append((threading.get_ident(), inline.in_handler())))
    assert seen == [(threading.get_ident(), True)]
    assert not inline.in_handler()


def test_inline_jobs_that_fail_or_exit_end_nothing(caplog: pytest.LogCaptureFixture) -> None:
    inline, seen = Inline(), list[int]()

    def leave() -> None:
        raise SystemExit

    inline.put(1, lambda: 1 / 0)  # type: ignore[arg-type]
    inline.put(2, leave)
    inline.put(3, lambda: seen.append(3))
    assert seen == [3]
    assert "ZeroDivisionError" in caplog.text
    assert "SystemExit" in caplog.text


def test_inline_jobs_inside_jobs_settle_from_the_outside_in() -> None:
    inline, order = Inline(), list[str]()

    def outer() -> None:
        inline.when_settled(1, lambda: order.append("settled 1"))
        inline.when_settled(2, lambda: order.append("settled 2"))
        inline.put(2, lambda: order.append("inner"))
        assert inline.in_handler()
        order.append("outer")

    inline.put(1, outer)
    assert order == ["inner", "outer", "settled 1", "settled 2"]


def test_inline_has_nothing_left_when_it_ends() -> None:
    inline = Inline()
    inline.end()
    assert inline.join(0)


# -- posted --------------------------------------------------------------------------------------------------------


def test_a_burst_posts_one_drain_and_the_next_burst_another() -> None:
    posts: list[Callable[[], None]] = []
    posted, seen = Posted(posts.append), list[int]()
    for number in range(10):
        posted.put(number, functools.partial(seen.append, number))
    assert (len(posts), seen) == (1, [])
    posts.pop()()
    assert (posts, seen) == ([], list(range(10)))
    posted.put(10, functools.partial(seen.append, 10))
    assert len(posts) == 1


def test_what_a_job_puts_runs_behind_what_is_queued() -> None:
    dispatcher = QueueDispatcher()
    posted, seen = Posted(dispatcher), list[str]()

    def first() -> None:
        posted.put(3, lambda: seen.append("third"))
        seen.append("first")

    posted.put(1, first)
    posted.put(2, lambda: seen.append("second"))
    while dispatcher.drain():
        pass
    assert seen == ["first", "second", "third"]


def test_a_submit_that_runs_what_it_is_given_at_once_works_too() -> None:
    posted, seen = Posted(lambda job: job()), list[str]()

    def first() -> None:
        posted.put(2, lambda: seen.append("second"))
        seen.append("first")

    posted.put(1, first)
    posted.put(3, lambda: seen.append("third"))
    assert seen == ["first", "second", "third"]


def test_a_submit_that_fails_is_logged_and_tried_again_with_the_next_event(caplog: pytest.LogCaptureFixture) -> None:
    posts: list[Callable[[], None]] = []
    failures = iter([RuntimeError("main thread is not in main loop")])

    def submit(job: Callable[[], None]) -> None:
        for failure in failures:
            raise failure
        posts.append(job)

    posted, seen = Posted(submit), list[int]()
    posted.put(1, functools.partial(seen.append, 1))
    assert (posts, seen) == ([], [])
    assert "main thread is not in main loop" in caplog.text
    posted.put(2, functools.partial(seen.append, 2))
    posts.pop()()
    assert (posts, seen) == ([], [1, 2])


def test_drains_that_a_handler_runs_by_itself_go_on_with_what_is_queued() -> None:
    posts: list[Callable[[], None]] = []
    posted, order = Posted(posts.append), list[str]()

    def modal() -> None:
        order.append("opens")
        drain()
        order.append("closes")

    for number, job in enumerate([modal, lambda: order.append("second"), lambda: order.append("third")], 1):
        posted.put(number, job)
    posted.when_settled(1, lambda: order.append("settled 1"))
    posted.when_settled(3, lambda: order.append("settled 3"))
    drain = posts.pop()
    drain()
    assert order == ["opens", "second", "third", "closes", "settled 1", "settled 3"]
    assert posts == []
    posted.end()
    assert posted.drained


def test_posted_jobs_are_drained_when_the_last_one_has_run() -> None:
    dispatcher = QueueDispatcher()
    posted = Posted(dispatcher)
    posted.put(1, lambda: None)
    posted.end()
    assert not posted.drained
    dispatcher.drain()
    assert posted.drained
    idle = Posted(dispatcher)
    idle.end()
    assert idle.drained


def test_only_another_thread_waits_for_the_loop_that_drains() -> None:
    dispatcher = QueueDispatcher()
    posted = Posted(dispatcher)
    posted.put(1, lambda: None)
    assert posted.join(0)  # No loop was ever seen to run.
    dispatcher.drain()
    posted.put(2, lambda: None)
    posted.end()
    assert posted.join(0)  # This thread is the loop.
    assert not spawn(posted.join, 0).result()
    waiting = spawn(posted.join, LIMIT)
    dispatcher.drain()
    assert waiting.result()


def test_the_thread_that_drains_may_not_wait_for_handlers_outside_one() -> None:
    dispatcher = QueueDispatcher()
    posted = Posted(dispatcher)
    posted.put(1, lambda: posted.check_may_wait(settled=True))
    posted.check_may_wait(settled=True)
    dispatcher.drain()
    posted.check_may_wait(settled=False)
    with pytest.raises(UsageError, match="settled=False"):
        posted.check_may_wait(settled=True)
    spawn(functools.partial(posted.check_may_wait, settled=True)).result()


# -- the dispatcher, and the choice --------------------------------------------------------------------------------


def test_a_dispatcher_takes_jobs_from_every_thread() -> None:
    dispatcher, seen = QueueDispatcher(), list[int]()

    def fill() -> None:
        for number in range(1000):
            dispatcher(functools.partial(seen.append, number))

    for one in [spawn(fill) for _ in range(4)]:
        one.result()
    assert dispatcher.drain() == 4000
    assert sorted(seen) == sorted([*range(1000)] * 4)


def test_a_job_that_raises_in_a_dispatcher_leaves_the_others_queued() -> None:
    dispatcher, seen = QueueDispatcher(), list[int]()
    dispatcher(lambda: 1 / 0)  # type: ignore[arg-type]
    dispatcher(lambda: seen.append(2))
    with pytest.raises(ZeroDivisionError):
        dispatcher.drain()
    assert dispatcher.drain() == 1
    assert seen == [2]


def test_the_option_names_the_place() -> None:
    assert type(delivery_for("thread", "rtsync-handlers-test")) is Worker
    assert type(delivery_for("inline", "")) is Inline
    assert type(delivery_for(QueueDispatcher(), "")) is Posted


@pytest.mark.parametrize("handlers", [None, "threads", 5, True, ["thread"]])
def test_another_option_is_refused_with_the_three_that_there_are(handlers: Any) -> None:
    with pytest.raises(ConfigurationError, match="handlers must be 'thread', 'inline' or a callable") as raised:
        delivery_for(handlers, "")
    assert repr(handlers) in str(raised.value)


# -- a loop that says which thread it is, and when it is gone --------------------------------------------------------


class KnownLoop(QueueDispatcher):
    """The least that `Posted` wants to know of a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.thread_id = threading.get_ident()
        self.told: list[Callable[[], None]] = []

    def when_gone(self, tell: Callable[[], None]) -> None:
        self.told.append(tell)


def test_a_loop_that_says_its_thread_is_not_waited_for_there_before_anything_has_run() -> None:
    posted = Posted(KnownLoop())
    with pytest.raises(UsageError, match="settled=False"):
        posted.check_may_wait(settled=True)
    assert posted.runs_here()
    assert not spawn(posted.runs_here).result()
    assert not Posted(QueueDispatcher()).runs_here()


def test_who_runs_the_handlers_is_known_inside_them_everywhere() -> None:
    for delivery in (Inline(), Posted(lambda job: job())):
        seen: list[bool] = []
        delivery.put(1, lambda delivery=delivery, seen=seen: seen.append(delivery.runs_here()))  # type: ignore[misc]
        assert seen == [True]
        assert delivery.runs_here() == isinstance(delivery, Posted)  # Its loop is this thread from now on.


def test_when_the_loop_is_gone_nothing_is_run_and_nobody_waits() -> None:
    loop = KnownLoop()
    posted, seen = Posted(loop), list[str]()
    posted.put(1, lambda: seen.append("never"))
    posted.when_settled(1, lambda: seen.append("woken"))
    loop.told[0]()
    assert seen == ["woken"]
    posted.put(2, lambda: seen.append("never"))
    posted.put_run(Run(data=[{"type": "x.delta"}], sizes=[1], numbers=[2]))
    posted.when_settled(2, lambda: seen.append("woken"))
    posted.check_may_wait(settled=True)
    loop.drain()
    posted.end()
    assert posted.drained
    assert seen == ["woken", "woken"]
    assert posted.queued() == (0, 0)


def test_a_loop_that_goes_while_a_session_ends_or_in_a_handler_leaves_nothing_to_wait_for() -> None:
    loop = KnownLoop()
    ending, leaving = Posted(loop), Posted(loop)
    ending.put(1, lambda: None)
    ending.end()
    assert not ending.drained
    seen: list[str] = []
    leaving.put(1, loop.told[1])
    leaving.put(2, lambda: seen.append("never"))
    loop.told[0]()
    assert ending.drained
    while loop.drain():
        pass
    leaving.end()
    assert leaving.drained
    assert seen == []


class _Lent:
    """A loan that notes how much is queued when it is asked to read, and gives the reading back."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.found: list[int] = []
        self.read_once = threading.Event()

    def read(self) -> bool:
        self.found.append(self.worker.queue.events)
        self.read_once.set()
        return False

    def handles(self) -> None: ...

    def handled(self) -> None: ...

    def recall(self) -> None: ...


class _Hesitant(Worker):
    """A worker that something is lent to when it has decided to sleep, and does not do so yet."""

    lend: Callable[[], object] | None = None

    def _rest(self) -> None:
        lend, self.lend = self.lend, None
        if lend is not None:
            lend()
        super()._rest()


def test_what_is_queued_is_handled_before_anything_is_read() -> None:
    worker = _Hesitant("rtsync-handlers-test")
    loan = _Lent(worker)
    handled = threading.Semaphore(0)
    worker.handle = functools.partial(_release, handled)

    def lend() -> None:
        worker.put_run(_run_of(1))
        rouse = worker.borrow(loan)  # type: ignore[arg-type]
        assert rouse is not None
        rouse()

    worker.lend = lend
    worker.prepare()
    assert loan.read_once.wait(LIMIT)
    assert handled.acquire(timeout=LIMIT)
    assert loan.found == [0]
    worker.end()
    assert worker.join(LIMIT)
