"""What REST makes and sessions use: client secrets, and calls (protocol 1.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from rtsync.simulator.ids import new_secret

__all__ = ["Call", "ClientSecret", "Ledger", "Terms"]


@dataclass(frozen=True)
class Terms:
    """What a session was promised: its kind, its model, and its settings in GA terms."""

    kind: str
    model: str
    values: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class ClientSecret:
    """An ephemeral key. ``expires_at`` is Unix time, seconds."""

    value: str = field(repr=False)
    expires_at: int
    terms: Terms


@dataclass
class Call:
    """A call as its REST requests left it; ``terms`` once it was accepted."""

    terms: Terms | None = None
    over: bool = False
    hang_up: list[Callable[[], None]] = field(default_factory=list)


class Ledger:
    """Secrets and calls of one server.

    No telephone rings here, so every call id that was never heard of is a call that is just coming in.

    Args:
        now: Unix time, seconds.
        changing: the lock that serialises what several threads do to secrets and calls; not needed for one thread.

    Threads: with a lock, every method may be called from any thread; hanging up runs on the calling thread, outside of
    the lock.
    """

    def __init__(self, now: Callable[[], float], changing: AbstractContextManager[Any] | None = None) -> None:
        self._now = now
        self._changing = nullcontext() if changing is None else changing
        self._secrets: dict[str, ClientSecret] = {}
        self._calls: dict[str, Call] = {}

    def issue(self, terms: Terms, seconds: int) -> ClientSecret:
        """A new secret that opens sessions for so many seconds."""
        now = self._now()
        secret = ClientSecret(new_secret("ek"), int(now) + seconds, terms)
        with self._changing:
            self._secrets = {key: kept for key, kept in self._secrets.items() if kept.expires_at > now}
            self._secrets[secret.value] = secret
        return secret

    def secret(self, value: str) -> ClientSecret | None:
        """The secret of this value; None when there is none, or none any more."""
        with self._changing:
            found = self._secrets.get(value)
        return found if found is not None and found.expires_at > self._now() else None

    def call(self, call_id: str) -> Call:
        """The call of this id."""
        with self._changing:
            return self._calls.setdefault(call_id, Call())

    def accept(self, call_id: str, terms: Terms) -> bool:
        """Accept a call that comes in; False when it was accepted before, or is over."""
        call = self.call(call_id)
        with self._changing:
            if call.over or call.terms is not None:
                return False
            call.terms = terms
        return True

    def end(self, call_id: str) -> bool:
        """End a call, and every session beside it; False when it is over already."""
        call = self.call(call_id)
        with self._changing:
            if call.over:
                return False
            call.over = True
            hang_up, call.hang_up = call.hang_up, []
        for end_session in hang_up:
            end_session()
        return True

    def join(self, call_id: str, hang_up: Callable[[], None]) -> bool:
        """A session is held beside the call; ``hang_up`` ends it with the call. False when the call is over."""
        call = self.call(call_id)
        with self._changing:
            if not call.over:
                call.hang_up.append(hang_up)
        return not call.over

    def leave(self, call_id: str, hang_up: Callable[[], None]) -> None:
        """The session beside the call has ended."""
        call = self.call(call_id)
        with self._changing:
            if hang_up in call.hang_up:
                call.hang_up.remove(hang_up)
