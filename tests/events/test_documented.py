"""Nothing documented is missing from the classes, and nothing in them is invented."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from rtsync.vocabulary import client_events, client_shapes, examples, names, server_events, shapes
from rtsync.vocabulary.client_events import CLIENT_EVENTS, TRANSLATION_CLIENT_EVENTS
from rtsync.vocabulary.events import Event, Fields
from rtsync.vocabulary.server_events import SERVER_EVENTS
from tests.events.documented import ALWAYS_SENT, CLEARED, DOCUMENTED, OTHERWISE, hints, words

SERVER = DOCUMENTED["server_events"]
TRANSLATION = DOCUMENTED["translation_server_events"]
CLIENT = [
    *((kind, CLIENT_EVENTS[kind], entry) for kind, entry in DOCUMENTED["client_events"].items()),
    *(
        (kind, TRANSLATION_CLIENT_EVENTS[kind], entry)
        for kind, entry in DOCUMENTED["translation_client_events"].items()
    ),
]

every_object = pytest.mark.parametrize("name", sorted(DOCUMENTED["objects"]))
every_client_object = pytest.mark.parametrize("name", sorted(DOCUMENTED["client_objects"]))
every_server_event = pytest.mark.parametrize("kind", sorted(SERVER | TRANSLATION))
every_client_event = pytest.mark.parametrize(("kind", "described", "entry"), CLIENT)


def test_every_documented_server_event_has_its_class() -> None:
    assert SERVER_EVENTS.keys() == SERVER.keys() | TRANSLATION.keys()
    assert SERVER_EVENTS.keys() == names.SERVER_TYPES | names.TRANSLATION_SERVER_TYPES
    assert (len(SERVER), len(TRANSLATION)) == (46, 7)
    assert len(set(SERVER_EVENTS.values())) == len(SERVER_EVENTS)


def test_every_documented_client_event_has_its_class() -> None:
    assert CLIENT_EVENTS.keys() == DOCUMENTED["client_events"].keys() == names.CLIENT_TYPES
    assert TRANSLATION_CLIENT_EVENTS.keys() == DOCUMENTED["translation_client_events"].keys()
    assert TRANSLATION_CLIENT_EVENTS.keys() == names.TRANSLATION_CLIENT_TYPES
    every = {*CLIENT_EVENTS.values(), *TRANSLATION_CLIENT_EVENTS.values()}
    assert every == set(get_args(client_events.ClientEvent))
    assert len(every) == 14


def test_no_class_of_objects_is_beside_the_documented_ones() -> None:
    assert set(shapes.__all__) == DOCUMENTED["objects"].keys() | {"Array"}
    described = {name for name in client_shapes.__all__ if isinstance(getattr(client_shapes, name), type)}
    assert described == DOCUMENTED["client_objects"].keys()


@every_server_event
def test_a_server_event_has_the_documented_fields(kind: str) -> None:
    documented = {**TRANSLATION.get(kind, SERVER.get(kind))["fields"], **SERVER.get(kind, {}).get("fields", {})}
    described = hints(SERVER_EVENTS[kind])
    assert described.keys() == documented.keys()
    for name, field in documented.items():
        expected = _expected(field, set())
        if kind in TRANSLATION and kind in SERVER and name == "session":
            expected = {"SessionObject"}
        assert words(described[name]) == expected, name


@every_object
def test_an_object_has_the_documented_fields(name: str) -> None:
    documented = DOCUMENTED["objects"][name]
    described = hints(getattr(shapes, name))
    assert described.keys() == documented.keys()
    for field, entry in documented.items():
        entry = {**entry, "required": entry["required"] or field in ALWAYS_SENT.get(name, ())}
        expected = _expected(entry, OTHERWISE.get((name, field), set()))
        assert words(described[field]) == expected, field


@every_client_event
def test_a_client_event_has_the_documented_fields(kind: str, described: Any, entry: dict[str, Any]) -> None:
    assert described.__required_keys__ == {name for name, field in entry["fields"].items() if field["required"]}
    found = hints(described)
    assert found.keys() == entry["fields"].keys()
    for name, field in entry["fields"].items():
        optional = {"null"} if name == "previous_item_id" else set()
        assert words(found[name]) == set(field["type"]) | optional, name


@every_client_object
def test_an_object_for_clients_has_the_documented_fields(name: str) -> None:
    documented, described = DOCUMENTED["client_objects"][name], getattr(client_shapes, name)
    assert described.__required_keys__ == {field for field, entry in documented.items() if entry["required"]}
    found = hints(described)
    assert found.keys() == documented.keys()
    for field, entry in documented.items():
        expected = OTHERWISE.get((name, field)) or set(entry["type"])
        missing = expected ^ (words(found[field]) - {"null"})
        assert missing == set(), field
        may_be_null = "null" in words(found[field])
        nullable = entry.get("nullable", False) and expected != {"any"}
        assert may_be_null == (nullable or field in CLEARED.get(name, ())), field


def _expected(entry: dict[str, Any], otherwise: set[str]) -> set[str]:
    kinds = otherwise or set(entry["type"])
    return kinds if entry["required"] or kinds == {"any"} else kinds | {"null"}


@every_server_event
def test_a_class_is_named_after_its_type(kind: str) -> None:
    described = SERVER_EVENTS[kind]
    plain = "".join(word.capitalize() for word in kind.replace("_", ".").split("."))
    assert described.__name__ in {plain, f"{plain}Event"}
    assert getattr(server_events, described.__name__) is described
    assert words(hints(described)["type"]) == {f'"{kind}"'}


@every_server_event
def test_annotations_leave_no_trace_on_the_class(kind: str) -> None:
    """A class attribute or a slot would stand before the field that came; but for two that say just that."""
    for line in SERVER_EVENTS[kind].__mro__:
        if line.__module__ in (server_events.__name__, shapes.__name__):
            assert line.__dict__["__slots__"] == ()
            assert line.__dict__.keys() & hints(line).keys() <= {"type", "delta"}
    assert SERVER_EVENTS[kind]({"type": kind}).type == kind


@every_server_event
def test_a_field_at_hand_is_the_field_that_came(kind: str) -> None:
    described = SERVER_EVENTS[kind]
    for came in ("a", 1, None, {"x": 1}, [1]):
        assert described({"type": kind, "delta": came}).delta == came
    with pytest.raises(AttributeError, match="has no field 'delta'; it has: type"):
        described({"type": kind}).delta  # noqa: B018


@every_object
def test_objects_are_fields(name: str) -> None:
    assert issubclass(getattr(shapes, name), Fields)
    assert getattr(shapes, name).__dict__["__slots__"] == ()


def test_examples_are_the_documented_ones() -> None:
    for shown, section in [
        (examples.SERVER_EXAMPLES, "server_events"),
        (examples.TRANSLATION_SERVER_EXAMPLES, "translation_server_events"),
        (examples.CLIENT_EXAMPLES, "client_events"),
        (examples.TRANSLATION_CLIENT_EXAMPLES, "translation_client_events"),
    ]:
        documented = DOCUMENTED[section].items()
        assert shown == {kind: entry["example"] for kind, entry in documented if "example" in entry}


def test_an_unknown_type_is_a_plain_event() -> None:
    assert server_events.event_class("response.sung") is Event
    assert server_events.event_class(None) is Event
    assert server_events.event_class(["response.done"]) is Event
