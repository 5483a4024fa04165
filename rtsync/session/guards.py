"""Guards: what the model says is looked at while it says it, and what must not be said is stopped.

1. The reader enters every response that begins (``Guards.enter``), and rings when one has grown. The checks run in a
   thread of their own, ``rtsync-guard-N``: neither the reader waits for them, nor they for handlers.
2. A check gets the whole text so far. So it misses nothing where it is slower than the model, and is called less often.
   The last call has all of it.
3. From its beginning until the guards are done with it a response is theirs (``Follower.guard``), and whoever waits for
   its end waits for that: else an answer would be taken for good a moment before it is stopped.
4. While one is stopped and another asked for in its place, nobody else gets a turn (``Floor.kept_free``).
5. The thread holds the core, and the guards only while it looks, so that a forgotten session is collected.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from rtsync.edges import signals
from rtsync.edges.latch import Bell
from rtsync.pure.state import State
from rtsync.session.asking import Manner, begin_response, with_more_instructions
from rtsync.session.response import Response
from rtsync.threads.floor import MARK
from rtsync.threads.following import Follower
from rtsync.vocabulary.deadline import Deadline, seconds
from rtsync.vocabulary.errors import ConfigurationError, RealtimeError, ServerError, SessionClosed
from rtsync.vocabulary.events import new_event_id

if TYPE_CHECKING:
    from rtsync.session.interruption import Playback
    from rtsync.threads.reader import Core

__all__ = ["Check", "Guard", "Guards", "Verdict"]

logger = logging.getLogger("rtsync.guards")

_NOTHING_TO_CANCEL = "response_cancel_not_active"
_PATIENCE = 30.0  # seconds for the service to answer, and for another response to begin
_MOMENT = 0.2  # seconds in which a thread that is done surely ends
_WANTED = frozenset({"in_progress", "completed", "incomplete"})  # States of a response that nobody else has stopped.
_ANSWER_AGAIN = (
    "The answer that you were about to give was stopped, because it broke a rule of this application. Answer again, in"
    " another way."
)


class Verdict(msgspec.Struct, frozen=True):
    """What a guard says of a response that it stops: ``return Verdict("a price was named")``.

    Attributes:
        reason: for the program; it goes nowhere else.
        instructions: added to those of the replacement; None for those of the guard.
        replace: whether another response is asked for.
        guard: name of the function that said it; filled in.
        keep_heard: whether what was heard stays in the conversation; None as the guard is set up.
    """

    reason: str = ""
    instructions: str | None = None
    replace: bool = True
    guard: str = ""
    keep_heard: bool | None = None

    def __str__(self) -> str:
        return f"the guard {self.guard}"

    def __repr__(self) -> str:  # Without what may quote the conversation.
        return f"<Verdict of {self.guard or 'a guard'}{'' if self.replace else ', no replacement'}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("guard", self.guard), ("replace", self.replace)]


Check = Callable[[str, Response], "Verdict | str | bool | None"]


class Guard:
    """One check, and what is to happen when it objects: see ``RealtimeSession.guard``."""

    def __init__(
        self,
        check: Check,
        instructions: str | None,
        replacements: int,
        keep_heard: bool,
        on_error: str,
        interval: float,
    ) -> None:
        self.check = check
        self.name = signals.name_of(check)
        self.replacements = replacements
        self.interval = interval
        self._instructions = instructions
        self._keep_heard = keep_heard
        self._on_error = on_error

    @classmethod
    def checked(
        cls, check: Any, *, instructions: Any, replacements: Any, keep_heard: Any, on_error: Any, interval: Any
    ) -> Guard:
        """A guard of these options.

        Raises:
            ConfigurationError: one is not what it must be.
        """
        if not callable(check):
            raise ConfigurationError(f"a guard must be callable as check(text, response), not {type(check).__name__}")
        if inspect.iscoroutinefunction(check) or inspect.iscoroutinefunction(getattr(check, "__call__", None)):  # noqa: B004
            raise ConfigurationError(f"{signals.name_of(check)} is a coroutine function; a guard is a plain function")
        if not _takes_two(check):
            raise ConfigurationError(f"{signals.name_of(check)} must take two arguments: check(text, response)")
        if instructions is not None and not isinstance(instructions, str):
            raise ConfigurationError(f"instructions must be a str or None, not {type(instructions).__name__}")
        if isinstance(replacements, bool) or not isinstance(replacements, int) or replacements < 0:
            raise ConfigurationError(f"replacements must be a whole number, 0 or more, not {replacements!r}")
        if on_error not in ("stop", "pass"):
            raise ConfigurationError(f"on_error must be 'stop' or 'pass', not {on_error!r}")
        pause = seconds(interval, "interval", zero=True)
        assert pause is not None
        return cls(check, instructions, replacements, bool(keep_heard), on_error, pause)

    def failed(self) -> Verdict | None:
        """What is said of a response that could not be checked."""
        if self._on_error == "pass":
            return None
        return Verdict("the guard raised", replace=False, guard=self.name, keep_heard=self._keep_heard)

    def verdict_of(self, said: object) -> Verdict | None:
        """What the check means by what it returned.

        Raises:
            TypeError: it is nothing that a guard may say.
        """
        if said is None or said is False:
            return None
        if isinstance(said, str):
            said = Verdict(instructions=said)
        elif said is True:
            said = Verdict()
        if not isinstance(said, Verdict):
            raise TypeError(f"a guard returns None, a bool, a str or a Verdict, not {type(said).__name__}")
        return Verdict(
            reason=said.reason,
            instructions=said.instructions or self._instructions or _ANSWER_AGAIN,
            replace=said.replace,
            guard=self.name,
            keep_heard=self._keep_heard if said.keep_heard is None else said.keep_heard,
        )


class _Watched:
    """A response that is looked at."""

    __slots__ = ("checked", "due", "follower", "restarts", "seen")

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.seen = 0  # pieces at the last look
        self.restarts = 0
        self.due = 0.0  # monotonic
        self.checked = ""

    def has_news(self, now: float) -> bool:
        """Whether it is to be looked at now."""
        return self.follower.over or (self.has_grown() and now >= self.due)

    def has_grown(self) -> bool:
        """Whether it has said something that was not looked at."""
        record = self.follower.record
        return len(record.pieces) != self.seen or record.restarts != self.restarts

    def text(self) -> str:
        """What it has said so far."""
        record = self.follower.record
        self.seen, self.restarts = len(record.pieces), record.restarts
        return "\n".join(filter(None, (record.text, record.transcript)))


class _Desk:
    """What the thread of the guards holds: the responses that are theirs, and a bell that rings with their news."""

    def __init__(self) -> None:
        self.bell = Bell()
        self.watched: dict[Follower, _Watched] = {}
        self.closed = False
        self.thread_id: int | None = None

    def enter(self, follower: Follower) -> None:
        """A response has begun. Under the books of the core."""
        if self.closed or follower.exempt or follower.verdict is not None or follower in self.watched:
            return
        self.watched[follower] = _Watched(follower)
        follower.watcher, follower.guard = self.bell, self.thread_id
        self.bell.ring()

    def release(self, follower: Follower) -> None:
        """The guards are done with it."""
        self.watched.pop(follower, None)
        follower.watcher = follower.guard = None
        follower.bell.ring()

    def next(self, ended: Callable[[], bool]) -> _Watched | None:
        """Block until one is to be looked at; None when the session is over."""
        while not ended():
            found = self._newest()
            if found is not None:
                return found
            self._sleep(ended)
        return None

    def _sleep(self, ended: Callable[[], bool]) -> None:
        """Until something may be due. Where nothing has grown the first that does ends it: then it is known when."""
        pause = self._pause()
        enough = self._growing if pause is None else self._newest
        self.bell.wait_until(lambda: ended() or enough() is not None, pause)

    def _newest(self) -> _Watched | None:
        now = time.monotonic()
        return next((each for each in list(self.watched.values()) if each.has_news(now)), None)

    def _growing(self) -> _Watched | None:
        """One that is to be looked at now or later."""
        return next((each for each in list(self.watched.values()) if each.follower.over or each.has_grown()), None)

    def _pause(self) -> float | None:
        """Seconds until the next look that is due; None where there is none."""
        due = [each.due for each in list(self.watched.values()) if each.has_grown()]
        return max(0.0, min(due) - time.monotonic()) if due else None


class Guards:
    """The guards of one session.

    Args:
        core: the session's.
        playbacks: what plays the session at this moment.
    """

    def __init__(self, core: Core, playbacks: Callable[[], list[Playback]]) -> None:
        self._core = core
        self._playbacks = playbacks
        self._guards: tuple[Guard, ...] = ()
        self._desk = _Desk()
        self._starting = threading.Lock()  # Guards that there is one thread.
        self._thread: threading.Thread | None = None
        self._checking = False

    def add(self, guard: Guard) -> None:
        """One more, for responses that begin from now on."""
        self._guards = (*self._guards, guard)

    def start(self) -> None:
        """Start the thread, where it is not at work, and have it told of responses."""
        with self._starting:
            if self._thread is not None or self._core.finished:
                return
            core, desk = self._core, self._desk
            thread = threading.Thread(
                target=_keep_looking,
                args=(core, desk, weakref.ref(self)),
                name=f"rtsync-guard-{core.number}",
                daemon=True,
            )
            core.at_end += (desk.bell.ring,)
            thread.start()
            self._thread = thread
            desk.thread_id = thread.ident
            core.floor.watch(desk.enter)

    def join(self, deadline: Deadline) -> None:
        """Block until the thread has ended, as long as a thread needs that has nothing more to do; or ``deadline``."""
        thread = self._thread
        if thread is None or thread is threading.current_thread() or not self._core.finished:
            return
        left = deadline.remaining()
        thread.join(None if left is None else max(_MOMENT, left))
        if thread.is_alive():
            logger.warning("close() did not wait any longer for a guard that is still checking")

    @property
    def at_work_here(self) -> bool:
        """Whether the calling thread is inside a check."""
        return self._checking and self._thread is threading.current_thread()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def look(self, watched: _Watched) -> None:
        """Check what a response has said, and stop it where a guard objects."""
        follower = watched.follower
        over = follower.over
        text = watched.text()
        lost = follower.error is not None or follower.record.status == "lost"
        if text and not lost and (over or text != watched.checked):
            watched.checked = text
            found = self._judged(text, Response(self._core, follower))
            if found is not None:
                self._stop(follower, *found)
                over = True
        pause = min((guard.interval for guard in self._guards), default=0.0)
        watched.due = time.monotonic() + pause
        if over:
            self._desk.release(follower)

    def _judged(self, text: str, response: Response) -> tuple[Guard, Verdict] | None:
        """The first objection."""
        for guard in self._guards:
            self._checking = True
            verdict = guard.failed()  # Where the surroundings swallow an exception.
            try:
                with (self._core.within or contextlib.nullcontext)():
                    verdict = guard.verdict_of(guard.check(text, response))
            except BaseException as error:  # sys.exit() too: what was to be checked must not pass for that.
                self._core.report(guard.check, error)
                verdict = guard.failed()
            finally:
                self._checking = False
            if verdict is not None:
                return guard, verdict
        return None

    def _stop(self, follower: Follower, guard: Guard, verdict: Verdict) -> None:
        """Stop a response, make the conversation forget it, and ask for another one."""
        core = self._core
        wanted = verdict.replace and not follower.cancelled and follower.record.status in _WANTED
        follower.verdict, follower.cancelled = verdict, True
        kept = self._silence(follower)
        try:
            with core.floor.kept_free():
                self._cancel(follower)
                core.announce_later(signals.response_guarded, response=Response(core, follower), verdict=verdict)
                self._forget(follower, kept if verdict.keep_heard else {})
                if wanted and self._may_replace(follower, guard):
                    follower.replacement = self._replacement(follower, verdict.instructions or _ANSWER_AGAIN)
        except RealtimeError as error:
            if core.error is None and core.refusal is None:
                logger.warning("a response was stopped by %s, and what was to follow failed: %s", verdict, error)

    def _silence(self, follower: Follower) -> dict[str, dict[int, int | None]]:
        """Play no more of it. Returns what was heard of it, see ``Playback.silence_response``."""
        kept: dict[str, dict[int, int | None]] = {}
        response_id = follower.record.id
        if response_id is None:
            return kept
        for playback in self._playbacks():
            for item_id, parts in playback.silence_response(response_id).items():
                kept.setdefault(item_id, {}).update(parts)
        return kept

    def _cancel(self, follower: Follower) -> None:
        if follower.over or follower.record.id is None:
            return
        try:
            self._ask({"type": "response.cancel", "response_id": follower.record.id})
        except ServerError as error:
            if error.code != _NOTHING_TO_CANCEL:  # It was done a moment earlier.
                raise
        except SessionClosed:
            if self._core.error is not None:
                raise
            return  # Its line is lost, and the response with it; what it said may be restored on the next one.
        follower.bell.wait_until(lambda: follower.over, _PATIENCE)

    def _forget(self, follower: Follower, kept: Mapping[str, Mapping[int, int | None]]) -> None:
        """Delete its messages from the conversation, or cut them where they were heard."""
        for item in follower.record.items:
            item_id = item.get("id")
            if item.get("type") != "message" or not isinstance(item_id, str) or self._core.item(item_id) is None:
                continue
            if item_id not in kept:
                self._tell(item_id, {"type": "conversation.item.delete", "item_id": item_id})
                continue
            for index, heard_ms in kept[item_id].items():
                if heard_ms is not None:
                    cut = {"item_id": item_id, "content_index": index, "audio_end_ms": heard_ms}
                    self._tell(item_id, {"type": "conversation.item.truncate", **cut})

    def _tell(self, item_id: str, event: dict[str, Any]) -> None:
        try:
            self._ask(event)
        except (ServerError, SessionClosed) as error:
            if self._core.error is not None:
                raise
            if self._core.item(item_id) is not None:  # Else somebody else has deleted it.
                logger.warning("what a guard has stopped stays in the conversation: %s", error)

    def _ask(self, event: dict[str, Any]) -> None:
        self._core.ask({**event, "event_id": new_event_id()}, Deadline(_PATIENCE), settled=False)

    def _may_replace(self, follower: Follower, guard: Guard) -> bool:
        """Whether another answer is still wanted, and not one too many."""
        core, record = self._core, follower.record
        before, replaced = 0, follower.replaces
        while replaced is not None:
            before, replaced = before + 1, replaced.replaces
        if before >= guard.replacements or core.refusal is not None or core.state is not State.OPEN:
            return False
        if (follower.error is not None or record.status == "lost") and not core.asks_again:
            return False  # Its question is gone with the line.
        if record.status == "completed" and any(item.get("type") == "function_call" for item in record.items):
            return False  # Its calls will be answered, and the model speaks again.
        if record.out_of_band:
            return bool(follower.options)  # Else it is not known what was asked for.
        return core.floor.newest == record.id and core.floor.active is None and not core.is_spoken_to

    def _replacement(self, follower: Follower, instructions: str) -> Follower | None:
        options = {**follower.options}
        options["instructions"] = with_more_instructions(self._core, options, instructions)
        metadata = {name: value for name, value in (options.pop("metadata", None) or {}).items() if name != MARK}
        if metadata:
            options["metadata"] = metadata
        manner = Manner(first=True, replaces=follower)
        return begin_response(self._core, options, Deadline(_PATIENCE), manner)


def _keep_looking(core: Core, desk: _Desk, reference: Callable[[], Guards | None]) -> None:
    """The thread."""
    try:
        while (watched := desk.next(lambda: bool(core.finished))) is not None:
            guards = reference()
            if guards is None:
                break
            try:
                guards.look(watched)
            except SessionClosed:
                desk.release(watched.follower)
            except Exception:
                logger.exception("guarding failed")
                desk.release(watched.follower)
            del guards
    finally:
        desk.closed = True
        for follower in list(desk.watched):
            desk.release(follower)


def _takes_two(check: Callable[..., Any]) -> bool:
    try:
        inspect.signature(check).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # One that is written in C, and does not say.
        return True
    return True
