"""What says the answers aloud: the face of a voice, and the sentences that it is given.

A voice is any callable that takes an ``Utterance`` and yields its sound piece by piece. It runs on the thread of the
response, may block, and should come back soon after ``utterance.cancelled`` is set. Without one the simulator speaks in
the voice without words of ``voice.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from rtsync.simulator.brains import BrainFailed, Cancellation

__all__ = ["Sentences", "Utterance", "Voice", "VoiceFailed", "voice_name"]

_LONGEST_SENTENCE = 300  # characters; what is longer is cut at a word
_END = re.compile(r"[.!?…]+[\"'”’»)\]]*\s+|[。！？]+|\n+")


@dataclass(frozen=True)
class Utterance:
    """What a voice is asked to say: a sentence, or what stands between two pauses.

    Attributes:
        text: what to say.
        voice: the session's ``voice``, or the id of a custom one.
        speed: the session's, 0.25 to 1.5; 1.0 is the voice's own.
        sample_rate: Hz, of the sound that is wanted.
        cancelled: set when nobody listens any more.
    """

    text: str
    voice: str = "alloy"
    speed: float = 1.0
    sample_rate: int = 24000
    cancelled: Cancellation = field(default_factory=Cancellation)


class Voice(Protocol):
    """Says one utterance."""

    def __call__(self, utterance: Utterance) -> Iterable[bytes]:
        """Yield its sound as PCM16 mono at ``utterance.sample_rate``.

        Raises:
            VoiceFailed: the response ends as ``failed``. Any other exception does that too, and is logged.
        """
        ...


class VoiceFailed(BrainFailed):
    """An answer cannot be said: the response ends as ``failed``, as when there is no answer (protocol 5.1)."""


def voice_name(voice: Any) -> str:
    """The name in a session's ``voice``: itself, or a custom voice's id."""
    return str(voice["id"] if isinstance(voice, dict) else voice)


class Sentences:
    """Cuts text that comes in pieces into what can be said by itself, so that the first words need not wait."""

    def __init__(self) -> None:
        self._unsaid = ""

    def feed(self, text: str) -> list[str]:
        """The sentences that ``text`` completes."""
        self._unsaid += text
        found = []
        while (end := self._end()) is not None:
            sentence, self._unsaid = self._unsaid[:end].strip(), self._unsaid[end:]
            found.append(sentence)
        return [sentence for sentence in found if sentence]

    def rest(self) -> list[str]:
        """What is left at the end."""
        left, self._unsaid = self._unsaid.strip(), ""
        return [left] if left else []

    def _end(self) -> int | None:
        match = _END.search(self._unsaid)
        if match is not None and match.end() <= _LONGEST_SENTENCE:
            return match.end()
        if len(self._unsaid) < _LONGEST_SENTENCE:
            return None
        at = self._unsaid.rfind(" ", 0, _LONGEST_SENTENCE)
        return at if at > 0 else _LONGEST_SENTENCE
