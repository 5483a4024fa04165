"""Sound in a session: what is sent, what is played, and talking by both. A part of ``RealtimeSession``."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from rtsync.edges import signals
from rtsync.session.speech import (
    CHUNK_MS,
    Progress,
    Speech,
    checked_silence_ms,
    input_settings,
    silence_to_end_a_turn,
    speed_of,
    with_its_form,
)
from rtsync.vocabulary.deadline import seconds
from rtsync.vocabulary.errors import UsageError

if TYPE_CHECKING:
    from rtsync.audio import AudioFormat, AudioSource
    from rtsync.devices import DeviceChoice, Microphone
    from rtsync.session.interruption import Interruption, Playback, Player
    from rtsync.session.session import RealtimeSession
    from rtsync.session.talking import TalkProgress
    from rtsync.threads.reader import Core

__all__ = ["Voice"]


class Voice:
    """What a session does with sound."""

    _core: Core
    _speech: Speech
    _playbacks: list[Playback]
    _append_type: str

    if TYPE_CHECKING:  # What RealtimeSession has.

        def send(self, event: Mapping[str, Any], *, timeout: float | None = None) -> str:
            """See ``RealtimeSession``."""

        def _check_opened(self) -> None: ...

    # -- sent ----------------------------------------------------------------------------------------------------------

    def append_audio(self, audio: bytes | bytearray | memoryview, *, timeout: float | None = None) -> None:
        """Append raw samples in the session's input format to the input buffer (protocol 4.5); never acknowledged.

        Args:
            audio: ``bytes``, or anything else that has a buffer: a ``bytearray``, an ``array``, an array of numpy.
            timeout: as of ``send``.

        Raises and Threads: as of ``send``.
        """
        samples = audio if type(audio) is bytes else _samples(audio)
        event: dict[str, Any] = {"type": self._append_type, "audio": samples}
        if signals.event_sent.receivers:  # They get it as it goes out; else base64 and JSON are written in one step.
            event["audio"] = base64.b64encode(samples).decode("ascii")
        self.send(event, timeout=timeout)

    def send_audio(
        self,
        source: AudioSource,
        *,
        pace: bool | float = True,
        silence_ms: int | None = None,
        progress: Progress | None = None,
        sample_rate: int | None = None,
        source_format: AudioFormat | str | Mapping[str, Any] | None = None,
        form: AudioFormat | str | Mapping[str, Any] | None = None,
        chunk_ms: int = CHUNK_MS,
        timeout: float | None = None,
    ) -> int:
        """Say ``source`` in the session's input format, and return when all of it has been sent.

        ``session.send_audio("question.wav")``

        Chunk after chunk goes out when it would have been said: the n-th is due at ``start + n * chunk_ms``, so nothing
        drifts. What is up to a second late is caught up with at once; a longer stall moves the rest.

        Args:
            source: a path, bytes, a binary file, or an iterable of bytes, WAV or raw: see ``rtsync.audio.read_audio``.
                What has a ``form``, an ``AudioFormat``, is raw in that format.
            pace: True, at the speed of speech; False, as fast as the line takes it, also for what comes in real time
                already, as from a microphone or a call; or a factor, 2.0 for twice as fast.
            silence_ms: milliseconds of silence behind it. None: as much as the session's voice detection needs to hear
                that the turn is over, which it never does where a recording ends right behind the last word; none
                without voice detection.
            progress: called with the milliseconds sent so far and those in all, silence included, or None where the end
                of the source is not known; after every chunk, in the calling thread.
            sample_rate: Hz, of raw samples.
            source_format: of raw samples, where they are not PCM16: ``"g711_ulaw"``, ``"g711_alaw"``.
            form: to be sent; None for what the service has confirmed as the session's ``audio.input.format``.
            chunk_ms: milliseconds in one event, 20 to 100 for voice detection that hears at once.
            timeout: seconds for each event, as of ``send``.

        Returns:
            The milliseconds that were sent, silence included; fewer where ``stop_audio()`` was called.

        Raises:
            ConfigurationError: the source is no sound that can be read, or an option is not what it must be.
            UsageError: another ``send_audio`` is at work, or it was called in the reader thread.
            ConnectionLost: the line was lost in the middle of a turn, and what had been said of it is gone, although
                the session goes on. Where nobody was speaking, the sending goes on, too. Nothing is sent twice.
            SessionClosed, SendTimeout, WaitTimeout: as of ``send``.

        Threads: blocks as long as the sound lasts, and as its source does; any thread but a handler of
            ``handlers="inline"``. Ctrl+C and what ``progress`` raises end it.
        """
        from rtsync.audio import read_audio  # loaded when there is sound

        self._core.check_may_wait(settled=False)
        self._check_opened()
        settings = input_settings(self._core.config)
        if source_format is None and sample_rate is None and (said := with_its_form(source)) is not None:
            source, source_format = said
        open_source = functools.partial(
            read_audio,
            source,
            form or settings.get("format") or "pcm16",
            sample_rate=sample_rate,
            source_format=source_format,
            chunk_ms=chunk_ms,
        )
        return self._speech.send(
            open_source,
            functools.partial(self.append_audio, timeout=timeout),
            speed=speed_of(pace),
            silence_ms=silence_to_end_a_turn(settings) if silence_ms is None else checked_silence_ms(silence_ms),
            progress=progress,
        )

    def stop_audio(self) -> None:
        """Have ``send_audio()``, at work in another thread, return before its next chunk, without silence behind.

        What was sent is in the input buffer: ``commit_audio()`` or ``clear_audio()`` decides about it. Nothing happens
        when none is at work. Threads: any, a handler and ``progress`` too.
        """
        self._core.check_process()
        self._speech.stop("stop_audio")

    # -- played --------------------------------------------------------------------------------------------------------

    def attach(self, speaker: Player, *, interrupt: bool = True) -> Playback:
        """Play on ``speaker`` what the model says from now on, until the session ends or the ``Playback`` is closed.

        When voice detection hears somebody (``input_audio_buffer.speech_started``) the speaker stops at once, what
        still comes of that response is not played, and the service is told how much was heard
        (``conversation.item.truncate``). The response is cancelled, where the service does not do so by itself.

        Args:
            speaker: a ``rtsync.devices.Speaker``, open, or anything with its ``play``, ``finish`` and ``stop``.
            interrupt: whether to stop when somebody speaks; ``interrupt()`` does so in any case.

        Raises:
            SessionClosed: the session has ended already.
            UsageError: the session is not open, or the speaker attached already.

        Threads: any. A thread of its own feeds the speaker, so that slow handlers do not hold it up.
        """
        from rtsync.session.interruption import Playback  # Needs rtsync.audio, which a session of text does not.

        self._core.check_process()
        self._check_opened()
        if self._playback_of(speaker) is not None:
            raise UsageError("this speaker is attached already; close() its Playback first")
        playback = Playback(self._core, speaker, interrupts=interrupt)
        self._playbacks = [*(each for each in self._playbacks if each.on), playback]
        return playback

    def interrupt(self, speaker: Player | None = None, *, timeout: float | None = 10.0) -> Interruption:
        """Stop talking: what is played stops at once, the response is cancelled, the service told what was heard.

        Tools that run see that nobody waits for them, and lead to no response.

        Nothing happens where nothing is played and nothing running, or when the session ends meanwhile.

        Args:
            speaker: what plays; None for all that are attached. One that is not attached was given what to play with
                its ``item_id``.
            timeout: seconds for the service to answer; None waits for ever. The speaker has stopped before.

        Returns:
            What was cancelled and what was cut off.

        Raises:
            WaitTimeout: the service did not answer.
            ServerError: it refused.

        Threads: any that may block.
        """
        from rtsync.session.interruption import interrupt

        self._core.check_process()
        limit = seconds(timeout, "timeout", none="wait for ever", zero=True)
        self._check_opened()
        if self._core.tools is not None:
            self._core.tools.interrupt()
        attached = [each for each in self._playbacks if speaker is None or each.player is speaker]
        return interrupt(self._core, attached or ([] if speaker is None else [speaker]), limit)

    def talk(
        self,
        microphone: Microphone | DeviceChoice = None,
        speaker: Player | DeviceChoice = None,
        *,
        push_to_talk: Callable[[], object] | None = None,
        opening: str | None = None,
        seconds: float | None = None,
        progress: TalkProgress | None = None,
        timeout: float | None = 30.0,
    ) -> None:
        """Talk with the model by microphone and speaker, until it is ended.

        ::

            with RealtimeSession(OpenAI()) as session:
                session.talk(opening="Greet the user.")

        Voice detection ends the user's turns, and who speaks into an answer stops it (see ``attach``). It ends by
        ``stop_talking()`` or ``close()``, after ``seconds``, or when the microphone is closed; Ctrl+C raises
        ``KeyboardInterrupt``, as everywhere. What the model says at its end is cut off there, also for the service,
        and half a turn of the user's is forgotten; the session stays open.

        Args:
            microphone: a ``rtsync.devices.Microphone`` that is open, in the session's input format, and stays open; or
                which device, as ``Microphone`` takes it, to be opened and closed here. None is the default one.
            speaker: a ``Speaker`` that is open, or what else ``attach`` takes; or which device, likewise. One that is
                attached already goes on as it was attached.
            push_to_talk: says whether the user's key is down, e.g. ``threading.Event().is_set``; asked with every
                chunk of the microphone, in the calling thread. Going down it begins a turn, and interrupts the model;
                going up it ends the turn, and asks for the answer. Voice detection is turned off, and stays off.
            opening: instructions for what the model says first; None leaves the first word to the user.
            seconds: how long it lasts at most; None for as long as nobody ends it.
            progress: called with a ``Talk`` for every chunk of the microphone, in the calling thread; what it raises
                ends the conversation.
            timeout: seconds that the service may take for each answer, e.g. to begin a response.

        Raises:
            ConfigurationError: there is no such device, or a microphone in another format than the session's.
            DeviceFailed: a device was pulled out.
            UsageError: the session is not open or no conversation, or ``talk`` or ``send_audio`` is at work.
            ServerError, WaitTimeout, SessionClosed: as of ``respond``. With ``reconnect`` a line that is lost ends
                nothing: what is said meanwhile goes unheard.

        Threads: blocks the caller, which may be any thread but one of the session's own.
        """
        from rtsync.session import talking  # Needs rtsync.devices.

        self._core.check_process()
        self._check_opened()
        talking.talk(
            cast("RealtimeSession", self),
            self._core,
            self._speech,
            talking.Devices(microphone, speaker, self._playback_of(speaker)),
            talking.Manner(push_to_talk, opening, seconds, progress, timeout),
        )

    def stop_talking(self) -> None:
        """Have ``talk()`` return; nothing happens when nobody talks. Threads: any, handlers and ``progress`` too."""
        self._core.check_process()
        self._speech.stop("stop_talking")

    def _playback_of(self, speaker: object) -> Playback | None:
        return next((each for each in self._playbacks if each.on and each.player is speaker), None)


def _samples(audio: object) -> bytes:
    try:
        return bytes(memoryview(audio))  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(f"append_audio() takes raw samples as bytes, not {type(audio).__name__}") from None
