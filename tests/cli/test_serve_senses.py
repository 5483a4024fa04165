"""`rtsync serve` with ears and a voice: what it says of them, what is missing, and a spoken turn with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.cli.command import KEY, run
from tests.cli.test_serve import Served, served
from tests.simulator.sounds import coded
from tests.simulator.spoken import spoken
from tests.simulator.test_speech_endpoints import Start, endpoint, replying, transcript, wav
from tests.simulator.voices import have

__all__ = ["endpoint"]  # a fixture


def talked(server: Served, words: str) -> dict[str, str]:
    """Says `words` and returns what was transcribed, what was answered, and the sound of it in base64."""
    session = {"type": "realtime", "audio": {"input": {"transcription": {"model": "any"}}}}
    url = f"ws://127.0.0.1:{server.port}/v1/realtime?model=any"
    said = {"completed": "", "answer": "", "sound": ""}
    with connect(url, additional_headers={"Authorization": "Bearer k"}, proxy=None, max_queue=None) as socket:
        socket.send(json.dumps({"type": "session.update", "session": session}))
        audio = coded(spoken(words).between(500, 800).pcm)
        socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        for message in socket:
            event = json.loads(message)
            if event["type"] == "conversation.item.input_audio_transcription.completed":
                said["completed"] = event["transcript"]
            elif event["type"] == "response.output_audio_transcript.done":
                said["answer"] = event["transcript"]
            elif event["type"] == "response.output_audio.delta":
                said["sound"] += event["delta"]
            elif event["type"] == "response.done":
                assert event["response"]["status"] == "completed", event
                break
    return said


def test_a_spoken_turn_with_the_programs_of_this_machine() -> None:
    have()
    with served("--ears", "pocketsphinx", "--voice", "flite", "--vad", "webrtc") as server:
        assert "It hears with pocketsphinx the sentences of a grammar; whatever else you say" in server.said
        assert "It speaks with flite." in server.said
        said = talked(server, "good morning")
    assert said["completed"] == "good morning"
    assert "good morning" in said["answer"]
    assert len(said["sound"]) > 48000


@pytest.mark.parametrize(
    "text", ["more coffee\n\nstart the engine\n", "#JSGF V1.0;\ngrammar g;\npublic <a> = more (coffee | tea);\n"]
)
def test_it_understands_what_a_file_says(text: str, tmp_path: Path) -> None:
    file = tmp_path / "grammar.txt"
    file.write_text(text)
    with served("--ears", "pocketsphinx", "--ears-grammar", str(file)) as server:
        assert talked(server, "more coffee")["completed"] == "more coffee"


def test_of_the_open_vocabulary_it_promises_nothing() -> None:
    with served("--ears", "pocketsphinx-open") as server:
        assert "any English words, and often the wrong ones" in server.said


def test_a_spoken_turn_through_endpoints_with_their_keys(endpoint: Start) -> None:
    ears, voice = endpoint(transcript("what I heard")), endpoint(replying(wav(bytes(48000))))
    options = ["--ears", ears.url, "--ears-model", "tiny", "--voice", voice.url, "--voice-model", "k"]
    with served(*options, "--voice-name", "bella", RTSYNC_EARS_KEY=KEY, RTSYNC_VOICE_KEY="another-key") as server:
        assert KEY not in server.said
        assert ears.url not in server.said
        assert talked(server, "good morning")["completed"] == "what I heard"
    assert set(ears.keys) == {f"Bearer {KEY}"}
    assert set(voice.keys) == {"Bearer another-key"}
    assert ears.form()["model"].strip() == "tiny"
    assert (voice.request()["model"], voice.request()["voice"]) == ("k", "bella")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--ears", "whisper"], "ears='whisper' is not known"),
        (["--voice", "say"], "the voice say is not on the PATH"),
        (["--ears", "http://"], "the transcription endpoint must be an http:// or https:// URL"),
        (["--voice", "ws://u:p4ss@host"], "voice='...' is not known"),
        (["--ears-model", "x"], "--ears-model goes with --ears URL"),
        (["--voice-name", "x"], "go with --voice URL"),
        (["--ears-grammar", "/etc/passwd"], "--ears-grammar goes with --ears pocketsphinx"),
    ],
)
def test_what_cannot_be_is_one_line(options: list[str], complaint: str) -> None:
    ended = run("serve", "--port", "0", *options)
    assert ended.status == 2
    assert complaint in ended.complaint
    assert "p4ss" not in ended.complaint


@pytest.mark.parametrize("content", [b"\xff\xfe", b"zxcv\n", b"#JSGF nothing"])
def test_a_grammar_that_is_none_is_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "grammar.txt"
    file.write_bytes(content)
    ended = run("serve", "--port", "0", "--ears", "pocketsphinx", "--ears-grammar", str(file))
    assert ended.status == 2
    assert "grammar" in ended.complaint


def test_a_program_that_is_missing_is_one_line_with_the_way_to_install_it() -> None:
    ended = run("serve", "--port", "0", "--voice", "flite", PATH="/nowhere")
    assert ended.status == 2
    assert "apt install flite" in ended.complaint
