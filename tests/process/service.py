"""The service's end, in the tests' own process: answers every connection and remembers how each ended."""

from __future__ import annotations

import ssl

from tests.loopback import LIMIT, Peer, ScriptedServer
from tests.session.service import Json, Service, delta, error, response, whole_response

__all__ = ["REFUSAL", "TEXT", "answering_server", "close_codes"]

TEXT = "Hello there"
"""What every response says."""
REFUSAL = "That is not wanted."


def answering_server(tls: ssl.SSLContext | None = None) -> ScriptedServer:
    """A server that converses with every client until that closes."""
    return ScriptedServer(lambda peer: Service(_answer).play(peer), tls=tls)


def close_codes(server: ScriptedServer) -> list[int | None]:
    """The code of each connection's close frame, in the order of the connections; None where none came."""
    for peer in server.peers:
        assert peer.finished.wait(LIMIT), f"connection {peer.number} is still open"
    return [_code(peer) for peer in server.peers]


def _code(peer: Peer) -> int | None:
    return None if peer.closed_with is None else peer.closed_with.code


def _answer(service: Service, event: Json) -> None:
    if event.get("session", {}).get("refuse"):
        service.say(error(code="invalid_value", param="session.refuse", message=REFUSAL, event_id=event["event_id"]))
    elif event["type"] == "session.update":
        service.say({"type": "session.updated", "event_id": "event_u", "session": event["session"]})
    elif event["type"] == "conversation.item.create":
        item = {"status": "completed", **event["item"]}
        service.say(*({"type": f"conversation.item.{what}", "item": item} for what in ("added", "done")))
    elif event["type"] == "flood":
        service.say(*({"type": "drop", "number": number} for number in range(event["size"])))
    elif event["type"] == "response.create":
        service.say(*_said(event))


def _said(event: Json) -> tuple[Json, ...]:
    """A whole response; only the beginning of one where its instructions say that it never ends."""
    instructions = event.get("response", {}).get("instructions", "")
    if instructions.startswith("call "):
        return _calling(event, *instructions.split()[1:])
    if instructions != "never end":
        return whole_response(event, "resp_1", "Hello", " there")
    return (
        response("response.created", "resp_2", metadata=event["response"].get("metadata")),
        delta("Hello", "resp_2"),
    )


def _calling(event: Json, *names: str) -> tuple[Json, ...]:
    """A response that calls functions without arguments."""
    metadata = event["response"].get("metadata")
    items = [
        {"id": f"item_{name}", "type": "function_call", "name": name, "call_id": f"call_{name}", "arguments": "{}"}
        for name in names
    ]
    return (
        response("response.created", "resp_3", metadata=metadata),
        response("response.done", "resp_3", metadata=metadata, output=items),
    )
