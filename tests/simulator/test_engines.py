"""Voices of this machine: flite and espeak-ng themselves, and programs of the tests that stand in for bad ones."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rtsync.audio import PCM16, rms_dbfs
from rtsync.simulator import Cancellation, Espeak, EspeakNg, Flite, Say, SimulatorServer, Utterance, VoiceFailed
from rtsync.simulator.engines import Engine
from rtsync.simulator.senses import voice_named
from rtsync.vocabulary.errors import ConfigurationError
from tests.simulator.talk import LIMIT
from tests.simulator.voices import have

WORDS = "Good morning to everybody in this room."
NAMES = ["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"]

Install = Callable[[str, str], Path]
engines = pytest.mark.parametrize("engine", [Flite, EspeakNg])


@pytest.fixture(autouse=True)
def programs() -> None:
    have()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a shell script on the PATH, before all others; returns the folder where it runs."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def install(name: str, script: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\ncd {shlex.quote(str(tmp_path))}\n{script}\n")
        path.chmod(0o755)
        return tmp_path

    return install


def said(voice: Engine, text: str = WORDS, name: str = "alloy", **options: object) -> bytes:
    return b"".join(voice(Utterance(text, name, **options)))  # type: ignore[arg-type]


def seconds(pcm: bytes, sample_rate: int = PCM16.sample_rate) -> float:
    return len(pcm) / 2 / sample_rate


@engines
def test_words_become_sound(engine: type[Engine]) -> None:
    pcm = said(engine())
    assert 1.5 < seconds(pcm) < 4
    assert -35 < rms_dbfs(pcm) < -10


@engines
def test_every_rate_is_as_long(engine: type[Engine]) -> None:
    lengths = [seconds(said(engine(), sample_rate=rate), rate) for rate in (8000, 16000, 24000)]
    assert max(lengths) - min(lengths) < 0.001


@engines
def test_every_voice_is_another_and_always_the_same(engine: type[Engine]) -> None:
    voice = engine()
    sounds = {said(voice, "Yes please.", name) for name in [*NAMES, "voice_abc"]}
    assert len(sounds) >= len(NAMES)
    assert said(voice, "Yes please.", "coral") == said(voice, "Yes please.", "coral")


@engines
@pytest.mark.parametrize("speed", [0.5, 0.8, 1.5])
def test_speed_is_honoured(engine: type[Engine], speed: float) -> None:
    assert seconds(said(engine(), speed=speed)) == pytest.approx(seconds(said(engine())) / speed, rel=0.15)


@engines
@pytest.mark.parametrize("text", ["-voice kal", "--version", "-o /tmp/x", "@file | ls; $(ls) `ls`", "/etc/passwd"])
def test_a_text_is_no_option_no_file_and_no_command(engine: type[Engine], text: str) -> None:
    assert seconds(said(engine(), text)) > 0.4


def test_brackets_command_nothing() -> None:
    assert said(EspeakNg(), "Say [[h@l'oU]] now") == said(EspeakNg(), "Say [ [h@l'oU] ] now")


@engines
@pytest.mark.parametrize("text", ["", " \n", "…!?", "\x00\x1b", "🙂"])
def test_where_there_is_nothing_to_say_nothing_is_said(engine: type[Engine], text: str) -> None:
    assert said(engine(), text) == b""


def test_flite_reads_letters_with_accents_and_leaves_other_scripts_out() -> None:
    voice = Flite()
    assert said(voice, "“café”—naïve…") == said(voice, '"cafe", naive...')
    assert said(voice, "Привет") == b""


def test_espeak_speaks_other_languages() -> None:
    assert said(EspeakNg(language="de"), "Guten Morgen") != said(EspeakNg(), "Guten Morgen")
    with pytest.raises(ConfigurationError, match="language"):
        EspeakNg(language="../x")


@engines
def test_a_long_text_and_many_at_once_are_said(engine: type[Engine]) -> None:
    voice = engine()
    lengths: list[float] = []
    threads = [threading.Thread(target=lambda: lengths.append(seconds(said(voice, WORDS * 4)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(lengths)) == 1
    assert lengths[0] > 4 * 1.5


def test_a_program_that_is_not_there_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationError, match="espeak-ng is not on the PATH: apt install espeak-ng"):
        EspeakNg()
    with pytest.raises(ConfigurationError, match="apt install flite"):
        SimulatorServer(voice="flite")
    assert voice_named("auto") is None


def test_auto_takes_the_best_that_is_there() -> None:
    assert isinstance(voice_named("auto"), Flite)
    with pytest.raises(ConfigurationError, match="builtin, flite, espeak-ng, espeak, say"):
        SimulatorServer(voice="siri")


def test_a_voice_that_is_cancelled_dies_with_all_that_it_started(program: Install) -> None:
    folder = program("flite", "sleep 300 &\necho $! $$ > pids.new; mv pids.new pids; wait")
    cancelled = Cancellation()
    spoken: list[bytes] = []
    speaking = threading.Thread(target=lambda: spoken.append(said(Flite(), cancelled=cancelled)))
    speaking.start()
    pids = wait_for_pids(folder / "pids")
    cancelled.set()
    speaking.join(LIMIT)
    assert spoken == [b""]
    assert_gone(pids)


def test_one_that_is_cancelled_before_it_begins_starts_nothing(program: Install) -> None:
    folder = program("flite", "touch started")
    cancelled = Cancellation()
    cancelled.set()
    assert said(Flite(), cancelled=cancelled) == b""
    assert not (folder / "started").exists()


def test_a_voice_that_takes_too_long_is_killed(program: Install) -> None:
    folder = program("flite", "echo $$ > pids; exec sleep 300")
    with pytest.raises(VoiceFailed, match=r"flite did not finish within 0\.5 seconds"):
        said(Flite(timeout=0.5))
    assert_gone(wait_for_pids(folder / "pids"))


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("echo secret words >&2; exit 3", "ended with status 3"),
        ("exit 0", "no WAV file"),
        ('for last; do :; done; echo junk > "$last"', "no WAV file"),
        ("kill -9 $$", "ended with status -9"),
    ],
)
def test_a_voice_that_fails_says_how_and_not_what(program: Install, script: str, complaint: str) -> None:
    program("flite", script)
    with pytest.raises(VoiceFailed, match=complaint) as failed:
        said(Flite(), "secret words")
    assert "secret" not in str(failed.value)


def test_a_program_that_cannot_start_fails_the_voice(program: Install) -> None:
    folder = program("flite", "")
    voice = Flite()
    (folder / "flite").write_text("#!/nowhere\n")
    with pytest.raises(VoiceFailed, match="did not start"):
        said(voice)


def test_the_old_espeak_is_called_as_the_new_one(program: Install) -> None:
    program("espeak", f'exec {shutil.which("espeak-ng")} "$@"')
    assert said(Espeak()) == said(EspeakNg())


def test_say_is_called_as_macos_documents_it(program: Install) -> None:
    """There is no macOS here: a script takes say's options, and lets espeak-ng speak."""
    folder = program(
        "say",
        'if [ "$1" = -v ] && [ "$2" = "?" ]; then\n'
        "  printf 'Alice               it_IT    # Ciao!\\n'\n"
        "  printf 'Daniel (Enhanced)   en_GB    # Hello!\\nSamantha            en_US    # Hello!\\n'; exit\nfi\n"
        f'printf "%s\\n" "$@" > arguments; exec {shutil.which("espeak-ng")} -f "$8" -w "${{10}}"',
    )
    pcm = said(Say(), speed=1.2)
    arguments = (folder / "arguments").read_text().splitlines()
    assert arguments[:7] == [
        "-v",
        "Daniel (Enhanced)",
        "-r",
        "210",
        "--file-format=WAVE",
        "--data-format=LEI16@22050",
        "-f",
    ]
    assert arguments[8] == "-o"
    assert seconds(pcm) > 1


def wait_for_pids(path: Path) -> list[int]:
    """The numbers that a script has written, when it has."""
    until = time.monotonic() + LIMIT
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < until, "the program never began"
        threading.Event().wait(0.01)
    return [int(number) for number in path.read_text().split()]


def assert_gone(pids: list[int]) -> None:
    """No process of these numbers runs; those that were orphaned may wait for init to bury them."""
    until = time.monotonic() + LIMIT
    while running := [pid for pid in pids if _runs(pid)]:
        assert time.monotonic() < until, f"still running: {running}"
        threading.Event().wait(0.01)


def _runs(pid: int) -> bool:
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
