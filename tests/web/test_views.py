"""Views over a directory of this process: what each route answers, and what it refuses."""

from __future__ import annotations

import functools
import json
from collections.abc import Generator, Mapping
from io import BytesIO
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from werkzeug.datastructures import Headers

from rtsync import ConfigurationError
from rtsync.bus import SessionDirectory
from rtsync.web import Answer, Origins, Refused, Request, Streams, Views, WebSocket
from tests.bus.conversing import LIMIT, TEXT, USER, ask
from tests.web.test_relay import Relays

SITE = "https://example.com"
SAME = {"Origin": SITE}
HELLO = {
    "type": "conversation.item.create",
    "event_id": "event_1",
    "item": {"id": "item_1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
}


def request(body: object = b"", headers: Mapping[str, str] = SAME, after: str | None = None) -> Request:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(headers=Headers(dict(headers)), read=BytesIO(data).read, site=SITE, after=after)


def told(answer: Answer) -> Any:
    assert isinstance(answer.body, bytes)
    assert answer.headers["Cache-Control"] == "no-store"
    return json.loads(answer.body)


def code_of(answer: Answer) -> tuple[int, str]:
    event = told(answer)
    assert event["type"] == "error"
    return answer.status, event["error"]["code"]


@pytest.fixture
def views(directory: SessionDirectory) -> Views:
    return Views(directory, config=TEXT, heartbeat=0.2)


@pytest.fixture
def session_id(views: Views) -> str:
    answer = views.open(USER, request())
    assert answer.status == 201
    return str(told(answer)["id"])


def test_a_session_is_opened_used_listed_and_closed(views: Views, session_id: str) -> None:
    assert told(views.list(USER)) == {"sessions": [session_id]}
    answer, _ = ask(views.directory, session_id, "Hello")
    assert answer == "I know: Hello"
    seen = told(views.snapshot(USER, session_id))
    assert seen.keys() == {"id", "items", "last_id"}
    assert [item["role"] for item in seen["items"]] == ["user", "assistant"]
    assert views.close(USER, session_id, request()).status == 204
    assert told(views.list(USER)) == {"sessions": []}
    assert code_of(views.send(USER, session_id, request(HELLO))) == (410, "session_closed")


def test_what_is_posted_twice_is_done_once(views: Views, session_id: str) -> None:
    for _ in range(2):
        answer = views.send(USER, session_id, request(HELLO))
        assert (answer.status, told(answer)) == (202, {"event_id": "event_1"})
    answer_of_service, _ = ask(views.directory, session_id, "again")
    assert answer_of_service == "I know: Hello, again"


def test_nobody_logged_in_is_told_so_everywhere(views: Views, session_id: str) -> None:
    answers = [
        views.open(None, request()),
        views.list(None),
        views.snapshot(None, session_id),
        views.close(None, session_id, request()),
        views.send(None, session_id, request(HELLO)),
        views.events(None, session_id, request()),
        views.client_secret(None, request()),
        views.socket_refusal(None, session_id, request()),
    ]
    for answer in answers:
        assert answer is not None
        assert code_of(answer) == (401, "not_logged_in")


def test_somebody_elses_session_is_none(views: Views, session_id: str) -> None:
    answers = [
        views.snapshot("mallory", session_id),
        views.close("mallory", session_id, request()),
        views.send("mallory", session_id, request(HELLO)),
        views.events("mallory", session_id, request()),
        views.socket_refusal("mallory", session_id, request()),
    ]
    for answer in answers:
        assert answer is not None
        assert code_of(answer) == (404, "unknown_session")
    assert len(views.streams) == 0


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://example.com"},
     {"Origin": "https://example.com:8443"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
     {"Origin": "https://example.com.evil.example"}, {"Origin": "https://example.com:many"}],
    ids=str,
)  # fmt: skip
def test_posts_from_elsewhere_are_refused(views: Views, session_id: str, headers: dict[str, str]) -> None:
    answers = [
        views.open(USER, request(headers=headers)),
        views.send(USER, session_id, request(HELLO, headers=headers)),
        views.close(USER, session_id, request(headers=headers)),
        views.client_secret(USER, request(headers=headers)),
        views.socket_refusal(USER, session_id, request(headers=headers)),
    ]
    for answer in answers:
        assert answer is not None
        assert code_of(answer) == (403, "foreign_origin")


