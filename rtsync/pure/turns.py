"""Turns of a conversation in moments: who spoke when, how long the answer took, what was cut off.

A *turn* here is what the user said and one response to it. The rules:

1. Moments are seconds of the monotonic clock, of the arrival of an event and of the sending of one. Nothing is kept of
   what was said, only the ids of the items that hold it.
2. What the user said belongs to the response of the default conversation that begins next. What none has answered when
   the user speaks again is a turn of its own, without a response.
3. A response is told by its metadata from those that others asked for, and where a server echoes none (compatible
   servers differ), by order. One that nobody here asked for was started by voice detection, or by another client.
4. Of deltas only the first of each kind in a response matters. ``awaited`` says which may still come, so that whoever
   holds a run of them asks one question of all together.
5. Nothing is trusted, and everything is bounded: what is missing stays None, and who never ends is dropped.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from rtsync.pure.input_clock import InputClock
from rtsync.pure.runs import Run
from rtsync.pure.weight import short_text
from rtsync.vocabulary.foreign import one_line

__all__ = ["NOTED", "ToolSpan", "Turn", "Turns"]

_MOST_TURNS = 500
_MOST_OPEN = 64  # responses that have begun and not ended
_MOST_ASKED = 16  # requests that are not answered
_MOST_CALLS = 32  # of functions, that are not answered
_MOST_ITEMS = 16  # of a response
_MOST_MS = 1 << 40  # that are believed: 35 years
_HIGHEST_RATE = 1 << 20  # Hz
_LATELY = 32  # turns among which the one of an item is looked for

# The moment that the first delta of each type is, in both dialects (protocol 3.1 and 3.3).
_FIRSTS = {
    "response.output_text.delta": "first_text_at",
    "response.text.delta": "first_text_at",
    "response.output_audio_transcript.delta": "first_transcript_at",
    "response.audio_transcript.delta": "first_transcript_at",
    "response.output_audio.delta": "first_audio_at",
    "response.audio.delta": "first_audio_at",
}
_KINDS = frozenset(_FIRSTS.values())
_NOTHING = frozenset[str]()

NOTED = frozenset(
    {
        "conversation.item.create",
        "conversation.item.truncate",
        "input_audio_buffer.clear",
        "input_audio_buffer.commit",
        "response.cancel",
        "response.create",
    }
)
"""Types of client events that tell of a turn, beside appended audio."""


class ToolSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model called, or a tool of an MCP server.

    Attributes:
        name: of the function, None where the service did not say.
        called_at: when the call was complete.
        answered_at: when its output was sent, or that of an MCP server was there; None before.
    """

    name: str | None
    called_at: float
    answered_at: float | None = None

    def __repr__(self) -> str:  # The name is the model's word.
        return one_line(f"<ToolSpan {self.name!r}>")

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("called_at", self.called_at), ("answered_at", self.answered_at)]


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What the user said and one response to it, in moments: seconds of ``time.monotonic()``, None where there is none.

    Attributes:
        response_id: of the response; None where there is none: nobody has answered, or not yet.
        status: of the response: ``"in_progress"``, then the service's (protocol 5.1) or ``"lost"``; else None.
        reason: why it did not complete: ``"turn_detected"``, ``"client_cancelled"``, the code of an error, ...
        out_of_band: whether it is beside the conversation (``conversation="none"``).
        user_item_id: the item with what the user said last.
        item_ids: the items of the response, the first 16.
        speech_started_at: when the user began to speak: where voice detection heard it, told by when that sound was
            sent; or when the first audio of a turn that ``commit_audio()`` ends was sent.
        speech_ended_at: when the user's voice ended, without the silence that told so; or when it was committed.
        heard_at: when the service said that the user's turn was over.
        asked_at: when ``response.create`` was sent; None where somebody else began: voice detection, another client.
        created_at: when the response began.
        first_text_at: of text, the first delta.
        first_transcript_at: of the transcript of what is spoken, likewise.
        first_audio_at: of audio, likewise.
        played_at: when its first sample was played, as a speaker says it (``session.note_played``).
        silent_at: when it was heard to its end, or playing stopped, likewise.
        done_at: when it ended.
        interrupted_at: when it was cut off: somebody spoke, or it was cancelled.
        heard_ms: milliseconds of it that were heard, as the service was told (``conversation.item.truncate``).
        tools: calls of functions whose outputs came before this response, and of MCP servers' tools within it.
    """

    response_id: str | None = None
    status: str | None = None
    reason: str | None = None
    out_of_band: bool = False
    user_item_id: str | None = None
    item_ids: tuple[str, ...] = ()
    speech_started_at: float | None = None
    speech_ended_at: float | None = None
    heard_at: float | None = None
    asked_at: float | None = None
    created_at: float | None = None
    first_text_at: float | None = None
    first_transcript_at: float | None = None
    first_audio_at: float | None = None
    played_at: float | None = None
    silent_at: float | None = None
    done_at: float | None = None
    interrupted_at: float | None = None
    heard_ms: int | None = None
    tools: tuple[ToolSpan, ...] = ()

    @property
    def input_ended_at(self) -> float | None:
        """The moment from which the answer is waited for: the end of speech; in a turn without speech ``asked_at``."""
        moments = (self.speech_ended_at, self.heard_at, self.asked_at, self.created_at)
        return next((moment for moment in moments if moment is not None), None)

    @property
    def to_text(self) -> float | None:
        """Seconds from ``input_ended_at`` to the first text, or transcript."""
        shown = [moment for moment in (self.first_text_at, self.first_transcript_at) if moment is not None]
        return self._after_input(min(shown, default=None))

    @property
    def to_audio(self) -> float | None:
        """Seconds from ``input_ended_at`` to the first audio."""
        return self._after_input(self.first_audio_at)

    @property
    def to_played(self) -> float | None:
        """Seconds from ``input_ended_at`` to the first sample that was played."""
        return self._after_input(self.played_at)

    @property
    def done(self) -> bool:
        """Whether its response has ended."""
        return self.status is not None and self.status != "in_progress"

    def _after_input(self, moment: float | None) -> float | None:
        start = self.input_ended_at
        return None if moment is None or start is None else max(0.0, moment - start)

    def __repr__(self) -> str:  # Ids and reasons are the server's words.
        spans = (("text", self.to_text), ("audio", self.to_audio), ("played", self.to_played))
        told = "".join(f", {name} after {span:.3f} s" for name, span in spans if span is not None)
        return one_line(f"<Turn {self.response_id or '(no response)'} {self.status or 'not answered'}{told}>")

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        spans = [("to_text", self.to_text), ("to_audio", self.to_audio), ("to_played", self.to_played)]
        return [("response_id", self.response_id), ("status", self.status), *spans]


_BLANK = Turn()


class _Course:
    """A turn as it goes on."""

    __slots__ = ("_known", "_told", "cut_at", "missing")

    def __init__(self, turn: Turn) -> None:
        self.missing: frozenset[str] = frozenset()  # Of the first deltas, those that may still come.
        self.cut_at: float | None = None  # When it was last tried to cut it off.
        self._told = turn
        self._known: dict[str, Any] = {}  # What has been noted since.

    @property
    def turn(self) -> Turn:
        """As it is now."""
        if self._known:
            self._told = msgspec.structs.replace(self._told, **self._known)
            self._known = {}
        return self._told

    def note(self, name: str, value: Any) -> None:
        self._known[name] = value

    def add_item(self, item_id: object) -> None:
        known = self._known.get("item_ids") or self._told.item_ids
        if item_id not in known and short_text(item_id) is not None and len(known) < _MOST_ITEMS:
            self._known["item_ids"] = (*known, item_id)


class _Asked(msgspec.Struct, frozen=True):
    """``response.create`` as it was sent."""

    at: float
    metadata: object
    out_of_band: bool


class Turns:
    """The turns of one session, from its events and their moments.

    Attributes:
        heeds: types of server events that ``take`` wants to see now.
        awaited: types of deltas among them; see rule 4.
        ended: whether turns have ended that ``told`` has not given yet.
    """

    def __init__(self) -> None:
        self.heeds: frozenset[str] = frozenset(_RULES)
        self.awaited: frozenset[str] = frozenset()
        self.ended = False
        self._ended: list[_Course] = []
        self._courses: deque[_Course] = deque(maxlen=_MOST_TURNS)
        self._open: dict[str, _Course] = {}
        self._newest: _Course | None = None  # Of the conversation: what the user may hear.
        self._speaking: Turn | None = None  # What the user says now,
        self._said: Turn | None = None  # and has said, which nobody has answered yet.
        self._asked: dict[str, _Asked] = {}
        self._commits: dict[str, tuple[float, float | None]] = {}  # When sent, and when its first audio was.
        self._calls: dict[str, ToolSpan] = {}
        self._mcp_calls: dict[str, float] = {}  # By item: when it was complete, or began.
        self._first_append: float | None = None
        self._typed: str | None = None
        self._echoes = False
        self._clock = InputClock()
        self._bytes_per_ms = 48.0
        self._padding_ms, self._silence_ms = 0, 0

    # -- what arrives --------------------------------------------------------------------------------------------------

    def take(self, kind: str, fields: Mapping[str, Any], now: float) -> None:
        """A server event of type ``kind`` has arrived."""
        rule = _RULES.get(kind)
        if rule is not None:
            rule(self, fields, now)
        elif kind in self.awaited:
            self._take_first(kind, fields, now)

    def take_run(self, run: Run, now: float) -> None:
        """Deltas have arrived together, some of them of a type that is ``awaited``."""
        for kind in self.awaited.intersection(run.types):
            self._take_first(kind, run.data[run.kinds.index(kind)], now)

    def lose(self, now: float) -> None:
        """The line has ended, and everything that was going on with it."""
        for course in self._open.values():
            course.note("status", "lost")
            course.note("done_at", now)
            self._end(course)
        self._open.clear()
        self._newest = None
        self._await()
        self._give_up(self._speaking)
        self._give_up(self._said)
        self._speaking = self._said = self._first_append = None
        self._asked.clear()
        self._commits.clear()
        self._clock = InputClock()

    # -- what is sent --------------------------------------------------------------------------------------------------

    def append(self, audio: object, now: float) -> None:
        """Audio goes out, raw or as base64."""
        if self._first_append is None:
            self._first_append = now
        self._clock.append(audio, now)

    def sent(self, event: Mapping[str, Any], now: float) -> None:
        """A client event of a type in ``NOTED`` goes out."""
        _SENT[event["type"]](self, event, now)

    def withdraw(self, event_id: str) -> None:
        """It was not sent after all, or the service refused it."""
        self._asked.pop(event_id, None)
        self._commits.pop(event_id, None)

    # -- what a speaker tells ------------------------------------------------------------------------------------------

    def played(self, item_id: str, now: float, *, ended: bool) -> None:
        """The first sample of an item is played now, or no more of it is."""
        course = self._course_of(item_id)
        if course is None:
            return
        if ended:
            course.note("silent_at", now)
            if course is self._newest:
                self._newest = None
        elif course.turn.played_at is None:  # A device that wakes late counts from when it should have woken.
            course.note("played_at", max(now, course.turn.first_audio_at or now))

    # -- what is known -------------------------------------------------------------------------------------------------

    def told(self, wanted: bool = True) -> list[Turn]:
        """The turns that have ended since the last call; none where that is not ``wanted``."""
        ended, self._ended, self.ended = self._ended, [], False
        return [course.turn for course in ended] if wanted else []

    def listed(self) -> tuple[Turn, ...]:
        """The newest 500 turns in the order of their beginning, those that go on included."""
        unanswered = [turn for turn in (self._said, self._speaking) if turn is not None]
        return (*(course.turn for course in self._courses), *unanswered)

    @property
    def last(self) -> Turn | None:
        """The newest turn of the conversation whose response has ended."""
        turns = (course.turn for course in reversed(self._courses))
        return next((turn for turn in turns if turn.done and not turn.out_of_band), None)

    # -- the user ------------------------------------------------------------------------------------------------------

    def _on_session(self, event: Mapping[str, Any], _now: float) -> None:
        hearing = _object(_object(_object(event.get("session")).get("audio")).get("input"))
        form, detection = _object(hearing.get("format")), _object(hearing.get("turn_detection"))
        if form:
            rate = form.get("rate")
            pcm = form.get("type") == "audio/pcm"
            hertz = rate if type(rate) is int and 0 < rate < _HIGHEST_RATE else 24_000
            self._bytes_per_ms = hertz / 500 if pcm else 8.0
        self._padding_ms, self._silence_ms = _ms(detection, "prefix_padding_ms"), _ms(detection, "silence_duration_ms")

    def _on_speech_started(self, event: Mapping[str, Any], now: float) -> None:
        self._give_up(self._speaking)
        self._give_up(self._said)
        self._said = None
        offset = event.get("audio_start_ms")
        padding = self._padding_ms if offset else 0  # What would begin before the audio begins at 0.
        started = self._moment(offset, padding, now)
        self._speaking = Turn(user_item_id=short_text(event.get("item_id")), speech_started_at=started)
        if self._newest is not None:
            self._newest.cut_at = now

    def _on_speech_stopped(self, event: Mapping[str, Any], now: float) -> None:
        spoken = self._speaking or Turn(user_item_id=short_text(event.get("item_id")))
        self._speaking = None
        self._give_up(self._said)
        ended = self._moment(event.get("audio_end_ms"), -self._silence_ms, now)
        ended = max(ended, spoken.speech_started_at or ended)
        self._said = msgspec.structs.replace(spoken, speech_ended_at=ended, heard_at=now)

    def _on_committed(self, event: Mapping[str, Any], now: float) -> None:
        commit = self._commits.pop(next(iter(self._commits))) if self._commits else None
        item_id = short_text(event.get("item_id"))
        if self._said is not None and (commit is None or (item_id is not None and item_id == self._said.user_item_id)):
            return  # Its speech was said to have stopped.
        ended, first = commit or (None, None)
        spoken = self._speaking or Turn(user_item_id=item_id, speech_started_at=first)
        self._speaking = None
        self._give_up(self._said)
        self._said = msgspec.structs.replace(spoken, speech_ended_at=ended, heard_at=now)

    def _on_cleared(self, _event: Mapping[str, Any], _now: float) -> None:
        self._speaking = None

    def _moment(self, offset_ms: object, correction_ms: int, now: float) -> float:
        """When the sound at an offset was sent, but not later than ``now``, which it is where that is not known."""
        offset = _checked_ms(offset_ms)
        if offset is None:
            return now
        found = self._clock.moment(max(0, offset + correction_ms), self._bytes_per_ms)
        return now if found is None else min(now, found)

    def _give_up(self, turn: Turn | None) -> None:
        """Nobody will answer what the user said there."""
        if turn is not None:
            course = _Course(turn)
            self._courses.append(course)
            self._end(course)

    def _end(self, course: _Course) -> None:
        self.ended = True
        self._ended.append(course)

    # -- responses -----------------------------------------------------------------------------------------------------

    def _on_created(self, event: Mapping[str, Any], now: float) -> None:
        response = _object(event.get("response"))
        response_id = short_text(response.get("id"))
        if response_id is None or response_id in self._open:
            return
        course = self._begin(response_id, response)
        course.note("created_at", now)
        course.missing = _KINDS
        self._open[response_id] = course
        if len(self._open) > _MOST_OPEN:
            del self._open[next(iter(self._open))]
        self._await()

    def _begin(self, response_id: str, response: Mapping[str, Any]) -> _Course:
        asked = self._request_of(response)
        if "conversation_id" in response:
            beside = response["conversation_id"] is None
        else:  # Preview says nothing of it.
            beside = asked is not None and asked.out_of_band
        if beside:
            course = _Course(_BLANK)
        else:
            course = self._newest = self._answer()
        course.note("response_id", response_id)
        course.note("status", "in_progress")
        course.note("out_of_band", beside)
        if asked is not None:
            course.note("asked_at", asked.at)
        self._courses.append(course)
        return course

    def _answer(self) -> _Course:
        """A response that answers what the user said or typed last, and has the outputs of functions."""
        course = _Course(self._said or _BLANK)
        if self._said is None and self._typed is not None:
            course.note("user_item_id", self._typed)
        self._said = self._typed = None
        answered = [call_id for call_id, call in self._calls.items() if call.answered_at is not None]
        if answered:
            course.note("tools", tuple(map(self._calls.pop, answered)))
        return course

    def _request_of(self, response: Mapping[str, Any]) -> _Asked | None:
        """The request that a response answers, by its metadata, else by order where the server echoes none."""
        metadata = _object(response.get("metadata"))
        self._echoes = self._echoes or bool(metadata)
        for event_id, asked in self._asked.items():
            if _object(asked.metadata) == metadata or not (metadata or self._echoes):
                return self._asked.pop(event_id)
        return None

    def _take_first(self, kind: str, fields: Mapping[str, Any], now: float) -> None:
        course, name = self._course_named(fields), _FIRSTS[kind]
        if course is not None and name in course.missing:
            course.missing -= {name}
            course.note(name, now)
            course.add_item(fields.get("item_id"))
            self._await()

    def _await(self) -> None:
        """Which deltas may still be the first of their kind has changed."""
        missing = _NOTHING
        for course in self._open.values():
            missing |= course.missing
        self.awaited, self.heeds = _wanted(missing)

    def _on_item_added(self, event: Mapping[str, Any], now: float) -> None:
        item = _object(event.get("item"))
        course, item_id = self._course_named(event), short_text(item.get("id"))
        if course is not None:
            course.add_item(item_id)
        if item.get("type") == "mcp_call" and item_id is not None:
            self._mcp_calls[item_id] = now
            _trim(self._mcp_calls, _MOST_CALLS)

    def _on_mcp_running(self, event: Mapping[str, Any], now: float) -> None:
        item_id = event.get("item_id")
        if type(item_id) is str and item_id in self._mcp_calls:
            self._mcp_calls[item_id] = now

    def _on_item_done(self, event: Mapping[str, Any], now: float) -> None:
        item = _object(event.get("item"))
        course, item_id = self._course_named(event), short_text(item.get("id"))
        if course is not None:
            course.add_item(item_id)
        call_id, name = short_text(item.get("call_id")), short_text(item.get("name"))
        if item.get("type") == "function_call" and call_id is not None:
            self._calls[call_id] = ToolSpan(name=name, called_at=now)
            _trim(self._calls, _MOST_CALLS)
        elif item.get("type") == "mcp_call" and item_id is not None:
            call = ToolSpan(name=name, called_at=self._mcp_calls.pop(item_id, now), answered_at=now)
            if course is not None and len(course.turn.tools) < _MOST_CALLS:
                course.note("tools", (*course.turn.tools, call))

    def _course_named(self, event: Mapping[str, Any]) -> _Course | None:
        """The response that goes on and that an event names."""
        response_id = event.get("response_id")
        return self._open.get(response_id) if type(response_id) is str else None

    def _on_done(self, event: Mapping[str, Any], now: float) -> None:
        response = _object(event.get("response"))
        response_id = short_text(response.get("id"))
        if response_id is None:
            return
        course = self._open.pop(response_id, None)
        if course is None:
            if any(known.turn.response_id == response_id for known in self._lately()):
                return  # A server that says it twice.
            course = self._begin(response_id, response)
        status = short_text(response.get("status"))
        status = "completed" if status in (None, "in_progress") else status
        course.note("status", status)
        course.note("reason", _reason(response.get("status_details")))
        course.note("done_at", now)
        if status == "cancelled":
            course.note("interrupted_at", now if course.cut_at is None else course.cut_at)
        self._end(course)
        self._await()

    def _on_truncated(self, event: Mapping[str, Any], now: float) -> None:
        course, heard = self._course_of(event.get("item_id")), _checked_ms(event.get("audio_end_ms"))
        if course is not None and heard is not None:
            cut = course.turn.interrupted_at or course.cut_at
            course.note("heard_ms", heard)
            course.note("interrupted_at", now if cut is None else cut)

    def _on_error(self, event: Mapping[str, Any], _now: float) -> None:
        error = _object(event.get("error"))
        event_id, code = error.get("event_id"), error.get("code")
        if type(event_id) is str:
            self.withdraw(event_id)
        elif code == "conversation_already_has_active_response" and self._asked:
            del self._asked[next(iter(self._asked))]
        elif code == "input_audio_buffer_commit_empty" and self._commits:
            del self._commits[next(iter(self._commits))]

    # -- what was sent -------------------------------------------------------------------------------------------------

    def _sent_commit(self, event: Mapping[str, Any], now: float) -> None:
        self._commits[event["event_id"]] = now, self._first_append
        self._first_append = None
        _trim(self._commits, _MOST_ASKED)

    def _sent_clear(self, _event: Mapping[str, Any], _now: float) -> None:
        self._first_append = None

    def _sent_create(self, event: Mapping[str, Any], now: float) -> None:
        options = _object(event.get("response"))
        self._asked[event["event_id"]] = _Asked(now, options.get("metadata"), options.get("conversation") == "none")
        _trim(self._asked, _MOST_ASKED)

    def _sent_cancel(self, event: Mapping[str, Any], now: float) -> None:
        named = event.get("response_id")
        running = (course for course in self._open.values() if not course.turn.out_of_band)
        course = self._open.get(named) if type(named) is str else next(running, None)
        if course is not None:
            course.cut_at = now

    def _sent_truncate(self, event: Mapping[str, Any], now: float) -> None:
        course = self._course_of(event.get("item_id"))
        if course is not None:
            course.cut_at = now

    def _sent_item(self, event: Mapping[str, Any], now: float) -> None:
        item = _object(event.get("item"))
        if item.get("type") == "function_call_output":
            call_id = item.get("call_id")
            call = self._calls.get(call_id) if type(call_id) is str else None
            if call is not None and type(call_id) is str:
                self._calls[call_id] = msgspec.structs.replace(call, answered_at=now)
        elif item.get("role") == "user":
            self._typed = short_text(item.get("id"))

    # -- which turn ----------------------------------------------------------------------------------------------------

    def _lately(self) -> Iterator[_Course]:
        """The newest turns, newest first."""
        return (course for _, course in zip(range(_LATELY), reversed(self._courses), strict=False))

    def _course_of(self, item_id: object) -> _Course | None:
        return next((course for course in self._lately() if item_id in course.turn.item_ids), None)


@functools.cache
def _wanted(missing: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The types of deltas that may be the first of a kind in ``missing``, and all types that are to be seen then."""
    awaited = frozenset(kind for kind, name in _FIRSTS.items() if name in missing)
    return awaited, awaited.union(_RULES)


