"""`rtsync say`: what it saves, what it says about it, and how it fails."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtsync.audio import WavReader
from rtsync.simulator import BrainFailed, SimulatorServer, Turn
from tests.cli.command import COMMAND, KEY, LIMIT, Terminal, environment, run
from tests.cli.service import hear_the_close, interrupted_answer
from tests.cli.test_chat import azure, openai
from tests.loopback import Peer, ScriptedServer, realtime_greeting
from tests.simulator.voices import have

SIMULATOR = ["--target", "simulator"]
WORDLESS = "rtsync: the simulator's built-in voice has no words; --voice-engine flite, or another, speaks them"


def encoding(path: Path) -> tuple[str, int]:
    with WavReader(path) as wav:
        return wav.encoding, wav.sample_rate


def test_the_text_becomes_a_wav_and_stderr_tells_how_long_it_is(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    ended = run("say", *SIMULATOR, "Good", "morning!", "-o", str(path))
    assert (ended.status, ended.out) == (0, "")
    with WavReader(path) as wav:
        assert wav.duration_ms
        told = f"rtsync: {wav.duration_ms / 1000:.1f} s of pcm16, saved in {path}"
    assert ended.err.splitlines() == [told, WORDLESS]


@pytest.mark.parametrize("arguments", [["Good", "morning."], ["Good morning."], []])
def test_the_text_comes_from_the_arguments_or_from_stdin(arguments: list[str], tmp_path: Path) -> None:
    typed = "" if arguments else "Good morning.\n"
    ended = run("say", *SIMULATOR, *arguments, "--transcript", "-o", str(tmp_path / "out.wav"), typed=typed)
    assert (ended.status, ended.out) == (0, "Good morning.\n")


@pytest.mark.parametrize(
    ("name", "stored"),
    [("pcm16", ("16-bit PCM", 24_000)), ("g711_ulaw", ("mu-law", 8_000)), ("g711_alaw", ("A-law", 8_000))],
)
def test_the_format_is_the_one_that_was_asked_for(name: str, stored: tuple[str, int], tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    ended = run("say", *SIMULATOR, "hello", "--format", name, "-o", str(path))
    assert ended.status == 0
    assert f"of {name}, saved" in ended.err
    assert encoding(path)[0].endswith(stored[0])
    assert encoding(path)[1] == stored[1]


def test_stdout_gets_the_wav_and_nothing_else() -> None:
    command = [*COMMAND, "say", *SIMULATOR, "--transcript", "hello", "-o", "-"]
    ended = subprocess.run(command, capture_output=True, timeout=LIMIT, env=environment({}))
    with WavReader(io.BytesIO(ended.stdout)) as wav:
        assert sum(map(len, wav)) > 0
    assert ended.returncode == 0
    transcript, told, _ = ended.stderr.decode().splitlines()
    assert transcript == "hello"
    assert told.endswith("s of pcm16, on stdout")


def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    say = " ".join([*COMMAND, "say", *SIMULATOR, "hello " * 200, "-o", "-"])
    line = f"{say} | head -c 1000 | wc -c; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=LIMIT, env=environment({}))
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (1, "1000", "")


def test_a_wav_is_not_poured_over_a_terminal() -> None:
    with Terminal("say", *SIMULATOR, "hello", "-o", "-") as screen:
        assert screen.wait() == 2
        assert "a WAV is nothing for a terminal" in screen.seen
        assert "RIFF" not in screen.seen


def test_without_a_text_at_a_terminal_it_says_what_to_do() -> None:
    with Terminal("say", *SIMULATOR, "-o", "x.wav") as screen:
        assert screen.wait() == 2
        assert "nothing to say: give TEXT, or pipe it into stdin" in screen.seen


def asked(turn: Turn) -> Iterator[str]:
    """A brain that tells what a service was asked for."""
    yield f"{turn.modality} | {turn.instructions} | {turn.items[-1]['content'][0]['text']}"


def test_a_service_is_asked_to_read_and_told_how(tmp_path: Path) -> None:
    options = ["-s", "Whisper.", "--voice", "coral", "--transcript", "-o", str(tmp_path / "out.wav")]
    with SimulatorServer(pace=False, brain=asked) as server:
        for variables in (openai(server), azure(server), {**azure(server), "OPENAI_API_VERSION": "2025-04-01-preview"}):
            ended = run("say", *options, "hello", **variables)
            assert ended.status == 0
            assert ended.err.count("\n") == 1
            modality, instructions, text = " ".join(ended.out.split()).split(" | ")
            assert (modality, text) == ("audio", "hello")
            assert instructions.startswith("Read the user's message aloud, word for word")
            assert instructions.endswith("Whisper.")


def test_a_voice_that_the_service_does_not_have_is_one_line(tmp_path: Path) -> None:
    def refuse(peer: Peer) -> None:
        realtime_greeting(peer)
        update = peer.recv_json()
        output = update["session"]["audio"]["output"]
        error = {"type": "invalid_request_error", "code": "c", "message": f"Not {json.dumps(output)}.", "param": None}
        peer.send_json({"type": "error", "event_id": "event_2", "error": {**error, "event_id": update["event_id"]}})
        hear_the_close(peer)

    with ScriptedServer(refuse) as server:
        variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.http_url}/v1"}
        options = ["--voice", "nobody", "--format", "g711_alaw", "-o", str(tmp_path / "out.wav")]
        ended = run("say", "hello", *options, **variables)
    assert (ended.status, ended.out) == (1, "")
    assert 'Not {"format": {"type": "audio/pcma"}, "voice": "nobody"}.' in ended.complaint


def test_the_simulator_speaks_with_the_program_that_it_is_given(tmp_path: Path) -> None:
    have()
    path = tmp_path / "out.wav"
    ended = run("say", *SIMULATOR, "--voice-engine", "flite", "hello", "-o", str(path))
    assert ended.status == 0
    assert WORDLESS not in ended.err
    assert path.stat().st_size > 10_000


def test_an_answer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(b"as before")

    def fail(turn: Turn) -> Iterator[str]:
        yield "Well, this is how it begins. "
        raise BrainFailed("The model is asleep.")

    with SimulatorServer(pace=False, brain=fail) as server:
        ended = run("say", "hello", "-o", str(path), **openai(server))
    assert (ended.status, ended.out) == (1, "")
    assert "The model is asleep." in ended.complaint
    assert path.read_bytes() == b"as before"
    assert os.listdir(tmp_path) == ["out.wav"]


def test_a_service_that_dies_in_the_middle_is_one_line(tmp_path: Path) -> None:
    with ScriptedServer(interrupted_answer(lambda peer: peer.reset())) as server:
        variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.http_url}/v1"}
        ended = run("say", "hello", "-o", str(tmp_path / "out.wav"), **variables)
    assert ended.status == 5
    assert ended.complaint
    assert os.listdir(tmp_path) == []


def test_ctrl_c_ends_it_and_leaves_no_file(tmp_path: Path) -> None:
    with ScriptedServer(interrupted_answer(hear_the_close)) as server:
        variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.http_url}/v1"}
        with Terminal("say", "hello", "-o", str(tmp_path / "out.wav"), **variables) as screen:
            server.wait_for_connections(1)
            screen.ctrl_c()
            assert screen.wait() == 130
            assert "Traceback" not in screen.seen
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([*SIMULATOR, "hello"], "'-o'"),
        ([*SIMULATOR, "hello", "-o", "nowhere/out.wav"], "there is no folder nowhere"),
        ([*SIMULATOR, " ", "-o", "out.wav"], "the text is empty"),
        ([*SIMULATOR, "-o", "out.wav"], "the text is empty"),
        ([*SIMULATOR, "hello", "-o", "out.wav", "--voice-engine", "bogus"], "voice='bogus' is not known"),
        ([*SIMULATOR, "hello", "-o", "out.wav", "--voice-model", "x"], "--voice-model goes with --voice-engine URL"),
        (["--base-url", "http://127.0.0.1:1/v1", "hello", "-o", "o.wav", "--voice-engine", "flite"], "--target simul"),
        (["hello", "-o", "out.wav"], "no account found"),
        (["--target", "openai", "hello", "-o", "out.wav"], "OPENAI_API_KEY"),
    ],
)
def test_what_cannot_be_is_one_line(options: list[str], named: str) -> None:
    key = {"OPENAI_API_KEY": "k"} if "--base-url" in options else {}
    ended = run("say", *options, **key)
    assert (ended.status, ended.out) == (2, "")
    assert named in ended.complaint
