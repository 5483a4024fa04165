"""Limits: handlers that do not return, consumers that do not read, servers that do not stop; and what `stats` says."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rtsync
from rtsync import (
    CloseCause,
    ConfigurationError,
    Event,
    FellBehind,
    RealtimeSession,
    ResponseFailed,
    SessionClosed,
    SessionStats,
    WaitTimeout,
)
from rtsync.pure.history import Window
from rtsync.vocabulary.events import encode
from tests.loopback import LIMIT, TEXT, Peer, ScriptedServer, frame, realtime_greeting
from tests.loopback.wire import PeerGone
from tests.session.service import Json, Service, Task, conversing, delta, done, echo, response, session_to, spawn

CREATE = {"type": "response.create"}
MARKER = {"type": "session.updated", "session": {}}


class Stubborn:
    """A handler that returns when it is told to, and remembers what it was called with."""

    def __init__(self) -> None:
        self.inside = threading.Event()
        self.go_on = threading.Event()
        self.seen: list[Event] = []

    def __call__(self, _session: RealtimeSession, event: Event) -> None:
        self.seen.append(event)
        self.inside.set()
        self.go_on.wait(LIMIT)

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.seen]


@contextlib.contextmanager
def stuck(answer: Any = None, **options: Any) -> Iterator[tuple[RealtimeSession, Service, Stubborn]]:
    """A session of which the handler is stuck, in an event that has arrived in full."""
    handler = Stubborn()
    with conversing(answer, **options) as (session, service):
        session.on("*", handler)
        service.say(MARKER)
        assert handler.inside.wait(LIMIT)
        try:
            yield session, service, handler
        finally:
            handler.go_on.set()


def flood(service: Service, *events: Json, times: int = 1) -> None:
    """Say the same again and again, to a client that may leave."""
    with contextlib.suppress(PeerGone, OSError):
        for _ in range(times):
            service.say(*events)


def ending(session: RealtimeSession) -> SessionClosed:
    with pytest.raises(SessionClosed) as raised, session.expect(lambda _event: False, timeout=LIMIT):
        pass
    return raised.value


def until(true: Callable[[], object]) -> None:
    """Wait for what no event tells of; the test's own timeout ends it."""
    while not true():
        threading.Event().wait(0.001)


# -- a handler that is stuck: close ----------------------------------------------------------------------------------


def test_a_stuck_handler_ends_the_session_by_name() -> None:
    with stuck(max_queue_events=50) as (session, service, _handler):
        flood(service, *[delta("x")] * 100)
        error = ending(session)
        assert (error.cause, error.code, session.state) == (CloseCause.OVERFLOW, 1008, "closed")
        assert "51 events" in str(error)
        assert "Stubborn has been running for" in str(error)
        assert service.peer.finished.wait(LIMIT)
        assert service.closed_with is not None
        assert service.closed_with.code == 1008


def test_the_default_is_twenty_thousand_events() -> None:
    with stuck() as (session, service, _handler):
        flood(service, *[delta("x")] * 1000, times=21)
        assert ending(session).cause is CloseCause.OVERFLOW
        assert session.stats.most_queued_events == 20_001


def test_a_few_large_events_are_too_many_too() -> None:
    with stuck(max_queue_size=1 << 20) as (session, service, _handler):
        flood(service, *[delta("x" * 300_000)] * 4)
        assert ending(session).cause is CloseCause.OVERFLOW
        assert session.stats.most_queued_events == 4


def test_an_overflow_ends_every_wait() -> None:
    with stuck(echo, max_queue_events=50) as (session, service, _handler):
        arrived = threading.Barrier(6)

        def within(call: Callable[[], object]) -> Task:
            return spawn(lambda: (arrived.wait(LIMIT), call()))

        def settle() -> object:
            session.send({"type": "input_audio_buffer.clear"})
            return session.wait_for("echo", timeout=None)  # It comes, and the handlers before it do not finish.

        waits = [
            within(lambda: session.wait_for("response.done", timeout=None)),
            within(lambda: session.wait_for("response.done", timeout=None, settled=False)),
            within(lambda: session.update(instructions="Hi", timeout=None)),
            within(lambda: session.respond(timeout=None)),
            within(settle),
        ]
        arrived.wait(LIMIT)
        until(lambda: session.stats.waiting == len(waits))
        flood(service, *[delta("x")] * 100)
        for wait in waits:
            with pytest.raises(SessionClosed) as raised:
                wait.result()
            assert raised.value.cause is CloseCause.OVERFLOW
        assert session.stats.waiting == 0


