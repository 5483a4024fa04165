"""Incoming calls: one accept for each, whatever is sent how often; a conversation each, and an end to all of them."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from rtsync import (
    Azure,
    Call,
    ConfigurationError,
    ConnectFailed,
    OpenAI,
    RealtimeSession,
    ServerError,
    Simulator,
    WebhookRefused,
)
from rtsync.bus import SessionDirectory
from rtsync.pure.webhook import IncomingCall
from rtsync.simulator import SimulatorServer
from rtsync.web import IncomingCalls, Refer, Refused, Reject, error_event, status_of
from tests.bus.conversing import LIMIT
from tests.bus.redis_server import RedisServer
from tests.loopback import Peer, ScriptedServer, realtime_greeting
from tests.process.programs import run
from tests.rest.test_webhooks import SECRET, sign

ACCEPT = {"instructions": "You answer the phone of a bakery."}
RUNNING, OVER = "call_already_accepted", "call_id_not_found"  # what the service says to whoever accepts it once more


class Talk:
    """A conversation that tells when it has begun, and goes on until the call is over."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.callers: list[str | None] = []

    def __call__(self, session: RealtimeSession, incoming: IncomingCall) -> None:
        self.callers.append(incoming.sip_header("From"))
        self.begun.release()
        for _ in session.events():
            pass
        self.ended.release()


def delivery(call_id: str = "rtc_1", *, attempt: int = 0, kind: str = "realtime.call.incoming") -> Any:
    """Headers and body of a webhook, as the service signs each attempt anew."""
    body = (
        f'{{"object":"event","id":"evt_{call_id}","type":"{kind}","created_at":1750287018,"data":{{"call_id":"{call_id}",'
        '"sip_headers":[{"name":"From","value":"sip:+15550100@example.test"}]}}'
    ).encode()
    return sign(body, identifier=f"wh_{call_id}", sent=int(time.time()) + attempt), body


@contextmanager
def answering(url: str, converse: Any, **options: Any) -> Iterator[IncomingCalls]:
    made = IncomingCalls(_target(url), converse, secret=SECRET, **{"accept": ACCEPT, **options})
    try:
        yield made
    finally:
        made.stop(timeout=LIMIT)


def _target(url: str) -> OpenAI:
    return OpenAI("any", api_key="any", base_url=url)


def state_of(service: SimulatorServer, call_id: str = "rtc_1") -> str | None:
    """What the service says of a call; None where it was ringing."""
    try:
        Call(_target(service.openai_url), call_id).accept()
    except ServerError as error:
        return error.code
    return None


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # Nothing rings when the service has ended a call.


def test_a_call_is_accepted_held_and_over_when_the_caller_hangs_up(service: SimulatorServer) -> None:
    talk = Talk()
    with answering(service.openai_url, talk) as calls:
        assert calls.handle(*delivery()) == 200
        assert talk.begun.acquire(timeout=LIMIT)
        assert state_of(service) == RUNNING
        assert calls.held == 1
        Call(_target(service.openai_url), "rtc_1").hangup()
        assert talk.ended.acquire(timeout=LIMIT)
        until(lambda: calls.held == 0)
        assert talk.callers == ["sip:+15550100@example.test"]


def test_the_conversation_is_a_session_beside_the_call_and_its_end_hangs_up(service: SimulatorServer) -> None:
    said = []

    def converse(session: RealtimeSession, incoming: IncomingCall) -> None:
        said.append(session.respond(output_modalities=["text"]).wait(timeout=LIMIT).text)

    with answering(service.openai_url, converse, session_options={"connect_timeout": LIMIT}) as calls:
        assert calls.handle(*delivery()) == 200
        until(lambda: calls.held == 0)
        assert len(said[0]) > 3
        assert state_of(service) == OVER


def test_the_answer_goes_out_with_the_fields_that_the_application_says() -> None:
    def script(peer: Peer) -> None:
        request = peer.read_request()
        assert request.path.endswith("/rtc_1/accept")
        assert b"You answer the phone of Ada" in peer.wire.read_exact(int(request.headers["content-length"]))
        peer.refuse(404, "Not Found")

    def accept(incoming: IncomingCall) -> dict[str, Any]:
        return {"instructions": "You answer the phone of Ada."}

    with ScriptedServer(script) as server, answering(f"{server.http_url}/v1", Talk(), accept=accept) as calls:
        with pytest.raises(ConnectFailed):
            calls.handle(*delivery())
        assert calls.held == 0


# -- what comes twice --------------------------------------------------------------------------------------------------


