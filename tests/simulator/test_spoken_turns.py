"""Whole turns with real words: spoken to the simulator, understood, and answered aloud."""

from __future__ import annotations

import base64
import json
import logging
import os
import shlex
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI

from rtsync import ConfigurationError, RealtimeSession, Simulator
from rtsync.audio import ALAW, PCM16, ULAW, AudioFormat, rms_dbfs
from rtsync.simulator import CutShort, Flite, FunctionCall, SimulatorServer, Turn, Utterance, VoiceFailed
from rtsync.simulator.voices import Sentences
from tests.simulator.documented import check_ga
from tests.simulator.sounds import coded
from tests.simulator.spoken import spoken
from tests.simulator.talk import LIMIT, Event, Talk
from tests.simulator.test_engines import assert_gone, wait_for_pids

PREFIX = "conversation.item.input_audio_transcription"
QUESTION = "What is the weather in Paris?"
GA_FORMATS = {PCM16: {"type": "audio/pcm", "rate": 24000}, ULAW: {"type": "audio/pcmu"}, ALAW: {"type": "audio/pcma"}}


def answering(*pieces: Any) -> Any:
    def brain(turn: Turn) -> Iterator[Any]:
        yield from pieces

    return brain


class Tone:
    """A voice that says each utterance for as many milliseconds, and remembers what it was asked."""

    def __init__(self, duration_ms: int = 100) -> None:
        self.duration_ms = duration_ms
        self.said: list[Utterance] = []

    def __call__(self, utterance: Utterance) -> Iterable[bytes]:
        self.said.append(utterance)
        pcm = b"\x00\x10" * (self.duration_ms * utterance.sample_rate // 1000)
        yield pcm[:333]  # in the middle of a sample
        yield pcm[333:]


def sound_of(events: list[Event]) -> bytes:
    deltas = [event["delta"] for event in events if event["type"] == "response.output_audio.delta"]
    return b"".join(map(base64.b64decode, deltas))


def asked(talk: Talk, **session: Any) -> list[Event]:
    """What a typed question is answered with, by voice."""
    talk.until("session.created")
    if session:
        talk.send("session.update", session={"type": "realtime", **session})
        talk.until("session.updated")
    talk.say("Hello")
    return talk.until("response.done")


@pytest.mark.parametrize("form", [PCM16, ULAW, ALAW], ids=lambda form: form.name)
@pytest.mark.parametrize("voice", ["flite", "espeak-ng"])
def test_a_spoken_question_is_understood_and_answered_aloud(voice: str, form: AudioFormat) -> None:
    audio: Any = {
        "input": {"transcription": {"model": "any"}},
        "output": {"format": GA_FORMATS[form], "voice": "coral"},
    }
    words = spoken(QUESTION).between(500, 800)
    with SimulatorServer(pace=False, ears="pocketsphinx", voice=voice, vad="webrtc") as server, Talk(server) as talk:
        talk.until("session.created")
        talk.send("session.update", session={"type": "realtime", "audio": audio})
        talk.until("session.updated")
        talk.send("input_audio_buffer.append", audio=coded(words.pcm))
        events = talk.until("response.done")
        item_id = events[-1]["response"]["output"][0]["id"]
        talk.send("conversation.item.retrieve", item_id=item_id)
        kept = talk.until("conversation.item.retrieved")[-1]["item"]["content"][0]
    for event in events:
        check_ga(event)
    (heard,) = [event for event in events if event["type"] == f"{PREFIX}.completed"]
    assert heard["transcript"] == "what is the weather in paris"
    assert events[-1]["response"]["status"] == "completed"
    sound = sound_of(events)
    assert base64.b64decode(kept["audio"]) == sound
    assert 6_000 < form.duration_ms(len(sound)) < 14_000
    assert -35 < rms_dbfs(form.to_pcm(sound)) < -10
    # A token for every 50 ms of speech: what was paid for is what was sent.
    tokens = events[-1]["response"]["usage"]["output_token_details"]["audio_tokens"]
    assert tokens == pytest.approx(form.duration_ms(len(sound)) / 50, abs=1)


def test_the_openai_sdk_holds_a_whole_spoken_turn() -> None:
    words = spoken(QUESTION, "slt").between(500, 800)
    server = SimulatorServer(pace=False, ears="pocketsphinx", voice="flite", vad="webrtc")
    sound, transcript, heard, started, stopped = b"", "", "", -1, -1
    with (
        server,
        OpenAI(api_key="k", base_url=server.openai_url) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        connection.session.update(
            session={"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
        )
        for at in range(0, len(words.pcm), 4800):
            connection.input_audio_buffer.append(audio=coded(words.pcm[at : at + 4800]))
        for event in connection:
            if event.type == "input_audio_buffer.speech_started":
                started = event.audio_start_ms
            elif event.type == "input_audio_buffer.speech_stopped":
                stopped = event.audio_end_ms
            elif event.type == "conversation.item.input_audio_transcription.completed":
                heard = event.transcript
            elif event.type == "response.output_audio.delta":
                sound += base64.b64decode(event.delta)
            elif event.type == "response.output_audio_transcript.done":
                transcript = event.transcript
            elif event.type == "response.done":
                break
    assert abs(started + 300 - words.start_ms) <= 100
    assert abs(stopped - 200 - words.end_ms) <= 100
    assert heard == "what is the weather in paris"
    assert "“what is the weather in paris”" in transcript
    assert PCM16.duration_ms(len(sound)) > 6_000


def test_the_embedded_simulator_takes_ears_voice_and_vad() -> None:
    target = Simulator(pace=False, ears="pocketsphinx", voice="flite", vad="webrtc")
    with RealtimeSession(target) as session:
        session.send({"type": "input_audio_buffer.append", "audio": coded(spoken(QUESTION).between(500, 800).pcm)})
        done = session.wait_for("response.done", timeout=LIMIT)
    assert "what is the weather in paris" in str(done.response.output[0].content[0].transcript)


def test_what_the_embedded_simulator_lacks_is_told_when_the_session_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationError, match="apt install flite"):
        RealtimeSession(Simulator(voice="flite")).open()
    with pytest.raises(ConfigurationError, match="vad="):
        Simulator(vad="silero")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="ears="):
        Simulator(ears=5)  # type: ignore[arg-type]


def test_a_voice_is_told_what_the_session_wants() -> None:
    voice = Tone()
    audio = {"output": {"format": {"type": "audio/pcmu"}, "voice": {"id": "voice_1"}, "speed": 1.25}}
    with SimulatorServer(pace=False, voice=voice, brain=answering("Just this.")) as server, Talk(server) as talk:
        events = asked(talk, audio=audio)
    (utterance,) = voice.said
    assert (utterance.text, utterance.voice, utterance.speed) == ("Just this.", "voice_1", 1.25)
    assert utterance.sample_rate == 8000
    assert len(sound_of(events)) == 800


def test_the_words_run_ahead_and_a_sentence_does_not_wait_for_the_next() -> None:
    first_heard = threading.Event()

    def brain(turn: Turn) -> Iterator[str]:
        yield "One two. Thr"
        assert first_heard.wait(LIMIT), "the first sentence was not said before the second was there"
        yield "ee four."

    with SimulatorServer(pace=False, voice=Tone(), brain=brain) as server, Talk(server) as talk:
        talk.until("session.created")
        talk.say("Hello")
        events = talk.until("response.output_audio.delta")
        first_heard.set()
        rest = talk.until("response.done")
    words = [event["delta"] for event in events if event["type"] == "response.output_audio_transcript.delta"]
    assert "".join(words).startswith("One two.")
    assert PCM16.duration_ms(len(sound_of([*events, *rest]))) == 200
    assert rest[-1]["response"]["status"] == "completed"


def test_what_was_said_before_a_call_is_heard_before_it() -> None:
    brain = answering("Let me see", FunctionCall("look", "{}"))
    with SimulatorServer(pace=False, voice=Tone(), brain=brain) as server, Talk(server) as talk:
        events = asked(talk)
    kinds = [event["type"] for event in events]
    assert kinds.index("response.output_audio.done") < kinds.index("response.function_call_arguments.done")
    assert PCM16.duration_ms(len(sound_of(events))) == 100


def test_a_brain_that_stops_short_is_heard_as_far_as_it_came() -> None:
    def brain(turn: Turn) -> Iterator[str]:
        yield "So far and"
        raise CutShort("max_output_tokens")

    with SimulatorServer(pace=False, voice=Tone(), brain=brain) as server, Talk(server) as talk:
        events = asked(talk)
    assert events[-1]["response"]["status"] == "incomplete"
    assert PCM16.duration_ms(len(sound_of(events))) == 100


def test_sound_counts_against_the_cap_of_tokens() -> None:
    brain = answering("One. Two. Three. Four. Five.")
    with SimulatorServer(pace=False, voice=Tone(2000), brain=brain) as server, Talk(server) as talk:
        events = asked(talk, max_output_tokens=100)
    response = events[-1]["response"]
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert 2000 <= PCM16.duration_ms(len(sound_of(events))) <= 6000


def test_text_needs_no_voice() -> None:
    voice = Tone()
    with SimulatorServer(pace=False, voice=voice) as server, Talk(server) as talk:
        asked(talk, output_modalities=["text"])
    assert voice.said == []


def test_a_voice_that_fails_fails_the_response_and_the_next_is_heard() -> None:
    class Hoarse(Tone):
        def __call__(self, utterance: Utterance) -> Iterable[bytes]:
            if not self.said:
                self.said.append(utterance)
                raise VoiceFailed("It is hoarse.", code="voice_failed")
            return super().__call__(utterance)

    with SimulatorServer(pace=False, voice=Hoarse()) as server, Talk(server) as talk:
        failed = asked(talk)[-1]["response"]
        talk.say("Again")
        events = talk.until("response.done")
    assert failed["status"] == "failed"
    assert failed["status_details"]["error"] == {
        "type": "server_error",
        "code": "voice_failed",
        "message": "It is hoarse.",
    }
    assert events[-1]["response"]["status"] == "completed"


@pytest.mark.parametrize("how", ["cancel", "barge-in", "close"])
def test_a_voice_dies_when_nobody_listens(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flite = tmp_path / "flite"
    flite.write_text(
        f"#!/bin/sh\ncd {shlex.quote(str(tmp_path))}\necho $$ > pids.new; mv pids.new pids\nexec sleep 300\n"
    )
    flite.chmod(0o755)
    words = spoken(QUESTION).between(0, 100)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with SimulatorServer(pace=False, voice=Flite()) as server, Talk(server) as talk:
        talk.until("session.created")
        talk.say("Hello")
        talk.until("response.created")
        pids = wait_for_pids(tmp_path / "pids")
        if how == "cancel":
            talk.send("response.cancel")
        elif how == "barge-in":
            talk.send("input_audio_buffer.append", audio=coded(words.pcm))
        if how != "close":
            assert talk.until("response.done")[-1]["response"]["status"] == "cancelled"
            assert_gone(pids)
    assert_gone(pids)


def test_what_is_said_next_is_said_after_an_interruption() -> None:
    with SimulatorServer(pace=False, voice="flite") as server, Talk(server) as talk:
        talk.until("session.created")
        talk.say("Say a couple paragraphs!")
        talk.until("response.output_audio.delta")
        talk.send("response.cancel")
        assert talk.until("response.done")[-1]["response"]["status"] == "cancelled"
        talk.say("Hello")
        events = talk.until("response.done")
    assert events[-1]["response"]["status"] == "completed"
    assert PCM16.duration_ms(len(sound_of(events))) > 3_000


def test_neither_words_nor_sound_go_into_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with SimulatorServer(pace=False, ears="pocketsphinx", voice="flite") as server, Talk(server) as talk:
        talk.until("session.created")
        talk.send("input_audio_buffer.append", audio=coded(spoken(QUESTION).between(500, 800).pcm))
        events = talk.until("response.done")
    assert "weather in paris" in json.dumps(events)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("rtsync")]
    assert not any("paris" in line.lower() or len(line) > 500 for line in ours)


@given(st.lists(st.text(alphabet="ab .!?\n,“”", max_size=30), max_size=12))
def test_sentences_hold_every_letter_once_and_in_order(pieces: list[str]) -> None:
    sentences = Sentences()
    said = [sentence for piece in pieces for sentence in sentences.feed(piece)] + sentences.rest()
    assert "".join("".join(said).split()) == "".join("".join(pieces).split())
    assert all(sentence.strip() for sentence in said)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hi. How are you?", ["Hi.", "How are you?"]),
        ("It costs 3.5 dollars.", ["It costs 3.5 dollars."]),
        ("“Yes!” she said. No", ["“Yes!”", "she said.", "No"]),
        ("one\ntwo\n\nthree", ["one", "two", "three"]),
        ("你好。再见！", ["你好。", "再见！"]),
        ("word " * 100, ["word " * 58 + "word word", "word " * 39 + "word"]),
    ],
)
def test_sentences_are_cut_where_a_speaker_pauses(text: str, parts: list[str]) -> None:
    sentences = Sentences()
    assert sentences.feed(text) + sentences.rest() == parts
