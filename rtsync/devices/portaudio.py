"""Sound devices by PortAudio, through sounddevice: the first choice where its library is there.

sounddevice brings PortAudio along on Windows and macOS; on Linux the package ``libportaudio2`` has it.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from array import array
from typing import Any

from rtsync.audio.pcm import pcm_bytes, samples
from rtsync.devices.alsa import quiet
from rtsync.devices.system import WAY_OUT, Device, Failed, Fill, Take
from rtsync.edges import forks
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["PortAudio", "doubled", "mixed"]

_LONGEST_LATENCY = 2.0  # seconds; beyond it a device's clock is not to be believed


class PortAudio:
    """The devices that PortAudio knows.

    Raises:
        ConfigurationError: sounddevice is not installed, or does not find PortAudio.
    """

    name = "PortAudio"

    def __init__(self) -> None:
        try:
            with forks.whole(), quiet():
                import sounddevice  # Loads PortAudio, and looks for devices.
        except ImportError:
            raise ConfigurationError("sounddevice is not installed (pip install 'rtsync[audio]')") from None
        except OSError as error:  # On Linux its wheel has no PortAudio.
            raise ConfigurationError(f"{error} (on Debian and Ubuntu: apt install libportaudio2)") from error
        self._library: Any = sounddevice

    def devices(self) -> list[Device]:
        """All devices of all its host interfaces."""
        with quiet():
            found = self._library.query_devices()
        default_input, default_output = self._library.default.device
        return [
            Device(
                number,
                str(info["name"]),
                self.name,
                info["max_input_channels"],
                info["max_output_channels"],
                int(info["default_samplerate"]),
                default_input=number == default_input,
                default_output=number == default_output,
                handle=number,
            )
            for number, info in enumerate(found)
        ]

    def output(self, device: Device | None, sample_rate: int) -> _Output:
        """A speaker."""
        return _Output(self._library, device, sample_rate)

    def input(self, device: Device | None, sample_rate: int) -> _Input:
        """A microphone."""
        return _Input(self._library, device, sample_rate)


class _PortStream:
    """One direction of a device."""

    kind = ""
    paced = True

    def __init__(self, library: Any, device: Device | None, sample_rate: int) -> None:
        self._library = library
        self._device = device
        self._stream: Any = None
        self._closing = False
        self.sample_rate, self._channels = self._accepted(sample_rate)

    def now(self) -> float:
        return time.monotonic()

    def close(self) -> None:
        self._closing = True
        stream, self._stream = self._stream, None
        if stream is not None:
            with quiet():
                stream.close()  # Drops what is in the device's buffer, which stop() would play to its end.

    def _accepted(self, sample_rate: int) -> tuple[int, int]:
        """Rate and channels: mono at the wanted rate, or what the device takes instead."""
        check = getattr(self._library, f"check_{self.kind}_settings")
        own = self._device.sample_rate if self._device is not None else 0
        problem = None
        for rate in dict.fromkeys((sample_rate, own or 48_000, 48_000, 44_100)):
            for channels in (1, 2):
                try:
                    with quiet():
                        check(device=self._handle, channels=channels, dtype="int16", samplerate=rate)
                except self._library.PortAudioError as error:
                    problem = problem or error
                else:
                    return rate, channels
        raise ConfigurationError(f"{self._named} cannot be opened: {problem}; {WAY_OUT}") from problem

    @property
    def _handle(self) -> int | None:
        return None if self._device is None else self._device.handle

    @property
    def _named(self) -> str:
        return f"the default {self.kind} device" if self._device is None else f"the sound device {self._device.name!r}"

    def _open(self, kind: Any, callback: Any, failed: Failed) -> None:
        def finished() -> None:
            if not self._closing:
                failed("PortAudio stopped it")

        try:
            with forks.whole(), quiet():
                self._stream = kind(
                    samplerate=self.sample_rate,
                    device=self._handle,
                    channels=self._channels,
                    dtype="int16",
                    latency="low",
                    callback=callback,
                    finished_callback=finished,
                )
                self._stream.start()
        except self._library.PortAudioError as error:
            self._closing = True
            raise ConfigurationError(f"{self._named} cannot be opened: {error}; {WAY_OUT}") from error


class _Output(_PortStream):
    kind = "output"

    def start(self, fill: Fill, failed: Failed) -> None:
        stereo = self._channels == 2

        def callback(out: Any, frame_count: int, moments: Any, _status: Any) -> None:
            delay = moments.outputBufferDacTime - moments.currentTime
            pcm = fill(frame_count, self.now() + (delay if 0 <= delay <= _LONGEST_LATENCY else 0.0))
            out[:] = doubled(pcm) if stereo else pcm

        self._open(self._library.RawOutputStream, callback, failed)


class _Input(_PortStream):
    kind = "input"

    def start(self, take: Take, failed: Failed) -> None:
        stereo = self._channels == 2

        def callback(recorded: Any, _frame_count: int, _moments: Any, _status: Any) -> None:
            take(mixed(bytes(recorded)) if stereo else bytes(recorded))

        self._open(self._library.RawInputStream, callback, failed)


def doubled(pcm: bytes) -> bytes:
    """``pcm``, the same on both of two channels."""
    values = samples(pcm)
    both = array("h", bytes(2 * len(pcm)))
    both[0::2] = both[1::2] = values
    return pcm_bytes(both)


def mixed(pcm: bytes) -> bytes:
    """The mean of the two channels of ``pcm``."""
    values = samples(pcm)
    return pcm_bytes(array("h", [(left + right) // 2 for left, right in zip(values[0::2], values[1::2], strict=True)]))


def _in_child() -> None:
    """A forked child leaves PortAudio's devices to its parent: at its end it would stop what they play."""
    end = getattr(sys.modules.get("sounddevice"), "_exit_handler", None)
    if end is not None:
        atexit.unregister(end)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
