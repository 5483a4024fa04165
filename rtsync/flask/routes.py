"""The blueprint: each route turns Flask's request into one for ``Views``, and their answer into Flask's."""

from __future__ import annotations

import contextlib
import socket as sockets
from collections.abc import Callable
from io import BytesIO
from typing import Any

import flask
import flask_sock

from rtsync.vocabulary.errors import ConfigurationError
from rtsync.web import Answer, Request, Views, WebSocket

__all__ = ["Owner", "routes"]

Owner = Callable[[], str | None]


def routes(views: Views, owner: Owner) -> flask.Blueprint:
    """The blueprint ``rtsync`` over ``views``. Threads: any."""
    made = flask.Blueprint("rtsync", __name__)

    @made.post("/sessions")
    def open_session() -> flask.Response:
        return _response(views.open(_whose(owner), _request()))

    @made.get("/sessions")
    def list_sessions() -> flask.Response:
        return _response(views.list(_whose(owner)))

    @made.get("/sessions/<session_id>")
    def snapshot(session_id: str) -> flask.Response:
        return _response(views.snapshot(_whose(owner), session_id))

    @made.delete("/sessions/<session_id>")
    def close_session(session_id: str) -> flask.Response:
        return _response(views.close(_whose(owner), session_id, _request()))

    @made.post("/sessions/<session_id>/events")
    def send(session_id: str) -> flask.Response:
        return _response(views.send(_whose(owner), session_id, _request()))

    @made.get("/sessions/<session_id>/events")
    def events(session_id: str) -> flask.Response:
        return _response(views.events(_whose(owner), session_id, _request()))

    @made.post("/client_secrets")
    def client_secret() -> flask.Response:
        return _response(views.client_secret(_whose(owner), _request()))

    @made.post("/webhook")
    def webhook() -> flask.Response:
        return _response(views.webhook(_request()))

    _add_socket(made, views, owner)
    return made


def _add_socket(made: flask.Blueprint, views: Views, owner: Owner) -> None:
    def socket(websocket: WebSocket, session_id: str) -> None:
        views.socket(_whose(owner), session_id, websocket, _request())
        _say_no_more(websocket)

    flask_sock.Sock().route("/sessions/<session_id>/socket", bp=made)(socket)

    @made.before_request
    def refuse_socket() -> flask.Response | None:
        """Before it is accepted, while there is a status to answer with."""
        if flask.request.endpoint != f"{flask.request.blueprint}.socket":
            return None
        session_id = (flask.request.view_args or {})["session_id"]
        refused = views.socket_refusal(_whose(owner), session_id, _request())
        return None if refused is None else _response(refused)


def _say_no_more(websocket: WebSocket) -> None:
    """Werkzeug's server would send an answer in HTTP behind the close frame: to browsers, a line that broke."""
    sock: Any = getattr(websocket, "sock", None)
    if sock is not None and getattr(websocket, "mode", None) == "werkzeug":
        with contextlib.suppress(OSError):  # It is gone already.
            sock.shutdown(sockets.SHUT_WR)


def _whose(owner: Owner) -> str | None:
    whose = owner()
    if whose is not None and not isinstance(whose, str):
        raise ConfigurationError(f"owner must return a str, or None for nobody, not {type(whose).__name__}")
    return whose


def _request() -> Request:
    asked = flask.request
    return Request(
        headers=asked.headers,
        read=_Body(asked).read,
        site=asked.host_url.rstrip("/"),
        after=asked.args.get("after"),
    )


class _Body:
    """The body of a request, also where somebody before the view has taken it (``get_data``): then Flask keeps it."""

    def __init__(self, asked: flask.Request) -> None:
        self._asked = asked
        self._kept: BytesIO | None = None
        self._begun = False

    def read(self, size: int) -> bytes:
        """Up to so many bytes; none at the end."""
        if self._kept is None:
            piece = self._asked.stream.read(size)
            if piece or self._begun:
                self._begun = True
                return piece
            self._kept = BytesIO(self._asked.get_data())  # Reads no more: the stream is at its end.
        return self._kept.read(size)


def _response(answer: Answer) -> flask.Response:
    return flask.Response(answer.body, answer.status, dict(answer.headers))
