"""Phone calls that a webhook announces: answered while it waits, and held in threads of their own.

1. Nothing is done for a webhook that is not genuine, not of these minutes, or a copy of one that was delivered.
2. A *replay* is the copy of a delivery: the same ``webhook-id`` and time of sending, which is all that somebody without
   the secret can send. It is refused. A *redelivery* is the service's own second attempt, because our answer was late
   or lost: the same id, and signed anew with the time of the attempt. It is answered well, and done once.
3. What was done is known by the call, for as long as the service may repeat itself. What failed and may be tried
   again is forgotten, and the service is told to come again (5xx).
4. A call lasts as long as ``converse``. When that returns or fails, the call is hung up; when the call is over, the
   session of ``converse`` ends.
5. Calls belong to the process that has answered them. A forked child begins with none; at the end of the process, or
   with ``stop``, sessions are closed and the calls hung up.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import logging
import os
import ssl
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from rtsync.bus import SessionDirectory
from rtsync.bus.memory import MemoryBus
from rtsync.edges import forks
from rtsync.pure.webhook import HeaderItems, IncomingCall, delivery_of, verify_webhook
from rtsync.session.calls import Call
from rtsync.session.options import Within, required_seconds
from rtsync.session.session import RealtimeSession
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import (
    BusUnavailable,
    ConfigurationError,
    ConnectFailed,
    ConnectTimeout,
    RealtimeError,
    ServerError,
    SessionClosed,
    WebhookRefused,
)
from rtsync.vocabulary.foreign import one_line
from rtsync.vocabulary.targets import Target
from rtsync.web.gate import Refused

__all__ = ["IncomingCalls", "Refer", "Reject"]

logger = logging.getLogger("rtsync.web")

_BUSY: Final = 486  # SIP: busy here
_CALL_KEPT = 3_600.0  # seconds for which a call is known as answered
_AT_EXIT = 2.0  # seconds
_SENT = "rest"  # the phase of a request that may have been carried out


class Reject(msgspec.Struct, frozen=True):
    """What ``accept`` returns to decline a call: a SIP status, e.g. 486 for busy; 603 (decline) where None."""

    status_code: int | None = None


class Refer(msgspec.Struct, frozen=True):
    """What ``accept`` returns to pass a call on: ``"tel:+15550100"`` or ``"sip:agent@example.com"``."""

    target_uri: str


Decision = Mapping[str, Any] | Reject | Refer
Accept = Mapping[str, Any] | Callable[[IncomingCall], Decision]
Converse = Callable[[RealtimeSession, IncomingCall], object]


class IncomingCalls:
    """Answers the webhook of incoming calls (protocol section 1.7), and holds the conversations.

    ::

        def converse(session, incoming):
            session.respond(instructions="Greet the caller.")
            for event in session.events("response.output_audio_transcript.done"):
                print(event.transcript)

        calls = IncomingCalls(OpenAI("gpt-realtime"), converse, accept={"instructions": "You answer a bakery's phone."})
        status = calls.handle(request.headers, request.get_data())      # in the view: 200 or 204, or it raises

    Args:
        target: an `OpenAI` or `Azure` target; its model or deployment takes the calls.
        converse: called as ``converse(session, incoming)`` with an open session beside the call, in a thread of the
            call's own. The call lasts as long as it does: when it returns, or raises, the call is hung up.
        secret: the endpoint's signing secret; ``OPENAI_WEBHOOK_SECRET``.
        accept: the fields of the session that answers, as of ``Call.accept``; or a callable that is given the
            `IncomingCall` and returns such fields, a `Reject` or a `Refer`. It runs while the webhook waits.
        directory: a directory whose bus remembers what was delivered, so that every process of the application knows
            it. Without, each process knows what it has seen itself.
        session_options: keyword arguments of each ``RealtimeSession``.
        within: gives a context manager in which ``converse`` runs, e.g. Flask's ``app.app_context``.
        max_calls: most calls at once in this process; those beyond are told that the line is busy (SIP 486).
        timeout: seconds for the answer to a call, all attempts included: the webhook waits for it.
        tolerance: seconds by which a webhook's time of sending may differ from this machine's clock.
        tls: an ``ssl.SSLContext``, or the path of a file with the authorities to trust.
        proxy: URL of an HTTP proxy; False for none; None to follow the environment.

    Raises:
        ConfigurationError: an option is not what it must be, there is no secret, or the target offers no calls.

    Threads: every method may be called from any thread. It may be made before a fork and used behind it.
    """

    def __init__(
        self,
        target: Target,
        converse: Converse,
        *,
        secret: str | None = None,
        accept: Accept | None = None,
        directory: SessionDirectory | None = None,
        session_options: Mapping[str, Any] | None = None,
        within: Within | None = None,
        max_calls: int = 50,
        timeout: float = 8.0,
        tolerance: float = 300.0,
        tls: ssl.SSLContext | str | os.PathLike[str] | None = None,
        proxy: str | bool | None = None,
    ) -> None:
        self._target, self._secret, self._tolerance = target, secret, tolerance
        self._call_options: dict[str, Any] = {
            "timeout": required_seconds(timeout, "timeout"),
            "tls": tls,
            "proxy": proxy,
        }
        self._call("rtc_none")  # A target without calls is told of now, and so is what else is wrong.
        with contextlib.suppress(WebhookRefused):
            verify_webhook(b"", {}, secret, tolerance=tolerance)
        self._converse = _callable(converse, "converse")
        self._accept = _acceptance(accept)
        self._session_options = dict(session_options or {})
        self._within = contextlib.nullcontext if within is None else _callable(within, "within")
        if not isinstance(max_calls, int) or isinstance(max_calls, bool) or max_calls < 1:
            raise ConfigurationError(f"max_calls must be a whole number, at least 1, not {max_calls!r}")
        self._max_calls = max_calls
        self._notes = _Notes(directory)
        self._begin()
        _calls.add(self)

    def __repr__(self) -> str:
        return f"<IncomingCalls of {self._target.describe()}, {self.held} held>"

    @property
    def held(self) -> int:
        """How many calls this process answers or holds now. Threads: any."""
        return len(self._held)

    def handle(self, headers: HeaderItems, body: bytes) -> int:
        """Answer a webhook request; returns the HTTP status to answer it with.

        200: the call was accepted, rejected or referred, as ``accept`` said, or was over already. 204: there was
        nothing to do: another type of event, or the redelivery of a webhook that was dealt with.

        Args:
            headers: of the request.
            body: its raw body.

        Raises:
            WebhookRefused: forged, stale, malformed, or replayed: to be answered with 400 (``status_of``).
            Refused: this process takes no calls any more (503); the service comes again.
            ConnectFailed: the call could not be answered, and may be when the webhook comes again (502).

        Threads: blocks up to ``timeout``, and what ``accept`` takes.
        """
        event = verify_webhook(body, headers, self._secret, tolerance=self._tolerance)
        if self._stopped:
            raise _stopping()
        # One from the future can come back until the time is as far behind as it is ahead.
        if not self._notes.first("delivery", delivery_of(headers), 2 * self._tolerance + 1):
            raise WebhookRefused("this delivery was made before: it is a replay", reason="replayed")
        if not isinstance(event, IncomingCall):
            return 204
        if not self._notes.first("call", event.call_id, _CALL_KEPT):
            logger.info("call %s was announced again", _named(event))
            return 204
        try:
            self._answer(event)
        except BaseException:
            self._notes.forget("call", event.call_id)
            raise
        return 200

    def stop(self, *, timeout: float = 5.0) -> None:
        """Take no more calls, close the sessions of those that are held, and hang up.

        ``converse`` meets ``SessionClosed`` wherever it waits, or the end of ``events()``. May be called twice.

        Threads: blocks up to ``timeout`` seconds, and not for a ``converse`` that goes on by itself.
        """
        deadline = Deadline(required_seconds(timeout, "timeout"))
        with self._held_lock:
            self._stopped = True
            held = list(self._held.values())
        for each in held:
            each.close(deadline)
        for each in held:
            each.join(deadline)

    # -- answering ----------------------------------------------------------------------------------------------------

    def _answer(self, incoming: IncomingCall) -> None:
        call = self._call(incoming.call_id)
        held = self._reserved(incoming.call_id)
        kept = False
        try:
            kept = self._decided(call, incoming, held)
        except ServerError as error:  # The caller has given up, or somebody else has answered.
            logger.warning("the service does not let call %s be answered: %s", _named(incoming), error.code)
        finally:
            if held is not None and not kept:
                self._leave(held)

    def _decided(self, call: Call, incoming: IncomingCall, held: _Held | None) -> bool:
        """Do with the call as the application says. Whether it is held from now on."""
        if held is None:
            logger.warning("call %s is rejected: %d are held, and no more are allowed", call.call_id, self._max_calls)
            call.reject(_BUSY)
            return False
        decision = _decision(self._accept(incoming))
        if isinstance(decision, Reject):
            call.reject(decision.status_code)
        elif isinstance(decision, Refer):
            call.refer(decision.target_uri)
        else:
            _accept(call, decision)
            held.start(lambda: self._hold(held, call, incoming))
            return True
        return False

    def _call(self, call_id: str) -> Call:
        return Call(self._target, call_id, **self._call_options)

    # -- holding ------------------------------------------------------------------------------------------------------

    def _hold(self, held: _Held, call: Call, incoming: IncomingCall) -> None:
        """In the call's thread: from here to the end of the call."""
        try:
            session = self._joined(call)
            if session is not None:
                with contextlib.closing(session):
                    held.hold(session)
                    with self._within():
                        self._converse(session, incoming)
        except SessionClosed as error:
            logger.info("call %s is over: %s", _named(incoming), error.cause)
        except Exception as error:
            name = type(error).__name__
            logger.error("the conversation of call %s failed: %s", _named(incoming), name, exc_info=error)
        finally:
            _hang_up(call)
            self._leave(held)

    def _joined(self, call: Call) -> RealtimeSession | None:
        try:
            return call.session(**self._session_options).open()
        except (ConnectFailed, SessionClosed) as error:  # Perhaps the caller was faster.
            logger.warning("call %s could not be joined: %s", one_line(call.call_id), error)
            return None

    # -- what is held -------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """In a new process: nothing is held, and no lock can have been left behind."""
        self._held_lock = threading.Lock()  # Guards _held and _stopped.
        self._held: dict[int, _Held] = {}
        self._stopped = False

    def _reserved(self, call_id: str) -> _Held | None:
        with self._held_lock:
            if self._stopped:
                raise _stopping()
            if len(self._held) >= self._max_calls:
                return None
            held = _Held(call_id)
            self._held[id(held)] = held
            return held

    def _leave(self, held: _Held) -> None:
        with self._held_lock:
            self._held.pop(id(held), None)


