"""An HTTP server on loopback that remembers every request, byte by byte, and answers as it was told."""

from __future__ import annotations

import dataclasses
import json
import ssl
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

__all__ = ["SECRET_ANSWER", "Answer", "Received", "Recorder"]

SECRET_ANSWER = {
    "value": "ek_68af296e8e408191a1120ab6383263c2",
    "expires_at": 1756310470,
    "session": {"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "gpt-realtime"},
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """One answer: a status, what its body says (an object goes out as JSON), more headers, a reason."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    reason: str | None = None

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclasses.dataclass(frozen=True)
class Received:
    """One request as it came."""

    method: str
    target: str
    header_list: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def headers(self) -> dict[str, str]:
        """Values by lower-case name; a header that came twice fails."""
        found = {name.lower(): value for name, value in self.header_list}
        assert len(found) == len(self.header_list), self.header_list
        return found

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


class Recorder:
    """A context manager. `answers` are given in turn, and the last one for ever.

    Args:
        answers: what to say.
        tls: a server context; the server then speaks TLS.
        port: 0 for any free one.
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.requests: list[Received] = []
        self._answers = list(answers or [Answer()])
        self._tls = tls
        self._wanted_port = port

    def __enter__(self) -> Self:
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                received = Received(self.command, self.path, list(self.headers.items()), body)
                recorder.requests.append(received)
                self._answer(recorder._next())

            do_GET = do_PUT = do_POST  # noqa: N815

            def _answer(self, answer: Answer) -> None:
                self.send_response(answer.status, answer.reason)
                for name, value in {"Content-Length": str(len(answer.content)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_: object) -> None:
                """Be quiet: pytest shows what is written."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._wanted_port), Handler)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def say(self, *answers: Answer) -> None:
        """Give these answers from now on."""
        self._answers = list(answers)

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.authority}"

    @property
    def one(self) -> Received:
        """The only request."""
        (found,) = self.requests
        return found

    @property
    def paths(self) -> Iterable[str]:
        return [request.path for request in self.requests]

    def _next(self) -> Answer:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
