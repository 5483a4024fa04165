"""The desk at which a session's tools are served: calls come in from the reader, outputs and responses go out.

1. The reader tells the desk of events, and ``_RULES`` says which it heeds. The desk asks ``choose`` whose call it is,
   and gives it to the pool. What follows from what is decided by ``pure.tool_turns``.
2. One thread, the *courier* (``rtsync-tools-N``), sends: outputs, and ``response.create`` when the floor is free. It
   looks after deadlines, too. It is there while anything is open and no longer, and sleeps on the floor's bell.
   No thread in which a tool runs ever sends for the desk, so a tool that hangs keeps nothing from going on.
3. The courier sends over the connection that was the session's when it looked, and over no other: what does not get
   through there is looked at again when the next one is restored.
4. ``lock`` guards rounds, calls and what is known of each. It is held for a few lines; nothing is sent, waited for, or
   called of the program's under it. It is reentrant, for ``close()`` in a signal handler. The books may not be asked
   for under it.
5. Requests for the approval of an MCP server's tool are given to ``judge``, and are served like calls. Calls that the
   service makes itself are followed where the program wants that (``follows``): rule 10 of the rounds.
6. A call is in the conversation a moment before the response tells of it (protocol 3.4, rule 4). Where the line breaks
   between the two, it is restored as one that nobody knows: it is answered that it was not made.
7. Signals of tools are sent where handlers run. With ``handlers="inline"`` that is the reader, which is handed them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from rtsync.edges import signals
from rtsync.pure.responses import Record
from rtsync.pure.state import State
from rtsync.pure.tool_turns import Ask, Call, Kind, Output, Round, Rounds, Stop, following
from rtsync.pure.weight import short_text
from rtsync.threads.connection import Connection
from rtsync.threads.floor import MARK
from rtsync.threads.following import Follower, Request
from rtsync.threads.tool_pool import Job, Pool
from rtsync.vocabulary.errors import RealtimeError, ServerError
from rtsync.vocabulary.events import Event, new_event_id, raw

if TYPE_CHECKING:
    from rtsync.threads.reader import Core

__all__ = ["Desk", "Work"]

logger = logging.getLogger("rtsync.tools")

_CONFIRMATION = 10.0  # seconds; a server that has not confirmed an item by then never does
_ANSWER = 10.0  # seconds within which voice detection has begun a response, or will not
_PAUSE = 0.25  # seconds between two attempts to send over a line that takes nothing
_GRACE = 0.5  # seconds in which the service may begin what was approved, before it is asked to
_RACE = 5.0  # seconds until a refusal, because a response runs that nobody has seen, is not believed any longer
_ACTIVE_ALREADY = "conversation_already_has_active_response"
_MOST_ANNOUNCED = 64
_USER = "the user interrupted"
_UNTOLD = '{"error":"the line broke before the call was known here; it was not made"}'


class Work(Job, Protocol):
    """A call on its way, as the desk sees it. Its attributes are changed under the desk's lock."""

    call: Call
    over: bool
    """Whether it is known what became of it."""
    due_at: float | None
    """Monotonic seconds at which its time is over; None while nobody counts it."""
    output: Output | None
    """What the conversation shall have of it."""

    def cancel(self, why: str) -> bool:
        """Nobody waits for it any longer: tell the function, or do not begin. Returns whether it had not begun."""

    def run_out(self) -> None:
        """Its time is over."""

    def forsake(self, why: str) -> None:
        """The session ends, and nothing of it will be delivered."""


Choose = Callable[[str, Mapping[str, Any]], Callable[[Call], Work] | None]
Judge = Callable[[str, Call], Work]


class _Receipt(Request):
    """An item that was sent and is to be confirmed."""

    __slots__ = ("_desk", "output", "until")

    def __init__(self, desk: Desk, output: Output) -> None:
        super().__init__()
        self._desk = desk
        self.output = output
        self.until = time.monotonic() + _CONFIRMATION

    def resolve(self, sequence: int, answer: Event | None, error: RealtimeError | None) -> None:
        super().resolve(sequence, answer, error)
        self._desk.receive(self)


