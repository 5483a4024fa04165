"""What a bus can do for sessions, whichever it is.

A session on the bus is four things: a *card* (whose it is, who holds it, how it ended), the *commands* that nobody has
done yet, the newest *events*, and the *plan* that another holder rebuilds it by (settings and items). Rules that
every engine keeps:

1. Each method is one step: it happens as a whole or not at all, whoever else is at work.
2. A claim is fenced: ``publish``, ``renew`` and ``release`` do nothing once somebody else has claimed the session. So a
   process that slept over its lease cannot say a word any more.
3. What ``publish`` brings stands on the bus together: events, the plan as they changed it, and the commands that are
   done with them. The plan and the commands that are left are at every moment all of a session.
4. ``post``, ``publish``, ``register``, ``finish`` and ``mark`` may be repeated when nobody knows whether they happened.
5. Ids of events grow, also over a restart of the bus; they are what readers go on from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

__all__ = [
    "LOBBY",
    "Batch",
    "Bus",
    "Card",
    "Claim",
    "Entry",
    "Outcome",
    "Plan",
    "Posting",
    "Revival",
    "SessionInfo",
    "SessionSnapshot",
    "commands_of",
    "events_of",
]

LOBBY = "lobby"
"""The channel that tells holders of sessions to be claimed."""


def commands_of(session_id: str) -> str:
    """The channel of a session's commands."""
    return f"in:{session_id}"


def events_of(session_id: str) -> str:
    """The channel of a session's events."""
    return f"out:{session_id}"


class SessionInfo(msgspec.Struct, frozen=True):
    """A session as it stands on the bus.

    Attributes:
        session_id: its id.
        owner: the user whose it is.
        state: ``"waiting"`` for a worker that takes it, ``"open"``, or ``"closed"``.
        cause: why it was closed, else None.
        created: seconds since the epoch, by the bus's clock.
        backlog: commands that are not done.
        holder: name of the process that holds it, or None.
        claims: how often a process has taken it.
    """

    session_id: str
    owner: str
    state: str
    cause: str | None
    created: float
    backlog: int
    holder: str | None
    claims: int


class SessionSnapshot(msgspec.Struct, frozen=True):
    """A conversation as it stands on the bus, for a page that is loaded again.

    Attributes:
        items: in order, as a client may create them (protocol 5.3): messages as text, audio by its transcript,
            function calls and their outputs.
        settings: the fields that ``session.update`` has set, as confirmed.
        last_id: of the newest event that is in it: ``stream(after=last_id)`` goes on from there.
    """

    items: list[dict[str, Any]]
    settings: dict[str, Any]
    last_id: str

    def __repr__(self) -> str:
        return f"<SessionSnapshot of {len(self.items)} items, {self.last_id!r}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("items", len(self.items)), ("last_id", self.last_id)]


class Card(msgspec.Struct, frozen=True):
    """What a session is, from its beginning to its end; written once.

    Attributes:
        session_id: its id.
        owner: the user whose it is.
        config: of its first ``session.update``, or None.
        audio: whether sound travels over the bus.
        again: whether a response that was cut is asked for once more.
        idle_timeout: seconds without commands and readers after which it is closed.
        keep_closed: seconds that it is kept behind its end.
        max_backlog: commands that may wait.
        max_events: events that are kept.
        max_history: bytes of items that are kept.
    """

    session_id: str
    owner: str
    config: dict[str, Any] | None
    audio: bool
    again: bool
    idle_timeout: float
    keep_closed: float
    max_backlog: int
    max_events: int
    max_history: int

    def __repr__(self) -> str:
        return f"<Card of {self.session_id[:8]}...>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("audio", self.audio), ("again", self.again)]


class Entry(msgspec.Struct, frozen=True):
    """Something on a channel: its id and its JSON."""

    id: str
    data: bytes

    def __repr__(self) -> str:
        return f"<Entry {self.id}, {len(self.data)} bytes>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("size", len(self.data))]


class Plan(msgspec.Struct, frozen=True):
    """What a session is rebuilt from: fields and their JSON, as ``rtsync.bus.ledger`` writes them."""

    fields: dict[str, bytes]
    last_id: str

    def __repr__(self) -> str:
        return f"<Plan of {len(self.fields)} fields>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("fields", len(self.fields))]


class Claim(msgspec.Struct, frozen=True):
    """A session that this process holds, until the lease runs out.

    Attributes:
        card: the session's.
        token: what tells this claim from all others.
        number: how many claims there have been, this one included.
        tries: how many of them since anything was last said, this one included.
        handed_over: whether the last holder gave it up by itself.
    """

    card: Card
    token: str
    number: int
    tries: int
    handed_over: bool


