"""The threads in which tools run: no more than allowed, none for nothing, none that hangs the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from rtsync.threads.tool_pool import Pool
from tests.loopback import LIMIT


class Held:
    """A job that runs until it is let go."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.running = threading.Event()
        self.go = threading.Event()
        self.done = threading.Event()
        self.refused = False
        self._then = then
        self.title = "held"

    def run(self) -> None:
        self.running.set()
        assert self.go.wait(LIMIT)
        self._then()
        self.done.set()

    def cannot_run(self) -> None:
        self.refused = True


@contextmanager
def pool_of(most: int) -> Iterator[tuple[Pool, Callable[[], Held]]]:
    """A pool, and what submits a job to it; all are let go in the end."""
    pool, jobs = Pool("rtsync-tools-test", most), []

    def submitted() -> Held:
        job = Held()
        jobs.append(job)
        pool.submit(job)
        return job

    try:
        yield pool, submitted
    finally:
        for job in jobs:
            job.go.set()
        pool.close()
        assert pool.join(LIMIT) == []


def threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("rtsync-tools-test"))


def test_jobs_run_side_by_side_up_to_the_limit_and_then_in_order() -> None:
    with pool_of(2) as (pool, submitted):
        first, second, third, fourth = submitted(), submitted(), submitted(), submitted()
        assert first.running.wait(LIMIT)
        assert second.running.wait(LIMIT)
        assert threads() == ["rtsync-tools-test-1", "rtsync-tools-test-2"]
        assert "2 at work, 2 waiting" in repr(pool)
        second.go.set()
        assert third.running.wait(LIMIT)
        assert not fourth.running.is_set()
        first.go.set()
        assert fourth.running.wait(LIMIT)


def test_threads_that_have_nothing_to_do_end() -> None:
    with pool_of(2) as (pool, submitted):
        job = submitted()
        job.go.set()
        assert job.done.wait(LIMIT)
        assert pool.join(LIMIT) == []
        assert threads() == []
        again = submitted()
        assert again.running.wait(LIMIT)


def test_a_job_that_is_given_up_makes_room_for_the_next() -> None:
    with pool_of(1) as (pool, submitted):
        stuck, waiting = submitted(), submitted()
        assert stuck.running.wait(LIMIT)
        pool.give_up(stuck)
        assert waiting.running.wait(LIMIT)
        assert len(threads()) == 2
        stuck.go.set()
        assert stuck.done.wait(LIMIT)


def test_a_job_that_is_given_up_before_it_runs_never_does() -> None:
    with pool_of(1) as (pool, submitted):
        first, second = submitted(), submitted()
        pool.give_up(second)
        first.go.set()
        assert first.done.wait(LIMIT)
        assert pool.join(LIMIT) == []
        assert not second.running.is_set()


def test_a_closed_pool_begins_nothing() -> None:
    with pool_of(1) as (pool, submitted):
        first, second = submitted(), submitted()
        pool.close()
        third = submitted()
        first.go.set()
        assert pool.join(LIMIT) == []
        assert [job.running.is_set() for job in (second, third)] == [False, False]


def test_joining_is_bounded_and_names_what_hangs() -> None:
    with pool_of(2) as (pool, submitted):
        job = submitted()
        assert job.running.wait(LIMIT)
        assert pool.join(0.05) == ["held"]
        pool.give_up(job)
        assert pool.join(LIMIT) == []  # Nobody waits for it any more.


def test_a_thread_of_the_pool_does_not_wait_for_itself() -> None:
    pool, left = Pool("rtsync-tools-test", 1), list[list[str]]()
    job = Held(lambda: left.append(pool.join(LIMIT)))
    job.go.set()
    pool.submit(job)
    assert job.done.wait(LIMIT)
    assert left == [[]]
    assert pool.join(LIMIT) == []


def test_a_job_that_raises_takes_no_thread_along(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise SystemExit

    pool, job = Pool("rtsync-tools-test", 1), Held(fail)
    job.go.set()
    after = Held()
    after.go.set()
    pool.submit(job)
    pool.submit(after)
    assert after.done.wait(LIMIT)
    assert pool.join(LIMIT) == []
    assert "SystemExit" in caplog.text


def test_without_a_thread_the_job_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pool_of(1) as (_, submitted), monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert submitted().refused
        patched.undo()
        assert submitted().running.wait(LIMIT)


def test_a_fork_has_none_of_it() -> None:
    with pool_of(1) as (pool, submitted):
        first = submitted()
        assert first.running.wait(LIMIT)
        pool.disown()
        assert pool.join(LIMIT) == []
        assert not submitted().running.is_set()
        first.go.set()
        assert first.done.wait(LIMIT)
