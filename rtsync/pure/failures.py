"""Where in an event a server speaks of a failure, and may echo the credential that it refuses; and where a client
event carries credentials of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["credentials_sent", "tells_of_failure", "without_credentials"]

_DEEPEST = 20

Redact = Callable[[str], str]


def without_credentials(event: dict[str, Any], redact: Redact) -> dict[str, Any]:
    """``event`` with every text in its error objects redacted; itself where there is nothing to redact.

    Those are ``error`` of the event and of its item (protocol 5.3, 5.4), and ``status_details`` of its response and
    ``error`` of the response's items (5.1).
    """
    if not tells_of_failure(event):
        return event
    changed = {
        name: value
        for name, clean in _RULES
        if isinstance(was := event.get(name), dict | str | list) and (value := clean(was, redact)) != was
    }
    return {**event, **changed} if changed else event


def tells_of_failure(event: dict[str, Any]) -> bool:
    """Whether there may be something to redact: not in most events, which therefore are not copied."""
    item, response = event.get("item"), event.get("response")
    if event.get("error") or (isinstance(item, dict) and item.get("error")):
        return True
    if not isinstance(response, dict):
        return False
    if response.get("status_details"):
        return True
    output = response.get("output")
    for item in output if isinstance(output, list) else ():  # noqa: SIM110 - every response asks
        if isinstance(item, dict) and item.get("error"):
            return True
    return False


def credentials_sent(event: Mapping[str, Any]) -> tuple[str, ...]:
    """The credentials for MCP servers that a client event hands to the service (protocol 4.6)."""
    holder = event.get("session") or event.get("response")
    tools = holder.get("tools") if isinstance(holder, Mapping) else None
    if not isinstance(tools, Sequence) or isinstance(tools, str):
        return ()
    found = [text for tool in tools if isinstance(tool, Mapping) for text in _of_tool(tool)]
    return tuple(dict.fromkeys(part for text in found for part in (text, text.rpartition(" ")[2])))


def _of_tool(tool: Mapping[str, Any]) -> list[str]:
    headers = tool.get("headers")
    held = [tool.get("authorization"), *(headers.values() if isinstance(headers, Mapping) else ())]
    return [text for text in held if isinstance(text, str)]


def _all(value: Any, redact: Redact, depth: int = 0) -> Any:
    """``value`` with every text in it redacted; what is nested deeper than any service does is left out."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict | list) and depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        return {name: _all(part, redact, depth + 1) for name, part in value.items()}
    return [_all(part, redact, depth + 1) for part in value] if isinstance(value, list) else value


def _item(item: Any, redact: Redact) -> Any:
    return {**item, "error": _all(item["error"], redact)} if isinstance(item, dict) and item.get("error") else item


def _response(response: Any, redact: Redact) -> Any:
    if not isinstance(response, dict):
        return response
    output = response.get("output")
    changed: dict[str, Any] = {}
    if response.get("status_details"):
        changed["status_details"] = _all(response["status_details"], redact)
    if isinstance(output, list):
        changed["output"] = [_item(item, redact) for item in output]
    return {**response, **changed} if changed else response


_RULES: tuple[tuple[str, Callable[[Any, Redact], Any]], ...] = (
    ("error", _all),
    ("item", _item),
    ("response", _response),
)
