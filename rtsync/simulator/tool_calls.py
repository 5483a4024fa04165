"""What a brain asks for besides saying something: calls of functions and of MCP tools."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FunctionCall", "McpCall"]


@dataclass(frozen=True)
class FunctionCall:
    """A brain's wish to have a function called. ``arguments`` is JSON text, as on the wire."""

    name: str
    arguments: str


@dataclass(frozen=True)
class McpCall:
    """A brain's wish to have a tool of an MCP server called (protocol 3.5, MCP call).

    Attributes:
        server_label: as in the session's ``tools``.
        name: of the tool, as the server lists it.
        arguments: JSON text.
        approval_request_id: the request that the user has approved; None asks for approval where that is required.
    """

    server_label: str
    name: str
    arguments: str
    approval_request_id: str | None = None
