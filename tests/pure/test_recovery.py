"""When a lost session is tried again, and what a new connection is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync.pure.conversation import Conversation, Snapshot
from rtsync.pure.recovery import (
    Lost,
    Reconnect,
    Replay,
    Restoration,
    Settings,
    cause_of,
    delay_before,
    replay,
    restorable_items,
)
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    CloseCause,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    RateLimited,
    RealtimeError,
    RedirectRefused,
    SessionClosed,
    SessionExpired,
)
from rtsync.vocabulary.events import Event

POLICY = Reconnect(attempts=4, first_delay=1.0, longest_delay=5.0)
LOST = ConnectionLost("reset", code=1006, cause=CloseCause.NETWORK)


# -- the policy -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"attempts": 0}, "attempts"),
        ({"attempts": 1.5}, "attempts"),
        ({"attempts": True}, "attempts"),
        ({"first_delay": -1}, "first_delay"),
        ({"longest_delay": float("inf")}, "longest_delay"),
        ({"longest_delay": float("nan")}, "longest_delay"),
        ({"first_delay": "1"}, "first_delay"),
        ({"restore": "all"}, "restore"),
        ({"restore": None}, "restore"),
        ({"responses": "retry"}, "responses"),
        ({"responses": "again"}, "restore='conversation'"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Reconnect(**options)


def test_responses_may_be_asked_again_where_the_model_is_told_what_came_before() -> None:
    assert Reconnect(responses="again", restore="conversation").responses == "again"
    assert Reconnect(responses="again", restore=lambda snapshot: []).responses == "again"


# -- when -------------------------------------------------------------------------------------------------------------


def closed(cause: CloseCause, code: int | None = None) -> SessionClosed:
    return SessionClosed("over", cause=cause, code=code)


def refused(kind: type[ConnectFailed] = ConnectFailed, phase: str = "upgrade", **data: Any) -> ConnectFailed:
    return kind("no", phase=phase, **data)


PASSING: list[RealtimeError] = [
    LOST,
    SessionExpired("60 minutes", code=1001, cause=CloseCause.EXPIRED),
    closed(CloseCause.RATE_LIMIT, 1008),
    *(closed(CloseCause.SERVER, code) for code in (1001, 1005, 1006, 1011, 1012, 1013, 1014)),
    *(refused(status=status) for status in (408, 425, 500, 502, 503, 504)),
    refused(RateLimited, status=429),
    refused(ConnectTimeout, phase="tls"),
    refused(phase="dns"),
    refused(phase="tcp"),
    refused(phase="proxy"),
    refused(phase="upgrade"),
    refused(phase="tls", retryable=True),
    refused(AuthenticationFailed, phase="credential"),
]
STAYING: list[RealtimeError] = [
    *(
        closed(cause, 1006)
        for cause in CloseCause
        if cause not in (CloseCause.NETWORK, CloseCause.EXPIRED, CloseCause.RATE_LIMIT, CloseCause.SERVER)
    ),
    *(closed(CloseCause.SERVER, code) for code in (None, 1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 4000, 4004)),
    *(refused(status=status) for status in (101, 400, 404, 407, 410, 426)),
    refused(AuthenticationFailed, status=403),
    refused(RateLimited, status=429, code="insufficient_quota"),
    refused(RedirectRefused, status=307),
    refused(phase="tls"),
    refused(phase="session"),
]


def told(error: RealtimeError) -> str:
    data = {
        name: value for name, value in vars(error).items() if name in ("cause", "code", "status", "phase") and value
    }
    return f"{type(error).__name__} {data}"


@pytest.mark.parametrize("error", PASSING, ids=told)
def test_what_passes_is_tried_again(error: Any) -> None:
    assert error.retryable
    delay = delay_before(2, POLICY, error, 1.0)
    assert delay is not None
    assert delay > 0


@pytest.mark.parametrize("error", STAYING, ids=told)
def test_what_stays_is_not_tried_again(error: Any) -> None:
    assert not error.retryable
    assert delay_before(1, POLICY, error, 0.0) is None


@pytest.mark.parametrize("error", [refused(AuthenticationFailed, status=401), refused(AuthenticationFailed, "session")])
def test_a_refused_token_is_asked_for_anew_at_once(error: AuthenticationFailed) -> None:
    assert not error.retryable
    assert delay_before(1, POLICY, error, 0.5) == 0.0


def test_the_delay_doubles_up_to_the_longest() -> None:
    assert [delay_before(attempt, POLICY, LOST, 1.0) for attempt in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 5.0]
    assert [delay_before(attempt, POLICY, LOST, 0.0) for attempt in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 2.5]


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_delay_stays_within_its_bounds(attempt: int, chance: float) -> None:
    policy = Reconnect(attempts=None, first_delay=0.5, longest_delay=30.0)
    delay = delay_before(attempt, policy, LOST, chance)
    assert delay is not None
    assert 0.25 <= delay <= 30.0


def test_there_are_no_more_attempts_than_the_policy_says() -> None:
    assert delay_before(5, POLICY, LOST, 0.0) is None
    assert delay_before(5_000, Reconnect(attempts=None), LOST, 0.0) is not None


def test_the_service_may_ask_for_a_longer_pause_but_not_for_any() -> None:
    assert delay_before(1, POLICY, refused(RateLimited, status=429, retry_after=7.0), 0.0) == 7.0
    assert delay_before(1, POLICY, refused(RateLimited, status=429, retry_after=0.1), 0.0) == 0.5
    assert delay_before(1, POLICY, refused(RateLimited, status=429, retry_after=121.0), 0.0) is None


def test_a_session_that_expired_is_renewed_at_once() -> None:
    expired = SessionExpired("60 minutes", code=1001, cause=CloseCause.EXPIRED)
    assert delay_before(1, POLICY, expired, 1.0) == 0.0
    assert delay_before(2, POLICY, expired, 1.0) == 2.0


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (refused(AuthenticationFailed, status=401), CloseCause.AUTHENTICATION),
        (refused(RateLimited, status=429), CloseCause.RATE_LIMIT),
        (refused(phase="dns"), CloseCause.NETWORK),
        (closed(CloseCause.PROTOCOL), CloseCause.PROTOCOL),
    ],
)
def test_the_last_failure_says_why_the_session_ended(failure: RealtimeError, cause: CloseCause) -> None:
    assert cause_of(failure, CloseCause.NETWORK) is cause


# -- settings ---------------------------------------------------------------------------------------------------------


def update(event_id: str, **session: Any) -> dict[str, Any]:
    return {"type": "session.update", "event_id": event_id, "session": session}


def confirmed(*updates: dict[str, Any]) -> Settings:
    settings = Settings()
    for event in updates:
        settings.sent(event)
        settings.confirmed(event["event_id"])
    return settings


def test_settings_merge_as_the_service_merges_them() -> None:
    detection = {"type": "server_vad", "threshold": 0.4}
    settings = confirmed(
        update("1", type="realtime", instructions="Be brief.", audio={"input": {"turn_detection": detection}}),
        update("2", type="realtime", audio={"output": {"voice": "marin"}, "input": {"transcription": None}}),
        update("3", type="realtime", audio={"input": {"turn_detection": {"type": "semantic_vad"}}}, tools=[]),
    )
    assert settings.event == {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "instructions": "Be brief.",
            "tools": [],
            "audio": {
                "input": {"turn_detection": {"type": "semantic_vad"}, "transcription": None},
                "output": {"voice": "marin"},
            },
        },
    }


def test_only_what_the_service_confirmed_is_a_setting() -> None:
    settings = Settings()
    settings.sent(update("refused", instructions="no"))
    settings.sent(update("taken", instructions="yes"))
    settings.sent(update("late", instructions="never answered"))
    settings.confirmed("taken")
    settings.confirmed("unknown")
    settings.dropped()
    settings.confirmed("late")
    assert settings.event == {"type": "session.update", "session": {"instructions": "yes"}}


def test_nothing_set_is_nothing_to_send() -> None:
    settings = Settings()
    assert settings.event is None
    settings.sent({"type": "session.update", "event_id": "1", "session": "nonsense"})
    settings.confirmed("1")
    assert settings.event is None


def test_settings_are_not_changed_by_who_gave_or_got_them() -> None:
    tools = [{"type": "mcp", "server_label": "s", "headers": {"a": "b"}}]
    settings = confirmed(update("1", tools=tools))
    tools[0]["server_label"] = "other"
    first = settings.event
    assert first is not None
    first["session"]["tools"][0]["headers"]["a"] = "changed"
    assert settings.event == {
        "type": "session.update",
        "session": {"tools": [{"type": "mcp", "server_label": "s", "headers": {"a": "b"}}]},
    }


def test_updates_that_are_never_answered_do_not_pile_up() -> None:
    settings = Settings()
    for number in range(1000):
        settings.sent(update(str(number), instructions=str(number)))
    settings.confirmed("0")
    assert settings.event is None
    settings.confirmed("999")
    assert settings.event is not None


# -- the replay ------------------------------------------------------------------------------------------------------


def conversation(*items: dict[str, Any]) -> Snapshot:
    known = Conversation()
    for item in items:
        known.apply(Event({"type": "conversation.item.added", "item": item}))
    return known.snapshot()


def message(item_id: str, role: str, *content: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": role, "status": status, "content": list(content)}


def text(words: str, kind: str = "input_text") -> dict[str, Any]:
    return {"type": kind, "text": words}


REBUILT = [
    (message("u", "user", text("Hi")), message("u", "user", text("Hi"))),
    (message("s", "system", text("Be kind.")), message("s", "system", text("Be kind."))),
    (
        message("heard", "user", {"type": "input_audio", "transcript": "Good morning"}),
        message("heard", "user", text("Good morning")),
    ),
    (
        message("seen", "user", {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}),
        message("seen", "user", {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}),
    ),
    (
        message("said", "assistant", {"type": "output_audio", "transcript": "Hello", "audio": "AAAA"}),
        message("said", "assistant", text("Hello", "output_text")),
    ),
    (
        message("cut", "assistant", text("Once upon", "output_text"), status="incomplete"),
        message("cut", "assistant", text("Once upon", "output_text")),
    ),
    (
        {"id": "f", "type": "function_call", "status": "completed", "call_id": "c", "name": "n", "arguments": "{}"},
        {"id": "f", "type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"},
    ),
    (
        {"id": "o", "type": "function_call_output", "call_id": "c", "output": "42", "object": "realtime.item"},
        {"id": "o", "type": "function_call_output", "call_id": "c", "output": "42"},
    ),
]


@pytest.mark.parametrize(("item", "rebuilt"), REBUILT, ids=[item["id"] for item, _ in REBUILT])
def test_an_item_is_rebuilt_as_a_client_may_create_it(item: dict[str, Any], rebuilt: dict[str, Any]) -> None:
    rebuilt.pop("status", None)
    assert replay(conversation(item)) == Replay([rebuilt], ())


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (message("x", "user", {"type": "input_audio", "transcript": None}), "audio without a transcript"),
        (message("x", "assistant", text("Onc", "output_text"), status="in_progress"), "still being said"),
        (message("x", "user"), "no content"),
        (
            {"id": "x", "type": "function_call", "status": "in_progress", "call_id": "c", "name": "n"},
            "still being said",
        ),
        ({"id": "x", "type": "mcp_call", "server_label": "s", "name": "n", "arguments": "{}"}, "cannot create"),
        ({"id": "x", "type": "mcp_list_tools", "server_label": "s", "tools": []}, "cannot create"),
        (
            {"id": "x", "type": "mcp_approval_response", "approval_request_id": "r", "approve": True},
            "cannot create the request",
        ),
        ({"id": "x"}, "cannot create"),
    ],
)
def test_what_cannot_be_rebuilt_is_named_with_the_reason(item: dict[str, Any], why: str) -> None:
    planned = replay(conversation(item))
    assert planned.items == []
    assert [(lost.what, lost.id) for lost in planned.lost] == [("item", "x")]
    assert why in str(planned.lost[0])


def test_a_message_of_which_a_part_is_lost_keeps_the_others() -> None:
    planned = replay(conversation(message("m", "user", text("Listen:"), {"type": "input_audio", "transcript": None})))
    assert planned.items[0]["content"] == [text("Listen:")]
    assert [(lost.what, lost.id) for lost in planned.lost] == [("part", "m")]


def test_items_that_are_no_longer_kept_are_told_as_lost() -> None:
    kept = conversation(message("u", "user", text("Hi")))
    snapshot = msgspec.structs.replace(kept, dropped_items=3)
    assert [str(lost) for lost in replay(snapshot).lost] == ["item: the oldest 3 are no longer kept"]


def test_hooks_get_the_same_items_that_are_replayed() -> None:
    snapshot = conversation(message("u", "user", text("Hi")), message("a", "assistant", text("Ho", "output_text")))
    assert restorable_items(snapshot) == replay(snapshot).items


# -- the restoration --------------------------------------------------------------------------------------------------


def item(item_id: str, words: str = "Hi") -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": "user", "content": [text(words)]}


class Service:
    """The other side: takes what is due, and answers as it is told."""

    def __init__(self, restoration: Restoration) -> None:
        self.restoration = restoration
        self.order: list[str] = []
        self.seen: list[dict[str, Any]] = []

    def serve(self, refuse: Callable[[dict[str, Any]], bool] = lambda event: False) -> None:
        while due := self.restoration.due():
            for event in due:
                self.seen.append(event)
                if refuse(event):
                    self.restoration.refused(event["event_id"], {"code": "invalid_value", "message": "No."})
                else:
                    self._do(event)
                    self.restoration.confirmed(event["event_id"])

    def _do(self, event: dict[str, Any]) -> None:
        if event["type"] == "conversation.item.delete":
            self.order.remove(event["item_id"])
        elif event["type"] == "conversation.item.create":
            previous = event.get("previous_item_id")
            place = 0 if previous == "root" else len(self.order)
            if previous in self.order:
                place = self.order.index(previous) + 1
            self.order.insert(place, event["item"]["id"])


CONFIG = {"type": "session.update", "session": {"instructions": "Be brief."}}


def test_the_configuration_goes_first_and_the_items_follow_in_order() -> None:
    restoration = Restoration()
    service = Service(restoration)
    restoration.aim(CONFIG, [item("a"), item("b"), item("c")])
    assert not restoration.done
    service.serve()
    assert restoration.done
    assert [event["type"] for event in service.seen] == ["session.update", *["conversation.item.create"] * 3]
    assert len({event["event_id"] for event in service.seen}) == 4
    assert service.order == ["a", "b", "c"]
    assert restoration.has(CONFIG, [item("a"), item("b"), item("c")])


def test_no_more_is_underway_than_both_sides_can_hold() -> None:
    restoration = Restoration()
    restoration.aim(None, [item(str(number)) for number in range(100)])
    first = restoration.due()
    assert len(first) == 16
    assert restoration.due() == []
    restoration.confirmed(first[0]["event_id"])
    assert [event["item"]["id"] for event in restoration.due()] == ["16"]


def test_nothing_to_restore_is_done_at_once() -> None:
    restoration = Restoration()
    restoration.aim(None, [])
    assert restoration.due() == []
    assert restoration.done


def test_a_refused_item_is_lost_and_not_asked_for_again() -> None:
    restoration = Restoration()
    service = Service(restoration)
    wanted = [item("a"), item("b")]
    restoration.aim(None, wanted)
    service.serve(lambda event: event["item"]["id"] == "a")
    assert restoration.lost == [Lost("item", "a", "the service refused it (invalid_value)")]
    restoration.aim(None, wanted)
    assert restoration.done


def test_a_refused_configuration_is_told() -> None:
    restoration = Restoration()
    restoration.aim(CONFIG, [])
    Service(restoration).serve(lambda event: True)
    assert [error["message"] for error in restoration.updates_refused] == ["No."]


def test_answers_to_others_are_no_answers() -> None:
    restoration = Restoration()
    restoration.aim(None, [item("a")])
    restoration.due()
    restoration.confirmed("event_of_somebody")
    restoration.refused("event_of_somebody", {})
    assert not restoration.done


@given(st.lists(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["x", "y"])), max_size=8), max_size=5))
def test_a_connection_is_brought_up_to_date_whatever_has_changed(stages: list[list[tuple[str, str]]]) -> None:
    restoration = Restoration()
    service = Service(restoration)
    for stage in stages:
        wanted = [item(name, words) for name, words in dict(stage).items()]
        restoration.aim(CONFIG, wanted)
        service.serve()
        assert sorted(service.order) == sorted(entry["id"] for entry in wanted)
        assert restoration.has(CONFIG, wanted)
    assert [event["type"] for event in service.seen].count("session.update") == min(1, len(stages))


def test_items_that_came_later_take_their_place_among_the_others() -> None:
    restoration = Restoration()
    service = Service(restoration)
    restoration.aim(None, [item("b"), item("d")])
    service.serve()
    restoration.aim(None, [item("a"), item("b"), item("c"), item("d"), item("e")])
    service.serve()
    assert service.order == ["a", "b", "c", "d", "e"]


def test_what_should_be_gone_and_may_be_there_is_told() -> None:
    restoration = Restoration()
    restoration.aim(None, [item("a"), item("b"), item("c")])
    Service(restoration).serve()
    assert restoration.exceeds([item("a"), item("c")]) == ["b"]
    restoration.aim(None, [item("a")])
    sent = restoration.due()
    assert restoration.exceeds([item("a")]) == ["b", "c"]  # Asked for, and not yet answered.
    for event in sent:
        restoration.confirmed(event["event_id"])
    assert restoration.exceeds([item("a")]) == []
