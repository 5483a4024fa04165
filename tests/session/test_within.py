"""`within=`: what handlers, guards and tools of a session run in."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rtsync
from rtsync import Event, RealtimeSession, Simulator
from tests.loopback import LIMIT
from tests.session.service import conversing, delta, done

PLACES = ["thread", "inline", "loop"]


class Surroundings:
    """Says when it is entered and left, and in which of them a thread is."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.entered = 0
        self._of = threading.local()

    @property
    def inside(self) -> int:
        """How many of them the calling thread is in."""
        return int(getattr(self._of, "depth", 0))

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        self.entered += 1
        self._of.depth = self.inside + 1
        self.seen.append("in")
        try:
            yield
        finally:
            self.seen.append("out")
            self._of.depth = self.inside - 1


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    """`handlers=`: each of the three places."""
    if request.param != "loop":
        yield request.param
        return
    jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def loop() -> None:
        while (job := jobs.get()) is not None:
            with contextlib.suppress(SystemExit):
                job()

    thread = threading.Thread(target=loop, name="loop")
    thread.start()
    yield jobs.put
    jobs.put(None)
    thread.join(LIMIT)


class Failures:
    """What `handler_failed` tells of a session."""

    def __init__(self, session: RealtimeSession) -> None:
        self.errors: queue.SimpleQueue[tuple[object, BaseException]] = queue.SimpleQueue()
        self._session = session

    def __enter__(self) -> Failures:
        rtsync.handler_failed.connect(self._take, sender=self._session)
        return self

    def __exit__(self, *_: object) -> None:
        rtsync.handler_failed.disconnect(self._take)

    def _take(self, session: object, event: object, handler: object, error: BaseException) -> None:
        self.errors.put((handler, error))

    def next(self) -> tuple[object, BaseException]:
        return self.errors.get(timeout=LIMIT)


class Counted:
    """Waits until handlers have been called for so many events."""

    def __init__(self, wanted: int) -> None:
        self.given: list[Event] = []
        self._wanted = wanted
        self._there = threading.Event()

    def take(self, event: Event) -> None:
        self.given.append(event)
        if len(self.given) == self._wanted:
            self._there.set()

    def wait(self) -> None:
        assert self._there.wait(LIMIT), f"{len(self.given)} of {self._wanted}"


def test_handlers_run_within_a_context_wherever_they_run(place: Any) -> None:
    around, inside, told = Surroundings(), [], Counted(3)
    with conversing(handlers=place, within=around) as (session, service):

        @session.on("response.done")
        def on_done(_session: RealtimeSession, event: Event) -> None:
            inside.append(around.inside)
            told.take(event)

        for _ in range(3):
            service.say(done())
        told.wait()
    assert inside == [1, 1, 1]
    assert around.seen == ["in", "out"] * around.entered
    assert around.inside == 0


def test_deltas_that_come_together_share_a_context_and_each_is_in_one(place: Any) -> None:
    around, inside, told = Surroundings(), set(), Counted(500)
    with conversing(handlers=place, within=around) as (session, service):

        @session.on("response.output_text.delta")
        def on_delta(_session: RealtimeSession, event: Event) -> None:
            inside.add(around.inside)
            told.take(event)

        service.say(*(delta(str(number)) for number in range(500)))
        told.wait()
    assert [event.delta for event in told.given] == [str(number) for number in range(500)]
    assert inside == {1}


def test_it_is_left_before_a_wait_for_the_event_returns() -> None:
    around = Surroundings()
    with conversing(within=around) as (session, service):
        session.on("response.done", lambda session, event: around.seen.append("handled"))
        service.say(done())
        session.wait_for("response.done")
        assert around.seen == ["in", "handled", "out"]


def test_handlers_of_the_signals_of_all_sessions_run_within_too(place: Any) -> None:
    around = Surroundings()
    inside: dict[str, int] = {}
    closed = threading.Event()

    def on_closed(session: object, error: BaseException) -> None:
        inside["closed"] = around.inside
        closed.set()

    def on_any(session: object, event: Event) -> None:
        inside["event"] = around.inside

    session = RealtimeSession(Simulator(), handlers=place, within=around)
    rtsync.session_closed.connect(on_closed, sender=session)
    rtsync.event_received.connect(on_any, sender=session)
    with session:
        pass
    assert closed.wait(LIMIT)
    assert inside == {"event": 1, "closed": 1}


def test_a_context_that_cannot_be_entered_is_reported_and_loses_no_event(place: Any) -> None:
    told = Counted(102)

    def broken() -> Any:
        raise RuntimeError("no application")

    with conversing(handlers=place, within=broken) as (session, service), Failures(session) as failures:
        session.on("*", lambda session, event: told.take(event))
        service.say(done(), *(delta(str(number)) for number in range(100)), done())
        told.wait()
        handler, error = failures.next()
    assert handler is broken
    assert isinstance(error, RuntimeError)


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_context_that_fails_on_being_left_is_reported_and_the_rest_goes_on(
    place: Any, error: type[BaseException]
) -> None:
    told = Counted(102)

    @contextlib.contextmanager
    def leaky() -> Iterator[None]:
        yield
        raise error

    with conversing(handlers=place, within=leaky) as (session, service), Failures(session) as failures:
        session.on("*", lambda session, event: told.take(event))
        service.say(done(), *(delta(str(number)) for number in range(100)), done())
        told.wait()
        assert isinstance(failures.next()[1], error)
        assert isinstance(failures.next()[1], error)


