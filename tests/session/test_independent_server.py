"""A session with a server that is not of this house: ``websockets``, over ws and wss."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from rtsync import CloseCause, OpenAI, RealtimeSession, SessionClosed
from tests.loopback import Certificates

WORDS = ["Bonjour", " ça", " va", " \N{WAVING HAND SIGN}"]


def converse(connection: ServerConnection) -> None:
    def say(kind: str, **fields: Any) -> None:
        connection.send(json.dumps({"type": kind, "event_id": "event_1", **fields}, ensure_ascii=False))

    say("session.created", session={"type": "realtime", "model": "m"})
    for message in connection:
        event = json.loads(message)
        if event["type"] == "session.update":
            say("session.updated", session=event["session"])
        elif event["type"] == "conversation.item.create":
            say("conversation.item.added", item={"status": "completed", **event["item"]}, previous_item_id=None)
        elif event["type"] == "response.create":
            answer(connection, event["response"]["metadata"])
        elif event["type"] == "response.cancel":
            connection.close(4321, "as you wish")


def answer(connection: ServerConnection, metadata: dict[str, str]) -> None:
    """One response, each of its frames of another kind: fragments, a ping in between, a megabyte in one piece."""
    response = {"id": "resp_1", "status": "in_progress", "metadata": metadata, "output": []}
    connection.send(iter(cut(json.dumps({"type": "response.created", "response": response}))))
    for word in WORDS:
        delta = {"type": "response.output_text.delta", "response_id": "resp_1", "item_id": "i", "delta": word}
        connection.send(iter(cut(json.dumps(delta, ensure_ascii=False))))
        assert connection.ping().wait(30), "no pong came"
    done = {**response, "status": "completed", "padding": "x" * 1_000_000}
    connection.send(json.dumps({"type": "response.done", "response": done}))


def cut(text: str) -> list[str]:
    return [text[start : start + 7] for start in range(0, len(text), 7)]


@pytest.fixture(params=["ws", "wss"])
def session(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[RealtimeSession]:
    secure = request.param == "wss"
    context = certificates.server_context() if secure else None
    if context is not None:
        context.num_tickets = 0  # The server's own two threads are not safe for tickets.
    with serve(converse, "127.0.0.1", 0, ssl=context) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.socket.getsockname()[1]
            target = OpenAI(api_key="k", base_url=f"{'https' if secure else 'http'}://127.0.0.1:{port}/v1")
            trust = ssl.create_default_context(cafile=str(certificates.ca_file)) if secure else None
            with RealtimeSession(target, tls=trust, config={"output_modalities": ["text"]}) as opened:
                yield opened
        finally:
            server.shutdown()
            thread.join()


def test_a_conversation_goes_through_fragments_pings_and_large_messages(session: RealtimeSession) -> None:
    pieces: list[str] = []
    session.on("response.output_text.delta", lambda _session, event: pieces.append(event.delta))
    response = session.ask("Salut")
    assert response.text == "".join(pieces) == "Bonjour ça va \N{WAVING HAND SIGN}"
    assert len(response.to_dict()["padding"]) == 1_000_000
    assert session.update(instructions="Sois bref.").session["instructions"] == "Sois bref."


def test_its_close_code_and_reason_arrive(session: RealtimeSession) -> None:
    with pytest.raises(SessionClosed) as ended:
        session.cancel()
    assert (ended.value.code, ended.value.reason, ended.value.cause) == (4321, "as you wish", CloseCause.SERVER)
