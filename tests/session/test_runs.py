"""Deltas that arrive together are taken together; nobody who gets them one by one can tell."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

import rtsync
from rtsync import CloseCause, Event, QueueDispatcher, RealtimeSession, SessionClosed
from tests.loopback import BINARY, CONTINUATION, LIMIT, PING, TEXT, Peer, ScriptedServer, frame, realtime_greeting
from tests.session.service import Json, Service, conversing, session_to, spawn, target_of

TEXT_DELTA = "response.output_text.delta"
SPOKEN = "response.output_audio_transcript.delta"
MARKER = "session.updated"


def delta(number: int, kind: str = TEXT_DELTA) -> Json:
    return {"type": kind, "response_id": "resp_1", "item_id": "item_1", "content_index": 0, "delta": f"{number} "}


def deltas(count: int) -> list[Json]:
    return [delta(number) for number in range(count)]


def marker() -> Json:
    return {"type": MARKER, "session": {}}


def said(event: Event) -> int:
    return int(event.delta)


def wire(*events: Json) -> bytes:
    return b"".join(frame(TEXT, json.dumps(event)) for event in events)


def until(true: Any) -> None:
    """Wait for what no event tells of; the test's own timeout ends it."""
    while not true():
        threading.Event().wait(0.001)


def test_deltas_are_handled_although_the_rest_of_a_frame_is_awaited() -> None:
    asked, handled, rest = threading.Event(), threading.Event(), wire(delta(2), marker())

    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        assert asked.wait(LIMIT)
        peer.send_raw(wire(*deltas(2)) + rest[:20])
        assert handled.wait(LIMIT)
        peer.send_raw(rest[20:])
        peer.expect_close()

    seen: list[int] = []

    def handle(_: RealtimeSession, event: Event) -> None:
        seen.append(said(event))
        if len(seen) == 2:
            handled.set()

    with ScriptedServer(script) as server, RealtimeSession(target_of(server)) as session:
        session.on(TEXT_DELTA, handle)
        asked.set()
        session.wait_for(MARKER)
    assert seen == [0, 1, 2]


# -- what arrives ----------------------------------------------------------------------------------------------------

# Runs, and everything that comes between them.
MIXED = [
    wire(delta(0), delta(1, SPOKEN), delta(2)),
    frame(PING, "still there?"),
    wire(delta(3), {"type": "vendor.delta", "delta": "4"}, delta(5)),
    frame(TEXT, json.dumps(delta(6))[:40], fin=0) + frame(CONTINUATION, json.dumps(delta(6))[40:]),
    wire({**delta(7), "item": {"id": "x"}}, delta(8)),
    frame(TEXT, "[]"),  # Refused.
    wire(delta(9), {"type": "response.output_text.done", "delta": "10", "item_id": "item_1"}),
    frame(BINARY, json.dumps(delta(11))),
    wire(delta(12), delta(13, SPOKEN), {"type": "response.text.delta", "delta": "14"}, delta(15), marker()),
]


def check_mixed(cuts: range, **options: Any) -> None:
    """The mixture, cut in two at each of the places: handlers, subscriptions and numbers are as without runs."""
    whole = b"".join(MIXED)
    with conversing(**options) as (session, service), session.events(timeout=LIMIT) as stream:
        handled: list[Event] = []
        refused: list[object] = []

        def note(_session: RealtimeSession, error: object) -> None:
            refused.append(error)

        rtsync.message_refused.connect(note, session)
        session.on("*", lambda _session, event: handled.append(event))
        service.say(marker())
        session.wait_for(MARKER)
        before = session.stats.events_received
        for cut in cuts:
            received = session.stats.bytes_received
            service.peer.send_raw(whole[:cut])
            until(lambda received=received, cut=cut: session.stats.bytes_received >= received + cut)
            with session.expect(MARKER, timeout=LIMIT):
                service.peer.send_raw(whole[cut:])
        expected = [*range(16), None] * len(cuts)
        seen = [int(event.delta) if "delta" in event else None for event in handled[1:]]
        assert seen == expected
        next(stream)
        assert [next(stream) for _ in expected] == handled[1:]
        assert len(refused) == len(cuts)
        assert session.stats.events_received == before + len(expected)
        rtsync.message_refused.disconnect(note, session)


@pytest.mark.parametrize("handlers", ["thread", "inline"])
@pytest.mark.parametrize("offset", range(4))
@pytest.mark.unmeasured
def test_a_mixture_cut_at_any_place_is_handled_in_order(handlers: str, offset: int) -> None:
    check_mixed(range(1 + offset, len(b"".join(MIXED)), 4), handlers=handlers)


