"""What is still to be played: sound of several parts, brought to the device's rate as the device takes it.

Conversion waits until the device asks, ten milliseconds at a time: a minute of speech that comes at once costs whoever
brings it nothing, and what is thrown away was never converted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from rtsync.audio.formats import AudioFormat
from rtsync.audio.resampling import Resampler

__all__ = ["Playlist"]

Part = TypeVar("Part", bound=Hashable)
_STEP_MS = 10


class _Converter:
    """One part on its way to the device."""

    def __init__(self, form: AudioFormat, sample_rate: int) -> None:
        self.form = form
        self._resampler = None if form.sample_rate == sample_rate else Resampler(form.sample_rate, sample_rate)

    def feed(self, data: bytes) -> bytes:
        pcm = self.form.to_pcm(data)
        return pcm if self._resampler is None else self._resampler.feed(pcm)

    def flush(self) -> bytes:
        return b"" if self._resampler is None else self._resampler.flush()


class Playlist(Generic[Part]):
    """Sound in the order in which it was added.

    Args:
        sample_rate: Hz, of what ``take`` gives.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._queue: deque[tuple[Part, AudioFormat, memoryview | None]] = deque()  # None: the part has ended
        self.clear()

    def add(self, part: Part, form: AudioFormat, data: bytes) -> None:
        """Play ``data``, whole samples of ``form``, behind all that is there."""
        if data:
            self._queue.append((part, form, memoryview(data)))
            self.queued_ms += len(data) / form.bytes_per_ms

    def end(self, part: Part, form: AudioFormat) -> None:
        """Nothing more comes of ``part``."""
        self._queue.append((part, form, None))

    def clear(self) -> None:
        """Forget all of it."""
        self._queue.clear()
        self._part: Part | None = None
        self._converter: _Converter | None = None
        self._ready = b""
        self.queued_ms = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be taken."""
        return not self._queue and not self._ready

    def take(self, frame_count: int) -> tuple[bytes, list[tuple[Part, int]]]:
        """At most ``frame_count`` samples of PCM16, and how many of which part."""
        made = bytearray()
        spans: list[tuple[Part, int]] = []
        while (missing := 2 * frame_count - len(made)) > 0:
            if not self._ready and not self._convert():
                break
            piece, self._ready = self._ready[:missing], self._ready[missing:]
            made += piece
            assert self._part is not None
            spans.append((self._part, len(piece) // 2))
        return bytes(made), spans

    def _convert(self) -> bool:
        """Have something ready, all of it of one part; False where there is nothing to be had."""
        while not self._ready and self._queue:
            part, form, data = self._queue[0]
            if self._converter is None or part != self._part or form is not self._converter.form:
                self._change_to(part, form)
            elif data is None:
                self._queue.popleft()
                self._ready, self._converter = self._converter.flush(), None
            else:
                self._ready = self._converter.feed(self._next_step(part, form, data))
        if not self._queue:
            self.queued_ms = 0.0  # A sum of fractions does not come out even.
        return bool(self._ready)

    def _change_to(self, part: Part, form: AudioFormat) -> None:
        """The end of one part is taken before the beginning of the next."""
        if self._converter is not None:
            self._ready, self._converter = self._converter.flush(), None
        else:
            self._part, self._converter = part, _Converter(form, self._rate)

    def _next_step(self, part: Part, form: AudioFormat, data: memoryview) -> bytes:
        size = _STEP_MS * form.bytes_per_ms
        step, rest = data[:size], data[size:]
        self.queued_ms -= len(step) / form.bytes_per_ms
        if rest:
            self._queue[0] = part, form, rest
        else:
            self._queue.popleft()
        return bytes(step)
