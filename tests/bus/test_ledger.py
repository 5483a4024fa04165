"""Which commands are done, and what a conversation is rebuilt from: plain calls."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rtsync.bus.engine import Card, Plan
from rtsync.bus.ledger import Changes, Command, Ledger, conversation_of
from rtsync.pure.conversation import Conversation, Item
from rtsync.vocabulary.events import Event

CARD = Card(
    session_id="rt_1",
    owner="ann",
    config={"voice": "alloy"},
    audio=False,
    again=True,
    idle_timeout=60.0,
    keep_closed=60.0,
    max_backlog=100,
    max_events=100,
    max_history=1 << 20,
)


class Books:
    """A ledger, a mirror of the conversation, and what stands on the bus because of them."""

    def __init__(self, card: Card = CARD, fields: dict[str, bytes] | None = None) -> None:
        self.card = card
        self.fields = dict(fields or {})
        self.ledger = Ledger(card, Plan(self.fields, "0"))
        self.conversation = Conversation()
        self.done: list[str] = []
        self.commands: dict[str, Command] = {}
        if not self.ledger.begun:
            self.keep(self.ledger.begin())

    def keep(self, changes: Changes) -> None:
        self.done += changes.done
        for entry_id in changes.done:
            self.commands.pop(entry_id, None)
        for name, value in changes.fields.items():
            if value is None:
                self.fields.pop(name, None)
            else:
                self.fields[name] = value

    def hand(self, kind: str, number: int, **fields: Any) -> dict[str, Any]:
        """Hand over a command, as the entry of that number."""
        command = Command(f"{number}-0", {"type": kind, "event_id": f"e{number}", **fields})
        self.commands[command.entry_id] = command
        event = self.ledger.hand(command)
        self.keep(self.ledger.handed(command))
        return event

    def hear(self, kind: str, **fields: Any) -> None:
        """The service says something."""
        event = Event({"type": kind, "event_id": "event_s", **fields})
        self.conversation.apply(event)
        self.keep(self.ledger.note(event, self.item))

    def item(self, item_id: str) -> Item | None:
        return self.conversation.item(item_id)

    def add(self, number: int, text: str) -> None:
        """A user's message, from the command to the answer."""
        item = {"id": f"item_{number}", **message("user", text)}
        self.hand("conversation.item.create", number, item=item)
        self.hear("conversation.item.added", item=item)

    def begin(self, response_id: str, event: dict[str, Any]) -> None:
        self.hear("response.created", response={"id": response_id, "metadata": event["response"]["metadata"]})

    def speak(self, response_id: str, item_id: str, text: str) -> None:
        """A whole item of a response."""
        item = {"id": item_id, **message("assistant", text, kind="output_text")}
        beginning = {**item, "status": "in_progress", "content": []}
        self.hear("response.output_item.added", response_id=response_id, item=beginning)
        self.hear("conversation.item.added", item=beginning)
        self.hear("conversation.item.done", item=item)
        self.hear("response.output_item.done", response_id=response_id, item=item)

    def end(self, response_id: str, event: dict[str, Any]) -> None:
        response = {"id": response_id, "status": "completed", "metadata": event["response"]["metadata"]}
        self.hear("response.done", response=response)

    def follow(self) -> Books:
        """The books of the next holder."""
        return Books(self.card, self.fields)

    @property
    def said(self) -> list[str]:
        """What the items on the bus say."""
        items, _ = conversation_of(Plan(self.fields, "0"))
        return [part["text"] for item in items for part in item["content"]]


def message(role: str, text: str, kind: str = "input_text") -> dict[str, Any]:
    return {"type": "message", "role": role, "status": "completed", "content": [{"type": kind, "text": text}]}


def test_a_command_is_done_with_its_answer_and_not_before() -> None:
    books = Books()
    item = {"id": "item_1", **message("user", "Hi")}
    books.hand("conversation.item.create", 1, item=item)
    assert (books.done, books.said) == ([], [])
    books.hear("conversation.item.added", item=item)
    assert (books.done, books.said) == (["1-0"], ["Hi"])


def test_a_command_that_is_refused_is_done() -> None:
    books = Books()
    books.hand("conversation.item.delete", 1, item_id="nobody")
    books.hear("error", error={"code": "item_delete_invalid_item_id", "event_id": "e1", "message": "no"})
    assert books.done == ["1-0"]


