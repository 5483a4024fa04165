"""Tools: functions of the program's that the model may call.

A ``Tool`` is a function and how it is to be run. ``Run`` is one call of it, from the model's arguments to the output;
``ToolContext`` is what the function sees of that, and ``ToolCall`` what the program is shown. When outputs are sent,
and when the model is asked to go on, is up to ``threads.tool_desk``.

1. What a call has come to is changed under the desk's lock; the function, its approval and its surroundings run
   outside, in a thread of the pool.
2. A call is answered once. Whoever comes first decides: the function, its timeout, an interruption, the session's end.
3. The threads hold tools only while they run: the box of tools is the session's, so that a forgotten one is collected.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import msgspec

from rtsync.edges import signals
from rtsync.edges.latch import Latch
from rtsync.pure.state import State
from rtsync.pure.tool_results import serialise
from rtsync.pure.tool_schema import BadArguments, BoundCall, Declaration, declare
from rtsync.pure.tool_turns import Call, Output
from rtsync.threads.tool_desk import Desk
from rtsync.threads.tool_pool import Serving, Within
from rtsync.vocabulary.deadline import seconds
from rtsync.vocabulary.errors import ConfigurationError, SessionClosed, ToolCancelled, ToolError
from rtsync.vocabulary.foreign import one_line

if TYPE_CHECKING:
    from rtsync.session.session import RealtimeSession
    from rtsync.threads.reader import Core

__all__ = ["Tool", "ToolCall", "ToolContext", "ToolOptions", "Toolbox", "serve"]

Approval = Callable[["ToolCall"], bool | str]
Status = Literal["waiting", "approving", "running", "completed", "failed", "denied", "timed_out", "cancelled"]

_ATTEMPTS = 3
_MOST_NAMED = 20  # tools that an unknown one is answered with
_LONGEST_ERROR = 500  # characters
_LARGE = 100_000  # characters of an output; the models' whole context is about as large


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool as it stood at one moment.

    Attributes:
        name: of the tool.
        call_id: of the call, the service's.
        item_id: of its item, or None.
        response_id: of the response that made it.
        arguments: as the model gave them, checked, as plain values; empty while they are not, or where they are wrong.
        status: ``"waiting"`` for a thread, ``"approving"``, ``"running"``; then ``"completed"``, ``"failed"``,
            ``"denied"`` (by its approval), ``"timed_out"`` or ``"cancelled"``.
        output: what the model is given; None before. Of a tool with ``working=`` the result, not what is said at first.
        error: why it did not complete, in the words that the model is given; else None.
        started_at: when the function began, in seconds of ``time.monotonic()``; None where it did not.
        ended_at: when it was over; None before.
    """

    name: str
    call_id: str
    item_id: str | None
    response_id: str
    arguments: Mapping[str, Any]
    status: Status
    output: str | None = None
    error: str | None = None
    started_at: float | None = None
    ended_at: float | None = None

    def __repr__(self) -> str:  # Without arguments and output, which are conversation.
        return one_line(f"<ToolCall {self.name!r} {self.call_id!r} {self.status}>")

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name), ("call_id", self.call_id), ("status", self.status)]


