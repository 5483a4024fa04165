"""Handlers and signals: order, isolation, lifetimes, and what a handler may do."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rtsync
from rtsync import ConfigurationError, Event, ProtocolError, RealtimeSession, SessionClosed, Simulator, UsageError
from rtsync.vocabulary.server_events import ResponseDone
from tests.loopback import LIMIT, PING, PONG, ScriptedServer, realtime_greeting
from tests.session.service import Json, Service, conversing, done, echo, response, session_to, spawn, whole_response

PLACES = ["thread", "inline"]


@pytest.fixture
def connected() -> Iterator[Callable[..., Any]]:
    """`connected(signal, receiver, sender)` for module-level signals, undone behind the test."""
    made: list[tuple[Any, Any]] = []

    def connect(signal: Any, receiver: Any, sender: Any = None) -> Any:
        signal.connect(receiver, **({} if sender is None else {"sender": sender}))
        made.append((signal, receiver))
        return receiver

    yield connect
    for signal, receiver in made:
        signal.disconnect(receiver)


def created() -> Json:
    return response("response.created")


# -- connecting -----------------------------------------------------------------------------------------------------


def test_on_calls_handlers_in_the_order_of_their_connection() -> None:
    with conversing() as (session, service):
        calls: list[int] = []
        for number in range(50):
            session.on("response.done", lambda _session, _event, number=number: calls.append(number))  # type: ignore[misc]
        service.say(done())
        session.wait_for("response.done")
        assert calls == list(range(50))


def test_a_handler_gets_the_session_and_the_event() -> None:
    with conversing() as (session, service):
        calls: list[tuple[Any, ...]] = []
        session.on("response.done", lambda *given: calls.append(given))
        service.say(done("resp_7"))
        event = session.wait_for("response.done")
        assert calls == [(session, event)]
        assert calls[0][0] is session


def test_on_is_a_decorator_too_and_leaves_the_function_as_it_is() -> None:
    with conversing() as (session, service):
        calls: list[tuple[str, str]] = []

        @session.on("response.done")
        def first(_session: RealtimeSession, event: ResponseDone) -> None:
            calls.append(("first", event.get("said", event.type)))

        @session.once("response.done")
        def second(_session: RealtimeSession, event: Event) -> None:
            calls.append(("second", event.type))

        first(session, ResponseDone({"type": "response.done", "said": "by hand"}))
        service.say(done(), done())
        session.send({"type": "response.create"})
        for _ in range(2):
            session.wait_for("response.done")
        assert calls == [
            ("first", "by hand"), ("first", "response.done"), ("second", "response.done"), ("first", "response.done"),
        ]  # fmt: skip


def test_a_star_is_for_every_event_also_of_unknown_types() -> None:
    with conversing() as (session, service):
        seen: list[str] = []
        session.on("*", lambda _session, event: seen.append(event.type))
        service.say({"type": "brand.new"}, {"no": "type"}, done())
        session.wait_for("response.done")
        assert seen == ["brand.new", "", "response.done"]


def test_off_ends_the_calls_and_is_harmless_twice() -> None:
    with conversing() as (session, service):
        calls: list[Event] = []

        def handler(_session: RealtimeSession, event: Event) -> None:
            calls.append(event)

        session.on("response.done", handler)
        session.off("response.done", handler)
        session.off("response.done", handler)
        service.say(done())
        session.wait_for("response.done")
        assert calls == []


def test_off_ends_what_once_began() -> None:
    with conversing() as (session, service):
        calls: list[Event] = []

        def handler(_session: RealtimeSession, event: Event) -> None:
            calls.append(event)

        session.once("response.done", handler)
        session.off("response.done", handler)
        service.say(done())
        session.wait_for("response.done")
        assert calls == []


def test_a_once_handler_in_the_style_of_blinker_gets_keywords() -> None:
    with conversing() as (session, service):
        calls: list[str] = []

        def handler(sender: RealtimeSession, **data: Any) -> None:
            calls.append(data["event"].type)

        session.once("response.done", handler)
        service.say(done())
        session.wait_for("response.done")
        assert calls == ["response.done"]


def test_a_receiver_in_the_style_of_blinker_gets_keywords() -> None:
    with conversing() as (session, service):
        calls: list[tuple[Any, str]] = []

        def handler(sender: RealtimeSession, **data: Any) -> None:
            calls.append((sender, data["event"].type))

        def named(session: RealtimeSession, *, event: Event) -> None:
            calls.append((session, event.type))

        session.on("response.done", handler)
        session.on("response.done", named)
        service.say(done())
        session.wait_for("response.done")
        assert calls == [(session, "response.done")] * 2


async def coroutine(_session: RealtimeSession, _event: Event) -> None:
    """What rtsync does not call."""


class CallsAsynchronously:
    async def __call__(self, _session: RealtimeSession, _event: Event) -> None:
        """Likewise."""


@pytest.mark.parametrize("handler", [coroutine, CallsAsynchronously(), None, 7])
def test_what_cannot_be_called_plainly_is_refused_when_connected(handler: Any) -> None:
    session = RealtimeSession(Simulator())
    with pytest.raises(ConfigurationError):
        session.signal("response.done").connect(handler)
    if handler is not None:
        for connect in (session.on, session.once):
            with pytest.raises(ConfigurationError):
                connect("response.done", handler)
    assert not session.signal("response.done").receivers


def test_a_misspelt_type_warns_with_the_right_one() -> None:
    session = RealtimeSession(Simulator())
    with pytest.warns(UserWarning, match="did you mean 'response.output_text.delta'") as warned:
        session.on("response.ouput_text.delta", lambda _session, _event: None)
    assert warned[0].filename == __file__


def test_a_lambda_connected_weakly_warns_and_one_given_to_on_works() -> None:
    with conversing() as (session, service):
        with pytest.warns(RuntimeWarning, match="connected weakly") as warned:
            session.signal("response.done").connect(lambda _session, _event: pytest.fail("it is gone"))
        assert warned[0].filename == __file__
        calls: list[Event] = []
        session.on("response.done", lambda _session, event: calls.append(event))
        gc.collect()
        service.say(done())
        session.wait_for("response.done")
        assert len(calls) == 1


def test_a_weakly_connected_receiver_vanishes_with_its_last_reference() -> None:
    class Listener:
        def __init__(self) -> None:
            self.heard = 0

        def listen(self, _session: RealtimeSession, _event: Event) -> None:
            self.heard += 1

    with conversing() as (session, service):
        listener = Listener()
        session.signal("response.done").connect(listener.listen)
        service.say(done())
        session.wait_for("response.done")
        assert listener.heard == 1
        del listener
        gc.collect()
        assert not session.signal("response.done").receivers


def test_connect_via_listens_to_one_session_and_holds_on() -> None:
    with conversing() as (session, service), conversing() as (other, elsewhere):
        calls: list[Any] = []

        @rtsync.event_received.connect_via(session)
        def receiver(sender: RealtimeSession, event: Event) -> None:
            calls.append((sender, event.type))

        service.say(done())
        elsewhere.say(done())
        session.wait_for("response.done")
        other.wait_for("response.done")
        rtsync.event_received.disconnect(receiver)
        assert (session, "response.done") in calls
        assert not [sender for sender, _ in calls if sender is other]


def test_no_signal_is_made_for_what_comes_over_the_wire() -> None:
    with conversing() as (session, service):
        session.on("*", lambda _session, _event: None)
        service.say(*({"type": f"unknown.{number}"} for number in range(100)), done())
        session.wait_for("response.done")
        assert list(session._board._signals) == ["*"]


# -- isolation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_a_handler_that_raises_stops_nobody_and_is_told_of_once(
    place: str, caplog: pytest.LogCaptureFixture, connected: Callable[..., Any]
) -> None:
    failures: list[tuple[Any, ...]] = []
    calls: list[str] = []

    def clumsy(_session: RealtimeSession, _event: Event) -> None:
        raise ZeroDivisionError("clumsy indeed")

    with conversing(handlers=place) as (session, service):

        def failed(sender: RealtimeSession, **data: Any) -> None:
            failures.append((sender, data["event"].type, data["handler"], type(data["error"])))

        connected(rtsync.handler_failed, failed)
        session.on("response.done", lambda _session, _event: calls.append("before"))
        session.on("response.done", clumsy)
        session.on("response.done", lambda _session, _event: calls.append("behind"))
        service.say(done())
        session.wait_for("response.done")
        session.send({"type": "response.create"})
    assert calls == ["before", "behind"]
    assert failures == [(session, "response.done", clumsy, ZeroDivisionError)]
    [record] = [record for record in caplog.records if record.name == "rtsync.handlers"]
    assert record.levelno == logging.ERROR
    assert "clumsy" in record.getMessage()
    assert "'response.done'" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_a_failure_receiver_that_fails_is_logged_and_no_more(
    caplog: pytest.LogCaptureFixture, connected: Callable[..., Any]
) -> None:
    def worse(_sender: RealtimeSession, **_data: Any) -> None:
        raise KeyError("worse")

    def clumsy(_session: RealtimeSession, _event: Event) -> None:
        raise ZeroDivisionError

    with conversing() as (session, service):
        connected(rtsync.handler_failed, worse)
        session.on("response.done", clumsy)
        service.say(done(), created())
        session.wait_for("response.created")
    messages = [record.getMessage() for record in caplog.records if record.name == "rtsync.handlers"]
    assert [("clumsy" in one, "worse" in one) for one in messages] == [(True, False), (False, True)]


@pytest.mark.parametrize("place", PLACES)
def test_a_handler_that_exits_ends_neither_the_session_nor_the_handlers_to_come(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    with conversing(handlers=place) as (session, service):
        calls: list[str] = []
        session.on("response.created", lambda _session, _event: sys.exit(3))
        session.on("response.done", lambda _session, event: calls.append(event.type))
        service.say(created(), done())
        session.wait_for("response.done")
        assert calls == ["response.done"]
    assert "SystemExit" in caplog.text


# -- what a handler may do ------------------------------------------------------------------------------------------


def test_while_a_handler_blocks_pings_are_answered_and_waits_end() -> None:
    go_on = threading.Event()

    def script(peer: Any) -> None:
        realtime_greeting(peer)
        peer.send_json(created())
        peer.send_frame(PING, b"are you there")
        op, payload = peer.recv_frame()
        assert (op, payload) == (PONG, b"are you there")
        peer.send_json(done())
        peer.expect_close()

    with ScriptedServer(script) as server:
        session = session_to(server)
        session.on("response.created", lambda _session, _event: go_on.wait(LIMIT))
        with session:
            try:
                assert session.wait_for("response.done", settled=False)
                assert not go_on.is_set()
            finally:
                go_on.set()


def test_a_handler_may_wait_for_a_later_event() -> None:
    with conversing() as (session, service):
        found: list[str] = []

        def handler(session: RealtimeSession, _event: Event) -> None:
            session.send({"type": "session.update", "session": {}})
            found.append(session.wait_for("session.updated", timeout=LIMIT).type)

        session.on("response.created", handler)
        service.say(created())
        service.hear("session.update")
        service.say({"type": "session.updated"}, done())
        session.wait_for("response.done")
        assert found == ["session.updated"]


def test_a_handler_may_send_and_ask() -> None:
    with RealtimeSession(Simulator(pace=False)) as session:
        session.update(output_modalities=["text"])
        answers: list[str] = []
        asked = threading.Event()

        @session.once("session.updated")
        def handler(session: RealtimeSession, _event: Event) -> None:
            answers.append(session.ask("What is the word?").text)
            asked.set()

        session.update(instructions="Be brief.", timeout=LIMIT)
        assert asked.wait(LIMIT)
        assert "What is the word?" in answers[0]
        assert session.ask("And now?").text


@pytest.mark.parametrize("place", PLACES)
def test_a_handler_of_the_greeting_may_send_at_once(place: str, caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    with ScriptedServer(service.play) as server:
        session = session_to(server, handlers=place)
        session.on("session.created", lambda session, _event: session.send({"type": "response.create"}))
        with session:
            service.hear("response.create")
    assert caplog.text == ""


def test_a_wait_inside_an_inline_handler_is_refused_at_once() -> None:
    with conversing(echo, handlers="inline") as (session, service):
        refused: list[str] = []

        def handler(session: RealtimeSession, _event: Event) -> None:
            for wait in (
                lambda: session.wait_for("response.done", timeout=None),
                lambda: session.update(instructions="x", timeout=None),
                lambda: session.ask("x", timeout=None),
                lambda: session.respond(timeout=None),
            ):
                try:
                    wait()
                except UsageError as error:
                    refused.append(str(error))

        session.on("response.created", handler)
        service.say(created())
        session.wait_for("response.created")
        assert len(refused) == 4
        assert all("wait for itself" in text for text in refused)
        assert service.heard_nothing_more()


@pytest.mark.parametrize("place", PLACES)
def test_a_handler_may_close_the_session(place: str) -> None:
    with conversing(handlers=place) as (session, service):
        session.on("response.created", lambda session, _event: session.close())
        service.say(created())
        with pytest.raises(SessionClosed, match="close"):
            session.wait_for("response.done", timeout=LIMIT)
        session.close()
        assert session.state == "closed"
        assert service.peer.finished.wait(LIMIT)
        assert service.closed_with is not None
        assert service.closed_with.code == 1000


def test_handlers_of_events_before_the_close_in_a_handler_still_run() -> None:
    with conversing() as (session, service):
        seen: list[str] = []
        session.on("*", lambda _session, event: seen.append(event.type))
        session.on("response.created", lambda session, _event: session.close())
        service.say(created(), done())
        with pytest.raises(SessionClosed):
            session.wait_for("never.comes", timeout=LIMIT)
        session.close()
        assert seen[0] == "response.created"


def test_handlers_may_be_connected_and_disconnected_by_handlers() -> None:
    with conversing() as (session, service):
        calls: list[str] = []

        def second(_session: RealtimeSession, event: Event) -> None:
            calls.append("second")

        def first(session: RealtimeSession, _event: Event) -> None:
            calls.append("first")
            session.off("response.done", first)
            session.on("response.done", second)

        session.on("response.done", first)
        service.say(done(), done(), created())
        session.wait_for("response.created")
        assert calls == ["first", "second"]


def test_a_handler_connected_late_sees_what_comes_later() -> None:
    with conversing() as (session, service):
        service.say(done("resp_1"))
        session.wait_for("response.done")
        calls: list[str] = []
        session.on("response.done", lambda _session, event: calls.append(event.response.id))
        service.say(done("resp_2"))
        session.wait_for("response.done", where=lambda event: event.response.id == "resp_2")
        assert calls == ["resp_2"]


# -- signals of the module ------------------------------------------------------------------------------------------


def test_the_signals_of_the_module_tell_of_every_session(connected: Callable[..., Any]) -> None:
    told: list[tuple[str, str]] = []
    sent_in: list[int] = []

    def opened(sender: RealtimeSession) -> None:
        told.append(("opened", str(sender.state)))

    def closed(sender: RealtimeSession, error: SessionClosed) -> None:
        told.append(("closed", str(error.cause)))

    def received(sender: RealtimeSession, event: Event) -> None:
        told.append(("received", event.type))

    def sent(sender: RealtimeSession, event: Json) -> None:
        sent_in.append(threading.get_ident())
        assert event["type"] == "response.create"
        assert event["event_id"]

    connected(rtsync.session_opened, opened)
    connected(rtsync.session_closed, closed)
    connected(rtsync.event_received, received)
    connected(rtsync.event_sent, sent)
    with conversing() as (session, service):
        session.send({"type": "response.create"})
        service.say(done())
        session.wait_for("response.done")
    session.close()
    assert told == [
        ("received", "session.created"), ("opened", "open"), ("received", "response.done"), ("closed", "user"),
    ]  # fmt: skip
    assert sent_in == [threading.get_ident()]


def test_session_closed_is_told_once_also_when_many_close(connected: Callable[..., Any]) -> None:
    told: list[SessionClosed] = []

    def closed(sender: RealtimeSession, error: SessionClosed) -> None:
        told.append(error)
        sender.close()

    connected(rtsync.session_closed, closed)
    with conversing() as (session, service):
        service.peer.close(4000, "enough")
        for one in [spawn(session.close) for _ in range(10)]:
            one.result()
    assert len(told) == 1
    assert told[0].cause in ("server", "user")


def test_event_received_comes_behind_the_sessions_own_handlers(connected: Callable[..., Any]) -> None:
    order: list[str] = []

    def received(_sender: RealtimeSession, event: Event) -> None:
        order.append("module")

    with conversing() as (session, service):
        connected(rtsync.event_received, received, session)
        session.on("*", lambda _session, _event: order.append("star"))
        session.on("response.done", lambda _session, _event: order.append("type"))
        service.say(done())
        session.wait_for("response.done")
    assert order == ["type", "star", "module"]


@pytest.mark.parametrize("text", ["no JSON at all", "[]", "1", '"x"', "null", "{", '{"type": ' * 20000])
def test_a_message_that_is_no_object_is_told_of_and_the_session_goes_on(
    text: str, connected: Callable[..., Any]
) -> None:
    refused: list[ProtocolError] = []

    def receiver(_sender: RealtimeSession, error: ProtocolError) -> None:
        refused.append(error)

    with conversing() as (session, service):
        connected(rtsync.message_refused, receiver)
        service.peer.send_text(text)
        service.say(done())
        assert session.wait_for("response.done")
    assert len(refused) == 1
    assert "ignored" in str(refused[0])
    assert refused[0].close_code is None


def test_a_send_in_a_receiver_of_a_failed_sends_signal_does_not_fail_the_send(
    connected: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    def clumsy(_sender: RealtimeSession, event: Json) -> None:
        raise ZeroDivisionError

    with conversing() as (session, service):
        connected(rtsync.event_sent, clumsy)
        session.send({"type": "response.create"})
        service.hear("response.create")
    assert "ZeroDivisionError" in caplog.text


def test_whole_answers_reach_handlers_completely_and_in_order() -> None:
    def answer(service: Service, event: Json) -> None:
        service.say(*whole_response(event, "resp_1", *(f"{number} " for number in range(1000))))

    with conversing(answer) as (session, _service):
        pieces: list[str] = []
        session.on("response.output_text.delta", lambda _session, event: pieces.append(event.delta))
        session.respond().wait()
        assert pieces == [f"{number} " for number in range(1000)]
