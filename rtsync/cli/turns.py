"""What voice detection hears in a recording: turns, when they were, and their words."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from rtsync import Event, RealtimeSession, WaitTimeout, session_closed
from rtsync.edges.latch import Bell

__all__ = ["SpokenTurn", "Turns"]

_BUFFER = "input_audio_buffer"
_WORDS = "conversation.item.input_audio_transcription"


class SpokenTurn(msgspec.Struct):
    """Somebody spoke.

    Attributes:
        start_ms: where in the sound.
        end_ms: where it ended; None while it goes on.
        text: the words; None while they have not come.
        error: why there are none.
    """

    start_ms: int
    end_ms: int | None = None
    text: str | None = None
    error: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether all is known that will be."""
        return self.text is not None or self.error is not None


class Turns:
    """The turns that a session hears, in their order.

    Args:
        session: not open yet.

    Threads: the session's handlers write; one thread takes. A deque of which the one only appends, and the other only
    takes the first, needs no lock.
    """

    def __init__(self, session: RealtimeSession) -> None:
        self._session = session
        self._in_order: deque[SpokenTurn] = deque()
        self._by_item: dict[str, SpokenTurn] = {}
        self._last_end_ms = 0
        self._news = 0
        self._bell = Bell()
        handlers = {
            f"{_BUFFER}.speech_started": self._begin,
            f"{_BUFFER}.speech_stopped": self._end,
            f"{_BUFFER}.committed": self._commit,
            f"{_WORDS}.completed": self._complete,
            f"{_WORDS}.failed": self._fail,
        }
        for kind, handler in handlers.items():
            session.on(kind, handler)
            session.on(kind, self._ring)
        session_closed.connect(self._ring, sender=session)

    def take(self) -> Iterator[SpokenTurn]:
        """Those that are over, and before which all are."""
        while self._in_order and self._in_order[0].is_over:
            yield self._in_order.popleft()

    def until_all_are_over(self, *, timeout: float, settle: float) -> Iterator[SpokenTurn]:
        """Those that are still to come, when all sound has been sent.

        Args:
            timeout: seconds of silence after which what is missing is given up.
            settle: seconds without news after which no more are awaited. A service may lag behind a sound that is sent
                faster than it was spoken.

        Raises:
            WaitTimeout: words are missing.
            SessionClosed: the session was lost.
        """
        self._session.update(timeout=timeout)  # It changes nothing. Events come in order: what was heard is known now.
        while True:
            news = self._news
            yield from self.take()
            missing = len(self._in_order)
            if self._await_news(news, timeout if missing else settle):
                continue
            if not missing:
                return
            raise WaitTimeout(f"the words of {missing} turn(s) did not come in {timeout:g} s")

    def _await_news(self, news: int, timeout: float) -> bool:
        """Whether there are more than ``news`` in time."""
        # Not by wait_for: an hour of turns is more than a session keeps for whoever waits.
        self._bell.wait_until(lambda: self._news != news or self._session.state != "open", timeout)
        if self._session.state != "open":
            self._session.update(timeout=timeout)  # It says how the session ended.
        return self._news != news

    # -- handlers ------------------------------------------------------------------------------------------------------

    def _ring(self, _session: RealtimeSession, event: Event | None = None, **_: object) -> None:
        self._news += event is not None
        self._bell.ring()

    def _begin(self, _session: RealtimeSession, event: Event) -> None:
        self._turn(event.item_id).start_ms = event.audio_start_ms

    def _end(self, _session: RealtimeSession, event: Event) -> None:
        self._last_end_ms = self._turn(event.item_id).end_ms = event.audio_end_ms

    def _commit(self, _session: RealtimeSession, event: Event) -> None:
        self._turn(event.item_id)  # Of a server that does not say when speech begins.

    def _complete(self, _session: RealtimeSession, event: Event) -> None:
        self._turn(event.item_id).text = event.transcript.strip()

    def _fail(self, _session: RealtimeSession, event: Event) -> None:
        self._turn(event.item_id).error = event.error.message or event.error.code or "no reason given"

    def _turn(self, item_id: str) -> SpokenTurn:
        turn = self._by_item.get(item_id)
        if turn is None:
            turn = self._by_item[item_id] = SpokenTurn(self._last_end_ms)
            self._in_order.append(turn)
        return turn
