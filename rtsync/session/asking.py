"""Asking for a response: the turn, the request, and the beginning of the answer.

For the program (``session.respond``), and for what asks on its behalf: a guard for another answer, a budget for the
last words. It needs the core only, so that a thread of rtsync's can ask without holding the session.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rtsync.pure.responses import Record
from rtsync.threads.floor import MARK
from rtsync.threads.following import Follower
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import ServerError, WaitTimeout
from rtsync.vocabulary.events import new_event_id

if TYPE_CHECKING:
    from rtsync.threads.reader import Core

__all__ = ["Manner", "begin_response", "with_more_instructions"]

_ACTIVE_ALREADY = "conversation_already_has_active_response"


class Manner:
    """How a response is asked for, beside what is asked of the service.

    Attributes:
        first: before those that wait for their turn.
        exempt: no guard looks at it.
        replaces: the response that a guard has stopped, and in whose place it comes.
        last_words: although the budget is spent.
    """

    __slots__ = ("exempt", "first", "last_words", "replaces")

    def __init__(
        self,
        *,
        first: bool = False,
        exempt: bool = False,
        replaces: Follower | None = None,
        last_words: bool = False,
    ) -> None:
        self.first = first
        self.exempt = exempt
        self.replaces = replaces
        self.last_words = last_words


def begin_response(core: Core, params: Mapping[str, Any], deadline: Deadline, manner: Manner | None = None) -> Follower:
    """Ask for a response when its turn has come; returns once it has begun.

    Args:
        core: the session's.
        params: options of ``response.create`` (protocol 4.7).
        deadline: by which it must have begun, its turn included.
        manner: how it is asked for; None as any program asks.

    Raises:
        ServerError: the service refused to begin.
        WaitTimeout: its turn did not come, or the service did not answer.
        SessionClosed: the session ended, or its budget is spent.
    """
    how = manner or Manner()
    while True:
        ended = core.floor.ended
        follower = _requested(core, params, deadline, how)
        if not _lost_the_race(follower):
            return follower
        core.floor.await_news(ended, deadline.remaining())


def with_more_instructions(core: Core, options: Mapping[str, Any], more: str) -> str:
    """The instructions that a response with ``options`` has, and ``more``: those of a response replace the session's
    (protocol 4.7).
    """
    own = options.get("instructions", core.config.get("instructions"))
    return f"{own}\n\n{more}" if isinstance(own, str) and own else more


def _requested(core: Core, params: Mapping[str, Any], deadline: Deadline, how: Manner) -> Follower:
    """One attempt: wait for the floor, send, wait until it has begun or was refused."""
    if not how.last_words:
        core.check_may_ask()
    mark = core.floor.new_mark()
    options = {**params, "metadata": {**(params.get("metadata") or {}), MARK: mark}}
    follower = Follower(Record(mark, out_of_band=params.get("conversation") == "none"), options)
    follower.first, follower.exempt, follower.replaces = how.first, how.exempt, how.replaces
    try:
        if not core.floor.await_turn(follower, deadline.remaining()):
            running = core.floor.active
            raise WaitTimeout(
                f"the response did not get its turn within {deadline.timeout:g} s; another one"
                f" ({running.id if running else 'not begun'}) is still running. cancel() ends it"
            )
        if not how.last_words:
            core.check_may_ask()  # It may have been spent by the one that was waited for.
        core.hub.note_request()
        event = {"type": "response.create", "event_id": new_event_id(), "response": options}
        core.send(event, follower, deadline.remaining())
        if not follower.bell.wait_until(lambda: follower.begun, deadline.remaining()):
            raise WaitTimeout(f"the service did not begin the response within {deadline.timeout:g} s")
    except BaseException:
        core.floor.withdraw(follower)
        raise
    return follower


def _lost_the_race(follower: Follower) -> bool:
    """Whether the service refused because a response began that we had not heard of yet; raises other refusals."""
    if isinstance(follower.error, ServerError) and follower.error.code == _ACTIVE_ALREADY:
        return True
    if follower.error is None or follower.record.id is not None:
        return False
    raise copy.copy(follower.error)