def test_what_stands_in_front_of_broken_text_is_handled() -> None:
    with conversing() as (session, service):
        handled: list[int] = []
        session.on(TEXT_DELTA, lambda _session, event: handled.append(said(event)))
        service.peer.send_raw(wire(*deltas(20)) + frame(TEXT, b'{"type": "\xff"}') + wire(*deltas(20)))
        with pytest.raises(SessionClosed) as raised:
            session.wait_for(MARKER, timeout=LIMIT)
        session.close()  # The end wakes who waits at once; the handlers come to theirs until here.
        assert (raised.value.code, handled) == (1007, list(range(20)))


def test_the_first_word_of_a_service_may_be_a_run() -> None:
    class Hasty(Service):
        def greet(self, peer: Peer) -> None:
            peer.accept()
            peer.send_raw(wire(*deltas(5), marker()))

    service = Hasty()
    with ScriptedServer(service.play) as server, session_to(server) as session:
        assert session.wait_for(MARKER, timeout=LIMIT).type == MARKER
        assert session.stats.events_received == 6


# -- handlers --------------------------------------------------------------------------------------------------------


def test_a_handler_that_raises_stops_no_other_of_the_run() -> None:
    with conversing() as (session, service):
        seen, failures = list[int](), list[int]()

        def fail(_session: RealtimeSession, event: Event) -> None:
            if said(event) % 3 == 0:
                raise ValueError("third")

        def note(_session: RealtimeSession, event: Event, **_data: Any) -> None:
            failures.append(said(event))

        rtsync.handler_failed.connect(note, session)
        session.on(TEXT_DELTA, fail)
        session.on(TEXT_DELTA, lambda _session, event: seen.append(said(event)))
        service.say(*deltas(30), marker())
        session.wait_for(MARKER, timeout=LIMIT)
        assert seen == list(range(30))
        assert failures == list(range(0, 30, 3))


def test_a_handler_finds_the_rest_of_the_run_behind_its_own_event() -> None:
    with conversing() as (session, service):
        pairs: list[tuple[int, int]] = []

        def look_ahead(session: RealtimeSession, event: Event) -> None:
            if said(event) < 9:
                pairs.append((said(event), said(session.wait_for(TEXT_DELTA, timeout=LIMIT))))

        session.on(TEXT_DELTA, look_ahead)
        service.say(*deltas(10), marker())
        session.wait_for(MARKER, timeout=LIMIT)
        assert pairs == [(number, number + 1) for number in range(9)]


def test_a_wait_is_settled_as_soon_as_its_own_event_is() -> None:
    with conversing() as (session, service):
        seen, go_on = list[int](), threading.Event()

        def stop_at_seven(_session: RealtimeSession, event: Event) -> None:
            seen.append(said(event))
            if said(event) == 7:
                go_on.wait(LIMIT)

        session.on(TEXT_DELTA, stop_at_seven)
        with session.expect(TEXT_DELTA, where=lambda event: said(event) == 6, timeout=LIMIT) as expected:
            service.say(*deltas(10), marker())
        assert said(expected.event) == 6
        assert seen[:7] == list(range(7))
        go_on.set()
        session.wait_for(MARKER, timeout=LIMIT)
        assert seen == list(range(10))


def test_inline_handlers_have_run_before_what_comes_behind_the_run_is_taken() -> None:
    with conversing(handlers="inline") as (session, service):
        seen: list[int] = []
        session.on(TEXT_DELTA, lambda _session, event: seen.append(said(event)))
        session.on(MARKER, lambda _session, _event: seen.append(-1))
        service.say(*deltas(20), marker(), *deltas(5), marker())
        session.wait_for(MARKER, timeout=LIMIT)
        session.wait_for(MARKER, timeout=LIMIT)
        assert seen == [*range(20), -1, *range(5), -1]


def test_posted_handlers_run_in_order_and_in_batches() -> None:
    dispatcher = QueueDispatcher()
    with conversing(handlers=dispatcher) as (session, service):
        seen: list[int] = []
        session.on(TEXT_DELTA, lambda _session, event: seen.append(said(event)))
        with session.expect(MARKER, timeout=LIMIT, settled=False):
            service.say(*deltas(150), marker())
        sizes = []
        while len(seen) < 150:
            before = len(seen)
            dispatcher.drain()
            sizes.append(len(seen) - before)
        assert seen == list(range(150))
        assert max(sizes) <= 64


def test_a_predicate_that_closes_in_the_middle_of_a_run_takes_nothing_from_the_others() -> None:
    with conversing() as (session, service):
        seen: list[int] = []
        session.on(TEXT_DELTA, lambda _session, event: seen.append(said(event)))

        def leave(event: Event) -> bool:
            if said(event) == 3:
                session.close()
            return said(event) == 5

        with session.expect(TEXT_DELTA, where=leave, timeout=LIMIT) as expected:
            service.say(*deltas(10))
        assert said(expected.event) == 5
        assert session.state in ("closing", "closed")
        session.close()
        assert seen == list(range(10))