class Batch(msgspec.Struct, frozen=True):
    """What a holder has to say of a session, in one step.

    Attributes:
        claim: by which it holds the session.
        number: of the batch, from 1 for each claim; a repeated one is known by it.
        events: JSON, in order.
        done: ids of commands that need not be done again.
        before: with it, all commands before that id are done.
        changes: of the plan; None takes a field out.
        cause: why the session is closed with this, or None.
    """

    claim: Claim
    number: int
    events: Sequence[bytes]
    done: Sequence[str] = ()
    before: str | None = None
    changes: Mapping[str, bytes | None] = {}
    cause: str | None = None

    def __repr__(self) -> str:
        return f"<Batch {self.number} of {len(self.events)} events>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("number", self.number), ("events", len(self.events))]


class Posting(StrEnum):
    """What came of a command."""

    DONE = "done"
    UNKNOWN = "unknown"
    """There is no such session of that owner."""
    CLOSED = "closed"
    FULL = "full"
    """Too many wait."""


class Outcome(StrEnum):
    """What came of a holder's words."""

    DONE = "done"
    STALE = "stale"
    """Somebody else has claimed the session."""
    CLOSED = "closed"
    """The session was closed."""
    GONE = "gone"
    """The bus knows nothing of it: it has expired, or the bus has lost its memory."""


class Revival(msgspec.Struct, frozen=True):
    """What a holder knows of a session that the bus has lost."""

    claim: Claim
    plan: Mapping[str, bytes]


class Bus(Protocol):
    """One engine. Threads: every method, from any.

    Raises:
        BusUnavailable: of every method: the bus cannot be reached, for as long as it is given.
    """

    name: str
    """For people: an address without credentials."""
    shared: bool
    """Whether other processes reach it."""
    interruptions: int
    """How often it was lost sight of: what stands there may be old since, or nothing at all."""

    def register(self, card: Card, *, most: int, most_of_owner: int) -> str | None:
        """Begin a session, to be claimed. Returns None, or which limit it would go beyond: ``"all"``, ``"owner"``."""

    def post(self, session_id: str, owner: str, command_id: str, command: bytes) -> Posting:
        """Add a command. One whose ``command_id`` was posted lately is not added again, and is DONE all the same."""

    def touch(self, session_ids: Sequence[str]) -> None:
        """Somebody reads these: they are not idle."""

    def finish(self, session_id: str, cause: str, notice: bytes, *, owner: str | None = None) -> Posting:
        """End a session: ``notice`` is its last event. With ``owner``, only where it is that user's."""

    def info(self, session_id: str, owner: str) -> SessionInfo | None:
        """What is known of a session of that user's; None where there is none."""

    def sessions(self, owner: str) -> list[str]:
        """The ids of a user's sessions that are not closed, in no order."""

    def plan(self, session_id: str) -> Plan:
        """The plan and the id of the newest event that is in it."""

    def backlog(self, session_id: str) -> list[Entry]:
        """The commands that are not done, oldest first."""

    def read(self, session_id: str, after: str, count: int) -> list[Entry]:
        """The first ``count`` events behind id ``after`` (``"0"``: from the beginning of what is kept)."""

    def has(self, session_id: str, event_id: str) -> bool:
        """Whether the event of that id is still kept."""

    def last_id(self, session_id: str) -> str:
        """The id of the newest event; ``"0"`` where there is none."""

    def follow(self, cursors: Mapping[str, str], timeout: float) -> dict[str, list[Entry]]:
        """What is behind the cursors of these channels; blocks up to ``timeout`` seconds where there is nothing."""

    def ring(self, channel: str) -> None:
        """Put something on a channel that is only there to wake who follows it."""

    def claim(self, holder: str, *, most: int, lease: float) -> list[Claim]:
        """Take up to ``most`` sessions that nobody holds, for ``lease`` seconds."""

    def renew(self, claims: Sequence[Claim], lease: float) -> dict[str, Outcome]:
        """Hold on to sessions; says by session id how each of them stands."""

    def release(self, claims: Sequence[Claim]) -> None:
        """Give sessions up, for others to take at once."""

    def publish(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Say what holders have to say; one batch of a session at a time."""

    def revive(self, revivals: Sequence[Revival], lease: float) -> list[Outcome]:
        """Begin sessions again that the bus has lost; STALE where another holder was faster."""

    def mark(self, name: str, token: str, seconds: float) -> bool:
        """Whether nobody has marked ``name`` with another token; if so it is marked, for that long."""

    def unmark(self, name: str) -> None:
        """Let ``name`` be marked again."""

    def close_idle(self) -> int:
        """Close sessions that are idle for too long. Returns how many."""

    def close(self) -> None:
        """Give connections back. The engine can be used again, and opens new ones."""