def test_an_answer_whose_handlers_never_run_ends_as_the_session() -> None:
    def answer(service: Service, event: Json) -> None:
        service.say({"type": "session.updated", "session": {}}, *[delta("x")] * 100)

    with stuck(answer, max_queue_events=50) as (session, _service, _handler):
        with pytest.raises(SessionClosed) as raised:
            session.update(instructions="Hi", timeout=None)
        assert raised.value.cause is CloseCause.OVERFLOW


def test_what_was_queued_is_still_handled_and_the_end_comes_last() -> None:
    closed = threading.Event()
    order: list[str] = []

    def on_closed(_session: RealtimeSession, error: SessionClosed) -> None:
        order.append(str(error.cause))
        closed.set()

    rtsync.session_closed.connect(on_closed)
    with stuck(max_queue_events=50) as (session, service, handler):
        flood(service, *[delta("x")] * 49, done(), *[delta("x")] * 50)
        ending(session)
        handler.go_on.set()
        assert closed.wait(LIMIT)
        assert handler.types[1:] == [delta("x")["type"]] * 49 + ["response.done", delta("x")["type"]]
        assert order == ["overflow"]


def test_a_main_loop_that_does_not_drain_ends_the_session() -> None:
    with conversing(handlers=rtsync.QueueDispatcher(), max_queue_events=50) as (session, service):
        session.on("*", lambda _session, _event: None)
        flood(service, *[delta("x")] * 100)
        assert "no handler is running" in str(ending(session))


def test_refused_messages_that_a_receiver_does_not_take_are_bounded_too() -> None:
    with stuck(max_queue_events=50) as (session, service, _handler):

        def receiver(_session: RealtimeSession, error: object) -> None:
            pass

        rtsync.message_refused.connect(receiver)
        with contextlib.suppress(PeerGone, OSError):
            service.peer.send_raw(frame(TEXT, "[]") * 100)
        assert ending(session).cause is CloseCause.OVERFLOW


def test_an_error_event_among_the_last_is_not_taken_for_the_cause() -> None:
    with stuck(max_queue_events=50) as (session, service, _handler):
        flood(service, *[{"type": "error", "error": {"message": "Rosebud"}}] * 100)
        assert "Rosebud" not in str(ending(session))


# -- a handler that is stuck: drop_deltas ----------------------------------------------------------------------------


def test_deltas_are_dropped_counted_and_said_once_and_nothing_else_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "rtsync")
    with stuck(on_overflow="drop_deltas", max_queue_events=100) as (session, service, handler):
        with session.events("response.done", timeout=LIMIT) as events:
            for number in range(20):
                service.say(*[delta(str(number))] * 100, done(f"resp_{number}"))
            assert [next(events).response.id for _ in range(20)] == [f"resp_{number}" for number in range(20)]
        stats = session.stats
        handler.go_on.set()
        session.wait_for("response.done", where=lambda event: event.response.id == "resp_19", timeout=LIMIT)
        assert (stats.events_dropped, stats.queued_events, stats.most_queued_events) == (1920, 100, 100)
        assert [event.response.id for event in handler.seen if event.type == "response.done"] == [
            f"resp_{number}" for number in range(20)
        ]
        kept = [event.delta for event in handler.seen if event.type == delta("")["type"]]
        assert kept == ["19"] * 80  # The newest.
        said = [record for record in caplog.records if "fall behind" in record.message]
        assert len(said) == 1
        assert "Stubborn has been running for" in said[0].message


def test_a_wait_and_a_response_get_the_deltas_that_handlers_do_not() -> None:
    def answer(service: Service, event: Json) -> None:
        metadata = event["response"]["metadata"]
        created, finished = response("response.created", metadata=metadata), done(metadata=metadata)
        service.say(created, *[delta("word ")] * 1000, finished)

    with stuck(answer, on_overflow="drop_deltas", max_queue_events=10) as (session, _service, handler):
        reply = session.respond()
        assert "".join(reply.text_deltas()) == "word " * 1000
        handler.go_on.set()
        reply.wait()
        assert session.stats.events_dropped >= 990


def test_without_deltas_to_drop_the_session_ends() -> None:
    with stuck(on_overflow="drop_deltas", max_queue_events=50) as (session, service, handler):
        flood(service, *[delta("x")] * 100, *[done()] * 60)
        assert ending(session).cause is CloseCause.OVERFLOW
        handler.go_on.set()
        until(lambda: len(handler.seen) == 1 + 51)
        assert set(handler.types[1:]) == {"response.done"}