class Desk:
    """The tools of one session at work.

    Args:
        core: the session's.
        choose: given a function's name and the options of the response that called it, who serves such a call; None
            where that is left to the program.
        threads: how many tools may run at the same time.
        rounds: how many responses tools may ask for in a row.
        judge: given the label of an MCP server and the request, what serves it; None where that is left to the program.

    Attributes:
        follows: whether the model is asked to go on when the service has called a tool of an MCP server.
    """

    def __init__(self, core: Core, choose: Choose, *, threads: int, rounds: int, judge: Judge | None = None) -> None:
        self._judge = judge
        self.follows = judge is not None
        self._granted: list[tuple[Call, float]] = []
        self._has_warned = False
        self.lock = threading.RLock()  # Rule 4.
        self._core = core
        self._choose = choose
        self._name = f"rtsync-tools-{core.number}"
        self._pool = Pool(self._name, threads)
        self._rounds = Rounds(rounds)
        self._bell = core.floor.turns
        self._works: dict[str, Work] = {}
        self._receipts: list[_Receipt] = []
        self._asking: list[tuple[Ask, Follower]] = []
        self._courier: threading.Thread | None = None
        self._news = False
        self._refused_at: tuple[int, float] | None = None  # How many responses had ended then, and when.
        self._announced: dict[str, tuple[str, str]] = {}  # Calls that are not complete: their responses and names.
        self._answer_by: float | None = None
        self._left = False
        self._ended = False
        self._to_tell: deque[Callable[[], None]] = deque()

    def __repr__(self) -> str:
        return f"<Desk of session {self._core.number}, {len(self._works)} calls>"

    # -- arrivals: the reader ------------------------------------------------------------------------------------------

    def take(self, event: Event, record: Record | None) -> None:
        """An event, and the response that it belongs to."""
        rule = _RULES.get(event.type)
        if rule is not None and not self._left:
            rule(self, raw(event), record)

    def _on_announced(self, data: Mapping[str, Any], record: Record | None) -> None:
        item, response_id = _object(data.get("item")), short_text(data.get("response_id")) or self._id_of(record)
        name, call_id = short_text(item.get("name")), short_text(item.get("call_id"))
        if item.get("type") == "function_call" and name and call_id and response_id:
            self._announced[call_id] = response_id, name
            if len(self._announced) > _MOST_ANNOUNCED:
                del self._announced[next(iter(self._announced))]

    def _on_item(self, data: Mapping[str, Any], record: Record | None) -> None:
        response_id = short_text(data.get("response_id")) or self._id_of(record)
        if response_id is not None:
            self._find(response_id, _object(data.get("item")), record)

    def _find(self, response_id: str, item: Mapping[str, Any], record: Record | None) -> bool:
        """Look at an item that is done; True where it is a call of the service's that nobody knew of."""
        kind = item.get("type")
        if kind == "mcp_approval_request":
            self._asked_for_approval(response_id, item, record)
        elif kind == "mcp_call":
            return self._served(response_id, item, record)
        else:
            self._called(response_id, item, record)
        return False

    def _on_added(self, data: Mapping[str, Any], record: Record | None) -> None:
        self._on_announced(data, record)
        item = _object(data.get("item"))
        response_id = short_text(data.get("response_id")) or self._id_of(record)
        if response_id is None or not self.follows:
            return
        if item.get("type") == "mcp_call":
            self._served(response_id, item, record)
        elif item.get("type") == "message":
            with self.lock:
                self._rounds.spoke(response_id)

    def _on_conversation_item(self, data: Mapping[str, Any], _record: Record | None) -> None:
        """Of MCP servers some things are told of the conversation alone, perhaps behind the response (unconfirmed)."""
        item = _object(data.get("item"))
        if item.get("type") == "mcp_call":
            self._served(None, item, None)
        elif item.get("type") == "mcp_approval_request" and data["type"].endswith(".done"):
            self._asked_for_approval(None, item, None)

    def _id_of(self, record: Record | None) -> str | None:
        active = record or self._core.floor.active
        return None if active is None else active.id

    def _called(self, response_id: str, item: Mapping[str, Any], record: Record | None) -> None:
        """A call is complete, and perhaps ours."""
        name, call_id = short_text(item.get("name")), short_text(item.get("call_id"))
        if item.get("type") != "function_call" or item.get("status") == "incomplete" or not (name and call_id):
            return
        holder = self._core.floor.follower_of(record)
        out_of_band = record is not None and record.out_of_band
        self._announced.pop(call_id, None)
        if out_of_band and holder is None:  # What it was asked with, and so what to ask next, is not known.
            logger.info("calls of a response beside the conversation that respond() did not ask for are not run")
            return
        options = {} if holder is None else _own(holder.options)
        make = self._choose(name, options)
        if make is None:
            return
        arguments = item.get("arguments")
        with self.lock:
            call = self._rounds.called(
                response_id,
                holder,
                call_id,
                name=name,
                arguments=arguments if isinstance(arguments, str) else "",
                item_id=short_text(item.get("id")),
                options=options,
                out_of_band=out_of_band,
            )
            if call is None or self._left:
                return
            if holder is not None:
                holder.leads_on = True
            work = self._works[call_id] = make(call)
        self._pool.submit(work)
        self.rouse()

    # -- MCP servers: the reader ---------------------------------------------------------------------------------------

    def _asked_for_approval(self, response_id: str | None, item: Mapping[str, Any], record: Record | None) -> None:
        """The service asks whether it may call a tool."""
        request_id, label = short_text(item.get("id")), short_text(item.get("server_label")) or ""
        if request_id is None:
            return
        if self._judge is None:
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "a call of an MCP server's tool waits for approval, which is left to the program: pass"
                    " mcp_approval=, or create an item of type mcp_approval_response"
                )
            return
        call = self._told(response_id, request_id, item, record, "approval")
        if call is None:
            return
        work = self._works[request_id] = self._judge(label, call)
        self._pool.submit(work)
        self.rouse()

    def _served(self, response_id: str | None, item: Mapping[str, Any], record: Record | None) -> bool:
        """The service calls a tool, or has; True where nobody knew of that."""
        item_id = short_text(item.get("id"))
        if item_id is None or not self.follows:
            return False
        ended = item.get("output") is not None or item.get("error") is not None
        with self.lock:
            granted = self._rounds.granted(short_text(item.get("approval_request_id")) or "")
        place = response_id if granted is None else granted.round.response_id
        is_new = (place is not None or not ended) and (self._told(place, item_id, item, record, "service") is not None)
        with self.lock:
            if granted is not None:
                self._rounds.released(granted)
            if ended:
                self._rounds.finished(item_id)
        self._close_rounds()
        return is_new

    def _on_served(self, data: Mapping[str, Any], _record: Record | None) -> None:
        with self.lock:
            self._rounds.finished(short_text(data.get("item_id")) or "")
        self._close_rounds()

    def _told(
        self, response_id: str | None, item_id: str, item: Mapping[str, Any], record: Record | None, kind: Kind
    ) -> Call | None:
        """Note something of an MCP server; None where it is known, or nobody's concern."""
        active = self._core.floor.active
        if response_id is None and active is not None:
            response_id, record = active.id, active
        holder = self._core.floor.follower_of(record)
        out_of_band = record is not None and record.out_of_band
        if out_of_band and holder is None:
            return None
        with self.lock:
            if self._left:
                return None
            call = self._rounds.called(
                response_id or item_id,
                holder,
                item_id,
                name=short_text(item.get("name")) or "",
                arguments=str(item.get("arguments") or ""),
                item_id=item_id,
                options={} if holder is None else _own(holder.options),
                out_of_band=out_of_band,
                kind=kind,
            )
            if call is None:
                return None
            if response_id is None:  # Behind its response.
                self._rounds.ended(item_id, "completed")
            if holder is not None:
                holder.leads_on = True
        return call

    def _on_created(self, data: Mapping[str, Any], record: Record | None) -> None:
        response = _object(data.get("response"))
        response_id = short_text(response.get("id"))
        if response_id is not None and record is not None:
            self._began(response_id, record)

    def _began(self, response_id: str, record: Record) -> None:
        follower = self._core.floor.follower_of(record)
        with self.lock:
            found = next((pair for pair in self._asking if pair[1].record is record), None)
            if found is not None:
                self._asking.remove(found)
            approved = self._rounds.approved and not record.out_of_band
            before = self._decided()
            self._rounds.began(response_id, None if found is None else found[0], out_of_band=record.out_of_band)
            decided = self._decided()
        self._lead(before, None)
        if approved and follower is None:  # The service goes on by itself, for those who wait for that.
            follower = self._core.floor.adopt(record)
        self._lead(decided, follower)
        self.rouse()

    def _on_done(self, data: Mapping[str, Any], record: Record | None) -> None:
        response = _object(data.get("response"))
        response_id = short_text(response.get("id")) or self._id_of(record)
        if response_id is None:
            return
        if record is not None and any(pair[1].record is record for pair in self._asking):
            self._began(response_id, record)  # A server that skips response.created.
        output = response.get("output")
        fresh = False
        for item in map(_object, output if isinstance(output, list) else ()):  # Or response.output_item.done.
            fresh = self._find(response_id, item, record) or fresh
            if fresh and item.get("type") == "message":
                with self.lock:
                    self._rounds.spoke(response_id)
        status = short_text(response.get("status")) or "completed"
        with self.lock:
            self._rounds.ended(response_id, status)
            unwanted = self._rounds.stopped(response_id) if status == "cancelled" else []
        details = _object(response.get("status_details"))
        self._cancel(unwanted, _USER if details.get("reason") == "turn_detected" else "the response was cancelled")
        self._close_rounds()

    def _on_speech_started(self, _data: Mapping[str, Any], _record: Record | None) -> None:
        interrupts = self._detection().get("interrupt_response") is not False
        with self.lock:
            self._answer_by = None
            self._rounds.speaks(True)
            unwanted = self._rounds.interrupted() if interrupts else []
        self._cancel(unwanted, _USER)
        self._close_rounds()

    def _on_speech_ended(self, data: Mapping[str, Any], _record: Record | None) -> None:
        answers = data["type"].endswith("stopped") and self._detection().get("create_response") is not False
        if answers and self._core.floor.active is None:  # The service begins none while another one is running.
            self._answer_by = time.monotonic() + _ANSWER
        else:
            self._be_silent()
        self.rouse()

    def _be_silent(self) -> None:
        with self.lock:
            self._answer_by = None
            self._rounds.speaks(False)

    def _detection(self) -> Mapping[str, Any]:
        """What voice detection does (protocol 4.2)."""
        return _object(_object(_object(self._core.config.get("audio")).get("input")).get("turn_detection"))

    def receive(self, receipt: _Receipt) -> None:
        """An item was confirmed or refused, or the line has ended before."""
        error, output = receipt.error, receipt.output
        is_misplaced = isinstance(error, ServerError) and error.param == "previous_item_id" and output.in_place
        with self.lock:
            if receipt not in self._receipts:
                return
            self._receipts.remove(receipt)
            if error is None or (isinstance(error, ServerError) and _is_there(error)):
                self._rounds.confirmed(output)
                if output.call.held:
                    self._granted.append((output.call, time.monotonic() + _GRACE))
            elif isinstance(error, ServerError):
                if is_misplaced:
                    self._rounds.misplaced(output)
                else:
                    self._rounds.refused(output)
            else:
                self._rounds.unsent(output)
        if isinstance(error, ServerError) and not (is_misplaced or _is_there(error)):
            logger.warning("the service refused the output of the tool %s (%s)", self._title(output.call), error.code)
        self._close_rounds()

    # -- interruption: any thread --------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """The user does not want what is being done."""
        with self.lock:
            unwanted = self._rounds.interrupted()
        self._cancel(unwanted, _USER)
        self._close_rounds()

    def stop(self, response_id: str) -> None:
        """The program does not want what this response leads to."""
        with self.lock:
            unwanted = self._rounds.stopped(response_id)
        self._cancel(unwanted, "the response was cancelled")
        self._close_rounds()

    def _cancel(self, calls: Iterable[Call], why: str) -> None:
        works = [work for call in calls if (work := self._works.get(call.call_id)) is not None]
        # All of them are told before a thread comes free, so that none of them begins.
        for work in [work for work in works if work.cancel(why)]:
            self._pool.give_up(work)

    # -- from line to line: readers ------------------------------------------------------------------------------------

    def lost(self) -> None:
        """The line has ended, and the session goes on."""
        with self.lock:
            holders = self._rounds.lost()
            self._receipts.clear()
        for holder in holders:  # Of a response that is lost; or asked for once more, when it calls anew.
            if holder is not None:
                holder.lead_to(None)
        self._close_rounds()

    def restored(self, calls: Collection[str], outputs: Collection[str], has_messages: bool) -> None:
        """There is a new line, and its conversation has calls and outputs of these ids, and perhaps messages."""
        announced, self._announced = self._announced, {}
        untold = {call_id: place for call_id, place in announced.items() if call_id in calls and call_id not in outputs}
        ours = {call_id: place for call_id, place in untold.items() if self._choose(place[1], {}) is not None}
        with self.lock:
            left = self._rounds.restored(calls, outputs, has_messages=has_messages)
            self._answer_untold(ours)
        if left:
            names = ", ".join(sorted({self._title(call) for call in left}))
            logger.info("the new connection does not know of %d calls, which are not answered: %s", len(left), names)
            self._cancel([call for call in left if not call.answered], "the conversation was lost with its line")
        self._close_rounds()
        self._tell()

    def _answer_untold(self, untold: Mapping[str, tuple[str, str]]) -> None:
        """Answer calls that the last line had completed, and broke before it told us to run them. Under the lock."""
        for call_id, (response_id, name) in untold.items():
            call = self._rounds.called(response_id, None, call_id, name=name, arguments="")
            if call is not None:
                self._rounds.ended(response_id, "lost")
                self._rounds.answered(call, _UNTOLD)

    # -- the end -------------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """``close()`` has begun: begin nothing more, send nothing more, and tell those that run. Threads: any."""
        with self.lock:
            if self._left:
                return
            self._left = True
            works, self._works = list(self._works.values()), {}
        self._pool.close()
        for work in works:
            work.forsake("the session is closed")
        self._bell.ring()

    def end(self, error: RealtimeError) -> None:
        """The session is over, and whoever waits for what tools lead to shall hear why."""
        self.leave()
        with self.lock:
            self._ended = True
            holders = [one.holder for one in self._rounds.open()]
        for holder in holders:
            if holder is not None:
                holder.lead_to(None, error)
        self._tell()

    def join(self, timeout: float | None) -> list[str]:
        """Block until no tool runs any more, at most ``timeout`` seconds. Returns the names of those that still do."""
        left = self._pool.join(timeout)
        courier = self._courier
        if courier is not None and courier is not threading.current_thread():
            courier.join(_PAUSE)
        return left

    def disown(self) -> None:
        """In a forked child: everything here is the parent's. Takes no lock."""
        self.lock = threading.RLock()
        self._left = self._ended = True
        self._courier = None
        self._pool.disown()

    # -- works: threads of the pool ------------------------------------------------------------------------------------

    @property
    def inherited(self) -> bool:
        """Whether this process is a fork of the one whose session this is."""
        return self._core.inherited

    @property
    def idle(self) -> bool:
        """Whether the conversation waits for nothing of any tool."""
        return self._rounds.idle

    def works(self) -> list[Work]:
        """The calls that are not answered yet, or of which a result is to come."""
        with self.lock:
            return [work for work in self._works.values() if not _is_settled(work)]

    def answer(self, work: Work, output: str, *, responds: bool) -> None:
        """What the model shall be told; what is told a second time is delivered as rule 5 of the rounds says.

        Under the lock; ``go_on`` follows.
        """
        if self._left:
            return
        if work.call.answered:
            work.output = self._rounds.delivered(work.call, output, responds=responds)
        else:
            work.output = self._rounds.answered(work.call, output, responds=responds)

    def decide(self, work: Work, approve: bool, reason: str | None) -> None:
        """What was decided about a request for approval. Under the lock; ``go_on`` follows."""
        if not self._left:
            work.output = self._rounds.judged(work.call, approve, reason)

    def go_on(self) -> None:
        """See what follows from what is known now."""
        self._close_rounds()

    def rouse(self) -> None:
        """Have the courier look, and see to it that there is one."""
        self._news = True
        self._bell.ring()
        with self.lock:
            if self._courier is not None or self._left or self._is_done():
                return
            courier = self._courier = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                courier.start()
            except RuntimeError as error:  # The system's limit; in 3.12 also a program that is ending.
                self._courier = None
                logger.warning("outputs of tools cannot be sent, because there is no thread for it: %s", error)

    def announce(self, signal: signals.SafeSignal, **data: Any) -> None:
        """Send one of the signals of tools."""
        if signal.receivers:
            self.run_with_handlers(lambda: self.announce_here(signal, **data))

    def announce_here(self, signal: signals.SafeSignal, **data: Any) -> None:
        """The same, at once. Runs where handlers run."""
        self._core.announce_here(signal, **data)

    def report(self, hook: Callable[..., Any], error: BaseException) -> None:
        """A callable of the program's has raised."""
        self.run_with_handlers(lambda: self._core.report(hook, error))

    def run_with_handlers(self, job: Callable[[], None]) -> None:
        """Run ``job`` where handlers run; here where the session has ended."""
        if self._ended:
            job()
            return
        self._to_tell.append(job)
        core = self._core
        if not core.delivery.runs_in_reader or threading.get_ident() == core.delivery.reader:
            self._tell()
        elif core.current is not None:
            core.current.line.post(self._tell)  # Where that line ends first, the next one's reader does it.

    def _tell(self) -> None:
        while self._to_tell:
            try:
                job = self._to_tell.popleft()
            except IndexError:
                return
            self._core.run_with_handlers(job)

    # -- the courier ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        lined_up = _LinedUp(self._core)
        try:
            while True:
                self._news, seen = False, self._surroundings()
                with self.lock:
                    if self._left or self._is_done():
                        self._courier = None
                        return
                self._look_at_clock()
                self._look_at_asked()
                if not self._act(lined_up):
                    self._sleep(lined_up, seen)
        except Exception:
            logger.exception("the tools of session %d are not served any more", self._core.number)
        finally:
            lined_up.leave()
            with self.lock:
                if self._courier is threading.current_thread():
                    self._courier = None

    def _sleep(self, lined_up: _LinedUp, seen: object) -> None:
        def stirs() -> bool:
            if self._news or self._left or lined_up.is_due() or self._surroundings() != seen:
                return True
            return any(follower.error is not None for _, follower in self._asking)

        self._bell.wait_until(stirs, self._patience())

    def _surroundings(self) -> object:
        """What else decides whether anything can be sent now; the bell rings when it changes."""
        core = self._core
        floor = None if self._refused_at is None else (core.floor.ended, core.floor.active)
        return core.state, core.holds_back, core.current, floor

    def _is_done(self) -> bool:
        """Whether the courier has nothing to look after. Under the lock."""
        for call_id in [call_id for call_id, work in self._works.items() if _is_settled(work)]:
            del self._works[call_id]
        return self._rounds.idle and not self._works and not self._asking

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        with self.lock:
            late = [work for work in self._works.values() if work.due_at is not None and now >= work.due_at]
            silent = [receipt for receipt in self._receipts if now >= receipt.until]
            granted = [call for call, until in self._granted if call.held and now >= until]
            for call in granted:
                self._rounds.released(call)
            self._granted = [(call, until) for call, until in self._granted if call.held]
        if self._answer_by is not None and now >= self._answer_by:
            self._be_silent()
        for work in late:
            work.run_out()
            self._pool.give_up(work)
        for receipt in silent:
            title = self._title(receipt.output.call)
            logger.warning("the service has not confirmed the output of the tool %s; it is taken for given", title)
            receipt.resolve(0, None, None)
        if granted:
            self._close_rounds()

    def _patience(self) -> float | None:
        """Seconds until something is due by the clock."""
        with self.lock:
            moments = [work.due_at for work in self._works.values() if work.due_at is not None]
            moments += [receipt.until for receipt in self._receipts]
            moments += [until for call, until in self._granted if call.held]
            moments += [] if self._answer_by is None else [self._answer_by]
        if self._refused_at is not None:
            moments.append(self._refused_at[1] + _RACE)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _look_at_asked(self) -> None:
        """What became of the responses that were asked for."""
        for ask, follower in list(self._asking):
            error = follower.error
            if error is None or follower.record.id is not None:
                continue
            lost_the_race = isinstance(error, ServerError) and error.code == _ACTIVE_ALREADY
            # The session that a line rejoins has perhaps heard it.
            again = lost_the_race or not (isinstance(error, ServerError) or self._core.rejoins)
            if lost_the_race:
                self._refused_at = self._core.floor.ended, time.monotonic()
            with self.lock:
                if (ask, follower) not in self._asking:
                    continue
                self._asking.remove((ask, follower))
                before = self._decided()
                self._rounds.unasked(ask, again=again)
                decided = self._decided()
            if not again:
                logger.warning("the service refused the response that tools asked for: %s", error)
            self._lead(before, None)
            self._lead(decided, None, error)

    def _act(self, lined_up: _LinedUp) -> bool:
        """Do the next thing that is due; False where there is nothing that can be done now."""
        core = self._core
        connection = core.current
        if core.state is not State.OPEN or core.holds_back or connection is None:
            return False
        with self.lock:
            due = self._rounds.due()
            if isinstance(due, Output):
                self._rounds.sent(due)
        if isinstance(due, Output):
            return self._send_output(connection, due)
        if isinstance(due, Stop):
            event = {"type": "response.cancel", "event_id": new_event_id(), "response_id": due.response_id}
            return core.send_over(connection, event, Request())
        if due is not None and core.refusal is not None:
            self._drop(due, core.refusal)
            return True
        if due is None or self._may_collide(due):
            lined_up.leave()
            return False
        return self._ask(connection, due, lined_up)

    def _drop(self, ask: Ask, why: RealtimeError) -> None:
        """Nothing is asked for any more."""
        with self.lock:
            self._rounds.asked(ask)
            self._rounds.unasked(ask, again=False)
            decided = self._decided()
        self._lead(decided, None, why)

    def _send_output(self, connection: Connection, output: Output) -> bool:
        receipt = _Receipt(self, output)
        with self.lock:
            self._receipts.append(receipt)
        event = {"type": "conversation.item.create", "event_id": new_event_id(), "item": output.item}
        if output.behind is not None:
            event["previous_item_id"] = output.behind
        if self._core.send_over(connection, event, receipt):
            return True
        with self.lock:
            if receipt in self._receipts:
                self._receipts.remove(receipt)
                self._rounds.unsent(output)
        self._pause()
        return True

    def _title(self, call: Call) -> str:
        """The name of its tool, for a message; not what the model may have made up."""
        work = self._works.get(call.call_id)
        return "(done)" if work is None else work.title

    def _pause(self) -> None:
        """The line takes nothing: it will have ended in a moment, or be replaced."""
        self._bell.wait_until(lambda: self._news or self._left, _PAUSE)

    def _may_collide(self, ask: Ask) -> bool:
        """Whether the service has just refused to begin another response, and it is not yet known which one runs."""
        if self._refused_at is None or ask.rounds[0].out_of_band:
            return False
        floor, (ended, at) = self._core.floor, self._refused_at
        if floor.active is None and floor.ended == ended and time.monotonic() < at + _RACE:
            return True
        self._refused_at = None
        return False

    def _ask(self, connection: Connection, wanted: Ask, lined_up: _LinedUp) -> bool:
        core = self._core
        out_of_band = wanted.rounds[0].out_of_band
        follower = lined_up.follower(out_of_band=out_of_band)
        if not core.floor.takes_turn(follower):
            return False
        lined_up.forget()
        context = [item.id for item in core.snapshot().items] if out_of_band else []
        with self.lock:
            due = self._rounds.due()  # More may be complete by now, or nobody may want it any more.
            ask = due if isinstance(due, Ask) and due.rounds[0].out_of_band == out_of_band else None
            if ask is not None:
                follower.options = _marked(following(ask, _said(ask), context), follower)
                follower.record.unasked = all(_is_unasked(one) for one in ask.rounds)
                self._rounds.asked(ask)
                self._asking.append((ask, follower))
        if ask is None:
            core.floor.withdraw(follower)
            return True
        event = {"type": "response.create", "event_id": new_event_id(), "response": follower.options}
        if not core.send_over(connection, event, follower):
            with self.lock:
                self._asking = [pair for pair in self._asking if pair[1] is not follower]
                self._rounds.unasked(ask, again=True)
            core.floor.withdraw(follower)
            self._pause()
        return True

    # -- what follows --------------------------------------------------------------------------------------------------

    def _close_rounds(self) -> None:
        """Tell those who hold a response that nothing follows, where that is so."""
        with self.lock:
            decided = self._decided()
        self._lead(decided, None)
        self.rouse()

    def _decided(self) -> list[Round]:
        """Under the lock."""
        decided, self._rounds.decided = self._rounds.decided, []
        return decided

    def _lead(self, decided: Iterable[Round], follower: Follower | None, error: RealtimeError | None = None) -> None:
        for one in decided:
            if one.holder is not None:
                one.holder.lead_to(follower, error)


