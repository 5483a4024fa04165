"""A web application in WSGI on the views, for any web server: `gunicorn tests.web.served:application`.

Whoever says `X-User: ann` is ann; `X-Worker` in the answer is the process that gave it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs
from wsgiref.headers import Headers

from rtsync.bus import SessionDirectory
from rtsync.web import Answer, Request, Views

views = Views(
    SessionDirectory(os.environ["RTSYNC_BUS"]),
    config={"output_modalities": ["text"]},
    check_origin=False,
    max_streams=int(os.environ.get("MAX_STREAMS", "0")) or None,
    heartbeat=float(os.environ.get("HEARTBEAT", "10")),
)


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """One request."""
    answer = _route(environ, environ.get("HTTP_X_USER"), environ["PATH_INFO"].strip("/").split("/"))
    headers = {**answer.headers, "X-Worker": str(os.getpid())}
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(headers.items()))
    return [answer.body] if isinstance(answer.body, bytes) else answer.body


def _route(environ: dict[str, Any], owner: str | None, path: list[str]) -> Answer:
    request = _request(environ)
    match environ["REQUEST_METHOD"], path:
        case "POST", ["sessions"]:
            return views.open(owner, request)
        case "GET", ["sessions"]:
            return views.list(owner)
        case "GET", ["sessions", session_id]:
            return views.snapshot(owner, session_id)
        case "DELETE", ["sessions", session_id]:
            return views.close(owner, session_id, request)
        case "POST", ["sessions", session_id, "events"]:
            return views.send(owner, session_id, request)
        case "GET", ["sessions", session_id, "events"]:
            return views.events(owner, session_id, request)
    return Answer(404, {}, b"")


def _request(environ: dict[str, Any]) -> Request:
    headers = Headers(list(_sent(environ)))
    after = parse_qs(environ["QUERY_STRING"]).get("after", [None])[0]
    site = f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}"
    return Request(headers=headers, read=environ["wsgi.input"].read, site=site, after=after)


def _sent(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-").title(), value
    if environ.get("CONTENT_LENGTH"):
        yield "Content-Length", environ["CONTENT_LENGTH"]
