"""Turns from events and moments, by a clock that the test moves."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtsync.pure.runs import Run
from rtsync.pure.timeline import timeline_page
from rtsync.pure.turns import NOTED, Turn, Turns

Json = dict[str, Any]
BYTES_PER_MS = 48  # PCM16 at 24 kHz


class Told:
    """A conversation as a session tells of it: what is sent, what arrives, and when."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.now = 100.0
        self.ended: list[Turn] = []
        self._ids = 0

    def at(self, moment: float) -> Told:
        """Seconds since the beginning."""
        self.now = 100.0 + moment
        return self

    def sent(self, kind: str, **fields: Any) -> str:
        self._ids += 1
        event_id = f"event_{self._ids}"
        self.turns.sent({"type": kind, "event_id": event_id, **fields}, self.now)
        return event_id

    def came(self, kind: str, **fields: Any) -> None:
        if kind in self.turns.heeds:
            self.turns.take(kind, fields, self.now)
        self.ended += self.turns.told()

    def ran(self, *deltas: Json) -> None:
        """Deltas that arrived together."""
        run = Run(list(deltas), [delta["type"] for delta in deltas], [1] * len(deltas))
        run.number(1)
        if not self.turns.awaited.isdisjoint(run.types):
            self.turns.take_run(run, self.now)

    def spoke(self, duration_ms: int, *, coded: bool = False) -> None:
        """Audio goes out at the pace of speech, in chunks of 40 ms, from this moment on."""
        start = self.now
        for offset in range(0, duration_ms, 40):
            self.now = start + offset / 1000
            chunk = bytes(40 * BYTES_PER_MS)
            self.turns.append(base64.b64encode(chunk).decode() if coded else chunk, self.now)
        self.now = start + duration_ms / 1000

    def created(self, response_id: str = "r1", **fields: Any) -> None:
        self.came("response.created", response={"id": response_id, "status": "in_progress", **fields})

    def done(self, response_id: str = "r1", status: str = "completed", **fields: Any) -> None:
        self.came("response.done", response={"id": response_id, "status": status, **fields})

    def item(self, item_id: str, response_id: str = "r1", **fields: Any) -> None:
        for step in ("added", "done"):
            self.came(f"response.output_item.{step}", response_id=response_id, item={"id": item_id, **fields})

    @property
    def only(self) -> Turn:
        (turn,) = self.turns.listed()
        return turn


def delta(kind: str, response_id: str = "r1", item_id: str = "i1") -> Json:
    return {"type": kind, "response_id": response_id, "item_id": item_id, "delta": "x"}


def configured(**detection: Any) -> Json:
    form = {"type": "audio/pcm", "rate": 24000}
    return {"audio": {"input": {"format": form, "turn_detection": detection or None}}}


def listening() -> Told:
    told = Told()
    told.came("session.created", session=configured(type="server_vad", prefix_padding_ms=300, silence_duration_ms=500))
    return told


def near(moment: float) -> Any:
    """A moment as `Told.at` counts."""
    return pytest.approx(100.0 + moment, abs=0.045)


# -- a turn of text ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["response.output_text.delta", "response.text.delta"])
def test_a_turn_of_text_is_counted_from_the_request(kind: str) -> None:
    told = Told()
    told.sent("conversation.item.create", item={"id": "u1", "type": "message", "role": "user"})
    told.at(1).sent("response.create")
    told.at(1.1).created()
    told.at(1.4).ran(delta(kind), delta(kind))
    told.at(1.9).ran(delta(kind))
    told.at(2).done()
    turn = told.only
    assert (turn.response_id, turn.status, turn.user_item_id, turn.item_ids) == ("r1", "completed", "u1", ("i1",))
    assert (turn.asked_at, turn.created_at, turn.first_text_at, turn.done_at) == (101.0, 101.1, 101.4, 102.0)
    assert turn.to_text == pytest.approx(0.4)
    assert (turn.to_audio, turn.to_played, turn.interrupted_at) == (None, None, None)
    assert told.ended == [turn] == [told.turns.last]


