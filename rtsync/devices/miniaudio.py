"""Sound devices by miniaudio, which needs no library of the system: where PortAudio is missing.

miniaudio brings every device to mono at the rate that is asked for. It does not say when a sample will be heard; what
waits in its buffer is estimated by the length that it was told to make that.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Generator
from typing import Any

from rtsync.devices.alsa import quiet
from rtsync.devices.system import WAY_OUT, Device, Failed, Fill, Take
from rtsync.edges import forks
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["Miniaudio"]

_PERIOD_MS = 20
_ALSA_NULL = "Discard all samples"  # ALSA's own null device, there on every machine; it keeps no time at all.


class Miniaudio:
    """The devices that miniaudio knows.

    Args:
        null: use its null device, which plays to nobody in real time, and no other.

    Raises:
        ConfigurationError: miniaudio is not installed.
    """

    def __init__(self, *, null: bool = False) -> None:
        try:
            with forks.whole(), quiet():
                import miniaudio
        except ImportError:
            raise ConfigurationError("miniaudio is not installed (pip install 'rtsync[audio]')") from None
        self.name = "null" if null else "miniaudio"
        self._library: Any = miniaudio
        # Left to itself it would take its null device where it finds no other, and nobody would know.
        real = [backend for backend in miniaudio.Backend if backend is not miniaudio.Backend.NULL]
        self._backends = [miniaudio.Backend.NULL] if null else real

    def devices(self) -> list[Device]:
        """All devices: what plays, then what records."""
        try:
            with quiet():
                known = self._library.Devices(self._backends)
                found = [("output", info) for info in known.get_playbacks()]
                found += [("input", info) for info in known.get_captures()]
        except self._library.MiniaudioError:
            return []
        found = [(kind, info) for kind, info in found if not info["name"].startswith(_ALSA_NULL)]
        return [self._device(number, kind, info) for number, (kind, info) in enumerate(found)]

    def _device(self, number: int, kind: str, info: dict[str, Any]) -> Device:
        form: dict[str, Any] = next(iter(info["formats"]), {})
        channels = form.get("channels") or 1  # 0: any number.
        return Device(
            number,
            info["name"],
            self.name,
            channels if kind == "input" else 0,
            channels if kind == "output" else 0,
            form.get("samplerate", 0),
            handle=info["id"],
        )

    def output(self, device: Device | None, sample_rate: int) -> _Output:
        """A speaker."""
        return _Output(self._opened(self._library.PlaybackDevice, "output", device, sample_rate), sample_rate)

    def input(self, device: Device | None, sample_rate: int) -> _Input:
        """A microphone."""
        return _Input(self._opened(self._library.CaptureDevice, "input", device, sample_rate), sample_rate)

    def _opened(self, kind: Any, direction: str, device: Device | None, sample_rate: int) -> Any:
        try:
            with forks.whole(), quiet():
                return kind(
                    nchannels=1,
                    sample_rate=sample_rate,
                    buffersize_msec=_PERIOD_MS,
                    device_id=None if device is None else device.handle,
                    backends=self._backends,
                    app_name="rtsync",
                )
        except self._library.MiniaudioError as error:
            named = f"the default {direction} device" if device is None else f"the sound device {device.name!r}"
            raise ConfigurationError(f"{named} cannot be opened: {_said(error)}; {WAY_OUT}") from error


_open: weakref.WeakSet[_MiniStream] = weakref.WeakSet()


class _MiniStream:
    """One direction of a device."""

    paced = True

    def __init__(self, device: Any, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._device = device
        self._closing = False
        _open.add(self)

    def disown(self) -> None:
        """A forked child leaves the device to its parent: closing it would wait for a thread that is not there."""
        self._closing = True
        device, self._device = self._device, None
        if device is not None:
            device.running, device._device = False, None  # Else it would close it when it is collected.

    def now(self) -> float:
        return time.monotonic()

    def close(self) -> None:
        self._closing = True
        device, self._device = self._device, None
        if device is not None:
            with quiet():
                device.close()

    def _start(self, calls: Generator[Any, Any, None], failed: Failed) -> None:
        def stopped() -> None:
            if not self._closing:
                failed("miniaudio stopped it")

        next(calls)  # It wants a generator that waits for its first value.
        self._device.stop_callback = stopped
        try:
            with forks.whole(), quiet():
                self._device.start(calls)
        except Exception as error:  # A MiniaudioError; its module is the system's to know.
            self._closing = True
            raise ConfigurationError(f"the sound device does not start: {_said(error)}") from error


class _Output(_MiniStream):
    def start(self, fill: Fill, failed: Failed) -> None:
        def calls() -> Generator[bytes, int, None]:
            pcm = b""
            while True:
                frame_count = yield pcm
                pcm = fill(frame_count, self.now() + _PERIOD_MS / 1_000)

        self._start(calls(), failed)


class _Input(_MiniStream):
    def start(self, take: Take, failed: Failed) -> None:
        def calls() -> Generator[None, bytearray, None]:
            while True:
                recorded = yield
                take(bytes(recorded))

        self._start(calls(), failed)


def _in_child() -> None:
    for stream in list(_open):
        stream.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _said(error: BaseException) -> str:
    """``MiniaudioError("failed to init device", -401)`` in words."""
    return " ".join(map(str, error.args))
