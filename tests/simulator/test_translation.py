"""The translation endpoint: its own events, 200 ms by 200 ms (protocol 2.2, 3.2, 3.5, 4.10)."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from openai import OpenAI

from rtsync.simulator import SimulatorServer
from tests.simulator.documented import check_translation
from tests.simulator.sounds import coded, silence, speech
from tests.simulator.talk import Event, Talk

TARGET = "/v1/realtime/translations?model=gpt-realtime-translate"
APPEND = "session.input_audio_buffer.append"


def talked(talk: Talk, audio: bytes, chunk: int = 9600) -> list[Event]:
    """Everything that comes of `audio` and of closing the session."""
    for at in range(0, len(audio), chunk):
        talk.send(APPEND, audio=coded(audio[at : at + chunk]))
    talk.send("session.close")
    return talk.until("session.closed")


def of(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


def test_it_begins_in_its_own_shape(simulator: SimulatorServer) -> None:
    with Talk(simulator, TARGET) as talk:
        created = talk.receive()
    check_translation(created)
    session = created["session"]
    assert session.keys() == {"id", "type", "model", "expires_at", "audio"}
    assert (session["type"], session["model"]) == ("translation", "gpt-realtime-translate")
    assert session["audio"] == {
        "input": {"transcription": None, "noise_reduction": None},
        "output": {"language": "es"},
    }


def test_speech_becomes_sound_and_words_and_closing_says_the_rest(simulator: SimulatorServer) -> None:
    with Talk(simulator, TARGET) as talk:
        talk.send("session.update", session={"audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}}})
        talk.until("session.updated")
        events = talked(talk, silence(600) + speech() + silence(300))
        assert talk.close_code() == (1000, "")
    for event in events:
        check_translation(event)
    sounds = of(events, "session.output_audio.delta")
    assert [event["elapsed_ms"] for event in sounds] == [200 * n for n in range(1, len(sounds) + 1)]
    assert {len(base64.b64decode(event["delta"])) for event in sounds} == {9600}
    assert (sounds[0]["sample_rate"], sounds[0]["channels"], sounds[0]["format"]) == (24000, 1, "pcm16")
    assert not any(base64.b64decode(sounds[1]["delta"]))  # nobody has spoken yet
    written = "".join(event["delta"] for event in of(events, "session.output_transcript.delta"))
    assert written.startswith("This is the simulator: it hears that you speak")
    assert 10 <= len(of(events, "session.input_transcript.delta")) <= 13
    assert 600 < of(events, "session.output_transcript.delta")[0]["elapsed_ms"] <= 1000
    assert any(base64.b64decode(sounds[-1]["delta"]))  # said to the end


@pytest.mark.parametrize("chunk", [960, 7777, 1 << 20])
def test_it_does_not_matter_how_the_audio_is_cut(simulator: SimulatorServer, chunk: int) -> None:
    def heard(chunk: int) -> list[Any]:
        with Talk(simulator, TARGET) as talk:
            events = talked(talk, silence(600) + speech(), chunk)
        return [(event["type"], event.get("delta"), event.get("elapsed_ms")) for event in events[1:]]

    assert heard(chunk) == heard(9600)


def test_the_language_can_be_changed_and_words_of_the_source_are_left_out_unless_asked(
    simulator: SimulatorServer,
) -> None:
    with Talk(simulator, TARGET) as talk:
        talk.send("session.update", session={"audio": {"output": {"language": "fr"}}})
        updated = talk.until("session.updated")[-1]
        events = talked(talk, speech(" ".join(["good morning"] * 8)))
    assert updated["session"]["audio"]["output"]["language"] == "fr"
    assert " fr." in "".join(event["delta"] for event in of(events, "session.output_transcript.delta"))
    assert of(events, "session.input_transcript.delta") == []


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "response.create"}, "invalid_value", "type"),
        ({"type": "input_audio_buffer.append", "audio": ""}, "invalid_value", "type"),
        ({"type": "session.update", "session": {"voice": "x"}}, "unknown_parameter", "session.voice"),
        ({"type": "session.update", "session": {"audio": {"output": {"language": 1}}}}, "invalid_type",
         "session.audio.output.language"),
        ({"type": APPEND, "audio": "?"}, "invalid_value", "audio"),
        ({"type": APPEND}, "missing_required_parameter", "audio"),
        ({"no": "type"}, "invalid_event", None),
    ],
)  # fmt: skip
def test_mistakes_are_refused_and_the_session_goes_on(
    simulator: SimulatorServer, event: Event, code: str, param: str | None
) -> None:
    with Talk(simulator, TARGET) as talk:
        talk.until("session.created")
        talk.send(**{"kind": event.get("type", "")} | {k: v for k, v in event.items() if k != "type"}) if (
            "type" in event
        ) else talk.socket.send('{"no": "type"}')
        error = talk.receive()
        assert talked(talk, b"")[-1]["type"] == "session.closed"
    check_translation(error)
    assert (error["error"]["code"], error["error"]["param"]) == (code, param)


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/v1/realtime/translations", "missing_model"),
        (TARGET + "&intent=translation", "invalid_intent"),
    ],
)
def test_the_door_of_translations(simulator: SimulatorServer, target: str, code: str) -> None:
    with Talk(simulator, target) as talk:
        assert talk.receive()["error"]["code"] == code
        assert talk.close_code()[0] == 4000


def test_the_official_client_translates(simulator: SimulatorServer) -> None:
    client = OpenAI(api_key="k", base_url=simulator.openai_url)
    kinds = []
    with client.realtime.translations.connect(model="gpt-realtime-translate") as connection:
        connection.session.update(session={"audio": {"output": {"language": "de"}}})
        connection.session.input_audio_buffer.append(audio=coded(speech()))
        connection.session.close()
        for event in connection:
            kinds.append(event.type)
            if event.type == "session.closed":
                break
    client.close()
    assert kinds[:2] == ["session.created", "session.updated"]
    assert {"session.output_audio.delta", "session.output_transcript.delta"} <= set(kinds)