@pytest.mark.unmeasured
def test_an_hour_of_audio_takes_no_more_memory_than_its_first_minute() -> None:
    audio = frame(TEXT, json.dumps({"type": "response.output_audio.delta", "response_id": "r", "delta": "A" * 6400}))
    minute = audio * 600  # 100 ms of PCM16 in each.
    with stuck(on_overflow="drop_deltas", max_queue_size=1 << 20) as (session, service, _handler):
        idle = session.events()
        service.peer.send_raw(minute)
        until(lambda: session.stats.events_received >= 600)
        tracemalloc.start()
        try:
            for _ in range(59):
                service.peer.send_raw(minute)
            service.say(done())
            session.wait_for("response.done", settled=False, timeout=LIMIT)
            grown = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        # Two queues of 1 MiB and the history's share, each filled anew since the first minute.
        assert grown < 4 << 20
        assert session.stats.events_dropped > 35_000
        assert idle.dropped > 35_000
        idle.close()


# -- closing while it overflows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["close", "drop_deltas"])
def test_close_returns_in_its_time_under_a_flood_with_a_stuck_handler(policy: str) -> None:
    with stuck(on_overflow=policy, max_queue_events=50) as (session, service, _handler):
        flooding = spawn(flood, service, *[delta("x")] * 100)
        spawn(flood, service, *[delta("x")] * 100, *[delta("y")] * 100)
        session.close(timeout=0.5)
        assert session.state == "closed"
        flooding.result()
        expected = {CloseCause.USER, CloseCause.OVERFLOW} if policy == "close" else {CloseCause.USER}
        assert ending(session).cause in expected


def test_an_overflow_behind_close_does_not_change_why_the_session_ended() -> None:
    closing = threading.Event()

    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        peer.send_json(MARKER)
        while peer.recv_frame()[0] != 0x8:
            pass
        closing.set()
        peer.send_json(*[delta("x")] * 1000)  # And no answer to the close frame.

    handler = Stubborn()
    with ScriptedServer(script) as server, session_to(server, max_queue_events=50) as session:
        session.on("*", handler)
        session.wait_for("session.updated", settled=False, timeout=LIMIT)
        session.close(timeout=1.0)
        assert closing.is_set()
        handler.go_on.set()
        assert ending(session).cause is CloseCause.USER


def test_an_overflow_ends_though_the_server_neither_reads_nor_stops() -> None:
    gone = threading.Event()

    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        many = b"".join(frame(TEXT, json.dumps(delta("x"))) for _ in range(100))
        try:
            while True:
                peer.send_raw(many)
        finally:
            gone.set()

    handler = Stubborn()
    with ScriptedServer(script) as server, session_to(server, max_queue_events=50) as session:
        session.on("*", handler)
        assert ending(session).cause is CloseCause.OVERFLOW
        assert gone.wait(LIMIT)
        handler.go_on.set()


# -- a subscription that nobody reads --------------------------------------------------------------------------------


def test_a_subscription_that_is_not_read_ends_and_the_session_goes_on() -> None:
    with conversing(echo, max_queue_events=50) as (session, service):
        idle = session.events()
        service.say(*[delta("x")] * 100)
        session.send(CREATE)
        session.wait_for("echo", timeout=LIMIT)
        assert idle.queued == 51
        assert [next(idle).type for _ in range(51)] == [delta("x")["type"]] * 51
        for _ in range(2):
            with pytest.raises(FellBehind, match=r"51 events .* were not taken"):
                next(idle)
        assert session.state == "open"
        assert session._core._subscriptions == []


def test_a_subscription_that_may_drop_deltas_drops_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    with conversing(echo, on_overflow="drop_deltas", max_queue_events=50) as (session, service):
        idle, reading = session.events(), session.events(delta("")["type"])
        for number in range(40):
            service.say(delta(str(number)), done(f"resp_{number}"))
            assert next(reading).delta == str(number)
        session.send(CREATE)
        session.wait_for("echo", timeout=LIMIT)
        found = [next(idle) for _ in range(50)]
        assert [event.response.id for event in found if event.type == "response.done"] == [
            f"resp_{number}" for number in range(40)
        ]
        assert [event.delta for event in found if event.type == delta("")["type"]] == [str(n) for n in range(31, 40)]
        assert (idle.dropped, idle.queued, reading.dropped, session.stats.events_dropped) == (31, 0, 0, 0)
        assert caplog.text.count("a subscription falls behind") == 1
        idle.close()
        reading.close()


def test_a_subscription_without_deltas_to_drop_ends() -> None:
    with conversing(echo, on_overflow="drop_deltas", max_queue_events=50) as (session, service):
        idle = session.events()
        service.say(*[done()] * 100)
        session.send(CREATE)
        session.wait_for("echo", timeout=LIMIT)
        assert [next(idle).type for _ in range(51)] == ["response.done"] * 51
        with pytest.raises(FellBehind):
            next(idle)


