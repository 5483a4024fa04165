"""Records and the ledger, by plain calls."""

from __future__ import annotations

from typing import Any

import pytest

from rtsync.pure.responses import Ledger, Record
from rtsync.vocabulary.events import Event


def created(response_id: str | None = "r", **fields: Any) -> Event:
    return Event({"type": "response.created", "response": {"id": response_id, "status": "in_progress", **fields}})


def done(response_id: str = "r", **fields: Any) -> Event:
    return Event({"type": "response.done", "response": {"id": response_id, "status": "completed", **fields}})


def delta(name: str, text: Any, response_id: str = "r") -> Event:
    return Event({"type": name, "response_id": response_id, "delta": text})


def marked(mark: str) -> dict[str, Any]:
    return {"metadata": {"mark": mark}}


@pytest.fixture
def ledger() -> Ledger:
    return Ledger("mark")


def test_a_record_collects_pieces_of_both_dialects() -> None:
    record = Record("m")
    for name, text in [
        ("response.output_text.delta", "a"), ("response.text.delta", "b"),
        ("response.output_audio_transcript.delta", "c"), ("response.audio_transcript.delta", "d"),
        ("response.output_audio.delta", "e"), ("response.audio.delta", "f"),
        ("response.function_call_arguments.delta", "g"), ("response.output_text.delta", None),
    ]:  # fmt: skip
        record.apply(delta(name, text))
    assert (record.text, record.transcript, record.joined("audio"), record.joined("arguments")) == ("ab", "cd", "ef", "g")


def test_the_final_text_replaces_the_deltas_once_done() -> None:
    record = Record("m")
    record.apply(created())
    record.apply(delta("response.output_text.delta", "Hel"))
    content = [{"type": "output_text", "text": "Hello"}, {"type": "text", "text": "!"}, None, {"type": 5}]
    output = [{"content": content}, {"content": "odd"}, "odd", {"content": [{"type": "output_audio", "transcript": "T"}]}]
    record.apply(done(output=output))
    assert record.done
    assert (record.text, record.transcript) == ("Hello!", "T")
    assert record.id == "r"


def test_items_are_known_before_the_end_in_their_order() -> None:
    record = Record("m")
    for index, name in [(1, "b"), (0, "a"), (1, "c"), ("x", "odd")]:
        record.apply(Event({"type": "response.output_item.added", "output_index": index, "item": {"id": name}}))
    record.apply(Event({"type": "response.output_item.done", "output_index": 0, "item": None}))
    assert [item["id"] for item in record.items] == ["a", "c"]


def test_pieces_of_responses_that_nobody_asked_for_are_not_kept() -> None:
    record = Record()
    record.apply(delta("response.output_audio.delta", "x" * 1000))
    assert record.pieces == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [("completed", "completed"), ("failed", "failed"), ("in_progress", "completed"), (None, "completed"), (5, "completed")],
)
def test_a_response_is_done_whatever_its_last_event_says(status: Any, expected: str) -> None:
    record = Record("m")
    record.apply(done(status=status))
    assert record.status == expected
    assert record.done


@pytest.mark.parametrize("odd", [None, [], "text", 5])
def test_a_last_event_without_a_response_ends_it_all_the_same(odd: Any) -> None:
    record = Record("m")
    record.apply(Event({"type": "response.done", "response": odd}))
    assert record.done
    assert record.response == {}


def test_a_lost_response_is_lost_and_a_done_one_stays_done() -> None:
    lost, finished = Record("m"), Record("n")
    finished.apply(done())
    lost.lose()
    finished.lose()
    assert (lost.status, finished.status) == ("lost", "completed")


def test_responses_are_told_apart_by_their_marks(ledger: Ledger) -> None:
    first, second = Record("1", out_of_band=True), Record("2", out_of_band=True)
    ledger.request(first)
    ledger.request(second)
    assert ledger.apply(created("b", **marked("2"))) is second
    assert ledger.apply(created("a", **marked("1"))) is first
    assert ledger.apply(delta("response.output_text.delta", "x", "b")) is second
    assert ledger.apply(done("a", **marked("1"))) is first
    assert first.done
    assert not second.done


def test_a_server_without_echo_is_matched_by_order(ledger: Ledger) -> None:
    first, second = Record("1", out_of_band=True), Record("2", out_of_band=True)
    ledger.request(first)
    ledger.request(second)
    assert ledger.apply(created("a")) is first
    assert ledger.apply(created("b", metadata=None)) is second
    third = ledger.apply(created("c"))
    assert third is not None
    assert third.mark is None


def test_once_a_mark_was_echoed_others_are_not_ours(ledger: Ledger) -> None:
    first, second = Record("1"), Record("2")
    ledger.request(first)
    ledger.apply(created("a", **marked("1")))
    ledger.request(second)
    found = ledger.apply(created("vad", metadata=None))
    assert found is not second
    assert ledger.apply(created("b", **marked("2"))) is second


def test_foreign_metadata_is_not_ours(ledger: Ledger) -> None:
    ledger.request(record := Record("1"))
    assert ledger.apply(created("a", metadata={"theirs": "x"})) is not record


def test_the_floor_is_taken_from_asking_to_the_end(ledger: Ledger) -> None:
    assert not ledger.busy
    ledger.request(Record("1"))
    assert ledger.busy
    assert ledger.active is None
    record = ledger.apply(created("a", **marked("1")))
    assert ledger.active is record
    ledger.apply(done("a"))
    assert not ledger.busy
    assert ledger.active is None


@pytest.mark.parametrize(("fields", "busy"), [({}, True), ({"conversation_id": "c"}, True), ({"conversation_id": None}, False)])
def test_a_response_that_nobody_asked_for_has_the_floor_unless_it_is_outside(
    ledger: Ledger, fields: dict[str, Any], busy: bool
) -> None:
    ledger.apply(created("a", **fields))
    assert ledger.busy is busy


def test_responses_outside_the_conversation_need_no_floor(ledger: Ledger) -> None:
    ledger.request(Record("1", out_of_band=True))
    assert not ledger.busy


def test_what_was_withdrawn_gives_the_floor_back(ledger: Ledger) -> None:
    ledger.request(record := Record("1"))
    ledger.withdraw(record)
    ledger.withdraw(record)
    assert not ledger.busy


def test_the_end_of_the_line_loses_what_is_open(ledger: Ledger) -> None:
    requested, running = Record("1"), Record("2")
    ledger.request(running)
    ledger.apply(created("a", **marked("2")))
    ledger.request(requested)
    assert set(ledger.lose_all()) == {requested, running}
    assert (requested.status, running.status) == ("lost", "lost")
    assert not ledger.busy
    assert ledger.lose_all() == []


def test_odd_events_belong_to_nothing(ledger: Ledger) -> None:
    ledger.request(Record("1"))
    for event in (
        Event({"type": "response.created"}),
        created(None),
        Event({"type": "response.output_text.delta", "response_id": None, "delta": "x"}),
        Event({"type": "session.updated"}),
        Event({}),
    ):
        assert ledger.apply(event) is None
    assert ledger.busy


def test_responses_that_never_end_do_not_fill_the_memory(ledger: Ledger) -> None:
    for number in range(1000):
        ledger.apply(created(str(number)))
    assert len(ledger.lose_all()) == 64
