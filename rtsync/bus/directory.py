"""``SessionDirectory``: what web applications hold. Sessions by id and owner, wherever they are held.

1. A directory may be made at import, before any fork: it opens nothing. What it needs in a process, connections and
   threads, it makes there on first use; a forked child begins anew.
2. No session can be reached without the owner that it was opened for. There is no default for that.
3. It knows nothing of the conversation: that is the worker's, in this process (``run_owners``) or in another one.
"""

from __future__ import annotations

import os
import secrets
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import msgspec

from rtsync.bus import notices
from rtsync.bus.addresses import engine_for
from rtsync.bus.engine import Bus, Card, Posting, SessionInfo, SessionSnapshot
from rtsync.bus.ledger import conversation_of
from rtsync.bus.reading import EventStream, checked_id
from rtsync.bus.watch import Watcher
from rtsync.bus.worker import Prepare, Worker
from rtsync.edges import forks
from rtsync.session.options import required_seconds
from rtsync.vocabulary.deadline import Deadline, seconds
from rtsync.vocabulary.errors import (
    BusUnavailable,
    ConfigurationError,
    SessionClosed,
    TooManySessions,
    UnknownSession,
    UsageError,
)
from rtsync.vocabulary.events import encode, new_event_id
from rtsync.vocabulary.ids import new_id
from rtsync.vocabulary.targets import Target

__all__ = ["SessionDirectory"]

_LONGEST_OWNER = 256  # characters
_LONGEST_ID = 512  # characters of an event_id, protocol 6.1
_APPENDS = frozenset({"input_audio_buffer.append", "session.input_audio_buffer.append"})


class _Here:
    """What a directory has in one process."""

    def __init__(self, bus: Bus) -> None:
        self.process = os.getpid()
        self.bus = bus
        self.watcher = Watcher(bus)
        self.worker: Worker | None = None