class _LinedUp:
    """The courier's place among those who wait for their turn to have a response."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._waiting: Follower | None = None

    def follower(self, *, out_of_band: bool) -> Follower:
        """Who is to be asked for next; one of the conversation waits in line from now on."""
        if out_of_band:
            return Follower(Record(self._core.floor.new_mark(), out_of_band=True), {})
        if self._waiting is None:
            self._waiting = Follower(Record(self._core.floor.new_mark()), {})
            self._core.floor.line_up(self._waiting)
        return self._waiting

    def is_due(self) -> bool:
        """Whether its turn may have come."""
        return self._waiting is not None and self._core.floor.may_take_turn(self._waiting)

    def forget(self) -> None:
        """It has had its turn."""
        self._waiting = None

    def leave(self) -> None:
        """It wants no turn any more."""
        if self._waiting is not None:
            self._core.floor.step_back(self._waiting)
            self._waiting = None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _own(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ``response.create`` as the program gave them, without our mark."""
    metadata = {name: value for name, value in _object(options.get("metadata")).items() if name != MARK}
    rest = {name: value for name, value in options.items() if name != "metadata"}
    return {**rest, "metadata": metadata} if metadata else rest


def _marked(options: dict[str, Any], follower: Follower) -> dict[str, Any]:
    return {**options, "metadata": {**options.get("metadata", {}), MARK: follower.record.mark}}


