"""``Microphone``: what a device records, as chunks in a session's format.

1. The device's callback appends to ``_blocks``, measures the level and rings; it takes no lock. Bringing sound to the
   wanted rate and format is the business of the thread that reads.
2. When nobody reads, the oldest sound is dropped and counted: what is said now matters more than what was said before.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

from rtsync.audio.formats import PCM16, AudioFormat, audio_format
from rtsync.audio.levels import LevelMeter
from rtsync.audio.resampling import Resampler
from rtsync.devices.choice import DeviceChoice, open_input
from rtsync.devices.opened import LOOK_SECONDS, Opened
from rtsync.devices.system import InputStream
from rtsync.vocabulary.deadline import Deadline, seconds
from rtsync.vocabulary.errors import ConfigurationError, WaitTimeout

__all__ = ["Microphone"]


class Microphone(Opened[InputStream]):
    """Records from a device; an iterator of chunks.

    ::

        with Microphone() as microphone:
            for chunk in microphone:
                session.append_audio(chunk)

    Args:
        device: as of ``Speaker``.
        form: of the chunks: a session's input format.
        chunk_ms: length of a chunk.
        max_queue_ms: how much is kept while nobody reads, the newest of it; less than a chunk more or less.

    Raises:
        ConfigurationError: no such format, or a length that is none. From ``open()``: no device, no such device, no
            library for it.

    Threads: one thread reads; ``close()`` and what it knows from any. Several readers each get a share. In a process
    that inherits an open one by a fork ``read`` raises ``UsageError``.
    """

    _word = "microphone"
    _stalled = "recorded nothing"

    def __init__(
        self,
        device: DeviceChoice = None,
        *,
        form: AudioFormat | str = PCM16,
        chunk_ms: int = 20,
        max_queue_ms: int = 5_000,
    ) -> None:
        super().__init__(device)
        self.form = audio_format(form)
        self.chunk_ms = _whole(chunk_ms, "chunk_ms")
        self.max_queue_ms = _whole(max_queue_ms, "max_queue_ms")
        self._blocks: deque[bytes] = deque()
        self._taken = 0
        self._recorded = 0
        self._dropped = 0
        self._chunk = b""

    def __repr__(self) -> str:
        state = "closed" if self._closed else "not open" if self._stream is None else "open"
        return f"<Microphone {state}, {self.form.name} by {self.chunk_ms} ms>"

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = self.read(timeout=None)
        if chunk is None:
            raise StopIteration
        return chunk

    def _made(self) -> InputStream:
        stream = open_input(self._choice, self.form.sample_rate)
        self._meter = LevelMeter(stream.sample_rate)
        same = stream.sample_rate == self.form.sample_rate
        self._resampler = None if same else Resampler(stream.sample_rate, self.form.sample_rate)
        self._most = 2 * stream.sample_rate * self.max_queue_ms // 1_000
        return stream

    def _start(self, stream: InputStream) -> None:
        stream.start(self._take, self._fail)

    def read(self, *, timeout: float | None = 10.0, unless: Callable[[], bool] | None = None) -> bytes | None:
        """The next chunk, ``chunk_ms`` in ``form``; None at the end, when the microphone was closed.

        Args:
            timeout: in seconds; None waits for ever.
            unless: ends the wait for a chunk that is not there yet: it is asked with all that is recorded, and at
                ``wake()``. None is returned where it is true.

        Raises:
            WaitTimeout: it is not there yet.
            DeviceFailed: the device is gone, and all that it recorded was read.
            UsageError: the microphone is not open.

        Threads: blocks the caller.
        """
        if not self._closed or self._stream is None:  # A closed one still gives what it has recorded.
            self._check_opened()
        deadline = Deadline(seconds(timeout, "timeout", none="wait for ever", zero=True))
        size = self.form.byte_count(self.chunk_ms)
        while len(self._chunk) < size:
            if self._blocks:
                self._chunk += self._converted()
            elif self._closed or (unless is not None and unless()):
                return None
            else:
                self._check_alive()
                self._await(deadline, unless)
        chunk, self._chunk = self._chunk[:size], self._chunk[size:]
        return chunk

    def wake(self) -> None:
        """Have a ``read`` that blocks ask its ``unless`` again. Threads: any."""
        self._bell.ring()

    # -- what it knows -----------------------------------------------------------------------------------------------

    @property
    def rms_dbfs(self) -> float:
        """How loud it is now; also while nobody reads. Minus infinity before anything was recorded."""
        return float("-inf") if self._stream is None else self._meter.rms_dbfs

    @property
    def peak_dbfs(self) -> float:
        """The highest peak, falling by 20 dB a second."""
        return float("-inf") if self._stream is None else self._meter.peak_dbfs

    @property
    def queued_ms(self) -> int:
        """How much was recorded and not read."""
        return self._in_ms(self._recorded - self._taken - self._dropped)

    @property
    def dropped_ms(self) -> int:
        """How much was dropped so far because nobody read it in time."""
        return self._in_ms(self._dropped)

    # -- how ---------------------------------------------------------------------------------------------------------

    def _in_ms(self, byte_count: int) -> int:
        return 0 if self._stream is None else max(0, byte_count) * 500 // self._stream.sample_rate

    def _converted(self) -> bytes:
        try:
            block = self._blocks.popleft()
        except IndexError:  # It was dropped at this moment.
            return b""
        self._taken += len(block)
        pcm = block if self._resampler is None else self._resampler.feed(block)
        return self.form.from_pcm(pcm)

    def _await(self, deadline: Deadline, unless: Callable[[], bool] | None) -> None:
        def more() -> bool:
            known = bool(self._blocks) or self._closed or self._failure is not None
            return known or (unless is not None and unless())

        if not self._bell.wait_until(more, deadline.remaining(LOOK_SECONDS)) and deadline.passed:
            raise WaitTimeout(f"no chunk of {self.chunk_ms} ms was recorded within {deadline.timeout:g} s")

    # -- the device's side ---------------------------------------------------------------------------------------------

    def _take(self, pcm: bytes) -> None:
        self._beat = time.monotonic()
        self._recorded += len(pcm)
        self._blocks.append(pcm)
        self._meter.feed(pcm)
        while self._recorded - self._taken - self._dropped > self._most and len(self._blocks) > 1:
            try:
                self._dropped += len(self._blocks.popleft())
            except IndexError:  # It was read at this moment.
                break
        self._bell.ring()


def _whole(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} must be a whole number of milliseconds, at least 1, not {value!r}")
    return value
