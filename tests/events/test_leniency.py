"""At run time a typed event is an `Event` over exactly what came, whatever its class promises."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from rtsync.vocabulary.events import Event, Fields, Items, decode
from rtsync.vocabulary.examples import SERVER_EXAMPLES, TRANSLATION_SERVER_EXAMPLES
from rtsync.vocabulary.server_events import SERVER_EVENTS, ErrorEvent, ResponseDone, event_class, typed
from tests.events.documented import hints

EXAMPLES = [*SERVER_EXAMPLES.items(), *TRANSLATION_SERVER_EXAMPLES.items()]

every_example = pytest.mark.parametrize(("kind", "example"), EXAMPLES, ids=[kind for kind, _ in EXAMPLES])


def _received(example: dict[str, Any]) -> Event:
    came = decode(json.dumps(example).encode())
    return typed(came.to_dict())


@every_example
def test_an_example_is_an_event_of_its_class(kind: str, example: dict[str, Any]) -> None:
    event = _received(example)
    assert type(event) is SERVER_EVENTS[kind]
    assert isinstance(event, Event)
    assert (event.type, event.wire_type) == (kind, kind)
    assert event == example
    assert event.to_dict() == example


@every_example
def test_the_documented_fields_of_an_example_can_be_read(kind: str, example: dict[str, Any]) -> None:
    event = _received(example)
    for name in hints(SERVER_EVENTS[kind]):
        if name in example:
            assert getattr(event, name) == event[name] == example[name]
        else:
            with pytest.raises(AttributeError, match=f"has no field '{name}'"):
                getattr(event, name)


def test_every_required_field_is_in_some_example() -> None:
    for kind, example in EXAMPLES:
        required = {name for name, hint in hints(SERVER_EVENTS[kind]).items() if type(None) not in _alternatives(hint)}
        assert required <= example.keys(), kind


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__args__", (hint,))


def test_a_field_that_is_missing_raises_as_with_any_event() -> None:
    data = {"type": "response.done", "event_id": "event_1"}
    messages = []
    for event in (Event(data), typed(data)):
        with pytest.raises(AttributeError) as raised:
            event.response  # noqa: B018
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
    assert not hasattr(typed(data), "response")


@pytest.mark.parametrize("value", [None, 5, "text", [], [None], {}, {"output": None}])
def test_a_field_of_another_type_is_delivered_as_it_came(value: Any) -> None:
    event = typed({"type": "response.done", "response": value})
    assert isinstance(event, ResponseDone)
    assert event.response == value


def test_objects_and_arrays_inside_are_views() -> None:
    event = _received(SERVER_EXAMPLES["response.done"])
    assert isinstance(event, ResponseDone)
    assert type(event.response) is Fields
    assert type(event.response.output) is Items
    assert event.response.output[0].content[0].text == "Hi!"
    assert event.response.usage is not None
    assert event.response.usage.total_tokens == 127


def test_a_typed_event_can_be_copied() -> None:
    event = typed(SERVER_EXAMPLES["response.done"], "response.done")
    assert copy.copy(event) is event
    assert copy.deepcopy(event) == event


def test_the_type_of_the_wire_is_kept() -> None:
    event = typed({"type": "response.output_text.delta", "delta": "Hi"}, "response.text.delta")
    assert type(event) is SERVER_EVENTS["response.output_text.delta"]
    assert event.wire_type == "response.text.delta"


def test_an_event_cannot_be_changed() -> None:
    event = typed({"type": "error", "error": {"message": "no"}})
    assert isinstance(event, ErrorEvent)
    with pytest.raises(AttributeError, match="read-only"):
        event.error = None  # type: ignore[assignment]
    with pytest.raises(AttributeError, match="read-only"):
        event.event_id = "event_2"


def test_the_repr_names_the_type_and_hides_audio() -> None:
    event = typed({"type": "response.output_audio.delta", "delta": "A" * 4000})
    assert (
        repr(event)
        == "Event[response.output_audio.delta]({'type': 'response.output_audio.delta', 'delta': <4000 characters>})"
    )


@pytest.mark.parametrize("kind", [None, 5, {}, [], "response.sung", ""])
def test_an_unknown_or_broken_type_makes_a_plain_event(kind: Any) -> None:
    event = typed({"type": kind, "delta": "la"})
    assert type(event) is Event
    assert event.type == (kind if isinstance(kind, str) else "")
    assert event.delta == "la"
    assert event_class(kind) is Event
