"""A client of another house for the tests: the `websockets` library, JSON in and out."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from rtsync.simulator import SimulatorServer

Event = dict[str, Any]
LIMIT = 45.0  # seconds; reached only on failure

GA = "/v1/realtime?model=gpt-realtime"
PREVIEW = "/openai/realtime?api-version=2024-10-01-preview&deployment=gpt-4o-realtime-preview"


class Talk:
    """One connection to a simulator. `key=None` sends no credential."""

    def __init__(
        self,
        server: SimulatorServer,
        target: str = GA,
        *,
        key: str | None = "secret",
        headers: dict[str, str] | None = None,
        subprotocols: list[str] | None = None,
        max_size: int | None = None,
    ) -> None:
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        self.socket = connect(
            server.url + target,
            additional_headers=sent,
            subprotocols=[Subprotocol(name) for name in subprotocols] if subprotocols else None,
            proxy=None,
            max_size=max_size,
            max_queue=None,  # else it stops reading when events wait for it, and never sees the close frame
            open_timeout=LIMIT,
            close_timeout=LIMIT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def receive(self) -> Event:
        event: Event = json.loads(self.socket.recv(timeout=LIMIT))
        return event

    def until(self, kind: str) -> list[Event]:
        """Everything up to and with the next event of this type."""
        events = [self.receive()]
        while events[-1]["type"] != kind:
            events.append(self.receive())
        return events

    def say(self, text: str) -> None:
        """A user message and a request for an answer."""
        self.send("conversation.item.create", item=user_message(text))
        self.send("response.create")

    def text_only(self) -> None:
        """Read the greeting, switch to text and read the answer."""
        self.until("session.created")
        self.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
        self.until("session.updated")

    def close_code(self) -> tuple[int, str]:
        """Read to the end; the server's close code and reason."""
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                self.receive()
        frame = closed.value.rcvd
        assert frame is not None, "the connection was lost without a close frame"
        return frame.code, frame.reason


def user_message(text: str, **fields: Any) -> Event:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}


def types(events: list[Event]) -> list[str]:
    """Event types in order, with runs of one delta type written once."""
    found: list[str] = []
    for event in events:
        if not (found and found[-1] == event["type"] and event["type"].endswith(".delta")):
            found.append(event["type"])
    return found
