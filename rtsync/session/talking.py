"""A conversation by microphone and speaker: what ``session.talk()`` does, in the thread that called it.

1. The microphone's chunks are the clock. Whatever ends the conversation is looked at with each of them;
   ``stop_talking()`` and the end of the session also wake a read that waits for one.
2. Sound that is heard while the line is being replaced is dropped. Nobody listens, and later it would be out of place.
3. A turn by push-to-talk of which a lost line took a part is thrown away: half of it shall not pass for all of it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ClassVar

import msgspec

from rtsync.audio.formats import PCM16, audio_format
from rtsync.devices import DeviceChoice, Microphone, Speaker
from rtsync.devices.system import Device
from rtsync.devices.virtual import VirtualDevice
from rtsync.edges import signals
from rtsync.edges.latch import Latch
from rtsync.pure.state import State
from rtsync.session.interruption import Interruption, Playback, Player
from rtsync.session.speech import Speech, input_settings
from rtsync.vocabulary.deadline import Deadline, seconds
from rtsync.vocabulary.errors import (
    CloseCause,
    ConfigurationError,
    ConnectionLost,
    SessionClosed,
    UsageError,
    WaitTimeout,
)

if TYPE_CHECKING:
    from rtsync.session.session import RealtimeSession
    from rtsync.threads.reader import Core

__all__ = ["Devices", "Manner", "Talk", "TalkProgress", "talk"]

_SHORTEST_TURN_MS = 100  # that a service takes, protocol 4.5


class Talk:
    """A conversation that goes on, as ``progress`` of ``session.talk()`` gets it.

    Attributes:
        microphone: what hears the user; ``peak_dbfs`` is for a meter.
        player: what plays the model: a ``Speaker``, or what was given in its place.
        sending: whether what the microphone hears goes to the service now; with push-to-talk only while the key is
            down.

    Threads: its attributes from any.
    """

    call: ClassVar[str] = "talk"
    way_out: ClassVar[str] = "stop_talking"

    def __init__(
        self, session: RealtimeSession, core: Core, microphone: Microphone, playback: Playback, timeout: float | None
    ) -> None:
        self.microphone = microphone
        self.player = playback.player
        self.sending = True
        self._session = session
        self._core = core
        self._playback = playback
        self._timeout = timeout
        self._stopped = Latch()
        self._turn_ms = 0
        self._is_whole = True
        self._losses = core.audio_losses

    def __repr__(self) -> str:
        return f"<Talk {'sending' if self.sending else 'not sending'}, {self.microphone!r}, {self.player!r}>"

    @property
    def interruption(self) -> Interruption | None:
        """What the latest interruption cut off; None where there was none. A new object each time."""
        return self._playback.last

    @property
    def is_playing(self) -> bool:
        """Whether the model's words wait to be heard, as far as what plays them tells (``queued_ms``)."""
        return bool(getattr(self.player, "queued_ms", 0))

    def stop(self) -> None:
        """Have ``go_on`` return. Threads: any."""
        self._stopped.set()
        self.microphone.wake()

    def go_on(
        self,
        push_to_talk: Callable[[], object] | None,
        duration: float | None,
        progress: Callable[[Talk], object] | None,
    ) -> None:
        """Until somebody ends it."""
        self.sending = push_to_talk is None
        try:
            with signals.session_closed.connected_to(self._wake, sender=self._session):
                for chunk in self._chunks(Deadline(duration)):
                    if push_to_talk is not None:
                        self._heed(bool(push_to_talk()))
                    if self.sending:
                        self._say(chunk)
                    if self._playback.error is not None:
                        raise self._playback.error
                    if progress is not None:
                        progress(self)
            self._fall_silent()
        except SessionClosed as error:
            if error.cause is not CloseCause.USER:  # That is a way to end it.
                raise
        finally:
            self.sending = False
            self._playback.silence()

    def _chunks(self, deadline: Deadline) -> Iterator[bytes]:
        while not self._is_over() and not deadline.passed:
            try:
                chunk = self.microphone.read(timeout=deadline.remaining(), unless=self._is_over)
            except WaitTimeout:
                return
            if chunk is None:  # Or the microphone was closed.
                break
            yield chunk
        if not self._stopped and self._core.error is not None:
            raise copy.copy(self._core.error)

    def _is_over(self) -> bool:
        return bool(self._stopped) or self._core.error is not None

    def _wake(self, _session: object, **_: object) -> None:
        self.microphone.wake()

    # -- the user's words ----------------------------------------------------------------------------------------------

    def _say(self, chunk: bytes) -> None:
        self._turn_ms += self.microphone.chunk_ms
        if self._core.state is State.RECONNECTING:  # Rule 2.
            self._is_whole = False
            return
        try:
            self._session.append_audio(chunk)
        except (ConnectionLost, WaitTimeout):
            if self._core.error is not None or not self._core.recovers:
                raise
            self._is_whole = False

    def _heed(self, is_down: bool) -> None:
        """The key: it begins the user's turn, and ends what the model says; or it ends the user's turn."""
        if is_down == self.sending:
            return
        self.sending = is_down
        try:
            self._take_turns(is_down)
        except ConnectionLost:  # With what was asked. The key tells when to go on.
            if self._core.error is not None or not self._core.recovers:
                raise

    def _take_turns(self, is_users: bool) -> None:
        if is_users:
            self._turn_ms, self._is_whole, self._losses = 0, True, self._core.audio_losses
            self._session.interrupt(timeout=self._timeout)
            return
        if self._turn_ms > _SHORTEST_TURN_MS and self._is_whole and self._losses == self._core.audio_losses:
            self._session.commit_audio(timeout=self._timeout)
            self._session.respond(timeout=self._timeout)
        else:  # Rule 3, or too short to be one.
            self._session.clear_audio(timeout=self._timeout)
        self._turn_ms = 0

    def _fall_silent(self) -> None:
        """Nobody listens any more, and what was said of a turn is not the beginning of what is said next."""
        if self._core.state is not State.OPEN:
            return
        self._session.interrupt(timeout=self._timeout)
        if self._turn_ms:
            self._session.clear_audio(timeout=self._timeout)


