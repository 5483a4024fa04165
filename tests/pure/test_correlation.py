"""Who asked for what: answers and errors find the client event that caused them."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtsync.pure.correlation import Correlation, Sent

# On a busy machine an example may take long; that says nothing about the code.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MARK = "mark"
NUMBERS = count(1)


def sent(correlation: Correlation, kind: str, owner: object = None, **fields: Any) -> Sent:
    return correlation.sent({"event_id": f"event_{next(NUMBERS)}", "type": kind, **fields}, owner)


def marked(mark: str | None) -> dict[str, Any]:
    return {"metadata": {MARK: mark} if mark is not None else None}


# One unanswered event of every kind that errors can answer, in this order.
ASKED = (
    "conversation.item.retrieve",
    "session.update",
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.truncate",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "response.create",
    "response.cancel",
    "input_audio_buffer.append",
)
OLDEST = ASKED[0]
NOBODY = None

# Protocol 6.4, row by row: code, param, message, and what it answers when the service leaves event_id null.
ROWS = [
    ("invalid_value", "type", "Invalid value: 'nope'. Supported values are: 'session.update', and 'x'.", OLDEST),
    ("unknown_parameter", "session.bogus_field", "Unknown parameter: 'session.bogus_field'.", "session.update"),
    ("unknown_parameter", "response.bogus", "Unknown parameter: 'response.bogus'.", "response.create"),
    ("unknown_parameter", "bogus", "Unknown parameter: 'bogus'.", OLDEST),
    ("missing_required_parameter", "item.type", "Missing required parameter: 'item.type'.", "conversation.item.create"),
    ("invalid_type", "item.content", "Invalid type for 'item.content': expected an array", "conversation.item.create"),
    ("invalid_value", "item.content[0].type", "Invalid value: 'x'.", "conversation.item.create"),
    ("invalid_json", None, "Invalid event: failed to parse JSON value. ...", OLDEST),
    ("invalid_event", None, "Expected a text WebSocket message; binary frames are not supported.", OLDEST),
    ("invalid_event", None, "The 'type' field is missing.", OLDEST),
    (
        "integer_below_min_value",
        "session.audio.input.format.rate",
        "Invalid value. Expected a value >= 24000",
        "session.update",
    ),
    (
        "input_audio_buffer_commit_empty",
        None,
        "Error committing input audio buffer: buffer too small.",
        "input_audio_buffer.commit",
    ),
    ("invalid_value", "audio", "Invalid value.", "input_audio_buffer.append"),
    (
        "conversation_already_has_active_response",
        None,
        "Conversation already has an active response in progress: resp_1.",
        "response.create",
    ),
    ("response_cancel_not_active", None, "Cancellation failed: no active response found", "response.cancel"),
    (None, None, "Cancellation failed: no active response found", "response.cancel"),
    ("cannot_update_voice", None, "Cannot update a conversation's voice if audio is present.", "session.update"),
    (
        "invalid_parameter",
        None,
        "Passing a transcription session update event to a realtime session is not allowed.",
        "session.update",
    ),
    ("invalid_tool_call_id", None, "Tool call ID 'call_1' not found in conversation.", "conversation.item.create"),
    (
        "item_delete_invalid_item_id",
        None,
        "Error deleting item: the item with id 'x' does not exist.",
        "conversation.item.delete",
    ),
    ("item_retrieve_invalid_item_id", None, "Error", "conversation.item.retrieve"),
    (None, None, "Error retrieving item: the item with id 'x' does not exist.", "conversation.item.retrieve"),
    ("item_truncate_invalid_item_id", None, "Error", "conversation.item.truncate"),
    (
        "invalid_value",
        None,
        "Audio content of 1200ms is already shorter than 2000ms",
        "conversation.item.truncate",
    ),
    ("invalid_value", "audio_end_ms", "Invalid value", "conversation.item.truncate"),
    (None, None, "Only model output audio messages can be truncated", "conversation.item.truncate"),
    ("item_not_found", "previous_item_id", "Item not found", "conversation.item.create"),
    (None, "item.id", "Item already exists", "conversation.item.create"),
    (None, None, "Response creation is not possible in this session", OLDEST),
    (None, "session.reasoning", "Not a reasoning model", "session.update"),
    ("session_expired", None, "Your session hit the maximum duration of 60 minutes.", NOBODY),
]


@pytest.mark.parametrize(("code", "param", "message", "request_type"), ROWS)
def test_an_error_without_an_event_id_answers_what_it_can_only_mean(
    code: str | None, param: str | None, message: str, request_type: str | None
) -> None:
    correlation = Correlation(MARK)
    for kind in ASKED:
        sent(correlation, kind)
    error = {"type": "invalid_request_error", "code": code, "param": param, "message": message, "event_id": None}
    found = correlation.blamed(error)
    assert (found.type if found else None) == request_type


@pytest.mark.parametrize(("code", "param", "message"), [row[:3] for row in ROWS if row[3] not in (OLDEST, NOBODY)])
def test_an_error_that_means_another_kind_of_event_than_those_sent_is_nobodys(
    code: str | None, param: str | None, message: str
) -> None:
    correlation = Correlation(MARK)
    sent(correlation, "output_audio_buffer.clear")
    assert correlation.blamed({"code": code, "param": param, "message": message}) is None
    assert correlation.in_flight() == ("output_audio_buffer.clear",)


def test_an_error_of_the_service_itself_is_nobodys() -> None:
    correlation = Correlation(MARK)
    sent(correlation, "response.create")
    assert correlation.blamed({"type": "server_error", "message": "The server had an error", "event_id": None}) is None
    assert correlation.in_flight() == ("response.create",)


def test_an_error_answers_the_event_that_it_names_and_no_other() -> None:
    correlation = Correlation(MARK)
    first, second = sent(correlation, "session.update"), sent(correlation, "session.update")
    assert correlation.blamed({"event_id": second.event_id, "param": "session.voice"}) is second
    assert correlation.in_flight() == ("session.update",)
    assert correlation.blamed({"event_id": first.event_id, "type": "server_error"}) is first


@pytest.mark.parametrize("code", [None, "invalid_json", "conversation_already_has_active_response", "session_expired"])
def test_an_error_that_names_an_event_of_somebody_else_is_nobodys(code: str | None) -> None:
    correlation = Correlation(MARK)
    sent(correlation, "response.create")
    sent(correlation, "input_audio_buffer.append")
    assert correlation.blamed({"event_id": "not one of ours", "code": code}) is None
    assert correlation.in_flight() == ("response.create",)


def test_an_error_that_says_nothing_answers_the_oldest_event() -> None:
    correlation = Correlation(MARK)
    oldest, newest = sent(correlation, "response.create"), sent(correlation, "session.update")
    assert [correlation.blamed({}), correlation.blamed({}), correlation.blamed({})] == [oldest, newest, None]


@pytest.mark.parametrize(
    "error",
    [
        {"event_id": 7, "code": ["x"], "param": {"a": 1}, "message": 3, "type": None},
        {"code": "no code that we know", "param": "", "message": ""},
        {"param": "[0]"},
    ],
)
def test_an_error_of_another_shape_is_read_as_one_that_says_nothing(error: dict[str, Any]) -> None:
    correlation = Correlation(MARK)
    oldest = sent(correlation, "session.update")
    assert correlation.blamed(error) is oldest


def test_the_oldest_of_a_kind_is_blamed_first() -> None:
    correlation = Correlation(MARK)
    records = [sent(correlation, "conversation.item.delete", item_id=name) for name in "abc"]
    error = {"code": "item_delete_invalid_item_id", "event_id": None}
    assert [correlation.blamed(error) for _ in range(4)] == [*records, None]


def test_the_owner_is_whatever_the_caller_gave() -> None:
    correlation, owner = Correlation(MARK), object()
    record = sent(correlation, "response.create", owner)
    found = correlation.blamed({"event_id": record.event_id})
    assert found is not None
    assert found.owner is owner


# -- answers -------------------------------------------------------------------------------------------------------

ANSWERS = [
    ("session.update", {}, "session.updated", {}),
    ("session.update", {}, "transcription_session.updated", {}),
    ("transcription_session.update", {}, "transcription_session.updated", {}),
    ("transcription_session.update", {}, "session.updated", {}),
    ("conversation.item.create", {"item": {"id": "i"}}, "conversation.item.added", {"item": {"id": "i"}}),
    ("conversation.item.create", {"item": {}}, "conversation.item.added", {"item": {"id": "given by the service"}}),
    ("conversation.item.create", {"item": {"id": "i"}}, "conversation.item.created", {"item": {"id": "i"}}),
    ("conversation.item.delete", {"item_id": "i"}, "conversation.item.deleted", {"item_id": "i"}),
    ("conversation.item.retrieve", {"item_id": "i"}, "conversation.item.retrieved", {"item": {"id": "i"}}),
    ("conversation.item.truncate", {"item_id": "i"}, "conversation.item.truncated", {"item_id": "i"}),
    ("input_audio_buffer.commit", {}, "input_audio_buffer.committed", {"item_id": "i"}),
    ("input_audio_buffer.clear", {}, "input_audio_buffer.cleared", {}),
    ("output_audio_buffer.clear", {}, "output_audio_buffer.cleared", {"response_id": "r"}),
    ("response.create", {}, "response.created", {"response": {"id": "r", "metadata": None}}),
    ("response.create", {"response": marked("m")}, "response.created", {"response": {"id": "r", **marked("m")}}),
    ("response.cancel", {}, "response.done", {"response": {"id": "r"}}),
    ("response.cancel", {"response_id": "r"}, "response.done", {"response": {"id": "r"}}),
]


@pytest.mark.parametrize(("request_type", "asked", "answer_type", "answer"), ANSWERS)
def test_an_answer_takes_its_request_off_the_list(
    request_type: str, asked: dict[str, Any], answer_type: str, answer: dict[str, Any]
) -> None:
    correlation = Correlation(MARK)
    other = "session.update" if "session" not in request_type else "response.cancel"
    sent(correlation, other)
    record = sent(correlation, request_type, **asked)
    assert correlation.answered({"type": answer_type, **answer}) is record
    assert correlation.in_flight() == (other,)
    assert correlation.answered({"type": answer_type, **answer}) is None


SPOKEN = {"content": [{"type": "input_audio", "transcript": None}]}  # what voice detection makes of speech
WRONG_SUBJECTS = [
    ("conversation.item.create", {"item": {"id": "i"}}, "conversation.item.added", {"item": {"id": "v", **SPOKEN}}),
    ("conversation.item.delete", {"item_id": "i"}, "conversation.item.deleted", {"item_id": "other"}),
    ("conversation.item.retrieve", {"item_id": "i"}, "conversation.item.retrieved", {"item": {"id": "other"}}),
    ("conversation.item.truncate", {"item_id": "i"}, "conversation.item.truncated", {"item_id": "other"}),
    ("response.create", {"response": marked("m")}, "response.created", {"response": {"id": "r", **marked("n")}}),
    ("response.create", {"response": marked("m")}, "response.created", {"response": {"id": "r", **marked(None)}}),
    ("response.cancel", {"response_id": "r"}, "response.done", {"response": {"id": "other"}}),
]


@pytest.mark.parametrize(("request_type", "asked", "answer_type", "answer"), WRONG_SUBJECTS)
def test_an_answer_to_somebody_else_answers_nothing(
    request_type: str, asked: dict[str, Any], answer_type: str, answer: dict[str, Any]
) -> None:
    correlation = Correlation(MARK)
    sent(correlation, request_type, **asked)
    assert correlation.answered({"type": answer_type, **answer}) is None
    assert correlation.in_flight() == (request_type,)


def test_the_request_that_names_the_item_goes_before_older_ones_that_name_none() -> None:
    correlation = Correlation(MARK)
    unnamed = sent(correlation, "conversation.item.create", item={"type": "message"})
    named = sent(correlation, "conversation.item.create", item={"id": "mine"})
    assert correlation.answered({"type": "conversation.item.added", "item": {"id": "mine"}}) is named
    assert correlation.answered({"type": "conversation.item.added", "item": {"id": "item_1"}}) is unnamed


def test_marked_responses_are_told_apart_whatever_their_order() -> None:
    correlation = Correlation(MARK)
    records = {name: sent(correlation, "response.create", response=marked(name)) for name in "abc"}
    plain = sent(correlation, "response.create")
    for name in "cab":
        created = {"type": "response.created", "response": {"id": name, **marked(name)}}
        assert correlation.answered(created) is records[name]
    assert correlation.answered({"type": "response.created", "response": {"id": "p", "metadata": {}}}) is plain


def test_the_cancel_that_names_the_response_goes_before_one_that_names_none() -> None:
    correlation = Correlation(MARK)
    sent(correlation, "response.cancel")
    named = sent(correlation, "response.cancel", response_id="r")
    assert correlation.answered({"type": "response.done", "response": {"id": "r"}}) is named


def test_a_response_begun_without_an_echo_takes_the_request_with_its_mark() -> None:
    correlation = Correlation(MARK)
    for name in "ab":
        sent(correlation, "response.create", response=marked(name))
    correlation.begun("b")
    correlation.begun("never asked for")
    assert correlation.in_flight() == ("response.create",)
    created = {"type": "response.created", "response": {"id": "r", **marked("a")}}
    assert correlation.answered(created) is not None


@pytest.mark.parametrize("kind", ["conversation.item.added", "conversation.item.created"])
def test_the_models_own_item_answers_nothing(kind: str) -> None:
    correlation = Correlation(MARK)
    record = sent(correlation, "conversation.item.create", item={"type": "message"})
    said = {"id": "item_2", "type": "message", "role": "assistant", "status": "in_progress"}
    assert correlation.answered({"type": kind, "item": said}) is None
    assert correlation.answered({"type": kind, "item": {**said, "role": "user", "status": "completed"}}) is record


@pytest.mark.parametrize("type_", ["mcp_list_tools", "mcp_call", "mcp_approval_request"])
def test_what_the_service_makes_of_mcp_servers_answers_nothing(type_: str) -> None:
    correlation = Correlation(MARK)
    record = sent(correlation, "conversation.item.create", item={"id": "item_1", "type": "message"})
    made = {"id": "item_2", "type": type_, "server_label": "docs"}
    assert correlation.answered({"type": "conversation.item.added", "item": made}) is None
    assert correlation.answered({"type": "conversation.item.added", "item": {"id": "item_1"}}) is record


@pytest.mark.parametrize(
    ("request_type", "asked", "answer_type"),
    [
        ("conversation.item.retrieve", {"item_id": "i"}, "conversation.item.retrieved"),
        ("conversation.item.create", {"item": {"id": "i", "status": "in_progress"}}, "conversation.item.added"),
    ],
)
def test_an_item_in_progress_answers_who_asked_for_it_by_name(
    request_type: str, asked: dict[str, Any], answer_type: str
) -> None:
    correlation = Correlation(MARK)
    record = sent(correlation, request_type, **asked)
    assert correlation.answered({"type": answer_type, "item": {"id": "i", "status": "in_progress"}}) is record


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.output_text.delta", "delta": "x"},
        {"type": "conversation.item.done", "item": {"id": "i"}},
        {"type": "vendor.thing"},
        {"type": None},
        {},
    ],
)
def test_an_event_that_answers_nothing_leaves_the_list_alone(event: dict[str, Any]) -> None:
    correlation = Correlation(MARK)
    sent(correlation, "conversation.item.create", item={"id": "i"})
    assert correlation.answered(event) is None
    assert correlation.in_flight() == ("conversation.item.create",)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "conversation.item.added", "item": None},
        {"type": "conversation.item.added", "item": ["x"]},
        {"type": "conversation.item.added", "item": {"id": 3}},
        {"type": "response.created", "response": "x"},
        {"type": "response.created", "response": {"metadata": {MARK: 3}}},
    ],
)
def test_an_answer_of_another_shape_still_answers_who_named_nothing(event: dict[str, Any]) -> None:
    correlation = Correlation(MARK)
    request_type = "conversation.item.create" if "item" in event else "response.create"
    record = sent(correlation, request_type, item=None, response=7)
    assert correlation.answered(event) is record


# -- bounds --------------------------------------------------------------------------------------------------------


def test_forgotten_events_are_no_longer_in_flight() -> None:
    correlation = Correlation(MARK)
    record, other = sent(correlation, "session.update"), sent(correlation, "response.create")
    correlation.forget(record)
    correlation.forget(record)
    assert correlation.in_flight() == ("response.create",)
    assert correlation.blamed({"event_id": record.event_id}) is None
    assert correlation.blamed({}) is other


def test_appends_are_never_in_flight_and_only_the_newest_are_kept() -> None:
    correlation = Correlation(MARK)
    records = [sent(correlation, "input_audio_buffer.append") for _ in range(1000)]
    assert correlation.in_flight() == ()
    assert correlation.blamed({"event_id": records[0].event_id}) is None
    assert correlation.blamed({"event_id": records[-1].event_id}) is records[-1]
    blamed = 0
    while correlation.blamed({"param": "audio"}) is not None:
        blamed += 1
    assert 0 < blamed < 1000


def test_events_that_nobody_answers_do_not_fill_the_memory() -> None:
    correlation = Correlation(MARK)
    records = [sent(correlation, "session.update") for _ in range(5000)]
    kept = len(correlation.in_flight())
    assert 500 < kept < 5000
    assert correlation.blamed({"event_id": records[0].event_id}) is None
    assert correlation.blamed({}) is records[-kept]


@UNHURRIED
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*ASKED, "vendor.thing"]),
            st.sampled_from([answer[2] for answer in ANSWERS]),
            st.dictionaries(
                st.sampled_from(["item", "item_id", "response", "response_id"]),
                st.none() | st.sampled_from("ab") | st.fixed_dictionaries({"id": st.sampled_from("ab")}),
            ),
        ),
        max_size=20,
    )
)
def test_every_event_is_answered_at_most_once(talk: list[tuple[str, str, dict[str, Any]]]) -> None:
    correlation, answered = Correlation(MARK), list[str]()
    for request_type, answer_type, fields in talk:
        sent(correlation, request_type, **fields)
        found = correlation.answered({"type": answer_type, **fields})
        answered += [found.event_id] if found else []
    while (found := correlation.blamed({})) is not None and found.type != "input_audio_buffer.append":
        answered.append(found.event_id)
    assert len(answered) == len(set(answered))


def test_a_server_that_mints_its_own_item_ids_answers_all_the_same() -> None:
    correlation = Correlation(MARK)
    first = sent(correlation, "conversation.item.create", item={"id": "mine"})
    second = sent(correlation, "conversation.item.create", item={"id": "named"})
    assert correlation.answered({"type": "conversation.item.added", "item": {"id": "named"}}) is second
    assert correlation.answered({"type": "conversation.item.created", "item": {"id": "theirs"}}) is first