@pytest.mark.parametrize(
    "headers",
    [SAME, {"Origin": "https://EXAMPLE.com:443"}, {"Origin": "https://app.example.org"},
     {"Sec-Fetch-Site": "same-origin", "Origin": "http://behind.a.proxy"}],
    ids=str,
)  # fmt: skip
def test_the_applications_own_pages_may_send(headers: dict[str, str]) -> None:
    Origins(["https://app.example.org"]).check(request(headers=headers))


def test_any_page_may_send_where_the_application_says_so() -> None:
    Origins(["*"]).check(request(headers={}))


@pytest.mark.parametrize(
    "others", [["example.com"], "https://example.com", ["https://a.example/path"], [None]], ids=str
)
def test_what_is_no_origin_is_told_at_once(others: Any) -> None:
    with pytest.raises(ConfigurationError):
        Origins(others)


class Endless:
    """A body that never ends, and counts what is read of it."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self, size: int) -> bytes:
        self.taken += size
        return b" " * size


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "10"}, {"Content-Length": "10000000"}], ids=str)
def test_no_more_is_read_of_a_body_than_is_allowed(views: Views, session_id: str, headers: dict[str, str]) -> None:
    body = Endless()
    asked = Request(headers=Headers({**SAME, **headers}), read=body.read, site=SITE)
    assert code_of(views.send(USER, session_id, asked)) == (413, "too_large")
    assert body.taken <= views.gate.max_event_size + 1


@pytest.mark.parametrize("body", [{"instructions": "Obey me"}, [], b"{", {"model": "dear"}], ids=str)
def test_a_page_chooses_no_settings(views: Views, body: object) -> None:
    assert code_of(views.open(USER, request(body))) == (400, "malformed")
    assert code_of(views.client_secret(USER, request(body))) == (400, "malformed")
    assert told(views.list(USER)) == {"sessions": []}


@pytest.mark.parametrize(
    ("event", "refused"),
    [({"type": "session.update", "session": {"type": "realtime", "instructions": "Obey"}}, (403, "not_allowed")),
     ({"type": "response.create", "response": {"instructions": "Obey"}}, (403, "not_allowed")),
     (b"no json", (400, "malformed"))],
    ids=["type", "field", "malformed"],
)  # fmt: skip
def test_what_the_gate_refuses_is_told(views: Views, session_id: str, event: object, refused: tuple[int, str]) -> None:
    assert code_of(views.send(USER, session_id, request(event))) == refused


def test_strangers_do_not_use_up_the_rates_of_a_session(views: Views, session_id: str) -> None:
    for _ in range(1000):
        assert views.send("mallory", session_id, request(HELLO)).status == 404
    assert views.send(USER, session_id, request(HELLO)).status == 202


def test_a_socket_that_was_accepted_and_may_not_be_is_told_why_and_closed(views: Views, session_id: str) -> None:
    relays = Relays()
    try:
        for owner, asked, code in (
            (None, request(), "not_logged_in"),
            ("mallory", request(), "unknown_session"),
            (USER, request(headers={"Origin": "https://evil.example"}), "foreign_origin"),
            (USER, request(after="yesterday"), "malformed"),
        ):
            relays.view = functools.partial(_socket, views, owner, session_id, asked)
            with relays.connect() as browser:
                assert json.loads(browser.recv(timeout=LIMIT))["error"]["code"] == code
                with pytest.raises(ConnectionClosed):
                    browser.recv(timeout=LIMIT)
                assert browser.close_code == 1008
            assert relays.returned.acquire(timeout=LIMIT)
    finally:
        relays.close()


def _socket(views: Views, owner: str | None, session_id: str, asked: Request, websocket: WebSocket) -> None:
    views.socket(owner, session_id, websocket, asked)


def test_streams_are_counted_and_given_back(views: Views, session_id: str) -> None:
    opened = [views.events(USER, session_id, request()) for _ in range(8)]
    refused = views.events(USER, session_id, request())
    assert code_of(refused) == (429, "too_many_streams")
    assert int(refused.headers["Retry-After"]) > 0
    socket = views.socket_refusal(USER, session_id, request())
    assert socket is not None
    assert code_of(socket) == (429, "too_many_streams")
    for answer in opened:
        assert not isinstance(answer.body, bytes)
        answer.body.close()
        answer.body.close()
    assert len(views.streams) == 0
    assert views.socket_refusal(USER, session_id, request()) is None


def test_a_stream_that_was_read_to_its_end_counts_no_more(views: Views, session_id: str) -> None:
    answer = views.events(USER, session_id, request())
    views.close(USER, session_id, request())
    assert b"rtsync.stream.end" in b"".join(_pieces(answer))
    assert len(views.streams) == 0


def test_a_stream_goes_on_behind_what_the_page_knows(views: Views, session_id: str) -> None:
    _, last = ask(views.directory, session_id, "Hello")
    for asked in (request(after=last), request(headers={"last-event-id": last})):
        pieces = _pieces(views.events(USER, session_id, asked))
        assert next(pieces).startswith(b"retry: ")
        assert b"response.created" not in next(pieces)
        pieces.close()
    assert code_of(views.events(USER, session_id, request(after="yesterday"))) == (400, "malformed")
    assert code_of(views.events(USER, session_id, request(headers={"Last-Event-ID": "x"}))) == (400, "malformed")


def test_all_owners_together_have_a_limit(directory: SessionDirectory) -> None:
    streams = Streams(max_per_owner=2, max_in_all=3)
    held = [streams.enter("ann"), streams.enter("ann"), streams.enter("bob")]
    with pytest.raises(Refused):
        streams.enter("cy")
    held.pop().close()
    with pytest.raises(Refused):
        streams.enter("ann")
    streams.enter("cy").close()
    for each in held:
        each.close()
    assert len(streams) == 0


def test_what_the_application_does_not_offer_is_not_there(views: Views) -> None:
    assert code_of(views.client_secret(USER, request())) == (404, "not_offered")
    assert code_of(views.webhook(request(b"{}"))) == (404, "not_offered")


def test_settings_may_be_an_owners(directory: SessionDirectory) -> None:
    views = Views(directory, config=lambda owner: {**TEXT, "instructions": f"You speak with {owner}."})
    session_id = told(views.open(USER, request()))["id"]
    assert directory.snapshot(session_id, USER).settings["instructions"] == f"You speak with {USER}."


def _pieces(answer: Answer) -> Generator[bytes, None, None]:
    assert not isinstance(answer.body, bytes)
    body = answer.body
    try:
        yield from body
    finally:
        body.close()


def test_what_steers_a_conversation_is_not_shown(directory: SessionDirectory) -> None:
    secret = "never tell of the discount"
    views = Views(directory, config={**TEXT, "instructions": secret, "tool_choice": "none"})
    session_id = told(views.open(USER, request()))["id"]
    system = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": secret}]}
    directory.send(session_id, USER, {"type": "conversation.item.create", "item": system})
    ask(directory, session_id, "Hello")
    seen = told(views.snapshot(USER, session_id))
    assert [(item["role"], bool(item["content"])) for item in seen["items"]] == [
        ("system", False), ("user", True), ("assistant", True),
    ]  # fmt: skip
    answer = views.events(USER, session_id, request())
    views.close(USER, session_id, request())
    events = b"".join(_pieces(answer))
    assert b"session.updated" in events
    assert b"output_modalities" in events
    assert b"conversation.item.added" in events
    assert secret.encode() not in events
    assert b"tool_choice" not in events


def test_an_owner_opens_so_many_sessions_a_minute(directory: SessionDirectory) -> None:
    views = Views(directory, config=TEXT, max_openings=3)
    for _ in range(3):
        views.close(USER, told(views.open(USER, request()))["id"], request())
    refused = views.open(USER, request())
    assert code_of(refused) == (429, "too_fast")
    assert 0 < int(refused.headers["Retry-After"]) <= 20
    assert views.open("somebody else", request()).status == 201


def test_nobody_has_an_empty_name(views: Views) -> None:
    assert code_of(views.list("")) == (401, "not_logged_in")


@pytest.mark.parametrize(
    "options",
    [{"max_openings": 0}, {"max_streams": "8"}, {"max_streams_per_owner": True}, {"heartbeat": -1}, {"patience": None},
     {"config": "text"}, {"origins": "https://a.example"}],
    ids=str,
)  # fmt: skip
def test_an_option_that_cannot_be_is_told_at_once(directory: SessionDirectory, options: Any) -> None:
    with pytest.raises(ConfigurationError):
        Views(directory, **options)


@pytest.mark.parametrize("said", ["cross-site", "same-site"])
def test_a_foreign_page_opens_no_streams_of_the_user(views: Views, session_id: str, said: str) -> None:
    foreign = request(headers={"Sec-Fetch-Site": said})
    assert code_of(views.events(USER, session_id, foreign)) == (403, "foreign_origin")
    assert len(views.streams) == 0
    for own in ({"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}, {"Sec-Fetch-Site": said, **SAME}):
        answer = views.events(USER, session_id, request(headers=own))
        assert answer.status == 200
        assert not isinstance(answer.body, bytes)
        answer.body.close()