def test_a_context_that_ends_the_thread_does_not(place: Any) -> None:
    told = Counted(101)

    def leaving() -> Any:
        sys.exit(3)

    with conversing(handlers=place, within=leaving) as (session, service), Failures(session) as failures:
        session.on("*", lambda session, event: told.take(event))
        service.say(*(delta(str(number)) for number in range(100)), done())
        told.wait()
        assert isinstance(failures.next()[1], SystemExit)


def test_a_handler_that_raises_leaves_the_context_in_order(place: Any) -> None:
    around, told = Surroundings(), Counted(2)
    with conversing(handlers=place, within=around) as (session, service), Failures(session) as failures:

        @session.on("response.done")
        def fail(_session: RealtimeSession, event: Event) -> None:
            told.take(event)
            raise ValueError(around.inside)

        service.say(done(), done())
        told.wait()
        assert [failures.next()[1].args for _ in range(2)] == [(1,), (1,)]
    assert around.inside == 0


def test_a_handler_that_leaves_its_program_passes_through_the_context(place: Any) -> None:
    around, told = Surroundings(), Counted(60)
    with conversing(handlers=place, within=around) as (session, service):

        @session.on("response.output_text.delta")
        def leave(_session: RealtimeSession, event: Event) -> None:
            told.take(event)
            sys.exit(1)

        service.say(*(delta(str(number)) for number in range(60)))
        told.wait()
    assert around.seen == ["in", "out"] * around.entered
    assert around.entered >= 60


def test_what_is_no_context_manager_is_reported() -> None:
    told = Counted(1)
    with conversing(within=lambda: None) as (session, service), Failures(session) as failures:
        session.on("response.done", lambda session, event: told.take(event))
        service.say(done())
        told.wait()
        assert isinstance(failures.next()[1], TypeError)


def test_handlers_of_failures_elsewhere_run_within_too() -> None:
    around, inside = Surroundings(), queue.SimpleQueue[int]()

    def fail() -> None:
        raise ValueError

    def on_failure(session: object, **_: object) -> None:
        inside.put(around.inside)

    with RealtimeSession(Simulator(), tools=[fail], within=around) as session:
        rtsync.handler_failed.connect(on_failure, sender=session)
        session.ask("please fail")
        assert inside.get(timeout=LIMIT) == 1


def test_guards_run_within_too() -> None:
    around, inside = Surroundings(), []
    with RealtimeSession(Simulator(), within=around) as session:
        session.guard(lambda text, response: inside.append(around.inside))
        session.ask("Hello")
    assert set(inside) == {1}


@pytest.mark.parametrize("policy", ["stop", "pass"])
def test_a_guard_that_cannot_be_surrounded_has_not_checked(policy: Any) -> None:
    def broken() -> Any:
        raise RuntimeError

    with RealtimeSession(Simulator(), within=broken) as session:
        session.guard(lambda text, response: None, on_error=policy)
        if policy == "pass":
            assert session.ask("Hello").transcript
        else:
            with pytest.raises(rtsync.ResponseFailed, match="stopped the response"):
                session.ask("Hello")


def test_a_guard_whose_surroundings_swallow_its_error_has_not_checked() -> None:
    def check(text: str, response: object) -> None:
        raise ValueError

    with RealtimeSession(Simulator(), within=lambda: contextlib.suppress(ValueError)) as session:
        session.guard(check)
        with pytest.raises(rtsync.ResponseFailed, match="stopped the response"):
            session.ask("Hello")


def test_a_handler_may_wait_within_it() -> None:
    around, waited = Surroundings(), queue.SimpleQueue[int]()
    with conversing(within=around) as (session, service):

        @session.on("response.done")
        def on_done(_session: RealtimeSession, event: Event) -> None:
            service.say(delta("x"))
            session.wait_for("response.output_text.delta", timeout=LIMIT)
            waited.put(around.inside)

        service.say(done())
        assert waited.get(timeout=LIMIT) == 1


def test_a_context_may_use_the_session_and_leaves_nothing_behind() -> None:
    waited = queue.SimpleQueue[str]()
    sessions: list[RealtimeSession] = []

    @contextlib.contextmanager
    def surroundings() -> Iterator[None]:
        yield
        if waited.empty():
            service.say(delta("x"))
            waited.put(sessions[0].wait_for("response.output_text.delta", timeout=LIMIT).type)

    with conversing(within=surroundings) as (session, service):
        sessions.append(session)
        session.on("response.done", lambda session, event: None)
        service.say(done())
        session.wait_for("response.done", timeout=LIMIT)
        assert waited.get_nowait() == "response.output_text.delta"
        assert session._core.hub.visits == {}
