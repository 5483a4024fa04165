"""`rtsync events`: every type in the list, every page, and a hand for those who mistype."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from rtsync.cli.events import events
from rtsync.pure.reference import describe, described_types
from rtsync.vocabulary.names import PREVIEW_SERVER_TYPES
from tests.cli.command import run


def test_it_lists_every_type_with_its_sender_and_one_line() -> None:
    ended = run("events")
    assert (ended.status, ended.err) == (0, "")
    lines = [line.split(maxsplit=2) for line in ended.out.splitlines()]
    assert [(name, sender, says) for name, sender, says in lines] == described_types()


def test_the_columns_of_the_list_stand_below_each_other() -> None:
    senders = {max(line.find("  client  "), line.find("  server  ")) for line in run("events").out.splitlines()}
    assert len(senders) == 1
    assert senders.pop() > 0


def test_it_shows_an_event_with_its_fields_and_an_example() -> None:
    ended = run("events", "response.output_text.delta")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("response.output_text.delta  (from the server)\n")
    assert "\n  delta: str" in ended.out
    assert json.loads(ended.out.partition("\nExample\n")[2])["type"] == "response.output_text.delta"


def test_what_two_kinds_of_session_know_is_shown_for_both() -> None:
    out = run("events", "session.update").out
    assert out.count("session.update  (from the client)") == 2
    assert "\nChange the session;" in out
    assert "\nChange the translation." in out


@pytest.mark.parametrize("name", sorted({name for name, _, _ in described_types()} | PREVIEW_SERVER_TYPES))
def test_every_type_has_its_page(name: str) -> None:
    ended = CliRunner().invoke(events, [name])  # In this process, without the program, which sets up logging.
    out = ended.stdout
    found = describe(name) if name != "transcription_session.updated" else describe("session.updated")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert out.startswith(f"{name}  (from the {found[0].sender})\n") or found[0].name != name
    for description in found:
        assert f"{description.name}  (from the {description.sender})\n" in out


def test_a_preview_name_leads_to_the_event_that_it_is() -> None:
    out = run("events", "response.audio.delta").out
    assert out.startswith("response.audio.delta is what preview endpoints call response.output_audio.delta;")
    assert "\n\n\nresponse.output_audio.delta  (from the server)\n" in out


def test_the_clients_event_of_preview_transcription_is_known() -> None:
    out = run("events", "transcription_session.update").out
    assert out.startswith("transcription_session.update is what preview endpoints call session.update;")
    assert "\n\n\nsession.update  (from the client)\n" in out


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        ("response.output_text.dleta", "'response.output_text.delta'"),
        ("session.updat", "'session.update'"),
        ("response.text.deltas", "'response.text.delta'"),
        ("Response.Done", "'response.done'"),
        ("zzz", "`rtsync events` lists them"),
        ("", "`rtsync events` lists them"),
    ],
)
def test_an_unknown_type_is_one_line_with_the_closest_name(mistyped: str, meant: str) -> None:
    ended = run("events", mistyped)
    assert (ended.status, ended.out) == (2, "")
    assert repr(mistyped) in ended.complaint
    assert meant in ended.complaint
