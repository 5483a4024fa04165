"""``RealtimeSession``: a live conversation for code that is not async.

The session object is the face of a ``Core``, which the threads hold. The face holds the handlers and the target; the
core holds everything that the threads need, and refers to the face weakly. What a session does with sound stands in
``voice``.
"""

from __future__ import annotations

import functools
import itertools
import os
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from rtsync.edges.signals import Board, SafeSignal, check_receiver
from rtsync.edges.transport import Line, LineOptions
from rtsync.pure.conversation import Item, Snapshot
from rtsync.pure.recovery import Reconnect
from rtsync.pure.state import State, Trigger
from rtsync.pure.stats import SessionStats
from rtsync.pure.turns import Turn
from rtsync.session import typed_face
from rtsync.session.asking import Manner, begin_response
from rtsync.session.embedding import reach
from rtsync.session.options import (
    byte_count,
    proxy_option,
    queue_limits,
    reconnect_policy,
    required_seconds,
    serving,
    tls_context,
)
from rtsync.session.response import Response
from rtsync.session.responses import Responses
from rtsync.session.speech import Speech
from rtsync.session.typed_face import typed_as
from rtsync.session.voice import Voice
from rtsync.session.waits import Expectation, Wanted, checked_type, wanted
from rtsync.threads.delivery import Delivery, delivery_for
from rtsync.threads.following import Subscription
from rtsync.threads.reader import Core
from rtsync.vocabulary.deadline import Deadline, seconds
from rtsync.vocabulary.errors import (
    CloseCause,
    ConfigurationError,
    RealtimeError,
    SessionClosed,
    UsageError,
)
from rtsync.vocabulary.events import Event, new_event_id
from rtsync.vocabulary.ids import new_id
from rtsync.vocabulary.targets import Simulator, Target

if TYPE_CHECKING:
    from rtsync.pure.budget import Budget, Spending
    from rtsync.session.budget import Allowance
    from rtsync.session.guards import Guards
    from rtsync.session.interruption import Playback
    from rtsync.session.mcp import McpApproval
    from rtsync.session.options import Within
    from rtsync.session.tools import Tool, Toolbox, ToolCall, ToolOptions

__all__ = ["RealtimeSession"]

Handler = TypeVar("Handler", bound=Callable[..., Any])
Checking = TypeVar("Checking", bound=Callable[[str, Response], Any])
Declared = TypeVar("Declared", bound="Callable[..., Any] | Tool")
Handlers = Literal["thread", "inline"] | Callable[[Callable[[], None]], object]

_ONCE = "_rtsync_once"  # Attribute of the function that stands in for a handler of once(): the handler.
_LONGEST_EVENT_ID = 512  # characters, protocol 6.1
_numbers = itertools.count(1)


