"""Who speaks next when the model calls tools: the calls of each response, their outputs, and the response that follows.

A *round* is a response that has called tools of the program's, until it is known what follows it. The table is told
what happens (``called``, ``answered``, ``confirmed``, ``ended``, ``began``, ``interrupted``, ``lost``, ``restored``)
and says what is ``due``: an item to be created, a response to be asked for, or one to be cancelled. It starts nothing
and waits for nothing. The rules:

1. A call id is known once, for ever: who tells it again starts nothing.
2. A round of the conversation is *complete* when its response has ended, every call is answered, and the service has
   confirmed every output, or it is known that it never will. One response is due then, for all rounds that are
   complete together.
3. None is due where the user has interrupted since, where the response did not go well (cancelled, failed, lost), where
   every call asks for none, where the service has taken no output, and where another response to the conversation began
   after the last output: that one has seen it, and follows instead. What is answered behind an interruption is put
   where it belongs, behind its call and before what the user has said since.
4. While somebody speaks nothing is asked for: what voice detection begins then sees the outputs.
5. What a tool delivers after its call was answered (``working=``) is a round of its own: a call, as the model would
   have made it, and its output. No interruption takes it back; it waits until nobody speaks.
6. A round beside the conversation (``conversation="none"``) creates no items. It is followed by a response of its own,
   which is given call and output as its input.
7. A line that ends takes along what was sent and not confirmed: that is due again on the next one, with the same item
   id, unless it is there already, or the call is not. A round whose call the new conversation does not know is over;
   one whose requests for approval it does not know is asked for anew, and the model makes them again.
8. Rounds follow each other at most ``limit`` times; the response after that is asked for without tools, and what it
   calls all the same is answered, and not followed by anything.
9. A request for approval is a call, too: what it is answered with is a ``mcp_approval_response``. Whether the service
   makes the approved call by itself, or in the response that is asked for next, is unconfirmed (protocol 8): so a yes
   is *held* for a moment. What the service begins meanwhile goes on in this round, or follows it.
10. A call that the service makes itself, of an MCP server's tool, is answered when it has ended, perhaps behind its
   response. The model is asked to go on, which the service does not do by itself, unless it has spoken behind it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from rtsync.vocabulary.ids import new_id

__all__ = ["Ask", "Call", "Kind", "Output", "Round", "Rounds", "Stop", "following"]

_NONE: Mapping[str, Any] = {}
_MOST_KNOWN = 10_000  # call ids that are remembered
_MOST_DEPTHS = 256  # responses asked for by tools that have not ended

Kind = Literal["function", "approval", "service"]


class Call:
    """A function that the model has called; or what else is asked of the program, or done for the model meanwhile.

    Attributes:
        call_id: the service's, which its output names; of what is no function the item's id.
        item_id: of its item; None where the service did not say.
        name: of the function.
        arguments: as the model wrote them.
        round: what it belongs to.
        answered: whether its output is known.
        unknown: whether the conversation has been left behind that it was made in.
        kind: ``"function"``; ``"approval"``, asked for before a call of an MCP server's tool; or ``"service"``, such a
            call, which the service makes.
        held: whether it was approved, and the service may begin it by itself.
    """

    __slots__ = ("answered", "arguments", "call_id", "held", "item_id", "kind", "name", "round", "unknown")

    def __init__(
        self, call_id: str, name: str, arguments: str, item_id: str | None, inside: Round, kind: Kind = "function"
    ) -> None:
        self.kind: Kind = kind
        self.held = False
        self.call_id = call_id
        self.item_id = item_id
        self.name = name
        self.arguments = arguments
        self.round = inside
        self.answered = False
        self.unknown = False


class Output:
    """An item that the conversation shall have, the output of a call for one.

    Attributes:
        item: of ``conversation.item.create``, with its id.
        call: the call that it is for.
        round: what it belongs to.
    """

    __slots__ = ("call", "in_place", "item", "round", "state")

    def __init__(self, call: Call, inside: Round, **fields: Any) -> None:
        self.call = call
        self.round = inside
        self.item: dict[str, Any] = {"id": new_id("item"), **fields}
        self.state: Literal["waiting", "underway", "there", "void"] = "waiting"
        self.in_place = True

    @property
    def behind(self) -> str | None:
        """Id of the item that it belongs behind: its call, where the user may have said more; None: at the end."""
        is_belated = self.round.stopped and not self.round.late and self.call.kind == "function"
        return self.call.item_id if is_belated and self.in_place else None

    @property
    def key(self) -> str:
        """Id of what it answers, or of the call that it is."""
        return str(self.item.get("call_id") or self.item.get("approval_request_id"))


class Round:
    """A response and its calls. What is ``open`` may still be followed by another response.

    Attributes:
        response_id: the service's.
        holder: who holds the response; whatever the caller gave.
        options: of its ``response.create``, which count for the response that follows, too.
        out_of_band: whether it is beside the conversation.
        depth: how many rounds came before it without anybody else asking.
        late: whether it is what a tool delivered after its call was answered.
        calls: in order.
        outputs: what the conversation shall have of it.
    """

    __slots__ = (
        "anew", "calls", "decided", "depth", "done", "holder", "late", "options", "out_of_band", "outputs",
        "response_id", "stage", "stopped", "wants",
    )  # fmt: skip

    def __init__(
        self,
        response_id: str,
        holder: Any,
        options: Mapping[str, Any],
        *,
        out_of_band: bool = False,
        depth: int = 0,
        late: bool = False,
    ) -> None:
        self.response_id = response_id
        self.holder = holder
        self.options = options
        self.out_of_band = out_of_band
        self.depth = depth
        self.late = late
        self.calls: list[Call] = []
        self.outputs: list[Output] = []
        self.done = late
        self.stopped = self.decided = self.anew = False
        self.wants = False
        self.stage: Literal["open", "due", "asked", "over"] = "open"

    @property
    def complete(self) -> bool:
        """Whether nothing more belongs to it."""
        return self.ready and not any(call.held for call in self.calls)

    @property
    def ready(self) -> bool:
        """Whether that is so but for what the service may begin by itself."""
        return (
            self.done
            and all(call.answered for call in self.calls)
            and all(output.state in ("there", "void") for output in self.outputs)
        )

    @property
    def heeded(self) -> bool:
        """Whether a response that begins now sees all of it."""
        return self.stage in ("due", "asked") or (self.stage == "open" and self.ready and self.heard)

    @property
    def reads_apart(self) -> bool:
        """Whether its response did not read the conversation, but an ``input`` of its own."""
        return not self.late and self.options.get("input") is not None

    @property
    def heard(self) -> bool:
        """Whether a response would have something to say about it."""
        served = any(call.kind == "service" for call in self.calls)
        return self.out_of_band or self.anew or served or any(output.state == "there" for output in self.outputs)


class Ask(msgspec.Struct, frozen=True, eq=False):
    """A response is to be asked for, because of ``rounds``.

    Attributes:
        rounds: oldest first; one where it is out of band.
        depth: how many rounds come before it without anybody else asking.
        last: whether it shall call nothing more.
    """

    rounds: tuple[Round, ...]
    depth: int
    last: bool

    @property
    def wanted(self) -> bool:
        """Whether any of its rounds still waits for it."""
        return any(one.stage in ("due", "asked") for one in self.rounds)


class Stop(msgspec.Struct, frozen=True):
    """The response of that id has begun although nobody wants it any more."""

    response_id: str


class Rounds:
    """The rounds of one session.

    Attributes:
        decided: rounds of which it has become known what follows, or that nothing will; to be taken by the caller.
    """

    def __init__(self, limit: int) -> None:
        self.decided: list[Round] = []
        self._limit = limit
        self._rounds: list[Round] = []  # Open ones, oldest first.
        self._by_id: dict[str, Round] = {}  # Those of this line. Some servers begin to count anew with each.
        self._known: dict[str, None] = {}
        self._depths: dict[str, int] = {}
        self._asked: list[Ask] = []
        self._stops: list[Stop] = []
        self._speaking = False
        self._online = True

    # -- what happens --------------------------------------------------------------------------------------------------

    def called(
        self,
        response_id: str,
        holder: Any,
        call_id: str,
        *,
        name: str,
        arguments: str,
        item_id: str | None = None,
        options: Mapping[str, Any] = _NONE,
        out_of_band: bool = False,
        kind: Kind = "function",
    ) -> Call | None:
        """The model has called a function, or asks for approval; None where that was told before.

        What belongs to no response has an id of its own in place of ``response_id``, and is told to have ``ended``.
        """
        if call_id in self._known:
            return None
        self._known[call_id] = None
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        inside = self._by_id.get(response_id)
        if inside is None:
            depth = self._depths.get(response_id, 0)
            inside = Round(response_id, holder, options, out_of_band=out_of_band, depth=depth)
            self._by_id[response_id] = inside
            self._rounds.append(inside)
        call = Call(call_id, name, arguments, item_id, inside, kind)
        inside.calls.append(call)
        return call

    def granted(self, request_id: str) -> Call | None:
        """The request of that id, where it was approved and is held: the service begins the call."""
        calls = (call for one in self.open() for call in one.calls)
        return next((call for call in calls if call.held and call.call_id == request_id), None)

    @property
    def approved(self) -> bool:
        """Whether something is held: the service may begin it."""
        return any(call.held for one in self.open() for call in one.calls)

    def finished(self, item_id: str) -> None:
        """The service has ended a call that it makes itself; what is unknown, or ended before, is passed over."""
        for one in self.open():
            for call in one.calls:
                if call.kind == "service" and call.call_id == item_id and not call.answered:
                    call.answered = one.wants = True
                    self._settle(one)
                    return

    def spoke(self, response_id: str) -> None:
        """The model says something in that response: it has seen what the service's calls before have brought."""
        inside = self._by_id.get(response_id)
        if inside is not None and all(call.kind == "service" and call.answered for call in inside.calls):
            inside.wants = False

    def judged(self, call: Call, approve: bool, reason: str | None = None) -> Output | None:
        """What was decided about a request for approval; None where that was told before."""
        if call.answered:
            return None
        call.answered = True
        inside = call.round
        inside.wants = True
        # Some servers take no reason with a yes.
        fields = {"approval_request_id": call.call_id, "approve": approve} | ({"reason": reason} if reason else {})
        answer = Output(call, inside, type="mcp_approval_response", **fields)
        answer.state = "void" if call.unknown or inside.out_of_band else "waiting"
        call.held = approve and answer.state == "waiting"
        inside.outputs.append(answer)
        self._settle(inside)
        return answer

    def released(self, call: Call) -> None:
        """The service has not begun what was approved."""
        call.held = False
        self._settle(call.round)

    def answered(self, call: Call, output: str, *, responds: bool = True) -> Output | None:
        """What the model shall be told; None where the call was answered before."""
        if call.answered:
            return None
        call.answered = True
        inside = call.round
        inside.wants = inside.wants or responds
        answer = Output(call, inside, type="function_call_output", call_id=call.call_id, output=output)
        answer.state = "void" if call.unknown or inside.out_of_band else "waiting"
        inside.outputs.append(answer)
        self._settle(inside)
        return answer

    def delivered(self, call: Call, output: str, *, responds: bool = True) -> Output:
        """What a tool has made after its call was answered: rule 5."""
        late = Round(call.round.response_id, None, call.round.options, depth=call.round.depth + 1, late=True)
        call_id = new_id("call")
        late.outputs = [
            Output(call, late, type="function_call", call_id=call_id, name=call.name, arguments=call.arguments),
            Output(call, late, type="function_call_output", call_id=call_id, output=output),
        ]
        late.wants = responds
        self._rounds.append(late)
        return late.outputs[-1]

    def ended(self, response_id: str, status: str) -> None:
        """A response is done."""
        self._depths.pop(response_id, None)
        inside = self._by_id.get(response_id)
        if inside is not None:
            inside.done = True
            if status not in ("completed", "incomplete"):
                self._stop(inside)
            self._settle(inside)

    def began(self, response_id: str, ask: Ask | None, *, out_of_band: bool = False) -> None:
        """A response has begun: that which ``ask`` asked for, or somebody else's."""
        if ask is not None:
            self._depths[response_id] = ask.depth
            if len(self._depths) > _MOST_DEPTHS:
                del self._depths[next(iter(self._depths))]
            if not ask.wanted:
                self._stops.append(Stop(response_id))
            self._forget(ask)
            for one in ask.rounds:
                self._close(one)
        if not out_of_band:
            self._speaking = False
        if not (out_of_band or (ask is not None and ask.rounds[0].reads_apart)):
            for one in [one for one in self.open() if one.heeded and not one.out_of_band]:
                self._close(one)

    def interrupted(self) -> list[Call]:
        """The user has interrupted. Returns the calls that are not answered, and need not go on."""
        found = [one for one in self.open() if not (one.out_of_band or one.late)]
        return [call for one in found for call in self._stop(one)]

    def stopped(self, response_id: str) -> list[Call]:
        """Nobody wants this response and what it leads to any more. Returns as ``interrupted``."""
        found = [one for one in self.open() if one.response_id == response_id and not one.late]
        return [call for one in found for call in self._stop(one)]

    def speaks(self, speaking: bool) -> None:
        """Somebody begins to speak, or is known to have ended without a response that follows."""
        self._speaking = speaking

    # -- what became of what was due -----------------------------------------------------------------------------------

    def sent(self, output: Output) -> None:
        """Its item is on its way."""
        output.state = "underway"

    def unsent(self, output: Output) -> None:
        """It has not reached the service: the line broke."""
        if output.state == "underway":
            output.state = "waiting"

    def confirmed(self, output: Output) -> None:
        """The service has it."""
        if output.state != "void":
            output.state = "there"
            self._settle(output.round)

    def refused(self, output: Output) -> None:
        """The service will not have it."""
        output.state = "void"
        self._settle(output.round)

    def misplaced(self, output: Output) -> None:
        """The service does not know the item that it belongs behind: it comes to the end."""
        output.in_place = False
        self.unsent(output)

    def asked(self, ask: Ask) -> None:
        """The response goes out to be asked for."""
        self._asked.append(ask)
        for one in ask.rounds:
            if one.stage == "due":
                one.stage = "asked"

    def unasked(self, ask: Ask, *, again: bool) -> None:
        """It was not begun, and is to be asked for ``again``, or never."""
        self._forget(ask)
        for one in ask.rounds:
            if one.stage == "asked":
                one.stage = "due"
                if not again:
                    self._close(one)

    # -- from line to line ---------------------------------------------------------------------------------------------

    def lost(self) -> list[Any]:
        """The line has ended; the session may go on over another one.

        Returns who held responses that were running. What becomes of their calls concerns nobody any more.
        """
        holders = []
        self._online = self._speaking = False
        self._stops.clear()
        self._depths.clear()
        self._by_id.clear()
        for one in list(self.open()):
            for output in one.outputs:
                self.unsent(output)
            self._let_go(one)
            if not one.done:
                holders.append(one.holder)
                one.holder, one.done, one.stopped = None, True, True
                self._settle(one)
        return holders

    def _let_go(self, one: Round) -> None:
        """What the service does by itself is lost with the line, and nobody will hear what came of it."""
        for call in one.calls:
            call.held = False
            if call.kind == "service" and not call.answered:
                call.answered = one.stopped = True
        self._settle(one)

    def restored(self, calls: Collection[str], outputs: Collection[str], *, has_messages: bool = True) -> list[Call]:
        """There is a new line, whose conversation has calls and outputs of these call ids, and perhaps messages.

        Returns the calls that it does not know, and whose outputs will not be sent.
        """
        self._online = True
        left = []
        for one in [one for one in self.open() if not one.out_of_band]:
            for output in one.outputs:
                known = calls if output.item["type"] == "function_call" else outputs
                output.state = "there" if output.key in known else "waiting"
            missing = [call for call in one.calls if call.kind != "service" and call.call_id not in calls]
            left += missing
            if has_messages and missing and all(call.kind == "approval" for call in missing):
                self._begin_anew(one, missing)
            elif missing:
                self._leave(one)
            elif one.stage == "due" and not one.complete:
                one.stage = "open"
            self._settle(one)
        return left

    def _begin_anew(self, one: Round, missing: Collection[Call]) -> None:
        """Requests for approval cannot be restored; what they came from is there, and the model makes them anew."""
        for call in missing:
            call.unknown = call.answered = True
            call.held = False
        for output in one.outputs:
            if output.call.unknown:
                output.state = "void"
        one.wants = one.anew = True

    def _leave(self, one: Round) -> None:
        """The conversation that it belongs to is gone."""
        self._stop(one)
        for call in one.calls:
            call.unknown = True
        for output in one.outputs:
            output.state = "void"

    # -- what is due ---------------------------------------------------------------------------------------------------

    def due(self) -> Output | Ask | Stop | None:
        """What is to be done now; None where there is nothing, or no line."""
        if not self._online:
            return None
        if self._stops:
            return self._stops.pop()
        waiting = (output for one in self.open() for output in one.outputs if output.state == "waiting")
        return next(waiting, None) or self._due_ask()

    def _due_ask(self) -> Ask | None:
        found = [one for one in self.open() if one.stage == "due"]
        beside = next((one for one in found if one.out_of_band), None)
        if beside is not None:
            return self._ask_for((beside,))
        if not found or self._speaking or any(not ask.rounds[0].out_of_band for ask in self._asked):
            return None
        apart = next((one for one in found if one.reads_apart), None)  # It would not hear of the others.
        return self._ask_for((apart,) if apart is not None else tuple(found))

    def _ask_for(self, rounds: tuple[Round, ...]) -> Ask:
        depth = 1 + max(one.depth for one in rounds)
        return Ask(rounds, depth, last=depth > self._limit)

    @property
    def asks(self) -> tuple[Ask, ...]:
        """Those that were asked for and have not begun."""
        return tuple(self._asked)

    @property
    def idle(self) -> bool:
        """Whether nothing is open."""
        return not (self._rounds or self._asked or self._stops)

    def open(self) -> list[Round]:
        """The rounds to which something belongs that is not done yet."""
        return list(self._rounds)

    # -- how -----------------------------------------------------------------------------------------------------------

    def _settle(self, one: Round) -> None:
        """Look whether it is complete now, and what follows."""
        if one.stage != "open" or not one.complete:
            return
        if one.stopped or not one.wants or not one.heard or one.depth > self._limit:
            self._close(one)
        else:
            one.stage = "due"

    def _stop(self, one: Round) -> list[Call]:
        """Nothing follows; what it has called is answered all the same."""
        one.stopped = True
        self._decide(one)
        if one.stage in ("due", "asked"):
            self._close(one)
        return [call for call in one.calls if not call.answered]

    def _close(self, one: Round) -> None:
        """It is known what follows."""
        if one.stage == "over":
            return
        one.stage = "over"
        self._decide(one)
        self._rounds.remove(one)
        if self._by_id.get(one.response_id) is one:
            del self._by_id[one.response_id]

    def _decide(self, one: Round) -> None:
        if not one.decided:
            one.decided = True
            self.decided.append(one)

    def _forget(self, ask: Ask) -> None:
        self._asked = [known for known in self._asked if known is not ask]


