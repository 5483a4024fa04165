"""A WebSocket out of a WSGI request. WSGI has none; gunicorn's workers hand out the socket of the connection."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator

import simple_websocket
from django.http import HttpRequest, HttpResponse

from rtsync.web.relay import WebSocket

__all__ = ["SocketAnswer", "accepted", "can_upgrade"]

_PING = 25.0  # seconds; proxies cut what is silent for a minute


def can_upgrade(request: HttpRequest) -> bool:
    """Whether the web server gives its socket away."""
    return "gunicorn.socket" in getattr(request, "environ", {})


def accepted(request: HttpRequest, *, max_message_size: int) -> WebSocket | None:
    """The browser's WebSocket; None where it has asked for none."""
    try:
        made: WebSocket = simple_websocket.Server.accept(
            request.environ,
            ping_interval=_PING,
            max_message_size=max_message_size,
            thread_class=functools.partial(threading.Thread, daemon=True),
        )
    except Exception:  # Of wsproto, which is simple-websocket's to know; nothing was sent.
        return None
    return made


class SocketAnswer(HttpResponse):
    """What a view returns whose connection has been used up: gunicorn sends nothing, and closes it."""

    def __iter__(self) -> Iterator[bytes]:
        raise StopIteration  # gunicorn's word for that.