class ToolContext:
    """What a tool sees of its call: the argument of a parameter that is annotated ``ToolContext``.

    Threads: every method from any.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def __repr__(self) -> str:
        return f"<ToolContext of {self.call!r}>"

    @property
    def session(self) -> RealtimeSession:
        """The session that the model called it in. Any method may be called, with these limits:

        ``ask()`` and ``respond()`` are answered while the call of this tool is still open, which the model sees as a
        call without output; with ``conversation="none"`` and an ``input`` of its own a response is not concerned. What
        they wait for counts as time of the tool. What waits for the end of this very call waits in vain: ``final()`` of
        the response that made it. Tools that such a response calls need threads of their own
        (``tool_threads``). ``close()`` does not wait for the tool that calls it.

        Raises:
            SessionClosed: the program has dropped it.
        """
        session = self._run.session()
        if session is None:
            raise SessionClosed("the session that called this tool is gone")
        return session

    @property
    def call(self) -> ToolCall:
        """The call as it stands now."""
        return self._run.snapshot()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any longer: the user interrupted, time is over, the session ends."""
        return bool(self._run.unwanted)

    def check(self) -> None:
        """Go on only where somebody waits for the result.

        Raises:
            ToolCancelled: nobody does. Let it through.
        """
        if self._run.unwanted:
            raise ToolCancelled(self._run.why)

    def wait(self, seconds: float) -> bool:
        """Sleep, at most until it is cancelled. Returns whether it is."""
        return self._run.unwanted.wait(seconds)

    def report(self, progress: Any) -> None:
        """Tell the program how far it is: ``rtsync.tool_progress``. Of what is told faster than handlers take it,
        the newest counts.
        """
        self._run.report(progress)