def test_a_closed_subscription_keeps_nothing() -> None:
    with conversing(echo) as (session, service):
        idle = session.events()
        service.say(*[delta("x")] * 100)
        session.send(CREATE)
        session.wait_for("echo", timeout=LIMIT)
        idle.close()
        assert idle.queued == 0
        assert list(idle) == []


# -- what is kept ----------------------------------------------------------------------------------------------------


@pytest.mark.unmeasured
def test_a_hostile_flood_leaves_little_in_memory() -> None:
    def hostile(number: int) -> list[Json]:
        name = f"vendor.{number}." + "n" * 20_000
        created = {"type": "response.created", "response": {"id": f"resp_{number}", "padding": "p" * 20_000}}
        item = {"id": f"item_{number}" + "i" * 1000, "type": "message", "content": [{"text": "t" * 20_000}]}
        return [
            {"type": name, "data": number},
            {"type": name + ".delta", "delta": "d"},
            created,
            {"type": "conversation.item.added", "item": item},
            {"type": "response.done", "response": {"id": f"resp_{number}", "usage": {"padding": "u" * 20_000}}},
        ]

    with conversing(echo) as (session, service):
        tracemalloc.start()
        try:
            for number in range(2000):
                service.say(*hostile(number))
            for number in range(30):
                service.say({"type": f"huge.{number}", "data": "h" * (4 << 20)})
            for _ in range(3):  # Small ones, so that no buffer holds a huge one any longer.
                with session.expect("echo", timeout=LIMIT):
                    session.send(CREATE)
            gc.collect()
            kept = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert kept < 8 << 20  # Of 320 MB. One of those of 4 MiB may still be found by a wait.
        assert session.conversation.items == ()


def test_windows_of_threads_that_are_gone_are_gone() -> None:
    def windows() -> int:
        gc.collect()
        return sum(isinstance(found, Window) for found in gc.get_objects())

    def wait(session: RealtimeSession) -> None:
        session.send(CREATE)
        with pytest.raises(WaitTimeout):
            session.wait_for("response.done", timeout=0)

    with conversing() as (session, _service):
        before = windows()
        wait(session)
        for _ in range(30):
            for one in [spawn(wait, session) for _ in range(50)]:
                one.result()
        # Unanswered requests hold on to who sent them, so that an error finds its sender: 1,024 at most.
        assert windows() - before <= 1024 + 2


def test_a_response_larger_than_what_is_kept_says_so_where_it_is_read() -> None:
    piece = "A" * (1 << 20)

    def answer(service: Service, event: Json) -> None:
        metadata = event["response"]["metadata"]
        audio = {"type": "response.output_audio.delta", "response_id": "resp_1", "delta": piece}
        service.say(response("response.created", metadata=metadata), delta("Hi"))
        for _ in range(70):
            service.say(audio)
        service.say(delta(" there"), done(text="Hi there", metadata=metadata))

    with conversing(answer) as (session, _service):
        reply = session.respond()
        chunks = reply.audio_chunks()
        assert [len(next(chunks)) for _ in range(63)] == [3 << 18] * 63
        with pytest.raises(ResponseFailed, match="is kept") as raised:
            next(chunks)
        assert raised.value.reason == "too_large"
        assert reply.wait().text == "Hi there"
        assert "".join(reply.text_deltas()) == "Hi there"
        with pytest.raises(ResponseFailed):
            _ = reply.audio


@pytest.mark.parametrize("final", [True, False])
def test_a_text_larger_than_what_is_kept_is_whole_at_the_end_or_missed_aloud(final: bool) -> None:
    def answer(service: Service, event: Json) -> None:
        metadata = event["response"]["metadata"]
        service.say(response("response.created", metadata=metadata), *[delta("x" * (1 << 20))] * 20)
        service.say(done(text="all of it" if final else "", metadata=metadata))

    with conversing(answer) as (session, _service):
        reply = session.respond()
        deltas = reply.text_deltas()
        assert sum(len(next(deltas)) for _ in range(15)) == 15 << 20
        with pytest.raises(ResponseFailed) as raised:
            next(deltas)
        assert raised.value.reason == "too_large"
        if final:
            assert reply.wait().text == "all of it"
        else:
            with pytest.raises(ResponseFailed) as raised:
                reply.wait()
            assert (raised.value.reason, raised.value.status, len(raised.value.text)) == (
                "too_large", "completed", 15 << 20
            )  # fmt: skip


