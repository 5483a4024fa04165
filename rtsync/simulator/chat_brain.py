"""A brain that thinks elsewhere: forwards turns to an OpenAI-compatible chat completions endpoint, streaming."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rtsync.simulator.brains import BrainFailed, CutShort, FunctionCall, Turn
from rtsync.simulator.endpoint import Endpoint, Exchange, Refusal, reason

__all__ = ["ChatBrain"]

_LONGEST_LINE = 1 << 20


class ChatBrain:
    """Answers with any endpoint that speaks chat completions: Ollama, llama.cpp, vLLM, LM Studio, OpenAI itself.

    Args:
        base_url: as for an OpenAI client, for example ``http://127.0.0.1:11434/v1``.
        model: the endpoint's model; the session's model or deployment when not given.
        api_key: sent as bearer token when given.
        timeout: seconds the endpoint may be silent, at the start and between pieces.
        tls: context for https; the system's authorities by default.

    Raises:
        ConfigurationError: ``base_url`` is no http or https URL.

    An endpoint that fails, is not there or falls silent ends the response as ``failed`` with ``status_details.error``.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._endpoint = Endpoint("chat", base_url, "/chat/completions", api_key=api_key, timeout=timeout, tls=tls)
        self._model = model

    def __call__(self, turn: Turn) -> Iterator[str | FunctionCall]:
        """Stream the endpoint's answer.

        Raises:
            BrainFailed: the endpoint cannot be reached, refuses, breaks off or falls silent.

        Threads: blocks the calling thread in the network; ``turn.cancelled`` wakes it at once.
        """
        with self._endpoint.ask(turn.cancelled) as exchange:
            try:
                yield from _answer_of(self._ask(exchange, turn))
            except (OSError, http.client.HTTPException) as error:
                raise BrainFailed(f"The chat endpoint failed: {reason(error)}.", code="brain_unreachable") from error

    def _ask(self, exchange: Exchange, turn: Turn) -> http.client.HTTPResponse:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        response = exchange.post(json.dumps(self._request(turn)), headers)
        if response.status != http.client.OK:
            raise _refused(self._endpoint.refusal(response))
        return response

    def _request(self, turn: Turn) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model or turn.model,
            "messages": _messages(turn),
            "stream": True,
            "temperature": turn.temperature,
        }
        if isinstance(turn.max_output_tokens, int):
            request["max_tokens"] = turn.max_output_tokens
        tools = [_tool(tool) for tool in turn.tools if tool.get("type", "function") == "function"]
        if tools:
            request |= {"tools": tools, "tool_choice": _tool_choice(turn.tool_choice)}
        return request


def _refused(refusal: Refusal) -> BrainFailed:
    return BrainFailed(f"The chat endpoint refused: {refusal.message}.", code=refusal.code)


def _messages(turn: Turn) -> list[dict[str, Any]]:
    system = [{"role": "system", "content": turn.instructions}] if turn.instructions else []
    return system + [message for item in turn.items if (message := _message(item)) is not None]


def _message(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """A conversation item as a chat message; None for items that chat does not know."""
    if item["type"] == "message":
        return {"role": item["role"], "content": _content(item["content"])}
    if item["type"] == "function_call":
        call = {"name": item["name"], "arguments": item["arguments"]}
        calls = [{"id": item["call_id"], "type": "function", "function": call}]
        return {"role": "assistant", "content": None, "tool_calls": calls}
    if item["type"] == "function_call_output":
        return {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]}
    return None


def _content(parts: Iterable[Mapping[str, Any]]) -> Any:
    images = [{"type": "image_url", "image_url": {"url": part["image_url"]}} for part in parts if "image_url" in part]
    text = "\n".join(part.get("text") or part.get("transcript") or "" for part in parts if "image_url" not in part)
    return [{"type": "text", "text": text}, *images] if images else text


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = {name: tool[name] for name in ("name", "description", "parameters") if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, Mapping):
        name = choice.get("name") or choice.get("function", {}).get("name")
        return {"type": "function", "function": {"name": name}}
    return choice


def _answer_of(response: http.client.HTTPResponse) -> Iterator[str | FunctionCall]:
    """Text as it streams, then the function calls, which stream in fragments."""
    calls: dict[int, dict[str, str]] = {}
    finish: str | None = None
    for chunk in _chunks(response):
        for choice in chunk.get("choices") or []:
            delta = choice.get("delta") or {}
            if delta.get("content"):
                yield delta["content"]
            _collect(calls, delta.get("tool_calls") or [])
            finish = choice.get("finish_reason") or finish
    if finish in _CUT_SHORT:
        raise CutShort(_CUT_SHORT[finish])
    for _, call in sorted(calls.items()):
        yield FunctionCall(call["name"], call["arguments"] or "{}")


_CUT_SHORT = {"length": "max_output_tokens", "content_filter": "content_filter"}


def _collect(calls: dict[int, dict[str, str]], fragments: Iterable[Mapping[str, Any]]) -> None:
    for fragment in fragments:
        call = calls.setdefault(fragment.get("index", len(calls)), {"name": "", "arguments": ""})
        function = fragment.get("function") or {}
        for name in call:
            call[name] += function.get(name) or ""


def _chunks(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream of server-sent events, up to ``[DONE]`` or an end that was announced."""
    finished = False
    while line := response.readline(_LONGEST_LINE):
        field, _, data = line.decode("utf-8", "replace").strip().partition(":")
        if field != "data":
            continue
        if data.strip() == "[DONE]":
            return
        chunk = _chunk(data)
        finished = finished or any(choice.get("finish_reason") for choice in chunk.get("choices") or [])
        yield chunk
    if not finished:
        raise BrainFailed("The chat endpoint broke off in the middle of its answer.", code="brain_broke_off")


def _chunk(data: str) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except ValueError:
        raise BrainFailed("The chat endpoint sent something that is not JSON.", code="brain_protocol") from None
    if not isinstance(chunk, dict):
        raise BrainFailed("The chat endpoint sent JSON that is not an object.", code="brain_protocol")
    if "error" in chunk:
        raise BrainFailed("The chat endpoint reported an error in its stream.", code="brain_failed")
    return chunk
