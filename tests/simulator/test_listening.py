"""What the user said: transcripts, their usage, failures; transcription sessions (protocol 3.5, 4.6, 4.10)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from rtsync.simulator import SimulatorServer, Turn
from tests.simulator.documented import check_ga, check_preview
from tests.simulator.sounds import coded, silence, speech
from tests.simulator.talk import PREVIEW, Event, Talk

PREFIX = "conversation.item.input_audio_transcription"
TRANSCRIPTION = "/v1/realtime?intent=transcription"
SPOKEN = speech() + silence(400)


class Ear:
    """A transcriber that knows what is said, and remembers what it was given."""

    def __init__(self, words: str = "Please get weather for Tokyo.") -> None:
        self.words = words
        self.given: list[tuple[int, int]] = []

    def __call__(self, pcm: bytes, sample_rate: int) -> str:
        self.given.append((len(pcm), sample_rate))
        return self.words


def deaf(pcm: bytes, sample_rate: int) -> str:
    raise RuntimeError("no ears")


def listen(talk: Talk, session: Event, audio: bytes = SPOKEN) -> None:
    talk.until("session.created")
    talk.send("session.update", session=session)
    talk.until("session.updated")
    talk.send("input_audio_buffer.append", audio=coded(audio))


def transcribing(model: str = "gpt-4o-mini-transcribe", kind: str = "transcription", **fields: Any) -> Event:
    return {"type": kind, "audio": {"input": {"transcription": {"model": model}, **fields.pop("input", {})}}, **fields}


def of_transcript(events: list[Event]) -> list[Event]:
    return [event for event in events if event["type"].startswith(PREFIX)]


def test_without_a_transcriber_the_transcript_says_that_nobody_listens(simulator: SimulatorServer) -> None:
    with Talk(simulator, TRANSCRIPTION) as talk:
        listen(talk, transcribing())
        events = talk.until(f"{PREFIX}.completed")
    assert "does not listen" in events[-1]["transcript"]
    assert "2.6 seconds" in events[-1]["transcript"]


def test_a_transcription_session_tells_its_story_in_the_documented_order() -> None:
    ear = Ear()
    with SimulatorServer(pace=False, ears=ear) as server, Talk(server, TRANSCRIPTION) as talk:
        listen(talk, transcribing())
        events = talk.until(f"{PREFIX}.completed")
        talk.send("conversation.item.retrieve", item_id=events[-1]["item_id"])
        (part,) = talk.receive()["item"]["content"]
    for event in events:
        check_ga(event)
    kinds = [event["type"] for event in events]
    assert kinds[:5] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    *deltas, completed = events[5:]
    assert {event["type"] for event in deltas} == {f"{PREFIX}.delta"}
    assert "".join(event["delta"] for event in deltas) == completed["transcript"] == part["transcript"] == ear.words
    assert len({event["item_id"] for event in events if "item_id" in event}) == 1
    assert (len(ear.given), ear.given[0][1]) == (1, 24000)
    assert all(event["obfuscation"] for event in deltas)


def test_usage_counts_heard_and_written_tokens() -> None:
    with SimulatorServer(pace=False, ears=Ear()) as server, Talk(server, TRANSCRIPTION) as talk:
        listen(talk, transcribing(input={"turn_detection": None}), bytes(48 * 1630))
        talk.send("input_audio_buffer.commit")
        events = of_transcript(talk.until(f"{PREFIX}.completed"))
    assert events[-1]["usage"] == {
        "type": "tokens",
        "total_tokens": 16 + len(events) - 1,
        "input_tokens": 16,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 16},
        "output_tokens": len(events) - 1,
    }


def test_whisper_writes_at_once_and_is_paid_by_the_second() -> None:
    with SimulatorServer(pace=False, ears=Ear()) as server, Talk(server, TRANSCRIPTION) as talk:
        listen(talk, transcribing("whisper-1", input={"turn_detection": None}), bytes(48 * 1630))
        talk.send("input_audio_buffer.commit")
        delta, completed = of_transcript(talk.until(f"{PREFIX}.completed"))
    assert delta["delta"] == completed["transcript"]
    assert completed["usage"] == {"type": "duration", "seconds": 1.63}


def test_logprobs_come_when_they_are_included() -> None:
    session = transcribing(include=["item.input_audio_transcription.logprobs"])
    with SimulatorServer(pace=False, ears=Ear("Hi there")) as server, Talk(server, TRANSCRIPTION) as talk:
        listen(talk, session)
        *deltas, completed = of_transcript(talk.until(f"{PREFIX}.completed"))
    for event in [*deltas, completed]:
        check_ga(event)
    assert [event["logprobs"][0]["token"] for event in deltas] == ["Hi", " there"]
    assert [entry["bytes"] for entry in completed["logprobs"]] == [list(b"Hi"), list(b" there")]


def test_a_diarising_model_says_who_spoke() -> None:
    session = transcribing("gpt-4o-transcribe-diarize", input={"turn_detection": None})
    with SimulatorServer(pace=False, ears=Ear()) as server, Talk(server, TRANSCRIPTION) as talk:
        listen(talk, session, bytes(48 * 1500))
        talk.send("input_audio_buffer.commit")
        events = talk.until(f"{PREFIX}.completed")
    (segment,) = [event for event in events if event["type"] == f"{PREFIX}.segment"]
    check_ga(segment)
    assert (segment["start"], segment["end"], segment["text"]) == (0.0, 1.5, Ear().words)


def test_a_transcriber_that_fails_fails_its_item_only() -> None:
    with SimulatorServer(pace=False, ears=deaf) as server, Talk(server) as talk:
        listen(talk, transcribing(kind="realtime"))
        events = talk.until("response.done")
        events += [] if of_transcript(events) else talk.until(f"{PREFIX}.failed")
    (failed,) = of_transcript(events)
    check_ga(failed)
    assert failed["error"]["code"] == "audio_unintelligible"
    assert "no ears" in failed["error"]["message"]


@pytest.mark.parametrize("shown", [True, False])
def test_the_brain_gets_the_words_whether_or_not_the_client_wants_them(shown: bool) -> None:
    ear = Ear()
    session = transcribing(kind="realtime") if shown else {"type": "realtime"}
    with SimulatorServer(pace=False, ears=ear) as server, Talk(server) as talk:
        listen(talk, session)
        events = talk.until("response.done")
        if shown and f"{PREFIX}.completed" not in [event["type"] for event in events]:
            events += talk.until(f"{PREFIX}.completed")
    assert any("get weather for Tokyo" in str(event.get("transcript")) for event in events)
    assert len(ear.given) == 1  # heard once, for both
    assert bool(of_transcript(events)) is shown


def test_telephone_sound_is_decoded_for_the_transcriber() -> None:
    ear = Ear()
    session = transcribing(input={"format": {"type": "audio/pcmu"}, "turn_detection": None})
    with SimulatorServer(pace=False, ears=ear) as server, Talk(server, TRANSCRIPTION) as talk:
        listen(talk, session, b"\xff" * 8000)
        talk.send("input_audio_buffer.commit")
        talk.until(f"{PREFIX}.completed")
    assert ear.given == [(16000, 8000)]


def test_an_item_deleted_before_it_is_transcribed_stays_silent() -> None:
    class Slow:
        """A transcriber that waits until the test has deleted the item."""

        def __init__(self) -> None:
            self.deleted = threading.Event()

        def __call__(self, pcm: bytes, sample_rate: int) -> str:
            assert self.deleted.wait(20)
            return "late"

    slow = Slow()
    with SimulatorServer(pace=False, ears=slow) as server, Talk(server, TRANSCRIPTION) as talk:
        listen(talk, transcribing())
        item_id = talk.until("conversation.item.done")[-1]["item"]["id"]
        talk.send("conversation.item.delete", item_id=item_id)
        talk.until("conversation.item.deleted")
        slow.deleted.set()
        talk.send("input_audio_buffer.append", audio=coded(SPOKEN))
        events = talk.until(f"{PREFIX}.completed")
    assert item_id not in {event["item_id"] for event in of_transcript(events)}


def test_preview_sessions_transcribe_under_the_same_names() -> None:
    with SimulatorServer(pace=False, ears=Ear()) as server, Talk(server, PREVIEW) as talk:
        listen(talk, {"input_audio_transcription": {"model": "whisper-1"}, "modalities": ["text"]})
        events = talk.until("response.done")
        if not any(event["type"] == f"{PREFIX}.completed" for event in events):
            events += talk.until(f"{PREFIX}.completed")
    for event in events:
        check_preview(event)
    assert of_transcript(events)[-1]["transcript"] == Ear().words


def test_a_preview_transcription_session_transcribes() -> None:
    target = PREVIEW + "&intent=transcription"
    with SimulatorServer(pace=False, ears=Ear()) as server, Talk(server, target) as talk:
        talk.until("transcription_session.created")
        settings = {"input_audio_transcription": {"model": "gpt-4o-transcribe"}, "input_audio_format": "pcm16"}
        talk.send("transcription_session.update", session=settings)
        talk.until("transcription_session.updated")
        talk.send("input_audio_buffer.append", audio=coded(SPOKEN))
        events = talk.until(f"{PREFIX}.completed")
    assert "rate_limits.updated" not in [event["type"] for event in events]
    assert events[-1]["transcript"] == Ear().words


def test_a_brain_hears_sound_that_the_client_put_into_an_item() -> None:
    seen: list[Any] = []

    def brain(turn: Turn) -> list[str]:
        seen.append(turn.items[-1]["content"][0]["transcript"])
        return ["Yes."]

    ear = Ear()
    part = {"type": "input_audio", "audio": coded(speech())}
    with SimulatorServer(pace=False, ears=ear, brain=brain) as server, Talk(server) as talk:
        talk.send("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
        talk.send("response.create")
        talk.until("response.done")
    assert seen == [ear.words]
