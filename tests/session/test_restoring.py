"""What a new connection is told before the program speaks on it again: settings, items, nothing else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from rtsync import (
    Azure,
    CloseCause,
    ConnectionLost,
    Lost,
    RealtimeSession,
    ServerError,
    SessionClosed,
    Snapshot,
    handler_failed,
    restorable_items,
    session_closed,
)
from tests.loopback import LIMIT, ScriptedServer
from tests.session.service import Json, Service, done, error, response, session_to, spawn, user
from tests.session.successive import Succession, at_once, attend, resuming, watched

WHOLE = at_once(restore="conversation")


def told(service: Service, count: int) -> list[Json]:
    """The next `count` client events, without their ids."""
    heard = [service.hear() for _ in range(count)]
    assert all(event.pop("event_id") for event in heard)
    return heard


def marker(session: RealtimeSession, service: Service) -> list[Json]:
    """Everything that `service` has heard before a word of the program's own."""
    session.send({"type": "input_audio_buffer.clear"})
    heard: list[Json] = []
    while (event := service.hear())["type"] != "input_audio_buffer.clear":
        del event["event_id"]
        heard.append(event)
    return heard


def come_back(session: RealtimeSession, services: Succession, number: int = 1) -> tuple[Service, Json]:
    """Cut connection `number`; the service of the next one, and what `reconnected` said."""
    with watched(session) as signals:
        services[number].peer.reset()
        said = signals.until("reconnected")
    return services[number + 1], said


def settings_in(events: Iterable[Json]) -> list[Json]:
    return [event["session"] for event in events if event["type"] == "session.update"]


# -- the configuration ------------------------------------------------------------------------------------------------