class RealtimeSession(Voice):
    """A conversation with a realtime model: opened, used from any thread, closed. Used once.

    ::

        with RealtimeSession(OpenAI()) as session:
            session.on("response.output_text.delta", lambda session, event: print(event.delta, end=""))
            print(session.ask("Say a couple of paragraphs!").usage)

    Args:
        target: where to connect: ``OpenAI(...)``, ``Azure(...)``, ``Simulator()`` or ``target_from_env()``.
        config: fields of the session, sent as the first ``session.update`` and confirmed before ``open()`` returns.
        connect_timeout: seconds for all of connecting: credential, DNS, every address, proxy, TLS, upgrade, and the
            service's greeting.
        send_timeout: seconds that a ``send`` may wait for a peer that does not read.
        close_timeout: seconds that ``close()`` may take.
        heartbeat: seconds of silence after which the line is pinged, and after as many again given up; None never.
        max_message_size: bytes of the largest message that is accepted.
        handlers: where handlers run: ``"thread"``, an ordered worker thread; ``"inline"``, the reader thread; or a
            callable that runs what it is given elsewhere, e.g. ``wx.CallAfter`` or a ``QueueDispatcher``.
        on_overflow: what happens when more waits for the handlers than may: ``"close"``, the session ends with
            ``SessionClosed`` and ``CloseCause.OVERFLOW``; or ``"drop_deltas"``, the oldest ``*.delta`` events are not
            given to the handlers, and the session ends only where there are none left. A subscription of ``events()``
            has a queue of its own, and only the subscription is concerned.
        max_queue_events: most events that may wait for the handlers, and for each subscription.
        max_queue_size: most bytes of their messages.
        tls: an ``ssl.SSLContext``, or the path of a file with the authorities to trust.
        proxy: URL of an HTTP proxy; False for none; None to follow the environment.
        tools: what the model may call: functions, ``Tool(...)``, and mappings that are given to the service as they
            are: MCP servers, or functions whose calls the program answers itself.
        tool_threads: how many tools may run at the same time.
        tool_rounds: how many responses in a row tools may lead to. The next one is asked for with
            ``tool_choice: "none"``, so that a model that calls for ever ends in words.
        within: gives a context manager in which the program's callables run: handlers, tools, approvals and guards;
            e.g. Flask's ``app.app_context``. It is entered for each event and each signal that is handled, once for
            deltas that arrived together, and for each tool and each check. Where it raises, that is reported like a
            handler that raises; handlers are called all the same, tools fail.
        mcp_approval: asked before the service calls a tool of an MCP server that needs approval, with an
            ``McpRequest``; it may block, and says True for yes, False for no, or a text for no with that reason.
            Without it such requests are left to the program.
        reconnect: True, or a ``Reconnect(...)``: a session that is lost is opened again and restored, and renewed
            before the service's maximum duration. Without it a session ends with its line.
        budget: a ``Budget(...)``: tokens, seconds and money that the session may use before it ends.

    Raises:
        ConfigurationError: an option is not what it must be.

    Threads: every method may be called from any thread. Handlers run one at a time, in the place that ``handlers``
    names. A process that inherits a session by a fork cannot use it.
    """

    def __init__(
        self,
        target: Target,
        *,
        config: Mapping[str, Any] | None = None,
        connect_timeout: float = 10.0,
        send_timeout: float = 20.0,
        close_timeout: float = 3.0,
        heartbeat: float | None = 20.0,
        max_message_size: int = 64 << 20,
        handlers: Handlers = "thread",
        on_overflow: Literal["close", "drop_deltas"] = "close",
        max_queue_events: int = 20_000,
        max_queue_size: int = 64 << 20,
        tls: ssl.SSLContext | str | os.PathLike[str] | None = None,
        proxy: str | bool | None = None,
        tools: Iterable[Callable[..., Any] | Tool | Mapping[str, Any]] = (),
        tool_threads: int = 8,
        tool_rounds: int = 16,
        within: Within | None = None,
        mcp_approval: McpApproval | None = None,
        reconnect: Reconnect | bool | None = None,
        budget: Budget | None = None,
    ) -> None:
        if not isinstance(target, Target):
            raise ConfigurationError(
                "a session needs a target, OpenAI(...), Azure(...), Simulator() or target_from_env(), not"
                f" {type(target).__name__}"  # Not its value: it may be the key.
            )
        if config is not None and not isinstance(config, Mapping):
            raise ConfigurationError(f"config must be a mapping of session fields, not {type(config).__name__}")
        self.target = target
        self._config = None if config is None else dict(config)
        self._connect_timeout = required_seconds(connect_timeout, "connect_timeout")
        self._close_timeout = required_seconds(close_timeout, "close_timeout")
        self._options = LineOptions(
            connect_timeout=self._connect_timeout,
            send_timeout=required_seconds(send_timeout, "send_timeout"),
            close_timeout=self._close_timeout,
            heartbeat=seconds(heartbeat, "heartbeat", none="no heartbeat"),
            max_message_size=byte_count(max_message_size, "max_message_size"),
            tls=tls_context(tls),
            proxy=proxy_option(proxy),
        )
        number = next(_numbers)
        limits = queue_limits(on_overflow, max_queue_events, max_queue_size)
        delivery: Delivery = delivery_for(handlers, f"rtsync-handlers-{number}", limits)
        self._serving = serving(tool_threads, tool_rounds, within, mcp_approval)
        self._board = Board()
        self._core = Core(
            number,
            delivery,
            self._board,
            reconnect=reconnect_policy(reconnect),
            send_timeout=self._options.send_timeout,
        )
        if within is not None:
            self._core.surround(within)
        translates = target.purpose == "translation"  # protocol 2.2
        self._append_type = "session.input_audio_buffer.append" if translates else "input_audio_buffer.append"
        self._speech = Speech(self._core)
        self._playbacks: list[Playback] = []
        self._guards: Guards | None = None
        self._allowance: Allowance | None = None
        if budget is not None:
            from rtsync.session.budget import Allowance

            self._allowance = Allowance(self._core, budget, self._close_timeout)
        self._toolbox: Toolbox | None = None
        self._declaring = threading.Lock()  # So that there is one box although two threads declare the first tool.
        if tools != ():
            self._box().fill(tools)
        elif mcp_approval is not None or _has_mcp((config or {}).get("tools")):
            self._box()
        self._finalizer = weakref.finalize(self, self._core.abandon, number)
        self._finalizer.atexit = False

    def __repr__(self) -> str:
        return f"<RealtimeSession {self._core.number} {self.state}, {self.target.describe()}>"

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- life --------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the session is in its life; equal to its name: ``session.state == "open"``."""
        return self._core.state

    def open(self) -> Self:
        """Connect, and return once the service has greeted and confirmed ``config``. Does nothing when open.

        Raises:
            ConfigurationError: the target's credential is not usable.
            ConnectFailed: and its kinds ``ConnectTimeout``, ``AuthenticationFailed``, ``RateLimited`` and
                ``RedirectRefused``: with phase, status and the way out.
            ServerError: the service refused ``config``.
            UsageError: the session was used before.

        Threads: blocks the caller up to ``connect_timeout``, and wakes at once when ``close()`` is called elsewhere.
        """
        core = self._core
        core.check_process()
        if core.move(Trigger.OPEN) is not State.NEW:
            return self
        core.process = os.getpid()
        core.hub.open_window()
        deadline = Deadline(self._connect_timeout)
        config = self._config if self._toolbox is None else self._toolbox.added_to(self._config)
        core.settings.awaited = config is not None
        try:
            self._start()
            core.await_greeting(deadline)
            if config is not None:
                core.ask(self._update_event(config), deadline)
        except BaseException as error:
            self._give_up(error)
            raise
        if self._allowance is not None:
            self._allowance.start()
        return self

    def close(self, *, timeout: float | None = None) -> None:
        """End the session: close frame, the peer's answer, the handlers that still have events, the threads.

        Returns within ``timeout`` seconds (``close_timeout`` where None), whatever the peer does. Waits elsewhere end
        with ``SessionClosed``. Closing twice, before opening or while opening is fine.

        Threads: any, a handler and a signal handler too. Inside a handler it returns when the close frame is out, and
        the rest follows when the handler has returned.
        """
        limit = seconds(timeout, "timeout", none="close_timeout", zero=True)
        core = self._core
        if core.inherited:
            return  # The parent's to close.
        before = core.move(Trigger.CLOSE)
        self._finalizer.detach()
        if before is State.NEW:
            core.fail(SessionClosed("close() was called before open()", cause=CloseCause.USER))
            return
        deadline = Deadline(self._close_timeout if limit is None else limit)
        core.close(deadline)
        for helper in (self._guards, self._allowance):
            if helper is not None:
                helper.join(deadline)

    def _start(self) -> None:
        core = self._core
        if self._guards is not None:
            self._guards.start()
        release: Callable[[], None] = lambda: None  # noqa: E731
        try:
            url, headers, release = reach(self.target)
            core.speak(
                self.target.dialect,
                self.target.session_type or "realtime",
                echoes=_echoes_metadata(self.target),
                rejoins=self.target.purpose == "call",
            )
            core.start(self, functools.partial(Line, url, options=self._options), headers, release)
        except BaseException as error:
            release()
            core.fail(error if isinstance(error, RealtimeError) else SessionClosed(f"not started: {error}"))
            raise

    def _give_up(self, error: BaseException) -> None:
        core = self._core
        self._finalizer.detach()
        core.blame(error)
        core.move(Trigger.CLOSE)
        core.close_line(timeout=0.0, wait=False)
        core.abort_line("the session could not be opened")
        core.close(Deadline(0.5))

    # -- what it knows -----------------------------------------------------------------------------------------------

    @property
    def conversation(self) -> Snapshot:
        """The conversation at this moment, as the service has confirmed it: items in order with what they say,
        responses, configuration, rate limits, usage. A copy that does not change; audio is not in it.

        Threads: any, also after the session has ended.
        """
        self._core.check_process()
        return self._core.snapshot()

    def item(self, item_id: str) -> Item | None:
        """One item of the conversation at this moment, or None where there is none of that id. Threads: any."""
        self._core.check_process()
        return self._core.item(item_id)

    @property
    def stats(self) -> SessionStats:
        """The session in numbers, at this moment. Threads: any, also before opening and after the end."""
        self._core.check_process()
        return self._core.stats()

    @property
    def budget(self) -> Spending:
        """What the session has used up to this moment: tokens, seconds, and what they cost where ``budget=`` has
        prices. Also without limits.

        Threads: any, also after the session has ended.
        """
        from rtsync.session.budget import spending

        self._core.check_process()
        return self._allowance.spending() if self._allowance is not None else spending(self._core)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Who spoke when, and how long the answers took: the newest 500 turns, oldest first, also those that go on.

        ``rtsync.turn_finished`` tells of each when its response has ended; what is played, or cut off, after that
        stands here. ``rtsync.timeline_page`` draws them.

        Threads: any, also after the session has ended.
        """
        self._core.check_process()
        return self._core.list_turns()

    def note_played(self, item_id: str, *, at: float | None = None, ended: bool = False) -> None:
        """Say that a speaker plays the first sample of an item, so that its turn knows (``Turn.played_at``).

        Args:
            item_id: of the item, as it stands in ``response.output_audio.delta``; one that is unknown is passed over.
            at: the moment, in seconds of ``time.monotonic()``; None for now.
            ended: say instead that no more of it is played: it was heard to its end, or playing was stopped.

        Threads: any. It takes a lock for a moment, and never blocks for longer.
        """
        self._core.check_process()
        self._core.note_played(item_id, time.monotonic() if at is None else at, ended=ended)

    # -- sending -----------------------------------------------------------------------------------------------------

    def send(self, event: Mapping[str, Any], *, timeout: float | None = None) -> str:
        """Send a client event (protocol section 2); returns its ``event_id``, which is added where missing.

        Returns when the frame has been handed to the kernel. ``bytes`` inside are sent as base64.

        Args:
            event: a mapping with a ``type``.
            timeout: seconds; ``send_timeout`` where None.

        Raises:
            UsageError: it is no event, or the session is not open.
            SessionClosed: the session has ended; or it is a ``response.create``, and the budget is spent.
            SendTimeout: the peer does not read; the connection is given up.
            WaitTimeout: other threads kept the line busy all the time; nothing was sent.

        Threads: any; each thread's events stay in order.
        """
        core = self._core
        if core.state is not State.OPEN:  # As a fork finds it, too.
            core.check_process()
        limit = None if timeout is None else seconds(timeout, "timeout", none="send_timeout")
        message = _with_id(event)
        if message["type"] == "response.create":
            core.check_may_ask()
        core.send(message, core.hub.note_send(), limit)
        event_id: str = message["event_id"]
        return event_id

    # -- waiting -----------------------------------------------------------------------------------------------------

    @typed_as(typed_face.wait_for)
    def wait_for(
        self,
        type: Wanted,  # noqa: A002 - the wire's own name
        *,
        timeout: float | None = 30.0,
        where: Callable[[Event], object] | None = None,
        settled: bool = True,
    ) -> Event:
        """Block until an event arrives, and return it.

        It looks at what has arrived since this thread began to send, so an answer that came before the call is
        found. The first ``send`` after a wait opens a new window; inside a window each event is returned once.

        Args:
            type: an event type, several, or a predicate that takes the event.
            timeout: in seconds; None waits for ever.
            where: a further condition on the event.
            settled: return only when the handlers of everything up to the event have run; False returns as soon as
                it has arrived. Inside a handler it never waits for handlers.

        Raises:
            WaitTimeout: it did not come; the message says what did.
            ServerError: an ``error`` event answered something that this thread sent.
            SessionClosed: the session ended.
            UsageError: the wait could only wait for itself.

        Threads: any that may block. Predicates run in the calling thread, and in the one that reads at the time.
        """
        self._core.check_process()
        limit = seconds(timeout, "timeout", none="wait for ever", zero=True)
        types, predicate = wanted(type, where)
        self._check_opened()
        return self._core.hub.wait(types, predicate, limit, settled)

    @typed_as(typed_face.expect)
    def expect(
        self,
        type: Wanted,  # noqa: A002
        *,
        timeout: float | None = 30.0,
        where: Callable[[Event], object] | None = None,
        settled: bool = True,
    ) -> Expectation:
        """Wait for an event that arrives within or after a ``with`` block; the wait begins before the body runs.

        ::

            with session.expect("conversation.item.added") as added:
                session.send(...)
            print(added.event.item.id)

        Arguments, errors and threads as of ``wait_for``; the wait happens at the end of the block.
        """
        self._core.check_process()
        limit = seconds(timeout, "timeout", none="wait for ever", zero=True)
        types, predicate = wanted(type, where)
        self._check_opened()
        return Expectation(self._core, types, predicate, limit, settled)

    @typed_as(typed_face.events)
    def events(self, *types: str, timeout: float | None = None) -> Subscription:
        """A live iterator over the events that arrive from now on, of ``types`` or all.

        Args:
            types: event types; none for all.
            timeout: longest wait for each next event, in seconds; None waits for ever.

        Raises:
            SessionClosed: the session has ended already.

        Threads: any; see ``Subscription``.
        """
        self._core.check_process()
        limit = seconds(timeout, "timeout", none="wait for ever", zero=True)
        self._check_opened()
        return self._core.subscribe(frozenset(map(checked_type, types)) or None, limit)

    def responses(self, *, timeout: float | None = None) -> Responses:
        """A live iterator over the responses that begin from now on without being asked for: those of voice detection.

        ::

            with session.responses(timeout=30) as responses:
                session.send_audio("question.wav")
                next(responses).save("answer.wav")

        Args:
            timeout: longest wait for each next one to begin, in seconds; None waits for ever.

        Raises:
            SessionClosed: the session has ended already.

        Threads: any; see ``Responses``.
        """
        self._core.check_process()
        limit = seconds(timeout, "timeout", none="wait for ever", zero=True)
        self._check_opened()
        return Responses(self._core, limit)

    def _check_opened(self) -> None:
        if self._core.state is State.NEW:
            raise UsageError("the session is not open; use it in a with block, or call open() first")

    # -- handlers ----------------------------------------------------------------------------------------------------

    @typed_as(typed_face.on)
    def on(self, type: str, handler: Handler | None = None) -> Any:  # noqa: A002
        """Call ``handler(session, event)`` for every event of ``type``, or of any type for ``"*"``.

        Also a decorator: ``@session.on("response.done")``. Handlers are held strongly and called in the order of
        their connection. One that raises is logged with its traceback and sent to the ``handler_failed`` signal; the
        session and the other handlers go on.

        Raises:
            ConfigurationError: the handler is not callable, or a coroutine function.

        Threads: callable from any, before and after opening. Handlers run in the place that ``handlers=`` names.
        """
        signal = self.signal(type)
        if handler is None:
            return lambda later: signal.connect(later, weak=False)
        return signal.connect(handler, weak=False)

    def off(self, type: str, handler: Callable[..., Any]) -> None:  # noqa: A002
        """Call ``handler`` for ``type`` no more; nothing happens when it was not connected. Threads: any."""
        signal = self.signal(type)
        signal.disconnect(handler)
        for receiver in signal.receivers_for(self):
            if getattr(receiver, _ONCE, None) == handler:
                signal.disconnect(receiver)

    @typed_as(typed_face.once)
    def once(self, type: str, handler: Handler | None = None) -> Any:  # noqa: A002
        """As ``on``, for the next event only."""
        if handler is None:
            return lambda later: self.once(type, later)
        signal = self.signal(type)
        check_receiver(handler)
        chosen = handler

        @functools.wraps(handler)  # Its signature, for the signal, and its name, for messages.
        def only(*args: Any, **data: Any) -> None:
            signal.disconnect(only)
            chosen(*args, **data)

        setattr(only, _ONCE, handler)
        signal.connect(only, weak=False)
        return handler

    def signal(self, type: str) -> SafeSignal:  # noqa: A002
        """The ``blinker.Signal`` of one event type; receivers get ``(session, event)``. ``"*"`` is for all events.

        ``connect`` is weak by default, as blinker users know it: the receiver vanishes with its last other reference.
        """
        self._core.check_process()
        if type != Board.ALL:
            type = checked_type(type)  # noqa: A001
        found = self._board.signal(type)
        self._core.expect_handlers()
        return found

    # -- sentences ---------------------------------------------------------------------------------------------------

    def update(self, *, timeout: float | None = 30.0, **fields: Any) -> Event:
        """Change fields of the session (protocol section 4); returns the ``session.updated`` event that confirms.

        ``session.update(output_modalities=["text"], instructions="Be brief.")``

        Tools that are declared stay declared: ``tools=`` says what there shall be beside them.

        Raises:
            ServerError: the service refused; nothing was changed.
            WaitTimeout, SessionClosed: as of ``wait_for``.

        Threads: any that may block.
        """
        return self._ask(self._update_event(fields), timeout)

    def add_item(self, item: Mapping[str, Any], *, after: str | None = None, timeout: float | None = 30.0) -> Event:
        """Add an item to the conversation (protocol 5.3); returns the event that confirms it, with its id.

        Args:
            item: e.g. ``{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}``.
            after: id of the item that it shall follow; ``"root"`` puts it first; None appends it.
            timeout: in seconds; None waits for ever.

        Raises and Threads: as of ``update``.
        """
        named = {"id": new_id("item"), **item}  # Its answer is told from others' by the id.
        event: dict[str, Any] = {"type": "conversation.item.create", "item": named}
        if after is not None:
            event["previous_item_id"] = after
        return self._ask(event, timeout)

    def delete_item(self, item_id: str, *, timeout: float | None = 30.0) -> Event:
        """Remove an item from the conversation. Raises and Threads: as of ``update``."""
        return self._ask({"type": "conversation.item.delete", "item_id": item_id}, timeout)

    def retrieve_item(self, item_id: str, *, timeout: float | None = 30.0) -> Event:
        """The service's own copy of an item, with audio bytes. Raises and Threads: as of ``update``."""
        return self._ask({"type": "conversation.item.retrieve", "item_id": item_id}, timeout)

    def truncate(
        self, item_id: str, *, audio_end_ms: int, content_index: int = 0, timeout: float | None = 30.0
    ) -> Event:
        """Cut an assistant's spoken item to the milliseconds that were heard. Raises and Threads: as of ``update``."""
        event = {
            "type": "conversation.item.truncate",
            "item_id": item_id,
            "content_index": content_index,
            "audio_end_ms": audio_end_ms,
        }
        return self._ask(event, timeout)

    def commit_audio(self, *, timeout: float | None = 30.0) -> Event:
        """Make the input buffer a user message (at least 100 ms of audio). Raises and Threads: as of ``update``."""
        return self._ask({"type": "input_audio_buffer.commit"}, timeout)

    def clear_audio(self, *, timeout: float | None = 30.0) -> Event:
        """Empty the input buffer. Raises and Threads: as of ``update``."""
        return self._ask({"type": "input_audio_buffer.clear"}, timeout)

    def cancel(self, *, timeout: float | None = 30.0) -> Event:
        """Stop the response that is running; returns its ``response.done``.

        Raises:
            ServerError: code ``response_cancel_not_active``: none is running.
            WaitTimeout, SessionClosed: as of ``wait_for``.

        Threads: any that may block.
        """
        return self._ask({"type": "response.cancel"}, timeout)

    def respond(self, *, timeout: float | None = 30.0, **params: Any) -> Response:
        """Ask the model for a response; returns once it has begun.

        While another response to the conversation is running, also one that voice detection or another thread has
        started, it waits for its turn. ``conversation="none"`` asks beside the conversation, at any time.

        Args:
            timeout: seconds until it must have begun, its turn included; None waits for ever.
            params: options of ``response.create`` (protocol 4.7): ``instructions``, ``output_modalities``,
                ``metadata``, ``input``, ...

        Raises:
            ServerError: the service refused to begin.
            WaitTimeout: its turn did not come, or the service did not answer.
            SessionClosed: the session ended; or its budget is spent, and it is about to: behind the last words, where
                there are any.

        Threads: any that may block.
        """
        limit = seconds(timeout, "timeout", none="wait for ever", zero=True)
        core = self._core
        core.check_process()
        core.delivery.check_may_wait(settled=False)
        manner = Manner(exempt=self._guards is not None and self._guards.at_work_here)
        deadline = Deadline(limit)
        try:
            return Response(core, begin_response(core, params, deadline, manner))
        except SessionClosed:
            if self._allowance is not None:
                self._allowance.await_farewell(deadline)
            raise

    def ask(self, text: str, *, timeout: float | None = 60.0, **params: Any) -> Response:
        """Say ``text`` as the user and return the model's complete answer.

        ``session.ask("And now one sentence.").text``

        Where a guard stops it, and another one is asked for in its place, that one is returned.

        Args:
            text: the user's message.
            timeout: seconds for all of it; None waits for ever.
            params: options of ``response.create``.

        Where the model calls tools that are declared it is the answer that follows from them: ``Response.final``.

        Raises:
            ResponseFailed: the answer failed, was cut short, or stopped by a guard (reason ``"guarded"``) with none in
                its place; ``.text`` holds what came.
            ServerError, WaitTimeout, SessionClosed: as of ``respond``.

        Threads: any that may block.
        """
        if not isinstance(text, str):
            raise UsageError(f"ask() takes the user's words as a str, not {type(text).__name__}")
        self._core.check_may_wait(settled=True)  # Now, not when half of it is done.
        deadline = Deadline(seconds(timeout, "timeout", none="wait for ever", zero=True))
        content = [{"type": "input_text", "text": text}]
        self.add_item({"type": "message", "role": "user", "content": content}, timeout=deadline.remaining())
        return self.respond(timeout=deadline.remaining(), **params).final(deadline.remaining())

    # -- tools ---------------------------------------------------------------------------------------------------------

    @overload
    def tool(self, function: Declared, **options: Unpack[ToolOptions]) -> Declared: ...

    @overload
    def tool(self, function: None = None, **options: Unpack[ToolOptions]) -> Callable[[Declared], Declared]: ...

    def tool(self, function: Any = None, **options: Any) -> Any:
        """Let the model call ``function``; returns it. Also a decorator, with and without options::

            @session.tool
            def weather(city: str) -> str: ...

            @session.tool(timeout=5, approval=ask)
            def pay(amount: float) -> str: ...

        On a session that is open it returns when the service has confirmed it.

        Args:
            function: a plain function, or a ``Tool``.
            options: of ``Tool``.

        Raises:
            ConfigurationError: it cannot be declared, or there is a tool of that name.
            ServerError, WaitTimeout, SessionClosed: as of ``update``; it is not declared then.

        Threads: any that may block. Tools run in threads of their own, ``rtsync-tools-*``.
        """
        if function is None:
            return lambda later: self.tool(later, **options)
        self._core.check_process()
        self._box().declare(self, function, options)
        return function

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The tools that are declared, by name. Threads: any."""
        self._core.check_process()
        return MappingProxyType({} if self._toolbox is None else dict(self._toolbox.tools))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls of tools that are not answered yet, or of which a result is to come, oldest first. Threads: any."""
        self._core.check_process()
        return () if self._toolbox is None else self._toolbox.calls()

    def _box(self) -> Toolbox:
        """Where tools are declared; made with the first one."""
        if self.target.purpose in ("transcription", "translation"):
            raise ConfigurationError(f"a {self.target.purpose} session has no tools (protocol 4.10)")
        with self._declaring:
            if self._toolbox is None:
                from rtsync.session.tools import Toolbox, serve  # Costs time, and few sessions have any.

                box = Toolbox(self._core)
                self._core.tools = serve(self._core, self, box, self._serving)
                self._toolbox = box
            return self._toolbox

    # -- guarded -------------------------------------------------------------------------------------------------------

    @overload
    def guard(
        self,
        check: Checking,
        *,
        instructions: str | None = None,
        replacements: int = 1,
        keep_heard: bool = True,
        on_error: Literal["stop", "pass"] = "stop",
        interval: float = 0.1,
    ) -> Checking: ...

    @overload
    def guard(
        self,
        *,
        instructions: str | None = None,
        replacements: int = 1,
        keep_heard: bool = True,
        on_error: Literal["stop", "pass"] = "stop",
        interval: float = 0.1,
    ) -> Callable[[Checking], Checking]: ...

    def guard(
        self,
        check: Any = None,
        *,
        instructions: str | None = None,
        replacements: int = 1,
        keep_heard: bool = True,
        on_error: Literal["stop", "pass"] = "stop",
        interval: float = 0.1,
    ) -> Any:
        """Have ``check(text, response)`` look at what the model says, as it says it, and stop what must not be said.

        Also a decorator::

            @session.guard
            def no_promises(text, response):
                if "guarantee" in text:
                    return "Answer again, and promise nothing."

        It is called with all of the text, or transcript, of a response so far whenever there is more of it, and once
        with all of it when the response is done (``response.done``); not where nothing was said. What it returns:

        * None or False: go on.
        * True: stop it, and ask for another answer with ``instructions``.
        * a str: the same, with these instructions.
        * a ``Verdict``: that, with a reason for the program, or without another answer.

        To stop means: speakers that are attached and play it fall silent, the response is cancelled where it still
        runs, ``response_guarded`` is sent, and its messages are deleted from the conversation. Then another answer is
        asked for, with the options of the first one and the instructions added, unless the conversation has gone on:
        somebody speaks, or another response has begun. What was heard or shown before is not taken back by that.

        Whoever waits for the response, or streams it, gets ``ResponseFailed`` with the reason ``"guarded"``, and finds
        the other one as ``Response.replacement``. ``ask()`` returns it.

        Guards look at every response that begins after they were set up, those of voice detection and replacements too;
        but not at those that a guard itself asks for while it checks. Several are asked in the order of their setting
        up, and the first that objects decides.

        Args:
            check: ``check(text, response)``, a plain function; it may block, and hold up guards alone.
            instructions: added to those of the replacement where ``check`` gives none of its own.
            replacements: how many answers in a row may be asked for in place of one that was stopped. The last of them
                is guarded, too, but not replaced.
            keep_heard: whether what an attached speaker has played of it stays in the conversation: the item is cut
                there. Without it that is deleted, too.
            on_error: what happens where ``check`` raises, beside ``handler_failed``: ``"stop"``, the response is
                stopped and not replaced, for what could not be checked might be what must not be said; ``"pass"``, it
                goes on, and is checked again when there is more of it.
            interval: shortest time between two looks at a response that grows, in seconds.

        Returns:
            ``check``.

        Raises:
            ConfigurationError: not callable, a coroutine function, or an option is not what it must be.

        Threads: any, before and after opening. Checks run one at a time, in a thread of their own
        (``rtsync-guard-N``), beside handlers.
        """
        from rtsync.session.guards import Guard, Guards

        self._core.check_process()
        options: dict[str, Any] = {
            "instructions": instructions, "replacements": replacements, "keep_heard": keep_heard, "on_error": on_error,
            "interval": interval,
        }  # fmt: skip
        if check is None:
            return functools.partial(self.guard, **options)
        guard = Guard.checked(check, **options)
        if self._guards is None:
            self._guards = Guards(self._core, functools.partial(self._playbacks_of, weakref.ref(self)))
        self._guards.add(guard)
        if self.state is not State.NEW:
            self._guards.start()
        return check

    @staticmethod
    def _playbacks_of(reference: Callable[[], RealtimeSession | None]) -> list[Playback]:
        session = reference()
        return [] if session is None else [each for each in session._playbacks if each.on]

    # -- how -----------------------------------------------------------------------------------------------------------

    def _ask(self, event: dict[str, Any], timeout: float | None) -> Event:
        core = self._core
        core.check_process()
        limit = seconds(timeout, "timeout", none="wait for ever", zero=True)
        core.hub.note_request()
        return core.ask({"event_id": new_event_id(), **event}, Deadline(limit))

    def _update_event(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """GA wants the session's type in every update, preview knows no such field (protocol section 7)."""
        session = dict(fields)
        if self._toolbox is None and _has_mcp(session.get("tools")):
            self._box()
        if self._toolbox is not None and "tools" in session:
            session["tools"] = self._toolbox.merged(session["tools"])
        if self.target.session_type is not None:
            session.setdefault("type", self.target.session_type)
        return {"type": "session.update", "event_id": new_event_id(), "session": session}


def _has_mcp(tools: object) -> bool:
    """Whether an MCP server is among the ``tools`` of a session."""
    return isinstance(tools, list | tuple) and any(
        isinstance(tool, Mapping) and tool.get("type") == "mcp" for tool in tools
    )


def _with_id(event: Mapping[str, Any]) -> dict[str, Any]:
    if not (type(event) is dict or isinstance(event, Mapping)) or not isinstance(event.get("type"), str):
        raise UsageError("send() takes a mapping with a 'type', e.g. {'type': 'response.create'}")
    event_id = event.get("event_id")
    if event_id is None:
        return {**event, "event_id": new_event_id()}
    if not isinstance(event_id, str) or len(event_id) > _LONGEST_EVENT_ID:
        raise UsageError(f"event_id must be a str of at most {_LONGEST_EVENT_ID} characters (protocol 6.1)")
    return dict(event)


def _echoes_metadata(target: Target) -> bool:
    """Whether the endpoint is known to return a response's metadata, as the services do; compatible servers differ."""
    host = target.url.partition("://")[2].partition("/")[0].partition(":")[0]
    services = (".openai.com", ".openai.azure.com", ".cognitiveservices.azure.com")
    return isinstance(target, Simulator) or (target.dialect == "ga" and host.endswith(services))