def test_a_copy_of_a_delivery_is_refused_and_one_that_is_signed_anew_is_done_once(service: SimulatorServer) -> None:
    talk = Talk()
    with answering(service.openai_url, talk) as calls:
        first = delivery()
        assert calls.handle(*first) == 200
        with pytest.raises(WebhookRefused) as caught:
            calls.handle(*first)
        assert caught.value.reason == "replayed"
        assert calls.handle(*delivery(attempt=5)) == 204
        assert calls.held == 1
        assert status_of(caught.value) == 400
        assert error_event(caught.value)["error"]["code"] == "webhook_refused"
    assert len(talk.callers) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"webhook-signature": "v1,AAAA"}, "forged"),
        ({"webhook-id": "wh_2"}, "forged"),
        ({"webhook-timestamp": "1750287078"}, "stale"),
        ({"webhook-id": ""}, "missing header"),
    ],
    ids=str,
)
def test_what_the_service_has_not_sent_just_now_is_refused_and_does_nothing(
    service: SimulatorServer, change: dict[str, str], reason: str
) -> None:
    with answering(service.openai_url, Talk()) as calls:
        headers, body = delivery()
        with pytest.raises(WebhookRefused) as caught:
            calls.handle({**headers, **change}, body)
        assert (caught.value.reason, status_of(caught.value), calls.held) == (reason, 400, 0)
        assert calls.handle(headers, body) == 200  # A forger cannot use up a delivery.


def test_a_padded_signature_does_not_make_a_copy_new(service: SimulatorServer) -> None:
    with answering(service.openai_url, Talk()) as calls:
        headers, body = delivery()
        assert calls.handle(headers, body) == 200
        for signature in (f"v1,AAAA {headers['webhook-signature']}", f" {headers['webhook-signature']} "):
            with pytest.raises(WebhookRefused, match="replay"):
                calls.handle({**headers, "webhook-signature": signature}, body)


def test_of_twenty_deliveries_at_once_one_is_done(service: SimulatorServer) -> None:
    talk = Talk()
    with answering(service.openai_url, talk) as calls, ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda attempt: calls.handle(*delivery(attempt=attempt)), range(20)))
        assert sorted(answers) == [200] + [204] * 19
        assert calls.held == 1
    assert len(talk.callers) == 1


@pytest.mark.parametrize("bus", ["memory://", "redis"])
def test_processes_on_a_bus_know_what_another_one_has_done(
    service: SimulatorServer, bus: str, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    if bus == "redis":
        server = RedisServer(tmp_path).start()
        request.addfinalizer(server.kill)
        bus = server.url
    talk = Talk()
    with (
        SessionDirectory(bus, run_owners=False) as directory,
        answering(service.openai_url, talk, directory=directory) as one,
        answering(service.openai_url, talk, directory=directory) as two,
    ):
        first = delivery()
        assert one.handle(*first) == 200
        with pytest.raises(WebhookRefused, match="replay"):
            two.handle(*first)
        assert two.handle(*delivery(attempt=5)) == 204
        assert two.held == 0


def test_without_the_bus_calls_are_answered_all_the_same(
    service: SimulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        SessionDirectory("redis://127.0.0.1:1/0", bus_timeout=0.2) as directory,
        answering(service.openai_url, Talk(), directory=directory) as calls,
    ):
        first = delivery()
        assert calls.handle(*first) == 200
        with pytest.raises(WebhookRefused, match="replay"):
            calls.handle(*first)
    assert "in this process only" in caplog.text


def test_a_call_that_could_not_be_answered_is_answered_when_the_webhook_comes_again() -> None:
    talk = Talk()
    answers = iter([(500, "Oh"), (500, "Oh"), (500, "Oh"), (200, "OK")])

    def script(peer: Peer) -> None:
        if peer.read_request().method == "POST":
            peer.refuse(*next(answers, (404, "Not Found")))
            return
        realtime_greeting(peer)
        assert talk.begun.acquire(timeout=LIMIT)
        peer.close(1000)
        peer.expect_close(echo=False)

    with ScriptedServer(script) as server, answering(f"{server.http_url}/v1", talk) as calls:
        with pytest.raises(ConnectFailed) as caught:
            calls.handle(*delivery())
        assert status_of(caught.value) == 502
        assert calls.held == 0
        assert calls.handle(*delivery(attempt=5)) == 200
        assert talk.ended.acquire(timeout=LIMIT)
        until(lambda: calls.held == 0)


def test_an_answer_that_the_service_does_not_confirm_in_time_is_told_by_the_session() -> None:
    talk = Talk()

    def script(peer: Peer) -> None:
        request = peer.read_request()
        if request.path.endswith("accept"):
            while peer.wire.read_some():
                pass  # Until nobody waits for an answer any more.
        elif request.method == "POST":
            peer.refuse(200, "OK")
        else:
            realtime_greeting(peer)
            assert talk.begun.acquire(timeout=LIMIT)
            peer.close(1000)
            peer.expect_close(echo=False)

    with ScriptedServer(script) as server, answering(f"{server.http_url}/v1", talk, timeout=0.5) as calls:
        assert calls.handle(*delivery()) == 200
        assert talk.ended.acquire(timeout=LIMIT)


def test_a_call_that_the_caller_has_given_up_is_no_failure(service: SimulatorServer) -> None:
    Call(_target(service.openai_url), "rtc_1").hangup()
    with answering(service.openai_url, Talk()) as calls:
        assert calls.handle(*delivery()) == 200
        assert calls.held == 0


# -- what the application decides --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "action", "body"),
    [
        (Reject(), "reject", b"{}"),
        (Reject(486), "reject", b'{"status_code":486}'),
        (Refer("tel:+15550100"), "refer", b'{"target_uri":"tel:+15550100"}'),
    ],
    ids=["declined", "busy", "passed on"],
)
def test_a_call_is_declined_or_passed_on(decision: Any, action: str, body: bytes) -> None:
    seen = []

    def script(peer: Peer) -> None:
        request = peer.read_request()
        seen.append((request.path.rpartition("/")[2], peer.wire.read_exact(int(request.headers["content-length"]))))
        peer.refuse(200, "OK")

    with (
        ScriptedServer(script) as server,
        answering(f"{server.http_url}/v1", Talk(), accept=lambda incoming: decision) as calls,
    ):
        assert calls.handle(*delivery()) == 200
        assert calls.held == 0
    assert [(path, sent.replace(b" ", b"")) for path, sent in seen] == [(action, body)]


