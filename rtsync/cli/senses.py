"""The simulator's ears, voice and voice detection, as options of ``rtsync serve``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from rtsync import ConfigurationError

if TYPE_CHECKING:
    from rtsync.simulator import Ears, Voice

__all__ = ["Senses", "key_in", "sense_options"]

_EARS_KEY = "RTSYNC_EARS_KEY"
_VOICE_KEY = "RTSYNC_VOICE_KEY"

_OPTIONS = (
    click.option(
        "--ears",
        metavar="NAME|URL",
        default="builtin",
        show_default=True,
        help="What listens: builtin (measures, and does not listen), pocketsphinx (a small grammar), pocketsphinx-open "
        "(any English words, not well), auto, or the URL of an OpenAI-compatible transcription endpoint.",
    ),
    click.option(
        "--ears-grammar",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="What pocketsphinx understands: a grammar in JSGF, or phrases, one a line.",
    ),
    click.option("--ears-model", metavar="NAME", help="The transcription endpoint's model; else whisper-1."),
    click.option(
        "--voice",
        metavar="NAME|URL",
        default="builtin",
        show_default=True,
        help="What speaks: builtin (has no words), flite, espeak-ng, espeak, say, auto, or the URL of an "
        "OpenAI-compatible speech endpoint.",
    ),
    click.option("--voice-model", metavar="NAME", help="The speech endpoint's model; else tts-1."),
    click.option("--voice-name", metavar="NAME", help="Its voice; else the one that the client asks for."),
    click.option(
        "--vad",
        type=click.Choice(["energy", "webrtc", "auto"]),
        default="energy",
        show_default=True,
        help="What tells speech from noise.",
    ),
)


def sense_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` these options; it gets them as one ``senses``."""

    def gathered(**given: Any) -> None:
        own = {name: given.pop(name) for name in Senses.__struct_fields__}
        command(senses=Senses(**own), **given)

    gathered.__doc__ = command.__doc__
    gathered.__name__ = command.__name__
    for option in reversed(_OPTIONS):
        option(gathered)
    return gathered


class Senses(msgspec.Struct, frozen=True):
    """What was asked for. URLs may hold a password: it has no repr."""

    ears: str
    ears_grammar: Path | None
    ears_model: str | None
    voice: str
    voice_model: str | None
    voice_name: str | None
    vad: str

    def __repr__(self) -> str:
        return "<Senses>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []

    def check(self) -> None:
        """Refuse options that go with another one that is not there.

        Raises:
            click.UsageError: says which.
        """
        if self.ears_grammar is not None and self.ears not in ("pocketsphinx", "auto"):
            raise click.UsageError("--ears-grammar goes with --ears pocketsphinx")
        if self.ears_model and not _is_url(self.ears):
            raise click.UsageError("--ears-model goes with --ears URL")
        if (self.voice_model or self.voice_name) and not _is_url(self.voice):
            raise click.UsageError("--voice-model and --voice-name go with --voice URL")

    def listening(self) -> Ears:
        """The ears.

        Raises:
            ConfigurationError: not known, or not installed; says how to install them.
        """
        from rtsync.simulator import Pocketsphinx, TranscriptionEndpoint
        from rtsync.simulator.senses import ears_named

        if _is_url(self.ears):
            return TranscriptionEndpoint(self.ears, model=self.ears_model or "whisper-1", api_key=key_in(_EARS_KEY))
        if self.ears_grammar is None:
            return ears_named(self.ears)
        text = _read(self.ears_grammar)
        if text.lstrip().startswith("#JSGF"):
            return Pocketsphinx(grammar=text)
        return Pocketsphinx(phrases=[line for line in text.splitlines() if line.strip()])

    def speaking(self) -> Voice | None:
        """The voice; None for the one without words.

        Raises:
            ConfigurationError: not known, or not installed; says how to install it.
        """
        from rtsync.simulator import SpeechEndpoint
        from rtsync.simulator.senses import voice_named

        if not _is_url(self.voice):
            return voice_named(self.voice)
        return SpeechEndpoint(
            self.voice, model=self.voice_model or "tts-1", voice=self.voice_name, api_key=key_in(_VOICE_KEY)
        )


def key_in(variable: str) -> str | None:
    """The key in an environment variable; None where it is not set or empty.

    Raises:
        ConfigurationError: it holds what no key has.
    """
    key = os.environ.get(variable, "").strip()
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError(f"{variable} holds a character that no key has: copy it again")
    return key or None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{path} cannot be read as text: --ears-grammar wants a file in UTF-8") from None


def _is_url(name: str) -> bool:
    return name.lower().startswith(("http:", "https:"))
