"""The handlers' thread reads while its handlers are quick, and the reader whenever more than that is to be done."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import Any

import pytest

from rtsync import CloseCause, ProtocolError, RealtimeSession, SessionClosed, UsageError, WaitTimeout
from tests.loopback import LIMIT, PING, PONG, TEXT, Peer, ScriptedServer, realtime_greeting
from tests.loopback.peer import CONTINUATION, frame
from tests.session.service import Service, conversing, delta, echo, session_to, spawn
from tests.session.successive import Succession, assert_a_fork_is_refused, at_once, attend, watched

DELTA = "response.output_text.delta"
HANDLERS, READER = "rtsync-handlers", "rtsync-reader"


def reading_thread(session: RealtimeSession, peer: Peer) -> str:
    """The name of the thread that receives the next event, without its number."""
    names: list[str] = []

    def seen(_event: Any) -> bool:
        names.append(threading.current_thread().name.rpartition("-")[0])
        return True

    with session.expect("mark", where=seen, timeout=LIMIT, settled=False):
        peer.send_json({"type": "mark"})
    return names[0]


def lend(session: RealtimeSession, peer: Peer) -> None:
    """Say deltas, of which there is a handler, until the handlers' thread reads."""
    until = time.monotonic() + LIMIT
    while reading_thread(session, peer) != HANDLERS:
        assert time.monotonic() < until, "the handlers' thread never reads"
        with session.expect(DELTA, timeout=LIMIT):
            peer.send_json(delta("quick"))


def watches() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rtsync-watch"]


