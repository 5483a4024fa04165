"""A speaker and a microphone that are not there, for tests and for machines without sound.

1. It keeps time like a device: ten milliseconds are asked for every ten milliseconds, at absolute moments, so that an
   hour is an hour. A machine that was asleep for more than a second is not made up for.
2. Stepped, it has no thread: ``advance(ms)`` lets its time pass, calling back in the calling thread.
3. ``_lock`` guards what the microphone is to hear and what the speaker has played. Callbacks run outside it.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

from rtsync.audio.formats import PCM16, AudioFormat, audio_format
from rtsync.audio.pcm import checked_sample_rate
from rtsync.audio.resampling import resample
from rtsync.devices.system import Device, Failed
from rtsync.edges.latch import Latch
from rtsync.vocabulary.errors import ConfigurationError, UsageError

__all__ = ["VirtualDevice"]

_numbers = itertools.count(1)
_LONGEST_DELAY = 1.0  # seconds
_JOIN_SECONDS = 2.0


class VirtualDevice:
    """A sound device without sound: ``Speaker(VirtualDevice())``, ``Microphone(VirtualDevice(hears=pcm))``.

    One can be the speaker and the microphone at once, and each several times.

    Args:
        sample_rate: Hz, of the device.
        period_ms: how much it asks for at a time.
        stepped: its time passes by ``advance`` only, and not by the clock.
        hears: PCM16 at 24,000 Hz that the microphone hears first; then silence.
        keep_ms: how much of what was played is kept, the newest of it.

    Raises:
        ConfigurationError: a rate or a length that is none.

    Threads: any. Not stepped, it calls back on a thread for each stream.
    """

    name = "virtual"

    def __init__(
        self,
        *,
        sample_rate: int = 24_000,
        period_ms: int = 10,
        stepped: bool = False,
        hears: bytes = b"",
        keep_ms: int = 60_000,
    ) -> None:
        self.sample_rate = checked_sample_rate(sample_rate)
        if isinstance(period_ms, bool) or not isinstance(period_ms, int) or not 1 <= period_ms <= 1_000:
            raise ConfigurationError(f"period_ms must be a whole number from 1 to 1000, not {period_ms!r}")
        self.period = period_ms / 1_000
        self.frame_count = sample_rate * period_ms // 1_000
        self.stepped = stepped
        self._keep = 2 * keep_ms * sample_rate // 1_000
        self._lock = threading.Lock()
        self._streams: list[_VirtualStream] = []
        self._time = 0.0
        self._unplugged = False
        self._sounds = bytearray()
        self._played = bytearray()
        self.hear(hears)

    def __repr__(self) -> str:
        return f"<VirtualDevice, {self.sample_rate} Hz{', stepped' if self.stepped else ''}>"

    # -- from outside ------------------------------------------------------------------------------------------------

    def hear(self, sound: bytes, form: AudioFormat | str = PCM16) -> None:
        """Have the microphone hear ``sound``, behind what it is to hear already. Threads: any.

        Raises:
            ConfigurationError: no such format, or half a sample.
        """
        chosen = audio_format(form)
        pcm = resample(chosen.to_pcm(sound), chosen.sample_rate, self.sample_rate) if sound else b""
        with self._lock:
            self._sounds += pcm

    @property
    def played(self) -> bytes:
        """What came out of the speaker, PCM16 at ``sample_rate``, the silence between too. Threads: any."""
        with self._lock:
            return bytes(self._played)

    def advance(self, duration_ms: float) -> None:
        """Let ``duration_ms`` pass. Speakers and microphones call back meanwhile, in the calling thread.

        Raises:
            UsageError: the device is not stepped.
        """
        if not self.stepped:
            raise UsageError("advance() is for VirtualDevice(stepped=True); this one follows the clock")
        until = _moment(self._time + duration_ms / 1_000)
        while (due := min((stream.due for stream in list(self._streams)), default=until)) < until:
            self._time = max(self._time, due)
            for stream in list(self._streams):
                if stream.due <= due:
                    stream.tick()
        self._time = until

    def unplug(self) -> None:
        """Be gone, as a device whose cable is pulled. Threads: any."""
        self._unplugged = True
        for stream in list(self._streams):
            stream.fail("it was unplugged")

    # -- as a system of one device -------------------------------------------------------------------------------------

    def devices(self) -> list[Device]:
        """Itself."""
        return [Device(0, self.name, self.name, 1, 1, self.sample_rate, default_input=True, default_output=True)]

    def output(self, device: Device | None = None, sample_rate: int = 0) -> VirtualOutput:
        """A speaker at the device's rate."""
        self._check()
        return VirtualOutput(self)

    def input(self, device: Device | None = None, sample_rate: int = 0) -> VirtualInput:
        """A microphone at the device's rate."""
        self._check()
        return VirtualInput(self)

    def now(self) -> float:
        """The moment on its clock, in seconds. Threads: any."""
        return self._time if self.stepped else time.monotonic()

    def _check(self) -> None:
        if self._unplugged:
            raise ConfigurationError("the virtual device was unplugged")

    def enter(self, stream: _VirtualStream) -> None:
        """``stream`` begins to call back."""
        self._streams.append(stream)

    def leave(self, stream: _VirtualStream) -> None:
        """``stream`` calls back no more."""
        if stream in self._streams:
            self._streams.remove(stream)

    def put(self, pcm: bytes) -> None:
        """A speaker has played ``pcm``."""
        with self._lock:
            self._played += pcm
            if len(self._played) > 2 * self._keep:
                del self._played[: -self._keep or None]

    def get(self) -> bytes:
        """What a microphone hears in one period."""
        size = 2 * self.frame_count
        with self._lock:
            pcm = bytes(self._sounds[:size])
            del self._sounds[:size]
        return pcm.ljust(size, b"\0")


