"""Voices of this machine: flite, espeak-ng, espeak, macOS's say. One process for each sentence.

The text goes in by a file and the sound comes out by another, so that nothing in the text can be an option. A process
that is no longer wanted, or takes too long, is killed with all that it started.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from rtsync.audio import Resampler, WavReader
from rtsync.simulator.voices import Utterance, VoiceFailed
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["ENGINES", "Engine", "Espeak", "EspeakNg", "Flite", "Say"]

_TIMEOUT = 30.0  # seconds; engines need some milliseconds for a sentence

# What the service's voices become. Custom voices are spread over these by their letters.
_NAMES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")


class Engine(ABC):
    """A program that speaks.

    Args:
        timeout: seconds for one sentence.

    Raises:
        ConfigurationError: the program is not on the path.

    Threads: may be called from any, at the same time.
    """

    program: str
    install: str

    def __init__(self, *, timeout: float = _TIMEOUT) -> None:
        found = shutil.which(self.program)
        if found is None:
            raise ConfigurationError(f"the voice {self.program} is not on the PATH: {self.install}")
        self.about = f"It speaks with {self.program}."
        self._program = found
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __call__(self, utterance: Utterance) -> Iterator[bytes]:
        """Yield the sound of ``utterance``.

        Raises:
            VoiceFailed: the program failed, took too long, or made no sound.

        Threads: blocks while the program runs; ``utterance.cancelled`` kills it.
        """
        text = self._plain(utterance.text)
        if not any(map(str.isalnum, text)) or utterance.cancelled():
            return
        with tempfile.TemporaryDirectory(prefix="rtsync-voice-") as folder:
            said, heard = Path(folder, "said.txt"), Path(folder, "heard.wav")
            said.write_text(text + "\n", encoding="utf-8")
            self._run([self._program, *self._arguments(utterance, said, heard)], utterance)
            if not utterance.cancelled():
                yield from self._sound(heard, utterance.sample_rate)

    @abstractmethod
    def _arguments(self, utterance: Utterance, said: Path, heard: Path) -> list[str]:
        """What the program is called with."""

    def _plain(self, text: str) -> str:
        """``text`` without what the program would not say but do."""
        return "".join(each if each.isprintable() else " " for each in text)

    def _run(self, command: list[str], utterance: Utterance) -> None:
        try:
            process = _start(command)
        except OSError as error:
            raise self._failure(f"did not start: {error.strerror}") from error
        with process:
            utterance.cancelled.then(functools.partial(_kill, process))
            try:
                process.communicate(timeout=self._timeout)
            except subprocess.TimeoutExpired:
                raise self._failure(f"did not finish within {self._timeout:g} seconds") from None
            finally:
                _kill(process)
        if process.returncode and not utterance.cancelled():
            raise self._failure(f"ended with status {process.returncode}")

    def _sound(self, heard: Path, sample_rate: int) -> Iterator[bytes]:
        try:
            with WavReader(heard) as sound:
                resampler = Resampler(sound.sample_rate, sample_rate)
                for pcm in sound:
                    yield resampler.feed(pcm)
                yield resampler.flush()
        except (OSError, ConfigurationError) as error:
            raise self._failure("made no WAV file that can be read") from error

    def _failure(self, what: str) -> VoiceFailed:
        return VoiceFailed(f"The voice {self.program} {what}.", code="voice_failed")


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # In a process group of its own: Ctrl+C is for the server, and a wrapper script dies with what it started.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End it and its children, if it still runs. Threads: any."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()


def _number_of(voice: str) -> int:
    return _NAMES.index(voice) if voice in _NAMES else sum(voice.encode())


class Flite(Engine):
    """CMU Flite: English, clear, 16 kHz; a sentence takes some 20 to 70 ms."""

    program = "flite"
    install = "apt install flite, or brew install flite"

    # Voice of flite, and how much its pitch is shifted.
    _VOICES = (
        ("slt", 0.92), ("rms", 1.0), ("awb", 1.0), ("slt", 1.1), ("kal16", 1.0),
        ("slt", 1.0), ("slt", 1.2), ("awb", 1.15), ("slt", 1.05), ("awb", 0.87),
    )  # fmt: skip
    _MARKS = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "—": ", ", "–": "-", "…": "..."})

    def _arguments(self, utterance: Utterance, said: Path, heard: Path) -> list[str]:
        voice, shift = self._VOICES[_number_of(utterance.voice) % len(self._VOICES)]
        pitch = ["--setf", f"f0_shift={shift}"]
        pace = ["--setf", f"duration_stretch={1 / utterance.speed:.3f}"]
        return ["-voice", voice, *pitch, *pace, "-f", str(said), "-o", str(heard)]

    def _plain(self, text: str) -> str:
        """In ASCII, which is all that it reads: letters lose their accents, other scripts are not said."""
        plain = unicodedata.normalize("NFKD", super()._plain(text).translate(self._MARKS))
        return plain.encode("ascii", "ignore").decode()


class Espeak(Engine):
    """eSpeak: small, quick, many languages, sounds like a machine; 22 kHz. Not slower than 0.46 of its speed.

    Args:
        language: as ``espeak --voices`` lists them.
        timeout: seconds for one sentence.
    """

    program = "espeak"
    install = "apt install espeak"

    _WORDS_PER_MINUTE = 175
    # Variant, and pitch from 0 to 99.
    _VOICES = (
        ("m1", 50), ("m3", 40), ("m4", 45), ("f2", 60), ("m7", 35),
        ("f3", 55), ("f4", 70), ("m2", 55), ("f1", 65), ("m5", 25),
    )  # fmt: skip

    def __init__(self, *, language: str = "en-us", timeout: float = _TIMEOUT) -> None:
        super().__init__(timeout=timeout)
        if not language or not all(part.isalnum() for part in language.split("-")):
            raise ConfigurationError(f"the language of {self.program} is a name such as en-us or de, not {language!r}")
        self._language = language

    def _arguments(self, utterance: Utterance, said: Path, heard: Path) -> list[str]:
        variant, pitch = self._VOICES[_number_of(utterance.voice) % len(self._VOICES)]
        pace = round(self._WORDS_PER_MINUTE * utterance.speed)
        voice = f"{self._language}+{variant}"
        return ["-b", "1", "-v", voice, "-p", str(pitch), "-s", str(pace), "-f", str(said), "-w", str(heard)]

    def _plain(self, text: str) -> str:
        return _without_phonemes(super()._plain(text))


class EspeakNg(Espeak):
    """eSpeak NG: small, quick, a hundred languages, sounds like a machine; 22 kHz. Not slower than 0.46 of its speed.

    Args:
        language: as ``espeak-ng --voices`` lists them.
        timeout: seconds for one sentence.
    """

    program = "espeak-ng"
    install = "apt install espeak-ng, or brew install espeak-ng"


class Say(Engine):
    """The voices of macOS, those that speak English."""

    program = "say"
    install = "it comes with macOS; elsewhere take flite or espeak-ng"

    _WORDS_PER_MINUTE = 175
    _RATE = 22050

    def _arguments(self, utterance: Utterance, said: Path, heard: Path) -> list[str]:
        voices = self._voices
        voice = ["-v", voices[_number_of(utterance.voice) % len(voices)]] if voices else []
        pace = str(round(self._WORDS_PER_MINUTE * utterance.speed))
        form = ["--file-format=WAVE", f"--data-format=LEI16@{self._RATE}"]
        return [*voice, "-r", pace, *form, "-f", str(said), "-o", str(heard)]

    @functools.cached_property
    def _voices(self) -> list[str]:
        """Their names: the columns before the language, which is two letters, a dash or underline, and two more."""
        try:
            listed = subprocess.run([self._program, "-v", "?"], capture_output=True, timeout=self._timeout, check=True)
        except (OSError, subprocess.SubprocessError):
            return []
        lines = listed.stdout.decode("utf-8", "replace").splitlines()
        found = [line.partition("#")[0].split() for line in lines]
        return [" ".join(words[:-1]) for words in found if len(words) > 1 and words[-1].startswith("en")]

    def _plain(self, text: str) -> str:
        return _without_phonemes(super()._plain(text))


def _without_phonemes(text: str) -> str:
    """``text`` without double brackets, between which espeak reads phonemes, and say commands."""
    return text.replace("[[", "[ [").replace("]]", "] ]")


ENGINES: dict[str, type[Engine]] = {engine.program: engine for engine in (Flite, EspeakNg, Espeak, Say)}
"""By the program's name, the best first."""
