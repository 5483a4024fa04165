"""MCP servers that the simulator plays itself: their tools, which of them a session gets, and who has to approve.

No server is contacted: ``server_url`` is taken and not used. What makes a server known is its ``server_label``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["McpOutcome", "McpServer", "McpServers", "McpTool", "is_approved", "needs_approval"]

_INVALID_PARAMS = -32602


@dataclass(frozen=True)
class McpTool:
    """One tool.

    Attributes:
        name: as listed and called.
        run: called with the arguments, decoded; what it returns is the output. What it raises is the tool's failure.
        description: for the model.
        input_schema: JSON schema of the arguments.
        annotations: hints such as ``{"readOnlyHint": True}``.
    """

    name: str
    run: Callable[[Mapping[str, Any]], str]
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    annotations: Mapping[str, Any] | None = None

    def listed(self) -> dict[str, Any]:
        """The tool in an ``mcp_list_tools`` item."""
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": dict(self.input_schema),
            "annotations": None if self.annotations is None else dict(self.annotations),
        }


@dataclass(frozen=True)
class McpServer:
    """A server: sessions name it by its label in ``tools``."""

    label: str
    tools: tuple[McpTool, ...]


@dataclass(frozen=True)
class McpOutcome:
    """What came of a call: ``output``, or ``error`` in one of the shapes of protocol 5.3."""

    output: str | None = None
    error: Mapping[str, Any] | None = None


def _echo(arguments: Mapping[str, Any]) -> str:
    return str(arguments["text"])


def _fail(arguments: Mapping[str, Any]) -> str:
    raise RuntimeError("This tool always fails.")


_TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
_BUILT_IN = McpServer(
    "simulator",
    (
        McpTool("echo", _echo, "Gives back its text.", _TEXT, {"readOnlyHint": True}),
        McpTool("fail", _fail, "Fails, to see what happens then."),
    ),
)


class McpServers:
    """All servers that a simulator knows; ``simulator``, with the tools ``echo`` and ``fail``, is always there."""

    def __init__(self, servers: Iterable[McpServer] = ()) -> None:
        self._servers = {server.label: server for server in (_BUILT_IN, *servers)}

    def listing(self, tool: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The tools that this entry of a session's ``tools`` allows; None when the server is not known."""
        server = self._servers.get(tool["server_label"])
        if server is None:
            return None
        allowed = tool.get("allowed_tools")
        return [found.listed() for found in server.tools if allowed is None or _is_in(allowed, found)]

    def call(self, label: str, name: str, arguments: str) -> McpOutcome:
        """Run a tool.

        Threads: runs the tool on the calling thread.
        """
        tools = self._servers[label].tools if label in self._servers else ()
        tool = next((tool for tool in tools if tool.name == name), None)
        if tool is None:
            message = f"There is no tool '{name}' at '{label}'."
            return McpOutcome(error={"type": "protocol_error", "code": _INVALID_PARAMS, "message": message})
        try:
            return McpOutcome(output=tool.run(json.loads(arguments or "{}")))
        except Exception as error:
            return McpOutcome(error={"type": "tool_execution_error", "message": f"{type(error).__name__}: {error}"})


def _is_in(allowed: Any, tool: McpTool) -> bool:
    if isinstance(allowed, list):
        return tool.name in allowed
    names, read_only = allowed.get("tool_names"), allowed.get("read_only")
    hinted = bool((tool.annotations or {}).get("readOnlyHint"))
    return (names is None or tool.name in names) and (read_only is None or read_only == hinted)


def needs_approval(tools: Iterable[Mapping[str, Any]], label: str, name: str) -> bool:
    """Whether the user is asked before this call. ``require_approval`` is ``always`` unless it says otherwise."""
    for tool in tools:
        if tool.get("server_label") == label:
            rule = tool.get("require_approval") or "always"
            if isinstance(rule, str):
                return rule != "never"
            return name not in (rule.get("never") or {}).get("tool_names", [])
    return True


def is_approved(items: Iterable[Mapping[str, Any]], request_id: str | None) -> bool:
    """Whether a response in ``items`` approves this request."""
    return request_id is not None and any(
        item["type"] == "mcp_approval_response" and item["approval_request_id"] == request_id and item["approve"]
        for item in items
    )
