"""`events`: a live iterator over what arrives from the call on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from rtsync import ConnectionLost, RealtimeSession, SessionClosed, UsageError, WaitTimeout
from tests.loopback import LIMIT
from tests.session.service import Json, conversing, delta, done, response, spawn


def texts(session: RealtimeSession) -> Iterator[str]:
    """What a Flask view would stream."""
    with session.events("response.output_text.delta", "response.done") as events:
        session.send({"type": "response.create"})
        for event in events:
            if event.type == "response.done":
                return
            yield event.delta


def numbered(number: int) -> Json:
    return {"type": "session.updated", "number": number}


def test_a_subscription_gives_everything_from_its_making_on_in_order() -> None:
    with conversing() as (session, service):
        service.say(numbered(0))
        session.wait_for("session.updated")
        with session.events() as events:
            service.say(*(numbered(number) for number in range(1, 500)))
            assert [next(events).number for _ in range(1, 500)] == list(range(1, 500))


def test_a_subscription_gives_only_the_types_it_was_asked_for() -> None:
    with conversing() as (session, service), session.events("response.done", timeout=LIMIT) as events:
        service.say(numbered(1), done("resp_1"), numbered(2), done("resp_2"))
        assert [next(events).response.id for _ in range(2)] == ["resp_1", "resp_2"]


def test_a_generator_streams_an_answer() -> None:
    with conversing(lambda service, _: service.say(delta("Hel"), delta("lo"), done())) as (session, _service):
        assert list(texts(session)) == ["Hel", "lo"]
        assert list(texts(session)) == ["Hel", "lo"]


def test_a_generator_that_is_left_early_unsubscribes() -> None:
    with conversing(lambda service, _: service.say(delta("Hel"), delta("lo"), done())) as (session, _service):
        stream = texts(session)
        assert next(stream) == "Hel"
        stream.close()  # type: ignore[attr-defined]
        assert session._core._subscriptions == []


@pytest.mark.parametrize("end", ["close", "1000"])
def test_iteration_ends_quietly_when_the_session_is_closed_in_order(end: str) -> None:
    with conversing() as (session, service):
        seen = spawn(lambda: [event.type for event in session.events()])
        while not session._core._subscriptions:
            threading.Event().wait(0)
        service.say(done())
        session.wait_for("response.done")
        if end == "close":
            session.close()
        else:
            service.peer.close(1000)
        assert seen.result() == ["response.done"]


def test_what_had_arrived_is_given_before_a_loss_is_raised() -> None:
    with conversing() as (session, service):
        events = session.events()
        service.say(done("resp_1"), done("resp_2"))
        session.wait_for("response.done", where=lambda event: event.response.id == "resp_2")
        service.peer.reset()
        with pytest.raises(SessionClosed):
            session.wait_for(lambda _event: False, timeout=LIMIT)
        assert [next(events).response.id for _ in range(2)] == ["resp_1", "resp_2"]
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                next(events)


def test_a_close_that_is_not_in_order_is_raised() -> None:
    with conversing() as (session, service):
        events = session.events(timeout=LIMIT)
        service.peer.close(1011, "oops")
        with pytest.raises(SessionClosed) as raised:
            next(events)
        assert (raised.value.code, raised.value.reason) == (1011, "oops")


def test_a_timeout_is_raised_and_the_iteration_may_go_on() -> None:
    with conversing() as (session, service), session.events(timeout=0.05) as events:
        with pytest.raises(WaitTimeout, match=r"no event within 0\.05 s"):
            next(events)
        service.say(done())
        session.wait_for("response.done")
        assert next(events).type == "response.done"


def test_closing_a_subscription_ends_its_iteration_in_another_thread() -> None:
    with conversing() as (session, _service):
        events = session.events()
        seen = spawn(lambda: list(events))
        events.close()
        events.close()
        assert seen.result() == []
        assert session._core._subscriptions == []


def test_several_threads_each_get_everything() -> None:
    with conversing() as (session, service):
        subscriptions = [session.events("session.updated", timeout=LIMIT) for _ in range(8)]
        readers = [spawn(lambda events=events: [next(events).number for _ in range(300)]) for events in subscriptions]
        service.say(*(numbered(number) for number in range(300)))
        for reader in readers:
            assert reader.result() == list(range(300))


def test_a_subscription_to_a_session_that_has_ended_is_refused() -> None:
    with conversing() as (session, _service):
        session.close()
        with pytest.raises(SessionClosed):
            session.events()


def test_a_subscription_can_be_read_inside_a_handler_of_the_worker_thread() -> None:
    with conversing() as (session, service):
        found = []

        def handler(session: RealtimeSession, _event: object) -> None:
            with session.events("response.done", timeout=LIMIT) as events:
                service.say(done("resp_9"))
                found.append(next(events).response.id)

        session.on("response.created", handler)
        service.say(response("response.created"))
        session.wait_for("response.done")
        assert found == ["resp_9"]


def test_a_subscription_read_in_the_reader_thread_is_refused_at_once() -> None:
    with conversing(handlers="inline") as (session, service):
        refused = []

        def handler(session: RealtimeSession, _event: object) -> None:
            with session.events("response.done") as events:
                try:
                    next(events)
                except UsageError as error:
                    refused.append(str(error))

        session.on("response.created", handler)
        service.say(response("response.created"))
        session.wait_for("response.created")
        assert "wait for itself" in refused[0]


def test_a_subscription_that_times_out_again_and_again_keeps_nothing() -> None:
    with conversing() as (session, _service), session.events(timeout=0) as events:
        for _ in range(100):
            with pytest.raises(WaitTimeout):
                next(events)
        assert events._bell._gates == []
