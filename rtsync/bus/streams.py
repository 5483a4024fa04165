"""``redis://``: a bus on Redis Streams, for any number of processes on any number of hosts. The home of redis-py.

1. What has more than one step is a script (``scripts``), which Redis runs as a whole.
2. Everything has a deadline: sockets give up after half of ``timeout``, and what fails for a broken connection is tried
   again until ``timeout`` is over. All that is tried again may be done twice (``rtsync.bus.engine``, rule 4).
3. Of redis-py the connections are used: their pool, TLS, authentication. Answers are read here, as they come.
4. One Redis, or one with replicas that takes over; no Redis Cluster, as a script reaches several keys.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from rtsync.bus import notices, scripts
from rtsync.bus.addresses import EngineMaker
from rtsync.bus.engine import (
    Batch,
    Card,
    Claim,
    Entry,
    Outcome,
    Plan,
    Posting,
    Revival,
    SessionInfo,
)
from rtsync.edges import forks
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import BusUnavailable, ConfigurationError

if TYPE_CHECKING:
    import redis

__all__ = ["RedisBus", "redis_engine"]

Found = TypeVar("Found")

_PREFIX = "rtsync:"
_PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)  # seconds between attempts; the first mends a connection that has died
_SECONDS = "@SECONDS@"
_RING_KEPT = 60_000  # milliseconds
_MOST_IDLE = 100  # sessions closed in one step
_card = msgspec.json.Decoder(Card)


def redis_engine(address: str, *, timeout: float) -> EngineMaker:
    """What makes the engine of a ``redis://``, ``rediss://`` or ``unix://`` address.

    Raises:
        ConfigurationError: the address is malformed, or redis-py is not installed.
    """
    if importlib.util.find_spec("redis") is None:
        raise ConfigurationError("a redis:// bus needs redis-py: pip install 'rtsync[redis]'")
    url, prefix = _without_prefix(address)
    return EngineMaker(lambda: RedisBus(url, prefix, _name(url), timeout), _name(url), shared=True)


class RedisBus:
    """See ``rtsync.bus.engine.Bus``. Threads: any, of one process."""

    shared = True

    def __init__(self, url: str, prefix: str, name: str, timeout: float) -> None:
        self.name = name
        self._prefix = prefix
        self._timeout = timeout
        self.interruptions = 0
        self._server: bytes | None = None
        with forks.whole():
            self._redis = _client(url, timeout)
        self._execute: Callable[..., Any] = self._redis.execute_command

    # -- users --------------------------------------------------------------------------------------------------------

    def register(self, card: Card, *, most: int, most_of_owner: int) -> str | None:
        written, idle = msgspec.json.encode(card), _ms(card.idle_timeout)
        said = self._run(
            scripts.REGISTER, card.session_id, card.owner, written, idle, most, most_of_owner, card.max_backlog
        )
        return said.decode() or None

    def post(self, session_id: str, owner: str, command_id: str, command: bytes) -> Posting:
        return Posting(self._run(scripts.POST, session_id, owner, command_id, command).decode())

    def touch(self, session_ids: Sequence[str]) -> None:
        self._run(scripts.TOUCH, *session_ids)

    def finish(self, session_id: str, cause: str, notice: bytes, *, owner: str | None = None) -> Posting:
        return Posting(self._run(scripts.FINISH, session_id, owner or "", cause, notice).decode())

    def info(self, session_id: str, owner: str) -> SessionInfo | None:
        fields = ("owner", "cause", "created", "holder", "claims")
        found, backlog = self._together(
            ("HMGET", self._key("card:", session_id), *fields), ("XLEN", self._key("in:", session_id))
        )
        whose, cause, created, holder, claims = (_text(value) for value in found)
        if whose is None or whose != owner:
            return None
        return SessionInfo(
            session_id=session_id,
            owner=whose,
            state="closed" if cause else "open" if holder else "waiting",
            cause=cause,
            created=int(created or 0) / 1000,
            backlog=0 if cause else backlog,
            holder=holder,
            claims=int(claims or 0),
        )

    def sessions(self, owner: str) -> list[str]:
        found = self._call("ZRANGEBYSCORE", self._key("owner:", owner), _ms(time.time()) - 3_600_000, "+inf")
        return [session_id.decode() for session_id in found]

    def plan(self, session_id: str) -> Plan:
        fields, newest = self._together(
            ("HGETALL", self._key("plan:", session_id)),
            ("XREVRANGE", self._key("out:", session_id), "+", "-", "COUNT", 1),
        )
        pairs = zip(fields[::2], fields[1::2], strict=True)
        return Plan({name.decode(): value for name, value in pairs}, newest[0][0].decode() if newest else "0")

    def backlog(self, session_id: str) -> list[Entry]:
        return [entry for entry in _entries(self._call("XRANGE", self._key("in:", session_id), "-", "+")) if entry.data]

    def read(self, session_id: str, after: str, count: int) -> list[Entry]:
        return _entries(self._call("XRANGE", self._key("out:", session_id), f"({after}", "+", "COUNT", count))

    def has(self, session_id: str, event_id: str) -> bool:
        return bool(self._call("XRANGE", self._key("out:", session_id), event_id, event_id))

    def last_id(self, session_id: str) -> str:
        newest = self._call("XREVRANGE", self._key("out:", session_id), "+", "-", "COUNT", 1)
        return newest[0][0].decode() if newest else "0"

    def mark(self, name: str, token: str, seconds: float) -> bool:
        key = self._key("mark:", name)
        _, holds = self._together(("SET", key, token, "PX", max(1, _ms(seconds)), "NX"), ("GET", key))
        return bool(holds == token.encode())

    def unmark(self, name: str) -> None:
        self._call("DEL", self._key("mark:", name))

    # -- channels -----------------------------------------------------------------------------------------------------

    def follow(self, cursors: Mapping[str, str], timeout: float) -> dict[str, list[Entry]]:
        keys = [self._prefix + channel for channel in cursors]
        block = max(1, _ms(min(timeout, self._timeout / 4)))  # Well below what the socket waits.
        command = ("XREAD", "COUNT", 1000, "BLOCK", block, "STREAMS", *keys, *cursors.values())
        found = self._reach(functools.partial(self._execute, *command), patient=False)
        cut = len(self._prefix)
        return {key.decode()[cut:]: _entries(entries) for key, entries in found or ()}

    def ring(self, channel: str) -> None:
        key = self._prefix + channel
        commands = (("XADD", key, "MAXLEN", 1, "*", "e", b""), ("PEXPIRE", key, _RING_KEPT))
        self._reach(functools.partial(self._all, commands, in_one_step=True), patient=False)

    # -- holders ------------------------------------------------------------------------------------------------------

    def claim(self, holder: str, *, most: int, lease: float) -> list[Claim]:
        server, *found = self._run(scripts.CLAIM, holder, most, _ms(lease), patient=False)
        self._note_server(server)
        rows = [found[start : start + 6] for start in range(0, len(found), 6)]
        return [
            Claim(_card.decode(card), token.decode(), int(claims), int(tries), bool(handed))
            for _, card, token, claims, tries, handed in rows
        ]

    def renew(self, claims: Sequence[Claim], lease: float) -> dict[str, Outcome]:
        ids = [claim.card.session_id for claim in claims]
        pairs = [value for claim in claims for value in (claim.card.session_id, claim.token)]
        server, *said = self._run(scripts.RENEW, _ms(lease), *pairs, patient=False)
        self._note_server(server)
        return dict(zip(ids, (Outcome(each.decode()) for each in said), strict=True))

    def release(self, claims: Sequence[Claim]) -> None:
        pairs = [value for claim in claims for value in (claim.card.session_id, claim.token)]
        self._run(scripts.RELEASE, *pairs, patient=False)

    def publish(self, batches: Sequence[Batch]) -> list[Outcome]:
        commands = [self._script(scripts.PUBLISH, self._publishing(batch)) for batch in batches]
        said = self._reach(functools.partial(self._all, commands), patient=False)
        outcomes = [Outcome(each.decode()) for each in said]
        if Outcome.GONE in outcomes:
            self._note_server(self._run(scripts.SERVER, patient=False))
        return outcomes

    def _note_server(self, server: bytes) -> None:
        """Notice a restart that no connection has told of: redis-py replaces one that died at rest without a word."""
        if self._server not in (None, server):
            self.interruptions += 1
        self._server = server

    def _publishing(self, batch: Batch) -> list[Any]:
        card = batch.claim.card
        fields = [(name, value) for name, value in batch.changes.items() if value is not None]
        unset = [name for name, value in batch.changes.items() if value is None]
        kept = 2 * _ms(card.idle_timeout) + 60_000
        return [
            *(card.session_id, batch.claim.token, batch.number, card.max_events, kept, batch.cause or ""),
            *(batch.before or "", len(batch.events), len(batch.done), len(fields), len(unset)),
            *batch.events,
            *batch.done,
            *(part for pair in fields for part in pair),
            *unset,
        ]

    def revive(self, revivals: Sequence[Revival], lease: float) -> list[Outcome]:
        return [self._revive(revival, lease) for revival in revivals]

    def _revive(self, revival: Revival, lease: float) -> Outcome:
        claim, card = revival.claim, revival.claim.card
        holder = claim.token.rpartition(":")[0]
        said = self._run(
            scripts.REVIVE,
            *(_ms(lease), card.session_id, card.owner, msgspec.json.encode(card), _ms(card.idle_timeout)),
            *(claim.token, claim.number, holder, card.max_backlog),
            *(part for pair in revival.plan.items() for part in pair),
            patient=False,
        )
        return Outcome(said.decode())

    def close_idle(self) -> int:
        closed: int = self._run(scripts.CLOSE_IDLE, _MOST_IDLE, notices.idle(_SECONDS), patient=False)
        return closed

    def close(self) -> None:
        self._redis.close()

    # -- reaching it --------------------------------------------------------------------------------------------------

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}{kind}{name}"

    def _call(self, *command: Any) -> Any:
        return self._reach(functools.partial(self._execute, *command))

    def _together(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Several commands in one step and one round trip."""
        return self._reach(functools.partial(self._all, commands, in_one_step=True))

    def _run(self, script: str, *arguments: Any, patient: bool = True) -> Any:
        return self._reach(functools.partial(self._all, [self._script(script, arguments)]), patient=patient)[0]

    def _script(self, script: str, arguments: Sequence[Any]) -> tuple[Any, ...]:
        return ("EVALSHA", _sha(script), 0, self._prefix, *arguments)

    def _all(self, commands: Sequence[tuple[Any, ...]], *, in_one_step: bool = False) -> list[Any]:
        from redis.exceptions import NoScriptError

        found = self._pipelined(commands, in_one_step=in_one_step)
        if any(isinstance(each, NoScriptError) for each in found):  # Redis is new, or was restarted.
            self._pipelined([("SCRIPT LOAD", script) for script in _SCRIPTS])
            found = [
                self._pipelined([command])[0] if isinstance(each, NoScriptError) else each
                for command, each in zip(commands, found, strict=True)
            ]
        for each in found:
            if isinstance(each, Exception):
                raise each
        return found

    def _pipelined(self, commands: Sequence[tuple[Any, ...]], *, in_one_step: bool = False) -> list[Any]:
        if len(commands) == 1:
            return [self._answer(commands[0])]
        with self._redis.pipeline(transaction=in_one_step) as pipeline:
            queue: Callable[..., Any] = pipeline.execute_command
            for command in commands:
                queue(*command)
            return list(pipeline.execute(raise_on_error=False))

    def _answer(self, command: tuple[Any, ...]) -> Any:
        """What Redis answers, its refusal included."""
        from redis.exceptions import ResponseError

        try:
            return self._execute(*command)
        except ResponseError as error:
            return error

    def _reach(self, step: Callable[[], Found], *, patient: bool = True) -> Found:
        """``step``, tried again while the connection fails and there is time.

        Args:
            step: reaches Redis.
            patient: whether it is tried again: not for who has something to do meanwhile.

        Raises:
            BusUnavailable: it was in vain.
        """
        from redis import exceptions

        deadline = Deadline(self._timeout if patient else 0.0)
        pauses = iter(_PAUSES)
        while True:
            try:
                return step()
            except exceptions.AuthenticationError as error:
                raise BusUnavailable(f"the bus at {self.name} refuses the credentials") from error
            except exceptions.ResponseError as error:
                raise BusUnavailable(f"the bus at {self.name} refuses: {error}") from error
            except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
                self.interruptions += 1
                pause = next(pauses, _PAUSES[-1]) * random.uniform(0.5, 1.0)
                first = pause == 0 and isinstance(error, exceptions.ConnectionError)
                if not first and (deadline.remaining() or 0.0) <= pause:
                    raise BusUnavailable(f"the bus at {self.name} cannot be reached: {_reason(error)}") from error
                time.sleep(pause)
            except exceptions.RedisError as error:
                raise BusUnavailable(f"the bus at {self.name} cannot be used: {_reason(error)}") from error


_SCRIPTS = [getattr(scripts, name) for name in scripts.__all__]


@functools.cache
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def _client(url: str, timeout: float) -> redis.Redis:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout / 2,
            socket_connect_timeout=timeout / 2,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),  # Ours is the one that knows the deadline.
            protocol=2,
        )
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"the address of the bus is malformed: {type(error).__name__}") from None
    client.response_callbacks.clear()  # Rule 3.
    return client


def _without_prefix(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    options = parse_qsl(parts.query, keep_blank_values=True)
    prefix = next((value for name, value in options if name == "prefix"), _PREFIX)
    rest = urlencode([(name, value) for name, value in options if name != "prefix"])
    return urlunsplit(parts._replace(query=rest)), prefix


def _name(url: str) -> str:
    parts = urlsplit(url)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise ConfigurationError("the address of the bus has no valid port: redis://host:6379/0") from None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _entries(found: Sequence[Any]) -> list[Entry]:
    return [Entry(entry_id.decode(), fields[1]) for entry_id, fields in found]


def _text(value: bytes | None) -> str | None:
    return value.decode() if value else None


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
