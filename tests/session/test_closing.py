"""`close` and every other end: bounded, told to everybody, and called by its name."""

from __future__ import annotations

import logging
import threading
import time

import pytest

import rtsync
from rtsync import (
    CloseCause,
    Event,
    RealtimeSession,
    SessionClosed,
    SessionExpired,
    Simulator,
)
from tests.loopback import LIMIT, Peer, ScriptedServer, frame, realtime_greeting
from tests.session.service import Json, conversing, done, error, session_to

CREATE = {"type": "response.create"}


def end_of(session: RealtimeSession) -> SessionClosed:
    """What a wait at the end of the session raises."""
    with pytest.raises(SessionClosed) as raised:
        session.wait_for(lambda _event: False, timeout=LIMIT)
    return raised.value


def test_close_sends_a_close_frame_and_awaits_the_answer() -> None:
    with conversing() as (session, service):
        session.close()
        assert session.state == "closed"
        assert service.peer.finished.wait(LIMIT)
        assert service.closed_with is not None
        assert service.closed_with.code == 1000
        ended = end_of(session)
        assert (type(ended), ended.cause, ended.code) == (SessionClosed, CloseCause.USER, 1000)


def test_closing_in_a_receiver_of_session_closed_is_fine() -> None:
    closed = threading.Event()

    def receiver(sender: RealtimeSession, **_data: object) -> None:
        sender.close()
        closed.set()

    with conversing() as (session, service):
        rtsync.session_closed.connect(receiver, sender=session)
        service.peer.reset()
        assert closed.wait(LIMIT)


def test_leaving_the_block_by_an_exception_closes_and_passes_it_on() -> None:
    with pytest.raises(ZeroDivisionError), conversing() as (session, _service):
        raise ZeroDivisionError
    assert session.state == "closed"


def test_the_timeout_of_close_beats_the_option() -> None:
    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        peer.send_raw(frame(1, "never whole")[:4])
        peer.wait_until_released()

    with ScriptedServer(script) as server:
        session = session_to(server, close_timeout=LIMIT).open()
        start = time.monotonic()
        session.close(timeout=0.1)
        assert time.monotonic() - start < 3.0
        server.peers[0].release()


def test_close_returns_in_time_when_a_handler_is_stuck_and_names_it(caplog: pytest.LogCaptureFixture) -> None:
    go_on, inside = threading.Event(), threading.Event()

    def stubborn(_session: RealtimeSession, _event: Event) -> None:
        inside.set()
        go_on.wait(LIMIT)

    with conversing() as (session, service):
        session.on("response.done", stubborn)
        service.say(done())
        assert inside.wait(LIMIT)
        start = time.monotonic()
        session.close(timeout=0.3)
        assert time.monotonic() - start < 3.0
        go_on.set()
    [warned] = [record for record in caplog.records if record.name == "rtsync.handlers"]
    assert warned.levelno == logging.WARNING
    assert "stubborn" in warned.getMessage()


def test_close_lets_the_handlers_of_what_has_arrived_finish() -> None:
    with conversing() as (session, service):
        seen: list[str] = []
        pause = threading.Event()

        def slow(_session: RealtimeSession, event: Event) -> None:
            pause.wait(0.02)
            seen.append(event.response.id)

        session.on("response.done", slow)
        service.say(*(done(str(number)) for number in range(20)))
        session.wait_for("response.done", settled=False, where=lambda event: event.response.id == "19")
        session.close()
        assert seen == [str(number) for number in range(20)]


@pytest.mark.parametrize(
    ("code", "reason", "before", "kind", "cause"),
    [
        (1001, "", {"code": "session_expired", "message": "60 min."}, SessionExpired, CloseCause.EXPIRED),
        (1001, "maximum duration reached", None, SessionExpired, CloseCause.EXPIRED),
        (1011, "oops", None, SessionClosed, CloseCause.SERVER),
        (3000, "invalid_request_error.invalid_api_key", None, SessionClosed, CloseCause.AUTHENTICATION),
        (4000, "", {"code": "insufficient_quota", "message": "Pay."}, SessionClosed, CloseCause.RATE_LIMIT),
        (4999, "x" * 120, None, SessionClosed, CloseCause.SERVER),
    ],
)
def test_a_close_by_the_server_is_told_with_code_reason_and_cause(
    code: int, reason: str, before: Json | None, kind: type[SessionClosed], cause: CloseCause
) -> None:
    with conversing() as (session, service):
        session.send(CREATE)
        service.hear()
        if before is not None:
            service.say(error(event_id="event_of_nobody", **before))
        service.peer.close(code, reason)
        ended = end_of(session)
        assert type(ended) is kind
        assert (ended.code, ended.reason, ended.cause) == (code, reason, cause)
        assert ended.in_flight == ("response.create",)
        assert before is None or before["message"] in str(ended)
        assert session.state == "closed"


def test_a_close_frame_without_a_code_is_1005() -> None:
    with conversing() as (session, service):
        service.peer.close()
        assert end_of(session).code == 1005


def test_a_binary_message_is_read_like_a_text_one() -> None:
    with conversing() as (session, service):
        service.peer.send_frame(2, b'{"type": "response.done"}')
        assert session.wait_for("response.done")


def test_state_follows_the_life_of_a_session() -> None:
    seen: list[str] = []
    session = RealtimeSession(Simulator(pace=False), handlers="inline")
    seen.append(session.state)
    session.on("session.created", lambda session, _event: seen.append(session.state))
    rtsync.session_opened.connect(opened := lambda session: seen.append(session.state), weak=False)
    rtsync.session_closed.connect(closed := lambda session, error: seen.append(session.state), weak=False)
    try:
        session.open()
        seen.append(session.state)
        session.close()
    finally:
        rtsync.session_opened.disconnect(opened)
        rtsync.session_closed.disconnect(closed)
    assert seen == ["new", "open", "open", "open", "closed"]
    assert repr(session).startswith(f"<RealtimeSession {session._core.number} closed, ")