def _object(value: object) -> Mapping[str, Any]:
    if type(value) is dict:  # As almost always, and much faster asked.
        return value
    return value if isinstance(value, Mapping) else {}


def _ms(detection: Mapping[str, Any], name: str) -> int:
    value = _checked_ms(detection.get(name)) if detection.get("type") == "server_vad" else None
    return value or 0


def _checked_ms(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < _MOST_MS else None


def _reason(details: object) -> str | None:
    found = _object(details)
    error = _object(found.get("error"))
    return short_text(found.get("reason")) or short_text(error.get("code")) or short_text(error.get("type"))


def _trim(known: dict[str, Any], most: int) -> None:
    if len(known) > most:
        del known[next(iter(known))]


_RULES: dict[str, Callable[[Turns, Mapping[str, Any], float], None]] = {
    "conversation.item.truncated": Turns._on_truncated,
    "error": Turns._on_error,
    "input_audio_buffer.cleared": Turns._on_cleared,
    "input_audio_buffer.committed": Turns._on_committed,
    "input_audio_buffer.speech_started": Turns._on_speech_started,
    "input_audio_buffer.speech_stopped": Turns._on_speech_stopped,
    "response.created": Turns._on_created,
    "response.done": Turns._on_done,
    "response.mcp_call.in_progress": Turns._on_mcp_running,
    "response.output_item.added": Turns._on_item_added,
    "response.output_item.done": Turns._on_item_done,
    "session.created": Turns._on_session,
    "session.updated": Turns._on_session,
}

_SENT: dict[str, Callable[[Turns, Mapping[str, Any], float], None]] = {
    "conversation.item.create": Turns._sent_item,
    "conversation.item.truncate": Turns._sent_truncate,
    "input_audio_buffer.clear": Turns._sent_clear,
    "input_audio_buffer.commit": Turns._sent_commit,
    "response.cancel": Turns._sent_cancel,
    "response.create": Turns._sent_create,
}