def test_a_handler_that_closes_in_the_middle_of_a_run_keeps_no_event_from_the_others() -> None:
    with conversing() as (session, service):
        seen, last = list[int](), threading.Event()

        def leave(session: RealtimeSession, event: Event) -> None:
            seen.append(said(event))
            if said(event) == 3:
                session.close()
            if said(event) == 9:
                last.set()

        session.on(TEXT_DELTA, leave)
        service.say(*deltas(10))
        assert last.wait(LIMIT)
        assert seen == list(range(10))


# -- limits ----------------------------------------------------------------------------------------------------------


def stop(session: RealtimeSession) -> tuple[list[int], threading.Event, threading.Event]:
    """A handler of `session` that is called with a first delta, and returns when it is told to."""
    seen, inside, go_on = list[int](), threading.Event(), threading.Event()

    def handle(_session: RealtimeSession, event: Event) -> None:
        seen.append(said(event))
        inside.set()
        go_on.wait(LIMIT)

    session.on(TEXT_DELTA, handle)
    return seen, inside, go_on


def test_events_and_bytes_of_a_run_are_counted_one_by_one() -> None:
    with conversing() as (session, service):
        seen, inside, go_on = stop(session)
        events = [delta(0), *(delta(number, kind) for number in range(1, 31) for kind in (TEXT_DELTA, SPOKEN))]
        with session.expect(MARKER, timeout=LIMIT, settled=False):
            service.say(*events, marker())
        assert inside.wait(LIMIT)
        stats = session.stats
        assert stats.queued_events == 30
        assert stats.queued_bytes == sum(len(json.dumps(event)) for event in events[1::2])
        go_on.set()
        until(lambda: not session.stats.queued_events)
        assert session.stats.queued_bytes == 0
        assert seen == list(range(31))


def test_an_overflow_in_the_middle_of_a_run_is_where_it_was() -> None:
    with conversing(max_queue_events=10) as (session, service):
        seen, inside, go_on = stop(session)
        service.say(delta(0))
        assert inside.wait(LIMIT)
        until(lambda: session.stats.events_received == 2)  # The greeting, and the delta that is being handled.
        with pytest.raises(SessionClosed) as raised, session.expect(MARKER, timeout=LIMIT):
            service.say(*deltas(50))
        assert raised.value.cause is CloseCause.OVERFLOW
        assert session.stats.events_received == 2 + 11
        go_on.set()
        session.close()
        assert seen == [0, *range(11)]


def test_of_a_run_that_does_not_fit_the_newest_deltas_are_kept() -> None:
    with conversing(max_queue_events=10, on_overflow="drop_deltas") as (session, service):
        seen, inside, go_on = stop(session)
        service.say(delta(0))
        assert inside.wait(LIMIT)
        with session.expect(MARKER, timeout=LIMIT, settled=False):
            service.say(*deltas(50), marker())
        assert session.stats.events_dropped == 40
        go_on.set()
        until(lambda: len(seen) == 11)
        assert seen == [0, *range(40, 50)]


def test_a_subscription_counts_a_run_one_by_one() -> None:
    with conversing(max_queue_events=10) as (session, service), session.events(TEXT_DELTA, timeout=LIMIT) as stream:
        with session.expect(MARKER, timeout=LIMIT):
            service.say(*deltas(50), marker())
        found = [said(event) for _, event in zip(range(11), stream, strict=False)]
        assert found == list(range(11))
        with pytest.raises(rtsync.FellBehind):
            next(stream)


# -- many threads ----------------------------------------------------------------------------------------------------


def test_waits_subscriptions_and_handlers_of_many_threads_agree_on_every_event() -> None:
    with conversing() as (session, service):
        handled: list[int] = []
        session.on(TEXT_DELTA, lambda _session, event: handled.append(said(event)))
        ready = threading.Barrier(5)

        def follow() -> list[int]:
            with session.events(TEXT_DELTA, timeout=LIMIT) as stream:
                ready.wait(LIMIT)
                return [said(next(stream)) for _ in range(400)]

        def wait() -> list[int]:
            session.send({"type": "input_audio_buffer.clear"})  # Opens the window.
            ready.wait(LIMIT)
            return [said(session.wait_for(TEXT_DELTA, timeout=LIMIT)) for _ in range(400)]

        tasks = [spawn(follow), spawn(follow), spawn(wait), spawn(wait)]
        ready.wait(LIMIT)
        data = wire(*deltas(400))
        for start in range(0, len(data), 5003):
            service.peer.send_raw(data[start : start + 5003])
        assert [task.result() for task in tasks] == [list(range(400))] * 4
        assert handled == list(range(400))
