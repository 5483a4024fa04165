"""The application behind real web servers, and a browser as far as the standard library is one."""

from __future__ import annotations

import http.client
import json
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import Flask
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from werkzeug.serving import make_server

from tests.bus.conversing import LIMIT
from tests.process.programs import Program

__all__ = ["HELLO", "Browser", "Reader", "gunicorn", "werkzeug"]

HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}


@contextmanager
def werkzeug(app: Flask) -> Iterator[int]:
    """Flask's own server, with a thread for each request; gives its port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(LIMIT)
        server.server_close()
        app.extensions["rtsync"].stop(timeout=LIMIT)


@contextmanager
def gunicorn(**settings: str) -> Iterator[int]:
    """A gthread worker in a process of its own, with settings by FLASK_RTSYNC_...; gives its port."""
    command = [
        *(sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--workers", "1", "--threads", "32"),
        *("--bind", "127.0.0.1:0", "--graceful-timeout", "5", "--error-logfile", "/dev/stdout"),
        "tests.flask.shop:create_app()",
    ]
    variables: dict[str, Any] = {f"FLASK_RTSYNC_{name}": value for name, value in settings.items()}
    with Program(command=command, **{"FLASK_RTSYNC_TARGET": "simulator", **variables}) as program:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", program.read_until("Listening at"))
        assert found is not None
        yield int(found[1])


class Reader:
    """Server-sent events as they come."""

    def __init__(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        self._connection, self._answer = connection, answer
        self.last_id = ""

    def until(self, kind: str) -> list[dict[str, Any]]:
        """The events up to one of that type."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + LIMIT
        for line in self._answer:
            if line.startswith(b"id: "):
                self.last_id = line[4:].strip().decode()
            if line.startswith(b"data: "):
                found.append(json.loads(line[6:]))
                if found[-1]["type"] == kind:
                    return found
            if time.monotonic() > deadline:
                break
        raise AssertionError(f"{kind} never came: {[event['type'] for event in found]}")

    def close(self) -> None:
        """Go away."""
        self._answer.close()
        self._connection.close()


class Browser:
    """Somebody's, with a cookie after the login."""

    def __init__(self, port: int, user: str | None = "ann", prefix: str = "/realtime") -> None:
        self.port, self.prefix = port, prefix
        self.origin = f"http://127.0.0.1:{port}"
        self.cookie: dict[str, str] = {}
        if user is not None:
            answer, _ = self.ask("POST", f"/login/{user}", prefix="")
            self.cookie = {"Cookie": (answer.getheader("Set-Cookie") or "").partition(";")[0]}

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Ask; whoever calls it closes both."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        origin = {} if method == "GET" else {"Origin": self.origin}
        connection.request(method, path, body, {**self.cookie, **origin, **(headers or {})})
        return connection, connection.getresponse()

    def ask(
        self,
        method: str,
        path: str,
        told: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        prefix: str | None = None,
    ) -> tuple[http.client.HTTPResponse, Any]:
        """Ask, and read the answer."""
        body = told if isinstance(told, bytes) else None if told is None else json.dumps(told).encode()
        connection, answer = self.request(method, (self.prefix if prefix is None else prefix) + path, body, headers)
        try:
            data = answer.read()
            is_json = answer.getheader("Content-Type") == "application/json"
            return answer, json.loads(data) if is_json and data else data
        finally:
            connection.close()

    def code(self, method: str, path: str, told: Any = None, **options: Any) -> tuple[int, str]:
        """Ask for what is refused: status and code."""
        answer, event = self.ask(method, path, told, **options)
        assert isinstance(event, dict), (answer.status, event)
        return answer.status, event["error"]["code"]

    def open(self) -> str:
        """Open a session; its path."""
        answer, told = self.ask("POST", "/sessions")
        assert answer.status == 201, told
        return f"/sessions/{told['id']}"

    def say(self, path: str, text: str = "Hello") -> None:
        """Say it, and ask for an answer."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        for event in ({"type": "conversation.item.create", "item": item}, {"type": "response.create"}):
            answer, told = self.ask("POST", f"{path}/events", event)
            assert answer.status == 202, told

    def read(self, path: str, *, after: str | None = None) -> Reader:
        """Read its events."""
        headers = {} if after is None else {"Last-Event-ID": after}
        connection, answer = self.request("GET", f"{self.prefix}{path}/events", headers=headers)
        assert answer.status == 200, answer.read()
        assert answer.getheader("Content-Type") == "text/event-stream; charset=utf-8"
        return Reader(connection, answer)

    def socket(self, path: str, *, origin: str | None = "", **options: Any) -> Connection:
        """Open the relay of a session."""
        return connect(
            f"ws://127.0.0.1:{self.port}{self.prefix}{path}/socket",
            additional_headers=self.cookie,
            origin=self.origin if origin == "" else origin,  # type: ignore[arg-type]
            **options,
        )