def _said(ask: Ask) -> list[dict[str, Any]]:
    """The items of the response that is followed, where they are known."""
    holder = ask.rounds[-1].holder
    return [] if holder is None else holder.record.items


def _is_unasked(one: Round) -> bool:
    return one.holder is None or one.holder.record.unasked


def _is_settled(work: Work) -> bool:
    return work.over and (work.output is None or work.output.state in ("there", "void"))


def _is_there(error: ServerError) -> bool:
    """Whether an item was refused because it is in the conversation: the confirmation was lost with the last line."""
    return error.param == "item.id" or "already exists" in str(error) or "duplicate" in (error.code or "")


_RULES: dict[str, Callable[[Desk, Mapping[str, Any], Record | None], None]] = {
    "response.output_item.added": Desk._on_added,
    "response.output_item.done": Desk._on_item,
    "response.mcp_call.completed": Desk._on_served,
    "response.mcp_call.failed": Desk._on_served,
    "conversation.item.added": Desk._on_conversation_item,
    "conversation.item.done": Desk._on_conversation_item,
    "response.created": Desk._on_created,
    "response.done": Desk._on_done,
    "input_audio_buffer.speech_started": Desk._on_speech_started,
    "input_audio_buffer.speech_stopped": Desk._on_speech_ended,
    "input_audio_buffer.cleared": Desk._on_speech_ended,
}
