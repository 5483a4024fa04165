"""One simulated session: a desk behind a line, and a thread for each response and for each transcription.

Theory
------
1. The reading thread takes client events one by one; each response is generated on a thread of its own, so that client
   events are processed meanwhile.
2. ``_turn`` serialises everything that changes the desk *and* the sending of what follows from it. What is
   sent is sent in the order in which it happened; nothing else is needed for the exact order of the wire.
3. Brain, voice and ears run outside of ``_turn``. Between two of a brain's pieces it is asked whether the response is
   still wanted.
4. A cancel ends the response on the reading thread, at once; the response's thread finds it gone and ends.
5. When the line ends, every response is cancelled and its thread awaited. A brain that does not come back keeps its
   (daemon) thread; nothing it says is heard.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rtsync.simulator.brains import Brain, BrainFailed, Cancellation, CutShort, Turn
from rtsync.simulator.desk import Answer, Desk, Event, binary_frame, broken_json
from rtsync.simulator.dialect import to_wire
from rtsync.simulator.ears import Ears, EarsFailed
from rtsync.simulator.hearing import Hearing
from rtsync.simulator.ids import new_id
from rtsync.simulator.line import Line
from rtsync.simulator.mcp import McpServers
from rtsync.simulator.narration import Narration, Steps
from rtsync.simulator.refusals import EXPIRED, INTERNAL, Refused, error_event
from rtsync.simulator.responses import ResponseWriter
from rtsync.simulator.transcription import Recording
from rtsync.simulator.translation import TranslationDesk
from rtsync.simulator.voices import Voice
from rtsync.vocabulary.events import encode

__all__ = ["HeldSession", "Pace", "SimulatedSession"]

_Ending = Callable[[], list[Event]]

log = logging.getLogger("rtsync.simulator")

_numbers = itertools.count(1)
_TOKENS_PER_SECOND = 40.0
_JOIN_SECONDS = 1.0


class Pace:
    """Spreads the tokens of one response over time, as a model does; it never makes a slow brain slower.

    Args:
        tokens_per_second: 0 turns it off.
    """

    def __init__(self, tokens_per_second: float = _TOKENS_PER_SECOND) -> None:
        self._step = 1 / tokens_per_second if tokens_per_second else 0.0
        self._due = time.monotonic()

    def wait(self, cancelled: Cancellation) -> None:
        """Wait until the next token is due, or not wanted any more.

        Threads: blocks up to 1 / tokens_per_second; woken at once by a cancellation.
        """
        if self._step:
            now = time.monotonic()
            cancelled.wait(max(0.0, self._due - now))
            self._due = max(self._due, now) + self._step


@dataclass(frozen=True)
class _Running:
    """A thread at work for the session; ``response_id`` is None for a transcription."""

    response_id: str | None
    cancelled: Cancellation
    thread: threading.Thread


class HeldSession:
    """Holds one session over one line: client events in, the desk's answers out. Enough for a translation.

    Args:
        line: the accepted WebSocket.
        desk: the state of the session.
        max_session_seconds: after this the session expires; None: never.
        documented_minutes: the duration that the message of expiry names, as the real service does.
    """

    def __init__(
        self,
        line: Line,
        desk: Desk | TranslationDesk,
        *,
        max_session_seconds: float | None,
        documented_minutes: int,
    ) -> None:
        self._line = line
        self._held = desk
        self._max_session_seconds = max_session_seconds
        self._expired = EXPIRED.format(minutes=documented_minutes)
        self._turn = threading.Lock()  # the desk, and the order of what is sent

    def run(self) -> None:
        """Hold the session until the line ends.

        Threads: blocks; this is the session's reading thread.
        """
        if self._max_session_seconds is not None:
            self._line.expire_at(time.monotonic() + self._max_session_seconds, self._expire)
        with self._turn:
            self._send(self._held.greeting())
        try:
            self._line.run(self._receive)
        finally:
            self._end_threads()

    def _receive(self, message: str | bytes) -> None:
        """Answer one message of the client."""
        with self._turn:
            try:
                answer = self._answer(message)
            except Exception:
                log.exception("the simulator failed on a client event")
                answer = Answer([error_event(Refused(None, INTERNAL, kind="server_error"))])
            self._send(answer.events)
        self._follow(answer)
        if answer.close is not None:
            self._line.close(*answer.close)

    def _follow(self, answer: Answer) -> None:
        """Start what an answer starts."""

    def _end_threads(self) -> None:
        """End what was started."""

    def _answer(self, message: str | bytes) -> Answer:
        if isinstance(message, bytes | bytearray):
            return Answer([binary_frame()])
        try:
            event = json.loads(message)
        except (ValueError, RecursionError) as error:
            return Answer([broken_json(str(error))])
        return self._held.answer(event)

    def _send(self, events: list[Event]) -> None:
        """Stamp, translate and send, in order. Under ``_turn``."""
        for event in events:
            wire = to_wire(self._held.config.dialect, {"event_id": new_id("event"), **event})
            if wire is not None:
                self._line.send(encode({"type": wire["type"], **wire}).decode())

    def _expire(self) -> None:
        with self._turn:
            self._send([error_event(Refused("session_expired", self._expired))])
        self._line.close(1001, self._expired)


class SimulatedSession(HeldSession):
    """Runs one conversation or transcription over one line.

    Args:
        line: the accepted WebSocket.
        desk: the state of the session.
        brain: what answers.
        ears: what turn the user's audio into words, for transcripts and for the brain.
        voice: what says the answers; None for the voice without words.
        mcp: the MCP servers whose tools can be called.
        pace: whether deltas are spread over time.
        max_session_seconds: after this the session expires; None: never.
        documented_minutes: the duration that the message of expiry names, as the real service does.
    """

    def __init__(
        self,
        line: Line,
        desk: Desk,
        brain: Brain,
        *,
        ears: Ears,
        voice: Voice | None,
        mcp: McpServers,
        pace: bool,
        max_session_seconds: float | None,
        documented_minutes: int,
    ) -> None:
        super().__init__(line, desk, max_session_seconds=max_session_seconds, documented_minutes=documented_minutes)
        self._desk = desk
        self._brain = brain
        self._voice = voice
        self._over = Cancellation()
        self._hearing = Hearing(ears, self._over)
        self._mcp = mcp
        self._tokens_per_second = _TOKENS_PER_SECOND if pace else 0.0
        self._running: list[_Running] = []  # used by the reading thread only

    def _follow(self, answer: Answer) -> None:
        self._stop_ended()
        for recording in answer.recorded:
            self._start("transcription", self._transcribe, recording)
        for writer in answer.started:
            if self._desk.is_active(writer.id):  # A later turn in the same audio may have interrupted it.
                self._start("response", self._generate, writer)

    def _start(self, kind: str, work: Callable[[Any, Cancellation], None], subject: ResponseWriter | Recording) -> None:
        cancelled = Cancellation()
        thread = threading.Thread(
            target=work,
            args=(subject, cancelled),
            name=f"rtsync-simulator-{kind}-{next(_numbers)}",
            daemon=True,
        )
        response_id = subject.id if isinstance(subject, ResponseWriter) else None
        self._running.append(_Running(response_id, cancelled, thread))
        thread.start()

    def _stop_ended(self) -> None:
        """Cancel the brains of responses that the desk has ended, and forget threads that are done."""
        for running in self._running:
            if running.response_id is not None and not self._desk.is_active(running.response_id):
                running.cancelled.set()
        self._running = [running for running in self._running if running.thread.is_alive()]

    def _end_threads(self) -> None:
        self._over.set()
        for running in self._running:
            running.cancelled.set()
        until = time.monotonic() + _JOIN_SECONDS
        for running in self._running:
            running.thread.join(max(0.0, until - time.monotonic()))

    def _transcribe(self, recording: Recording, cancelled: Cancellation) -> None:
        """Transcribe one item: the body of its thread."""
        try:
            text = self._hearing.words(recording)
        except EarsFailed as failure:
            step = functools.partial(self._desk.not_transcribed, recording, str(failure))
        except Exception as error:
            log.exception("the transcriber failed")
            step = functools.partial(self._desk.not_transcribed, recording, f"The transcriber failed: {error}")
        else:
            step = functools.partial(self._desk.transcribed, recording, text)
        with self._turn:
            if not cancelled():
                self._send(step())

    def _generate(self, writer: ResponseWriter, cancelled: Cancellation) -> None:
        """Generate one response: the body of its thread."""
        try:
            ending = self._speak(writer, cancelled)
        except BrainFailed as failure:
            ending = functools.partial(self._desk.end, writer.id, failure.details())
        except Exception:
            if not cancelled():
                log.exception("the brain failed")
            error = {"type": "server_error", "code": None, "message": INTERNAL}
            ending = functools.partial(self._desk.end, writer.id, error)
        self._do(cancelled, writer.id, ending)

    def _speak(self, writer: ResponseWriter, cancelled: Cancellation) -> _Ending:
        """Send what the brain says, until it ends or nobody wants it; the step that ends the response."""
        narration = Narration(self._desk, writer, self._mcp, self._voice, cancelled)
        take = functools.partial(self._take, writer.id, Pace(self._tokens_per_second), cancelled)
        ending: _Ending = functools.partial(self._desk.end, writer.id)
        try:
            for piece in self._brain(self._turn_for(writer, cancelled)):
                if not take(narration.steps(piece)):
                    return ending
        except CutShort as cut:
            ending = functools.partial(self._desk.cut_short, writer.id, cut.reason)
        take(narration.rest())
        return ending

    def _take(self, response_id: str, pace: Pace, cancelled: Cancellation, steps: Steps) -> bool:
        """Take ``steps``; False as soon as the response is over."""
        with contextlib.closing(steps):
            for step in steps:
                if step.is_token:
                    pace.wait(cancelled)
                if not self._do(cancelled, response_id, step.take):
                    return False
        return True

    def _turn_for(self, writer: ResponseWriter, cancelled: Cancellation) -> Turn:
        options = writer.options
        return Turn(
            instructions=options.instructions,
            items=tuple(self._hearing.with_words(item) for item in options.items),
            tools=tuple(options.tools),
            tool_choice=options.tool_choice,
            modality=options.modality,
            parallel_tool_calls=options.parallel_tool_calls,
            max_output_tokens=options.max_output_tokens,
            temperature=options.temperature,
            model=self._desk.config.model,
            metadata=options.metadata,
            cancelled=cancelled,
        )

    def _do(self, cancelled: Cancellation, response_id: str, step: _Ending) -> bool:
        """Take one step of a response and send what follows; False when the response is over."""
        with self._turn:
            if cancelled() or not self._desk.is_active(response_id):
                return False
            self._send(step())
            return self._desk.is_active(response_id)
