"""Calls of MCP servers' tools, which the service makes, and the program approves (protocol 4.5, MCP call).

``Judgement`` is one request on its way through the program's ``mcp_approval``, in a thread of the tools. When the
answer is sent, and when the model is asked to go on, is up to ``threads.tool_desk``.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from rtsync.pure.tool_turns import Call, Output
from rtsync.session.options import Within
from rtsync.vocabulary.foreign import one_line

if TYPE_CHECKING:
    from rtsync.session.session import RealtimeSession
    from rtsync.threads.tool_desk import Desk

__all__ = ["Judgement", "McpApproval", "McpRequest"]

_LONGEST_REASON = 500  # characters


class McpRequest(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The service asks whether it may call a tool of an MCP server.

    Attributes:
        session: in which the model wants the call.
        server_label: of the server, as in ``tools``.
        name: of the tool.
        arguments: as the model wrote them, decoded.
        item_id: of the request's item.
        response_id: of the response that it belongs to.
    """

    session: RealtimeSession
    server_label: str
    name: str
    arguments: Mapping[str, Any]
    item_id: str
    response_id: str

    def __repr__(self) -> str:  # Without arguments, which are conversation.
        return one_line(f"<McpRequest {self.server_label!r} {self.name!r} {self.item_id!r}>")

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("server_label", self.server_label), ("name", self.name), ("item_id", self.item_id)]


McpApproval = Callable[[McpRequest], bool | str]


class Judgement:
    """One request, from its arrival to the answer.

    Attributes:
        call: what the service asks for.
        over: whether it is decided.
        due_at: None: whoever decides may take any time.
        output: the answer that the conversation shall have.

    Args:
        approval: the program's.
        session: in which it is asked.
        desk: gives the desk that it goes back to.
        within: gives what it runs in; None for nothing.
        label: of the server.
        call: the request.
    """

    def __init__(
        self,
        approval: McpApproval,
        session: weakref.ref[RealtimeSession],
        desk: Desk,
        within: Within | None,
        label: str,
        call: Call,
    ) -> None:
        self.call = call
        self.over = False
        self.due_at: float | None = None
        self.output: Output | None = None
        self._approval = approval
        self._session = session
        self._desk = desk
        self._within = within or contextlib.nullcontext
        self._label = label

    def __repr__(self) -> str:
        return f"<Judgement of {self.title}>"

    @property
    def title(self) -> str:
        """What waits for the answer."""
        return one_line(f"{self._label}.{self.call.name}")

    # -- its thread ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Ask the program, and answer."""
        session, arguments = self._session(), _decoded(self.call.arguments)
        if self.over or session is None:
            return
        if arguments is None:
            self._decide(False, "the arguments are no JSON object")
            return
        request = McpRequest(
            session=session,
            server_label=self._label,
            name=self.call.name,
            arguments=arguments,
            item_id=self.call.call_id,
            response_id=self.call.round.response_id,
        )
        try:
            with self._within():
                verdict = self._approval(request)
        except BaseException as error:  # Also sys.exit(), which ends no thread of rtsync's.
            self._decide(False, "nobody could be asked")
            if not self._desk.inherited:
                self._desk.report(self._approval, error)
            return
        self._decide(verdict is True, verdict if isinstance(verdict, str) else None)

    def cannot_run(self) -> None:
        """There is no thread for it."""
        self._decide(False, "nobody can be asked at the moment")

    def _decide(self, approve: bool, reason: str | None) -> bool:
        """It is decided; only the first time counts. Returns whether this was it."""
        if self._desk.inherited:
            return False
        with self._desk.lock:
            if self.over:
                return False
            self.over = True
            told = None if reason is None else one_line(reason.encode("utf-8", "replace").decode(), _LONGEST_REASON)
            self._desk.decide(self, approve, told)
        self._desk.go_on()
        return True

    # -- any thread ----------------------------------------------------------------------------------------------------

    def cancel(self, why: str) -> bool:
        """Nobody waits for it any longer: no. Returns whether it was not decided."""
        return self._decide(False, why)

    def run_out(self) -> None:
        """Its time is never over."""

    def forsake(self, why: str) -> None:
        """The session ends, and nothing is answered any more."""
        self.over = True


def _decoded(arguments: str) -> Mapping[str, Any] | None:
    try:
        found = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
