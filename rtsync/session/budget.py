"""The budget of a session at work: what was used is looked at when the service tells more, and when time is up.

1. ``take_stock`` is called in the reader, with the event that says what was used and before anybody hears of that. It
   computes, and where a limit is reached, once, nothing is asked for from then on.
2. What follows waits for responses and sends, so it has a thread of its own, ``rtsync-budget-N``, which is started
   then. Where time is limited that thread is started with the session, and sleeps until then.
3. The thread refers to the core only, so that a forgotten session is collected.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from rtsync.edges import signals
from rtsync.edges.latch import Bell
from rtsync.pure.budget import Budget, Spending, overspent, reckoned
from rtsync.session.asking import Manner, begin_response, with_more_instructions
from rtsync.threads.following import Request
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import CloseCause, ConfigurationError, RealtimeError, SessionClosed
from rtsync.vocabulary.events import new_event_id

if TYPE_CHECKING:
    from rtsync.pure.responses import Record
    from rtsync.threads.reader import Core

__all__ = ["Allowance", "spending"]

logger = logging.getLogger("rtsync.budget")


def spending(core: Core) -> Spending:
    """What a session without a budget has used."""
    return reckoned(core.usage, core.open_for, None)


class Allowance:
    """The budget of one session.

    Args:
        core: the session's.
        budget: its limits.
        close_timeout: seconds that closing may take.
    """

    def __init__(self, core: Core, budget: Budget, close_timeout: float) -> None:
        if not isinstance(budget, Budget):
            raise ConfigurationError(f"budget must be a Budget(...), not {type(budget).__name__}")
        self._core = core
        self._budget = budget
        self._close_timeout = close_timeout
        self._bell = Bell()  # Rings when the thread that waits for the end of the time need not wait any longer.
        self._reaching = threading.Lock()  # Guards that a limit is reached once.
        self._spent: str | None = None
        self._thread: threading.Thread | None = None
        self._running: list[Record] = []
        self._unpriced = False
        if budget.max_tokens is not None or budget.prices is not None:
            core.count = self.take_stock

    def spending(self) -> Spending:
        """What was used so far."""
        return reckoned(self._core.usage, self._core.open_for, self._budget, self._spent)

    def start(self) -> None:
        """The session is open."""
        if self._budget.max_seconds is not None:
            self._core.at_end += (self._bell.ring,)
            self._run_thread()

    def take_stock(self) -> Callable[[], None] | None:
        """More was used. In the reader, under the books. Returns what is to be done where that was enough."""
        used = self.spending()
        if used.unpriced and not self._unpriced:
            self._unpriced = True
            logger.warning("the cost of the session is more than is counted: no price for %s", ", ".join(used.unpriced))
        said = overspent(used)
        return self._end if said is not None and self._reach(said) else None

    def _end(self) -> None:
        """The limit is reached by what was used. In the reader."""
        self._core.announce(signals.budget_spent, spending=self.spending())
        if self._budget.max_seconds is None:
            self._run_thread()
        else:
            self._bell.ring()

    def _reach(self, said: str) -> bool:
        """A limit is reached; returns whether it is the first."""
        with self._reaching:
            if self._spent is not None:
                return False
            self._spent = said
        self._running = self._core.floor.running
        self._core.refusal = self._why(said)
        return True

    def _why(self, said: str) -> SessionClosed:
        return SessionClosed(
            f"the budget of the session is spent: {said}. More needs a larger Budget, or another session",
            cause=CloseCause.BUDGET,
        )

    def await_farewell(self, deadline: Deadline) -> None:
        """Where the budget is spent: block until the last words are said, so that a program that leaves its ``with``
        block because nothing more can be asked for does not cut them off. Not in a handler, which they may need.
        """
        core = self._core
        if self._spent is None or self._budget.farewell is None or core.delivery.in_handler():
            return
        if threading.current_thread() is not self._thread:
            core.finished.wait(deadline.remaining())

    def join(self, deadline: Deadline) -> None:
        """The session is closed: block until the thread has ended, or ``deadline``."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread() and self._core.finished:
            thread.join(deadline.remaining())

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _run_thread(self) -> None:
        name = f"rtsync-budget-{self._core.number}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._await_limit()
            if not self._is_over():
                self._conclude()
        except RealtimeError as error:  # The session has ended meanwhile.
            logger.debug("nothing more to end: %s", error)

    def _await_limit(self) -> None:
        """Sleep until the session has ended, or the first limit is reached."""
        core, limit = self._core, self._budget.max_seconds
        if limit is None:
            return
        left = max(0.0, limit - core.open_for)
        if self._bell.wait_until(lambda: self._spent is not None or bool(core.finished), left):
            return
        said = overspent(self.spending()) or f"{core.open_for:.1f} of {limit:g} seconds"
        if self._reach(said):
            core.announce_later(signals.budget_spent, spending=self.spending())

    def _conclude(self) -> None:
        """End the session politely."""
        core = self._core
        deadline = Deadline(self._budget.grace)
        core.floor.turns.wait_until(lambda: self._has_ended() or self._is_over(), deadline.remaining())
        self._cancel_all()
        if self._budget.farewell is not None and not self._is_over():
            try:
                self._say_farewell(self._budget.farewell, Deadline(self._budget.grace))
            except RealtimeError as error:
                if not self._is_over():
                    logger.warning("the last words of the session could not be said: %s", error)
        assert self._spent is not None
        core.dismiss(self._why(self._spent), Deadline(self._close_timeout))

    def _is_over(self) -> bool:
        return self._core.error is not None

    def _has_ended(self) -> bool:
        """Whether nothing runs any more that had begun before the limit was reached."""
        return not any(record in self._running for record in self._core.floor.running)

    def _cancel_all(self) -> None:
        """Cancel what still runs, without waiting for it."""
        for record in self._core.floor.running:
            if record.id is not None and not self._is_over():
                event = {"type": "response.cancel", "event_id": new_event_id(), "response_id": record.id}
                self._core.send(event, Request(), self._close_timeout)

    def _say_farewell(self, words: str, deadline: Deadline) -> None:
        core = self._core
        options = {"instructions": with_more_instructions(core, {}, words), "tool_choice": "none"}
        manner = Manner(first=True, last_words=True)
        said = begin_response(core, options, deadline, manner)
        if not said.bell.wait_until(lambda: said.settled, deadline.remaining()):
            logger.warning("the last words of the session took longer than %g s", self._budget.grace)
            self._cancel_all()
