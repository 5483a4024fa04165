"""A service that says everything there is to say, and repeats the credentials that it was given wherever it can."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

from tests.loopback import Peer, PeerClosed, realtime_greeting
from tests.secrecy.canaries import CONTENT, PCM

__all__ = ["WORDS", "Json", "credentials_of", "echoes", "talkative", "told_off"]

Json = dict[str, Any]

WORDS = "The service explains itself"
"""What an error of the service says, which programs are shown."""


def credentials_of(peer: Peer) -> list[str]:
    """What the client has sent in the headers of its upgrade, as a server may repeat it."""
    headers = peer.request.headers
    names = ("authorization", "api-key", "x-gateway-key")
    whole = [headers[name] for name in names if name in headers]
    return [*whole, *(each.removeprefix("Bearer ") for each in whole)]


def echoes(credentials: list[str]) -> str:
    """One sentence with the credentials in every form that servers are known to use."""
    forms: list[str] = []
    for each in credentials:
        forms += [each, quote(each, safe=""), json.dumps(each), base64.b64encode(each.encode()).decode()]
    return f"{WORDS}: {' '.join(forms)}."


def told_off(credentials: list[str], **fields: Any) -> Json:
    """An `error` object whose every field repeats the credentials."""
    said = echoes(credentials)
    return {"type": said, "code": said, "message": said, "param": said, "event_id": None, **fields}


def talkative(peer: Peer) -> None:
    """The script of a whole conversation: answers what it is asked, with content in every place that has one."""
    realtime_greeting(peer, instructions=CONTENT["instructions"], client_secret={"value": "none", "expires_at": 1})
    secrets = credentials_of(peer)
    try:
        while True:
            event = peer.recv_json()
            if event["type"] == "session.update":
                secrets += _of_tools(event["session"].get("tools", []))
            for answer in _answers(event, secrets):
                peer.send_json(answer)
    except PeerClosed:
        return


def _of_tools(tools: list[Json]) -> list[str]:
    mcp = [tool for tool in tools if tool["type"] == "mcp"]
    return [text for tool in mcp for text in (tool["authorization"], *tool["headers"].values())]


def _answers(event: Json, secrets: list[str]) -> list[Json]:
    kind = event["type"]
    if kind == "session.update":
        return [{"type": "session.updated", "event_id": "event_2", "session": event["session"]}]
    if kind == "conversation.item.create" and event["item"].get("id") == "refused":
        return [{"type": "error", "event_id": "e", "error": told_off(secrets, event_id=event["event_id"])}]
    if kind == "conversation.item.create":
        item = {"status": "completed", "object": "realtime.item", **event["item"]}
        kinds = ("conversation.item.added", "conversation.item.done")
        return [{"type": each, "event_id": each, "previous_item_id": None, "item": item} for each in kinds]
    if kind == "input_audio_buffer.commit":
        return _heard(secrets)
    if kind == "response.create":
        return _response(event["response"].get("metadata"), event["response"].get("instructions"), secrets)
    return [{"type": "vendor.unknown", "new_field": CONTENT["unknown field"], "more": [CONTENT["unknown field"]]}]


def _heard(secrets: list[str]) -> list[Json]:
    item: Json = {"id": "item_heard", "type": "message", "role": "user", "status": "completed"}
    item["content"] = [{"type": "input_audio", "transcript": None, "audio": base64.b64encode(PCM).decode()}]
    about = {"item_id": "item_heard", "content_index": 0}
    named = "conversation.item.input_audio_transcription"
    token = {"token": CONTENT["user transcript"], "logprob": -0.1, "bytes": list(CONTENT["user transcript"].encode())}
    return [
        {"type": "input_audio_buffer.committed", "event_id": "c", "previous_item_id": None, "item_id": "item_heard"},
        {"type": "conversation.item.added", "event_id": "a", "previous_item_id": None, "item": item},
        {"type": f"{named}.delta", "event_id": "d", **about, "delta": CONTENT["user transcript"], "logprobs": [token]},
        {"type": f"{named}.completed", "event_id": "t", **about, "transcript": CONTENT["user transcript"]},
        {"type": f"{named}.failed", "event_id": "f", **about, "error": told_off(secrets)},
    ]  # fmt: skip


def _response(metadata: Json | None, wish: str | None, secrets: list[str]) -> list[Json]:
    said: Json = {"object": "realtime.response", "id": "resp_1", "output": [], "metadata": metadata}
    place = {"response_id": "resp_1", "item_id": "item_said", "output_index": 0, "content_index": 0}
    item = {"id": "item_said", "type": "message", "role": "assistant", "status": "completed"}
    call = {"id": "item_call", "type": "function_call", "call_id": "call_1", "name": "look_up"}
    mcp = {"id": "item_mcp", "type": "mcp_call", "name": "search", "server_label": "s", "error": told_off(secrets)}
    parts = [{"type": "output_audio", "transcript": CONTENT["transcript"], "audio": base64.b64encode(PCM).decode()}]
    output = [
        {**item, "content": parts},
        {**call, "arguments": CONTENT["arguments"]},
        {**mcp, "output": CONTENT["output"]},
    ]
    failed = wish == "fail"
    ending: Json = {"status": "failed", "status_details": {"type": "failed", "error": told_off(secrets)}}
    return [
        {"type": "response.created", "event_id": "1", "response": {**said, "status": "in_progress"}},
        {"type": "response.output_item.added", "event_id": "2", **place, "item": item},
        {"type": "conversation.item.added", "event_id": "3", "previous_item_id": None, "item": item},
        {"type": "response.output_text.delta", "event_id": "4", **place, "delta": CONTENT["answer"]},
        {"type": "response.output_audio_transcript.delta", "event_id": "5", **place, "delta": CONTENT["transcript"]},
        {"type": "response.output_audio.delta", "event_id": "6", **place, "delta": base64.b64encode(PCM).decode()},
        {"type": "response.function_call_arguments.done", "event_id": "7", **place, "arguments": CONTENT["arguments"]},
        {"type": "response.mcp_call.failed", "event_id": "8", "item_id": "item_mcp", "error": told_off(secrets)},
        *({"type": "response.output_item.done", "event_id": "9", "output_index": 0, "item": each} for each in output),
        {"type": "response.done", "event_id": "10", "response": {
            **said, "output": output, **(ending if failed else {"status": "completed"})}},
    ]  # fmt: skip
