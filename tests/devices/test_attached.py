"""A session that plays on a speaker: what is played, what is told to the service, and what is not."""

from __future__ import annotations

import base64
import threading
from typing import Any

import pytest

from rtsync import DeviceFailed, RealtimeSession, ServerError, Simulator, UsageError, reconnected
from rtsync.audio import PCM16
from rtsync.devices import VirtualDevice
from rtsync.edges.latch import Latch
from rtsync.session.interruption import Cut
from rtsync.simulator import SimulatorServer
from tests.devices.watched import LIMIT, Lines, WatchedSpeaker
from tests.session.service import Json, Service, conversing, error, response, session_to
from tests.simulator.sounds import silence, speech

ITEM = "item_1"
STARTED = {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "item_u"}


def tone(duration_ms: int) -> bytes:
    return b"\1\2" * (24 * duration_ms)


def item(item_id: str = ITEM) -> Json:
    fields = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    return {"type": "conversation.item.added", "previous_item_id": None, "item": fields}


def sound(pcm: bytes, item_id: str = ITEM, response_id: str = "resp_1") -> Json:
    place = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
    return {"type": "response.output_audio.delta", **place, "delta": base64.b64encode(pcm).decode()}


def sound_done(item_id: str = ITEM, response_id: str = "resp_1") -> Json:
    place = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
    return {"type": "response.output_audio.done", **place}


def agreeing(service: Service, event: Json) -> None:
    """Answer as the service does, what is sent by interruptions."""
    place = {name: event.get(name) for name in ("item_id", "content_index", "audio_end_ms")}
    if event["type"] == "conversation.item.truncate":
        service.say({"type": "conversation.item.truncated", **place})
    elif event["type"] == "response.cancel":
        service.say(response("response.done", event["response_id"], status="cancelled"))


@pytest.fixture
def device() -> VirtualDevice:
    return VirtualDevice(stepped=True)


def detecting(**flags: bool) -> Json:
    detection = {"type": "server_vad", "create_response": True, "interrupt_response": True, **flags}
    session = {"type": "realtime", "id": "sess_1", "audio": {"input": {"turn_detection": detection}}}
    return {"type": "session.updated", "session": session}


def test_the_voice_of_the_model_is_played(device: VirtualDevice) -> None:
    with conversing() as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(response("response.created"), item(), sound(tone(30)), sound(tone(20)[:-1]), sound(tone(20)[-1:]))
        speaker.until(lambda: speaker.given_ms(ITEM) == 50)
        device.advance(100)
        assert bytes(device.played).strip(b"\0") == tone(50)


def test_a_speaker_is_attached_once_at_a_time(device: VirtualDevice) -> None:
    with conversing() as (session, _), WatchedSpeaker(device) as speaker:
        with session.attach(speaker) as playback:
            with pytest.raises(UsageError, match="attached already"):
                session.attach(speaker)
            assert "on" in repr(playback)
        assert not playback.on
        assert session.attach(speaker).on