def following(ask: Ask, said: Sequence[Mapping[str, Any]], context: Sequence[str]) -> dict[str, Any]:
    """The options of the ``response.create`` that ``ask`` wants (protocol 4.7): those of the newest response that it
    follows, without what would make it call a tool again.

    Args:
        ask: what is due.
        said: the items of that response.
        context: ids of the items of the conversation, which a response without ``input`` has read.
    """
    newest = ask.rounds[-1]
    options = {name: value for name, value in newest.options.items() if name not in ("input", "tool_choice")}
    if ask.last or newest.options.get("tool_choice") == "none":
        options["tool_choice"] = "none"
    elif newest.options.get("tool_choice") == "auto":
        options["tool_choice"] = "auto"
    given = newest.options.get("input")
    if newest.out_of_band and given is None:
        given = [{"type": "item_reference", "id": item_id} for item_id in context]
    if given is not None and not newest.late:
        outputs = [output.item for output in newest.outputs]
        options["input"] = [*given, *filter(None, map(_as_input, said)), *map(_nameless, outputs)]
    return options


_FIELDS = {
    "function_call": ("call_id", "name", "arguments"),
    "mcp_call": ("id", "server_label", "name", "arguments", "approval_request_id", "output", "error"),
    "mcp_approval_request": ("id", "server_label", "name", "arguments"),
}


def _as_input(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """An item that the model has made, as a client may write it: what was spoken as text."""
    fields = _FIELDS.get(str(item.get("type")))
    if fields is not None and "name" in item:
        return {name: item[name] for name in ("type", *fields) if name in item}
    if item.get("type") != "message":
        return None
    parts = [part for part in item.get("content") or () if isinstance(part, dict)]
    texts = [part.get("text") or part.get("transcript") for part in parts]
    content = [{"type": "output_text", "text": text} for text in texts if text]
    return {"type": "message", "role": "assistant", "content": content} if content else None


def _nameless(item: Mapping[str, Any]) -> dict[str, Any]:
    if item["type"] == "mcp_approval_response":  # The one that needs an id.
        return dict(item)
    return {name: value for name, value in item.items() if name != "id"}
