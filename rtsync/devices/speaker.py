"""``Speaker``: plays what it is given, and knows what was heard.

1. ``_lock`` guards the playlist, the playhead and the parts. The device's callback takes it too, so nobody holds it for
   longer than converting ten milliseconds of sound takes; it is reentrant so that ``stop()`` in a signal handler
   cannot lock itself out.
2. Sound belongs to a *part*: an item of the conversation and the index of its content. A part that was stopped stays
   stopped: what comes late for it is not played.
3. What was handed to the device and has not sounded yet, by what the device says of its delay, was not heard.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from rtsync.audio.formats import PCM16, AudioFormat, audio_format
from rtsync.devices.choice import DeviceChoice, open_output
from rtsync.devices.opened import LOOK_SECONDS, Opened
from rtsync.devices.playhead import Playhead
from rtsync.devices.playlist import Playlist
from rtsync.devices.system import OutputStream
from rtsync.vocabulary.deadline import Deadline, seconds
from rtsync.vocabulary.errors import ConfigurationError, UsageError, WaitTimeout

__all__ = ["Heard", "Sounding", "Speaker", "Watch"]

_MOST_PARTS = 256
_MOST_SOUNDINGS = 1_024  # that wait to be taken


class Heard(msgspec.Struct, frozen=True):
    """What was heard of one part.

    Attributes:
        item_id: of the item, None for sound that is of none.
        content_index: of the item's content.
        heard_ms: how much of it was heard.
        given_ms: how much of it the speaker was given.
        finished: whether it was heard to its end.
    """

    item_id: str | None
    content_index: int
    heard_ms: int
    given_ms: int
    finished: bool


class Sounding(msgspec.Struct, frozen=True):
    """A part begins to sound, or ceases to.

    Attributes:
        item_id: of the item.
        content_index: of the item's content.
        at: the moment, in seconds of ``time.monotonic()``.
        ended: whether it sounds no more, because it was heard to its end or stopped; else its first sample is heard.
    """

    item_id: str
    content_index: int
    at: float
    ended: bool


class Watch:
    """What begins and ceases to sound: made by ``Speaker.watch``."""

    def __init__(self, told: Callable[[], object], leave: Callable[[Watch], object]) -> None:
        self.told = told
        self._leave = leave
        self._soundings: deque[Sounding] = deque(maxlen=_MOST_SOUNDINGS)

    def __bool__(self) -> bool:
        """Whether there is something to take."""
        return bool(self._soundings)

    def take(self) -> Iterator[Sounding]:
        """What there is, in order; each once. Threads: one at a time."""
        while self._soundings:
            yield self._soundings.popleft()

    def close(self) -> None:
        """Be told no more. What was told can still be taken."""
        self._leave(self)

    def tell(self, soundings: Iterable[Sounding]) -> None:
        """Called by the speaker, in the device's thread too."""
        self._soundings.extend(soundings)
        self.told()


class _Part(NamedTuple):
    item_id: str | None
    content_index: int
    number: int  # Sound of no item is another part after each stop.


class _Given:
    """What a speaker was given of one part."""

    __slots__ = ("byte_count", "ended", "form", "over")

    def __init__(self, form: AudioFormat) -> None:
        self.form = form
        self.byte_count = 0
        self.ended = False  # Nothing more comes of it.
        self.over = False  # It was stopped, or heard to its end and told of.


