"""Properties: what has a counterpart survives the way there and back; nothing breaks or vanishes on the way."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rtsync.pure.dialect import Memory, from_preview, to_preview
from rtsync.pure.dialect_shapes import item_to_ga, item_to_preview, response_to_ga, session_to_ga, settings_to_preview
from rtsync.vocabulary.names import CLIENT_TYPES, PREVIEW_CLIENT_TYPES, PREVIEW_SERVER_TYPES, SERVER_TYPES

Json = dict[str, Any]

words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=12)
formats = st.sampled_from([{"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcmu"}, {"type": "audio/pcma"}])
tool = st.fixed_dictionaries({"type": st.just("function"), "name": words}, optional={"description": words})
function_choice = st.fixed_dictionaries({"type": st.just("function"), "name": words})
turn_detection = st.none() | st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("server_vad")},
        optional={
            "threshold": st.floats(0, 1),
            "prefix_padding_ms": st.integers(0, 999),
            "silence_duration_ms": st.integers(0, 999),
            "create_response": st.booleans(),
            "interrupt_response": st.booleans(),
        },
    ),
    st.fixed_dictionaries({"type": st.just("semantic_vad")}, optional={"eagerness": st.sampled_from(["low", "auto"])}),
)
common = {
    "output_modalities": st.sampled_from([["text"], ["audio"]]),
    "instructions": words,
    "tools": st.lists(tool, max_size=2),
    "tool_choice": st.sampled_from(["none", "auto", "required"]) | function_choice,
    "max_output_tokens": st.integers(1, 4096) | st.just("inf"),
    "temperature": st.floats(0.6, 1.2),
}


def _some(fields: dict[str, st.SearchStrategy[Any]], *, at_least_one: bool = False) -> st.SearchStrategy[Json]:
    chosen = st.fixed_dictionaries({}, optional=fields)
    return chosen.filter(bool) if at_least_one else chosen


def _audio(
    inputs: dict[str, st.SearchStrategy[Any]], outputs: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Json]:
    sides = {"input": _some(inputs, at_least_one=True)} if inputs else {}
    if outputs:
        sides["output"] = _some(outputs, at_least_one=True)
    return _some(sides, at_least_one=True)


listening = {
    "format": formats,
    "transcription": st.none() | _some({"model": words, "language": words, "prompt": words}),
    "noise_reduction": st.none() | st.sampled_from([{"type": "near_field"}, {"type": "far_field"}]),
    "turn_detection": turn_detection,
}
speaking = {"format": formats, "voice": words}
sessions = _some(
    {
        **common,
        "audio": _audio(listening, {**speaking, "speed": st.floats(0.25, 1.5)}),
        "tracing": st.none() | st.just("auto"),
    }
)
transcriptions = _some({"audio": _audio(listening, {}), "include": st.lists(words, max_size=2)})
responses = _some(
    {
        **common,
        "audio": _audio({}, speaking),
        "conversation": st.sampled_from(["auto", "none"]),
        "metadata": st.dictionaries(words, words, max_size=2),
    }
)
assistant_part = st.one_of(
    st.fixed_dictionaries({"type": st.just("output_text"), "text": words}),
    st.fixed_dictionaries({"type": st.just("output_audio"), "transcript": st.none() | words}),
)
items = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("message"), "role": st.just("assistant"), "content": st.lists(assistant_part, max_size=3)},
        optional={"id": words},
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("message"),
            "role": st.sampled_from(["user", "system"]),
            "content": st.lists(st.fixed_dictionaries({"type": st.just("input_text"), "text": words}), max_size=3),
        }
    ),
    st.fixed_dictionaries({"type": st.just("function_call_output"), "call_id": words, "output": words}),
)

leaves = st.none() | st.booleans() | st.integers() | st.floats() | words
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8
)
KNOWN_FIELDS = sorted(
    {
        "session",
        "response",
        "item",
        "item_id",
        "previous_item_id",
        "event_id",
        "part",
        "delta",
        "name",
        "arguments",
        "error",
    }
)
INNER_FIELDS = sorted(
    {"id", "type", "object", "status", "role", "content", "output", "audio", "modalities", "output_modalities", "voice"}
    | {"input_audio_format", "output_audio_format", "turn_detection", "tool_choice", "tools", "input", "format", "rate"}
    | {"noise_reduction", "max_output_tokens", "max_response_output_tokens", "function", "prompt", "temperature"}
)
KNOWN_VALUES = [
    "assistant",
    "in_progress",
    "pcm16",
    "audio/pcm",
    "output_text",
    "text",
    "audio",
    "mcp",
    "function",
    "item_1",
]
broken = st.recursive(
    leaves | st.sampled_from(KNOWN_VALUES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER_FIELDS) | words, inner, max_size=5)
    ),
    max_leaves=12,
)


def _events(types: frozenset[str]) -> st.SearchStrategy[Json]:
    """Events of known types in which everything else may be broken."""
    fields = st.dictionaries(st.sampled_from(KNOWN_FIELDS), broken, max_size=4)
    return st.builds(lambda kind, rest: {**rest, "type": kind}, st.sampled_from(sorted(types)) | broken, fields)


@given(sessions)
def test_a_session_comes_back_as_it_went(session: Json) -> None:
    event, notes = to_preview({"type": "session.update", "session": {"type": "realtime", **session}})
    (arrival,) = from_preview({"type": "session.updated", "session": event["session"]}, Memory())
    assert arrival.event["session"] == {"type": "realtime", **session}
    assert notes == []


@given(transcriptions)
def test_a_transcription_session_comes_back_as_it_went(session: Json) -> None:
    event, notes = to_preview({"type": "session.update", "session": {"type": "transcription", **session}})
    assert event["type"] == "transcription_session.update"
    (arrival,) = from_preview({"type": "transcription_session.updated", "session": event["session"]}, Memory())
    assert arrival.event == {"type": "session.updated", "session": {"type": "transcription", **session}}
    assert notes == []


@given(responses)
def test_the_options_of_a_response_come_back_as_they_went(options: Json) -> None:
    event, notes = to_preview({"type": "response.create", "response": options})
    assert response_to_ga(event["response"]) == options
    assert notes == []


@given(items)
def test_an_item_comes_back_as_it_went(item: Json) -> None:
    event, notes = to_preview({"type": "conversation.item.create", "item": item})
    (arrival, *_) = from_preview({"type": "conversation.item.created", "item": event["item"]}, Memory())
    assert arrival.event["item"] == item
    assert notes == []


@given(sessions)
def test_a_preview_session_comes_back_as_it_came(session: Json) -> None:
    """The other direction: what the service says, translated, is what would be sent to it."""
    preview = settings_to_preview(session, [])
    again = session_to_ga(preview)
    del again["type"]
    assert settings_to_preview(again, []) == preview


@given(sessions)
def test_translating_twice_changes_nothing(session: Json) -> None:
    preview = settings_to_preview(session, [])
    assert settings_to_preview(preview, []) == preview
    ga = session_to_ga(preview)
    assert session_to_ga(ga) == ga


@given(items)
def test_translating_an_item_twice_changes_nothing(item: Json) -> None:
    preview = item_to_preview(item, [])
    assert item_to_preview(preview, []) == preview
    assert item_to_ga(item_to_ga(preview)) == item


@given(sessions, st.dictionaries(words.map("x-{}".format), anything, min_size=1, max_size=3), st.data())
def test_an_unknown_field_is_nowhere_lost(session: Json, unknown: Json, data: st.DataObject) -> None:
    audio = session.get("audio", {})
    places = [session, *([audio] if audio else []), *audio.values()]
    data.draw(st.sampled_from(places)).update(unknown)
    notes: list[str] = []
    preview = settings_to_preview(session, notes)
    assert _holds(preview, unknown)
    ga = session_to_ga(preview)
    assert {name: value for name, value in ga.items() if name != "type"} == session
    assert notes == []


def _holds(value: Any, wanted: Json) -> bool:
    inner = value.values() if isinstance(value, dict) else ()
    here = isinstance(value, dict) and wanted.items() <= {k: v for k, v in value.items() if k in wanted}.items()
    return here or any(_holds(part, wanted) for part in inner)


@given(_events(SERVER_TYPES | PREVIEW_SERVER_TYPES | {"transcription_session.created"}))
def test_no_server_event_breaks_the_translation_or_is_changed(event: Json) -> None:
    before = json.dumps(event)
    memory = Memory()
    for _ in range(2):
        arrivals = from_preview(event, memory)
        assert 1 <= len(arrivals) <= 2
        assert [arrival.wire_type for arrival in arrivals if arrival.wire_type] in ([event["type"]], [])
    assert json.dumps(event) == before


@given(st.lists(_events(SERVER_TYPES | PREVIEW_SERVER_TYPES), max_size=12))
def test_every_server_event_arrives_in_order_however_broken_its_neighbours(events: list[Json]) -> None:
    memory = Memory()
    numbered = [{**event, "number": number} for number, event in enumerate(events)]
    arrived = [arrival.event.get("number") for event in numbered for arrival in from_preview(event, memory)]
    assert [number for number in arrived if number is not None] == list(range(len(events)))


@given(_events(CLIENT_TYPES | PREVIEW_CLIENT_TYPES))
def test_no_client_event_breaks_the_translation_or_is_changed(event: Json) -> None:
    before = copy.deepcopy(event)
    translated, notes = to_preview(event)
    assert json.dumps(event) == json.dumps(before)
    assert translated.keys() == event.keys()
    assert all(isinstance(note, str) for note in notes)
