"""`describe` and `render`: what `rtsync events TYPE` will print."""

from __future__ import annotations

import json

import pytest

from rtsync.pure.reference import Description, describe, described_types, render
from rtsync.vocabulary.names import CLIENT_TYPES, PREVIEW_SERVER_TYPES, SERVER_TYPES, TRANSLATION_SERVER_TYPES
from tests.events.documented import DOCUMENTED

EVERY = [description for kind in sorted({kind for kind, _, _ in described_types()}) for description in describe(kind)]

every_description = pytest.mark.parametrize("description", EVERY, ids=[f"{d.sender}-{d.name}" for d in EVERY])


def test_every_event_is_described() -> None:
    listed = [(kind, sender) for kind, sender, _ in described_types()]
    assert {kind for kind, sender in listed if sender == "server"} == SERVER_TYPES | TRANSLATION_SERVER_TYPES
    assert {kind for kind, sender in listed if sender == "client"} >= CLIENT_TYPES
    assert len(listed) == 50 + 14
    assert len(EVERY) == len(listed)


@every_description
def test_an_event_says_when_it_is_sent_and_what_each_field_means(description: Description) -> None:
    assert description.summary.endswith(".")
    assert all(field.meaning and field.type for field in description.fields)
    assert description.example is not None
    assert description.example["type"] == description.name


@every_description
def test_the_page_names_every_field_and_shows_the_example(description: Description) -> None:
    page = render(description)
    assert page.startswith(f"{description.name}  (from the {description.sender})\n{description.summary[:40]}")
    assert all(f"\n  {field.name}: {field.type}" in page for field in description.fields)
    assert all(f"\n\n{inner.name}\n" in page for inner in description.objects)
    assert json.loads(page.partition("\nExample\n")[2]) == description.example


def test_objects_inside_are_explained_once_each_however_deep() -> None:
    (done,) = describe("response.done")
    names = [inner.name for inner in done.objects]
    assert len(names) == len(set(names))
    assert {"ResponseObject", "Usage", "InputTokens", "CachedTokens", "Item", "ContentPart"} <= set(names)
    assert "Usage" not in render(done, objects=False).partition("\nExample\n")[0]


def test_every_field_of_every_object_of_the_server_has_a_meaning() -> None:
    explained = {
        inner.name: inner for description in EVERY for inner in description.objects if description.sender == "server"
    }
    assert explained.keys() == DOCUMENTED["objects"].keys()
    for inner in explained.values():
        assert [field.name for field in inner.fields if not field.meaning] == [], inner.name


def test_a_preview_name_leads_to_its_ga_event() -> None:
    for kind in PREVIEW_SERVER_TYPES:
        assert describe(kind), kind
    assert [found.name for found in describe("response.text.delta")] == ["response.output_text.delta"]
    assert [found.name for found in describe("conversation.item.created")] == ["conversation.item.created"]


def test_what_two_kinds_of_session_know_is_described_twice() -> None:
    assert [found.sender for found in describe("session.update")] == ["client", "client"]
    assert "translation" in describe("session.update")[1].summary


def test_an_unknown_type_has_no_description() -> None:
    assert describe("response.sung") == []


def test_optional_fields_are_marked() -> None:
    (page,) = map(render, describe("conversation.item.create"))
    assert "\n  item: " in page
    assert "\n  previous_item_id: str | None (optional)\n" in page
    assert "item: SystemMessage" in page
    assert "(optional)\n      the item; its id" not in page
