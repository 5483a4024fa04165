"""PortAudio on ALSA's null device: the library itself, with a device that takes and gives as fast as it is asked."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from tests import apt

__all__ = ["have_portaudio", "null_config", "portaudio_with"]


@functools.cache
def have_portaudio() -> None:
    """Have PortAudio: installed by apt where it is missing, or the test fails and says so."""
    apt.have(lambda: [] if find_library("portaudio") else ["libportaudio2"], "play")


def null_config(folder: Path) -> str:
    """The path of a configuration of ALSA with one device, which goes nowhere: for `ALSA_CONFIG_PATH`."""
    path = folder / "asound.conf"
    path.write_text("pcm.!default { type null }\nctl.!default { type null }\n")
    return str(path)


def portaudio_with(config: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have PortAudio look for devices again, in that configuration of ALSA, and afterwards in the machine's own."""
    have_portaudio()
    import sounddevice

    def look_again() -> None:
        sounddevice._terminate()
        sounddevice._initialize()

    with monkeypatch.context() as here:
        here.setenv("ALSA_CONFIG_PATH", config)
        look_again()
        yield
    look_again()