TalkProgress = Callable[[Talk], object]
"""Called with the conversation that goes on, for every chunk that the microphone hears."""


class Devices(msgspec.Struct, frozen=True):
    """What ``session.talk()`` was told of microphone and speaker, and the ``Playback`` of a speaker in use."""

    microphone: Microphone | DeviceChoice
    speaker: Player | DeviceChoice
    playing: Playback | None


class Manner(msgspec.Struct, frozen=True):
    """What else ``session.talk()`` was told; checked when made."""

    push_to_talk: Callable[[], object] | None
    opening: str | None
    seconds: float | None
    progress: TalkProgress | None
    timeout: float | None

    def __post_init__(self) -> None:
        seconds(self.seconds, "seconds", none="until it is ended", zero=True)
        seconds(self.timeout, "timeout", none="wait for ever", zero=True)
        for name, value in (("push_to_talk", self.push_to_talk), ("progress", self.progress)):
            if not (value is None or callable(value)):
                raise ConfigurationError(f"{name} must be callable, or None, not {type(value).__name__}")


def talk(session: RealtimeSession, core: Core, speech: Speech, devices: Devices, manner: Manner) -> None:
    """Open what has to be opened, and talk until that is ended."""
    core.check_may_wait(settled=False)
    if session.target.purpose != "conversation":
        raise UsageError(
            f"nobody answers in a {session.target.purpose}, so that talk() does not fit; send what a Microphone gives"
            " with append_audio()"
        )
    with contextlib.ExitStack() as held:
        player = held.enter_context(_player(devices.speaker))
        microphone = held.enter_context(_microphone(core, devices.microphone))
        playback = devices.playing or held.enter_context(session.attach(player))
        conversation = Talk(session, core, microphone, playback, manner.timeout)
        held.enter_context(speech.of(conversation))
        if manner.push_to_talk is not None and input_settings(core.config).get("turn_detection") is not None:
            session.update(audio={"input": {"turn_detection": None}}, timeout=manner.timeout)
        if manner.opening is not None:
            session.respond(instructions=manner.opening, timeout=manner.timeout)
        conversation.go_on(manner.push_to_talk, manner.seconds, manner.progress)


def _player(speaker: Player | DeviceChoice) -> AbstractContextManager[Player]:
    if speaker is None or isinstance(speaker, str | int | Device | VirtualDevice):
        return Speaker(speaker)
    return contextlib.nullcontext(speaker)


def _microphone(core: Core, microphone: Microphone | DeviceChoice) -> AbstractContextManager[Microphone]:
    """One that speaks the session's input format."""
    said = input_settings(core.config).get("format")
    form = PCM16 if said is None else audio_format(said)
    if not isinstance(microphone, Microphone):
        return Microphone(microphone, form=form)
    if said is not None and microphone.form != form:
        raise ConfigurationError(
            f"the microphone gives {microphone.form.name}, and the session is configured for {form.name}:"
            f" Microphone(form={form.name!r})"
        )
    return contextlib.nullcontext(microphone)
