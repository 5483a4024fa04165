"""The counters of a session, as a program reads them."""

from __future__ import annotations

import msgspec

from rtsync.pure.turns import Turn

__all__ = ["SessionStats"]


class SessionStats(msgspec.Struct, frozen=True, kw_only=True):
    """A session in numbers at one moment: ``session.stats``. Sizes in bytes, times in seconds.

    Attributes:
        events_received: events that the service has sent, over all lines of the session.
        events_sent: events that were handed to the kernel.
        bytes_received: what came over the wire: frames and the answer to the upgrade; TLS is not counted.
        bytes_sent: what went out, likewise.
        events_dropped: deltas that the handlers did not get (``on_overflow="drop_deltas"``). What a subscription has
            dropped is counted by ``Subscription.dropped``.
        queued_events: events that wait for the handlers now, without the one being handled.
        queued_bytes: the size of their messages.
        most_queued_events: most that have waited at one time.
        most_queued_bytes: likewise.
        handler_lag: age of the oldest event that the handlers are not done with; 0 where there is none.
        lines: connections that became a session, the present one included.
        reconnects: those of them that replaced a line.
        waiting: threads that wait for something of this session now.
        open_for: time since the service greeted first, until now or the end; 0 before.
        silent_for: time since the last byte from the service on the present line; None before the first line.
        last_turn: the newest turn of the conversation whose response has ended: how long it took. ``session.turns`` has
            more.
    """

    events_received: int = 0
    events_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    events_dropped: int = 0
    queued_events: int = 0
    queued_bytes: int = 0
    most_queued_events: int = 0
    most_queued_bytes: int = 0
    handler_lag: float = 0.0
    lines: int = 0
    reconnects: int = 0
    waiting: int = 0
    open_for: float = 0.0
    silent_for: float | None = None
    last_turn: Turn | None = None