class _Held:
    """A call from its announcement to its end.

    Threads: ``start`` by the one that answers; ``hold`` by the call's own; the others by any.
    """

    def __init__(self, call_id: str) -> None:
        self._name = f"rtsync-call-{one_line(call_id, 40)}"
        self._session_lock = threading.Lock()  # Guards _session and _ending: whichever comes second closes.
        self._session: RealtimeSession | None = None
        self._ending = False
        self._thread: threading.Thread | None = None

    def start(self, run: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=run, name=self._name, daemon=True)
        with forks.whole():
            self._thread.start()

    def hold(self, session: RealtimeSession) -> None:
        with self._session_lock:
            self._session = session
            ending = self._ending
        if ending:
            session.close()

    def close(self, deadline: Deadline) -> None:
        with self._session_lock:
            self._ending = True
            session = self._session
        if session is not None:
            session.close(timeout=deadline.remaining())

    def join(self, deadline: Deadline) -> None:
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(deadline.remaining())


class _Notes:
    """What was done already: on the directory's bus, and in this process where there is none, or none to be reached."""

    def __init__(self, directory: SessionDirectory | None) -> None:
        self._directory = directory
        self._bus = MemoryBus()

    def begin(self) -> None:
        """In a new process."""
        self._bus = MemoryBus()

    def first(self, kind: str, what: str, seconds: float) -> bool:
        """Whether nobody has asked for it before."""
        name = _note(kind, what)
        if not self._bus.mark(name, os.urandom(8).hex(), seconds):
            return False
        try:
            return self._directory is None or self._directory.once(name, seconds=seconds)
        except BusUnavailable as error:  # A call does not wait for Redis. The service lets one be accepted only once.
            logger.warning("webhooks are remembered in this process only: %s", error)
            return True

    def forget(self, kind: str, what: str) -> None:
        """It may be asked for again."""
        name = _note(kind, what)
        self._bus.unmark(name)
        with contextlib.suppress(BusUnavailable):
            if self._directory is not None:
                self._directory.not_yet(name)