# -- stats -----------------------------------------------------------------------------------------------------------


def test_a_session_that_was_never_opened_has_counted_nothing() -> None:
    with ScriptedServer(realtime_greeting) as server:
        assert session_to(server).stats == SessionStats()


def test_stats_agree_with_what_was_sent() -> None:
    with conversing(echo) as (session, service):
        before = session.stats
        answers = 0
        for text in ("", "ein Stück", "x" * 70_000):
            event = {"type": "response.create", "event_id": "event_1", "text": text}
            session.send(event)
            session.wait_for("echo", timeout=LIMIT)
            answers += len(frame(TEXT, json.dumps({"type": "echo", "of": "event_1"})))
            sent = session.stats.bytes_sent - before.bytes_sent
            assert sent == len(frame(TEXT, encode(event), masked=True))
            before = session.stats
        assert service.hear()["text"] == ""
        stats = session.stats
        assert (stats.events_received, stats.events_sent) == (4, 3)  # With session.created.
        marker = frame(TEXT, json.dumps(MARKER))
        service.peer.send_raw(marker * 500)
        until(lambda: session.stats.events_received == 504)
        assert session.stats.bytes_received == stats.bytes_received + 500 * len(marker)
        assert (stats.lines, stats.reconnects, stats.waiting, stats.events_dropped) == (1, 0, 0, 0)
        assert answers < stats.bytes_received


def test_stats_show_a_handler_that_lags() -> None:
    size = len(json.dumps(done()))
    with stuck() as (session, service, handler):
        service.say(*[done()] * 10)
        until(lambda: session.stats.events_received == 12)
        stats = session.stats
        assert (stats.queued_events, stats.queued_bytes) == (10, 10 * size)
        assert stats.handler_lag > 0
        handler.go_on.set()
        until(lambda: session.stats.handler_lag == 0)
        assert len(handler.seen) == 11
        after = session.stats
        assert (after.queued_events, after.queued_bytes) == (0, 0)
        assert (after.most_queued_events, after.most_queued_bytes) == (10, 10 * size)


def test_stats_count_the_threads_that_wait() -> None:
    with conversing() as (session, service):
        waits = [
            spawn(lambda: session.wait_for("response.done", timeout=LIMIT)),
            spawn(lambda: next(session.events("response.done", timeout=LIMIT))),
            spawn(lambda: session.update(instructions="Hi")),
        ]
        until(lambda: session.stats.waiting == 3)
        with session.expect("response.done"):
            assert session.stats.waiting == 3  # Nobody waits there yet.
            service.say(done(), {"type": "session.updated", "session": {}})
        for wait in waits:
            wait.result()
        assert session.stats.waiting == 0


def test_stats_tell_how_long_and_stand_still_behind_the_end() -> None:
    with conversing() as (session, service):
        first = session.stats
        service.say(MARKER)
        session.wait_for("session.updated", timeout=LIMIT)
        second = session.stats
        assert 0 < first.open_for < second.open_for
        assert first.silent_for is not None
        assert second.silent_for is not None
        assert 0 <= second.silent_for < second.open_for
    ended = session.stats
    assert ended.open_for == session.stats.open_for
    assert (ended.events_received, ended.lines) == (2, 1)
    assert ended.bytes_received > second.bytes_received  # The close frame.


def test_stats_may_be_read_from_every_thread_while_events_come() -> None:
    with conversing() as (session, service):
        handled: list[Event] = []
        session.on("*", lambda _session, event: handled.append(event))
        over = threading.Event()

        def read() -> int:
            received = 0
            while not over.is_set():
                stats = session.stats
                assert stats.events_received >= received
                assert stats.queued_events <= stats.most_queued_events
                received = stats.events_received
            return received

        readers = [spawn(read) for _ in range(3)]
        with session.expect("response.done", timeout=LIMIT):
            for _ in range(100):
                service.say(*[MARKER] * 51)
            service.say(done())
        over.set()
        for reader in readers:
            reader.result()
        assert session.stats.events_received == len(handled) + 1 == 5102


# -- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("on_overflow", "block"),
        ("on_overflow", None),
        ("on_overflow", ["close"]),
        ("max_queue_events", 0),
        ("max_queue_events", True),
        ("max_queue_events", 1.5),
        ("max_queue_events", None),
        ("max_queue_size", 0),
        ("max_queue_size", "64 MiB"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(option: str, value: object) -> None:
    with ScriptedServer(realtime_greeting) as server, pytest.raises(ConfigurationError, match=option) as raised:
        session_to(server, **{option: value})
    assert repr(value) in str(raised.value)
