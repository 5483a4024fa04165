"""The words of two who speak, in the order of the conversation, though they do not come in that order.

What the user said is known some time after it was said, often in the middle of the answer. An answer stands behind the
words that it answers: it waits for them, but not beyond its own end. Words that come even later stand where they come.
"""

from __future__ import annotations

from collections import deque

import msgspec

from rtsync import Event, RealtimeSession
from rtsync.vocabulary.events import raw
from rtsync.vocabulary.foreign import harmless, one_line

__all__ = ["Dialogue", "Words"]

_BUFFER = "input_audio_buffer"
_HEARD = "conversation.item.input_audio_transcription"
_YOU, _MODEL = "you", "model"


class Words(msgspec.Struct):
    """A line of the dialogue.

    Attributes:
        who: ``"you"`` or ``"model"``.
        text: so far.
        is_over: whether there will be no more.
        is_passed: whether others went on without it.
        is_ended: whether its line break is on the screen.
        shown: how many characters of it are there.
    """

    who: str
    text: str = ""
    is_over: bool = False
    is_passed: bool = False
    is_ended: bool = False
    shown: int = 0


class Dialogue:
    """What both have said.

    Attributes:
        hears_you: whether voice detection hears the user now.

    Args:
        session: not open yet.

    Threads: the session's handlers write; one thread calls ``news``.
    """

    def __init__(self, session: RealtimeSession) -> None:
        self.hears_you = False
        self._lines: deque[Words] = deque()
        self._notes: deque[str] = deque()
        self._by_id: dict[str, Words] = {}
        for kind, handler in (
            (f"{_BUFFER}.speech_started", self._start),
            (f"{_BUFFER}.speech_stopped", self._stop),
            (f"{_BUFFER}.committed", self._commit),
            (f"{_HEARD}.completed", self._understand),
            (f"{_HEARD}.failed", self._misunderstand),
            ("response.created", self._begin),
            ("response.output_audio_transcript.delta", self._speak),
            ("response.done", self._end),
            ("error", self._refuse),
        ):
            session.on(kind, handler)

    @property
    def in_line(self) -> bool:
        """Whether a line has been begun on the screen, and not ended."""
        return bool(self._lines and self._lines[0].shown)

    def news(self) -> str:
        """What is to be written next, to stdout; empty where there is nothing new."""
        written = ""
        while self._lines:
            line = self._lines[0]
            is_over = line.is_over  # Asked before its text is looked at: that is complete first.
            written += _rest(line)
            if is_over:
                written += "\n" if line.shown and not line.is_ended else ""
                line.is_ended = True
            elif not self._pass(line):
                break
            self._lines.popleft()
        return written

    def _pass(self, line: Words) -> bool:
        """Whether to go on without the user's ``line``, because the answer to it is over."""
        if line.who != _YOU or not any(later.is_over for later in tuple(self._lines)[1:]):
            return False
        line.is_passed = True
        return not line.is_over  # It may have come at this moment.

    def note(self, text: str) -> None:
        """Something to be said beside. Threads: handlers."""
        self._notes.append(text)

    def notes(self) -> list[str]:
        """What is to be said beside, to stderr; each once."""
        return [self._notes.popleft() for _ in range(len(self._notes))]

    # -- handlers ------------------------------------------------------------------------------------------------------

    def _start(self, _session: RealtimeSession, _event: Event) -> None:
        self.hears_you = True

    def _stop(self, _session: RealtimeSession, _event: Event) -> None:
        self.hears_you = False

    def _commit(self, _session: RealtimeSession, event: Event) -> None:
        self._line(event.item_id, _YOU)

    def _understand(self, _session: RealtimeSession, event: Event) -> None:
        line = self._line(event.item_id, _YOU)
        line.text = one_line(event.transcript)
        line.is_over = True
        if line.is_passed:
            self._lines.append(line)

    def _misunderstand(self, _session: RealtimeSession, event: Event) -> None:
        self._notes.append(f"what you said was not understood: {event.error.message or event.error.code}")
        self._line(event.item_id, _YOU).is_over = True

    def _begin(self, _session: RealtimeSession, event: Event) -> None:
        self._line(event.response.id, _MODEL)

    def _speak(self, _session: RealtimeSession, event: Event) -> None:
        self._line(event.response_id, _MODEL).text += harmless(event.delta).replace("\n", " ")

    def _end(self, _session: RealtimeSession, event: Event) -> None:
        response = raw(event).get("response") or {}
        line = self._line(str(response.get("id")), _MODEL)
        status, details = response.get("status"), response.get("status_details") or {}
        if status == "cancelled" and line.text:
            line.text += " ..."
        elif status in ("failed", "incomplete"):
            error = details.get("error") or {}
            self._notes.append(
                f"the answer is {status}: {error.get('message') or details.get('reason') or 'no reason'}"
            )
        line.is_over = True

    def _refuse(self, _session: RealtimeSession, event: Event) -> None:
        self._notes.append(f"the service: {event.error.message}")

    def _line(self, key: str, who: str) -> Words:
        line = self._by_id.get(key)
        if line is None:
            line = self._by_id[key] = Words(who)
            self._lines.append(line)
        return line


def _rest(line: Words) -> str:
    """What of it is not on the screen yet."""
    text = line.text
    new, beginning = text[line.shown :], "" if line.shown else f"{line.who}: "
    line.shown = len(text)
    return beginning + new if new else ""