@pytest.mark.parametrize("kind", ["input_audio_buffer.append", "something.new"])
def test_what_is_never_answered_is_done_when_it_was_handed_over(kind: str) -> None:
    books = Books()
    books.hand(kind, 1)
    assert books.done == ["1-0"]


def test_what_cannot_be_handed_over_is_done() -> None:
    books = Books()
    command = Command("1-0", {"type": "response.cancel", "event_id": "e1"})
    books.ledger.hand(command)
    books.keep(books.ledger.refuse(command))
    assert books.done == ["1-0"]
    assert books.ledger.calm


def test_a_response_is_done_with_its_end_where_it_would_be_asked_for_again() -> None:
    books = Books()
    event = books.hand("response.create", 1)
    books.begin("resp_1", event)
    books.speak("resp_1", "item_a", "All of it")
    assert (books.done, books.said) == ([], [])
    books.end("resp_1", event)
    assert (books.done, books.said) == (["1-0"], ["All of it"])


def test_a_response_is_done_with_its_beginning_where_it_would_not() -> None:
    books = Books(msgspec.structs.replace(CARD, again=False))
    event = books.hand("response.create", 1)
    books.begin("resp_1", event)
    assert books.done == ["1-0"]
    books.speak("resp_1", "item_a", "The first part")
    assert books.said == ["The first part"]


def test_the_items_of_a_response_that_nobody_asked_for_are_kept_as_they_come() -> None:
    books = Books()
    books.hear("response.created", response={"id": "resp_1", "metadata": None})
    books.speak("resp_1", "item_a", "Said by itself")
    assert books.said == ["Said by itself"]


def test_metadata_of_a_response_is_kept_beside_the_mark() -> None:
    event = Books().hand("response.create", 1, response={"metadata": {"purpose": "title"}, "conversation": "none"})
    assert event["response"]["metadata"]["purpose"] == "title"
    assert event["response"]["conversation"] == "none"
    assert len(event["response"]["metadata"]) == 2


def test_parallel_responses_are_told_apart_by_their_mark() -> None:
    books = Books()
    one, two = books.hand("response.create", 1), books.hand("response.create", 2)
    books.begin("resp_2", two)
    books.begin("resp_1", one)
    books.end("resp_2", two)
    assert books.done == ["2-0"]
    books.end("resp_1", one)
    assert books.done == ["2-0", "1-0"]


def test_a_server_that_returns_no_metadata_answers_in_order() -> None:
    books = Books()
    books.hand("response.create", 1)
    books.hear("response.created", response={"id": "resp_1"})
    books.hear("response.done", response={"id": "resp_1", "status": "completed"})
    assert books.done == ["1-0"]


def test_the_next_holder_finds_settings_and_items() -> None:
    books = Books()
    books.hand("session.update", 1, session={"instructions": "Be brief", "audio": {"output": {"speed": 1.5}}})
    books.hear("session.updated", session={})
    books.add(2, "one")
    books.add(3, "two")
    books.hand("conversation.item.delete", 4, item_id="item_2")
    books.hear("conversation.item.deleted", item_id="item_2")
    following = books.follow().ledger
    assert following.config == {
        "voice": "alloy",
        "instructions": "Be brief",
        "audio": {"output": {"speed": 1.5}},
    }
    assert [item["id"] for item in following.items] == ["item_3"]


def test_settings_that_were_not_confirmed_are_not_restored() -> None:
    books = Books()
    books.hand("session.update", 1, session={"instructions": "Be brief"})
    assert books.follow().ledger.config == {"voice": "alloy"}


def test_items_stand_where_the_service_has_put_them() -> None:
    books = Books()
    books.add(1, "one")
    books.add(2, "two")
    for number, previous in ((3, "item_1"), (4, None), (5, "unknown")):
        item = {"id": f"item_{number}", **message("user", str(number))}
        books.hear("conversation.item.added", item=item, previous_item_id=previous)
    assert books.said == ["4", "one", "3", "two", "5"]


def test_a_spoken_turn_is_kept_with_its_transcript() -> None:
    books = Books()
    item = {"id": "item_1", "type": "message", "role": "user", "status": "completed"}
    books.hear("conversation.item.added", item={**item, "content": [{"type": "input_audio", "transcript": None}]})
    assert books.said == []
    books.hear(
        "conversation.item.input_audio_transcription.completed", item_id="item_1", content_index=0, transcript="Hello"
    )
    assert books.said == ["Hello"]


