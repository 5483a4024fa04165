"""`session.responses()`, `response.save()` and `audio_chunks()`: what is said to us, asked for or not."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI as Official

from rtsync import (
    ConfigurationError,
    FellBehind,
    RealtimeSession,
    Response,
    ResponseFailed,
    SessionClosed,
    Simulator,
    UsageError,
    WaitTimeout,
)
from rtsync.audio import ALAW, PCM16, ULAW, AudioFormat, WavReader, resample, write_wav
from rtsync.simulator import SimulatorServer
from tests.loopback import LIMIT
from tests.session.service import Json, Service, conversing, delta, done, response, spawn
from tests.session.sounds import counting
from tests.session.successive import at_once, resuming
from tests.simulator.sounds import silence, speech

every_format = pytest.mark.parametrize("form", [PCM16, ULAW, ALAW], ids=lambda form: form.name)


def sound(data: bytes, response_id: str = "resp_1") -> Json:
    """A piece of audio."""
    said = base64.b64encode(data).decode()
    return {"type": "response.output_audio.delta", "response_id": response_id, "output_index": 0, "delta": said}


def spoken(text: str, response_id: str = "resp_1", **fields: Any) -> Json:
    """`response.done` with a transcript."""
    item = {"type": "message", "role": "assistant", "id": "item_1", "status": "completed",
            "content": [{"type": "output_audio", "transcript": text}]}  # fmt: skip
    return response("response.done", response_id, output=[item], **fields)


def begun(response_id: str = "resp_1", **fields: Any) -> Json:
    return response("response.created", response_id, **fields)


def in_format(form: AudioFormat) -> Json:
    return {"output": {"format": {"type": form.type}}}


# -- responses that nobody asked for ------------------------------------------------------------------------------


def test_a_response_of_voice_detection_is_there_from_its_first_word() -> None:
    with conversing() as (session, service), session.responses(timeout=LIMIT) as responses:
        service.say(begun(), sound(b"ab"), delta("Hel"), sound(b"cd"), delta("lo"), done("resp_1", "Hello"))
        session.wait_for("response.done")
        late = next(responses)
        assert isinstance(late, Response)
        assert (late.id, late.status, late.text, late.audio) == ("resp_1", "completed", "Hello", b"abcd")
        assert late.wait() is late


def test_it_streams_while_it_is_being_said() -> None:
    with conversing() as (session, service), session.responses(timeout=LIMIT) as responses:
        service.say(begun())
        running = next(responses)
        chunks = running.audio_chunks(timeout=LIMIT)
        service.say(sound(b"ab"))
        assert next(chunks) == b"ab"
        assert not running.done
        service.say(sound(b"cd"), done())
        assert list(chunks) == [b"cd"]


def test_what_was_asked_for_is_not_among_them_and_what_was_sent_by_hand_is() -> None:
    with RealtimeSession(Simulator(pace=False), config={"output_modalities": ["text"]}) as session:
        with session.responses(timeout=LIMIT) as responses:
            asked = session.ask("Hello")
            session.send({"type": "response.create"})
            by_hand = next(responses)
            assert by_hand.id not in (None, asked.id)
            assert by_hand.wait().text
        before = session.respond().wait()
        assert before.text


def test_every_iterator_gives_each_once_in_order() -> None:
    with (
        conversing() as (session, service),
        session.responses(timeout=LIMIT) as one,
        session.responses(timeout=LIMIT) as other,
    ):
        for number in range(5):
            service.say(begun(f"resp_{number}"), done(f"resp_{number}", str(number)))
        expected = [f"resp_{number}" for number in range(5)]
        assert [next(one).id for _ in expected] == expected
        assert [next(other).wait().text for _ in expected] == list("01234")
        with session.responses(timeout=0) as later, pytest.raises(WaitTimeout):
            next(later)


def test_nothing_is_kept_of_them_where_nobody_listens() -> None:
    with conversing() as (session, service):
        with session.responses(timeout=LIMIT):
            pass
        service.say(begun(), sound(b"ab"), delta("Hello"))
        session.wait_for("response.output_text.delta")
        assert session._core.floor.active is not None
        assert session._core.floor.active.pieces == []
        assert session._core.floor.active.response == {}


def test_one_that_was_taken_goes_on_behind_the_end_of_the_iterator() -> None:
    with conversing() as (session, service):
        with session.responses(timeout=LIMIT) as responses:
            service.say(begun())
            running = next(responses)
        service.say(sound(b"ab"), done())
        assert running.wait().audio == b"ab"
        with pytest.raises(StopIteration):
            next(responses)


def test_those_that_nobody_takes_are_not_kept_for_ever() -> None:
    with conversing() as (session, service), session.responses(timeout=LIMIT) as responses:
        for number in range(20):
            service.say(begun(f"resp_{number}"), done(f"resp_{number}", str(number)))
        session.wait_for("response.done", where=lambda event: event.response.id == "resp_19")
        with pytest.raises(FellBehind, match="newest 16"):
            next(responses)
        assert [next(responses).id for _ in range(16)] == [f"resp_{number}" for number in range(4, 20)]


def test_cancelling_one_is_its_orderly_end() -> None:
    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.cancel":
            assert event["response_id"] == "resp_1"
            service.say(done(status="cancelled", status_details={"type": "cancelled", "reason": "client_cancelled"}))

    with conversing(answer) as (session, service), session.responses(timeout=LIMIT) as responses:
        service.say(begun(), sound(b"ab"))
        running = next(responses)
        running.cancel()
        assert (running.wait().status, running.audio) == ("cancelled", b"ab")


def test_a_response_that_a_lost_line_took_along_is_lost_and_the_next_one_comes() -> None:
    again = at_once(restore="conversation", responses="again")
    with resuming(reconnect=again) as (session, services), session.responses(timeout=LIMIT) as responses:
        services[1].say(begun(), sound(b"ab"))
        running = next(responses)
        services[1].peer.reset()
        with pytest.raises(ResponseFailed) as raised:
            running.wait()
        assert (raised.value.status, running.audio) == ("lost", b"ab")
        services[2].say(begun("resp_2"), done("resp_2", "Hello"))
        assert next(responses).wait().text == "Hello"
        assert services[2].heard_nothing_more()  # It was voice detection's: nobody asks for it again.


def test_the_end_of_the_session_ends_the_iteration() -> None:
    with conversing() as (session, _service):
        responses = session.responses()
        session.close()
        assert list(responses) == []
        with pytest.raises(SessionClosed):
            session.responses()
    with pytest.raises(UsageError, match="not open"):
        RealtimeSession(Simulator()).responses()


# -- saving ---------------------------------------------------------------------------------------------------------


def test_a_file_appears_when_all_of_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "answer.wav"
    with conversing() as (session, service), session.responses(timeout=LIMIT) as responses:
        service.say(begun(), sound(counting(100)))
        running = next(responses)
        saving = spawn(running.save, path)
        service.say(sound(counting(50)))
        session.wait_for("response.output_audio.delta", where=lambda event: len(event.delta) < len(counting(100)))
        assert not path.exists()
        assert not saving.over
        service.say(spoken("Hello"))
        assert saving.result() == 150
        assert running.transcript == "Hello"
        assert path.read_bytes() == _wav(counting(100) + counting(50), PCM16)
        assert [entry.name for entry in tmp_path.iterdir()] == ["answer.wav"]


@every_format
def test_the_response_says_in_which_format_it_comes(form: AudioFormat) -> None:
    with conversing() as (session, service), session.responses(timeout=LIMIT) as responses:
        service.say(begun(audio=in_format(form)), sound(counting(100, form)), spoken("Hello", audio=in_format(form)))
        answer, file = next(responses), io.BytesIO()
        assert answer.save(file) == 100
        assert answer.audio_format is form
        assert file.getvalue() == _wav(counting(100, form), form)
        assert b"".join(answer.audio_chunks()) == counting(100, form)


@every_format
def test_else_the_session_says_it(form: AudioFormat) -> None:
    updated = {"type": "session.updated", "session": {"type": "realtime", "audio": in_format(form)}}
    with conversing() as (session, service), session.responses(timeout=LIMIT) as responses:
        service.say(updated, begun(), sound(counting(100, form)), spoken("Hello"))
        assert next(responses).save(io.BytesIO()) == 100


def test_else_the_request_says_it() -> None:
    def answer(service: Service, event: Json) -> None:
        metadata = event["response"]["metadata"]
        service.say(begun(metadata=metadata), sound(counting(100, ALAW)), spoken("Hello", metadata=metadata))

    with conversing(answer) as (session, _service):
        asked = session.respond(audio=in_format(ALAW))
        assert (asked.save(io.BytesIO()), asked.audio_format) == (100, ALAW)


@every_format
@pytest.mark.parametrize("dialect", ["ga", "preview"])
def test_the_simulators_answers_have_the_length_that_they_are_said_to_have(
    form: AudioFormat, dialect: Any, tmp_path: Path
) -> None:
    config = {"audio": {"output": {"format": {"type": form.type}}}}
    with RealtimeSession(Simulator(pace=False, dialect=dialect), config=config) as session:
        answer = session.ask("Hello")
        saved_ms = answer.save(tmp_path / "answer.wav")
    assert saved_ms == form.duration_ms(len(answer.audio)) > 1_000
    with WavReader(tmp_path / "answer.wav") as reader:
        assert (reader.duration_ms, reader.sample_rate) == (saved_ms, form.sample_rate)
    assert answer.transcript


@pytest.mark.parametrize(
    "end",
    [
        spoken("Hel", status="failed", status_details={"type": "failed", "error": {"code": "server_error"}}),
        spoken("Hel", status="incomplete", status_details={"type": "incomplete", "reason": "max_output_tokens"}),
        spoken("Hel", status="cancelled", status_details={"type": "cancelled", "reason": "turn_detected"}),
    ],
    ids=["failed", "incomplete", "interrupted"],
)
def test_what_does_not_end_well_leaves_the_old_file(end: Json, tmp_path: Path) -> None:
    path = tmp_path / "answer.wav"
    path.write_bytes(b"before")
    with conversing() as (session, service), session.responses(timeout=LIMIT) as responses:
        service.say(begun(), sound(counting(100)), end)
        answer = next(responses)
        with pytest.raises(ResponseFailed) as raised:
            answer.save(path)
        assert (raised.value.status, raised.value.text) == (end["response"]["status"], "Hel")
        assert answer.audio == counting(100)
        assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("answer.wav", b"before")]
        chunks = answer.audio_chunks()
        assert next(chunks) == counting(100)
        with pytest.raises(ResponseFailed):
            next(chunks)


def test_what_this_object_cancelled_is_saved_as_far_as_it_came(tmp_path: Path) -> None:
    def answer(service: Service, event: Json) -> None:
        if event["type"] == "response.cancel":
            service.say(spoken("Hel", status="cancelled", status_details={"reason": "client_cancelled"}))

    with conversing(answer) as (session, service), session.responses(timeout=LIMIT) as responses:
        service.say(begun(), sound(counting(100)))
        running = next(responses)
        saving = spawn(running.save, tmp_path / "answer.wav")
        running.cancel()
        assert saving.result() == 100


def test_no_audio_is_no_file(tmp_path: Path) -> None:
    with conversing() as (session, service), session.responses(timeout=LIMIT) as responses:
        service.say(begun(), delta("Hello"), done("resp_1", "Hello"))
        with pytest.raises(ResponseFailed, match="no audio") as raised:
            next(responses).save(tmp_path / "answer.wav")
        assert (raised.value.reason, raised.value.text) == ("no_audio", "Hello")
        assert list(tmp_path.iterdir()) == []


def test_time_that_is_up_leaves_nothing_and_another_try_has_all_of_it(tmp_path: Path) -> None:
    with conversing() as (session, service), session.responses(timeout=LIMIT) as responses:
        service.say(begun(), sound(counting(100)))
        running = next(responses)
        assert next(running.audio_chunks())
        with pytest.raises(WaitTimeout):
            running.save(tmp_path / "answer.wav", timeout=0.01)
        assert list(tmp_path.iterdir()) == []
        service.say(spoken("Hello"))
        assert running.save(tmp_path / "answer.wav") == 100


def test_more_than_is_kept_is_not_saved_as_if_it_were_all(tmp_path: Path) -> None:
    piece = sound(bytes(6 << 20))  # 8 MiB as base64, of 64 that are kept
    with conversing() as (session, service), session.responses(timeout=LIMIT) as responses:
        service.say(begun())
        running = next(responses)
        for _ in range(9):
            service.say(piece)
        service.say(spoken("Hello"))
        with pytest.raises(ResponseFailed) as raised:
            running.save(tmp_path / "answer.wav")
        assert raised.value.reason == "too_large"
        assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_a_file_is_said(tmp_path: Path) -> None:
    with conversing() as (session, service), session.responses(timeout=LIMIT) as responses:
        service.say(begun(), sound(counting(100) + b"x"), spoken("Hello"))
        answer = next(responses)
        with pytest.raises(ConfigurationError, match="odd number"):
            answer.save(tmp_path / "answer.wav")
        with pytest.raises(ConfigurationError, match="cannot be written"):
            answer.save(tmp_path / "nowhere" / "answer.wav")
        assert list(tmp_path.iterdir()) == []


def _wav(data: bytes, form: AudioFormat) -> bytes:
    file = io.BytesIO()
    write_wav(file, data, form)
    return file.getvalue()


# -- there and back ---------------------------------------------------------------------------------------------------

BEFORE_MS, PREFIX_MS, SILENCE_MS = 700, 300, 400
NEAR_MS = 100


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100])
@every_format
def test_a_recording_is_heard_where_its_speech_is_and_answered_aloud(
    form: AudioFormat, rate: int, tmp_path: Path
) -> None:
    words = speech()
    speech_ms = PCM16.duration_ms(len(words))
    write_wav(tmp_path / "24k.wav", silence(BEFORE_MS) + words)
    with WavReader(tmp_path / "24k.wav") as reader:
        write_wav(tmp_path / "question.wav", resample(b"".join(reader), 24_000, rate), sample_rate=rate)
    heard = {"type": "server_vad", "prefix_padding_ms": PREFIX_MS, "silence_duration_ms": SILENCE_MS}
    one = {"format": {"type": form.type}}
    config = {
        "audio": {
            "input": {**one, "turn_detection": heard, "transcription": {"model": "gpt-4o-transcribe"}},
            "output": one,
        }
    }
    with (
        RealtimeSession(Simulator(pace=False), config=config) as session,
        session.events(timeout=LIMIT) as events,
        session.responses(timeout=LIMIT) as responses,
    ):
        session.send_audio(tmp_path / "question.wav", pace=False)
        answer = next(responses)
        saved_ms = answer.save(tmp_path / "answer.wav")
        told = {event.type: event for event in _until_done(events)}
    started = told["input_audio_buffer.speech_started"].audio_start_ms + PREFIX_MS
    stopped = told["input_audio_buffer.speech_stopped"].audio_end_ms - SILENCE_MS
    assert abs(started - BEFORE_MS) <= NEAR_MS
    assert abs(stopped - (BEFORE_MS + speech_ms)) <= NEAR_MS
    assert told["conversation.item.input_audio_transcription.completed"].transcript
    assert told["input_audio_buffer.committed"].item_id
    assert saved_ms == form.duration_ms(len(answer.audio)) > 1_000
    with WavReader(tmp_path / "answer.wav") as reader:
        assert reader.duration_ms == saved_ms
    assert answer.transcript


def _until_done(events: Any) -> Any:
    wanted = {"response.done", "conversation.item.input_audio_transcription.completed"}
    for event in events:
        yield event
        wanted.discard(event.type)
        if not wanted:
            return


def test_the_official_sdk_is_heard_at_the_same_place() -> None:
    """Another client, that sends the same samples in one piece: what voice detection hears is the same."""
    said = silence(BEFORE_MS) + speech() + silence(700)
    with SimulatorServer(pace=False) as server:
        official = Official(api_key="any", base_url=server.openai_url)
        with official.realtime.connect(model="gpt-realtime") as connection:
            connection.input_audio_buffer.append(audio=base64.b64encode(said).decode())
            theirs: Any = _places(connection)
        with RealtimeSession(Simulator().at(server.url)) as session, session.events(timeout=LIMIT) as events:
            session.send_audio(said, sample_rate=24_000, pace=False, silence_ms=0)
            assert _places(events) == theirs


def _places(events: Any) -> tuple[int, int]:
    started = stopped = None
    for event in events:
        if event.type == "input_audio_buffer.speech_started":
            started = event.audio_start_ms
        elif event.type == "input_audio_buffer.speech_stopped":
            stopped = event.audio_end_ms
            break
    assert started is not None
    assert stopped is not None
    return started, stopped


def test_two_turns_are_two_answers_in_order(tmp_path: Path) -> None:
    config = {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 300}}}}
    with (
        RealtimeSession(Simulator(pace=False), config=config) as session,
        session.responses(timeout=LIMIT) as responses,
    ):
        answers = []
        for number in range(2):
            session.send_audio(speech(), sample_rate=24_000, pace=False)
            answers.append(next(responses).save(tmp_path / f"{number}.wav"))
    assert len(answers) == len(list(tmp_path.iterdir())) == 2


def test_a_manual_turn_is_committed_and_answered_on_request(tmp_path: Path) -> None:
    config = {"audio": {"input": {"turn_detection": None}}}
    with RealtimeSession(Simulator(pace=False), config=config) as session:
        assert session.send_audio(speech(), sample_rate=24_000, pace=False) == PCM16.duration_ms(len(speech()))
        session.commit_audio()
        assert session.respond().save(tmp_path / "answer.wav") > 1_000
