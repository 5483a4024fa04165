"""What listens: the face of ears, and those that measure and do not listen.

Ears can be any transcriber: a callable ``transcriber(pcm, sample_rate) -> str`` that takes 16-bit little-endian mono
PCM.
"""

from __future__ import annotations

from rtsync.simulator.brains import Cancellation
from rtsync.simulator.transcription import Transcriber

__all__ = ["Ears", "EarsFailed", "measure"]


class EarsFailed(Exception):
    """Nothing was understood, or nobody could listen; the message is for the event of the failed transcription."""


class Ears:
    """What listens: a transcriber that can be told to stop, and be made ready before it is needed.

    Args:
        transcriber: does the work where a subclass does not.
    """

    about = ""
    """One line for people: what to expect of it. Empty where there is nothing to say."""

    def __init__(self, transcriber: Transcriber) -> None:
        self._transcriber = transcriber

    def __call__(self, pcm: bytes, sample_rate: int) -> str:
        """As a transcriber: the words in ``pcm``, PCM16 mono.

        Raises:
            EarsFailed: there are none to be had.
        """
        return self.hear(pcm, sample_rate, Cancellation())

    def prepare(self) -> None:
        """Load what takes time. Called before the first session; twice does nothing."""

    def hear(self, pcm: bytes, sample_rate: int, cancelled: Cancellation) -> str:
        """The words in ``pcm``, PCM16 mono.

        Raises:
            EarsFailed: there are none to be had.

        Threads: any; blocks. ``cancelled`` is set when nobody waits for the words any more.
        """
        return self._transcriber(pcm, sample_rate)


def measure(pcm: bytes, sample_rate: int) -> str:
    """The transcriber of a simulator that has no ears: how long the sound is, and that nobody listened."""
    seconds = len(pcm) / 2 / sample_rate
    return f"These are {seconds:.1f} seconds of sound; the simulator measures it and does not listen."