def test_deltas_one_by_one_count_as_those_in_runs() -> None:
    told = Told()
    told.created()
    told.at(1).came("response.output_text.delta", response_id="r1")
    told.at(2).came("response.output_text.delta", response_id="r1")
    assert told.only.first_text_at == 101.0


def test_after_the_first_of_its_kind_nobody_asks_for_more() -> None:
    told = Told()
    assert told.turns.awaited == frozenset()
    told.created()
    told.ran(delta("response.output_text.delta"))
    assert not any("text" in kind for kind in told.turns.awaited if "transcript" not in kind)
    assert "response.output_audio.delta" in told.turns.awaited
    told.done()
    assert told.turns.awaited == frozenset()


# -- a turn that is spoken ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coded", [False, True], ids=["raw", "base64"])
def test_voice_detection_is_told_by_the_moments_at_which_its_sound_was_sent(coded: bool) -> None:
    told = listening()
    told.at(10).spoke(1300, coded=coded)
    told.came("input_audio_buffer.speech_started", audio_start_ms=700, item_id="u1")  # Speech from 1000 ms on.
    told.spoke(1700, coded=coded)
    told.came("input_audio_buffer.speech_stopped", audio_end_ms=3000, item_id="u1")  # Until 2500 ms.
    told.came("input_audio_buffer.committed", item_id="u1")
    told.at(13.2).created()
    told.at(13.4).ran(
        delta("response.output_audio_transcript.delta"),
        delta("response.output_audio.delta"),
        delta("response.output_audio.delta"),
    )
    told.at(13.5).turns.played("i1", told.now, ended=False)
    told.at(14).done()
    told.at(16).turns.played("i1", told.now, ended=True)
    turn = told.only
    assert (turn.user_item_id, turn.asked_at, turn.status) == ("u1", None, "completed")
    assert (turn.speech_started_at, turn.speech_ended_at) == (near(11.0), near(12.5))
    assert turn.heard_at == near(13.0)
    assert (turn.first_transcript_at, turn.first_audio_at, turn.played_at, turn.silent_at) == (113.4, 113.4, 113.5, 116)
    assert turn.to_audio == pytest.approx(0.9, abs=0.045)
    assert turn.to_played == pytest.approx(1.0, abs=0.045)


def test_a_pause_in_the_stream_moves_nothing() -> None:
    told = listening()
    told.at(0).spoke(1000)
    told.at(60).spoke(1000)  # 1000 to 2000 ms, a minute later.
    told.came("input_audio_buffer.speech_started", audio_start_ms=1200, item_id="u1")
    told.spoke(700)
    told.came("input_audio_buffer.speech_stopped", audio_end_ms=2600, item_id="u1")
    assert (told.only.speech_started_at, told.only.speech_ended_at) == (near(60.5), near(61.1))


