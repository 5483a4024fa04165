"""The three places where handlers run: worker thread, reader thread, and wherever `submit` takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rtsync import ConfigurationError, Event, QueueDispatcher, RealtimeSession, Simulator, UsageError, WaitTimeout
from tests.loopback import LIMIT
from tests.session.service import Json, conversing, delta, done, response, spawn

Job = Callable[[], None]


class Gui:
    """A program with a main loop, in a thread of its own: `submit` is its `call_soon_threadsafe`."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.submitted = 0
        self.waiting = 0
        self.most_waiting = 0
        self._counting = threading.Lock()
        self.thread = threading.Thread(target=self._loop, name="gui", daemon=True)

    def __enter__(self) -> Gui:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._jobs.put(None)
        self.thread.join(LIMIT)

    def submit(self, job: Job) -> None:
        with self._counting:
            self.submitted += 1
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
        self._jobs.put(job)

    def _loop(self) -> None:
        while (job := self._jobs.get()) is not None:
            with self._counting:
                self.waiting -= 1
            job()


def handler_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rtsync-handlers-")]


def burst(count: int) -> list[Json]:
    return [delta(str(number)) for number in range(count)]


# -- worker thread --------------------------------------------------------------------------------------------------


def test_the_worker_starts_with_the_first_handler_and_ends_with_the_session() -> None:
    with conversing() as (session, service):
        service.say(done())
        session.wait_for("response.done")
        assert handler_threads() == []
        names: list[str] = []
        session.on("response.created", lambda _session, _event: names.append(threading.current_thread().name))
        assert handler_threads() == [f"rtsync-handlers-{session._core.number}"]
        service.say(response("response.created"))
        session.wait_for("response.created")
        assert names == [f"rtsync-handlers-{session._core.number}"] == handler_threads()
    assert handler_threads() == []


def test_handlers_that_are_connected_before_opening_have_their_thread_from_the_beginning() -> None:
    session = RealtimeSession(Simulator(pace=False))
    session.on("response.done", lambda _session, _event: None)
    assert handler_threads() == []
    with session:
        assert handler_threads() == [f"rtsync-handlers-{session._core.number}"]
    session.on("response.created", lambda _session, _event: None)  # Too late for anything, and allowed.
    assert handler_threads() == []


def test_a_session_without_handlers_has_one_thread() -> None:
    with RealtimeSession(Simulator(pace=False)) as session:
        session.update(output_modalities=["text"])
        session.ask("Hi")
        ours = [t.name for t in threading.enumerate() if t.name.startswith(("rtsync-reader", "rtsync-handlers"))]
        assert ours == [f"rtsync-reader-{session._core.number}"]


@pytest.mark.parametrize("place", ["thread", "inline"])
def test_order_is_kept(place: str) -> None:
    with conversing(handlers=place) as (session, service):
        seen: list[str] = []
        session.on("response.output_text.delta", lambda _session, event: seen.append(event.delta))
        service.say(*burst(2000), done())
        session.wait_for("response.done")
        assert seen == [str(number) for number in range(2000)]


# -- reader thread --------------------------------------------------------------------------------------------------


def test_inline_handlers_run_in_the_reader_thread() -> None:
    with conversing(handlers="inline") as (session, service):
        names: list[str] = []
        session.on("response.done", lambda _session, _event: names.append(threading.current_thread().name))
        service.say(done())
        session.wait_for("response.done")
        assert names == [f"rtsync-reader-{session._core.number}"]
        assert handler_threads() == []


def test_an_inline_handler_has_run_before_a_wait_returns_even_unsettled() -> None:
    with conversing(handlers="inline") as (session, service):
        seen: list[str] = []
        session.on("response.done", lambda _session, event: seen.append(event.type))
        service.say(done())
        session.wait_for("response.done", settled=False)
        assert seen == ["response.done"]


# -- submit ---------------------------------------------------------------------------------------------------------


def test_posted_handlers_run_where_submit_runs_them_in_order_and_one_drain_is_posted_at_a_time() -> None:
    with Gui() as gui, conversing(handlers=gui.submit) as (session, service):
        seen: list[tuple[str, str]] = []
        session.on(
            "response.output_text.delta",
            lambda _session, event: seen.append((event.delta, threading.current_thread().name)),
        )
        for _ in range(10):
            service.say(*burst(300))
        service.say(done())
        session.wait_for("response.done")
        assert seen == [(str(number), "gui") for _ in range(10) for number in range(300)]
        assert gui.most_waiting == 1
        assert handler_threads() == []


def test_a_burst_is_drained_in_batches_so_that_the_loop_stays_alive() -> None:
    dispatcher = QueueDispatcher()
    with conversing(handlers=dispatcher) as (session, service):
        seen: list[str] = []
        session.on("response.output_text.delta", lambda _session, event: seen.append(event.delta))
        service.say(*burst(1000), done())
        session.wait_for("response.done", settled=False)
        turns = 0
        while len(seen) < 1000:
            assert dispatcher.drain() == 1
            turns += 1
        assert turns >= 1000 / 64
        assert seen == [str(number) for number in range(1000)]
        dispatcher.drain()


def test_a_queue_dispatcher_runs_handlers_in_the_thread_that_drains() -> None:
    dispatcher = QueueDispatcher()
    with conversing(handlers=dispatcher) as (session, service):
        idents: list[int] = []
        session.on("response.done", lambda _session, _event: idents.append(threading.get_ident()))
        service.say(done())
        session.wait_for("response.done", settled=False)
        assert idents == []
        while not dispatcher.drain():
            pass
        assert idents == [threading.get_ident()]
        assert dispatcher.drain() == 0


