"""The routes of ``docs/web.md``: requests of Django's in, its responses out.

1. Who is logged in is asked of Django, and nobody is sent to a login page: a page's script is told 401.
2. What changes something needs Django's token against CSRF, but for the webhook, which is signed.
3. No view runs in a transaction, and none keeps a database connection while it streams: that may take hours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from django.contrib.auth.decorators import login_not_required
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from rtsync.django.configuration import application, owner_of
from rtsync.django.connections import close_connections
from rtsync.django.socket import SocketAnswer, accepted, can_upgrade
from rtsync.web.gate import Refused
from rtsync.web.requests import Answer, Body, Request, refusal

__all__ = ["client_secrets", "events", "session", "sessions", "socket", "webhook"]

View = Callable[..., HttpResponseBase]

# GZipMiddleware would keep events until there is much to compress; what has an encoding it leaves alone.
_STREAMED: Final = {"Content-Encoding": "identity"}


def _view(*methods: str, protect: Callable[[View], View] = csrf_protect) -> Callable[[View], View]:
    """What all of them are decorated with."""

    def decorated(view: View) -> View:
        made: View = login_not_required(require_http_methods(methods)(protect(view)))
        for alias in connections:
            made = transaction.non_atomic_requests(using=alias)(made)
        return made

    return decorated


@_view("GET", "POST")
def sessions(request: HttpRequest) -> HttpResponseBase:
    """``GET`` and ``POST /sessions``."""
    views, owner = application().views, owner_of(request)
    return _response(views.list(owner) if request.method == "GET" else views.open(owner, _asked(request)))


@_view("GET", "DELETE")
def session(request: HttpRequest, session_id: str) -> HttpResponseBase:
    """``GET`` and ``DELETE /sessions/ID``."""
    views, owner = application().views, owner_of(request)
    if request.method == "GET":
        return _response(views.snapshot(owner, session_id))
    return _response(views.close(owner, session_id, _asked(request)))


@_view("GET", "POST")
def events(request: HttpRequest, session_id: str) -> HttpResponseBase:
    """``GET`` and ``POST /sessions/ID/events``."""
    views, owner, asked = application().views, owner_of(request), _asked(request)
    if request.method == "POST":
        return _response(views.send(owner, session_id, asked))
    if not hasattr(request, "environ"):
        return _response(refusal(_under_asgi()))
    return _response(views.events(owner, session_id, asked))


@_view("GET")
def socket(request: HttpRequest, session_id: str) -> HttpResponseBase:
    """``GET /sessions/ID/socket``: the relay, until either side ends."""
    views, owner, asked = application().views, owner_of(request), _asked(request)
    refused = views.socket_refusal(owner, session_id, asked)
    if refused is not None:
        return _response(refused)
    if not can_upgrade(request):
        return _response(refusal(_no_socket()))
    close_connections()
    websocket = accepted(request, max_message_size=views.gate.max_event_size)
    if websocket is None:
        return _response(refusal(Refused("this is no WebSocket's request", status=400, code="malformed")))
    views.socket(owner, session_id, websocket, asked)
    return SocketAnswer()


@_view("POST")
def client_secrets(request: HttpRequest) -> HttpResponseBase:
    """``POST /client_secrets``."""
    return _response(application().views.client_secret(owner_of(request), _asked(request)))


@_view("POST", protect=csrf_exempt)
def webhook(request: HttpRequest) -> HttpResponseBase:
    """``POST /webhook``."""
    return _response(application().views.webhook(_asked(request)))


def _asked(request: HttpRequest) -> Request:
    return Request(
        headers=request.headers,
        read=request.read,
        site=f"{request.scheme}://{request.get_host()}",
        after=request.GET.get("after"),
    )


def _response(answer: Answer) -> HttpResponseBase:
    if isinstance(answer.body, bytes):
        return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
    return StreamingHttpResponse(_Streamed(answer.body), status=answer.status, headers={**answer.headers, **_STREAMED})


class _Streamed:
    """A body that is streamed: Django closes it when the reader has gone."""

    def __init__(self, body: Body) -> None:
        self.close = body.close
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        close_connections()  # With the first piece: all middleware is done with the request by then.
        yield from self._body


def _no_socket() -> Refused:
    return Refused(
        "this web server gives no WebSocket, gunicorn does: read the events as server-sent events, and post yours",
        status=501,
        code="no_websocket",
    )


def _under_asgi() -> Refused:
    return Refused(
        "serve this by WSGI: under ASGI Django sends no stream of a blocking program", status=501, code="asgi"
    )