def test_a_program_may_leave_interrupting_to_itself(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker, interrupt=False)
        service.say(response("response.created"), item(), sound(tone(50)), STARTED, sound(tone(50)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 100)
        assert speaker.stops == []


def test_a_broken_delta_does_not_cost_the_others(device: VirtualDevice) -> None:
    with conversing() as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say({**sound(b""), "delta": "!"}, {**sound(b""), "delta": None}, {**sound(b""), "delta": "A"})
        service.say(sound(tone(50)), response("response.created", id=5), response("response.done", id=None))
        speaker.until(lambda: speaker.given_ms(ITEM) == 50)


def test_a_format_that_nobody_knows_is_not_played(device: VirtualDevice, caplog: pytest.LogCaptureFixture) -> None:
    created = response("response.created", "resp_9", audio={"output": {"format": {"type": "audio/opus"}}})
    with conversing() as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(created, sound(tone(50), "item_9", "resp_9"), response("response.created"), sound(tone(20)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 20)
        assert speaker.given_ms("item_9") == 0
    assert "format that is not known" in caplog.text


def test_who_speaks_into_it_stops_it_and_the_service_cancels_by_itself(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        playback = session.attach(speaker)
        service.say(detecting(), response("response.created"), item(), sound(tone(500)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 500)
        device.advance(120)
        with session.expect("conversation.item.truncated", timeout=LIMIT):
            service.say(STARTED, sound(tone(500)), response("response.done", status="cancelled"))
        cut = service.hear()
        assert (cut["type"], cut["item_id"], cut["audio_end_ms"]) == ("conversation.item.truncate", ITEM, 120)
        assert playback.last is not None
        assert (playback.last.response_id, playback.last.cuts) == (None, (Cut(ITEM, 0, 120),))
        device.advance(100)
        assert bytes(device.played).strip(b"\0") == tone(120)
        assert service.heard_nothing_more()


def test_where_the_service_does_not_cancel_the_response_is_cancelled(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(detecting(interrupt_response=False), response("response.created"), item(), sound(tone(500)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 500)
        device.advance(50)
        service.say(STARTED)
        assert service.hear("response.cancel")["response_id"] == "resp_1"
        assert service.hear("conversation.item.truncate")["audio_end_ms"] == 50


def test_what_comes_late_of_a_cancelled_response_is_not_played_and_the_next_one_is(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(response("response.created"), STARTED, item(), sound(tone(300)))
        service.say(response("response.done", status="cancelled"), response("response.created", "resp_2"))
        service.say(item("item_2"), sound(tone(40), "item_2", "resp_2"))
        speaker.until(lambda: speaker.given_ms("item_2") == 40)
        device.advance(100)
        assert bytes(device.played).strip(b"\0") == tone(40)


def test_an_item_that_was_heard_to_its_end_is_not_truncated(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(response("response.created"), item(), sound(tone(50)), sound_done(), response("response.done"))
        speaker.until(lambda: speaker.given_ms(ITEM) == 50)
        device.advance(60)
        speaker.drain(timeout=LIMIT)
        service.say(response("response.created", "resp_2"), item("item_2"), sound(tone(50), "item_2", "resp_2"))
        speaker.until(lambda: speaker.given_ms("item_2") == 50)
        device.advance(25)
        assert session.interrupt().cuts == (Cut("item_2", 0, 25),)
        assert service.hear("response.cancel")["response_id"] == "resp_2"
        assert service.hear("conversation.item.truncate")["item_id"] == "item_2"
        assert service.heard_nothing_more()


def test_an_item_that_pauses_for_want_of_sound_is_not_taken_for_finished(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(response("response.created"), item(), sound(tone(50)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 50)
        device.advance(200)
        assert session.interrupt().cuts == (Cut(ITEM, 0, 50),)


def test_what_was_not_heard_at_all_is_not_truncated(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(response("response.created"), item(), sound(tone(50)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 50)
        done = session.interrupt()
        assert (done.response_id, done.cuts) == ("resp_1", ())
        assert service.hear()["type"] == "response.cancel"
        again = session.interrupt()
        assert (again.response_id, again.cuts) == (None, ())
        assert service.heard_nothing_more()


def test_what_is_said_beside_the_conversation_is_not_played(device: VirtualDevice) -> None:
    with conversing() as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(response("response.created", "resp_9", conversation_id=None), sound(tone(50), "item_9", "resp_9"))
        service.say(response("response.created", conversation_id="conv_1"), sound(tone(20)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 20)
        assert speaker.given_ms("item_9") == 0


def test_a_response_that_ends_by_itself_at_that_moment_is_no_failure(device: VirtualDevice) -> None:
    def too_late(service: Service, event: Json) -> None:
        if event["type"] == "response.cancel":
            service.say(response("response.done"), error(code="response_cancel_not_active", event_id=event["event_id"]))
        else:
            agreeing(service, event)

    with conversing(too_late) as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(response("response.created"), item(), sound(tone(50)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 50)
        device.advance(30)
        done = session.interrupt()
        assert (done.response_id, done.cuts) == (None, (Cut(ITEM, 0, 30),))


def test_another_refusal_is_raised_when_the_speaker_has_stopped(device: VirtualDevice) -> None:
    def refusing(service: Service, event: Json) -> None:
        service.say(error(code="server_error", event_id=event["event_id"]))

    with conversing(refusing) as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(response("response.created"), item(), sound(tone(50)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 50)
        with pytest.raises(ServerError):
            session.interrupt()
        assert speaker.queued_ms == 0


def test_sound_that_the_program_plays_itself_is_interrupted_too(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        with session.expect("response.output_audio.delta", timeout=LIMIT):
            service.say(response("response.created"), item(), sound(tone(50)))
        speaker.play(tone(50), item_id=ITEM)
        speaker.play(tone(50), item_id="deleted")
        device.advance(20)
        assert session.interrupt(speaker).cuts == (Cut(ITEM, 0, 20),)
        device.advance(100)
        assert bytes(device.played).strip(b"\0") == tone(20)


def test_interrupting_without_a_speaker_cancels(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service):
        with session.expect("response.created", timeout=LIMIT):
            service.say(response("response.created"))
        assert session.interrupt().response_id == "resp_1"


def test_interrupting_needs_a_session_that_is_open_and_not_one_that_goes_on(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        with pytest.raises(UsageError):
            RealtimeSession(session.target).interrupt()
        session.attach(speaker)
        service.say(response("response.created"), item(), sound(tone(50)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 50)
        device.advance(20)
        session.close()
        done = session.interrupt()
        assert (done.response_id, done.cuts) == (None, ())
        assert speaker.queued_ms == 0


def test_closing_the_session_ends_the_playing_and_what_is_queued_is_still_heard(device: VirtualDevice) -> None:
    with WatchedSpeaker(device) as speaker:
        with conversing(agreeing) as (session, service):
            playback = session.attach(speaker)
            service.say(response("response.created"), item(), sound(tone(50)))
            speaker.until(lambda: speaker.given_ms(ITEM) == 50)
        playback.close()
        assert not playback.on
        assert playback.error is None
        device.advance(60)
        assert bytes(device.played).strip(b"\0") == tone(50)


def test_a_speaker_that_is_pulled_out_ends_the_playing_and_not_the_session(device: VirtualDevice) -> None:
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        playback = session.attach(speaker)
        device.unplug()
        with session.expect("response.output_audio.delta", timeout=LIMIT):
            service.say(response("response.created"), item(), sound(tone(50)))
        playback._thread.join(LIMIT)
        assert isinstance(playback.error, DeviceFailed)
        assert not playback.on
        assert session.state == "open"


def test_handlers_that_are_slow_do_not_hold_up_the_speaker(device: VirtualDevice) -> None:
    free = threading.Event()
    with conversing(agreeing) as (session, service), WatchedSpeaker(device) as speaker:
        session.on("response.created", lambda session, event: free.wait(LIMIT))
        session.attach(speaker)
        service.say(response("response.created"), item(), sound(tone(50)))
        speaker.until(lambda: speaker.given_ms(ITEM) == 50)
        free.set()


def test_what_was_said_over_a_lost_line_is_not_truncated_on_the_next(device: VirtualDevice) -> None:
    lines = Lines()
    with (
        SimulatorServer(brain=lines, pace=False) as server,
        RealtimeSession(Simulator().at(server.url), reconnect=True) as session,
        WatchedSpeaker(device) as speaker,
    ):
        refused: list[Any] = []
        back = Latch()
        session.on("error", lambda session, event: refused.append(event))
        session.attach(speaker)
        lines.give("One two three four five.", stays=True)
        session.respond()
        speaker.until(lambda: speaker.queued_ms > 100)
        device.advance(50)
        item_id = speaker.heard()[0].item_id
        assert item_id is not None
        with reconnected.connected_to(lambda session, **data: back.set(), sender=session):
            server.strike("reset")
            assert back.wait(LIMIT)
        assert session.interrupt().cuts == ()
        lines.give("Eleven twelve thirteen.")
        session.respond().wait(LIMIT)
        speaker.until(lambda: len(speaker.heard()) == 2)
        assert refused == []


def test_the_preview_is_interrupted_like_the_ga(device: VirtualDevice) -> None:
    lines = Lines()
    with (
        RealtimeSession(Simulator(brain=lines, pace=False, dialect="preview")) as session,
        WatchedSpeaker(device) as speaker,
    ):
        session.attach(speaker)
        session.append_audio(speech("Hello you"))
        lines.give("One two three four five.", stays=True)
        session.append_audio(silence(600))
        speaker.until(lambda: speaker.queued_ms > 300)
        device.advance(111)
        with session.expect("conversation.item.truncated", timeout=LIMIT) as cut:
            session.append_audio(speech("Stop it"))
        assert cut.event.audio_end_ms == 111


def test_a_session_that_sounds_otherwise_is_played_as_it_sounds(device: VirtualDevice) -> None:
    created = response("response.created", audio={"output": {"format": {"type": "audio/pcmu"}}})
    with conversing() as (session, service), WatchedSpeaker(device) as speaker:
        session.attach(speaker)
        service.say(created, item(), sound(b"\x10" * 800))
        speaker.until(lambda: speaker.given_ms(ITEM) == 100)
        assert PCM16.duration_ms(len(device.played)) == 0
        device.advance(60)
        assert session.conversation.items[0].id == ITEM
        assert speaker.played_ms(ITEM) == 60


def test_an_attached_session_that_is_forgotten_is_collected(device: VirtualDevice) -> None:
    import gc
    import weakref

    from tests.loopback import ScriptedServer

    with ScriptedServer(Service().play) as server, WatchedSpeaker(device) as speaker:
        session = session_to(server).open()
        session.attach(speaker)
        gone = weakref.ref(session)
        with pytest.warns(ResourceWarning):  # noqa: PT031 - whichever of the two lets it go
            del session
            gc.collect()
        assert gone() is None
