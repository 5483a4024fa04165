"""``rtsync demo``: the walkthrough of the protocol, live, without an account."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from rtsync import Event, RealtimeSession, Simulator
from rtsync.cli.outcome import EXIT_STATUSES
from rtsync.vocabulary.foreign import harmless, one_line

__all__ = ["demo"]

_QUESTION = "Say a couple paragraphs!"
_DELTA = "response.output_text.delta"
_LIMIT = 30.0  # seconds for any one answer; the simulator needs less than one, and four for the text

_OPENING = """\
A live conversation with the simulator that comes with rtsync: on this machine, without an account.
→ is an event that the program sends, ← one that it receives.
"""
_CLOSING = """
The simulator keeps the service's half of the protocol. Its scripted brain does not think: it follows a script.
A real service is one line away. Where this program says

    session = RealtimeSession(Simulator())

yours says one of

    session = RealtimeSession(OpenAI())     # OPENAI_API_KEY
    session = RealtimeSession(Azure())      # AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_DEPLOYMENT; a key or Entra ID

and all the rest stays as it is. To talk to a service from here: rtsync chat --target openai (or azure)."""


@click.command(epilog=EXIT_STATUSES)
def demo() -> None:
    """Watch a live conversation with the embedded simulator: no account, no questions, a few seconds.

    It connects, configures the session, asks, streams the answer and closes, and shows every event on its way.
    """
    click.echo(_OPENING)
    session = RealtimeSession(Simulator())
    screen = _Screen()
    session.on("*", screen.show)
    with session:
        session.wait_for("session.created", timeout=_LIMIT)
        for event, answer in _WALKTHROUGH:
            screen.show_sent(event)
            session.send(event)
            session.wait_for(answer, timeout=_LIMIT)
    click.echo(f"  the session is {session.state}")
    click.echo(_CLOSING)


_WALKTHROUGH: list[tuple[Mapping[str, Any], str]] = [
    ({"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}}, "session.updated"),
    (
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": _QUESTION}]},
        },
        "conversation.item.done",
    ),
    ({"type": "response.create"}, "response.done"),
]


class _Screen:
    """Prints events, one line each, and the pieces of text as they come.

    Threads: ``show`` runs in the session's handler thread. The main thread prints only when every handler has run,
    which is what ``wait_for`` waits for, so that lines stand in the order in which things happened.
    """

    def __init__(self) -> None:
        self._deltas = 0
        self._began = 0.0

    def show_sent(self, event: Mapping[str, Any]) -> None:
        """A line for what is sent next."""
        _line("→", event["type"], _said_by_client(event), color="cyan")

    def show(self, _session: RealtimeSession, event: Event) -> None:
        """A line for what has arrived; the text itself for a piece of text."""
        if event.type == _DELTA:
            self._show_delta(event.delta)
        elif event.type == "response.output_text.done":
            spent = time.monotonic() - self._began
            click.echo("\n")
            _line("←", _DELTA, f"{self._deltas} pieces in {spent:.1f} s, that was the last one")
            _line("←", event.type, f"the whole text, {len(event.text)} characters")
        else:
            _line("←", event.type, _said_by_server(event))

    def _show_delta(self, piece: str) -> None:
        if not self._deltas:
            self._began = time.monotonic()
            _line("←", _DELTA, "the first piece of text; a handler prints each as it comes:")
            click.echo()
        self._deltas += 1
        click.echo(harmless(piece), nl=False)


def _line(arrow: str, kind: str, detail: str, color: str = "green") -> None:
    click.echo(f"{click.style(f'  {arrow} {one_line(kind):<29}', fg=color)} {one_line(detail)}".rstrip())


def _said_by_client(event: Mapping[str, Any]) -> str:
    if event["type"] == "session.update":
        return "answer in text: output_modalities = " + ", ".join(event["session"]["output_modalities"])
    if event["type"] == "conversation.item.create":
        return f"user: {event['item']['content'][0]['text']}"
    return "ask the model to answer"


def _said_by_server(event: Event) -> str:
    if event.type in ("session.created", "session.updated"):
        return f"{event.session.model}, {', '.join(event.session.output_modalities)}"
    if event.type.startswith("conversation.item"):
        return f"{event.item.role}'s message {event.item.id}"
    if event.type == "response.created":
        return f"{event.response.id}"
    if event.type == "response.done":
        return f"{event.response.status}, {event.response.usage.total_tokens} tokens"
    return ""
