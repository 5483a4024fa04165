"""``rtsync talk``: a conversation by microphone and speaker."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtsync import ConfigurationError, RealtimeSession, Simulator, Target
from rtsync.cli.accounts import Wish, chosen_target, target_options
from rtsync.cli.dialogue import Dialogue
from rtsync.cli.keys import Keys, Switch
from rtsync.cli.lines import LineOptions, line_options
from rtsync.cli.meter import Meter
from rtsync.cli.outcome import EXIT_STATUSES, complain
from rtsync.cli.senses import Embedded, embedded_options
from rtsync.cli.timeline import drawn_to, timeline_options

if TYPE_CHECKING:
    from rtsync.devices import Device, DeviceChoice, Microphone, Speaker
    from rtsync.session.interruption import Interruption
    from rtsync.session.talking import Talk

__all__ = ["described", "talk"]

_TRANSCRIBER = "gpt-4o-mini-transcribe"
_CHUNK_MS = 40


@click.command(epilog=EXIT_STATUSES)
@click.option("--input", "source", metavar="DEVICE|WAV", help="The microphone: number, name or part of it; or a WAV.")
@click.option("--output", "sink", metavar="DEVICE", help="The speaker: number, name or part of it.")
@click.option("--list-devices", is_flag=True, help="Show the sound devices of this machine, and end.")
@click.option("--push-to-talk", is_flag=True, help="Space or Enter begins and ends your turns, not voice detection.")
@click.option("--voice", metavar="NAME", help="Whose voice: alloy, coral, marin, ...; else the service chooses.")
@click.option("-s", "--instructions", metavar="TEXT", help="What the model is told to be and do.")
@click.option(
    "--transcription-model",
    metavar="NAME",
    default=_TRANSCRIBER,
    show_default=True,
    help="What writes down your words; on Azure its deployment.",
)
@target_options
@embedded_options(listens=True, speaks=True)
@line_options
@timeline_options
def talk(
    source: str | None,
    sink: str | None,
    list_devices: bool,
    push_to_talk: bool,
    voice: str | None,
    instructions: str | None,
    transcription_model: str,
    wish: Wish,
    embedded: Embedded,
    line: LineOptions,
    timeline: Path | None,
    timeline_words: bool,
) -> None:
    """Talk with a model by microphone and speaker; Ctrl+C ends it.

    What both say is written on stdout. Speak into an answer and it stops, and the model is told how much of it you
    heard. Wear headphones: a microphone that hears the speaker interrupts it. It needs the extra audio:
    pip install 'rtsync[audio]'.

    \b
      rtsync talk --target openai --voice marin
      rtsync talk --list-devices
      rtsync talk --target simulator --ears pocketsphinx --voice-engine flite --push-to-talk

    On a machine without sound, --input virtual hears nothing and --output virtual plays for nobody, both in real time;
    --input question.wav hears what is in that WAV, and then nothing.
    """
    if list_devices:
        _list_devices()
        return
    target = embedded.into(chosen_target(wish))
    config = _config(voice, instructions, transcription_model, push_to_talk)
    with contextlib.ExitStack() as opened:
        switch = Switch(opened.enter_context(Keys())) if push_to_talk else None
        speaker, microphone = _devices(opened, source, sink)
        session = line.session(target, config)
        screen = _Screen(session, push_to_talk=push_to_talk)
        opened.callback(screen.end)
        opened.enter_context(drawn_to(timeline, session, words=timeline_words))
        opened.enter_context(session)
        _announce(target, embedded, push_to_talk)
        with contextlib.suppress(KeyboardInterrupt):  # That is how it ends.
            session.talk(microphone, speaker, push_to_talk=switch, progress=screen.show, timeout=line.timeout)


def _config(voice: str | None, instructions: str | None, transcriber: str, push_to_talk: bool) -> dict[str, Any]:
    """The session's configuration."""
    heard: dict[str, Any] = {"transcription": {"model": transcriber}}
    if push_to_talk:
        heard["turn_detection"] = None
    audio = {"input": heard} if voice is None else {"input": heard, "output": {"voice": voice}}
    told = {} if instructions is None else {"instructions": instructions}
    return {"output_modalities": ["audio"], "audio": audio, **told}


