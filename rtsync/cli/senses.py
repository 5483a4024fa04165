"""The simulator's ears, voice and voice detection, as options: of ``rtsync serve``, and of commands that embed it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import msgspec

from rtsync import ConfigurationError, Simulator, Target
from rtsync.cli.option_sets import Option, gathered

if TYPE_CHECKING:
    from rtsync.simulator import Brain, Ears, Voice

__all__ = ["Embedded", "Senses", "embedded_options", "key_in", "sense_options"]

_EARS_KEY = "RTSYNC_EARS_KEY"
_VOICE_KEY = "RTSYNC_VOICE_KEY"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

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
        type=_FILE,
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


sense_options: Option = gathered(Senses, "senses", _OPTIONS)
"""Give a command that runs a simulator these options; it gets them as one ``senses``."""


class Embedded(msgspec.Struct, frozen=True):
    """The same for the simulator that ``--target simulator`` embeds; None where nothing is said. It has no repr."""

    ears: str | None = None
    ears_grammar: Path | None = None
    ears_model: str | None = None
    voice_engine: str | None = None
    voice_model: str | None = None
    vad: Literal["energy", "webrtc", "auto"] | None = None

    def __repr__(self) -> str:
        return "<Embedded>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []

    @property
    def is_deaf(self) -> bool:
        """Whether its ears measure and do not listen."""
        return self.ears in (None, "builtin")

    @property
    def is_wordless(self) -> bool:
        """Whether its voice has no words."""
        return self.voice_engine in (None, "builtin")

    def into(self, target: Target, *, brain: Brain | None = None, pace: bool = True) -> Target:
        """``target``; where it is the embedded simulator, with what these options say.

        Raises:
            click.UsageError: they say something, and it is another target; or they do not go together.
            ConfigurationError: what they name is not known, or not installed.
        """
        if not isinstance(target, Simulator):
            for field in self.__struct_fields__:
                if getattr(self, field) is not None:
                    raise click.UsageError(f"--{field.replace('_', '-')} goes with --target simulator")
            return target
        if self.voice_model and not _is_url(self.voice_engine or ""):
            raise click.UsageError("--voice-model goes with --voice-engine URL")
        senses = Senses(
            self.ears or "builtin",
            self.ears_grammar,
            self.ears_model,
            self.voice_engine or "builtin",
            self.voice_model,
            None,
            self.vad or "energy",
        )
        senses.check()
        return Simulator(
            brain=brain,
            pace=pace,
            ears=senses.listening(),
            voice=senses.speaking() or "builtin",
            vad=self.vad or "energy",
        )


_LISTENING = (
    click.option("--ears", metavar="NAME|URL", help="What listens in the embedded simulator: as of `rtsync serve`."),
    click.option("--ears-grammar", type=_FILE, metavar="FILE", help="What its pocketsphinx understands, likewise."),
    click.option("--ears-model", metavar="NAME", help="Its transcription endpoint's model, likewise."),
)
_SPEAKING = (
    click.option(
        "--voice-engine", metavar="NAME|URL", help="What speaks in the embedded simulator: `rtsync serve`'s --voice."
    ),
    click.option("--voice-model", metavar="NAME", help="Its speech endpoint's model, likewise."),
)
_DETECTING = click.option("--vad", type=click.Choice(["energy", "webrtc", "auto"]), help="Its voice detection.")


def embedded_options(*, listens: bool = False, speaks: bool = False) -> Option:
    """Give a command that may embed the simulator the options that matter to it, as one ``embedded``."""
    options = [*(_LISTENING if listens else ()), *(_SPEAKING if speaks else ()), *([_DETECTING] if listens else ())]
    return gathered(Embedded, "embedded", options)


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
