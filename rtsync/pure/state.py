"""The life of a session as a table: which state follows on what.

::

    NEW ──open──▶ CONNECTING ──established──▶ OPEN ──close──▶ CLOSING ──ended──▶ CLOSED
     │                │  │                     │ ▲                ▲                 ▲
     │                │  └────────close────────┼─┼────────────────┤                 │
     │                └─────────────────ended──┼─┼──────────────────────────────────┤
     │                                         │ └─established─ RECONNECTING ─close─┘(through CLOSING)
     └──close───────────────────────────────── └──ended─────────────────────────────┘

A session is used once: nothing leads out of CLOSED. Every pair of state and trigger stands in ``TABLE``: with the next
state, with the same state (the trigger changes nothing), or with a text (the trigger is a mistake of the caller).
"""

from __future__ import annotations

from enum import StrEnum

from rtsync.vocabulary.errors import UsageError

__all__ = ["TABLE", "State", "Trigger", "after"]


class State(StrEnum):
    """Where a session is in its life."""

    NEW = "new"
    """Made, not opened."""
    CONNECTING = "connecting"
    """``open()`` is at work: DNS, TCP, TLS, upgrade, until the service has greeted."""
    OPEN = "open"
    """Events go both ways."""
    RECONNECTING = "reconnecting"
    """The line was lost and a new one is being opened."""
    CLOSING = "closing"
    """``close()`` is at work."""
    CLOSED = "closed"
    """Ended, for ever."""


class Trigger(StrEnum):
    """What moves a session on."""

    OPEN = "open"
    """``open()`` was called."""
    ESTABLISHED = "established"
    """The service greeted on the line."""
    LOST = "lost"
    """The line ended, and a new one shall be tried."""
    ENDED = "ended"
    """The line ended, or never opened."""
    CLOSE = "close"
    """``close()`` was called."""


_TWICE = "this session is being opened by another thread already"
_USED = "a session is used once, and this one has ended; make a new RealtimeSession"
_NOT_CONNECTING = "a line was established that nobody opened"

TABLE: dict[tuple[State, Trigger], State | str] = {
    (State.NEW, Trigger.OPEN): State.CONNECTING,
    (State.NEW, Trigger.ESTABLISHED): _NOT_CONNECTING,
    (State.NEW, Trigger.LOST): State.NEW,
    (State.NEW, Trigger.ENDED): State.NEW,
    (State.NEW, Trigger.CLOSE): State.CLOSED,
    (State.CONNECTING, Trigger.OPEN): _TWICE,
    (State.CONNECTING, Trigger.ESTABLISHED): State.OPEN,
    (State.CONNECTING, Trigger.LOST): State.CLOSED,
    (State.CONNECTING, Trigger.ENDED): State.CLOSED,
    (State.CONNECTING, Trigger.CLOSE): State.CLOSING,
    (State.OPEN, Trigger.OPEN): State.OPEN,
    (State.OPEN, Trigger.ESTABLISHED): State.OPEN,
    (State.OPEN, Trigger.LOST): State.RECONNECTING,
    (State.OPEN, Trigger.ENDED): State.CLOSED,
    (State.OPEN, Trigger.CLOSE): State.CLOSING,
    (State.RECONNECTING, Trigger.OPEN): State.RECONNECTING,
    (State.RECONNECTING, Trigger.ESTABLISHED): State.OPEN,
    (State.RECONNECTING, Trigger.LOST): State.RECONNECTING,
    (State.RECONNECTING, Trigger.ENDED): State.CLOSED,
    (State.RECONNECTING, Trigger.CLOSE): State.CLOSING,
    (State.CLOSING, Trigger.OPEN): _USED,
    (State.CLOSING, Trigger.ESTABLISHED): State.CLOSING,
    (State.CLOSING, Trigger.LOST): State.CLOSED,
    (State.CLOSING, Trigger.ENDED): State.CLOSED,
    (State.CLOSING, Trigger.CLOSE): State.CLOSING,
    (State.CLOSED, Trigger.OPEN): _USED,
    (State.CLOSED, Trigger.ESTABLISHED): State.CLOSED,
    (State.CLOSED, Trigger.LOST): State.CLOSED,
    (State.CLOSED, Trigger.ENDED): State.CLOSED,
    (State.CLOSED, Trigger.CLOSE): State.CLOSED,
}


def after(state: State, trigger: Trigger) -> State:
    """The state that follows ``state`` on ``trigger``.

    Raises:
        UsageError: the trigger is a mistake in this state; the text says what to do.
    """
    following = TABLE[state, trigger]
    if isinstance(following, State):
        return following
    raise UsageError(following)
