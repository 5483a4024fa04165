"""Conversations over a directory, and a service that tells what it knows of them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rtsync.bus import EventStream, SessionDirectory
from rtsync.simulator import SimulatorServer
from rtsync.simulator.brains import Turn
from tests.process.programs import Program

__all__ = ["LIMIT", "TEXT", "USER", "Memory", "answer_in", "ask", "say", "texts_of", "until", "worker"]

LIMIT = 30.0  # seconds; reached only on failure
USER = "user-7"
TEXT = {"output_modalities": ["text"]}


class Memory:
    """A brain that says every word of the user's that it was told of.

    What is asked "slowly" it begins to answer, and goes on when ``go`` is set.
    """

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self.asked = 0

    def __call__(self, turn: Turn) -> Iterator[str]:
        """One answer."""
        self.asked += 1
        words = [text for item in turn.items if item.get("role") == "user" for text in _texts(item)]
        yield "I know: "
        if words and "slowly" in words[-1]:
            self.begun.release()
            while not self.go.wait(0.02) and not turn.cancelled():
                pass
        yield ", ".join(words)


def _texts(item: Mapping[str, Any]) -> list[str]:
    return [part["text"] for part in item.get("content") or () if part.get("text")]


def texts_of(items: list[dict[str, Any]]) -> list[str]:
    """What the items of a snapshot say."""
    return [text for item in items for text in _texts(item)]


def say(directory: SessionDirectory, session_id: str, text: str, **options: Any) -> None:
    """A user's turn, and the wish for an answer."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    directory.send(session_id, USER, {"type": "conversation.item.create", "item": item})
    directory.send(session_id, USER, {"type": "response.create", **options})


def answer_in(stream: EventStream, seen: Callable[[str], object] = lambda _: None) -> str:
    """Read to the end of the next response, and return what it says."""
    said = ""
    for _, event in stream:
        if event is None:
            raise AssertionError("the stream fell silent")
        seen(event.type)
        if event.type == "response.created":
            said = ""
        elif event.type == "response.output_text.delta":
            said += event.delta
        elif event.type == "response.done":
            return said
    raise AssertionError("the stream ended")


def until(stream: EventStream, kind: str) -> dict[str, Any]:
    """Read up to the next event of that type, and return it."""
    for posted in stream:
        assert posted.event is not None, f"{kind} does not come"
        if posted.type == kind:
            return posted.event.to_dict()
    raise AssertionError(f"the stream ended before {kind}")


def ask(directory: SessionDirectory, session_id: str, text: str, after: str | None = None) -> tuple[str, str]:
    """Say something and return the answer, and the id to go on from."""
    if after is None:
        after = directory.snapshot(session_id, USER).last_id
    say(directory, session_id, text)
    with directory.stream(session_id, USER, after=after, heartbeat=LIMIT) as stream:
        return answer_in(stream), stream.last_id


def worker(bus: str, simulator: SimulatorServer, *options: str, **variables: str) -> Program:
    """`rtsync worker` in a process of its own."""
    command = [sys.executable, "-m", "rtsync", "-v", "worker", "--target", "openai", *options]
    account = {"OPENAI_BASE_URL": simulator.openai_url, "OPENAI_API_KEY": "any", "RTSYNC_BUS": bus}
    return Program(command=command, **{**account, **variables})
