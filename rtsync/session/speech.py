"""Sound that a session says: one source at a time, chunk by chunk, at the pace of speech or as fast as it goes.

1. Chunks are due on an absolute schedule (``rtsync.audio.pacing``), in the thread that called; nothing is read ahead.
2. A chunk that the kernel took is not sent again. When a line breaks and the session goes on, so does the sending, as
   long as nothing that was said is lost: an input buffer with part of a turn is not carried over, and half of a turn
   shall not pass for all of it.
3. One source at a time: two in one input buffer would be heard as neither.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from rtsync.edges.latch import Latch
from rtsync.threads.reader import Core
from rtsync.vocabulary.errors import CloseCause, ConfigurationError, ConnectionLost, UsageError

if TYPE_CHECKING:
    from rtsync.audio import AudioFormat, AudioReader
    from rtsync.audio.pacing import Pacer

__all__ = [
    "CHUNK_MS",
    "Progress",
    "Speech",
    "checked_silence_ms",
    "input_settings",
    "silence_to_end_a_turn",
    "speed_of",
    "with_its_form",
]

CHUNK_MS = 40
"""Two frames of the 20 ms that turn detection works in: it hears speech 40 ms late at most, at 25 events a second."""

Progress = Callable[[int, int | None], object]
"""Called with the milliseconds that have been sent, and those that there will be, or None."""

_HEARING_MS = 200  # beyond the silence that ends a turn: frames, and the last sounds of a word
_LONGEST_MEANT_PAUSE_MS = {"low": 8_000, "medium": 4_000, "auto": 4_000, "high": 2_000}  # protocol 4.2
_USUAL_SILENCE_MS = 500  # of a detection that does not say


class Speech:
    """What a session says with ``send_audio``.

    Args:
        core: the session's.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._running: dict[str, _Stoppable] = {}  # One at most: set and looked at in one step, whatever interrupts.

    def send(
        self,
        open_source: Callable[[], AudioReader],
        append: Callable[[bytes], None],
        *,
        speed: float | None,
        silence_ms: int,
        progress: Progress | None,
    ) -> int:
        """Have ``append`` send what ``open_source()`` gives, and silence behind it; returns the milliseconds sent."""
        sending = _Sending(self._core, append, speed, progress)
        with self.of(sending), open_source() as reader:
            return sending.run(reader, silence_ms)

    @contextlib.contextmanager
    def of(self, speaking: _Stoppable) -> Iterator[None]:
        """While ``speaking``, and nothing else, fills the input buffer.

        Raises:
            UsageError: something else does.
        """
        try:
            other = self._running.setdefault("now", speaking)
            if other is not speaking:
                raise UsageError(
                    f"{other.call}() is already at work on this session, and one input buffer cannot hold two sounds"
                    f" at once; wait for it, or end it with {other.way_out}()"
                )
            yield
        finally:
            if self._running.get("now") is speaking:
                del self._running["now"]

    def stop(self, way_out: str) -> None:
        """Have what is at work return, if this is its way out."""
        speaking = self._running.get("now")
        if speaking is not None and speaking.way_out == way_out:
            speaking.stop()


class _Stoppable(Protocol):
    """What fills the input buffer; ``call`` and ``way_out`` are names of methods of the session."""

    call: ClassVar[str]
    way_out: ClassVar[str]

    def stop(self) -> None:
        """Have it end before its next chunk."""
        ...


