"""``rtsync transcribe``: WAV files in, their words out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from rtsync import Azure, Simulator, Target
from rtsync.cli.accounts import Wish, chosen_target, target_options
from rtsync.cli.lines import LineOptions, line_options
from rtsync.cli.outcome import EXIT_STATUSES, Exit, complain
from rtsync.cli.progress import ProgressLine
from rtsync.cli.recordings import STDIN, Recording
from rtsync.cli.senses import Embedded, embedded_options
from rtsync.cli.transcripts import STYLES, Transcript
from rtsync.cli.turns import Turns

__all__ = ["transcribe"]

_MODEL = "gpt-4o-mini-transcribe"
_SILENCE_MS = 500  # that ends a turn; the service's own 200 cut sentences at a comma
_SETTLE_SECONDS = 1.0  # a service may lag behind a sound that is sent faster than it was spoken


@click.command(epilog=EXIT_STATUSES)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True, path_type=Path))
@click.option("--json", "style", flag_value="json", help="A line of JSON for each turn: file, start, end, text.")
@click.option("--srt", "style", flag_value="srt", help="Subtitles, with the times that voice detection tells.")
@click.option(
    "--format", "style_named", type=click.Choice(sorted(STYLES)), help="The same by name; text is what comes without."
)
@click.option("--language", metavar="CODE", help="What is spoken, e.g. en; else the model finds out.")
@click.option("--pace/--no-pace", default=False, show_default=True, help="Send at the speed of speech, or at once.")
@target_options
@embedded_options(listens=True)
@line_options
def transcribe(
    files: tuple[Path, ...],
    style: str | None,
    style_named: str | None,
    language: str | None,
    pace: bool,
    wish: Wish,
    embedded: Embedded,
    line: LineOptions,
) -> int:
    """Write down what is said in WAV files, of any sample rate; - is stdin.

    A transcription session for each file: voice detection tells when somebody speaks, and every turn becomes a line on
    stdout, as soon as its words are there. All files are looked at before the first is sent. Where nobody speaks, or
    the words of a turn cannot be made out, it says so on stderr, goes on, and ends with status 1.

    \b
      rtsync transcribe interview.wav
      rtsync transcribe --srt film.wav > film.srt
      rtsync transcribe --json *.wav | jq -r 'select(.end_ms - .start_ms > 5000).text'

    --model names the transcription model, gpt-4o-mini-transcribe unless given; on Azure the deployment of one.

    The embedded simulator measures and does not listen, until --ears names something that does: pocketsphinx,
    pocketsphinx-open, auto, or the URL of an OpenAI-compatible transcription endpoint.
    """
    look = _style(style or style_named or "text", files)
    target = chosen_target(wish)
    job = _Job(embedded.into(target, pace=False).for_transcription(), _model(target, wish), language, pace, line)
    recordings = [Recording(path) for path in files]
    for recording in recordings:
        recording.check()
    if isinstance(target, Simulator) and embedded.is_deaf:
        complain("the simulator's built-in ears measure and do not listen; --ears pocketsphinx, or another, does")
    complete = [job.write(recording, look, headed=len(recordings) > 1) for recording in recordings]
    return Exit.OK if all(complete) else Exit.FAILED


def _style(named: str, files: tuple[Path, ...]) -> str:
    if files.count(STDIN) > 1:
        raise click.UsageError("stdin can be read once: give - once")
    if named == "srt" and len(files) > 1:
        raise click.UsageError("subtitles belong to one file: give one FILE with --srt")
    return named


def _model(target: Target, wish: Wish) -> str:
    if isinstance(target, Azure):
        return target.model or _MODEL
    return wish.model or _MODEL


class _Job:
    """How recordings become words."""

    def __init__(self, target: Target, model: str, language: str | None, pace: bool, line: LineOptions) -> None:
        self._target = target
        self._pace = pace
        self._line = line
        settings = {"model": model} if language is None else {"model": model, "language": language}
        detection = {"type": "server_vad", "silence_duration_ms": _SILENCE_MS}
        self._config: dict[str, Any] = {"audio": {"input": {"transcription": settings, "turn_detection": detection}}}

    def write(self, recording: Recording, style: str, *, headed: bool) -> bool:
        """Print what is said in ``recording``, turn by turn, each when it is known; whether all of it is there.

        Raises:
            RealtimeError: it cannot be read, or the service refused or was lost.
            OSError: stdout cannot be written.
        """
        with recording, ProgressLine(recording.name, recording.duration_ms) as progress:
            transcript = Transcript(recording.name, style, recording.duration_ms, progress, headed=headed)
            if not recording.is_empty:
                self._listen(recording, transcript, progress)
        return transcript.end()

    def _listen(self, recording: Recording, transcript: Transcript, progress: ProgressLine) -> None:
        session = self._line.session(self._target, self._config)
        heard = Turns(session)

        def sent(sent_ms: int, _total_ms: int | None) -> None:
            transcript.write(heard.take())
            progress.show(sent_ms)

        with session:
            began = time.monotonic()
            sent_ms = session.send_audio(recording, sample_rate=recording.sample_rate, pace=self._pace, progress=sent)
            settle = 0.0 if isinstance(self._target, Simulator) else _SETTLE_SECONDS
            rest = heard.until_all_are_over(timeout=self._line.timeout, settle=settle, sent_ms=sent_ms, began=began)
            transcript.write(rest)