class SessionDirectory:
    """Sessions that every web worker reaches, by session id and owner.

    ::

        directory = SessionDirectory("redis://localhost:6379/0")          # at import; opens nothing
        session_id = directory.open(owner="user-7", config={"output_modalities": ["text"]})
        directory.send(session_id, "user-7", {"type": "response.create"})
        for id, event in directory.stream(session_id, "user-7", after=last_event_id):
            ...

    The owner is whatever string the application knows its user by. Somebody else's session is refused exactly like one
    that does not exist.

    Args:
        bus: ``"memory://"``, everything in this process; or ``"redis://host:port/db"`` (``rediss://`` for TLS,
            ``unix://path``), with ``?prefix=`` before the names of its keys (``rtsync:`` by default), as every process
            of the application gives it.
        target: where this process's sessions connect to; needed where it holds any.
        run_owners: whether this process holds sessions. None: with ``memory://``, where nobody else could; not with
            ``redis://``, where ``rtsync worker`` does.
        responses: what becomes of a response that is cut because its holder died or its line was lost: ``"again"``, it
            is asked for once more, which costs tokens again; ``"fail"``, it is given up.
        audio: whether sound travels over the bus. Without, ``input_audio_buffer.append`` is refused, and audio deltas
            are left out.
        session_options: keyword arguments of the ``RealtimeSession`` that holds a conversation, but for ``config`` and
            ``reconnect``: the directory brings sessions back by itself. ``handlers`` is ``"inline"`` there, unless
            ``prepare`` is given.
        prepare: called as ``prepare(session, info)`` with each ``RealtimeSession`` before it is opened, to connect
            handlers; anew whenever a conversation moves. It runs in a thread of the worker's.
        max_sessions: most sessions of all owners together.
        max_sessions_per_owner: most sessions of one owner.
        max_backlog: most commands of a session that wait to be done.
        max_events: events of a session that are kept for readers who come back.
        max_history: bytes of items that are kept for rebuilding a session; the oldest are dropped beyond that.
        max_command_size: bytes of the largest command.
        idle_timeout: seconds without commands and readers after which a session is closed.
        keep_closed: seconds for which the end of a session can still be read.
        lease: seconds after which the sessions of a process that died, or hangs, are taken by another one.
        bus_timeout: seconds that any call waits for the bus.
        max_held: most sessions that this process holds (``run_owners``).

    Raises:
        ConfigurationError: an option is not what it must be, or the extra for the bus is missing.

    Threads: every method may be called from any thread. With ``run_owners``, threads of rtsync's hold the sessions.
    """

    def __init__(
        self,
        bus: str = "memory://",
        *,
        target: Target | None = None,
        run_owners: bool | None = None,
        responses: Literal["again", "fail"] = "again",
        audio: bool = False,
        session_options: Mapping[str, Any] | None = None,
        prepare: Prepare | None = None,
        max_sessions: int = 1000,
        max_sessions_per_owner: int = 8,
        max_backlog: int = 1000,
        max_events: int = 5000,
        max_history: int = 1 << 20,
        max_command_size: int = 1 << 20,
        idle_timeout: float = 300.0,
        keep_closed: float = 60.0,
        lease: float = 2.5,
        bus_timeout: float = 5.0,
        max_held: int = 500,
    ) -> None:
        self._bus_timeout = required_seconds(bus_timeout, "bus_timeout")
        self._engine: Callable[[], Bus] = engine_for(bus, timeout=self._bus_timeout)
        self.run_owners = (bus.partition(":")[0] == "memory") if run_owners is None else bool(run_owners)
        if target is not None and not isinstance(target, Target):
            raise ConfigurationError(
                f"target must be OpenAI(...), Azure(...) or Simulator(), not {type(target).__name__}"
            )
        if self.run_owners and target is None:
            raise ConfigurationError(
                "this process holds sessions, and needs a target for them: SessionDirectory(..., target=OpenAI(...)),"
                " or a redis:// bus and `rtsync worker`"
            )
        if responses not in ("again", "fail"):
            raise ConfigurationError(f"responses must be 'again' or 'fail', not {responses!r}")
        self.target = target
        self._again, self._audio = responses == "again", bool(audio)
        self._session_options = dict(session_options or {})
        self._prepare = prepare
        self._most = _count(max_sessions, "max_sessions")
        self._most_of_owner = _count(max_sessions_per_owner, "max_sessions_per_owner")
        self._max_backlog = _count(max_backlog, "max_backlog")
        self._max_events = _count(max_events, "max_events")
        self._max_history = _count(max_history, "max_history")
        self._max_command_size = _count(max_command_size, "max_command_size")
        self._max_held = _count(max_held, "max_held")
        self._idle_timeout = required_seconds(idle_timeout, "idle_timeout")
        self._keep_closed = required_seconds(keep_closed, "keep_closed")
        self._lease = required_seconds(lease, "lease")
        self._here_lock = threading.RLock()  # Guards _here.
        self._here: _Here | None = None
        _directories.add(self)

    def __repr__(self) -> str:
        return f"<SessionDirectory at {self.bus_name}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- sessions -----------------------------------------------------------------------------------------------------

    def open(self, owner: str, *, config: Mapping[str, Any] | None = None, timeout: float | None = 15.0) -> str:
        """Begin a conversation, and return its session id once the service has greeted and confirmed ``config``.

        Args:
            owner: whose it is.
            config: fields of the session, as of ``RealtimeSession(config=...)``.
            timeout: in seconds; 0 returns at once, and what becomes of it is read from the stream.

        Raises:
            TooManySessions: a limit is reached, the owner's or that of all.
            BusUnavailable: the bus is out of reach, or no worker has taken the session in time.
            ConnectFailed, ServerError, ConfigurationError: what the worker met when it opened the session.

        Threads: blocks up to ``timeout``.
        """
        whose = _owner(owner)
        deadline = Deadline(seconds(timeout, "timeout", none="wait for ever", zero=True))
        if config is not None and not isinstance(config, Mapping):
            raise ConfigurationError(f"config must be a mapping of session fields, not {type(config).__name__}")
        card = self._card(whose, config)
        beyond = self._local().bus.register(card, most=self._most, most_of_owner=self._most_of_owner)
        if beyond is not None:
            allowed = self._most if beyond == "all" else self._most_of_owner
            whom = "all users together" if beyond == "all" else "one user"
            raise TooManySessions(
                f"{allowed} sessions of {whom} are open, and no more are allowed; close one, or see max_sessions and"
                " max_sessions_per_owner",
                limit=beyond,
            )
        if deadline.timeout != 0:
            self._await_opening(card.session_id, whose, deadline)
        return card.session_id

    def send(self, session_id: str, owner: str, event: Mapping[str, Any]) -> str:
        """Give a client event (protocol section 2) to whoever holds the session; returns its ``event_id``.

        Returns when it stands on the bus, where it survives its holder. It may be repeated with the same ``event_id``
        when it failed: what stands there already (of the newest 1,024) is not done twice. An item that is created gets
        an id, if it has none.

        Raises:
            UnknownSession: the owner has no such session.
            SessionClosed: it has ended.
            UsageError: it is no event, too large, or sound on a bus without.
            BusUnavailable: the bus is out of reach, or too many commands wait already.

        Threads: blocks up to ``bus_timeout``.
        """
        command = _command(event)
        if not self._audio and (command["type"] in _APPENDS or notices.has_audio(command)):
            raise UsageError("sound does not travel over this bus; SessionDirectory(audio=True) lets it")
        data = _written(command, self._max_command_size)
        posting = self._local().bus.post(_session(session_id), _owner(owner), command["event_id"], data)
        if posting is Posting.FULL:
            raise BusUnavailable(
                f"{self._max_backlog} commands of this session wait already, and nobody takes them: does a worker run?"
            )
        _check_posted(posting)
        event_id: str = command["event_id"]
        return event_id

    def stream(self, session_id: str, owner: str, *, after: str | None = None, heartbeat: float = 15.0) -> EventStream:
        """The events of a session, as they come: an iterator of ``(id, event)``, and of ``(id, None)`` as heartbeats.

        Whose it is, is checked before it returns. Readers never hold up a session, however slow they are.

        Args:
            session_id: the session's.
            owner: whose it is.
            after: id of the last event that was seen (``Last-Event-ID``); None for everything that is kept. Where what
                came behind it is no longer kept, the first event is ``rtsync.stream.gap``.
            heartbeat: seconds without an event after which ``(last id, None)`` comes, e.g. for a comment line that
                keeps a connection alive, and notices that it is dead.

        Raises:
            UnknownSession: the owner has no such session.
            UsageError: ``after`` is no id.
            BusUnavailable: the bus is out of reach.

        Threads: any; see ``EventStream``.
        """
        here, known = self._local(), _session(session_id)
        last, beat = checked_id(after), required_seconds(heartbeat, "heartbeat")
        self.info(known, owner)
        revival = 2 * self._lease + 2.0  # In which who holds a session that the bus has lost brings it back.
        return EventStream(here.bus, here.watcher, known, _owner(owner), last, heartbeat=beat, revival=revival)

    def snapshot(self, session_id: str, owner: str) -> SessionSnapshot:
        """The conversation as it stands on the bus, and the id to go on from: for a page that is loaded again.

        Raises:
            UnknownSession: the owner has no such session.
            BusUnavailable: the bus is out of reach.

        Threads: blocks up to ``bus_timeout``.
        """
        self.info(session_id, owner)
        plan = self._local().bus.plan(session_id)
        items, update = conversation_of(plan)
        settings = {} if update is None else update.get("session") or {}
        return SessionSnapshot(items=items, settings=settings, last_id=plan.last_id)

    def info(self, session_id: str, owner: str) -> SessionInfo:
        """How a session stands. Raises and Threads: as of ``snapshot``."""
        found = self._local().bus.info(_session(session_id), _owner(owner))
        if found is None:
            raise _unknown()
        return found

    def sessions(self, owner: str) -> list[str]:
        """The ids of the owner's sessions that are open, in no order. Raises ``BusUnavailable``. Threads: any."""
        return self._local().bus.sessions(_owner(owner))

    def close(self, session_id: str, owner: str) -> None:
        """End a session: its holder closes the line, and its readers end behind ``rtsync.session.closed``.

        Closing one that has ended already does nothing.

        Raises:
            UnknownSession: the owner has no such session.
            BusUnavailable: the bus is out of reach.

        Threads: blocks up to ``bus_timeout``.
        """
        notice = notices.closed("user", "the session was closed")
        posting = self._local().bus.finish(_session(session_id), "user", notice, owner=_owner(owner))
        if posting is not Posting.CLOSED:
            _check_posted(posting)

    # -- what happens once ------------------------------------------------------------------------------------------

    def once(self, name: str, *, seconds: float) -> bool:
        """Whether this is the first time, in any process on the bus, that ``name`` is asked for within ``seconds``.

        For what comes several times and is to be done once, such as a webhook. Raises ``BusUnavailable``.

        Threads: blocks up to ``bus_timeout``.
        """
        return self._local().bus.mark(name, secrets.token_hex(8), required_seconds(seconds, "seconds"))

    def not_yet(self, name: str) -> None:
        """Take back what ``once`` has noted: it was not done. Raises and Threads: as of ``once``."""
        self._local().bus.unmark(name)

    # -- the process --------------------------------------------------------------------------------------------------

    @property
    def bus_name(self) -> str:
        """The bus's address, without credentials."""
        return getattr(self._engine, "name", "")

    @property
    def shared(self) -> bool:
        """Whether several processes can use the same sessions: not with ``memory://``."""
        return bool(getattr(self._engine, "shared", False))

    def start(self) -> Self:
        """Begin to hold sessions in this process, where it is to (``run_owners``); else it begins with the first call.

        Threads: any; call it after a fork.
        """
        self._local()
        return self

    def stop(self, *, timeout: float = 5.0) -> None:
        """End what runs in this process: readers end, and sessions that it holds are handed over to other workers.

        With ``memory://`` there are no others, and they are closed. May be called twice; the directory can be used
        again.

        Threads: blocks up to ``timeout`` seconds.
        """
        with self._here_lock:
            here, self._here = self._here, None
        if here is None or here.process != os.getpid():
            return
        deadline = Deadline(required_seconds(timeout, "timeout"))
        here.watcher.stop(deadline.remaining() or 0.0)
        if here.worker is not None:
            here.worker.stop(timeout=deadline.remaining() or 0.0)
        here.bus.close()

    def _local(self) -> _Here:
        here = self._here
        if here is not None and here.process == os.getpid():
            return here
        with forks.whole(), self._here_lock:
            if self._here is None or self._here.process != os.getpid():
                self._here = self._new_here()
            return self._here

    def _new_here(self) -> _Here:
        here = _Here(self._engine())
        if self.run_owners:
            assert self.target is not None
            here.worker = Worker(
                here.bus,
                self.target,
                session_options=self._session_options,
                prepare=self._prepare,
                lease=self._lease,
                max_held=self._max_held,
            ).start()
        return here

    def _renew_lock(self) -> None:
        """In a forked child: forget who held it."""
        self._here_lock = threading.RLock()

    # -- how ----------------------------------------------------------------------------------------------------------

    def _card(self, owner: str, config: Mapping[str, Any] | None) -> Card:
        return Card(
            session_id=f"rt_{secrets.token_urlsafe(18)}",
            owner=owner,
            config=None if config is None else msgspec.json.decode(_written(config, self._max_command_size)),
            audio=self._audio,
            again=self._again,
            idle_timeout=self._idle_timeout,
            keep_closed=self._keep_closed,
            max_backlog=self._max_backlog,
            max_events=self._max_events,
            max_history=self._max_history,
        )

    def _await_opening(self, session_id: str, owner: str, deadline: Deadline) -> None:
        """Return with the service's first word; give up a session that nobody opens."""
        left = deadline.remaining()
        with self.stream(session_id, owner, heartbeat=86_400.0 if left is None else max(left, 0.001)) as stream:
            for posted in stream:
                if posted.data is None:
                    break
                if posted.type == notices.CLOSED:
                    assert posted.event is not None
                    raise notices.closing_error(posted.event)
                return
        self.close(session_id, owner)
        raise BusUnavailable(
            f"no worker has opened the session within {deadline.timeout:g} s; is `rtsync worker` running on"
            f" {self.bus_name}, with room for more?"
        )