def test_the_thread_that_drains_is_told_at_once_that_it_would_wait_for_itself() -> None:
    dispatcher = QueueDispatcher()
    with conversing(handlers=dispatcher) as (session, service):
        session.on("response.done", lambda _session, _event: None)
        service.say(done("resp_1"))
        session.wait_for("response.done", settled=False)
        while not dispatcher.drain():
            pass
        with pytest.raises(UsageError, match="wait for itself"):
            session.wait_for("response.done", timeout=None)
        with pytest.raises(UsageError, match="wait for itself"), session.expect("response.done", timeout=None):
            pytest.fail("refused before the body")
        service.say(done("resp_2"))
        assert session.wait_for("response.done", settled=False).response.id == "resp_2"


def test_a_posted_handler_may_wait_for_a_later_event() -> None:
    with Gui() as gui, conversing(handlers=gui.submit) as (session, service):
        found: list[str] = []

        def handler(session: RealtimeSession, _event: Event) -> None:
            service.say({"type": "session.updated"})
            found.append(session.wait_for("session.updated", timeout=LIMIT).type)

        session.on("response.created", handler)
        service.say(response("response.created"))
        session.wait_for("response.created")
        assert found == ["session.updated"]


def test_a_handler_finds_what_came_while_it_was_not_yet_running() -> None:
    with conversing() as (session, service):
        found: list[str] = []
        first, behind = threading.Event(), threading.Event()

        def slow(_session: RealtimeSession, _event: Event) -> None:
            first.set()
            behind.wait(LIMIT)

        def waits(session: RealtimeSession, _event: Event) -> None:
            found.append(session.wait_for("response.done", timeout=LIMIT).type)

        session.on("response.created", slow)
        session.on("response.created", waits)
        session.on("response.created", lambda session, event: waits(session, event))
        service.say(response("response.created"), response("response.done"))
        assert first.wait(LIMIT)
        session.wait_for("response.done", settled=False)
        behind.set()
        session.wait_for("response.created")
        assert found == ["response.done", "response.done"]


def test_a_posted_handler_may_close_the_session() -> None:
    with Gui() as gui, conversing(handlers=gui.submit) as (session, service):
        session.on("response.created", lambda session, _event: session.close())
        service.say(response("response.created"))
        assert service.peer.finished.wait(LIMIT)
        assert service.closed_with is not None
        session.close()
        assert session.state == "closed"


def test_settled_waits_in_other_threads_wait_for_posted_handlers() -> None:
    dispatcher = QueueDispatcher()
    with conversing(handlers=dispatcher) as (session, service):
        seen: list[str] = []
        session.on("response.done", lambda _session, event: seen.append(event.type))
        session.send({"type": "response.create"})
        waiting = spawn(lambda: (session.wait_for("response.done", timeout=LIMIT), tuple(seen)))
        service.hear()
        service.say(done())
        while not dispatcher.drain():
            pass
        assert waiting.result()[1] == ("response.done",)


def test_a_wait_for_handlers_that_nobody_drains_says_so() -> None:
    dispatcher = QueueDispatcher()
    with conversing(handlers=dispatcher) as (session, service):
        session.on("response.done", lambda _session, _event: None)
        service.say(done())
        with pytest.raises(WaitTimeout, match="arrived, but the handlers before it have not finished"):
            session.wait_for("response.done", timeout=0.1)


def test_a_handler_that_leaves_the_main_loop_leaves_the_dispatcher_usable() -> None:
    dispatcher = QueueDispatcher()
    with conversing(handlers=dispatcher) as (session, service):
        seen: list[str] = []

        def leave(_session: RealtimeSession, _event: Event) -> None:
            raise SystemExit(3)

        session.on("response.created", leave)
        session.on("response.done", lambda _session, event: seen.append(event.type))
        service.say(response("response.created"), done())
        session.wait_for("response.done", settled=False)
        with pytest.raises(SystemExit):
            while True:
                dispatcher.drain()
        while not seen:
            dispatcher.drain()
        assert seen == ["response.done"]


def test_a_submit_that_raises_is_logged_and_the_session_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = QueueDispatcher()
    broken = threading.Event()

    def submit(job: Job) -> None:
        if broken.is_set():
            raise RuntimeError("main thread is not in main loop")
        dispatcher(job)

    with conversing(handlers=submit) as (session, service):
        seen: list[str] = []
        session.on("response.done", lambda _session, event: seen.append(event.response.id))
        broken.set()
        service.say(done("resp_1"))
        session.wait_for("response.done", settled=False)
        broken.clear()
        service.say(done("resp_2"))
        session.wait_for("response.done", settled=False, where=lambda event: event.response.id == "resp_2")
        while len(seen) < 2:
            dispatcher.drain()
        assert seen == ["resp_1", "resp_2"]
    assert "main loop of the program gone" in caplog.text


def test_a_pool_of_threads_as_submit_keeps_the_order_too() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool, conversing(handlers=pool.submit) as (session, service):
        seen: list[str] = []
        session.on("response.output_text.delta", lambda _session, event: seen.append(event.delta))
        for number in range(3000):
            service.say(delta(str(number)))
        service.say(done())
        session.wait_for("response.done")
        assert seen == [str(number) for number in range(3000)]


def test_closing_does_not_wait_for_a_loop_that_never_ran() -> None:
    with conversing(handlers=QueueDispatcher(), close_timeout=LIMIT) as (session, service):
        session.on("response.done", lambda _session, _event: None)
        service.say(done())
        session.wait_for("response.done", settled=False)
        session.close()
        assert session.state == "closed"


@pytest.mark.parametrize("wrong", ["threads", None, 1])
def test_a_place_that_does_not_exist_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="'thread', 'inline' or a callable"):
        RealtimeSession(Simulator(), handlers=wrong)