def test_what_is_sent_at_once_ends_when_it_was_sent() -> None:
    told = listening()
    for _ in range(100):
        told.turns.append(bytes(40 * BYTES_PER_MS), told.now)
    told.at(0.01).came("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
    told.came("input_audio_buffer.speech_stopped", audio_end_ms=3000, item_id="u1")
    assert told.only.speech_ended_at == 100.01
    assert told.only.heard_at == 100.01


@pytest.mark.parametrize("offset", [None, "700", 10**9, True, -1, 10**400], ids=str)
def test_offsets_that_cannot_be_counted_are_the_moment_of_the_event(offset: object) -> None:
    told = listening()
    told.spoke(1000)
    told.at(5).came("input_audio_buffer.speech_started", audio_start_ms=offset, item_id="u1")
    told.at(6).came("input_audio_buffer.speech_stopped", audio_end_ms=offset, item_id="u1")
    assert (told.only.speech_started_at, told.only.speech_ended_at) == (105.0, 106.0)


def test_a_turn_that_is_committed_ends_with_the_commit() -> None:
    told = Told()
    told.at(1).spoke(2000)
    told.at(3.1).sent("input_audio_buffer.commit")
    told.at(3.2).came("input_audio_buffer.committed", item_id="u1")
    told.at(3.3).sent("response.create")
    told.at(3.4).created()
    told.at(3.6).ran(delta("response.audio.delta"))
    turn = told.only
    assert (turn.speech_started_at, turn.speech_ended_at, turn.heard_at, turn.asked_at) == (101, 103.1, 103.2, 103.3)
    assert turn.to_audio == pytest.approx(0.5)
    assert (turn.status, turn.done, told.ended) == ("in_progress", False, [])


def test_a_commit_that_is_refused_ends_nothing() -> None:
    told = Told()
    event_id = told.sent("input_audio_buffer.commit")
    told.came("error", error={"code": "input_audio_buffer_commit_empty", "event_id": event_id})
    told.sent("input_audio_buffer.commit")
    told.came("error", error={"code": "input_audio_buffer_commit_empty", "event_id": None})
    told.at(2).came("input_audio_buffer.committed", item_id="u1")  # The idle time was over (protocol 4.2).
    assert (told.only.speech_ended_at, told.only.heard_at, told.only.input_ended_at) == (None, 102.0, 102.0)


def test_a_commit_by_hand_ends_the_speech_that_was_heard() -> None:
    told = listening()
    told.at(1).came("input_audio_buffer.speech_started", item_id="u1")
    told.at(2).sent("input_audio_buffer.commit")
    told.at(2.1).came("input_audio_buffer.committed", item_id="u1")
    assert (told.only.speech_started_at, told.only.speech_ended_at) == (101.0, 102.0)


def test_speech_that_nobody_answers_is_a_turn_without_a_response() -> None:
    told = listening()
    for number in (1, 2):
        told.at(number).came("input_audio_buffer.speech_started", item_id=f"u{number}")
        told.at(number + 0.5).came("input_audio_buffer.speech_stopped", item_id=f"u{number}")
    assert [(turn.user_item_id, turn.status) for turn in told.turns.listed()] == [("u1", None), ("u2", None)]
    assert [turn.user_item_id for turn in told.ended] == ["u1"]
    assert told.turns.last is None


# -- interruptions -----------------------------------------------------------------------------------------------------


def answering() -> Told:
    """A response that is being spoken."""
    told = listening()
    told.created()
    told.item("i1")
    told.at(1).ran(delta("response.output_audio.delta"))
    return told


def test_somebody_speaks_while_the_answer_comes() -> None:
    told = answering()
    told.at(2).came("input_audio_buffer.speech_started", item_id="u2")
    told.at(2.2).done(status="cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})
    told.at(2.3).sent("conversation.item.truncate", item_id="i1", audio_end_ms=820)
    told.at(2.4).came("conversation.item.truncated", item_id="i1", audio_end_ms=820)
    told.at(3).came("input_audio_buffer.speech_stopped", item_id="u2")
    told.at(3.1).created("r2")
    first, second = told.turns.listed()
    assert (first.status, first.reason, first.interrupted_at, first.heard_ms) == (
        "cancelled", "turn_detected", 102.0, 820,
    )  # fmt: skip
    assert (second.response_id, second.user_item_id, second.speech_started_at) == ("r2", "u2", 102.0)


def test_somebody_speaks_while_the_rest_of_a_finished_answer_is_played() -> None:
    told = answering()
    told.at(1.5).done()
    told.at(4).came("input_audio_buffer.speech_started", item_id="u2")
    told.at(4.2).came("conversation.item.truncated", item_id="i1", audio_end_ms=3000)
    first = told.turns.listed()[0]
    assert (first.status, first.done_at, first.interrupted_at, first.heard_ms) == ("completed", 101.5, 104.0, 3000)
    assert told.ended[0].interrupted_at is None  # As it was then.


def test_whoever_has_heard_all_interrupts_nothing() -> None:
    told = answering()
    told.at(1.5).done()
    told.turns.played("i1", 103.0, ended=True)
    told.at(4).came("input_audio_buffer.speech_started", item_id="u2")
    assert told.turns.listed()[0].interrupted_at is None


@pytest.mark.parametrize("named", [{"response_id": "r1"}, {}], ids=["named", "the one that is running"])
def test_an_answer_that_is_cancelled_is_cut_off_when_that_was_asked(named: Json) -> None:
    told = answering()
    told.at(2).sent("response.cancel", **named)
    told.at(2.5).done(status="cancelled", status_details={"reason": "client_cancelled"})
    assert (told.only.interrupted_at, told.only.reason) == (102.0, "client_cancelled")


def test_a_word_in_between_is_no_interruption_and_what_comes_later_is() -> None:
    told = answering()
    told.at(2).came("input_audio_buffer.speech_started", item_id="u2")  # With `interrupt_response` off.
    told.at(3).done()
    told.at(7).sent("conversation.item.truncate", item_id="i1", audio_end_ms=5900)
    told.at(7.1).came("conversation.item.truncated", item_id="i1", audio_end_ms=5900)
    assert told.turns.listed()[0].interrupted_at == 107.0


def test_an_answer_that_somebody_else_cancels_is_cut_off_at_its_end() -> None:
    told = answering()
    told.at(2).done(status="cancelled", status_details="odd")
    assert (told.only.interrupted_at, told.only.reason) == (102.0, None)


def test_a_failure_is_no_interruption() -> None:
    told = answering()
    details = {"type": "failed", "error": {"type": "server_error", "code": "overloaded", "message": "No."}}
    told.at(2).done(status="failed", status_details=details)
    assert (told.only.status, told.only.reason, told.only.interrupted_at) == ("failed", "overloaded", None)


# -- whose response it is ----------------------------------------------------------------------------------------------


def test_responses_beside_the_conversation_answer_nobody() -> None:
    told = listening()
    told.came("input_audio_buffer.speech_stopped", item_id="u1")
    told.at(1).sent("response.create", response={"conversation": "none", "metadata": {"rtsync": "1"}})
    told.at(2).created("beside", conversation_id=None, metadata={"rtsync": "1"})
    told.at(3).created("main", conversation_id="conv", metadata=None)
    told.at(4).ran(delta("response.output_text.delta", "beside"), delta("response.output_audio.delta", "main"))
    told.at(5).done("main")
    told.at(6).done("beside")
    beside, main = told.turns.listed()
    assert (beside.out_of_band, beside.asked_at, beside.user_item_id, beside.to_text) == (True, 101.0, None, 3.0)
    assert (main.out_of_band, main.asked_at, main.user_item_id, main.first_text_at) == (False, None, "u1", None)
    assert main.first_audio_at == 104.0
    assert told.turns.last == main


def test_a_response_of_voice_detection_takes_nobodys_request() -> None:
    told = Told()
    told.sent("response.create", response={"metadata": {"rtsync": "0"}})
    told.created("r0", metadata={"rtsync": "0"})  # It echoes.
    told.done("r0")
    told.at(1).sent("response.create", response={"metadata": {"rtsync": "1"}})
    told.at(2).created("voice", metadata=None)
    told.at(3).created("ours", metadata={"rtsync": "1"})
    assert [turn.asked_at for turn in told.turns.listed()] == [100.0, None, 101.0]


def test_where_nothing_is_echoed_requests_go_by_order() -> None:
    told = Told()
    told.at(1).sent("response.create", response={"metadata": {"rtsync": "1"}})
    told.at(2).sent("response.create", response={"metadata": {"rtsync": "2"}, "conversation": "none"})
    told.at(3).created("r1")
    told.at(4).created("r2")
    assert [(turn.asked_at, turn.out_of_band) for turn in told.turns.listed()] == [(101.0, False), (102.0, True)]


@pytest.mark.parametrize("named", [True, False], ids=["by its id", "by its code"])
def test_a_request_that_is_refused_is_nobodys(named: bool) -> None:
    told = Told()
    event_id = told.sent("response.create")
    code = "conversation_already_has_active_response"
    told.came("error", error={"code": code, "event_id": event_id if named else None})
    told.created()
    assert told.only.asked_at is None


def test_calls_of_functions_stand_at_the_answer_that_follows_them() -> None:
    told = Told()
    told.sent("response.create")
    told.created("r1")
    told.at(1).item("f1", type="function_call", name="look_up", call_id="call_1")
    told.item("f2", type="function_call", name="other", call_id="call_2")
    told.at(1.1).done("r1")
    told.at(3).sent("conversation.item.create", item={"type": "function_call_output", "call_id": "call_1"})
    told.sent("conversation.item.create", item={"type": "function_call_output", "call_id": "unknown"})
    told.at(3.5).sent("response.create")
    told.at(3.6).created("r2")
    first, second = told.turns.listed()
    assert first.tools == ()
    assert [(call.name, call.called_at, call.answered_at) for call in second.tools] == [("look_up", 101.0, 103.0)]
    assert second.input_ended_at == 103.5


def test_calls_of_mcp_servers_stand_at_the_response_that_made_them() -> None:
    told = Told()
    told.sent("response.create")
    told.created("r1")
    place = {"type": "mcp_call", "server_label": "docs", "name": "search", "id": "m1"}
    told.at(1).came("response.output_item.added", response_id="r1", item=place)
    told.at(2).came("response.mcp_call.in_progress", item_id="m1")
    told.came("response.mcp_call.in_progress", item_id=[])
    told.at(3).came("response.output_item.done", response_id="r1", item=place)
    told.came("response.output_item.done", response_id="r1", item={**place, "id": "m2"})
    told.at(4).done("r1")
    calls = [(call.name, call.called_at, call.answered_at) for call in told.only.tools]
    assert calls == [("search", 102.0, 103.0), ("search", 103.0, 103.0)]


def test_no_sample_is_played_before_it_was_there() -> None:
    told = Told()
    told.created("r1")
    told.came("response.output_item.added", response_id="r1", item={"id": "a1"})
    told.at(2).came("response.output_audio.delta", response_id="r1", item_id="a1")
    told.turns.played("a1", 101.9, ended=False)
    assert told.only.played_at == 102.0


# -- lines, and servers that leave things out ------------------------------------------------------------------------


def test_a_line_that_is_lost_takes_along_what_was_going_on() -> None:
    told = answering()
    told.sent("response.create")
    told.came("input_audio_buffer.speech_started", item_id="u2")
    told.at(2).turns.lose(told.now)
    told.ended += told.turns.told()
    assert [(turn.status, turn.done_at, turn.user_item_id) for turn in told.ended] == [
        ("lost", 102.0, None),
        (None, None, "u2"),
    ]
    told.at(3).ran(delta("response.output_text.delta"))  # Of the old response: nobody's.
    told.at(10).spoke(1000)  # Offsets count from the beginning of the new line.
    told.came("input_audio_buffer.speech_started", audio_start_ms=200, item_id="u3")
    told.at(11.5).created("r2")
    *_, new, speaking = told.turns.listed()
    assert (new.response_id, new.asked_at, new.user_item_id) == ("r2", None, None)
    assert speaking.speech_started_at == near(10.5)


def test_a_response_that_was_never_created_is_known_by_its_end() -> None:
    told = Told()
    told.at(1).sent("response.create")
    told.ran(delta("response.output_text.delta"))
    told.at(2).done()
    told.at(3).done()  # Twice.
    assert (told.only.asked_at, told.only.created_at, told.only.done_at) == (101.0, None, 102.0)
    assert len(told.ended) == 1


def test_a_response_that_is_created_twice_is_one() -> None:
    told = Told()
    told.at(1).created()
    told.at(2).created()
    assert told.only.created_at == 101.0


EVENTS = [
    "conversation.item.truncated", "error", "input_audio_buffer.cleared", "input_audio_buffer.committed",
    "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "response.created", "response.done",
    "response.output_item.added", "response.output_item.done", "response.output_text.delta", "session.created",
    "session.updated",
]  # fmt: skip
ODD: list[Any] = [
    None,
    3,
    "text",
    [],
    [1],
    {"id": 3},
    {"id": "r1"},
    {"id": "x" * 10_000},
    {"audio": []},
    {"audio": {"input": 1}},
]
SENT = sorted(NOTED)
FIELDS = [
    "response", "item", "error", "session", "audio", "input", "format", "turn_detection", "type", "rate", "id",
    "item_id", "response_id", "audio_end_ms", "audio_start_ms", "status", "status_details", "metadata",
    "conversation_id", "call_id", "silence_duration_ms", "prefix_padding_ms", "delta",
]  # fmt: skip
NAMES = ["response", "item", "error", "session", "item_id", "response_id", "audio_end_ms", "audio_start_ms"]


@pytest.mark.parametrize("kind", EVENTS)
def test_odd_events_break_nothing(kind: str) -> None:
    told = answering()
    for value in ODD:
        told.turns.take(kind, dict.fromkeys(NAMES, value), told.now)
        told.turns.take(kind, {}, told.now)
    told.at(9).sent("response.create")
    told.created("last", conversation_id="conv")
    told.at(10).done("last")
    assert told.turns.last is not None
    assert (told.turns.last.response_id, told.turns.last.done_at) == ("last", 110.0)


values = st.sampled_from(["i1", "i2", "r1", "r2", 0, 700, 10**400, -1, None, "completed", "cancelled"])
objects = st.recursive(values, lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4), max_leaves=8)
steps = st.tuples(st.sampled_from([*EVENTS, *SENT, "append", "lose", "play"]), st.dictionaries(
    st.sampled_from(FIELDS), objects, max_size=6))  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(steps, max_size=30))
