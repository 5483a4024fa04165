"""The service's end of a session under test: greets, remembers what it hears, answers as the test wants."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rtsync import OpenAI, RealtimeSession
from tests.loopback import LIMIT, Peer, PeerClosed, ScriptedServer, realtime_greeting

__all__ = [
    "Answer",
    "Json",
    "Service",
    "Task",
    "conversing",
    "done",
    "echo",
    "error",
    "response",
    "session_to",
    "spawn",
    "target_of",
    "user",
    "whole_response",
]

Json = dict[str, Any]
Answer = Callable[["Service", Json], object]
T = TypeVar("T")


class Service:
    """One client, as the test sees it. `say` and `hear` may be called from the test's thread."""

    def __init__(self, answer: Answer | None = None) -> None:
        self._answer = answer
        self._heard: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self._greeted = threading.Event()
        self._peer: Peer | None = None
        self.closed_with: PeerClosed | None = None

    def play(self, peer: Peer) -> None:
        """The script: greet, then answer until the client closes."""
        self._peer = peer
        self.greet(peer)
        self._greeted.set()
        try:
            while True:
                event = peer.recv_json()
                self._heard.put(event)
                if self._answer is not None:
                    self._answer(self, event)
        except PeerClosed as closed:
            self.closed_with = closed

    def greet(self, peer: Peer) -> None:
        """Upgrade, and say the first word."""
        realtime_greeting(peer)

    @property
    def peer(self) -> Peer:
        """The connection, frame by frame."""
        assert self._peer is not None
        return self._peer

    def say(self, *events: Json) -> None:
        """Send events, all in one write."""
        assert self._greeted.wait(LIMIT)
        self.peer.send_json(*events)

    def hear(self, kind: str | None = None) -> Json:
        """The next client event, of type `kind` where given."""
        event = self._heard.get(timeout=LIMIT)
        assert kind is None or event["type"] == kind, f"heard {event['type']} in place of {kind}"
        return event

    def heard_nothing_more(self) -> bool:
        """Whether every client event so far was fetched by `hear`."""
        return self._heard.empty()


def target_of(server: ScriptedServer) -> OpenAI:
    """A target that leads to `server`."""
    return OpenAI(api_key="k", base_url=server.http_url + "/v1")


def session_to(server: ScriptedServer, **options: Any) -> RealtimeSession:
    """A session for `server`, not yet opened."""
    return RealtimeSession(target_of(server), **options)


@contextmanager
def conversing(answer: Answer | None = None, **options: Any) -> Iterator[tuple[RealtimeSession, Service]]:
    """An open session and the service at its other end, which calls `answer(service, event)` for each client event."""
    service = Service(answer)
    with ScriptedServer(service.play) as server, session_to(server, **options) as session:
        yield session, service


def echo(service: Service, event: Json) -> None:
    """Answer every client event with one of type `echo` that names it."""
    service.say({"type": "echo", "of": event["event_id"]})


def error(**fields: Any) -> Json:
    """An `error` event; `fields` go into its `error` object."""
    details = {"type": "invalid_request_error", "code": None, "message": "No.", "param": None, "event_id": None}
    return {"type": "error", "event_id": "event_e", "error": details | fields}


def user(text: str, item_id: str | None = None) -> Json:
    """A user's message."""
    named = {} if item_id is None else {"id": item_id}
    return {**named, "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def response(kind: str, response_id: str = "resp_1", **fields: Any) -> Json:
    """`response.created` or `response.done` of one response."""
    status = "in_progress" if kind == "response.created" else "completed"
    body: Json = {"object": "realtime.response", "id": response_id, "status": status, "output": [], "metadata": None}
    return {"type": kind, "event_id": "event_r", "response": body | fields}


def done(response_id: str = "resp_1", text: str = "", **fields: Any) -> Json:
    """`response.done` with an assistant's message of `text`."""
    item = {
        "type": "message",
        "role": "assistant",
        "id": "item_1",
        "status": "completed",
        "content": [{"type": "output_text", "text": text}],
    }
    return response("response.done", response_id, output=[item] if text else [], **fields)


def delta(text: str, response_id: str = "resp_1") -> Json:
    """A piece of text."""
    return {"type": "response.output_text.delta", "response_id": response_id, "output_index": 0, "delta": text}


def whole_response(event: Json, response_id: str = "resp_1", *pieces: str) -> tuple[Json, ...]:
    """All events that answer a `response.create`, its metadata echoed."""
    metadata = event.get("response", {}).get("metadata")
    return (
        response("response.created", response_id, metadata=metadata),
        *(delta(piece, response_id) for piece in pieces),
        done(response_id, "".join(pieces), metadata=metadata),
    )


class Task:
    """A call in a thread of its own, and what came of it."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self._call = functools.partial(call, *args)
        self._outcome: list[tuple[Any, BaseException | None]] = []
        self.thread = threading.Thread(target=self._run, name="test-task", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._outcome.append((self._call(), None))
        except BaseException as error:
            self._outcome.append((None, error))

    def result(self) -> Any:
        """What it returned; raises what it raised."""
        self.thread.join(LIMIT)
        assert self._outcome, "the call never returned"
        value, error = self._outcome[0]
        if error is not None:
            raise error
        return value

    @property
    def over(self) -> bool:
        """Whether it has returned or raised."""
        return bool(self._outcome)


def spawn(call: Callable[..., Any], *args: Any) -> Task:
    """Run `call` in a thread."""
    return Task(call, *args)