def test_what_was_confirmed_is_merged_and_sent_first_and_nothing_else_is() -> None:
    with resuming() as (session, services):
        session.update(instructions="Be brief.", audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
        session.update(audio={"input": {"turn_detection": None}, "output": {"voice": "cedar"}}, tools=[{"a": 1}])
        session.update(tools=[{"b": 2}], audio={"output": {"speed": 1.5}})
        session.add_item(user("Hello"))
        second, _ = come_back(session, services)
        heard = marker(session, second)
    assert heard == [
        {
            "type": "session.update",
            "session": {
                "type": "realtime",
                "instructions": "Be brief.",
                "audio": {"input": {"turn_detection": None}, "output": {"voice": "cedar", "speed": 1.5}},
                "tools": [{"b": 2}],
            },
        }
    ]


def test_a_session_that_was_told_nothing_tells_nothing() -> None:
    with resuming() as (session, services):
        second, said = come_back(session, services)
        assert marker(session, second) == []
    assert said["lost"] == ()


def test_the_initial_configuration_is_part_of_it() -> None:
    with resuming(config={"instructions": "Be brief."}) as (session, services):
        session.update(output_modalities=["text"])
        second, _ = come_back(session, services)
        heard = marker(session, second)
    assert settings_in(heard) == [{"type": "realtime", "instructions": "Be brief.", "output_modalities": ["text"]}]


def test_a_refused_update_is_not_repeated() -> None:
    def fussy(service: Service, event: Json) -> None:
        if event["type"] == "session.update" and "speed" in event["session"]:
            service.say(error(event_id=event["event_id"], param="session.speed"))
        else:
            attend(service, event)

    with resuming(fussy) as (session, services):
        session.update(instructions="Be brief.")
        with pytest.raises(ServerError):
            session.update(speed=9)
        second, _ = come_back(session, services)
        assert settings_in(marker(session, second)) == [{"type": "realtime", "instructions": "Be brief."}]


def test_an_update_that_was_never_confirmed_is_not_repeated_and_its_sender_hears() -> None:
    with resuming(None, attend) as (session, services):
        asked = spawn(lambda: session.update(instructions="Be brief."))
        services[1].hear("session.update")
        second, said = come_back(session, services)
        with pytest.raises(ConnectionLost) as raised:
            asked.result()
        assert marker(session, second) == []
    assert raised.value.in_flight == ("session.update",)
    assert [lost.what for lost in said["lost"]] == ["event"]


def test_an_update_by_a_raw_event_counts_too() -> None:
    with resuming() as (session, services):
        session.send({"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}})
        session.wait_for("session.updated", timeout=LIMIT)
        second, _ = come_back(session, services)
        assert settings_in(marker(session, second)) == [{"type": "realtime", "instructions": "Be brief."}]


def test_credentials_of_tools_are_sent_again_although_the_service_echoes_none() -> None:
    def discreet(service: Service, event: Json) -> None:
        tools = [{"type": "mcp", "server_label": "here"}]
        service.say({"type": "session.updated", "session": {"type": "realtime", "tools": tools}})

    mine = [{"type": "mcp", "server_label": "here", "authorization": "the token"}]
    with resuming(discreet) as (session, services):
        session.update(tools=mine)
        second, _ = come_back(session, services)
        assert settings_in(marker(session, second)) == [{"type": "realtime", "tools": mine}]


def test_what_the_program_changes_in_its_own_objects_later_is_not_sent() -> None:
    tools = [{"type": "function", "name": "now"}]
    with resuming() as (session, services):
        session.update(tools=tools)
        tools.append({"type": "function", "name": "later"})
        tools[0]["name"] = "then"
        second, _ = come_back(session, services)
        assert settings_in(marker(session, second))[0]["tools"] == [{"type": "function", "name": "now"}]


def test_a_third_connection_is_told_the_same_as_the_second() -> None:
    with resuming() as (session, services):
        session.update(instructions="Be brief.")
        come_back(session, services)
        session.update(output_modalities=["text"])
        third, _ = come_back(session, services, 2)
        assert settings_in(marker(session, third)) == [
            {"type": "realtime", "instructions": "Be brief.", "output_modalities": ["text"]}
        ]


def test_a_preview_endpoint_is_told_in_its_own_words() -> None:
    def preview(service: Service, event: Json) -> None:
        if event["type"] == "session.update":
            service.say({"type": "session.updated", "session": event["session"]})
        elif event["type"] == "conversation.item.create":
            service.say({"type": "conversation.item.created", "item": {**event["item"], "status": "completed"}})

    services = Succession(preview)
    with ScriptedServer(services.play) as server:
        target = Azure(endpoint=server.http_url, deployment="d", api_key="k", api_version="2024-10-01-preview")
        with RealtimeSession(target, reconnect=WHOLE) as session:
            session.update(output_modalities=["text"], audio={"input": {"turn_detection": None}})
            session.add_item(user("Hello", "item_a"))
            assert services[1].hear("session.update")["session"] == {"modalities": ["text"], "turn_detection": None}
            second, _ = come_back(session, services)
            heard = marker(session, second)
    assert heard == [
        {"type": "session.update", "session": {"modalities": ["text"], "turn_detection": None}},
        {"type": "conversation.item.create", "item": user("Hello", "item_a")},
    ]


def test_a_transcription_session_is_set_up_again() -> None:
    services = Succession()
    with ScriptedServer(services.play) as server:
        target = session_to(server).target.for_transcription()
        with RealtimeSession(target, reconnect=True) as session:
            session.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
            second, _ = come_back(session, services)
            heard = marker(session, second)
    assert settings_in(heard) == [
        {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    ]


def test_with_the_configuration_alone_every_item_is_named_as_lost_and_totals_go_on() -> None:
    usage = {"total_tokens": 7, "input_tokens": 3, "output_tokens": 4}

    def counting(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            metadata = event["response"].get("metadata")
            service.say(response("response.created", metadata=metadata), done(metadata=metadata, usage=usage))
        else:
            attend(service, event)

    with resuming(counting) as (session, services):
        session.add_item(user("One", "item_1"))
        session.add_item(user("Two", "item_2"))
        session.respond().wait(LIMIT)
        _, said = come_back(session, services)
        assert [item.id for item in session.conversation.items] == []
        assert session.conversation.usage.total_tokens == 7
        session.respond().wait(LIMIT)
        assert session.conversation.usage.total_tokens == 14
        assert len(session.conversation.responses) == 1  # The server reuses its id.
    assert [(lost.what, lost.id) for lost in said["lost"]] == [("item", "item_1"), ("item", "item_2")]


def test_a_configuration_that_is_refused_now_ends_the_session_and_says_so() -> None:
    def changed(service: Service, event: Json) -> None:
        service.say(error(event_id=event["event_id"], message="No such voice any more."))

    ended: queue.SimpleQueue[SessionClosed] = queue.SimpleQueue()

    def on_closed(_session: RealtimeSession, error: SessionClosed) -> None:
        ended.put(error)

    with resuming(attend, changed) as (session, services), session_closed.connected_to(on_closed, sender=session):
        session.update(instructions="Be brief.")
        waiting = spawn(lambda: session.wait_for("never", timeout=LIMIT))
        services[1].peer.reset()
        with pytest.raises(SessionClosed, match="No such voice any more") as raised:
            waiting.result()
        assert session.state == "closed"
        assert ended.get(timeout=LIMIT).cause is CloseCause.SERVER  # It is sent where handlers run, a moment later.
    assert raised.value.cause is CloseCause.SERVER
    assert raised.value.retryable is False
    assert len(services) == 2
    assert ended.empty()


# -- the conversation -------------------------------------------------------------------------------------------------


def message(item_id: str, role: str, *content: Json, status: str = "completed") -> Json:
    """A message as the service tells of it."""
    return {"id": item_id, "type": "message", "role": role, "status": status, "content": list(content)}


def spoken(item_id: str, transcript: str | None) -> Json:
    return message(item_id, "assistant", {"type": "output_audio", "transcript": transcript})


EVERY_KIND = [
    (
        message("item_text", "user", {"type": "input_text", "text": "Hello"}),
        message("item_text", "user", {"type": "input_text", "text": "Hello"}),
    ),
    (
        message("item_heard", "user", {"type": "input_audio", "transcript": "Can you hear me?"}),
        message("item_heard", "user", {"type": "input_text", "text": "Can you hear me?"}),
    ),
    (
        message(
            "item_seen",
            "user",
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
            {"type": "input_text", "text": "What is it?"},
        ),
        message(
            "item_seen",
            "user",
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
            {"type": "input_text", "text": "What is it?"},
        ),
    ),
    (
        message("item_said", "assistant", {"type": "output_text", "text": "A pixel."}),
        message("item_said", "assistant", {"type": "output_text", "text": "A pixel."}),
    ),
    (
        spoken("item_spoken", "One pixel."),
        message("item_spoken", "assistant", {"type": "output_text", "text": "One pixel."}),
    ),
    (
        message("item_cut", "assistant", {"type": "output_text", "text": "As I was"}, status="incomplete"),
        message("item_cut", "assistant", {"type": "output_text", "text": "As I was"}),
    ),
    (
        message("item_rule", "system", {"type": "input_text", "text": "Be brief."}),
        message("item_rule", "system", {"type": "input_text", "text": "Be brief."}),
    ),
    (
        {
            "id": "item_call",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_1",
            "name": "now",
            "arguments": "{}",
        },
        {"id": "item_call", "type": "function_call", "call_id": "call_1", "name": "now", "arguments": "{}"},
    ),
    (
        {"id": "item_out", "type": "function_call_output", "call_id": "call_1", "output": "noon"},
        {"id": "item_out", "type": "function_call_output", "call_id": "call_1", "output": "noon"},
    ),
    (
        {
            "id": "item_yes",
            "type": "mcp_approval_response",
            "approval_request_id": "m_1",
            "approve": True,
            "reason": None,
        },
        None,
    ),
    (message("item_mute", "user", {"type": "input_audio", "transcript": None}), None),
    (spoken("item_silent", None), None),
    (message("item_being_said", "assistant", {"type": "output_text", "text": "I"}, status="in_progress"), None),
    ({"id": "item_tools", "type": "mcp_list_tools", "server_label": "here", "tools": []}, None),
    ({"id": "item_made", "type": "mcp_call", "server_label": "here", "name": "now", "arguments": "{}"}, None),
    ({"id": "item_new", "type": "something_new", "status": "completed"}, None),
]  # What the service tells of each item, and as what it is created again.


def test_items_of_every_kind_come_back_in_their_order_with_their_ids() -> None:
    with resuming(reconnect=WHOLE) as (session, services):
        for item, _ in EVERY_KIND:
            services[1].say({"type": "conversation.item.added", "item": item})
        session.update(instructions="Be brief.")
        second, said = come_back(session, services)
        heard = marker(session, second)
        wanted = [{name: value for name, value in item.items() if name != "status"} for _, item in EVERY_KIND if item]
        assert [item.id for item in session.conversation.items] == [item["id"] for item in wanted]
    assert [event["type"] for event in heard] == ["session.update"] + len(wanted) * ["conversation.item.create"]
    assert [event["item"] for event in heard[1:]] == wanted
    assert all("previous_item_id" not in event for event in heard)
    lost = [(lost.what, lost.id) for lost in said["lost"]]
    assert lost == [("item", item["id"]) for item, rebuilt in EVERY_KIND if rebuilt is None]


def test_a_part_that_cannot_be_rebuilt_is_named_and_the_rest_of_its_item_comes_back() -> None:
    mixed = message(
        "item_1", "user", {"type": "input_text", "text": "Listen:"}, {"type": "input_audio", "transcript": None}
    )
    with resuming(reconnect=WHOLE) as (session, services):
        services[1].say({"type": "conversation.item.added", "item": mixed})
        session.update()
        second, said = come_back(session, services)
        heard = marker(session, second)
    assert heard[-1]["item"]["content"] == [{"type": "input_text", "text": "Listen:"}]
    assert [(lost.what, lost.id) for lost in said["lost"]] == [("part", "item_1")]


def test_an_answer_whose_audio_was_truncated_has_no_transcript_and_is_named() -> None:
    with resuming(reconnect=WHOLE) as (session, services):
        services[1].say(
            {"type": "conversation.item.added", "item": spoken("item_1", "One two three.")},
            {"type": "conversation.item.truncated", "item_id": "item_1", "content_index": 0, "audio_end_ms": 100},
        )
        session.update()
        _, said = come_back(session, services)
    assert [(lost.what, lost.id) for lost in said["lost"]] == [("item", "item_1")]


def test_what_was_inserted_and_deleted_comes_back_as_it_stands() -> None:
    with resuming(reconnect=WHOLE) as (session, services):
        for name in ("b", "d", "e"):
            session.add_item(user(name, name))
        session.add_item(user("c", "c"), after="b")
        session.add_item(user("a", "a"), after="root")
        session.delete_item("d")
        second, said = come_back(session, services)
        heard = marker(session, second)
        assert [item.id for item in session.conversation.items] == ["a", "b", "c", "e"]
    assert [event["item"]["id"] for event in heard] == ["a", "b", "c", "e"]
    assert said["lost"] == ()


def test_an_item_that_the_service_refuses_is_named_and_the_others_come_back() -> None:
    def fussy(service: Service, event: Json) -> None:
        if event.get("item", {}).get("id") == "b":
            service.say(error(event_id=event["event_id"], code="invalid_item"))
        else:
            attend(service, event)

    with resuming(attend, fussy, reconnect=WHOLE) as (session, services):
        for name in ("a", "b", "c"):
            session.add_item(user(name, name))
        _, said = come_back(session, services)
        assert [item.id for item in session.conversation.items] == ["a", "c"]
        session.add_item(user("d", "d"))
    assert [(lost.what, lost.id) for lost in said["lost"]] == [("item", "b")]
    assert "invalid_item" in str(said["lost"][0])


def test_five_hundred_items_come_back_a_few_at_a_time() -> None:
    """The second server reads on only while few are unanswered, and answers one for one."""
    most = [0]

    class Slow:
        def __init__(self) -> None:
            self.unanswered: list[Json] = []

        def __call__(self, service: Service, event: Json) -> None:
            if event["type"] != "conversation.item.create" or len(services) == 1:
                return attend(service, event)
            self.unanswered.append(event)
            most[0] = max(most[0], len(self.unanswered))
            if len(self.unanswered) == 16 or event["item"]["id"] == "499":
                while self.unanswered:
                    attend(service, self.unanswered.pop(0))
            return None

    with resuming(Slow(), reconnect=WHOLE) as (session, services):
        created = [
            {"type": "conversation.item.added", "item": {**user(f"Item {n}", str(n)), "status": "completed"}}
            for n in range(500)
        ]
        services[1].say(*created)
        session.update()
        second, said = come_back(session, services)
        heard = marker(session, second)
        assert [item.id for item in session.conversation.items] == [str(n) for n in range(500)]
    assert [event["item"]["id"] for event in heard if "item" in event] == [str(n) for n in range(500)]
    assert said["lost"] == ()
    assert most == [16]


def test_large_items_come_back_from_a_server_that_reads_nothing_while_it_answers() -> None:
    """Items of megabytes, each echoed whole by a server with one thread: were several sent without looking, both
    sides would write and neither read.
    """
    image = "data:image/png;base64," + "A" * (3 << 20)

    def picture(n: int) -> Json:
        content = [{"type": "input_image", "image_url": image}]
        return {"id": f"item_{n}", "type": "message", "role": "user", "content": content}

    with resuming(reconnect=WHOLE, send_timeout=LIMIT) as (session, services):
        for n in range(8):
            session.add_item(picture(n))
        _, said = come_back(session, services)
        assert [item.id for item in session.conversation.items] == [f"item_{n}" for n in range(8)]
    assert said["attempt"] == 1
    assert said["lost"] == ()


def test_a_restoration_that_breaks_off_begins_anew_on_the_next_connection() -> None:
    def dying(service: Service, event: Json) -> None:
        if event.get("item", {}).get("id") == "item_20":
            service.peer.reset()
        else:
            attend(service, event)

    with resuming(attend, dying, attend, reconnect=WHOLE) as (session, services):
        for n in range(40):
            session.add_item(user(f"Item {n}", f"item_{n}"))
        with watched(session) as signals:
            services[1].peer.reset()
            assert signals.next("reconnecting")["attempt"] == 1
            again = signals.next("reconnecting")
            said = signals.next("reconnected")
        assert isinstance(again["error"], ConnectionLost)
        assert again["attempt"] == said["attempt"] == 2
        heard = [event["item"]["id"] for event in marker(session, services[3])]
        assert heard == [f"item_{n}" for n in range(40)]
        assert [item.id for item in session.conversation.items] == heard
    assert said["lost"] == ()


def test_the_program_does_not_see_the_restoration() -> None:
    with resuming(reconnect=WHOLE, config={"instructions": "Be brief."}) as (session, services):
        for name in ("a", "b", "c"):
            session.add_item(user(name, name))
        seen: list[str] = []
        session.on("*", lambda session, event: seen.append(event.type))
        with session.events() as events:
            second, _ = come_back(session, services)
            second.say({"type": "input_audio_buffer.speech_started"}, {"type": "marker"})
            assert session.wait_for("marker", timeout=LIMIT)
            assert [next(events).type, next(events).type] == ["input_audio_buffer.speech_started", "marker"]
    assert seen == ["input_audio_buffer.speech_started", "marker"]


def test_being_restored_is_no_progress() -> None:
    """A server that takes everything back and then dies is not tried for ever."""

    def dying(service: Service, event: Json) -> None:
        attend(service, event)
        if event.get("item", {}).get("id") == "b":
            service.peer.drop()

    with resuming(attend, dying, reconnect=at_once(restore="conversation", attempts=3)) as (session, services):
        for name in ("a", "b"):
            session.add_item(user(name, name))
        waiting = spawn(lambda: session.wait_for("never", timeout=LIMIT))
        services[1].peer.reset()
        with pytest.raises(SessionClosed, match="after 3 attempts"):
            waiting.result()
    assert len(services) == 4


# -- what a callable chooses ------------------------------------------------------------------------------------------


def test_a_callable_may_leave_everything_behind() -> None:
    with resuming(reconnect=at_once(restore=lambda snapshot: [])) as (session, services):
        session.update(instructions="Be brief.")
        session.add_item(user("Hello"))
        second, _ = come_back(session, services)
        assert [event["type"] for event in marker(session, second)] == ["session.update"]


def test_a_callable_may_give_a_summary_in_place_of_it_all() -> None:
    def summary(snapshot: Snapshot) -> list[Json]:
        said = " ".join(item.text for item in snapshot.items)
        return [{"type": "message", "role": "system", "content": [{"type": "input_text", "text": f"So far: {said}"}]}]

    with resuming(reconnect=at_once(restore=summary)) as (session, services):
        session.add_item(user("One"))
        session.add_item(user("Two"))
        second, _ = come_back(session, services)
        (created,) = marker(session, second)
        assert created["item"]["content"][0]["text"] == "So far: One Two"
        (item,) = session.conversation.items
    assert item.id == created["item"]["id"]


def test_a_callable_may_choose_and_may_be_a_generator() -> None:
    def short_ones(snapshot: Snapshot) -> Iterator[Json]:
        for item in restorable_items(snapshot):
            if len(item["content"][0]["text"]) < 5:
                yield item

    with resuming(reconnect=at_once(restore=short_ones)) as (session, services):
        for name in ("a", "a long story", "c"):
            session.add_item(user(name, name[:1] + str(len(name))))
        second, _ = come_back(session, services)
        assert [event["item"]["id"] for event in marker(session, second)] == ["a1", "c1"]


def raising(_snapshot: Snapshot) -> list[Json]:
    raise ZeroDivisionError("no plan")


def half_way(snapshot: Snapshot) -> Iterator[Json]:
    yield from restorable_items(snapshot)
    raise ZeroDivisionError("no more plan")


def leaving(_snapshot: Snapshot) -> list[Json]:
    raise SystemExit("no plan")


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(raising, id="raises"),
        pytest.param(half_way, id="raises half way"),
        pytest.param(leaving, id="exits"),
        pytest.param(lambda snapshot: None, id="none"),
        pytest.param(lambda snapshot: 7, id="a number"),
        pytest.param(lambda snapshot: "text", id="text"),
        pytest.param(lambda snapshot: [None], id="no item"),
        pytest.param(lambda snapshot: [user("Hello") | {"extra": object()}], id="not JSON"),
    ],
)
def test_a_callable_that_fails_is_reported_and_the_session_goes_on_without_items(plan: Any) -> None:
    failures: list[tuple[Any, BaseException]] = []

    def on_failed(_session: RealtimeSession, event: Any, handler: Any, error: BaseException) -> None:
        failures.append((handler, error))

    with (
        resuming(reconnect=at_once(restore=plan)) as (session, services),
        handler_failed.connected_to(on_failed, sender=session),
    ):
        session.update(instructions="Be brief.")
        session.add_item(user("Hello", "item_1"))
        second, said = come_back(session, services)
        assert [event["type"] for event in marker(session, second)] == ["session.update"]
        assert session.add_item(user("Again")).item is not None
    assert [handler for handler, _ in failures] == [plan]
    assert said["attempt"] == 1


def test_an_item_of_a_callable_that_the_service_refuses_is_named() -> None:
    def fussy(service: Service, event: Json) -> None:
        if event["type"] == "conversation.item.create":
            service.say(error(event_id=event["event_id"], code="invalid_value"))
        else:
            attend(service, event)

    with resuming(attend, fussy, reconnect=at_once(restore=lambda snapshot: [{"id": "odd", "type": "odd"}])) as (
        session,
        services,
    ):
        _, said = come_back(session, services)
        assert session.update()
    assert said["lost"] == (Lost("item", "odd", "the service refused it (invalid_value)"),)


def test_closing_does_not_wait_for_a_callable_that_blocks() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def blocking(snapshot: Snapshot) -> list[Json]:
        asked.set()
        assert go_on.wait(LIMIT)
        return restorable_items(snapshot)

    with resuming(reconnect=at_once(restore=blocking)) as (session, services):
        session.add_item(user("Hello"))
        waiting = spawn(lambda: session.wait_for("never", timeout=LIMIT))
        services[1].peer.reset()
        assert asked.wait(LIMIT)
        session.close()
        with pytest.raises(SessionClosed) as raised:
            waiting.result()
        assert session.state == "closed"
        go_on.set()
        assert services[2].heard_nothing_more()
    assert raised.value.cause is CloseCause.USER
