"""Real words for the tests: sentences that flite speaks, and where in the sound each begins and ends."""

from __future__ import annotations

import functools
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

from rtsync.audio import PCM16, resample
from tests.simulator.voices import have

_PAUSE = "pau"


@dataclass(frozen=True)
class Spoken:
    """24 kHz PCM16, with flite's own pauses before and after; in milliseconds, where its first and last sound are."""

    pcm: bytes
    start_ms: float
    end_ms: float

    def between(self, before_ms: int, after_ms: int) -> Spoken:
        """The same with so much silence around it."""
        pcm = bytes(before_ms * PCM16.bytes_per_ms) + self.pcm + bytes(after_ms * PCM16.bytes_per_ms)
        return Spoken(pcm, before_ms + self.start_ms, before_ms + self.end_ms)


@functools.cache
def spoken(text: str, voice: str = "rms") -> Spoken:
    """`text` in one of flite's voices. Where each sound begins and ends flite itself says, not a detector of ours."""
    have()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spoken.wav")
        # The blank: a text without one would be taken for the name of a file.
        command = ["flite", "-voice", voice, "-psdur", "-t", f"{text} ", "-o", str(path)]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
        with wave.open(str(path)) as sound:
            pcm = resample(sound.readframes(sound.getnframes()), sound.getframerate(), PCM16.sample_rate)
    sounds = [(name, float(end) * 1000) for name, _, end in (each.partition(":") for each in told.split())]
    start_ms = sounds[0][1] if sounds[0][0] == _PAUSE else 0.0
    end_ms = sounds[-2][1] if sounds[-1][0] == _PAUSE else sounds[-1][1]
    return Spoken(pcm, start_ms, end_ms)
