"""A WSGI program: `/` converses in a session of its own, `/wait` waits in one, `/shared` uses one of the module's.

That one is opened when the module is imported, which under gunicorn's --preload happens before the workers are forked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from rtsync import RealtimeError, WaitTimeout
from tests.process.scripts.sessions import session_to

URL = os.environ["SERVICE_URL"]
shared = session_to(URL).open()


def converse() -> str:
    """A session as long as the request."""
    with session_to(URL, connect_timeout=20) as session:
        return str(session.ask("Hi", timeout=20).text)


def wait() -> str:
    """A request that takes a second."""
    with session_to(URL, connect_timeout=20) as session:
        try:
            session.wait_for("response.done", timeout=1)
        except WaitTimeout:
            return "waited"
    return "nothing to wait for, and yet it came"


def use_shared() -> str:
    """What the workers must not do."""
    return str(shared.ask("Hi", timeout=20).text)


VIEWS: dict[str, Callable[[], str]] = {"/": converse, "/wait": wait, "/shared": use_shared}


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer with who answered, and what came of it."""
    try:
        answer, error = VIEWS[environ["PATH_INFO"]](), ""
    except RealtimeError as raised:
        answer, error = "", f"{type(raised).__name__}: {raised}"
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"pid": os.getpid(), "answer": answer, "error": error}).encode()]
