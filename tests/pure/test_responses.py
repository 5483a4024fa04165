"""Responses as they grow, and the ledger that tells them apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtsync.pure.responses import Ledger, Record
from rtsync.vocabulary.events import Event

# On a busy machine an example may take long; that says nothing about the code.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MARK = "mark"


def created(response_id: str, mark: str | None = None, **fields: Any) -> Event:
    metadata = {MARK: mark} if mark is not None else None
    return Event(
        {"type": "response.created", "response": {"id": response_id, "status": "in_progress", "metadata": metadata}
         | fields}
    )  # fmt: skip


def done(response_id: str, mark: str | None = None, **fields: Any) -> Event:
    metadata = {MARK: mark} if mark is not None else None
    response = {"id": response_id, "status": "completed", "output": [], "metadata": metadata} | fields
    return Event({"type": "response.done", "response": response})


def delta(kind: str, text: str, response_id: str = "r", **fields: Any) -> Event:
    return Event({"type": f"response.{kind}.delta", "response_id": response_id, "delta": text, **fields})


def message(*parts: dict[str, Any], item_id: str = "i") -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": list(parts)}


def told(*events: Event) -> Record:
    record = Record("m")
    for event in events:
        record.apply(event)
    return record


def asked(ledger: Ledger, mark: str, *, out_of_band: bool = False) -> Record:
    record = Record(mark, out_of_band=out_of_band)
    ledger.request(record)
    return record


# -- one response --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "piece"),
    [
        ("output_text", "text"),
        ("text", "text"),
        ("output_audio_transcript", "transcript"),
        ("audio_transcript", "transcript"),
        ("output_audio", "audio"),
        ("audio", "audio"),
        ("function_call_arguments", "arguments"),
    ],
)
def test_deltas_of_both_dialects_are_pieces(kind: str, piece: str) -> None:
    record = told(created("r"), delta(kind, "one "), delta(kind, "two"))
    assert record.pieces == [(piece, "one "), (piece, "two")]
    assert record.joined(piece) == "one two"


def test_pieces_keep_the_order_in_which_text_and_audio_came() -> None:
    events = [delta("output_audio_transcript", "Hi"), delta("output_audio", "AAAA"), delta("output_audio", "BBBB")]
    record = told(created("r"), *events, delta("output_audio_transcript", " there"))
    assert [kind for kind, _ in record.pieces] == ["transcript", "audio", "audio", "transcript"]
    assert (record.transcript, record.joined("audio"), record.text) == ("Hi there", "AAAABBBB", "")


@pytest.mark.parametrize("part", ["output_text", "text"])
def test_the_text_is_what_was_said_so_far_and_then_the_final_one(part: str) -> None:
    record = told(created("r"), delta("output_text", "Hi th"))
    assert (record.text, record.done) == ("Hi th", False)
    record.apply(done("r", output=[message({"type": part, "text": "Hi there!"})]))
    assert (record.text, record.done) == ("Hi there!", True)


@pytest.mark.parametrize("part", ["output_audio", "audio"])
def test_the_transcript_ends_as_response_done_has_it(part: str) -> None:
    record = told(created("r"), delta("audio_transcript", "Hi"))
    record.apply(done("r", output=[message({"type": part, "transcript": "Hi there!"})]))
    assert (record.transcript, record.text) == ("Hi there!", "")


def test_several_items_and_parts_are_joined_in_order() -> None:
    first = message({"type": "output_text", "text": "a"}, {"type": "output_audio", "transcript": "X"})
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    second = message({"type": "output_audio", "transcript": "Y"}, {"type": "output_text", "text": "b"})
    record = told(created("r"), done("r", output=[first, call, second]))
    assert (record.text, record.transcript) == ("ab", "XY")
    assert record.items == [first, call, second]


def test_a_response_without_output_keeps_what_its_deltas_and_items_said() -> None:
    item = message({"type": "output_text", "text": "Hi"})
    events = [
        Event({"type": "response.output_item.done", "output_index": 1, "item": {"id": "second"}}),
        Event({"type": "response.output_item.added", "output_index": 0, "item": {"id": "i", "content": []}}),
        Event({"type": "response.output_item.done", "output_index": 0, "item": item}),
    ]
    record = told(created("r"), *events, delta("output_text", "Hi there"))
    assert record.items == [item, {"id": "second"}]
    record.apply(done("r"))
    assert (record.items, record.text) == ([item, {"id": "second"}], "Hi")
    assert told(created("r"), delta("output_text", "Hi there"), done("r")).text == "Hi there"


@pytest.mark.parametrize("status", ["completed", "cancelled", "failed", "incomplete", "a status of the future"])
def test_the_status_is_the_services(status: str) -> None:
    record = told(created("r"))
    assert (record.status, record.done) == ("in_progress", False)
    record.apply(done("r", status=status, status_details={"type": status}))
    assert (record.status, record.done) == (status, True)
    assert record.response["status_details"] == {"type": status}


@pytest.mark.parametrize("status", [None, 7, "in_progress"])
def test_response_done_ends_a_response_whatever_status_it_gives(status: object) -> None:
    assert told(created("r"), done("r", status=status)).status == "completed"
    assert told(Event({"type": "response.done"})).done


@pytest.mark.parametrize("odd", [None, [], "text", 5])
def test_a_last_event_without_a_response_ends_it_all_the_same(odd: Any) -> None:
    record = told(Event({"type": "response.done", "response": odd}))
    assert (record.done, record.response) == (True, {})


def test_parts_and_items_of_another_shape_are_passed_over() -> None:
    content = [{"type": "output_text", "text": "Hello"}, {"type": "text", "text": "!"}, None, {"type": 5}]
    spoken = {"content": [{"type": "output_audio", "transcript": "T"}]}
    record = told(created("r"), done("r", output=[{"content": content}, {"content": "odd"}, "odd", spoken]))
    assert (record.text, record.transcript) == ("Hello!", "T")
    assert told(created("r"), delta("output_text", "a"), Event({**delta("output_text", ""), "delta": None})).text == "a"


def test_an_item_without_a_place_is_passed_over() -> None:
    record = Record("m")
    for index, name in [(1, "b"), (0, "a"), (1, "c"), ("x", "odd")]:
        record.apply(Event({"type": "response.output_item.added", "output_index": index, "item": {"id": name}}))
    record.apply(Event({"type": "response.output_item.done", "output_index": 0, "item": None}))
    assert [item["id"] for item in record.items] == ["a", "c"]


def test_a_new_record_is_requested_and_empty() -> None:
    record = Record("m", out_of_band=True)
    assert (record.status, record.done, record.id, record.out_of_band) == ("requested", False, None, True)
    assert (record.text, record.transcript, record.items, record.pieces, record.response) == ("", "", [], [], {})


def test_deltas_of_a_response_that_nobody_holds_are_not_kept() -> None:
    record = Record()
    record.apply(created("r"))
    record.apply(delta("output_audio", "A" * 10_000))
    assert record.pieces == []


def test_a_lost_response_stays_lost_and_a_finished_one_is_not_lost() -> None:
    lost, finished = told(created("r")), told(created("r"), done("r", status="failed"))
    lost.lose()
    finished.lose()
    assert (lost.status, lost.done) == ("lost", True)
    assert finished.status == "failed"
    assert told(created("r"), delta("output_text", "Hi")).text == "Hi"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "type", "content", "text", "status", "output", "metadata"]), inner)
    ),
    max_leaves=8,
)
TYPES = ["created", "done", "output_text.delta", "output_item.added", "output_item.done", "content_part.done", "x"]
FIELDS = ["response", "response_id", "output_index", "item", "delta"]


@settings(UNHURRIED, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(FIELDS), VALUES)), max_size=12))
def test_nothing_that_a_server_says_breaks_a_record_or_the_ledger(talk: list[tuple[str, dict[str, Any]]]) -> None:
    ledger, record = Ledger(MARK), Record("m")
    requested = asked(ledger, "n")
    for kind, fields in talk:
        event = Event({**fields, "type": f"response.{kind}"})
        record.apply(event)
        ledger.apply(event)
    for each in (record, requested):
        assert isinstance(each.text + each.transcript + each.status, str)
        assert all(isinstance(item, dict) for item in each.items)


# -- bounds --------------------------------------------------------------------------------------------------------

MEGABYTE = "A" * (1 << 20)


def flooded(kind: str, *, megabytes: int = 70) -> Record:
    return told(created("r"), delta("output_text", "Hi"), *[delta(kind, MEGABYTE)] * megabytes)


def test_ten_minutes_of_audio_and_a_long_text_are_kept_whole() -> None:
    record = told(created("r"), *[delta("output_audio", MEGABYTE)] * 38, *[delta("output_text", MEGABYTE)] * 10)
    assert (record.gaps, len(record.pieces)) == ({}, 48)


def test_audio_beyond_the_bound_is_a_gap_and_the_text_goes_on() -> None:
    record = flooded("output_audio")
    record.apply(delta("output_text", " there"))
    kept = len(record.joined("audio")) >> 20
    assert (kept, record.text) == (63, "Hi there")
    assert record.gaps == {"audio": 64}
    assert not record.cut_short(("audio",), 63)
    assert record.cut_short(("audio",), 64)
    assert not record.cut_short(("text", "transcript"), 65)


def test_a_gap_stays_one_though_a_smaller_piece_would_fit() -> None:
    record = flooded("output_audio")
    record.apply(delta("output_audio", "AAAA"))
    assert record.pieces[-1] == ("audio", MEGABYTE)


def test_a_text_beyond_the_bound_comes_whole_with_the_end_of_the_response() -> None:
    record = flooded("output_text")
    assert (len(record.text) >> 20, record.wordless) == (15, True)
    record.apply(done("r", output=[message({"type": "output_text", "text": "all of it"})]))
    assert (record.text, record.wordless) == ("all of it", False)


@pytest.mark.parametrize("kind", ["output_text", "output_audio_transcript"])
def test_a_text_beyond_the_bound_that_never_comes_is_known_to_be_missing(kind: str) -> None:
    record = flooded(kind)
    record.apply(done("r"))
    assert (record.done, record.wordless) == (True, True)


def test_audio_that_is_missing_makes_nothing_wordless() -> None:
    assert not flooded("output_audio").wordless


def test_pieces_without_content_are_bounded_too() -> None:
    record = told(created("r"))
    for _ in range(200_000):
        record.apply(delta("function_call_arguments", ""))
    assert "arguments" in record.gaps


def test_items_beyond_the_bound_are_left_to_the_end_of_the_response() -> None:
    record, output = told(created("r")), []
    for index in range(70):
        item = message({"type": "output_text", "text": MEGABYTE}, item_id=str(index))
        for _ in range(2):
            record.apply(Event({"type": "response.output_item.done", "output_index": index, "item": item}))
        output.append(item)
    assert len(record.items) == 63
    record.apply(done("r", output=output))
    assert len(record.items) == 70


def test_of_a_response_that_nobody_asked_for_only_id_and_status_are_kept() -> None:
    record = Record()
    record.apply(created("r", text=MEGABYTE))
    record.apply(delta("output_text", MEGABYTE))
    record.apply(Event({"type": "response.output_item.added", "output_index": 0, "item": {"text": MEGABYTE}}))
    record.apply(done("r", status="cancelled", output=[message({"type": "output_text", "text": MEGABYTE})]))
    assert (record.id, record.status, record.pieces, record.items, record.response) == ("r", "cancelled", [], [], {})


def test_an_id_as_long_as_a_message_names_no_response() -> None:
    ledger = Ledger(MARK)
    assert ledger.apply(created(MEGABYTE)) is None
    assert not ledger.busy


# -- the ledger ----------------------------------------------------------------------------------------------------


def test_a_response_goes_from_asked_for_to_active_to_done() -> None:
    ledger = Ledger(MARK)
    assert (ledger.busy, ledger.active) == (False, None)
    record = asked(ledger, "m")
    assert (ledger.busy, ledger.active) == (True, None)
    assert ledger.apply(created("r", "m")) is record
    assert (ledger.busy, ledger.active, record.id, record.status) == (True, record, "r", "in_progress")
    assert ledger.apply(delta("output_text", "Hi")) is record
    assert ledger.apply(done("r", "m")) is record
    assert (ledger.busy, ledger.active, record.text) == (False, None, "Hi")


def test_echoed_marks_tell_responses_apart_whatever_their_order() -> None:
    ledger = Ledger(MARK)
    first, second = asked(ledger, "a", out_of_band=True), asked(ledger, "b", out_of_band=True)
    assert ledger.apply(created("r2", "b")) is second
    assert ledger.apply(created("r1", "a")) is first
    for text, response_id in [("one", "r1"), ("two", "r2"), (" more", "r1")]:
        ledger.apply(delta("output_text", text, response_id))
    assert ledger.apply(done("r1", "a")) is first
    assert (first.text, second.text, first.done, second.done) == ("one more", "two", True, False)


def test_without_an_echo_responses_are_ours_in_the_order_of_asking() -> None:
    ledger = Ledger(MARK)
    first, second = asked(ledger, "a"), asked(ledger, "b")
    assert ledger.apply(created("r1")) is first
    assert ledger.apply(Event({"type": "response.created", "response": {"id": "r2"}})) is second
    assert ledger.apply(done("r1")) is first
    assert ledger.apply(done("r2")) is second


def test_a_response_of_voice_detection_is_not_taken_for_ours_once_the_server_has_echoed() -> None:
    ledger = Ledger(MARK)
    asked(ledger, "a")
    ledger.apply(created("r1", "a"))
    ledger.apply(done("r1", "a"))
    ours = asked(ledger, "b")
    theirs = ledger.apply(created("r2"))
    assert theirs is not None
    assert theirs is not ours
    assert (theirs.mark, ours.status, ledger.active) == (None, "requested", theirs)
    ledger.apply(done("r2"))
    assert ledger.apply(created("r3", "b")) is ours


def test_a_response_with_metadata_of_somebody_else_is_not_ours() -> None:
    ledger = Ledger(MARK)
    ours = asked(ledger, "a")
    theirs = ledger.apply(created("r", metadata={"topic": "theirs"}))
    assert theirs is not ours
    assert ours.status == "requested"
    assert ledger.apply(created("r2", "a")) is ours


def test_the_mark_of_another_session_is_not_ours() -> None:
    ledger = Ledger(MARK)
    ours = asked(ledger, "a")
    assert ledger.apply(created("r", "never asked for")) is not ours
    assert ours.status == "requested"


def test_out_of_band_responses_leave_the_conversation_free() -> None:
    ledger = Ledger(MARK)
    aside = asked(ledger, "a", out_of_band=True)
    assert not ledger.busy
    ledger.apply(created("r1", "a", conversation_id=None))
    assert (ledger.busy, ledger.active) == (False, None)
    main = asked(ledger, "m")
    ledger.apply(created("r2", "m"))
    assert ledger.active is main
    ledger.apply(done("r2", "m"))
    assert not ledger.busy
    assert not aside.done


@pytest.mark.parametrize(
    ("fields", "busy"), [({"conversation_id": None}, False), ({"conversation_id": "conv_1"}, True), ({}, True)]
)
def test_a_foreign_response_keeps_the_conversation_busy_unless_it_stays_outside(
    fields: dict[str, Any], busy: bool
) -> None:
    ledger = Ledger(MARK)
    ledger.apply(created("r", **fields))
    assert ledger.busy is busy
    ledger.apply(done("r", **fields))
    assert not ledger.busy


def test_a_server_that_skips_response_created_still_ends_what_was_asked_for() -> None:
    ledger = Ledger(MARK)
    first, second = asked(ledger, "a"), asked(ledger, "b")
    assert ledger.apply(done("r2", "b", output=[message({"type": "output_text", "text": "Hi"})])) is second
    assert (second.text, second.done, first.done) == ("Hi", True, False)
    assert ledger.apply(done("r3")) is None  # It echoes, so this one is somebody else's.


def test_a_server_that_says_twice_that_a_response_began_has_not_begun_another() -> None:
    for mark in ("a", None):
        ledger = Ledger(MARK)
        first, second = asked(ledger, "a"), asked(ledger, "b")
        assert ledger.apply(created("r", mark)) is first
        assert ledger.apply(created("r", mark)) is first
        assert second.status == "requested"
        assert ledger.apply(done("r", mark)) is first
        assert first.done


def test_a_second_response_done_changes_nothing() -> None:
    ledger = Ledger(MARK)
    record = asked(ledger, "a")
    ledger.apply(created("r", "a"))
    ledger.apply(done("r", "a"))
    assert ledger.apply(done("r", "a", status="failed")) is None
    assert record.status == "completed"


@pytest.mark.parametrize(
    "event",
    [
        Event({"type": "session.updated", "response_id": "r"}),
        Event({"type": "error"}),
        delta("output_text", "x", "never begun"),
        done("never begun"),
        Event({"type": "response.created", "response": {"id": None}}),
        Event({"type": "response.created"}),
        Event({"type": "response.output_text.delta", "response_id": None, "delta": "x"}),
        Event({}),
        Event({"type": "response.done", "response": "r"}),
    ],
)
def test_what_belongs_to_no_response_has_no_record(event: Event) -> None:
    ledger = Ledger(MARK)
    ledger.apply(created("r"))
    assert ledger.apply(event) is None


def test_a_refused_request_frees_the_conversation() -> None:
    ledger = Ledger(MARK)
    record = asked(ledger, "a")
    ledger.withdraw(record)
    ledger.withdraw(record)
    assert not ledger.busy
    assert ledger.apply(created("r", "a")) is not record


def test_a_response_that_has_begun_can_be_withdrawn() -> None:
    ledger = Ledger(MARK)
    record = asked(ledger, "a")
    ledger.apply(created("r", "a"))
    ledger.withdraw(record)
    assert not ledger.busy


def test_all_open_responses_are_lost_with_the_line() -> None:
    ledger = Ledger(MARK)
    finished, running, waiting = (asked(ledger, mark) for mark in "abc")
    ledger.apply(created("r1", "a"))
    ledger.apply(done("r1", "a"))
    ledger.apply(created("r2", "b"))
    ledger.apply(delta("output_text", "Once", "r2"))
    lost = ledger.lose()
    assert lost == [running, waiting]
    for record in lost:
        record.lose()
    assert [record.status for record in (finished, running, waiting)] == ["completed", "lost", "lost"]
    assert running.text == "Once"
    assert not ledger.busy
    assert ledger.lose() == []


def test_responses_that_never_end_do_not_fill_the_memory_and_ours_outlives_them() -> None:
    ledger = Ledger(MARK)
    ours = asked(ledger, "a")
    ledger.apply(created("ours", "a"))
    for number in range(1000):
        ledger.apply(created(f"r{number}"))
    assert ledger.apply(done("ours", "a")) is ours
    assert ours.done
    assert ledger.apply(done("r0")) is None
    assert ledger.apply(done("r999")) is not None
    assert 1 < len(ledger.lose()) < 1000


# -- those that were not asked for ---------------------------------------------------------------------------------


def test_what_nobody_asked_for_is_kept_only_where_somebody_listens() -> None:
    ledger = Ledger(MARK)
    ledger.apply(created("before"))
    ledger.keeps_all = True
    ledger.apply(created("r"))
    ledger.keeps_all = False
    ledger.apply(created("behind"))
    said = {name: ledger.apply(delta("output_text", "Hi", name)) for name in ("before", "r", "behind")}
    assert {name: record is not None and (record.kept, record.text) for name, record in said.items()} == {
        "before": (False, ""),
        "r": (True, "Hi"),
        "behind": (False, ""),
    }
    assert said["r"] is ledger.apply(done("r", output=[]))
    assert said["r"] is not None
    assert said["r"].response["id"] == "r"
