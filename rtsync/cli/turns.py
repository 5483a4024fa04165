"""What voice detection hears in a recording: turns, when they were, and their words."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

import msgspec

from rtsync import Event, RealtimeSession, WaitTimeout, session_closed
from rtsync.edges.latch import Bell

__all__ = ["SpokenTurn", "Turns"]

_LONGEST_LAG = 15.0  # seconds that are believed: the first words tell little of the pace
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
        self._told = 0, 0.0  # The latest place in the sound that an event named, and when that came.
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

    def until_all_are_over(
        self, *, timeout: float, settle: float, sent_ms: int = 0, began: float = 0.0
    ) -> Iterator[SpokenTurn]:
        """Those that are still to come, when all sound has been sent.

        Whether an empty update is answered behind all that is heard in what was sent before it is confirmed of no
        service. So where ``settle`` is not 0 the rest of the sound is also given the time that it should take, judged
        by the pace at which the service came as far as it has told.

        Args:
            timeout: seconds of silence after which what is missing is given up.
            settle: seconds without news, beside that time, after which no more are awaited; 0 relies on the order.
            sent_ms: how much sound was sent.
            began: when its first chunk was, on the monotonic clock.

        Raises:
            WaitTimeout: words are missing.
            SessionClosed: the session was lost.
        """
        self._session.update(timeout=timeout)  # It changes nothing. Events come in order: what was heard is known now.
        while True:
            news = self._news
            yield from self.take()
            missing = len(self._in_order)
            patience = settle and settle + self._lag(sent_ms, began)
            if self._await_news(news, timeout if missing else patience):
                continue
            if not missing:
                return
            raise WaitTimeout(f"the words of {missing} turn(s) did not come in {timeout:g} s")

    def _lag(self, sent_ms: int, began: float) -> float:
        """Seconds until the service should have heard all, at the pace at which it has heard what it told of."""
        told_ms, told_at = self._told
        if not told_ms:
            return 0.0
        expected = began + (told_at - began) * max(1.0, sent_ms / told_ms)
        return min(_LONGEST_LAG, max(0.0, expected - time.monotonic()))

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
        self._told = event.audio_start_ms, time.monotonic()

    def _end(self, _session: RealtimeSession, event: Event) -> None:
        self._last_end_ms = self._turn(event.item_id).end_ms = event.audio_end_ms
        self._told = event.audio_end_ms, time.monotonic()

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
