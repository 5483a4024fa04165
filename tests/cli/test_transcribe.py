"""`rtsync transcribe`: what it hears in WAV files, how it writes it, and how it fails."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rtsync.audio import PCM16, write_wav
from rtsync.edges.latch import Latch
from rtsync.simulator import EarsFailed, SimulatorServer
from tests.audio.wavs import wav
from tests.cli.command import COMMAND, KEY, LIMIT, Terminal, environment, run
from tests.cli.service import hear_the_close
from tests.cli.sounds import said, silent, two_sentences
from tests.cli.test_chat import azure, openai
from tests.loopback import Peer, ScriptedServer, realtime_greeting
from tests.simulator.voices import have

SIMULATOR = ["--target", "simulator"]
SPHINX = [*SIMULATOR, "--ears", "pocketsphinx"]
DEAF = "rtsync: the simulator's built-in ears measure and do not listen; --ears pocketsphinx, or another, does"
NEAR_MS = 100


def told(words: list[str]) -> Callable[[bytes, int], str]:
    """Ears that hear these words, one turn after the other."""
    left: Iterator[str] = iter(words)
    return lambda pcm, sample_rate: next(left)


def serving(*words: str) -> SimulatorServer:
    return SimulatorServer(pace=False, ears=told(list(words)))


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 24_000, 44_100])
def test_words_are_heard_at_any_sample_rate(sample_rate: int, tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    said(path, "good morning", sample_rate=sample_rate)
    ended = run("transcribe", *SPHINX, str(path))
    assert (ended.status, ended.out, ended.err) == (0, "good morning\n", "")


def test_what_is_said_is_what_is_heard() -> None:
    have()
    rtsync = " ".join(COMMAND)
    say = f"{rtsync} say {' '.join(SIMULATOR)} --voice-engine flite good morning -o -"
    line = f"set -o pipefail; {say} 2>/dev/null | {rtsync} transcribe {' '.join(SPHINX)} -"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=LIMIT, env=environment({}))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "good morning\n", "")


def test_a_grammar_of_ones_own_is_understood(tmp_path: Path) -> None:
    path, grammar = tmp_path / "in.wav", tmp_path / "grammar.txt"
    said(path, "more coffee")
    grammar.write_text("more coffee\nstart the engine\n")
    ended = run("transcribe", *SPHINX, "--ears-grammar", str(grammar), "--vad", "webrtc", str(path))
    assert (ended.status, ended.out, ended.err) == (0, "more coffee\n", "")


def test_json_tells_when_each_turn_was(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    places = two_sentences(path, "good morning", "what time is it")
    with serving("first\none", " second ") as server:
        ended = run("transcribe", "--json", str(path), **openai(server))
    assert (ended.status, ended.err) == (0, "")
    turns = [json.loads(line) for line in ended.out.splitlines()]
    assert [turn["text"] for turn in turns] == ["first\none", "second"]
    assert {turn["file"] for turn in turns} == {str(path)}
    for turn, place in zip(turns, places, strict=True):
        assert abs(turn["start_ms"] - (place.start_ms - 300)) <= NEAR_MS
    assert abs(turns[0]["end_ms"] - (places[0].end_ms + 500)) <= NEAR_MS
    assert turns[0]["end_ms"] <= turns[1]["start_ms"]


def test_subtitles_have_numbers_and_times(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    two_sentences(path, "good morning", "what time is it")
    with serving("one", "two", "one", "two") as server:
        turns = [json.loads(line) for line in run("transcribe", "--json", str(path), **openai(server)).out.splitlines()]
        ended = run("transcribe", "--srt", str(path), **openai(server))
    blocks = [
        f"{number}\n00:00:0{turn['start_ms'] / 1000:.3f} --> 00:00:0{turn['end_ms'] / 1000:.3f}\n{turn['text']}\n"
        for number, turn in enumerate(turns, 1)
    ]
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == "\n".join(blocks).replace(".", ",") + "\n"


def test_the_formats_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    said(path, "good morning")
    for name, begins in (("text", "These"), ("json", '{"file":'), ("srt", "1\n00:00:0")):
        ended = run("transcribe", *SIMULATOR, "--format", name, str(path))
        assert ended.status == 0
        assert ended.out.startswith(begins)


def test_the_built_in_ears_say_that_they_do_not_listen(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    said(path, "good morning")
    ended = run("transcribe", *SIMULATOR, str(path))
    assert ended.status == 0
    assert ended.complaint == DEAF
    assert "does not listen" in ended.out


def test_several_files_are_told_apart(tmp_path: Path) -> None:
    one, two = tmp_path / "one.wav", tmp_path / "two.wav"
    said(one, "good morning")
    said(two, "what time is it")
    ended = run("transcribe", *SPHINX, str(one), str(two))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == f"==> {one} <==\ngood morning\n==> {two} <==\nwhat time is it\n"


@pytest.mark.parametrize(
    "variables", [openai, azure, lambda server: {**azure(server), "OPENAI_API_VERSION": "2025-04-01-preview"}]
)
def test_services_hear(variables: Callable[[SimulatorServer], dict[str, str]], tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    said(path, "good morning")
    with serving("heard") as server:
        ended = run("transcribe", "--language", "en", str(path), **variables(server))
    assert (ended.status, ended.out, ended.err) == (0, "heard\n", "")


def test_words_cannot_command_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    said(path, "good morning")
    with serving("a\x1b[2Jb\nc") as server:
        assert run("transcribe", str(path), **openai(server)).out == "a [2Jb c\n"


def test_at_a_terminal_it_shows_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    said(path, "good morning")
    with Terminal("transcribe", *SPHINX, str(path)) as screen:
        screen.read_until("100 %")
        screen.read_until("\x1b[Kgood morning")
        assert screen.wait() == 0


# -- how it fails -----------------------------------------------------------------------------------------------------


def test_where_nobody_speaks_it_says_so_and_goes_on(tmp_path: Path) -> None:
    spoken_too = tmp_path / "b.wav"
    said(spoken_too, "good morning")
    nothing = tmp_path / "c.wav"
    nothing.write_bytes(wav(b""))
    ended = run("transcribe", *SPHINX, "--json", str(silent(tmp_path / "a.wav")), str(nothing), str(spoken_too))
    assert ended.status == 1
    assert [f"rtsync: {tmp_path}/{name}.wav: no speech was heard" for name in "ac"] == ended.err.splitlines()
    assert json.loads(ended.out)["text"] == "good morning"


def test_words_that_cannot_be_made_out_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    two_sentences(path, "good morning", "what time is it")
    words = iter(["", "two"])

    def hear(pcm: bytes, sample_rate: int) -> str:
        if not (word := next(words)):
            raise EarsFailed("It was too far away.")
        return word

    with SimulatorServer(pace=False, ears=hear) as server:
        ended = run("transcribe", str(path), **openai(server))
    assert (ended.status, ended.out) == (1, "two\n")
    assert f"{path}: the words from 0." in ended.complaint
    assert ended.complaint.endswith("s on are missing: It was too far away.")


def test_words_that_never_come_are_given_up(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    said(path, "good morning")
    with ScriptedServer(_hear_and_say_nothing) as server:
        variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.http_url}/v1"}
        ended = run("transcribe", "--timeout", "1", str(path), **variables)
    assert (ended.status, ended.out) == (5, "")
    assert "the words of 1 turn(s) did not come in 1 s" in ended.complaint


def test_a_service_that_dies_while_words_are_awaited_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    said(path, "good morning")
    with ScriptedServer(_hear_and_die) as server:
        variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.http_url}/v1"}
        ended = run("transcribe", str(path), **variables)
    assert (ended.status, ended.out) == (5, "")
    assert ended.complaint
    assert ended.seconds < LIMIT / 2


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty: 0 bytes"),
        (b"ID3\x03" + bytes(50), "is MP3"),
        (b"just a few words", "is no WAV file"),
        (wav(bytes(4800))[:2000], "cut off"),
        (wav(bytes(4800), sample_rate=100), "100 Hz"),
    ],
)
def test_what_is_no_wav_is_one_line_and_nothing_is_sent(content: bytes | None, named: str, tmp_path: Path) -> None:
    good, bad = silent(tmp_path / "a.wav"), tmp_path / "b.wav"
    if content is not None:
        bad.write_bytes(content)
    with ScriptedServer(realtime_greeting) as server:
        variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.http_url}/v1"}
        ended = run("transcribe", str(good), str(bad), **variables)
        assert server.connections == 0
    assert (ended.status, ended.out) == (2, "")
    assert named in ended.complaint
    assert str(bad) in ended.complaint


def test_a_stdin_that_is_no_wav_is_one_line() -> None:
    ended = run("transcribe", *SPHINX, "-", typed="just a few words")
    assert (ended.status, ended.out) == (2, "")
    assert "is no WAV file" in ended.complaint


def test_a_keyboard_is_no_wav() -> None:
    with Terminal("transcribe", *SIMULATOR, "-") as screen:
        assert screen.wait() == 2
        assert "stdin is a terminal: pipe a WAV into it" in screen.seen


def test_a_key_that_is_refused_is_one_line(tmp_path: Path) -> None:
    with SimulatorServer(api_keys=["another"], refuse_like="openai") as server:
        ended = run("transcribe", str(silent(tmp_path / "a.wav")), **openai(server))
    assert (ended.status, ended.out) == (4, "")
    assert ended.complaint


def test_a_language_that_is_refused_is_one_line(tmp_path: Path) -> None:
    with ScriptedServer(_refuse_the_update) as server:
        variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.http_url}/v1"}
        ended = run("transcribe", str(silent(tmp_path / "a.wav")), **variables)
    assert (ended.status, ended.out) == (1, "")
    assert "No such language." in ended.complaint


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([], "FILE..."),
        ([*SIMULATOR, "--srt", "a.wav", "b.wav"], "subtitles belong to one file"),
        ([*SIMULATOR, "-", "-"], "stdin can be read once"),
        ([*SIMULATOR, "--ears", "bogus", "a.wav"], "ears='bogus' is not known"),
        ([*SIMULATOR, "--ears-model", "x", "a.wav"], "--ears-model goes with --ears URL"),
        (["--target", "openai", "--vad", "webrtc", "a.wav"], "--vad goes with --target simulator"),
        (["a.wav"], "no account found"),
    ],
)
def test_what_cannot_be_is_one_line(options: list[str], named: str) -> None:
    key = {"OPENAI_API_KEY": "k"} if "openai" in options else {}
    ended = run("transcribe", *options, **key)
    assert (ended.status, ended.out) == (2, "")
    assert named in ended.complaint


def test_words_are_awaited_of_a_service_that_hears_more_slowly_than_it_answers(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    write_wav(path, PCM16.silence(8_000))
    with ScriptedServer(_hear_slowly) as server:
        variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.http_url}/v1"}
        ended = run("transcribe", str(path), **variables)
    assert (ended.status, ended.out) == (0, "first\nsecond\n")


def _hear_and_say_nothing(peer: Peer) -> None:
    _hear(peer)
    hear_the_close(peer)


def _hear_slowly(peer: Peer) -> None:
    """Answer every update at once, and tell of the first second of sound soon, of the fifth much later."""
    realtime_greeting(peer)
    updates = 0
    while updates < 2:
        event = peer.recv_json()
        if event["type"] == "session.update":
            updates += 1
            peer.send_json({"type": "session.updated", "event_id": "event_3", "session": event["session"]})
    for seconds, end_ms, words in ((0.5, 1_000, "first"), (2.5, 5_000, "second")):
        Latch().wait(seconds)  # Its slowness is what is tested.
        place = {"event_id": "event_4", "item_id": f"item_{words}"}
        peer.send_json(
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": end_ms - 500, **place},
            {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": end_ms, **place},
            {"type": "input_audio_buffer.committed", "previous_item_id": None, **place},
            {"type": "conversation.item.input_audio_transcription.completed", "transcript": words, **place},
        )
    hear_the_close(peer)


def _hear_and_die(peer: Peer) -> None:
    _hear(peer)
    peer.reset()


def _hear(peer: Peer) -> None:
    """Take the sound, hear somebody in it, and come to the end of it."""
    realtime_greeting(peer)
    updates = 0
    while updates < 2:  # The configuration, and the question whether all was heard.
        event = peer.recv_json()
        if event["type"] == "session.update":
            updates += 1
            if updates == 2:
                started = {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "item_1"}
                peer.send_json({"event_id": "event_2", **started})
            peer.send_json({"type": "session.updated", "event_id": "event_3", "session": event["session"]})


def _refuse_the_update(peer: Peer) -> None:
    realtime_greeting(peer)
    event_id = peer.recv_json()["event_id"]
    error = {"type": "invalid_request_error", "code": "c", "message": "No such\nlanguage.", "param": None}
    peer.send_json({"type": "error", "event_id": "event_2", "error": {**error, "event_id": event_id}})
    hear_the_close(peer)
