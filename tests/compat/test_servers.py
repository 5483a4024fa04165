"""Servers that speak almost like the service: each differs in one way that was seen, and the client copes."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from rtsync import ResponseFailed
from tests.loopback import LIMIT
from tests.session.service import Answer, Json, Service, conversing, spawn


class Server:
    """A server that answers what a conversation needs, with everything that may differ as an option.

    Args:
        metadata: whether a response repeats the metadata that it was asked for with.
        item_events: types of the events that announce an item.
        own_ids: whether items get the server's ids instead of those that the client has given.
        begins: whether ``response.created`` is sent.
        speaks: whether the answer is a transcript and sound, without text.
        extra: fields to put into every event, and ``item``, ``response`` and ``part`` in it.
        status: how responses end, and their ``status_details``.
    """

    def __init__(
        self,
        *,
        metadata: bool = True,
        item_events: tuple[str, ...] = ("conversation.item.added", "conversation.item.done"),
        own_ids: bool = False,
        begins: bool = True,
        speaks: bool = False,
        extra: Json | None = None,
        status: tuple[str, Any] = ("completed", None),
    ) -> None:
        self._metadata = metadata
        self._item_events = item_events
        self._own_ids = own_ids
        self._begins = begins
        self._speaks = speaks
        self._extra = extra or {}
        self._status = status
        self._numbers = itertools.count(1)
        self._last_item: str | None = None

    def __call__(self, service: Service, event: Json) -> None:
        answers = {
            "session.update": self._updated,
            "conversation.item.create": self._created,
            "response.create": self._responded,
        }
        service.say(*map(self._adorned, answers[event["type"]](event)))

    def _updated(self, event: Json) -> Iterator[Json]:
        yield {"type": "session.updated", "session": event["session"]}

    def _created(self, event: Json) -> Iterator[Json]:
        item = {"status": "completed", **event["item"]}
        if self._own_ids:
            item["id"] = f"msg_{next(self._numbers)}"
        yield from self._announced(item)

    def _announced(self, item: Json) -> Iterator[Json]:
        for kind in self._item_events:
            yield {"type": kind, "previous_item_id": self._last_item, "item": item}
        self._last_item = item["id"]

    def _responded(self, event: Json) -> Iterator[Json]:
        options = event.get("response", {})
        number = next(self._numbers)
        response = {"id": f"resp_{number}", "status": "in_progress", "output": []}
        if self._metadata:
            response["metadata"] = options.get("metadata")
        kind, field = ("output_audio", "transcript") if self._speaks else ("output_text", "text")
        said = options.get("instructions") or "Hello there"
        item = {"id": f"out_{number}", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        at = {"response_id": response["id"], "item_id": item["id"], "output_index": 0, "content_index": 0}
        if self._begins:
            yield {"type": "response.created", "response": response}
            yield {"type": "response.output_item.added", "output_index": 0, "response_id": response["id"], "item": item}
            for half in (said[:5], said[5:]):
                yield {"type": f"response.{kind}{'_transcript' if self._speaks else ''}.delta", "delta": half, **at}
        whole = {**item, "status": "completed", "content": [{"type": kind, field: said}]}
        yield from self._announced(whole) if options.get("conversation") != "none" else ()
        status, details = self._status
        yield {
            "type": "response.done",
            "response": {**response, "status": status, "status_details": details, "output": [whole]},
        }

    def _adorned(self, event: Json) -> Json:
        """The event with the extra fields, in it and in what is in it."""
        inner = {
            name: {**self._extra, **value}
            for name, value in event.items()
            if name in ("item", "response", "part", "session") and isinstance(value, dict)
        }
        return {**self._extra, **event, **inner}


def held(server: Answer) -> list[str]:
    """A conversation of two turns, with a title asked for beside it; what was said in it."""
    with conversing(server) as (session, _service):
        session.update(instructions="Be kind.", timeout=LIMIT)
        first = session.ask("Good morning", timeout=LIMIT)
        aside = session.respond(conversation="none", instructions="A title", timeout=LIMIT).wait(LIMIT)
        second = session.ask("And good night", timeout=LIMIT)
        items = session.conversation.items
    assert [answer.status for answer in (first, aside, second)] == ["completed"] * 3
    assert aside.text + aside.transcript == "A title"
    assert [answer.text + answer.transcript for answer in (first, second)] == ["Hello there"] * 2
    return [f"{item.role}: {item.text or item.transcript}" for item in items]


CONVERSATION = ["user: Good morning", "assistant: Hello there", "user: And good night", "assistant: Hello there"]
SERVERS = {
    "as the service": Server(),
    "no metadata": Server(metadata=False),
    "created, and done": Server(item_events=("conversation.item.created", "conversation.item.done")),
    "created alone": Server(item_events=("conversation.item.created",)),
    "created and added": Server(item_events=("conversation.item.created", "conversation.item.added")),
    "added alone": Server(item_events=("conversation.item.added",)),
    "its own ids": Server(own_ids=True),
    "its own ids, created alone": Server(own_ids=True, item_events=("conversation.item.created",)),
    "no response.created": Server(begins=False),
    "no response.created, no metadata": Server(begins=False, metadata=False),
    "a transcript without text": Server(speaks=True),
    "nulls everywhere": Server(
        extra=dict.fromkeys(("event_id", "object", "usage", "metadata", "voice", "status_details", "audio", "error"))
    ),
    "new fields everywhere": Server(extra={"x_server": {"nested": [1, None]}, "created_at": 1.5, "model": "other"}),
    "everything at once": Server(
        metadata=False,
        item_events=("conversation.item.created",),
        own_ids=True,
        speaks=True,
        extra={"event_id": None, "x_server": []},
    ),
}


@pytest.mark.parametrize("server", SERVERS.values(), ids=list(SERVERS))
def test_a_conversation_is_the_same(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    assert held(server) == CONVERSATION
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_without_rate_limits_none_are_known() -> None:
    with conversing(Server()) as (session, _service):
        session.ask("Good morning", timeout=LIMIT)
        conversation = session.conversation
    assert conversation.rate_limits == []
    assert (conversation.usage.responses, conversation.usage.total_tokens) == (1, 0)


@pytest.mark.parametrize("count", [2, 5])
def test_without_metadata_parallel_responses_are_told_apart_by_order(count: int) -> None:
    """Asked for beside the conversation, begun all at once, and finished in the other order."""
    asked: list[Json] = []

    def answer(service: Service, event: Json) -> None:
        asked.append(event["response"])
        service.say({"type": "response.created", "response": {"id": f"resp_{len(asked)}", "metadata": None}})
        if len(asked) == count:
            for number in range(count, 0, -1):
                content = [{"type": "output_text", "text": asked[number - 1]["instructions"]}]
                output = [{"id": f"o{number}", "type": "message", "content": content}]
                service.say(
                    {
                        "type": "response.done",
                        "response": {"id": f"resp_{number}", "status": "completed", "output": output},
                    }
                )

    with conversing(answer) as (session, _service):
        responses = [
            session.respond(conversation="none", instructions=f"Title {number}", timeout=LIMIT)
            for number in range(count)
        ]
        said = [response.wait(LIMIT).text for response in responses]
    assert said == [f"Title {number}" for number in range(count)]


def test_events_that_nobody_knows_go_by_and_reach_their_handlers() -> None:
    plain = Server()

    def answer(service: Service, event: Json) -> None:
        service.say({"type": "server.busy", "load": 0.5}, {"type": "response.thinking.delta", "delta": None}, {"x": 1})
        plain(service, event)
        service.say({"type": "server.idle"})

    with conversing(answer) as (session, _service):
        loads: list[float] = []
        session.on("server.busy", lambda session, event: loads.append(event.load))
        assert session.ask("Good morning", timeout=LIMIT).text == "Hello there"
        session.wait_for("server.idle", timeout=LIMIT)
    assert loads == [0.5, 0.5]


@pytest.mark.parametrize(
    ("status", "details"),
    [
        ("failed", "the model has crashed"),
        ("incomplete", "max_output_tokens"),
        ("cancelled", "turn_detected"),
        ("failed", {"type": "failed", "error": "no object"}),
        ("failed", None),
        ("failed", ["a", "list"]),
    ],
)
def test_the_details_of_a_failure_may_be_anything(status: str, details: Any) -> None:
    with conversing(Server(status=(status, details))) as (session, _service):
        with pytest.raises(ResponseFailed) as failed:
            session.ask("Good morning", timeout=LIMIT)
        assert session.state == "open"
    assert failed.value.status == status
    assert failed.value.text == "Hello there"
    if isinstance(details, str):
        assert failed.value.reason == details
        assert details in str(failed.value)


def test_a_response_that_never_began_ends_only_the_one_that_was_asked_for() -> None:
    """On a server without response.created the second one still gets its own answer."""
    with conversing(Server(begins=False, metadata=False)) as (session, _service):
        answers = [spawn(lambda: session.ask("Good morning", timeout=LIMIT).text) for _ in range(3)]
        assert [answer.result() for answer in answers] == ["Hello there"] * 3


def test_a_mark_that_comes_back_with_the_end_alone_is_enough() -> None:
    """The beginning said something else; the answer must not be nobody's."""

    def answer(service: Service, event: Json) -> None:
        response = {"id": "resp_1", "status": "completed", "output": [], "metadata": event["response"]["metadata"]}
        service.say(
            {"type": "response.created", "response": {"id": "resp_1", "metadata": {"of": "the server"}}},
            {"type": "response.done", "response": response},
        )

    with conversing(answer) as (session, _service):
        assert session.respond(timeout=LIMIT).wait(LIMIT).status == "completed"
        assert session.respond(timeout=LIMIT).wait(LIMIT).status == "completed"  # And the floor is free again.
