"""``rtsync say``: text in, a WAV with the model's voice out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from rtsync import RealtimeSession, Response, Simulator
from rtsync.cli.accounts import Wish, chosen_target, target_options
from rtsync.cli.lines import LineOptions, line_options
from rtsync.cli.outcome import EXIT_STATUSES, complain
from rtsync.cli.senses import Embedded, embedded_options
from rtsync.vocabulary.foreign import harmless

if TYPE_CHECKING:
    from rtsync.simulator import Turn

__all__ = ["say"]

_READ_ALOUD = (
    "Read the user's message aloud, word for word, in the language in which it is written. Say nothing else: do not"
    " answer it and do not comment on it."
)
_STDOUT = Path("-")


@click.command(epilog=EXIT_STATUSES)
@click.argument("words", metavar="[TEXT]...", nargs=-1)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path),
    required=True,
    metavar="FILE",
    help="The WAV file to write; - for stdout.",
)
@click.option("--voice", metavar="NAME", help="Whose voice: alloy, coral, marin, ...; else the service chooses.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["pcm16", "g711_ulaw", "g711_alaw"]),
    default="pcm16",
    show_default=True,
    help="How the WAV is encoded: 16 bits at 24,000 Hz, or as telephones do at 8,000 Hz.",
)
@click.option("-s", "--instructions", metavar="TEXT", help='How to say it, e.g. "Whisper.".')
@click.option("--transcript", is_flag=True, help="Print what was really said; on stderr where the WAV is on stdout.")
@target_options
@embedded_options(speaks=True)
@line_options
def say(
    words: tuple[str, ...],
    output: Path,
    voice: str | None,
    form: str,
    instructions: str | None,
    transcript: bool,
    wish: Wish,
    embedded: Embedded,
    line: LineOptions,
) -> None:
    """Have a model read TEXT aloud, and save it as a WAV.

    Several words are one text; without any it is read from stdin. A model is asked to say the text and nothing else,
    and may still have a will of its own: --transcript shows what it said. How long the sound is, and where it is, is
    told on stderr. If the answer does not become complete there is no file.

    \b
      rtsync say "Good morning!" -o morning.wav
      rtsync say --target simulator --voice-engine flite -o - < letter.txt | aplay

    The embedded simulator reads the text as it stands, with a voice that has no words until --voice-engine names one:
    flite, espeak-ng, espeak, say, auto, or the URL of an OpenAI-compatible speech endpoint.
    """
    target = embedded.into(chosen_target(wish), brain=_reads_aloud, pace=False)
    text = _text(words)
    _check_place(output)
    with line.session(target, _spoken(voice, form, instructions)) as session:
        response = _read_aloud(session, text, line.timeout)
        length_ms = _saved(response, output, line.timeout)
    if transcript:
        click.echo(harmless(response.transcript), err=output == _STDOUT)
    where = "on stdout" if output == _STDOUT else f"saved in {output}"
    complain(f"{length_ms / 1000:.1f} s of {response.audio_format.name}, {where}")
    if isinstance(target, Simulator) and embedded.is_wordless:
        complain("the simulator's built-in voice has no words; --voice-engine flite, or another, speaks them")


def _reads_aloud(turn: Turn) -> Iterator[str]:
    """The brain of the embedded simulator: it does as it was told."""
    from rtsync.simulator.brains import last_user_text

    yield last_user_text(turn)


def _text(words: tuple[str, ...]) -> str:
    if not words and (sys.stdin is None or sys.stdin.isatty()):
        raise click.UsageError("nothing to say: give TEXT, or pipe it into stdin")
    if not words and hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")
    text = (" ".join(words) if words else sys.stdin.read()).strip()
    if not text:
        raise click.UsageError("nothing to say: the text is empty")
    return text


def _check_place(output: Path) -> None:
    """Before anything is asked for, and paid."""
    if output == _STDOUT:
        if sys.stdout.isatty():
            raise click.UsageError("a WAV is nothing for a terminal: pipe it on, or name a file with -o")
    elif not output.parent.is_dir():
        raise click.UsageError(f"there is no folder {output.parent} to save {output.name} in")


def _spoken(voice: str | None, form: str, instructions: str | None) -> dict[str, Any]:
    """The session's configuration."""
    from rtsync.audio import PCM16, audio_format

    chosen = audio_format(form)
    wire = {"type": chosen.type, "rate": chosen.sample_rate} if chosen == PCM16 else {"type": chosen.type}
    output: dict[str, Any] = {"format": wire} if voice is None else {"format": wire, "voice": voice}
    told = _READ_ALOUD if instructions is None else f"{_READ_ALOUD}\n\n{instructions}"
    return {"output_modalities": ["audio"], "instructions": told, "audio": {"output": output}}


def _read_aloud(session: RealtimeSession, text: str, timeout: float) -> Response:
    content = [{"type": "input_text", "text": text}]
    session.add_item({"type": "message", "role": "user", "content": content}, timeout=timeout)
    return session.respond(timeout=timeout)


def _saved(response: Response, output: Path, timeout: float) -> int:
    """Write it; returns its length in milliseconds."""
    if output != _STDOUT:
        return response.save(output, timeout=timeout)
    stdout: BinaryIO = sys.stdout.buffer
    length_ms = response.save(stdout, timeout=timeout)
    stdout.flush()
    return length_ms
