"""The names of event types, as the service writes them."""

from __future__ import annotations

import re

import pytest

from rtsync.vocabulary.names import (
    CLIENT_TYPES,
    PREVIEW_CLIENT_TYPES,
    PREVIEW_SERVER_TYPES,
    SERVER_TYPES,
    TRANSLATION_CLIENT_TYPES,
    TRANSLATION_SERVER_TYPES,
    closest,
    known_server_types,
)

ALL = (CLIENT_TYPES, PREVIEW_CLIENT_TYPES, PREVIEW_SERVER_TYPES, SERVER_TYPES, TRANSLATION_CLIENT_TYPES,
       TRANSLATION_SERVER_TYPES)  # fmt: skip

# As the live server printed them, in its words (protocol 2.3).
PRINTED = [
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "input_audio_buffer.append",
    "input_audio_buffer.clear",
    "input_audio_buffer.commit",
    "output_audio_buffer.clear",
    "response.cancel",
    "response.create",
    "session.update",
]


def test_the_client_types_are_those_that_the_service_prints() -> None:
    assert sorted(CLIENT_TYPES) == PRINTED


def test_preview_only_adds_the_transcription_update() -> None:
    assert PREVIEW_CLIENT_TYPES.difference(CLIENT_TYPES) == {"transcription_session.update"}
    assert CLIENT_TYPES <= PREVIEW_CLIENT_TYPES


@pytest.mark.parametrize("names", ALL)
def test_names_are_lower_case_words_between_dots(names: frozenset[str]) -> None:
    assert names
    assert all(re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", name) for name in names)


def test_every_dialect_begins_with_session_created_and_knows_errors() -> None:
    for names in (SERVER_TYPES, PREVIEW_SERVER_TYPES, TRANSLATION_SERVER_TYPES):
        assert {"session.created", "session.updated", "error"} <= names


def test_ga_names_output_where_preview_does_not() -> None:
    for name in ("text", "audio", "audio_transcript"):
        for ending in ("delta", "done"):
            assert f"response.output_{name}.{ending}" in SERVER_TYPES - PREVIEW_SERVER_TYPES
            assert f"response.{name}.{ending}" in PREVIEW_SERVER_TYPES - SERVER_TYPES


def test_all_dialects_together_are_known() -> None:
    assert known_server_types() == SERVER_TYPES | PREVIEW_SERVER_TYPES | TRANSLATION_SERVER_TYPES
    assert "response.create" not in known_server_types()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("response.doen", "response.done"),
        ("response.output_text.dleta", "response.output_text.delta"),
        ("session_created", "session.created"),
        ("response.done", "response.done"),
        ("nothing like it", None),
        ("", None),
    ],
)
def test_a_typing_error_is_recognised(typed: str, meant: str | None) -> None:
    assert closest(typed) == meant