def test_beyond_max_calls_the_line_is_busy_and_free_again_when_one_is_over(service: SimulatorServer) -> None:
    talk = Talk()
    with answering(service.openai_url, talk, max_calls=1) as calls:
        assert calls.handle(*delivery("rtc_1")) == 200
        assert talk.begun.acquire(timeout=LIMIT)
        assert calls.handle(*delivery("rtc_2")) == 200
        assert state_of(service, "rtc_2") == OVER
        assert calls.held == 1
        Call(_target(service.openai_url), "rtc_1").hangup()
        until(lambda: calls.held == 0)
        assert calls.handle(*delivery("rtc_3")) == 200
        assert talk.begun.acquire(timeout=LIMIT)
    assert len(talk.callers) == 2


def test_other_webhooks_are_let_be(service: SimulatorServer) -> None:
    with answering(service.openai_url, Talk()) as calls:
        assert calls.handle(*delivery(kind="response.completed")) == 204
        assert state_of(service) is None


def test_an_application_that_cannot_decide_gets_another_try(service: SimulatorServer) -> None:
    decisions: Iterator[Any] = iter([KeyError("no such shop"), ACCEPT])

    def accept(incoming: IncomingCall) -> Any:
        decision = next(decisions)
        if isinstance(decision, Exception):
            raise decision
        return decision

    with answering(service.openai_url, Talk(), accept=accept) as calls:
        with pytest.raises(KeyError):
            calls.handle(*delivery())
        assert calls.held == 0
        assert calls.handle(*delivery(attempt=5)) == 200


# -- failures and ends -------------------------------------------------------------------------------------------------


def test_a_conversation_that_fails_is_logged_without_secrets_and_hung_up(
    service: SimulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    def converse(session: RealtimeSession, incoming: IncomingCall) -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.DEBUG), answering(service.openai_url, converse) as calls:
        assert calls.handle(*delivery()) == 200
        until(lambda: calls.held == 0)
        assert state_of(service) == OVER
    assert "the conversation of call rtc_1 failed: ZeroDivisionError" in caplog.text
    assert SECRET not in caplog.text
    assert "15550100" not in caplog.text
    assert "bakery" not in caplog.text
    assert SECRET not in repr(calls)


def test_what_it_runs_in_is_left_however_the_conversation_ends(service: SimulatorServer) -> None:
    entered: list[str] = []

    @contextmanager
    def within() -> Iterator[None]:
        entered.append("in")
        try:
            yield
        finally:
            entered.append("out")

    def converse(session: RealtimeSession, incoming: IncomingCall) -> None:
        entered.append("talk")
        raise ZeroDivisionError

    with answering(service.openai_url, converse, within=within) as calls:
        calls.handle(*delivery())
        until(lambda: calls.held == 0)
    assert entered == ["in", "talk", "out"]