def test_whatever_comes_in_whatever_order_is_borne_and_ends_once(story: list[tuple[str, Json]]) -> None:
    told = listening()
    for kind, fields in story:
        told.now += 0.1
        if kind == "append":
            told.turns.append(fields.get("item", bytes(960)), told.now)
        elif kind == "lose":
            told.turns.lose(told.now)
        elif kind == "play":
            told.turns.played("i1", told.now, ended="item" in fields)
        elif kind in SENT:
            told.sent(kind, **{name: value for name, value in fields.items() if name != "type"})
        else:
            told.came(kind, **fields)
    told.turns.lose(told.now)
    told.ended += told.turns.told()
    turns = told.turns.listed()
    assert len(told.ended) == len(turns)
    assert all(turn.done or turn.status is None for turn in turns)
    for turn in turns:
        assert turn.created_at is None or turn.done_at is None or turn.created_at <= turn.done_at
        assert turn.to_text is None or turn.to_text >= 0
    timeline_page(turns)


@pytest.mark.parametrize("value", [*ODD, {"type": "function_call_output", "call_id": []}, {"role": "user", "id": 3}])
def test_odd_things_that_are_sent_break_nothing(value: object) -> None:
    told = answering()
    for kind in ("conversation.item.create", "conversation.item.truncate", "response.cancel", "response.create"):
        told.sent(kind, item=value, response=value, item_id=value, response_id=value)
    told.turns.append(value, told.now)
    told.created("r2", metadata=value)
    told.done("r2")
    assert told.turns.last is not None


def test_what_is_kept_is_bounded() -> None:
    told = Told()
    for number in range(2_000):
        told.sent("response.create")
        told.sent("input_audio_buffer.commit")
        told.created(f"r{number}", metadata={"of": "somebody else"})
        for item in range(20):
            told.item(f"i{item}", f"r{number}", type="function_call", call_id=f"c{number}-{item}")
        told.turns.append(bytes(960), told.now + number)
    turns = told.turns
    assert len(turns.listed()) == 500
    assert len(turns.listed()[-1].item_ids) == 16
    held: list[Any] = [turns._open, turns._asked, turns._commits, turns._calls, turns._clock._marks]
    assert [len(each) for each in held] == [64, 16, 16, 32, 512]


def test_a_repr_tells_the_times_and_no_more_than_a_line() -> None:
    turn = Turn(response_id="r\x1b[2J\n1", status="completed", asked_at=1.0, first_text_at=1.25)
    assert repr(turn) == "<Turn r [2J 1 completed, text after 0.250 s>"
    assert repr(Turn()) == "<Turn (no response) not answered>"
