"""Ears on this machine: PocketSphinx, with the US English models that come in its package.

It is an old recogniser, far from what a model hears. With a grammar it is quick and sure where people say what the
grammar holds; but it cannot say "none of these": it hears the nearest sentence in whatever is said, or nothing. With
the open vocabulary it writes down anything, and often the wrong words. docs/simulator.md has figures.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable
from typing import Any

from rtsync.audio import peak_dbfs, resample
from rtsync.simulator.brains import Cancellation
from rtsync.simulator.ears import Ears, EarsFailed
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["GRAMMAR", "Pocketsphinx"]

GRAMMAR = """\
#JSGF V1.0;
grammar rtsync;
public <said> = [please] <request> [please] | <talk>;
<request> = say a couple [of] paragraphs
          | tell me a story | tell me the time | what time is it
          | [what is | get] [the] weather [(in | for) <city>]
          | turn (on | off) the (light | lights | radio | music) | turn the (light | lights | radio | music) (on | off)
          | (call | transfer me to) <name> | repeat that [again] | louder | slower | faster | again | stop | help;
<talk> = (hello | hi) [there] | good (morning | evening) | how are you [today]
       | yes | no | thank you [very much] | good bye | my name is <name> | i do not know | <number>;
<number> = <digit> [<digit>] [<digit>] [<digit>] | ten | twenty | thirty | forty | fifty | hundred;
<digit> = zero | one | two | three | four | five | six | seven | eight | nine;
<city> = paris | london | tokyo | berlin | rome | madrid | boston | chicago | [new] york;
<name> = ada | alice | bob | carol | david | emma | peter | mary | support | sales;
"""
"""What is understood where nothing else is said."""

_NO_WORDS = re.compile(
    r"#JSGF[^;]*;|\bgrammar [^;]*;|//[^\n]*|/\*.*?\*/|/[\d.]+/|<[^>]*>|\bpublic\b|[=|()\[\]*+;]", re.DOTALL
)
_ABOUT_GRAMMAR = (
    "It hears with pocketsphinx the sentences of a grammar; whatever else you say, it takes for one of them."
)
_ABOUT_OPEN = "It hears with pocketsphinx any English words, and often the wrong ones."
_RATE = 16000
_SILENCE_DBFS = -60.0  # peak; below are no words, though the decoder finds one now and then
_SEARCH = "rtsync"


class Pocketsphinx(Ears):
    """Hears the sentences of a grammar, or anything, not well.

    Args:
        grammar: in JSGF; ``GRAMMAR``, some everyday requests, unless given. Its words must be in CMUdict.
        phrases: in place of a grammar: hears these, one or several after each other.
        open_vocabulary: no grammar: any English words, at ten times the work, and honestly not well.

    Raises:
        ConfigurationError: the package is missing; the grammar is none; several of the options are given.

    Threads: any; one utterance is heard after the other. In a forked child it begins anew.
    """

    def __init__(
        self, *, grammar: str | None = None, phrases: Iterable[str] | None = None, open_vocabulary: bool = False
    ) -> None:
        if sum((grammar is not None, phrases is not None, open_vocabulary)) > 1:
            raise ConfigurationError("pocketsphinx takes a grammar, or phrases, or the open vocabulary: give it one")
        self._sphinx = _package()
        self._open = open_vocabulary
        self.about = _ABOUT_OPEN if open_vocabulary else _ABOUT_GRAMMAR
        self._grammar = _grammar_of(phrases) if phrases is not None else grammar or GRAMMAR
        self._start()
        self.prepare()

    def _start(self) -> None:
        self._process = os.getpid()
        self._decoding = threading.Lock()  # the decoder: one utterance at a time
        self._decoder: Any = None

    def __repr__(self) -> str:
        return "<Pocketsphinx open vocabulary>" if self._open else "<Pocketsphinx grammar>"

    def prepare(self) -> None:
        """Load the models: 0.2 seconds with a grammar, 0.4 without.

        Raises:
            ConfigurationError: the grammar is none, or has a word that is not in the dictionary.
        """
        if self._process != os.getpid():
            self._start()  # the lock may have been held when the process was forked
        with self._decoding:
            if self._decoder is None:
                self._decoder = self._open_decoder() if self._open else self._grammar_decoder()

    def _open_decoder(self) -> Any:
        return self._sphinx.Decoder(loglevel="FATAL", samprate=_RATE)

    def _grammar_decoder(self) -> Any:
        decoder = self._sphinx.Decoder(lm=None, loglevel="FATAL", samprate=_RATE)
        try:
            grammar = decoder.parse_jsgf(self._grammar.encode())
        except (ValueError, RuntimeError):
            raise ConfigurationError(
                "pocketsphinx cannot read the grammar: it must be JSGF with a public rule"
            ) from None
        try:
            decoder.add_fsg(_SEARCH, grammar)
            decoder.activate_search(_SEARCH)
        except RuntimeError:
            raise ConfigurationError(f"pocketsphinx cannot use the grammar: {self._flaw(decoder)}") from None
        return decoder

    def _flaw(self, decoder: Any) -> str:
        rules = _NO_WORDS.sub(" ", self._grammar)
        unknown = [word for word in dict.fromkeys(rules.split()) if decoder.lookup_word(word) is None]
        if not unknown:
            return "its rules lead nowhere"
        return f"CMUdict, which is in small letters, has no {', '.join(unknown[:5])}"

    def hear(self, pcm: bytes, sample_rate: int, cancelled: Cancellation) -> str:
        """The words in ``pcm``.

        Raises:
            EarsFailed: it matches no sentence of the grammar, or the session has ended.

        Threads: any; blocks. While the decoder works, Python's other threads wait: about a fiftieth of the sound's
        length with a grammar, a sixth and more without.
        """
        self.prepare()
        sound = resample(pcm[: len(pcm) & ~1], sample_rate, _RATE)
        with self._decoding:
            heard = self._decode(sound, cancelled) if peak_dbfs(sound) > _SILENCE_DBFS else None
        if heard is None and not self._open:
            raise EarsFailed("Nothing was heard that is in the grammar of the simulator's ears.")
        return heard or ""

    def _decode(self, sound: bytes, cancelled: Cancellation) -> str | None:
        if cancelled():
            raise EarsFailed("The session has ended.")
        # What it has learned of the line from earlier sound is forgotten, and the whole utterance is given at once, so
        # that its level is known from the beginning: the same sound is always the same words, and more of them right.
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        try:
            self._decoder.process_raw(sound, full_utt=True)
        finally:
            self._decoder.end_utt()
        found = self._decoder.hyp()
        return None if found is None else str(found.hypstr)


def _package() -> Any:
    try:
        import pocketsphinx  # an extra
    except ImportError:
        raise ConfigurationError(
            "ears='pocketsphinx' needs the package pocketsphinx: pip install 'rtsync[simulator-voice]'"
        ) from None
    return pocketsphinx


def _grammar_of(phrases: Iterable[str]) -> str:
    """A grammar of any of ``phrases``, one after the other."""
    said = [" ".join(phrase.lower().split()) for phrase in phrases]
    wrong = [phrase for phrase in said if not phrase.replace("'", "").replace(" ", "").isalpha()]
    if wrong or not said:
        raise ConfigurationError("phrases for pocketsphinx are words of letters, at least one phrase")
    return f"#JSGF V1.0;\ngrammar phrases;\npublic <said> = ({' | '.join(said)})+;\n"