def test_a_session_that_cannot_be_opened_ends_the_call() -> None:
    hung_up = threading.Event()

    def script(peer: Peer) -> None:
        request = peer.read_request()
        if request.path.endswith("hangup"):
            hung_up.set()
        peer.refuse(*(200, "OK") if request.method == "POST" else (403, "Forbidden"))

    with ScriptedServer(script) as server, answering(f"{server.http_url}/v1", Talk()) as calls:
        assert calls.handle(*delivery()) == 200
        assert hung_up.wait(LIMIT)


def test_stopping_ends_all_calls_and_takes_no_more(service: SimulatorServer) -> None:
    talk = Talk()
    with answering(service.openai_url, talk) as calls:
        for number in range(3):
            calls.handle(*delivery(f"rtc_{number}"))
        for _ in range(3):
            assert talk.begun.acquire(timeout=LIMIT)
        calls.stop(timeout=LIMIT)
        assert calls.held == 0
        assert {state_of(service, f"rtc_{number}") for number in range(3)} == {OVER}
        with pytest.raises(Refused) as caught:
            calls.handle(*delivery("rtc_4"))
        assert status_of(caught.value) == 503
        calls.stop()


def _in_child(calls: IncomingCalls, url: str, said: Any) -> None:
    said.put((calls.held, calls.handle(*delivery("rtc_child"))))
    calls.stop(timeout=LIMIT)
    said.put(calls.held)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_begins_with_no_calls_and_leaves_its_parents_alone(service: SimulatorServer) -> None:
    talk = Talk()
    with answering(service.openai_url, talk) as calls:
        calls.handle(*delivery())
        assert talk.begun.acquire(timeout=LIMIT)
        context = multiprocessing.get_context("fork")
        said = context.Queue()
        child = context.Process(target=_in_child, args=[calls, service.openai_url, said])
        child.start()
        assert said.get(timeout=LIMIT) == (0, 200)
        assert said.get(timeout=LIMIT) == 0
        child.join(LIMIT)
        said.close()
        said.join_thread()
        assert state_of(service, "rtc_child") == OVER
        assert (state_of(service), calls.held) == (RUNNING, 1)


PROGRAM = """
import sys, threading, time
from rtsync import OpenAI
from rtsync.web import IncomingCalls
from tests.process.programs import run
from tests.rest.test_webhooks import SECRET
from tests.web.test_calls import delivery

begun = threading.Event()

def converse(session, incoming):
    begun.set()
    for event in session.events():
        pass

calls = IncomingCalls(OpenAI("any", api_key="any", base_url=sys.argv[1]), converse, secret=SECRET)
print(calls.handle(*delivery("rtc_1")), begun.wait(30))
"""


def test_the_end_of_the_program_hangs_up(service: SimulatorServer) -> None:
    ended = run(command=[sys.executable, "-c", PROGRAM, service.openai_url])
    assert (ended.status, ended.out, ended.err) == (0, "200 True\n", "")
    assert state_of(service) == OVER


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: IncomingCalls(OpenAI(api_key="k"), print), "OPENAI_WEBHOOK_SECRET"),
        (lambda: IncomingCalls(OpenAI(api_key="k"), print, secret="whsec_?"), "no base64"),
        (lambda: IncomingCalls(Simulator(), print, secret=SECRET), "start a server"),
        (lambda: IncomingCalls(Azure("https://a.test", "d", api_version="2024-10-01-preview", api_key="k"), print,
                               secret=SECRET), "GA endpoint"),
        (lambda: IncomingCalls(OpenAI(api_key="k"), 7, secret=SECRET), "converse must be callable"),  # type: ignore[arg-type]
        (lambda: IncomingCalls(OpenAI(api_key="k"), print, secret=SECRET, accept=7), "accept must be"),  # type: ignore[arg-type]
        (lambda: IncomingCalls(OpenAI(api_key="k"), print, secret=SECRET, max_calls=0), "max_calls"),
        (lambda: IncomingCalls(OpenAI(api_key="k"), print, secret=SECRET, timeout=-1), "timeout"),
        (lambda: IncomingCalls(OpenAI(api_key="k"), print, secret=SECRET, within=7), "within"),  # type: ignore[arg-type]
    ],
    ids=["no secret", "bad secret", "no server", "preview", "converse", "accept", "max_calls", "timeout", "within"],
)  # fmt: skip
def test_what_it_cannot_work_with_is_told_when_it_is_made(make: Callable[[], Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        make()