class Speaker(Opened[OutputStream]):
    """Plays sound on a device.

    ::

        with Speaker() as speaker:
            for chunk in response.audio_chunks():
                speaker.play(chunk)
            speaker.drain()

    ``session.attach(speaker)`` does that for every answer of a session, and handles interruptions.

    Args:
        device: number, name or part of a name (``devices()`` lists them), a ``VirtualDevice``, ``"virtual"`` for one,
            ``"null"`` for miniaudio's device without sound; None for the default one.
        form: of what is played: a session's output format.
        max_queue_ms: how much sound may wait to be played.

    Raises:
        ConfigurationError: no such format. From ``open()``: no device, no such device, no library for it.

    Threads: every method from any thread. None but ``drain`` blocks. A process that inherits an open one by a fork
    cannot use it: each call raises ``UsageError``, but ``close()``.
    """

    _word = "speaker"
    _stalled = "asked for nothing"

    def __init__(
        self, device: DeviceChoice = None, *, form: AudioFormat | str = PCM16, max_queue_ms: int = 1_200_000
    ) -> None:
        super().__init__(device)
        self.form = audio_format(form)
        self.max_queue_ms = max_queue_ms
        self._lock = threading.RLock()
        self._stops = 0
        self._parts: dict[_Part, _Given] = {}
        self._last: _Part | None = None
        self._watches: tuple[Watch, ...] = ()
        self._sounding: dict[_Part, _Given] = {}  # Told to have begun, and not to have ended.

    def __repr__(self) -> str:
        rate = f", {self._stream.sample_rate} Hz" if self._stream is not None else ""
        return f"<Speaker {'closed' if self._closed else 'open' if rate else 'not open'}{rate}>"

    def _made(self) -> OutputStream:
        stream = open_output(self._choice, self.form.sample_rate)
        self._playlist: Playlist[_Part] = Playlist(stream.sample_rate)
        self._playhead: Playhead[_Part] = Playhead(stream.sample_rate)
        return stream

    def _start(self, stream: OutputStream) -> None:
        stream.start(self._fill, self._fail)

    def _fall_silent(self) -> None:
        self.stop()

    # -- playing -----------------------------------------------------------------------------------------------------

    def play(
        self,
        sound: bytes,
        *,
        item_id: str | None = None,
        content_index: int = 0,
        form: AudioFormat | str | None = None,
    ) -> None:
        """Play ``sound`` behind all that is to be played; returns at once.

        Args:
            sound: whole samples, without a header.
            item_id: the item of the conversation that it is of. What comes for an item that was stopped is not played.
            content_index: of the item's content.
            form: of ``sound``; the speaker's where None.

        Raises:
            ConfigurationError: half a sample.
            DeviceFailed: the device is gone.
            UsageError: the speaker is not open, or more than ``max_queue_ms`` would wait.
        """
        self._check()
        chosen = self.form if form is None else audio_format(form)
        if len(sound) % chosen.sample_bytes:
            raise ConfigurationError(f"{chosen.name} has {chosen.sample_bytes} bytes a sample, and half of one came")
        with self._lock:
            if self._playlist.queued_ms + len(sound) / chosen.bytes_per_ms > self.max_queue_ms:
                raise UsageError(f"more than {self.max_queue_ms} ms of sound would wait for the speaker: max_queue_ms")
            part = self._part(item_id, content_index)
            given = self._parts.get(part) or self._begin(part, chosen)
            if not given.over:
                given.byte_count += len(sound)
                self._playlist.add(part, chosen, bytes(sound))

    def finish(self, item_id: str | None = None, content_index: int = 0) -> None:
        """Nothing more comes of this part; once it is heard to its end it counts as finished."""
        self._check_process()
        with self._lock:
            self._end(self._part(item_id, content_index))

    def stop(self) -> tuple[Heard, ...]:
        """Stop playing at once; what waits is thrown away.

        Returns:
            What was heard of every part that was not told of by an earlier ``stop``. Parts that were heard to their
            end are ``finished``.
        """
        if self._stream is None:
            return ()
        self._check_process()
        with self._lock:
            now = self._stream.now()
            self._tell_news()
            self._playhead.stop(now)
            self._playlist.clear()
            self._tell((part, now, True) for part in self._sounding)
            self._sounding.clear()
            self._stops += 1
            told = tuple(self._heard(part, given) for part, given in self._parts.items() if not given.over)
            for given in self._parts.values():
                given.over = True
        self._bell.ring()
        return told

    def drain(self, *, timeout: float | None = 60.0) -> None:
        """Block until everything has been heard, or was stopped.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            WaitTimeout: there is more.
            DeviceFailed: the device is gone.
            UsageError: the speaker is not open.
        """
        deadline = Deadline(seconds(timeout, "timeout", none="wait for ever", zero=True))
        self._check_process()
        with self._lock:
            if self._last is not None:
                self._end(self._last)
        while not self._bell.wait_until(lambda: self._is_over(), deadline.remaining(LOOK_SECONDS)):
            self._check()
            if deadline.passed:
                raise WaitTimeout(f"{round(self.queued_ms)} ms are still to be played after {deadline.timeout:g} s")
        if not self._closed:
            self._check()

    # -- what it knows -----------------------------------------------------------------------------------------------

    @property
    def queued_ms(self) -> float:
        """How much sound waits to be given to the device."""
        return 0.0 if self._stream is None else max(0.0, self._playlist.queued_ms)

    def played_ms(self, item_id: str | None = None, content_index: int = 0) -> int:
        """How much of a part was heard so far; 0 for one that is unknown, or too long ago (256 parts are known)."""
        self._check_process()
        with self._lock:
            part = self._part(item_id, content_index)
            given = self._parts.get(part)
            return 0 if given is None else self._heard(part, given).heard_ms

    def heard(self) -> tuple[Heard, ...]:
        """What was heard so far of every part that is known, oldest first."""
        self._check_process()
        with self._lock:
            return tuple(self._heard(part, given) for part, given in self._parts.items())

    def watch(self, told: Callable[[], object]) -> Watch:
        """Learn of every item of the conversation when it begins to sound, and when it ceases to.

        Args:
            told: called when there is something to take, in the device's thread under its lock: it sets a flag, or
                wakes a thread that calls ``take()``, and does no more.

        Threads: any.
        """
        self._check_process()
        with self._lock:
            watch = Watch(told, self._forget)
            self._watches = *self._watches, watch
        return watch

    def _forget(self, watch: Watch) -> None:
        with self._lock:
            self._watches = tuple(each for each in self._watches if each is not watch)

    # -- how, under the lock -------------------------------------------------------------------------------------------

    def _part(self, item_id: str | None, content_index: int) -> _Part:
        return _Part(item_id, content_index, self._stops if item_id is None else 0)

    def _begin(self, part: _Part, form: AudioFormat) -> _Given:
        if self._last is not None:
            self._end(self._last)
        self._tell_news()  # Of what is forgotten nothing can be told later.
        for old in self._superfluous():
            del self._parts[old]
            self._playhead.forget(old)
        self._last = part
        given = self._parts[part] = _Given(form)
        return given

    def _superfluous(self) -> Iterator[_Part]:
        """The oldest of too many; not one that is still to be heard of."""
        over = [part for part, given in self._parts.items() if given.over or self._heard(part, given).finished]
        yield from over[: max(0, len(self._parts) + 1 - _MOST_PARTS)]

    def _end(self, part: _Part) -> None:
        given = self._parts.get(part)
        if given is not None and not given.ended:
            given.ended = True
            if not given.over:
                self._playlist.end(part, given.form)

    def _heard(self, part: _Part, given: _Given) -> Heard:
        assert self._stream is not None
        rate, form = self._stream.sample_rate, given.form
        frames = self._playhead.heard(part, self._stream.now())
        given_frames = given.byte_count // form.sample_bytes
        given_ms = form.duration_ms(given.byte_count)
        finished = given.ended and frames >= -(-given_frames * rate // form.sample_rate)
        heard_ms = given_ms if finished else min(given_ms, frames * 1_000 // rate)
        return Heard(part.item_id, part.content_index, heard_ms, given_ms, finished)

    def _tell_news(self) -> None:
        """What has begun to sound, and been heard to its end, since this was last asked."""
        assert self._stream is not None
        begun = self._playhead.begun(self._stream.now())
        self._sounding.update((part, self._parts[part]) for part, _ in begun)
        ended = [part for part, given in self._sounding.items() if given.ended and self._heard(part, given).finished]
        for part in ended:
            del self._sounding[part]
        if begun or ended:
            self._tell((part, at, False) for part, at in begun)
            self._tell((part, self._playhead.end_of(part), True) for part in ended)

    def _tell(self, moments: Iterable[tuple[_Part, float, bool]]) -> None:
        assert self._stream is not None
        late = time.monotonic() - self._stream.now()  # 0 but for a device that is stepped.
        told = [
            Sounding(part.item_id, part.content_index, at + late, ended)
            for part, at, ended in moments
            if part.item_id is not None
        ]
        for watch in self._watches if told else ():
            watch.tell(told)

    def _is_over(self) -> bool:
        if self._closed or self._failure is not None or self._stream is None:
            return True
        with self._lock:
            return self._playlist.is_empty and self._playhead.is_silent(self._stream.now())

    def _check(self) -> None:
        self._check_opened()
        self._check_alive()

    # -- the device's side ---------------------------------------------------------------------------------------------

    def _fill(self, frame_count: int, starts_at: float) -> bytes:
        self._beat = time.monotonic()
        try:
            with self._lock:
                pcm, spans = self._playlist.take(frame_count)
                self._playhead.hand(spans, starts_at)
                self._tell_news()
        except Exception as error:
            self._fail(f"its sound cannot be made ({type(error).__name__})")
            pcm = b""
        if self._bell.waiting:
            self._bell.ring()
        return pcm.ljust(2 * frame_count, b"\0")
