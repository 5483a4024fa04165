"""``Views``: what a web application answers its pages. A framework turns its requests into calls of these.

1. Every method takes the owner that the application has found out, None where nobody is logged in, and returns an
   ``Answer``: what is wrong is an answer, too. Only what is nobody's fault but the program's is raised.
2. The page chooses nothing but its words: settings, target and tools are the application's.
3. What changes something comes from the application's own pages: ``check_origin`` says so, or the framework's own
   protection does.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, Concatenate, ParamSpec

import msgspec

from rtsync.bus import SessionDirectory
from rtsync.session.client_secret import ClientSecret
from rtsync.session.options import required_seconds
from rtsync.vocabulary.errors import ConfigurationError, RealtimeError
from rtsync.vocabulary.events import encode
from rtsync.web.answers import error_event, status_of
from rtsync.web.calls import IncomingCalls
from rtsync.web.gate import Gate, Refused
from rtsync.web.origin import Origins
from rtsync.web.rates import Rates
from rtsync.web.relay import WebSocket, relay
from rtsync.web.requests import Answer, Request, json_answer, read_body, refusal
from rtsync.web.showing import shown_item
from rtsync.web.sse import HEADERS, event_stream, last_seen
from rtsync.web.streams import Streams

__all__ = ["Views"]

logger = logging.getLogger("rtsync.web")

P = ParamSpec("P")

_POLICY = 1008  # RFC 6455 7.4.1
_EMPTY = 64  # bytes; of a body that has nothing to say
_WEBHOOK = 262_144  # bytes


def _answered(view: Callable[Concatenate[Views, P], Answer]) -> Callable[Concatenate[Views, P], Answer]:
    """What is wrong becomes an answer."""

    @functools.wraps(view)
    def answering(self: Views, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        try:
            return view(self, *args, **kwargs)
        except RealtimeError as error:
            if status_of(error) >= 500:
                logger.warning("%s: %s", view.__name__, error)
            return refusal(error)

    return answering


class Views:
    """Answers for the routes of an application (``docs/web.md`` lists them).

    Args:
        directory: where the sessions are.
        gate: what a page may send.
        config: fields of each session that is opened, as of ``RealtimeSession(config=...)``; or a callable that
            returns them for an owner.
        origins: whose pages may send, beside the application's own: ``"https://app.example.com"``.
        check_origin: whether posts must come from those, too. Not where the framework has tokens against CSRF: then
            only WebSockets must.
        max_streams_per_owner: streams (server-sent events, WebSockets) that one owner may have open in this process.
        max_streams: streams of all owners in this process; fewer than the web server has threads.
        max_openings: sessions and client secrets together that one owner may ask for in a minute, of this process: each
            is a connection to the service.
        client_secret: called with the owner, mints a key for WebRTC in the browser; None: none are given. Whoever has
            one talks to the service directly, past the gate.
        calls: takes incoming phone calls; None: there is no webhook.
        heartbeat: seconds without an event after which a comment is sent, and a reader that has gone is noticed.
        patience: seconds for which a page may not read its WebSocket before it is cut.

    Raises:
        ConfigurationError: an option is not what it must be.

    Threads: any.
    """

    def __init__(
        self,
        directory: SessionDirectory,
        *,
        gate: Gate | None = None,
        config: Mapping[str, Any] | Callable[[str], Mapping[str, Any] | None] | None = None,
        origins: Collection[str] = (),
        check_origin: bool = True,
        max_streams_per_owner: int = 8,
        max_streams: int | None = None,
        max_openings: int = 60,
        client_secret: Callable[[str], ClientSecret] | None = None,
        calls: IncomingCalls | None = None,
        heartbeat: float = 10.0,
        patience: float = 10.0,
    ) -> None:
        if config is not None and not callable(config) and not isinstance(config, Mapping):
            raise ConfigurationError("config must be a mapping of session fields, or a callable that returns one")
        self.directory = directory
        self.gate = Gate() if gate is None else gate
        self.streams = Streams(max_streams_per_owner, max_streams)
        if not isinstance(max_openings, int) or isinstance(max_openings, bool) or max_openings < 1:
            raise ConfigurationError(f"max_openings must be a whole number, at least 1, not {max_openings!r}")
        self._openings = Rates(max_openings / 60, max_openings)
        self._config = config
        self._origins = Origins(origins)
        self._posts_from_anywhere = not check_origin
        self._client_secret = client_secret
        self._calls = calls
        self._heartbeat = required_seconds(heartbeat, "heartbeat")
        self._patience = required_seconds(patience, "patience")

    # -- sessions -----------------------------------------------------------------------------------------------------

    @_answered
    def open(self, owner: str | None, request: Request) -> Answer:
        """``POST /sessions``: 201 with the ``id`` of a new session. The body is empty, or ``{}``.

        Threads: blocks until the service has confirmed it, up to 15 s.
        """
        whose = self._poster(owner, request)
        _check_empty(read_body(request, _EMPTY))
        self._count_opening(whose)
        return json_answer(201, {"id": self.directory.open(whose, config=self.settings(whose))})

    @_answered
    def list(self, owner: str | None) -> Answer:
        """``GET /sessions``: 200 with the ids of the owner's sessions, ``sessions``."""
        return json_answer(200, {"sessions": sorted(self.directory.sessions(_known(owner)))})

    @_answered
    def snapshot(self, owner: str | None, session_id: str) -> Answer:
        """``GET /sessions/ID``: 200 with the conversation so far (``items``), and the ``last_id`` to go on from."""
        found = self.directory.snapshot(session_id, _known(owner))
        return json_answer(
            200, {"id": session_id, "items": [shown_item(item) for item in found.items], "last_id": found.last_id}
        )

    @_answered
    def close(self, owner: str | None, session_id: str, request: Request) -> Answer:
        """``DELETE /sessions/ID``: 204, and the conversation is over."""
        self.directory.close(session_id, self._poster(owner, request))
        return Answer(204, {"Cache-Control": "no-store"}, b"")

    @_answered
    def send(self, owner: str | None, session_id: str, request: Request) -> Answer:
        """``POST /sessions/ID/events``: 202 with the ``event_id`` of what the page has sent, once it is on the bus.

        A page may repeat it with the same ``event_id``, and an item with the same ``id``: it is done once.
        """
        whose = self._poster(owner, request)
        self.directory.info(session_id, whose)  # First: the rates are the session's, and nobody else's to use up.
        event = self.gate.checked(read_body(request, self.gate.max_event_size), session_id)
        return json_answer(202, {"event_id": self.directory.send(session_id, whose, event)})

    # -- streams ------------------------------------------------------------------------------------------------------

    @_answered
    def events(self, owner: str | None, session_id: str, request: Request) -> Answer:
        """``GET /sessions/ID/events``: 200 and server-sent events behind ``Last-Event-ID`` or ``?after=``."""
        whose = _known(owner)
        self._origins.check_reading(request)
        last = request.headers.get("Last-Event-ID") or request.after
        counted = self.streams.enter(whose)
        try:
            pieces = event_stream(self.directory, session_id, whose, last_event_id=last, heartbeat=self._heartbeat)
        except BaseException:
            counted.close()
            raise
        return Answer(200, HEADERS, counted.over(pieces))

    def socket_refusal(self, owner: str | None, session_id: str, request: Request) -> Answer | None:
        """What to answer instead of accepting a WebSocket; None where it may be accepted.

        For frameworks that can still answer then. ``socket`` looks at all of it once more.
        """
        try:
            self._check_socket(owner, session_id, request)
            self.streams.enter(_known(owner)).close()
        except RealtimeError as error:
            return refusal(error)
        return None

    def socket(self, owner: str | None, session_id: str, websocket: WebSocket, request: Request) -> None:
        """``GET /sessions/ID/socket``: a WebSocket that was accepted, until it ends. See ``relay``.

        What is refused is closed with 1008, behind an ``error`` event.

        Threads: blocks the calling thread, that of the view.
        """
        try:
            whose = self._check_socket(owner, session_id, request)
            with self.streams.enter(whose):
                relay(
                    websocket,
                    self.directory,
                    session_id,
                    whose,
                    gate=self.gate,
                    after=request.after,
                    patience=self._patience,
                )
        except RealtimeError as error:
            websocket.send(encode(error_event(error)).decode())
            websocket.close(_POLICY, "refused")

    # -- beside sessions ----------------------------------------------------------------------------------------------

    @_answered
    def client_secret(self, owner: str | None, request: Request) -> Answer:
        """``POST /client_secrets``: 201 with a key for the browser, ``value`` and ``expires_at``.

        Threads: blocks until the service has answered.
        """
        whose = self._poster(owner, request)
        _check_empty(read_body(request, _EMPTY))
        if self._client_secret is None:
            raise _nothing_here("this application gives no client secrets")
        self._count_opening(whose)
        minted = self._client_secret(whose)
        return json_answer(201, {"value": minted.value, "expires_at": minted.expires_at})

    @_answered
    def webhook(self, request: Request) -> Answer:
        """``POST /webhook``: 200 or 204 where it is genuine, of now, and was dealt with; see ``IncomingCalls.handle``.

        It has no owner: the service signs it.

        Threads: blocks until the call is answered.
        """
        if self._calls is None:
            raise _nothing_here("this application takes no calls")
        status = self._calls.handle(request.headers, read_body(request, _WEBHOOK))
        return Answer(status, {"Cache-Control": "no-store"}, b"")

    # -- who, and from where ------------------------------------------------------------------------------------------

    def settings(self, owner: str) -> Mapping[str, Any] | None:
        """The fields of a session of this owner's."""
        return self._config(owner) if callable(self._config) else self._config

    def _poster(self, owner: str | None, request: Request) -> str:
        whose = _known(owner)
        if not self._posts_from_anywhere:
            self._origins.check(request)
        return whose

    def _count_opening(self, owner: str) -> None:
        wait = self._openings.take(owner)
        if wait:
            told = "sessions were opened too fast"
            raise Refused(told, status=429, code="too_fast", retry_after=round(wait, 3))

    def _check_socket(self, owner: str | None, session_id: str, request: Request) -> str:
        whose = _known(owner)
        self._origins.check(request)
        last_seen(request.after)
        self.directory.info(session_id, whose)
        return whose


def _known(owner: str | None) -> str:
    if not owner:
        raise Refused("nobody is logged in", status=401, code="not_logged_in")
    return owner


def _check_empty(body: bytes) -> None:
    try:
        empty = not body.strip() or msgspec.json.decode(body) == {}
    except msgspec.MsgspecError:
        empty = False
    if not empty:
        raise Refused("there is nothing to choose here: send no body, or {}", status=400, code="malformed")


def _nothing_here(message: str) -> Refused:
    return Refused(message, status=404, code="not_offered")