def _note(kind: str, what: str) -> str:
    return f"{kind}:{hashlib.sha256(what.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _accept(call: Call, fields: Mapping[str, Any]) -> None:
    try:
        call.accept(**fields)
    except ConnectTimeout as error:
        if error.phase != _SENT:
            raise
        logger.warning("the service was late to confirm call %s; its session will tell", one_line(call.call_id))


def _hang_up(call: Call) -> None:
    try:
        call.hangup()
    except ServerError:  # It is over: the caller was faster, or converse.
        logger.debug("call %s was over", one_line(call.call_id))
    except RealtimeError as error:
        logger.warning("call %s could not be hung up: %s", one_line(call.call_id), type(error).__name__)


def _stopping() -> Refused:
    return Refused("this process takes no calls any more; come again", status=503, code="stopped")


def _named(incoming: IncomingCall) -> str:
    return one_line(incoming.call_id, 100)


def _callable(value: Any, name: str) -> Any:
    if not callable(value):
        raise ConfigurationError(f"{name} must be callable, not {type(value).__name__}")
    return value


def _acceptance(accept: Accept | None) -> Callable[[IncomingCall], Decision]:
    if callable(accept):
        return accept
    always = _decision({} if accept is None else accept)
    return lambda _: always


def _decision(decision: Any) -> Any:
    if not isinstance(decision, Mapping | Reject | Refer):
        raise ConfigurationError(
            "accept must be, or return, a mapping of session fields, Reject(...) or Refer(...), not"
            f" {type(decision).__name__}"
        )
    return decision


# For forks and the end of the program: by identity.
_calls: weakref.WeakSet[IncomingCalls] = weakref.WeakSet()


def _begin_anew() -> None:
    for calls in list(_calls):
        calls._notes.begin()
        calls._begin()


def _stop_all() -> None:
    for calls in list(_calls):
        calls.stop(timeout=_AT_EXIT)


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