def test_of_what_was_cut_off_nothing_is_kept_that_was_not_heard() -> None:
    books = Books()
    spoken = {"type": "output_audio", "transcript": "A long story."}
    item = {"id": "item_a", "type": "message", "role": "assistant", "status": "completed", "content": [spoken]}
    books.hear("conversation.item.added", item=item)
    books.hear("conversation.item.done", item=item)
    books.add(1, "Stop!")
    assert books.said == ["A long story.", "Stop!"]
    books.hear("conversation.item.truncated", item_id="item_a", content_index=0, audio_end_ms=300)
    assert books.said == books.follow().said == ["Stop!"]


def test_of_a_conversation_that_grows_too_large_the_newest_items_are_kept() -> None:
    books = Books(msgspec.structs.replace(CARD, max_history=1000))
    for number in range(1, 31):
        books.add(number, "x" * 100)
    kept = [item["id"] for item in books.follow().ledger.items]
    assert 3 <= len(kept) < 10
    assert kept[-1] == "item_30"
    assert sum(len(value) for name, value in books.fields.items() if name.startswith("item:")) <= 1000
    [lost] = books.follow().ledger.cut([]).lost
    assert f"oldest {30 - len(kept)}" in lost.reason


def test_a_cut_response_is_asked_for_again_and_named() -> None:
    books = Books()
    books.add(1, "Hi")
    event = books.hand("response.create", 2)
    books.begin("resp_1", event)
    books.speak("resp_1", "item_a", "Half of it")
    following = books.follow()
    cut = following.ledger.cut(books.commands.values())
    assert [command.type for command in cut.left] == ["response.create"]
    assert (cut.again, cut.lost) == (["resp_1"], [])
    assert [item["id"] for item in following.ledger.items] == ["item_1"]


def test_a_response_that_nobody_asked_for_is_lost_with_its_line() -> None:
    books = Books()
    books.hear("response.created", response={"id": "resp_1"})
    cut = books.follow().ledger.cut([])
    assert (cut.left, cut.again) == ([], [])
    assert [(lost.what, lost.id) for lost in cut.lost] == [("response", "resp_1")]


def test_what_was_cancelled_is_not_asked_for_again() -> None:
    books = Books()
    event = books.hand("response.create", 1)
    books.begin("resp_1", event)
    books.hand("response.cancel", 2)
    item = {"id": "item_3", **message("user", "Hi")}
    books.hand("conversation.item.create", 3, item=item)
    following = books.follow()
    cut = following.ledger.cut(books.commands.values())
    assert [command.type for command in cut.left] == ["conversation.item.create"]
    assert sorted(cut.changes.done) == ["1-0", "2-0"]
    assert [(lost.what, lost.id) for lost in cut.lost] == [("response", "resp_1")]


def test_sound_that_was_not_committed_is_lost_with_its_line() -> None:
    books = Books()
    books.hand("input_audio_buffer.append", 1, audio="AAAA")
    assert [lost.what for lost in books.follow().ledger.cut([]).lost] == ["input_audio"]
    books.hear("input_audio_buffer.committed", item_id="item_1")
    assert books.follow().ledger.cut([]).lost == []


def test_a_conversation_is_calm_when_nothing_would_be_cut() -> None:
    books = Books()
    assert books.ledger.calm
    event = books.hand("response.create", 1)
    assert not books.ledger.calm
    books.begin("resp_1", event)
    books.end("resp_1", event)
    assert books.ledger.calm
    books.hand("input_audio_buffer.append", 2, audio="AAAA")
    assert not books.ledger.calm


def test_an_answer_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books()
    books.hand("input_audio_buffer.clear", 1)
    running = books.hand("response.create", 2)
    books.begin("resp_1", running)
    books.keep(books.ledger.expire())
    assert books.done == []
    monkeypatch.setattr("rtsync.bus.ledger._PATIENCE", -1.0)
    books.keep(books.ledger.expire())
    assert books.done == ["1-0"]  # The response runs, which may take its time.


def test_everything_written_anew_is_what_stood_there() -> None:
    books = Books()
    books.add(1, "one")
    event = books.hand("response.create", 2)
    books.begin("resp_1", event)
    assert books.ledger.fields() == books.fields
