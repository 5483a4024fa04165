"""What the project's conversations do with its database."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connections
from django.http import HttpRequest, HttpResponse

from rtsync import Event, RealtimeSession
from rtsync.bus import SessionInfo
from rtsync.pure.webhook import IncomingCall

used: list[Any] = []
"""The connections that handlers and tools have used, each with its thread's state."""


def prepare(session: RealtimeSession, info: SessionInfo) -> None:
    """Have it written to the user what the assistant said last."""

    @session.on("response.output_text.done")
    def keep(_session: RealtimeSession, event: Event) -> None:
        get_user_model().objects.filter(pk=info.owner).update(last_name=event.text[:150])
        used.append(connections["default"])


def count_users() -> str:
    """How many users there are."""
    used.append(connections["default"])
    return f"{get_user_model().objects.count()} users"


called: queue.SimpleQueue[str] = queue.SimpleQueue()
"""Who has called."""


def converse(session: RealtimeSession, incoming: IncomingCall) -> None:
    """Take a call."""
    called.put(f"{incoming.call_id} of {count_users()}")


def reading(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that reads each body, as some do to log it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        assert request.body is not None
        return get_response(request)

    return middleware


def by_header(request: HttpRequest) -> str | None:
    """Who it is, as a proxy in front of the project says."""
    name: str | None = request.headers.get("X-User")
    return name
