"""The conversation as server events build it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync.pure.conversation import Conversation
from rtsync.vocabulary.events import Event


def told(*events: dict[str, Any]) -> Conversation:
    conversation = Conversation()
    for event in events:
        conversation.apply(Event(event))
    return conversation


def message(item_id: str, text: str = "", role: str = "user", status: str = "completed") -> dict[str, Any]:
    kind = "input_text" if role == "user" else "output_text"
    content = [{"type": kind, "text": text}] if text else []
    return {"id": item_id, "type": "message", "role": role, "status": status, "content": content}


def added(item: dict[str, Any], after: str | None = None) -> dict[str, Any]:
    return {"type": "conversation.item.added", "previous_item_id": after, "item": item}


def ids(conversation: Conversation) -> list[str]:
    return [item.id for item in conversation.snapshot().items]


def test_items_stand_behind_the_item_that_they_follow() -> None:
    conversation = told(
        added(message("a")), added(message("c"), "a"), added(message("b"), "a"), added(message("first"), None)
    )
    assert ids(conversation) == ["first", "a", "b", "c"]


def test_an_item_without_a_known_place_goes_to_the_end() -> None:
    event = {"type": "conversation.item.added", "item": message("z")}
    assert ids(told(added(message("a")), added(message("b"), "gone"), event)) == ["a", "b", "z"]


def test_text_grows_by_deltas_and_is_replaced_by_the_whole() -> None:
    conversation = told(
        added(message("a", role="assistant", status="in_progress")),
        {
            "type": "response.content_part.added",
            "item_id": "a",
            "content_index": 0,
            "part": {"type": "text", "text": ""},
        },
        {"type": "response.output_text.delta", "item_id": "a", "content_index": 0, "delta": "Hi"},
        {"type": "response.output_text.delta", "item_id": "a", "content_index": 0, "delta": " the"},
    )
    item = conversation.item("a")
    assert item is not None
    assert (item.text, item.status) == ("Hi the", "in_progress")
    assert item.data["content"] == [{"type": "output_text", "text": "Hi the"}]
    conversation.apply(
        Event({"type": "response.output_text.done", "item_id": "a", "content_index": 0, "text": "Hi there"})
    )
    conversation.apply(Event({"type": "conversation.item.done", "item": message("a", "Hi there!", role="assistant")}))
    item = conversation.item("a")
    assert item is not None
    assert (item.text, item.status) == ("Hi there!", "completed")


def test_spoken_words_are_kept_and_their_audio_is_not() -> None:
    spoken = {
        **message("u"),
        "content": [{"type": "input_audio", "transcript": None, "audio": "AAAA"}],
    }
    conversation = told(
        added(spoken),
        {
            "type": "conversation.item.input_audio_transcription.delta",
            "item_id": "u",
            "content_index": 0,
            "delta": "Hel",
        },
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": "u",
            "content_index": 0,
            "transcript": "Hello",
        },
        {"type": "conversation.item.done", "item": spoken},
    )
    item = conversation.item("u")
    assert item is not None
    assert item.transcript == "Hello"
    assert item.data["content"] == [{"type": "input_audio", "transcript": "Hello"}]


def test_a_truncation_takes_the_transcript_along() -> None:
    said = {**message("a", role="assistant"), "content": [{"type": "output_audio", "transcript": "Once upon a time"}]}
    conversation = told(
        added(said), {"type": "conversation.item.truncated", "item_id": "a", "content_index": 0, "audio_end_ms": 820}
    )
    item = conversation.item("a")
    assert item is not None
    assert (item.transcript, item.truncated_ms) == ("", 820)


def test_a_deleted_item_is_gone_and_its_neighbours_close_up() -> None:
    events = [added(message("a")), added(message("b"), "a"), added(message("c"), "b")]
    conversation = told(*events, {"type": "conversation.item.deleted", "item_id": "b"})
    assert ids(conversation) == ["a", "c"]
    assert conversation.item("b") is None
    conversation.apply(Event(added(message("d"), "a")))
    assert ids(conversation) == ["a", "d", "c"]


def test_arguments_of_a_call_grow() -> None:
    call = {"id": "f", "type": "function_call", "name": "weather", "call_id": "call_1", "arguments": ""}
    conversation = told(
        added(call),
        {"type": "response.function_call_arguments.delta", "item_id": "f", "delta": '{"city":'},
        {"type": "response.function_call_arguments.delta", "item_id": "f", "delta": '"Rome"}'},
    )
    item = conversation.item("f")
    assert item is not None
    assert item.data["arguments"] == '{"city":"Rome"}'
    assert "content" not in item.data


def test_usage_adds_up_over_responses() -> None:
    usage = {
        "total_tokens": 10,
        "input_tokens": 7,
        "output_tokens": 3,
        "input_token_details": {"text_tokens": 5, "audio_tokens": 2, "cached_tokens": 4},
        "output_token_details": {"text_tokens": 3, "audio_tokens": 0},
    }
    done = {"type": "response.done", "response": {"id": "r1", "status": "completed", "usage": usage}}
    again = {"type": "response.done", "response": {"id": "r2", "status": "cancelled", "usage": usage}}
    snapshot = told(
        {"type": "response.created", "response": {"id": "r1", "status": "in_progress"}}, done, again
    ).snapshot()
    assert (snapshot.usage.responses, snapshot.usage.total_tokens, snapshot.usage.cached_tokens) == (2, 20, 8)
    assert [(response.id, response.status) for response in snapshot.responses] == [
        ("r1", "completed"),
        ("r2", "cancelled"),
    ]


def test_configuration_and_limits_are_those_last_told() -> None:
    snapshot = told(
        {"type": "session.created", "session": {"id": "sess_1", "instructions": "old"}},
        {"type": "session.updated", "session": {"id": "sess_1", "instructions": "new"}},
        {"type": "rate_limits.updated", "rate_limits": [{"name": "tokens", "remaining": 5}]},
        {"type": "input_audio_buffer.speech_started", "item_id": "x"},
    ).snapshot()
    assert snapshot.config["instructions"] == "new"
    assert snapshot.rate_limits == [{"name": "tokens", "remaining": 5}]
    assert snapshot.speaking


def test_a_snapshot_does_not_change_with_the_conversation() -> None:
    conversation = told(added(message("a", "one")))
    before = conversation.snapshot()
    before.items[0].data["content"][0]["text"] = "changed by the caller"
    conversation.apply(Event(added(message("b"), "a")))
    assert len(before.items) == 1
    assert conversation.snapshot().items[0].text == "one"


TYPES = sorted(
    {
        "conversation.item.added", "conversation.item.done", "conversation.item.deleted", "conversation.item.truncated",
        "conversation.item.input_audio_transcription.completed", "rate_limits.updated", "response.content_part.added",
        "response.content_part.done", "response.created", "response.done", "response.function_call_arguments.delta",
        "response.output_text.delta", "response.output_text.done", "session.updated",
    }
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "b", "message", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "type", "content", "text", "transcript", "usage", "status"]), inner, max_size=4
    ),
    max_leaves=8,
)  # fmt: skip
FIELDS = ["item", "item_id", "previous_item_id", "content_index", "part", "delta", "text", "response", "audio_end_ms"]


@given(st.lists(st.tuples(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(FIELDS), VALUES)), max_size=12))
def test_nothing_that_a_server_says_breaks_it(events: list[tuple[str, dict[str, Any]]]) -> None:
    conversation = told(*({**fields, "type": kind} for kind, fields in events))
    snapshot = conversation.snapshot()
    assert len({item.id for item in snapshot.items}) == len(snapshot.items)


@pytest.mark.parametrize("size", [10, 1000])
def test_every_item_is_reachable_in_both_directions(size: int) -> None:
    conversation = told(*(added(message(str(n)), str(n - 1) if n else None) for n in range(size)))
    for n in range(0, size, 3):
        conversation.apply(Event({"type": "conversation.item.deleted", "item_id": str(n)}))
    assert ids(conversation) == [str(n) for n in range(size) if n % 3]


# -- bounds --------------------------------------------------------------------------------------------------------

MEGABYTE = "x" * (1 << 20)


def delta(item_id: str, piece: str) -> Event:
    return Event({"type": "response.output_text.delta", "item_id": item_id, "content_index": 0, "delta": piece})


def test_an_honest_conversation_loses_nothing() -> None:
    conversation = told(*(added(message(str(n), "Hello. " * 100), str(n - 1) if n else None) for n in range(5000)))
    assert (len(conversation.snapshot().items), conversation.snapshot().dropped_items) == (5000, 0)


def test_of_too_many_items_the_oldest_are_dropped_and_counted() -> None:
    conversation = told(*(added(message(str(n)), str(n - 1) if n else None) for n in range(10_100)))
    snapshot = conversation.snapshot()
    assert (len(snapshot.items), snapshot.dropped_items) == (10_000, 100)
    assert (snapshot.items[0].id, snapshot.items[-1].id) == ("100", "10099")
    assert conversation.item("99") is None


def test_of_items_that_are_too_large_together_the_oldest_are_dropped() -> None:
    conversation = told(*(added(message(str(n), MEGABYTE), str(n - 1) if n else None) for n in range(70)))
    snapshot = conversation.snapshot()
    assert snapshot.dropped_items == 70 - len(snapshot.items) == 7
    assert snapshot.items[0].id == "7"


def test_an_item_that_alone_is_too_large_is_dropped_and_what_follows_is_kept() -> None:
    conversation = told(added(message("small", "Hi")), added(message("endless", role="assistant"), "small"))
    for _ in range(70):
        conversation.apply(delta("endless", MEGABYTE))
    assert (ids(conversation), conversation.snapshot().dropped_items) == ([], 2)
    conversation.apply(Event(added(message("next", "Hi"))))
    assert ids(conversation) == ["next"]


def test_what_was_replaced_or_deleted_counts_no_longer() -> None:
    conversation = told(added(message("first", "Hi")))
    for n in range(200):
        place = {"item_id": f"item_{n}", "content_index": 0}
        part = {"type": "output_text", "text": MEGABYTE}
        for event in (
            added(message(f"item_{n}", role="assistant"), "first"),
            {"type": "response.output_text.delta", "delta": MEGABYTE, **place},
            {"type": "response.output_text.done", "text": MEGABYTE, **place},
            {"type": "response.content_part.done", "part": part, **place},
            {"type": "conversation.item.done", "item": message(f"item_{n}", MEGABYTE, role="assistant")},
            {"type": "response.output_audio_transcript.delta", "delta": MEGABYTE, **place},
            {"type": "conversation.item.truncated", "audio_end_ms": 10, **place},
            {"type": "conversation.item.deleted", "item_id": f"item_{n}"},
        ):
            conversation.apply(Event(event))
    assert (ids(conversation), conversation.snapshot().dropped_items) == (["first"], 0)


def test_small_values_count_for_the_memory_that_they_take() -> None:
    conversation = told(added(message("first", "Hi")))
    vast = {**message("many"), "extra": [[]] * 1_200_000}  # Under 4 MB of JSON.
    conversation.apply(Event(added(vast, "first")))
    assert conversation.snapshot().dropped_items == 2


@pytest.mark.parametrize("index", [lambda n: n, lambda n: 10_000 + n, lambda n: -n])
@pytest.mark.unmeasured
def test_pieces_of_parts_that_nobody_announced_are_bounded_too(index: Any) -> None:
    conversation = told(added(message("a", role="assistant")))
    for n in range(200_000):
        event = {"type": "response.output_text.delta", "item_id": "a", "content_index": index(n), "delta": ""}
        conversation.apply(Event(event))
    assert conversation.snapshot().dropped_items == 1


def test_what_a_response_says_of_itself_is_kept_only_in_its_usual_size() -> None:
    usage = {"total_tokens": 7, "padding": MEGABYTE}
    named = {"type": "response.done", "response": {"id": "r", "status": MEGABYTE, "usage": usage}}
    unnameable = {"type": "response.done", "response": {"id": MEGABYTE, "status": "completed"}}
    snapshot = told(named, unnameable, added(message(MEGABYTE))).snapshot()
    assert [(response.id, response.status, response.usage) for response in snapshot.responses] == [
        ("r", "completed", None)
    ]
    assert (snapshot.usage.total_tokens, snapshot.items) == (7, ())


def calls(conversation: Conversation, event: Event) -> int:
    """How many functions run for one event."""
    count = 0

    def profile(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(profile)
    try:
        conversation.apply(event)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("event", [delta("2", "Hi"), Event(added(message("new", "Hi"), "5"))], ids=["delta", "item"])
def test_an_event_costs_the_same_in_a_long_conversation(event: Event) -> None:
    short, long = (
        told(*(added(message(str(n), "Hi"), str(n - 1) if n else None) for n in range(size))) for size in (10, 9000)
    )
    assert calls(long, event) == calls(short, event)


def test_what_was_said_is_being_transcribed_until_its_words_or_a_failure_came() -> None:
    said = {"type": "input_audio", "transcript": None}
    settings = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    beginning = [
        {"type": "session.updated", "session": settings},
        added(message("a") | {"content": [said]}),
        added(message("b"), "a"),
    ]
    about = {"item_id": "a", "content_index": 0}
    kind = "conversation.item.input_audio_transcription"
    assert told(*beginning).transcribing
    assert not told(*beginning[1:]).transcribing
    assert not told(*beginning, {"type": f"{kind}.completed", "transcript": "", **about}).transcribing
    assert not told(*beginning, {"type": f"{kind}.failed", "error": {}, **about}).transcribing


def test_what_a_snapshot_gives_away_may_be_changed_and_the_events_stay_as_they_came() -> None:
    item = message("a", "Hi", role="assistant")
    usage = {"total_tokens": 3, "input_token_details": {"text_tokens": 1}}
    events = [
        Event({"type": "session.created", "session": {"type": "realtime", "tools": [{"name": "f"}]}}),
        Event(added(item)),
        Event({"type": "rate_limits.updated", "rate_limits": [{"name": "tokens", "limit": 1}]}),
        Event({"type": "response.done", "response": {"id": "r", "status": "completed", "usage": usage}}),
    ]
    before = [event.to_dict() for event in events]
    conversation = Conversation()
    for event in events:
        conversation.apply(event)
    snapshot = conversation.snapshot()
    snapshot.config["tools"][0]["name"] = "g"
    snapshot.items[0].data["content"][0]["text"] = "Bye"
    snapshot.rate_limits[0]["limit"] = 2
    assert snapshot.responses[0].usage is not None
    snapshot.responses[0].usage["input_token_details"]["text_tokens"] = 2
    conversation.config["tools"].clear()
    assert [event.to_dict() for event in events] == before
    assert conversation.snapshot().config == before[0]["session"]
