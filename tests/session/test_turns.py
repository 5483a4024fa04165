"""Turns of a live session: what `session.turns`, `session.stats.last_turn` and `turn_finished` tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import rtsync
from rtsync import Azure, RealtimeSession, Simulator, Turn
from rtsync.simulator import SimulatorServer
from tests.loopback import LIMIT
from tests.session.service import Service, conversing, delta, done, response
from tests.session.successive import resuming, watched
from tests.simulator.sounds import silence, speech

SPEECH = silence(400) + speech() + silence(800)


@contextmanager
def told_of(session: RealtimeSession) -> Iterator[list[Turn]]:
    """The turns that the signal tells of."""
    heard: list[Turn] = []

    def note(_session: RealtimeSession, turn: Turn) -> None:
        heard.append(turn)

    rtsync.turn_finished.connect(note, session)
    try:
        yield heard
    finally:
        rtsync.turn_finished.disconnect(note, session)


def in_order(*moments: float | None) -> bool:
    """Whether all are known, none earlier than the one before."""
    known = [moment for moment in moments if moment is not None]
    return len(known) == len(moments) and known == sorted(known)


def said_by_somebody(**fields: Any) -> dict[str, Any]:
    return {"type": "input_audio_buffer.speech_started", "item_id": "item_u", "audio_start_ms": 0, **fields}


# -- on the simulator --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handlers", ["thread", "inline"])
def test_a_turn_of_text(handlers: Any) -> None:
    with RealtimeSession(Simulator(pace=False), handlers=handlers) as session, told_of(session) as heard:
        assert (session.turns, session.stats.last_turn) == ((), None)
        answer = session.ask("Hello", output_modalities=["text"])
        session.wait_for("response.done")
        (turn,) = heard  # Those who wait for the event find that the signal has been sent.
        assert session.turns == (turn,)
        assert session.stats.last_turn == turn
    assert (turn.response_id, turn.status, turn.out_of_band) == (answer.id, "completed", False)
    assert in_order(turn.asked_at, turn.created_at, turn.first_text_at, turn.done_at)
    assert (turn.first_audio_at, turn.speech_started_at) == (None, None)
    assert turn.to_text is not None
    item = session.item(turn.user_item_id or "")
    assert item is not None
    assert item.text == "Hello"
    assert list(turn.item_ids) == [item["id"] for item in answer.items]
    assert session.turns == (turn,)  # Also after the end.


def test_a_turn_that_voice_detection_ends() -> None:
    with RealtimeSession(Simulator(pace=False)) as session, told_of(session) as heard:
        with session.responses(timeout=LIMIT) as responses:
            session.send_audio(SPEECH, sample_rate=24_000, pace=4.0)
            answer = next(responses).wait()
        (turn,) = heard
    assert (turn.response_id, turn.asked_at, turn.status) == (answer.id, None, "completed")
    assert in_order(turn.speech_started_at, turn.speech_ended_at, turn.heard_at, turn.created_at, turn.done_at)
    assert in_order(turn.created_at, turn.first_transcript_at)
    assert in_order(turn.created_at, turn.first_audio_at, turn.done_at)


def test_the_silence_that_ends_a_turn_is_part_of_the_wait() -> None:
    detection = {"type": "server_vad", "silence_duration_ms": 600}
    config = {"audio": {"input": {"turn_detection": detection}}}
    with RealtimeSession(Simulator(pace=False), config=config) as session:
        with session.responses(timeout=LIMIT) as responses:
            session.send_audio(SPEECH, sample_rate=24_000)
            next(responses).wait()
        (turn,) = session.turns
    assert turn.heard_at is not None
    assert turn.speech_ended_at is not None
    assert turn.heard_at - turn.speech_ended_at > 0.3  # Of 0.6; a busy machine sends late.
    assert turn.to_audio is not None
    assert turn.to_audio > 0.3


def test_a_turn_that_is_committed_by_hand() -> None:
    config = {"audio": {"input": {"turn_detection": None}}}
    with RealtimeSession(Simulator(pace=False), config=config) as session:
        session.append_audio(silence(300))
        session.commit_audio()
        session.respond().wait()
        (turn,) = session.turns
    assert in_order(
        turn.speech_started_at, turn.speech_ended_at, turn.heard_at, turn.asked_at, turn.created_at, turn.first_audio_at
    )


def test_a_preview_endpoint_tells_the_same() -> None:
    with SimulatorServer(pace=False) as server:
        target = Azure(server.azure_endpoint, deployment="d", api_key="k", api_version="2025-04-01-preview")
        with RealtimeSession(target) as session:
            session.ask("Hello")
            session.respond(conversation="none", modalities=["text"]).wait()
            first, beside = session.turns
    assert in_order(first.asked_at, first.created_at, first.first_transcript_at, first.done_at)
    assert in_order(first.created_at, first.first_audio_at, first.done_at)
    assert (first.out_of_band, beside.out_of_band) == (False, True)
    assert in_order(beside.asked_at, beside.created_at, beside.first_text_at, beside.done_at)


def test_an_answer_that_is_cancelled() -> None:
    with RealtimeSession(Simulator()) as session:
        running = session.respond(output_modalities=["text"])
        next(running.text_deltas(timeout=LIMIT))
        running.cancel()
        (turn,) = session.turns
    assert (turn.status, turn.reason) == ("cancelled", "client_cancelled")
    assert in_order(turn.first_text_at, turn.interrupted_at, turn.done_at)


def test_parallel_answers_are_told_apart() -> None:
    with RealtimeSession(Simulator(pace=False)) as session:
        beside = session.respond(conversation="none", output_modalities=["text"])
        session.ask("Hello", output_modalities=["text"])
        beside.wait()
        by_id = {turn.response_id: turn for turn in session.turns}
        assert by_id.pop(beside.id).out_of_band
        (asked,) = by_id.values()
        assert session.stats.last_turn == asked


# -- by a script -------------------------------------------------------------------------------------------------------


def test_somebody_speaks_into_the_answer() -> None:
    with conversing() as (session, service), told_of(session) as heard:
        item = {"type": "message", "role": "assistant", "id": "item_a"}
        added = {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": item}
        sound = {"type": "response.output_audio.delta", "response_id": "resp_1", "item_id": "item_a", "delta": "AAAA"}
        cancelled = response("response.done", "resp_1", status="cancelled", status_details={"reason": "turn_detected"})
        service.say(response("response.created", "resp_1"), added, sound, sound, said_by_somebody(), cancelled)
        session.wait_for("response.done")
        cut = {"type": "conversation.item.truncated", "item_id": "item_a", "content_index": 0, "audio_end_ms": 640}
        service.say(cut)
        session.wait_for("conversation.item.truncated")
        turn, speaking = session.turns
        assert (turn.status, turn.reason, turn.heard_ms) == ("cancelled", "turn_detected", 640)
        assert in_order(turn.first_audio_at, turn.interrupted_at, turn.done_at)
        assert (speaking.user_item_id, speaking.status) == ("item_u", None)
        assert [told.heard_ms for told in heard] == [None]  # As it was when it ended.
        session.close()
        assert [told.user_item_id for told in heard] == [None, "item_u"]  # The end of the session ends that, too.


def test_a_speaker_tells_when_an_item_is_heard() -> None:
    with conversing() as (session, service):
        sound = {"type": "response.output_audio.delta", "response_id": "resp_1", "item_id": "item_a", "delta": "AAAA"}
        service.say(response("response.created", "resp_1"), sound)
        session.wait_for("response.output_audio.delta")
        session.note_played("item_unknown")
        (before,) = session.turns
        assert before.first_audio_at is not None
        session.note_played("item_a", at=before.first_audio_at + 0.25)
        session.note_played("item_a")  # The first sample is the first.
        session.note_played("item_a", ended=True)
        (turn,) = session.turns
        assert turn.played_at == before.first_audio_at + 0.25
        assert turn.silent_at is not None


def test_deltas_that_come_by_themselves_and_in_runs_are_seen_alike() -> None:
    with conversing() as (session, service):
        for number in (1, 2):
            pieces = [delta(f"{each} ", f"resp_{number}") for each in range(50)]
            whole = [response("response.created", f"resp_{number}"), *pieces, done(f"resp_{number}")]
            if number == 1:
                service.say(*whole)
            else:
                for event in whole:
                    service.say(event)
            session.wait_for("response.done")
        for turn in session.turns:
            assert in_order(turn.created_at, turn.first_text_at, turn.done_at)


def test_a_request_that_is_refused_is_not_that_of_the_next_response() -> None:
    def refuse(service: Service, event: dict[str, Any]) -> None:
        if event["type"] == "response.create":
            service.say({"type": "error", "error": {"code": "invalid_value", "event_id": event["event_id"]}})

    with conversing(refuse) as (session, service):
        with pytest.raises(rtsync.ServerError):
            session.respond()
        service.say(response("response.created", "resp_1"), done("resp_1"))
        session.wait_for("response.done")
        (turn,) = session.turns
        assert turn.asked_at is None


def test_what_was_not_sent_was_not_asked() -> None:
    with conversing() as (session, service):
        with pytest.raises(rtsync.UsageError):
            session.send({"type": "response.create", "response": {"instructions": object()}})
        service.say(response("response.created", "resp_1"), done("resp_1"))
        session.wait_for("response.done")
        assert [turn.asked_at for turn in session.turns] == [None]


def test_a_receiver_that_raises_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_session: RealtimeSession, turn: Turn) -> None:
        raise RuntimeError(turn.status)

    with conversing() as (session, service), told_of(session) as heard:
        rtsync.turn_finished.connect(fails, session)
        for number in ("resp_1", "resp_2"):
            service.say(response("response.created", number), done(number))
            session.wait_for("response.done")
        assert [turn.response_id for turn in heard] == ["resp_1", "resp_2"]
    assert caplog.text.count("fails raised RuntimeError") == 2


def test_a_session_that_ends_in_the_middle_tells_what_was_lost() -> None:
    ended = threading.Event()
    with conversing() as (session, service), told_of(session) as heard:
        rtsync.session_closed.connect(lambda _session, error: ended.set(), session, weak=False)
        service.say(response("response.created", "resp_1"), delta("Once"))
        session.wait_for("response.output_text.delta")
        service.peer.reset()
        assert ended.wait(LIMIT)
        assert [(turn.response_id, turn.status) for turn in heard] == [("resp_1", "lost")]  # Before session_closed.
        assert in_order(heard[0].first_text_at, heard[0].done_at)


def test_a_line_that_is_lost_ends_its_turns_and_the_next_one_begins_anew() -> None:
    with resuming() as (session, services), told_of(session) as heard, watched(session) as signals:
        services[1].say(response("response.created", "resp_of_the_first"), delta("Once", "resp_of_the_first"))
        session.wait_for("response.output_text.delta")
        services[1].peer.reset()
        signals.until("reconnected")
        assert [(turn.response_id, turn.status) for turn in heard] == [("resp_of_the_first", "lost")]
        session.ask("Hello")
        lost, answered = session.turns
        assert (lost.status, answered.status) == ("lost", "completed")
        assert in_order(lost.done_at, answered.asked_at, answered.created_at, answered.first_text_at, answered.done_at)
        assert session.stats.last_turn == answered