def _devices(opened: contextlib.ExitStack, source: str | None, sink: str | None) -> tuple[Speaker, Microphone]:
    """Both, open: before there is a session that costs."""
    from rtsync.devices import Microphone, Speaker

    speaker = opened.enter_context(Speaker(sink))
    return speaker, opened.enter_context(Microphone(_heard(source), chunk_ms=_CHUNK_MS))


def _heard(source: str | None) -> DeviceChoice:
    if source is None or not source.lower().endswith(".wav"):
        return source
    from rtsync.audio import read_audio
    from rtsync.devices import VirtualDevice

    with read_audio(Path(source)) as reader:
        return VirtualDevice(hears=b"".join(reader))


def _list_devices() -> None:
    from rtsync.devices import devices

    found = devices()
    if not found:
        raise ConfigurationError("no sound device was found on this machine; --input and --output can be virtual")
    for device in found:
        click.echo(described(device))


def described(device: Device) -> str:
    """One line about ``device``."""
    ways = [f"{count} {way}" for count, way in ((device.inputs, "in"), (device.outputs, "out")) if count]
    chosen = [
        word for is_it, word in ((device.default_input, "microphone"), (device.default_output, "speaker")) if is_it
    ]
    default = f" (default {' and '.join(chosen)})" if chosen else ""
    rate = f", {device.sample_rate} Hz" if device.sample_rate else ""
    return f"{device.number:3}  {device.name}: {', '.join(ways)}{rate}, {device.system}{default}"


def _announce(target: Target, embedded: Embedded, push_to_talk: bool) -> None:
    complain(f"connected: {target.describe()}")
    if isinstance(target, Simulator):
        complain("the simulator's scripted brain does not think; --target openai or azure reaches a model")
        if embedded.is_deaf:
            complain("its built-in ears measure and do not listen; --ears pocketsphinx, or another, does")
        if embedded.is_wordless:
            complain("its built-in voice has no words; --voice-engine flite, or another, speaks them")
    complain("Space or Enter begins and ends your turns, Ctrl+C ends it" if push_to_talk else "speak; Ctrl+C ends it")


class _Screen:
    """Shows a conversation: the words of both, what happens beside them, and how loud the microphone is.

    Args:
        session: not open yet.
        push_to_talk: whether a key begins and ends the turns, and not voice detection.

    Threads: the main thread alone, with every chunk of the microphone.
    """

    def __init__(self, session: RealtimeSession, *, push_to_talk: bool) -> None:
        self._push_to_talk = push_to_talk
        self._dialogue = Dialogue(session)
        self._meter = Meter()
        self._interruption: Interruption | None = None

    def show(self, talk: Talk) -> None:
        """What is new."""
        if talk.interruption is not self._interruption:
            self._interruption = talk.interruption
            self._tell(talk.interruption)
        self._write()
        if not self._dialogue.in_line or not sys.stdout.isatty():
            self._meter.show(talk.microphone.peak_dbfs, self._state(talk))

    def end(self) -> None:
        """The last words, and the line free."""
        self._write()
        self._meter.clear()
        if self._dialogue.in_line:
            click.echo()

    def _tell(self, interruption: Interruption | None) -> None:
        """What was cut off of an answer whose words are on the screen."""
        if interruption is not None and interruption.cuts:
            heard_ms = sum(cut.audio_end_ms for cut in interruption.cuts)
            self._note(f"interrupted: {heard_ms / 1000:.1f} s of the answer were heard")

    def _note(self, text: str) -> None:
        self._meter.clear()
        if self._dialogue.in_line and sys.stdout.isatty():
            click.echo()
        complain(text)

    def _write(self) -> None:
        for note in self._dialogue.notes():
            self._note(note)
        if words := self._dialogue.news():
            self._meter.clear()
            sys.stdout.write(words)
            sys.stdout.flush()

    def _state(self, talk: Talk) -> str:
        if self._push_to_talk:
            return "recording; the key sends it" if talk.sending else "press the key to speak"
        if self._dialogue.hears_you:
            return "you speak"
        return "the model speaks" if talk.is_playing else "listening"
