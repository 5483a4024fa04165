"""What a conversation prints on stdout: the text as it comes, or one JSON event a line."""

from __future__ import annotations

import sys
from typing import Protocol

from rtsync import Event, RealtimeSession
from rtsync.vocabulary.events import encode
from rtsync.vocabulary.foreign import harmless

__all__ = ["JsonLines", "Output", "PlainText", "escaped"]


class Output(Protocol):
    """Where a conversation goes."""

    def attach(self, session: RealtimeSession) -> None:
        """Hear of the session's events; called before it opens."""

    def delta(self, piece: str) -> None:
        """A piece of an answer has come.

        Raises:
            OSError: stdout cannot be written, e.g. because its reader has gone.
        """

    def end(self) -> None:
        """The answer is over, or given up. Raises as ``delta``."""


class PlainText:
    """The words of the answers, each answer ended by a line break, with no character that a terminal would obey.

    Also into a pipe: what reads it may pass it on to a terminal (``tee``, ``grep``), and no words have such characters.
    Threads: the main thread alone.
    """

    def __init__(self) -> None:
        self._in_line = False

    def attach(self, session: RealtimeSession) -> None:
        """Nothing: the words come by ``delta``."""

    def delta(self, piece: str) -> None:
        """Print a piece at once."""
        self._in_line = True  # first: Ctrl+C may come between any two of these lines
        sys.stdout.write(harmless(piece))
        sys.stdout.flush()

    def end(self) -> None:
        """End the line that was begun."""
        if self._in_line:
            self._in_line = False
            print(flush=True)


class JsonLines:
    """Every server event, one a line, as it came.

    Threads: events are written in the session's handler thread, so that their order is theirs. What fails there is
    raised in the main thread, by the next ``delta`` or ``end``.
    """

    def __init__(self) -> None:
        self._failure: OSError | None = None

    def attach(self, session: RealtimeSession) -> None:
        """Write every event from the greeting on."""
        session.on("*", self._write)

    def delta(self, piece: str) -> None:
        """Only see whether writing still works: the event has been written."""
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        """As ``delta``."""
        self.delta("")

    def _write(self, _session: RealtimeSession, event: Event) -> None:
        if self._failure is not None:
            return
        try:
            sys.stdout.write(escaped(encode(event.to_dict()).decode()) + "\n")
            sys.stdout.flush()
        except OSError as error:
            self._failure = error


def escaped(line: str) -> str:
    """A line of JSON in which what a terminal obeys is written as ``\\u....``: JSON itself escapes only the oldest."""
    if line.isprintable():
        return line
    return "".join(each if harmless(each) else f"\\u{ord(each):04x}" for each in line)