class _Sending:
    """One source on its way."""

    call: ClassVar[str] = "send_audio"
    way_out: ClassVar[str] = "stop_audio"

    def __init__(
        self, core: Core, append: Callable[[bytes], None], speed: float | None, progress: Progress | None
    ) -> None:
        self.stopped = Latch()
        self._core = core
        self._append = append
        self._speed = speed
        self._progress = progress
        self._losses = core.audio_losses
        self._sent = 0  # bytes
        self._pacer: Pacer | None = None

    def stop(self) -> None:
        self.stopped.set()

    def run(self, reader: AudioReader, silence_ms: int) -> int:
        form = reader.form
        total_ms = None if reader.duration_ms is None else reader.duration_ms + silence_ms
        for chunk in _with_silence(reader, silence_ms):
            if not self._await_turn(self._sent / form.bytes_per_ms):
                break
            self._check_unbroken(form)
            self._say(chunk)
            self._sent += len(chunk)
            self._check_unbroken(form)
            if self._progress is not None:
                sent_ms = form.duration_ms(self._sent)
                self._progress(sent_ms, None if total_ms is None else max(sent_ms, total_ms))
        return form.duration_ms(self._sent)

    def _await_turn(self, position_ms: float) -> bool:
        """Block until what begins at ``position_ms`` is due; False where sending was stopped."""
        if self._speed is None:
            return not self.stopped
        now = time.monotonic()
        if self._pacer is None:  # The source is open, and its first chunk is there.
            from rtsync.audio.pacing import Pacer

            self._pacer = Pacer(now, self._speed)
        delay = self._pacer.delay(position_ms, now)
        return not (self.stopped.wait(delay) if delay else self.stopped)

    def _say(self, chunk: bytes) -> None:
        try:
            self._append(chunk)
        except ConnectionLost:  # The kernel took it while the line ended: it went with what was sent before it.
            if self._core.error is not None or not self._core.recovers:
                raise

    def _check_unbroken(self, form: AudioFormat) -> None:
        if self._core.audio_losses != self._losses:
            raise ConnectionLost(
                f"the line was lost after {form.duration_ms(self._sent)} ms of sound had been sent, in the middle of a"
                " turn, of which the new connection knows nothing. The session goes on there: clear_audio(), and send"
                " the turn again",
                code=1006,
                cause=CloseCause.NETWORK,
                in_flight=("input_audio_buffer.append",),
            )


def _with_silence(reader: AudioReader, silence_ms: int) -> Iterator[bytes]:
    yield from reader
    silence = reader.form.silence(reader.chunk_ms)
    left = reader.form.byte_count(silence_ms)
    while left > 0:
        yield silence[:left]
        left -= len(silence)


def speed_of(pace: object) -> float | None:
    """``pace`` as a factor of real time; None for as fast as it goes."""
    if isinstance(pace, bool):
        return 1.0 if pace else None
    if not isinstance(pace, int | float) or not 0 < pace < math.inf:
        raise ConfigurationError(f"pace must be True (real time), False (as fast as it goes) or a factor, not {pace!r}")
    return float(pace)


def with_its_form(source: object) -> tuple[Iterator[bytes], AudioFormat] | None:
    """The chunks and the format of a source that says what it has, as a ``Microphone`` and an ``AudioReader`` do."""
    from rtsync.audio import AudioFormat

    form = getattr(source, "form", None)
    if not isinstance(form, AudioFormat) or not isinstance(source, Iterable):
        return None
    return (chunk for chunk in source), form  # Without the read() of a microphone, which is no file's.


def input_settings(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a session is configured to do with the user's audio (protocol 4.1)."""
    return _mapping(_mapping(config.get("audio")).get("input"))


def silence_to_end_a_turn(settings: Mapping[str, Any]) -> int:
    """Milliseconds of silence behind which voice detection is sure to have heard that a turn is over (protocol 4.2)."""
    detection = settings.get("turn_detection")
    if not isinstance(detection, Mapping):
        return 0
    if detection.get("type") == "semantic_vad":
        eagerness = detection.get("eagerness")
        return _LONGEST_MEANT_PAUSE_MS.get(str(eagerness), _LONGEST_MEANT_PAUSE_MS["auto"]) + _HEARING_MS
    needed = detection.get("silence_duration_ms")
    return (needed if type(needed) is int and needed >= 0 else _USUAL_SILENCE_MS) + _HEARING_MS


def checked_silence_ms(silence_ms: object) -> int:
    """A number of milliseconds, 0 or more."""
    if isinstance(silence_ms, bool) or not isinstance(silence_ms, int) or silence_ms < 0:
        raise ConfigurationError(f"silence_ms must be a whole number of milliseconds, 0 or more, not {silence_ms!r}")
    return silence_ms


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