# For forks: by identity, as a directory has no value.
_directories: weakref.WeakSet[SessionDirectory] = weakref.WeakSet()


def _renew_locks() -> None:
    for directory in list(_directories):
        directory._renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def _owner(owner: object) -> str:
    if not isinstance(owner, str) or not owner or len(owner) > _LONGEST_OWNER:
        raise UsageError(
            f"owner must be a str of 1 to {_LONGEST_OWNER} characters that the application knows its user by, not"
            f" {type(owner).__name__}; there is no default"
        )
    return owner


def _session(session_id: object) -> str:
    if not isinstance(session_id, str):
        raise UsageError(f"a session id is a str, not {type(session_id).__name__}")
    if not (session_id.startswith("rt_") and len(session_id) <= 64 and session_id.isascii()):
        raise _unknown()
    return session_id


def _unknown() -> UnknownSession:
    return UnknownSession("there is no session of that id for this owner, or it ended a while ago")


def _check_posted(posting: Posting) -> None:
    if posting is Posting.UNKNOWN:
        raise _unknown()
    if posting is Posting.CLOSED:
        raise SessionClosed("this session has ended; its stream says why", retryable=True)


def _command(event: object) -> dict[str, Any]:
    """``event`` with an id, and its item with one: by these it is known when it is done once more."""
    if not isinstance(event, Mapping) or not isinstance(event.get("type"), str):
        raise UsageError("send() takes a mapping with a 'type', e.g. {'type': 'response.create'}")
    command: dict[str, Any] = {**event}
    event_id = command.get("event_id")
    if event_id is None:
        command["event_id"] = new_event_id()
    elif not isinstance(event_id, str) or not 0 < len(event_id) <= _LONGEST_ID:
        raise UsageError(f"event_id must be a str of 1 to {_LONGEST_ID} characters (protocol 6.1)")
    item = command.get("item")
    if command["type"] == "conversation.item.create" and isinstance(item, Mapping) and not item.get("id"):
        command["item"] = {**item, "id": new_id("item")}
    return command


def _written(event: Mapping[str, Any], most: int) -> bytes:
    try:
        data = encode(event)
    except TypeError as error:
        raise UsageError(f"it cannot be written as JSON: {error}") from None
    if len(data) > most:
        raise UsageError(f"it takes {len(data)} bytes, and at most {most} are allowed (max_command_size)")
    return data


def _count(value: object, option: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{option} must be a whole number, at least 1, not {value!r}")
    return value
