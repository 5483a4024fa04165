"""The service's ends of one session that has several connections, one after another."""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rtsync import RealtimeSession, Reconnect, UsageError, reconnected, reconnecting
from tests.loopback import LIMIT, Peer, PeerGone, ScriptedServer, realtime_greeting
from tests.session.service import Answer, Json, Service, session_to, whole_response

__all__ = [
    "Signals",
    "Succession",
    "assert_a_fork_is_refused",
    "at_once",
    "attend",
    "resuming",
    "watched",
]

_ids = itertools.count(1)


def attend(service: Service, event: Json) -> None:
    """Answer as the service does: confirm settings and items, delete them, give every response the text ``Yes.``"""
    answer = _ANSWERS.get(event["type"])
    if answer is not None:
        service.say(*answer(event))


def _updated(event: Json) -> list[Json]:
    return [{"type": "session.updated", "session": event["session"]}]


def _added(event: Json) -> list[Json]:
    item = {**event["item"], "status": "completed"}
    placed = {"previous_item_id": event["previous_item_id"]} if "previous_item_id" in event else {}
    if placed.get("previous_item_id") == "root":
        placed = {"previous_item_id": None}
    return [{"type": f"conversation.item.{kind}", "item": item, **placed} for kind in ("added", "done")]


def _deleted(event: Json) -> list[Json]:
    return [{"type": "conversation.item.deleted", "item_id": event["item_id"]}]


def _responded(event: Json) -> list[Json]:
    return list(whole_response(event, f"resp_{next(_ids)}", "Yes."))


_ANSWERS: dict[str, Callable[[Json], list[Json]]] = {
    "session.update": _updated,
    "conversation.item.create": _added,
    "conversation.item.delete": _deleted,
    "response.create": _responded,
}


class Succession:
    """A `Service` for each connection: `successive[1]` is the first one's.

    Args:
        answers: how each connection answers, in their order; further ones answer as the last.
        greeting: fields of each session in `session.created`, or callables that give them when it begins.
    """

    def __init__(self, *answers: Answer | None, **greeting: object) -> None:
        self._answers = answers or (attend,)
        self._greeting = greeting
        self._arrival = threading.Condition()
        self._services: list[Service] = []

    def play(self, peer: Peer) -> None:
        """The script of every connection."""
        with self._arrival:
            service = _Tenant(self._answers[min(len(self._services), len(self._answers) - 1)], self._greeting)
            self._services.append(service)
            self._arrival.notify_all()
        service.play(peer)

    def __getitem__(self, number: int) -> Service:
        """The service of connection `number`, once that has come."""
        with self._arrival:
            assert self._arrival.wait_for(lambda: len(self._services) >= number, LIMIT), f"no connection {number} came"
            return self._services[number - 1]

    def __len__(self) -> int:
        return len(self._services)


class _Tenant(Service):
    """A `Service` whose going away by the test's own hand is no failure."""

    def __init__(self, answer: Answer | None, greeting: dict[str, object]) -> None:
        super().__init__(answer)
        self._greeting = greeting

    def greet(self, peer: Peer) -> None:
        realtime_greeting(
            peer, **{name: value() if callable(value) else value for name, value in self._greeting.items()}
        )

    def play(self, peer: Peer) -> None:
        try:
            super().play(peer)
        except (PeerGone, OSError):  # Reset by the test, or by the client.
            return


def assert_a_fork_is_refused(session: RealtimeSession) -> None:
    """A forked child that sends is told that the session is its parent's."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = b"nothing"
        try:
            session.send({"type": "response.create"}, timeout=0.1)
        except UsageError:
            said = b"refused"
        finally:
            os.write(writing, said)
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"refused"
    os.waitpid(child, 0)


def at_once(**options: Any) -> Reconnect:
    """A policy that loses no time."""
    return Reconnect(**({"first_delay": 0.0} | options))


@contextmanager
def resuming(
    *answers: Answer | None, reconnect: Reconnect | None = None, greeting: Json | None = None, **options: Any
) -> Iterator[tuple[RealtimeSession, Succession]]:
    """An open session that reconnects, and the services at the other ends of its lines."""
    services = Succession(*answers, **(greeting or {}))
    with (
        ScriptedServer(services.play) as server,
        session_to(server, reconnect=reconnect or at_once(), **options) as session,
    ):
        yield session, services


class Signals:
    """What the signals of one session have said, in order."""

    def __init__(self) -> None:
        self._heard: queue.SimpleQueue[tuple[str, Json]] = queue.SimpleQueue()

    def on_reconnecting(self, session: RealtimeSession, **data: Any) -> None:
        self._heard.put(("reconnecting", {"state": session.state, **data}))

    def on_reconnected(self, session: RealtimeSession, **data: Any) -> None:
        self._heard.put(("reconnected", {"state": session.state, **data}))

    def next(self, name: str) -> Json:
        """The data of the next signal, which is `name`."""
        heard, data = self._heard.get(timeout=LIMIT)
        assert heard == name, f"{heard} came in place of {name}: {data}"
        return data

    def until(self, name: str) -> Json:
        """The data of the next signal `name`, whatever came before."""
        while True:
            heard, data = self._heard.get(timeout=LIMIT)
            if heard == name:
                return data

    def nothing_more(self) -> bool:
        """Whether every signal so far was fetched."""
        return self._heard.empty()


@contextmanager
def watched(session: RealtimeSession) -> Iterator[Signals]:
    """The signals of `session` while the block runs."""
    signals = Signals()
    with (
        reconnecting.connected_to(signals.on_reconnecting, sender=session),
        reconnected.connected_to(signals.on_reconnected, sender=session),
    ):
        yield signals