class _VirtualStream:
    """One direction; ticks once a period, on a thread of its own where the device is not stepped."""

    def __init__(self, device: VirtualDevice) -> None:
        self.sample_rate = device.sample_rate
        self.paced = not device.stepped
        self.due = 0.0
        self._began = 0.0
        self._ticks = 0
        self._device = device
        self._call: Any = None
        self._failed: Failed = lambda _: None
        self._over = Latch()
        self._thread: threading.Thread | None = None

    def now(self) -> float:
        return self._device.now()

    def start(self, call: Any, failed: Failed) -> None:
        self._call, self._failed = call, failed
        self._begin(self.now())
        self._device.enter(self)
        if self.paced:
            name = f"rtsync-virtual-{next(_numbers)}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    def _begin(self, at: float) -> None:
        self.due = self._began = _moment(at)
        self._ticks = 0

    def close(self) -> None:
        self._over.set()
        self._device.leave(self)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_SECONDS)

    def fail(self, reason: str) -> None:
        self._over.set()
        self._device.leave(self)
        self._failed(reason)

    def tick(self) -> None:
        """One period, which begins at ``due``."""
        at = self.due
        self._ticks += 1
        self.due = _moment(self._began + self._ticks * self._device.period)  # A sum of periods would not come out even.
        self.call_back(at)

    def call_back(self, at: float) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        while not self._over.wait(max(0.0, self.due - self.now())):
            if self.now() - self.due > _LONGEST_DELAY:
                self._begin(self.now())
            self.tick()


class VirtualOutput(_VirtualStream):
    """A speaker that keeps what it plays."""

    def call_back(self, at: float) -> None:
        """Play one period."""
        self._device.put(self._call(self._device.frame_count, at))


class VirtualInput(_VirtualStream):
    """A microphone that hears what it was told."""

    def call_back(self, at: float) -> None:
        """Record one period."""
        self._call(self._device.get())


def _moment(at: float) -> float:
    """To the nanosecond, so that moments that are the same compare as the same."""
    return round(at, 9)