def unwatched(session: RealtimeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody notice slow handlers of `session`."""
    monkeypatch.setattr(session._core.current.loan, "handles", lambda: None)  # type: ignore[union-attr]


class Blocking:
    """A handler that is quick until it is told to block."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.blocked = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, _session: RealtimeSession, event: Any) -> None:
        self.seen.append(event.delta)
        if event.delta == "block":
            self.blocked.set()
            assert self.go_on.wait(LIMIT)


# -- while handlers are quick ---------------------------------------------------------------------------------------


def test_events_are_received_and_handled_in_one_thread_in_order() -> None:
    with conversing() as (session, service):
        seen: list[tuple[str, str]] = []
        session.on(DELTA, lambda _session, event: seen.append((event.delta, threading.current_thread().name)))
        lend(session, service.peer)
        seen.clear()
        for number in range(500):
            service.say(delta(str(number)))
        service.say({"type": "end"})
        session.wait_for("end", timeout=LIMIT)
        assert seen == [(str(number), f"{HANDLERS}-{session._core.number}") for number in range(500)]
        assert reading_thread(session, service.peer) == HANDLERS


def test_a_message_that_comes_in_pieces_is_waited_for() -> None:
    with conversing() as (session, service):
        seen: list[str] = []
        session.on(DELTA, lambda _session, event: seen.append(event.delta))
        lend(session, service.peer)
        text = '{"type": "response.output_text.delta", "response_id": "r", "output_index": 0, "delta": "' + "x" * 300
        data = frame(TEXT, text + '"}')
        for place in range(len(data)):
            service.peer.send_raw(data[place : place + 1])
        assert reading_thread(session, service.peer) == HANDLERS
        assert seen[-1] == "x" * 300


def test_inline_and_posted_handlers_borrow_nothing() -> None:
    for place in ("inline", lambda job: job()):
        with conversing(handlers=place) as (session, service):
            session.on(DELTA, lambda _session, _event: None)
            for _ in range(20):
                service.say(delta("quick"))
                session.wait_for(DELTA, timeout=LIMIT, settled=False)
                assert reading_thread(session, service.peer) == READER
        assert watches() == []


# -- when they are not ----------------------------------------------------------------------------------------------


def test_a_handler_that_blocks_keeps_nobody_from_receiving() -> None:
    with conversing(echo) as (session, service):
        handler = Blocking()
        session.on(DELTA, handler)
        lend(session, service.peer)
        service.say(delta("block"))
        assert handler.blocked.wait(LIMIT)
        try:
            session.send({"type": "input_audio_buffer.clear"})
            session.wait_for("echo", timeout=LIMIT, settled=False)
            assert reading_thread(session, service.peer) == READER
        finally:
            handler.go_on.set()
        assert reading_thread(session, service.peer) == READER  # For a while: it was slow once.


def test_a_handler_that_turns_slow_after_silence_is_noticed_too() -> None:
    with conversing(echo) as (session, service):
        handler = Blocking()
        session.on(DELTA, handler)
        for _ in range(3):
            session._core.current.loan._wary_until = 0.0  # type: ignore[union-attr]
            lend(session, service.peer)
            watch = session._core.current.loan._watch  # type: ignore[union-attr]
            assert watch is not None
            until = time.monotonic() + LIMIT
            while not watch.asleep:
                assert time.monotonic() < until, "the watch never sleeps"
                time.sleep(0.01)
            handler.blocked.clear()
            handler.go_on.clear()
            service.say(delta("block"))
            assert handler.blocked.wait(LIMIT)
            try:
                assert reading_thread(session, service.peer) == READER
            finally:
                handler.go_on.set()


def test_a_handler_may_wait_for_what_has_yet_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    with conversing(echo) as (session, service):
        unwatched(session, monkeypatch)
        answers: list[str] = []

        def ask(session: RealtimeSession, event: Any) -> None:
            if event.delta == "ask":
                session.send({"type": "input_audio_buffer.clear"})
                answers.append(session.wait_for("echo", timeout=LIMIT).type)

        session.on(DELTA, ask)
        lend(session, service.peer)
        for number in range(1, 4):
            service.say(delta("ask"))
            session.wait_for(DELTA, timeout=LIMIT)
            assert answers == ["echo"] * number


def test_a_wait_that_nobody_answers_ends_in_a_handler_and_says_so() -> None:
    with conversing() as (session, service):
        errors: list[BaseException] = []

        def wait(session: RealtimeSession, event: Any) -> None:
            if event.delta == "wait":
                try:
                    session.wait_for("never", timeout=0.05)
                except WaitTimeout as error:
                    errors.append(error)

        session.on(DELTA, wait)
        lend(session, service.peer)
        service.say(delta("wait"))
        session.wait_for(DELTA, timeout=LIMIT)
        assert len(errors) == 1


# -- what the reader is needed for ----------------------------------------------------------------------------------


def test_what_another_thread_has_run_with_the_handlers_does_not_wait_for_input() -> None:
    with conversing(heartbeat=None) as (session, service):
        session.on(DELTA, lambda _session, _event: None)
        lend(session, service.peer)
        ran: list[str] = []
        done = threading.Event()

        def job() -> None:
            ran.append(threading.current_thread().name.rpartition("-")[0])
            done.set()

        session._core.run_with_handlers(job)
        assert done.wait(LIMIT)
        assert ran == [HANDLERS]


@pytest.mark.parametrize("busy", [False, True])
def test_jobs_for_the_reader_run_in_the_reader(busy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with conversing(heartbeat=None) as (session, service):
        unwatched(session, monkeypatch)
        handler = Blocking()
        session.on(DELTA, handler)
        lend(session, service.peer)
        if busy:
            service.say(delta("block"))
            assert handler.blocked.wait(LIMIT)
        names: list[str] = []
        done = threading.Event()
        line = session._core.current.line  # type: ignore[union-attr]
        line.post(lambda: names.append(threading.current_thread().name.rpartition("-")[0]))
        line.post(done.set)
        in_time = done.wait(LIMIT)
        handler.go_on.set()
        assert in_time
        assert names == [READER]


def test_pings_are_answered_and_fragments_joined_and_the_handlers_thread_reads_again() -> None:
    heard: list[tuple[int, bytes]] = []
    greeted, asked = threading.Event(), threading.Event()
    peers: list[Peer] = []

    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        peers.append(peer)
        greeted.set()
        heard.append(peer.recv_frame())
        asked.set()
        peer.expect_close()

    with ScriptedServer(script) as server, session_to(server) as session:
        assert greeted.wait(LIMIT)
        session.on(DELTA, lambda _session, _event: None)
        lend(session, peers[0])
        peers[0].send_frame(PING, b"there?")
        assert asked.wait(LIMIT)
        lend(session, peers[0])
        with session.expect("split", timeout=LIMIT):
            peers[0].send_frame(TEXT, '{"type": ', fin=0)
            peers[0].send_frame(CONTINUATION, '"split"}')
        lend(session, peers[0])
    assert heard == [(PONG, b"there?")]


def test_silence_is_noticed() -> None:
    pinged = threading.Event()
    peers: list[Peer] = []

    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        peers.append(peer)
        while peer.recv_frame()[0] != PING:
            pass
        pinged.set()
        peer.wait_until_released()

    with ScriptedServer(script) as server, session_to(server, heartbeat=0.3, close_timeout=0.1) as session:
        session.on(DELTA, lambda _session, _event: None)
        until = time.monotonic() + LIMIT
        while not peers and time.monotonic() < until:
            time.sleep(0.01)
        lend(session, peers[0])
        assert pinged.wait(LIMIT)
        with pytest.raises(SessionClosed) as raised:
            session.wait_for("never", timeout=LIMIT)
        assert raised.value.cause is CloseCause.NETWORK
        peers[0].release()


# -- ends -----------------------------------------------------------------------------------------------------------


def test_close_ends_it_at_once_and_properly() -> None:
    service = Service()
    with ScriptedServer(service.play) as server:
        session = session_to(server, close_timeout=LIMIT).open()
        session.on(DELTA, lambda _session, _event: None)
        service.say(delta("first"))
        lend(session, service.peer)
        spawn(session.close).result()
        assert service.peer.finished.wait(LIMIT)
        assert service.closed_with is not None
        assert service.closed_with.code == 1000
        assert watches() == []


@pytest.mark.parametrize(
    ("broken", "code", "cause"),
    [
        (frame(TEXT, "{}", rsv=4), 1002, CloseCause.PROTOCOL),
        (frame(TEXT, b'{"type": "\xff"}'), 1007, CloseCause.PROTOCOL),
        (frame(TEXT, "{}", masked=True), 1002, CloseCause.PROTOCOL),
        (b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), 1009, CloseCause.SIZE),
    ],
)
def test_what_breaks_the_protocol_ends_it_as_ever(broken: bytes, code: int, cause: CloseCause) -> None:
    with conversing() as (session, service):
        session.on(DELTA, lambda _session, _event: None)
        lend(session, service.peer)
        service.peer.send_raw(broken)
        with pytest.raises(SessionClosed) as raised:
            session.wait_for("never", timeout=LIMIT)
        assert (raised.value.code, raised.value.cause) == (code, cause)
        assert isinstance(raised.value.__cause__, ProtocolError)


def test_the_servers_close_ends_it_with_its_code() -> None:
    with conversing() as (session, service):
        session.on(DELTA, lambda _session, _event: None)
        lend(session, service.peer)
        service.peer.close(1001, "going")
        with pytest.raises(SessionClosed) as raised:
            session.wait_for("never", timeout=LIMIT)
        assert (raised.value.code, raised.value.reason) == (1001, "going")


def test_handlers_that_fall_too_far_behind_end_it() -> None:
    with conversing(max_queue_events=8) as (session, service):
        handler = Blocking()
        session.on(DELTA, handler)
        lend(session, service.peer)
        service.say(delta("block"))
        assert handler.blocked.wait(LIMIT)
        service.say(*(delta("more") for _ in range(40)))
        with pytest.raises(SessionClosed) as raised:
            session.wait_for("never", timeout=LIMIT)
        handler.go_on.set()
        assert raised.value.cause is CloseCause.OVERFLOW


def test_a_predicate_cannot_wait_and_may_close() -> None:
    with conversing(close_timeout=LIMIT) as (session, service):
        session.on(DELTA, lambda _session, _event: None)
        lend(session, service.peer)

        def waits(_event: Any) -> bool:
            session.wait_for("never", timeout=LIMIT)
            return True

        with pytest.raises(UsageError, match="wait for itself"), session.expect("mark", where=waits, timeout=LIMIT):
            service.say({"type": "mark"})

        lend(session, service.peer)

        def closes(_event: Any) -> bool:
            session.close()
            return True

        with session.expect("mark", where=closes, timeout=LIMIT, settled=False) as expected:
            service.say({"type": "mark"})
        assert expected.event.type == "mark"
        assert service.peer.finished.wait(LIMIT)
        assert service.closed_with is not None


def test_a_lost_line_is_replaced_and_the_next_one_is_lent_too() -> None:
    services = Succession(attend)
    with ScriptedServer(services.play) as server, session_to(server, reconnect=at_once()) as session:
        session.on(DELTA, lambda _session, _event: None)
        with watched(session) as signals:
            for number in range(1, 4):
                lend(session, services[number].peer)
                services[number].peer.reset()
                signals.until("reconnected")
        lend(session, services[4].peer)
        assert len(watches()) == 1


def test_a_forgotten_session_is_collected() -> None:
    service = Service()
    with ScriptedServer(service.play) as server:
        session: RealtimeSession | None = session_to(server).open()
        assert session is not None
        session.on(DELTA, lambda _session, _event: None)
        service.say(delta("first"))
        lend(session, service.peer)
        threads = [t for t in threading.enumerate() if t.name.startswith("rtsync-")]
        gone = weakref.ref(session)
        with pytest.warns(ResourceWarning, match="dropped while open"):
            session = None  # The last reference to it.
        gc.collect()
        assert gone() is None
        for thread in threads:
            thread.join(LIMIT)
            assert not thread.is_alive(), thread.name


def test_a_fork_leaves_the_parents_session_alone() -> None:
    with conversing(echo) as (session, service):
        session.on(DELTA, lambda _session, _event: None)
        lend(session, service.peer)
        assert_a_fork_is_refused(session)
        session.send({"type": "input_audio_buffer.clear"})
        session.wait_for("echo", timeout=LIMIT)
        lend(session, service.peer)


def test_sessions_share_one_watch_which_ends_with_the_last_of_them() -> None:
    with conversing() as (one, service):
        one.on(DELTA, lambda _session, _event: None)
        lend(one, service.peer)
        with conversing() as (other, others_service):
            other.on(DELTA, lambda _session, _event: None)
            lend(other, others_service.peer)
            assert len(watches()) == 1
        assert len(watches()) == 1
    for thread in watches():
        thread.join(LIMIT)
    assert watches() == []