class Tool:
    """A function that the model may call.

    ::

        def weather(city: str, unit: Literal["c", "f"] = "c") -> dict:
            \"\"\"Today's weather.\"\"\"

        RealtimeSession(target, tools=[weather, Tool(pay, approval=ask_on_the_terminal, timeout=60)])

    Args:
        function: a plain function. A parameter that is annotated ``ToolContext`` gets the context of the call.
        name: what the model calls it; the function's own where None.
        description: what it does; from its docstring where None.
        parameters: a ready JSON schema of its arguments; from its signature where None.
        timeout: seconds that the function may take, from when it begins; None: any time. What does not end in time is
            given up: the model is told, and the thread, which nothing can end, does not count any longer.
        approval: asked before the function is called, in the same thread, for as long as it likes: True for yes, False
            for no, a text for no with that reason. Anything else is a no.
        working: a text for the model at once, for a tool that takes long: ``"I am looking it up."``. The conversation
            goes on, and the result follows when it is there. No interruption ends it.
        respond: whether the model shall say something about the output.
        tell_errors: whether the model is given the message of an exception. Else it is told no more than its type,
            because messages hold addresses, statements, and keys at times; raise ``ToolError`` to say something to it.

    Raises:
        ConfigurationError: it cannot be declared.

    Attributes:
        name: what the model calls it.
        description: what the model knows of it.
        parameters: JSON schema of its arguments; not to be changed.
    """

    __slots__ = ("_declaration", "approval", "respond", "tell_errors", "timeout", "working")

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        timeout: float | None = 30.0,
        approval: Approval | None = None,
        working: str | None = None,
        respond: bool = True,
        tell_errors: bool = False,
    ) -> None:
        self._declaration: Declaration = declare(
            function, name=name, description=description, parameters=parameters, context_type=ToolContext
        )
        if approval is not None and not callable(approval):
            raise ConfigurationError(f"approval must be callable, not {type(approval).__name__}")
        if working is not None and not (isinstance(working, str) and working):
            raise ConfigurationError("working must be a text for the model, or None")
        for option, value in (("respond", respond), ("tell_errors", tell_errors)):
            if not isinstance(value, bool):
                raise ConfigurationError(f"{option} must be True or False, not {type(value).__name__}")
        self.timeout = seconds(timeout, "timeout", none="any time")
        self.approval = approval
        self.working = working
        self.respond = respond
        self.tell_errors = tell_errors

    def __repr__(self) -> str:
        return f"<Tool {self.name!r}>"

    @property
    def function(self) -> Callable[..., Any]:
        """What is called."""
        return self._declaration.function

    @property
    def name(self) -> str:
        """What the model calls it."""
        return self._declaration.name

    @property
    def description(self) -> str:
        """What the model knows of it."""
        return self._declaration.description

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON schema of its arguments; not to be changed."""
        return self._declaration.parameters

    def to_dict(self) -> dict[str, Any]:
        """What the service is told of it (protocol 4.8)."""
        return self._declaration.to_dict()

    def bind(self, arguments: str, context: ToolContext | None = None) -> BoundCall:
        """The call that the model's ``arguments`` ask for, checked: for tests of a tool without a model.

        Raises:
            RealtimeError: they are not what the schema says.
        """
        return self._declaration.bind(arguments, context)


class ToolOptions(TypedDict, total=False):
    """The options of ``Tool``, for type checkers."""

    name: str | None
    description: str | None
    parameters: Mapping[str, Any] | None
    timeout: float | None
    approval: Approval | None
    working: str | None
    respond: bool
    tell_errors: bool


class Toolbox:
    """The tools of one session by name, and what else its ``tools`` are.

    Args:
        core: the session's.

    Threads: any.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.tools: dict[str, Tool] = {}
        self.plain: list[dict[str, Any]] = []

    def add(self, tool: Tool) -> None:
        """One more.

        Raises:
            ConfigurationError: there is one of that name.
        """
        if self.tools.setdefault(tool.name, tool) is not tool or tool.name in map(_name_of, self.plain):
            raise ConfigurationError(f"there are two tools of the name {tool.name!r}; name= gives one another name")

    def fill(self, given: Iterable[Any]) -> None:
        """The option ``tools`` of a session: functions, tools, and mappings as the service takes them."""
        if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
            raise ConfigurationError(f"tools must be a list of functions and tools, not {type(given).__name__}")
        given = list(given)
        for each in given:
            if isinstance(each, Mapping):
                if not isinstance(each.get("type"), str):
                    raise ConfigurationError("a tool that is a mapping needs a 'type': 'function' or 'mcp'")
                self.plain.append(dict(each))
        for each in given:
            if not isinstance(each, Mapping):
                self.add(each if isinstance(each, Tool) else Tool(each))

    def declare(self, session: RealtimeSession, function: Any, options: Mapping[str, Any]) -> None:
        """One more, also in a session that is open."""
        if isinstance(function, Tool) and options:
            raise ConfigurationError("a Tool has its options already; give them to Tool(...)")
        tool = function if isinstance(function, Tool) else Tool(function, **options)
        self.add(tool)
        if session.state is State.NEW:
            return
        try:
            for _ in range(_ATTEMPTS):
                session.update(tools=self._core.confirmed_tools())
                if all(name in map(_name_of, self._core.confirmed_tools()) for name in tuple(self.tools)):
                    break  # Else another thread has declared one meanwhile, and its update was overtaken by this one.
        except BaseException:
            self.tools.pop(tool.name, None)
            raise

    def added_to(self, config: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """The configuration of a session that is about to open, with the tools in it."""
        if not (self.tools or self.plain):
            return None if config is None else dict(config)
        known = (config or {}).get("tools", [])
        return {**(config or {}), "tools": self.merged([*known, *self.plain] if isinstance(known, list) else known)}

    def merged(self, given: object) -> Any:
        """``given``, a session's field ``tools``, with the tools of the box; what is no list stays as it is."""
        if not isinstance(given, list | tuple):
            return given
        others = [each for each in given if _name_of(each) not in self.tools]
        return [*others, *(tool.to_dict() for tool in tuple(self.tools.values()))]

    def calls(self) -> tuple[ToolCall, ...]:
        """The calls that are not answered yet."""
        desk = self._core.tools
        works = [] if desk is None else desk.works()
        return tuple(work.snapshot() for work in works if isinstance(work, Run))


def _name_of(tool: object) -> str | None:
    """The name of a function tool."""
    if isinstance(tool, Tool):
        return tool.name
    name = tool.get("name") if isinstance(tool, Mapping) and tool.get("type", "function") == "function" else None
    return name if isinstance(name, str) else None


def serve(core: Core, session: RealtimeSession, box: Toolbox, serving: Serving) -> Desk:
    """The desk at which calls of the tools in ``box`` are served from now on."""
    # Rule 3: not the box, nor the session.
    counter = _Counter(core, weakref.ref(session), weakref.ref(box), serving.within)
    desk = counter.desk = Desk(core, counter.choose, threads=serving.threads, rounds=serving.rounds)
    return desk


class _Counter:
    """Where a call meets its tool."""

    desk: Desk

    def __init__(
        self,
        core: Core,
        session: weakref.ref[RealtimeSession],
        box: weakref.ref[Toolbox],
        within: Within | None,
    ) -> None:
        self._core = core
        self.session = session
        self.within = within
        self._box = box

    def choose(self, name: str, options: Mapping[str, Any]) -> Callable[[Call], Run] | None:
        """Who serves a call of the function ``name``; None where it is the program's own."""
        box = self._box()
        if box is None or not box.tools:
            return None
        tool = box.tools.get(name)
        if tool is None:
            configured = self._core.config.get("tools") or ()
            for known in (options.get("tools") or (), configured, box.plain):
                if name in map(_name_of, known):
                    return None
        return partial(Run, self, tool, tuple(box.tools))


class Run:
    """One call, from the model's arguments to its output.

    Attributes:
        call: what the model asked for.
        unwanted: set once nobody waits for it any longer.
        why: the reason.
        over: whether it is known what became of it.
        due_at: when its time is over, on the monotonic clock; None while nobody counts it.
        output: what the conversation shall have of it.
        session: gives the session, or None where that is gone.
    """

    def __init__(self, counter: _Counter, tool: Tool | None, names: tuple[str, ...], call: Call) -> None:
        self.call = call
        self.unwanted = Latch()
        self.why = ""
        self.over = False
        self.due_at: float | None = None
        self.output: Output | None = None
        self.session = counter.session
        self._desk = counter.desk
        self._within = counter.within or contextlib.nullcontext
        self._tool = tool
        self._names = names
        self._status: Status = "waiting"
        self._arguments: Mapping[str, Any] = {}
        self._said: str | None = None
        self._error: str | None = None
        self._started_at: float | None = None
        self._ended_at: float | None = None
        self._progress: dict[str, Any] | None = None  # What was reported last, until it is told.

    def __repr__(self) -> str:
        return f"<Run of {self.title} {self._status}>"

    @property
    def title(self) -> str:
        """The tool's name."""
        return "an unknown one" if self._tool is None else self._tool.name

    def snapshot(self) -> ToolCall:
        """How it stands."""
        with self._desk.lock:
            return ToolCall(
                name=self.call.name,
                call_id=self.call.call_id,
                item_id=self.call.item_id,
                response_id=self.call.round.response_id,
                arguments=self._arguments,
                status=self._status,
                output=self._said,
                error=self._error,
                started_at=self._started_at,
                ended_at=self._ended_at,
            )

    # -- its thread ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run it to its end."""
        tool = self._tool
        if tool is None:
            self._finish("failed", error=_unknown(self._names))
            return
        try:
            with self._within():
                self._serve(tool)
            self._finish("failed", error="the tool failed")  # Where its surroundings have swallowed an exception.
        except BaseException as error:  # Also sys.exit(), which ends no thread of rtsync's.
            self._raised(tool, error)

    def cannot_run(self) -> None:
        """There is no thread for it."""
        self._finish("failed", error="the tool cannot be run at the moment")

    def _serve(self, tool: Tool) -> None:
        bound = tool.bind(self.call.arguments, ToolContext(self))
        self._arguments = bound.plain
        if tool.approval is not None and not self._approved(tool.approval):
            return
        if self._begin(tool):
            said = serialise(bound())
            if len(said) > _LARGE:
                signals.logger.warning("the output of the tool %s has %d characters", self.title, len(said))
            self._finish("completed", said)

    def _approved(self, approval: Approval) -> bool:
        with self._desk.lock:
            if self.over:
                return False
            self._status = "approving"
        verdict = approval(self.snapshot())
        if verdict is True:
            return True
        reason = f": {verdict}" if isinstance(verdict, str) and verdict else ""
        self._finish("denied", error=f"the call was not approved, and was not made{reason}")
        return False

    def _begin(self, tool: Tool) -> bool:
        """The function is about to be called; False where nobody waits for it any longer."""
        with self._desk.lock:
            if self.over:
                return False
            self._status, self._started_at = "running", time.monotonic()
            if tool.timeout is not None:
                self.due_at = self._started_at + tool.timeout
            if tool.working is not None and not self.call.round.out_of_band:  # That has no place for what comes later.
                self._desk.answer(self, tool.working, responds=tool.respond)
        self._desk.announce(signals.tool_started, call=self.snapshot())
        self._desk.go_on()
        return True

    def _raised(self, tool: Tool, error: BaseException) -> None:
        if isinstance(error, ToolCancelled) and self.unwanted:
            self._finish("cancelled", error=f"cancelled: {self.why}")
        elif isinstance(error, ToolError | BadArguments):
            self._finish("failed", error=str(error))
        else:
            said = f"the tool failed ({type(error).__name__}"
            message = str(error) if tool.tell_errors else ""
            self._finish("failed", error=f"{said}: {message})" if message else f"{said})")
            if not self._desk.inherited:
                self._desk.report(tool.function, error)

    def report(self, progress: Any) -> None:
        """How far it is."""
        if not signals.tool_progress.receivers:
            return
        with self._desk.lock:
            untold = self._progress is not None
            self._progress = None if self.over else {"call": self.snapshot(), "progress": progress}
            if untold or self.over:
                return
        self._desk.run_with_handlers(self._tell_progress)

    def _tell_progress(self) -> None:
        with self._desk.lock:
            told, self._progress = self._progress, None
        if told is not None:
            self._desk.announce_here(signals.tool_progress, **told)

    # -- any thread ----------------------------------------------------------------------------------------------------

    def cancel(self, why: str) -> None:
        """Nobody waits for it any longer. A function that runs is told, and answers when it has ended."""
        with self._desk.lock:
            if self.over or self.unwanted:
                return
            self.why = why
            running = self._started_at is not None
        self.unwanted.set()
        if not running:
            self._finish("cancelled", error=f"cancelled: {why}")
            self._desk.give_up(self)

    def run_out(self) -> None:
        """It has taken too long."""
        assert self._tool is not None
        timeout = self._tool.timeout
        signals.logger.warning("the tool %s was given up after %g s", self.title, timeout)
        self.why = f"it took longer than {timeout:g} s"
        self._finish("timed_out", error=f"the tool did not answer within {timeout:g} s")
        self.unwanted.set()
        self._desk.give_up(self)

    def forsake(self, why: str) -> None:
        """The session ends."""
        self.why = self.why or why
        self._finish("cancelled", error=f"cancelled: {why}")
        self.unwanted.set()

    def _finish(self, status: Status, said: str | None = None, *, error: str | None = None) -> None:
        """It is known what became of it; only the first time counts."""
        if self._desk.inherited:
            return
        told = None if error is None else _fit(error)
        with self._desk.lock:
            if self.over:
                return
            self.over, self.due_at = True, None
            self._status, self._error, self._ended_at = status, told, time.monotonic()
            self._said = said if told is None else msgspec.json.encode({"error": told}).decode()
            self._desk.answer(self, self._said or "", responds=self._tool is None or self._tool.respond)
        self._desk.announce(signals.tool_finished, call=self.snapshot())
        self._desk.go_on()


def _fit(error: str) -> str:
    return one_line(error.encode("utf-8", "replace").decode(), _LONGEST_ERROR)


def _unknown(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"there is no tool of that name; there are {', '.join(names[:_MOST_NAMED])}{more}"
