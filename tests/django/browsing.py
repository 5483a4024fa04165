"""A browser, as far as Django's test client is one, and how events are read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, Self

from django.contrib.auth import get_user_model
from django.test import Client

__all__ = ["HELLO", "ROOT", "Browser", "events_in", "say"]

ROOT = "/realtime/sessions"
HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
_names = itertools.count(1)


class Browser:
    """Somebody at a page of the project's."""

    def __init__(self, *, logged_in: bool = True) -> None:
        self.client = Client(enforce_csrf_checks=True)
        if logged_in:
            self.user = get_user_model().objects.create(username=f"user-{next(_names)}")
            self.client.force_login(self.user)
        self.token = self.client.get("/").content.decode()

    @property
    def cookie(self) -> str:
        """What a browser sends, for requests over the network."""
        return "; ".join(f"{name}={morsel.value}" for name, morsel in self.client.cookies.items())

    def get(self, path: str, **headers: str) -> Any:
        """Get it."""
        return self.client.get(path, headers=headers)

    def post(self, path: str, body: Any = "", **headers: str) -> Any:
        """Post JSON, with the token of the page."""
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        headers = {"X-CSRFToken": self.token, **headers}
        return self.client.post(path, data, content_type="application/json", headers=headers)

    def delete(self, path: str) -> Any:
        """Delete it."""
        return self.client.delete(path, headers={"X-CSRFToken": self.token})

    def open(self) -> Conversation:
        """Open a session."""
        answer = self.post(ROOT)
        assert answer.status_code == 201, answer.content
        return Conversation(self, answer.json()["id"])


class Conversation:
    """A session of a browser's; closed at the end."""

    def __init__(self, browser: Browser, session_id: str) -> None:
        self.browser, self.id = browser, session_id
        self.path = f"{ROOT}/{session_id}"
        self.events = f"{self.path}/events"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.delete(self.path)

    def say(self, text: str) -> None:
        """Say it, and ask for an answer."""
        for event in say(text):
            answer = self.browser.post(self.events, event)
            assert answer.status_code == 202, answer.content

    def heard(self, last: str = "response.done", after: str | None = None) -> list[dict[str, Any]]:
        """The events up to one of this type."""
        stream = self.browser.get(self.events, **({} if after is None else {"Last-Event-ID": after}))
        assert stream.status_code == 200, stream.content
        try:
            return list(events_in(stream, last))
        finally:
            stream.close()

    def ask(self, text: str) -> str:
        """Say it; the answer."""
        self.say(text)
        (said,) = (event["text"] for event in self.heard() if event["type"] == "response.output_text.done")
        return str(said)


def say(text: str) -> list[dict[str, Any]]:
    """The events that say it."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return [{"type": "conversation.item.create", "item": item}, {"type": "response.create"}]


def events_in(pieces: Iterable[bytes], last: str) -> Iterator[dict[str, Any]]:
    """The events of a stream, each with its id, up to one of the type ``last``."""
    for piece in pieces:
        fields = dict(line.split(": ", 1) for line in piece.decode().splitlines() if ": " in line)
        if "data" in fields:
            event: dict[str, Any] = {**json.loads(fields["data"]), "id": fields.get("id")}
            yield event
            if event["type"] == last:
                return
    raise AssertionError(f"no {last}")
