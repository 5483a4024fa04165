"""A full run in which everything speaks at its loudest and the service repeats what it is told: nothing leaks.

Each scene does something for real over loopback and shows all that it holds. What the process then has emitted (logs
of every library at level 1, warnings, output, tracebacks, reprs, pickles, the URLs that arrived) is searched for
unique canaries in every form in which a text may be written.
"""

from __future__ import annotations

import base64
import gc
import json
import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken

import rtsync
from rtsync import (
    AuthenticationFailed,
    Azure,
    Call,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    Event,
    OpenAI,
    RateLimited,
    RealtimeError,
    RealtimeSession,
    RedirectRefused,
    ResponseFailed,
    ServerError,
    SessionClosed,
    SessionExpired,
    Simulator,
    Target,
    Tool,
    ToolCall,
    ToolContext,
    ToolError,
    UsageError,
    WaitTimeout,
    WebhookRefused,
    create_client_secret,
    target_from_env,
    verify_webhook,
)
from rtsync.simulator import BrainFailed, FunctionCall, SimulatorServer, Turn
from tests.conftest import PROJECT
from tests.loopback import (
    BINARY,
    LIMIT,
    TEXT,
    Certificates,
    Peer,
    RecordingProxy,
    ScriptedServer,
    frame,
    realtime_greeting,
)
from tests.rest.recorder import Answer, Recorder
from tests.rest.test_webhooks import sign
from tests.secrecy.canaries import CONTENT, PCM, SECRETS, sightings
from tests.secrecy.evidence import Evidence
from tests.secrecy.service import WORDS, credentials_of, echoes, talkative, told_off

KEY = SECRETS["api key"]


@pytest.fixture
def evidence(capfd: pytest.CaptureFixture[str]) -> Iterator[Evidence]:
    """What the test emits; searched when it has ended."""
    with Evidence(capfd) as found:
        yield found
    assert found.leaks() == []


class Credential:
    """As azure-identity's: says too much of itself."""

    def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        return AccessToken(SECRETS["token of a credential"], 4102444800)

    def __repr__(self) -> str:
        return f"<Credential {SECRETS['token of a credential']}>"


def openai(server: ScriptedServer | Recorder, **options: Any) -> OpenAI:
    url = server.http_url if isinstance(server, ScriptedServer) else server.url
    gateway = {"X-Gateway-Key": SECRETS["gateway key"]}
    return OpenAI(**{"api_key": KEY, "base_url": f"{url}/v1", "headers": gateway, **options})


TARGETS: dict[str, Callable[[ScriptedServer], Target]] = {
    "key": openai,
    "callable": lambda server: openai(server, api_key=lambda: SECRETS["token of a callable"]),
    "Azure key": lambda server: Azure(server.http_url, "d", api_key=SECRETS["Azure key"]),
    "Azure callable": lambda server: Azure(server.http_url, "d", credential=lambda: SECRETS["token of a callable"]),
    "Azure credential": lambda server: Azure(server.http_url, "d", credential=Credential()),
    "preview": lambda server: Azure(
        server.http_url, "d", api_key=SECRETS["Azure key"], api_version="2025-04-01-preview"
    ),
}
every_target = pytest.mark.parametrize("make", TARGETS.values(), ids=TARGETS)


def caught(
    evidence: Evidence, kind: type[RealtimeError], call: Callable[..., object], *args: Any, **options: Any
) -> Any:
    """Provoke an error, and show it."""
    with pytest.raises(kind) as raised:
        call(*args, **options)
    return evidence.error(raised.value)


def show_target(evidence: Evidence, target: Target) -> None:
    evidence.show(target, target.auth, target.auth.secret)
    evidence.note("target", f"{target.url} {target.describe()} {target.model}")


def arrived(evidence: Evidence, server: ScriptedServer) -> None:
    """The request lines that came to the server: paths and queries."""
    for peer in server.peers:
        evidence.note("URL", peer.request.path)


TOOLS = [
    {
        "type": "mcp",
        "server_label": "s",
        "server_url": f"https://mcp.test/?key={SECRETS['MCP header']}",
        "authorization": SECRETS["MCP authorization"],
        "headers": {"X-Key": SECRETS["MCP header"]},
    },
    {"type": "function", "name": "look_up", "description": CONTENT["tool description"], "parameters": {}},
]


# -- a conversation ------------------------------------------------------------------------------------------------


@every_target
def test_a_whole_conversation(make: Callable[[ScriptedServer], Target], evidence: Evidence) -> None:
    with ScriptedServer(talkative) as server:
        target = make(server)
        session = RealtimeSession(target, config={"instructions": CONTENT["instructions"]})
        evidence.show(session, session._core, session._options)
        show_target(evidence, target)
        with session, session.events() as stream:
            session.on("*", fail)
            session.on("*", lambda session, event: evidence.show(event))
            hold_all_of_it(evidence, session)
            evidence.show(session, stream, session._core, session._core.hub, session.expect("x"))
        for event in stream:
            show_event(evidence, event)
        evidence.show(session, session.conversation, session._core.error)
        show_all(evidence, session)
        arrived(evidence, server)
        used = target.auth.secret.reveal() if target.auth.secret else SECRETS["token of a callable"]
        assert used in str(server.peers[0].request.headers) or "credential" in target.auth.kind
    assert evidence.records > 20


def test_a_credential_of_azure_identity_that_signs_in_for_real(evidence: Evidence, certificates: Certificates) -> None:
    """azure-core, msal and urllib3 log what they do; rtsync must not make them say more."""
    from azure.identity import ClientSecretCredential

    with Recorder(tls=certificates.server_context()) as login, ScriptedServer(talkative) as server:
        places, token = _signing_in(f"{login.url}/tenant")
        refusal = Answer(400, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."})
        for answer in (token, refusal):
            login.say(places, answer)
            credential = ClientSecretCredential(
                "tenant",
                "application",
                SECRETS["application secret"],
                authority=f"https://localhost:{login.port}",
                disable_instance_discovery=True,
                connection_verify=str(certificates.ca_file),
            )
            target = Azure(server.http_url, "d", credential=credential)
            show_target(evidence, target)
            session = RealtimeSession(target)
            with credential:
                if answer is refusal:
                    caught(evidence, AuthenticationFailed, session.open)
                else:
                    with session:
                        evidence.show(session.ask(CONTENT["question"], timeout=LIMIT), session)
        headers = server.peers[0].request.headers
        assert headers["authorization"] == f"Bearer {SECRETS['token of a credential']}"
    assert "azure.identity" in str(evidence)
    assert "urllib3" in str(evidence)


def _signing_in(url: str) -> list[Answer]:
    """What Entra answers to a client that looks for it and then signs in."""
    places = {f"{name}_endpoint": f"{url}/{name}" for name in ("authorization", "token", "device_authorization")}
    token = {"access_token": SECRETS["token of a credential"], "expires_in": 3600, "token_type": "Bearer"}
    return [Answer(200, {**places, "issuer": f"{url}/v2.0"}), Answer(200, token)]


def fail(session: RealtimeSession, event: Event) -> None:
    """A handler that raises with the event, and what it says, among its locals."""
    held = event.to_dict()
    raise ValueError(f"of {len(held)} fields none is right")


def hold_all_of_it(evidence: Evidence, session: RealtimeSession) -> None:
    session.update(instructions=CONTENT["instructions"], tools=TOOLS)
    session.update(prompt={"id": "p", "variables": {"who": CONTENT["variable"]}})
    session.append_audio(PCM)
    evidence.show(session.commit_audio())
    session.wait_for("conversation.item.input_audio_transcription.completed", timeout=LIMIT)
    answer = session.ask(CONTENT["question"], metadata={"about": CONTENT["metadata"]}, timeout=LIMIT)
    evidence.show(answer, answer._follower, answer._follower.record)
    assert answer.transcript == CONTENT["transcript"]
    assert answer.audio == PCM
    output = {"type": "function_call_output", "call_id": "call_1", "output": CONTENT["output"]}
    evidence.show(session.add_item(output))
    failure = caught(evidence, ResponseFailed, session.respond(instructions="fail").wait)
    assert WORDS in str(failure)
    refused = {"type": "message", "role": "user", "id": "refused", "content": CONTENT["refused item"]}
    failure = caught(evidence, ServerError, session.add_item, refused)
    assert WORDS in str(failure)
    assert "***" in failure.code
    timeout = caught(evidence, WaitTimeout, session.wait_for, "response.created", timeout=0.01)
    assert timeout.arrived is not None
    refuse_to_send(evidence, session)


def refuse_to_send(evidence: Evidence, session: RealtimeSession) -> None:
    secret, said = SECRETS["MCP authorization"], CONTENT["unserialisable"]
    around: dict[str, Any] = {"type": "x", "authorization": secret, "text": said}
    for broken in (object(), {1, 2}, {("a", "b"): said}, "\ud800" + said, math.nan, object):
        event = {**around, "broken": broken, "lone": "\ud800" + said, "also": object()}
        caught(evidence, UsageError, session.send, event)
    around["itself"] = around
    caught(evidence, UsageError, session.send, around)
    caught(evidence, UsageError, session.send, {"text": said, "authorization": secret})
    caught(evidence, UsageError, session.send, {"type": "x", "event_id": 7, "text": said})
    caught(evidence, UsageError, session.send, said)


def show_event(evidence: Evidence, event: Event) -> None:
    evidence.show(event, *event.values())
    with pytest.raises(AttributeError) as raised:
        event.nothing_of_the_kind  # noqa: B018
    evidence.error(raised.value)


def show_all(evidence: Evidence, session: RealtimeSession) -> None:
    found = session.conversation
    evidence.show(found, found.usage, *found.items, *found.responses)
    assert any(CONTENT["transcript"] in item.transcript for item in found.items)


@pytest.mark.parametrize("content", [False, True])
def test_the_log_of_events_shows_content_on_request_and_credentials_never(
    content: bool, evidence: Evidence, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.Logger("apart")  # Known to nobody, so that its lines are not among the evidence.
    logger.addHandler(caplog.handler)
    with ScriptedServer(talkative) as server, rtsync.log_events(logger, content=content) as log:
        evidence.show(log)
        with RealtimeSession(openai(server), config={"instructions": CONTENT["instructions"]}) as session:
            hold_all_of_it(evidence, session)
    seen = set(sightings("\n".join(record.getMessage() for record in caplog.records)))
    unsent = {"unserialisable", "malformed", "SIP header", "audio"}
    assert seen == (CONTENT.keys() - unsent if content else set())


# -- refused -------------------------------------------------------------------------------------------------------


def refusing(status: int, body: str) -> Callable[[Peer], None]:
    """A script that refuses the upgrade and repeats the credentials in every place that HTTP has."""

    def script(peer: Peer) -> None:
        peer.read_request()
        found = credentials_of(peer)
        said = echoes(found)
        text = {"json": json.dumps({"error": told_off(found)}), "text": said, "none": ""}[body]
        headers = [("X-Echo", said), ("Location", f"/{said}"), ("X-Request-Id", said), (f"X-{found[-1][:9]}", "1")]
        peer.refuse(status, said, headers, text)

    return script


KINDS = {301: RedirectRefused, 307: RedirectRefused, 401: AuthenticationFailed, 404: ConnectFailed, 429: RateLimited}


@pytest.mark.parametrize("body", ["json", "text", "none"])
@pytest.mark.parametrize("status", [*KINDS, 500])
@every_target
def test_a_refused_upgrade(
    make: Callable[[ScriptedServer], Target], status: int, body: str, evidence: Evidence
) -> None:
    with ScriptedServer(refusing(status, body)) as server:
        target = make(server)
        failure = caught(evidence, KINDS.get(status, ConnectFailed), RealtimeSession(target).open)
        show_target(evidence, target)
        arrived(evidence, server)
        assert "***" in str(failure)


def refusing_after_the_upgrade(peer: Peer) -> None:
    peer.accept()
    found = credentials_of(peer)
    peer.send_json({"type": "error", "event_id": "event_1", "error": told_off(found)})
    peer.close(3000, f"invalid.{found[-1]}"[:120])


def closing_with_half_a_key(peer: Peer) -> None:
    peer.accept()
    peer.close(4000, f"{'x' * 90} {credentials_of(peer)[-1]}"[:120])


def answering_nonsense(peer: Peer) -> None:
    peer.read_request()
    peer.send_raw(f"{echoes(credentials_of(peer))} is not HTTP\r\n\r\n".encode())


def answering_with_a_bad_header(peer: Peer) -> None:
    peer.read_request()
    peer.send_raw(b"HTTP/1.1 401 No\r\n" + f"X: {credentials_of(peer)[-1]}".encode() * 4000 + b"\r\n\r\n")


def breaking_the_chunks(peer: Peer) -> None:
    peer.read_request()
    head = b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n"
    peer.send_raw(head + credentials_of(peer)[-1].encode() + b"\r\n\r\n")


def accepting_wrongly(peer: Peer) -> None:
    peer.read_request()
    found = credentials_of(peer)
    peer.accept([("X-Echo", echoes(found))], accept_key=found[-1])


@pytest.mark.parametrize(
    "script",
    [
        refusing_after_the_upgrade,
        closing_with_half_a_key,
        answering_nonsense,
        answering_with_a_bad_header,
        breaking_the_chunks,
        accepting_wrongly,
    ],
)
def test_other_ways_of_refusing(script: Callable[[Peer], None], evidence: Evidence) -> None:
    with ScriptedServer(script) as server:
        caught(evidence, ConnectFailed, RealtimeSession(openai(server)).open)
        arrived(evidence, server)


def test_a_certificate_that_is_not_trusted(certificates: Certificates, evidence: Evidence) -> None:
    with ScriptedServer(talkative, tls=certificates.server_context()) as server:
        session = RealtimeSession(openai(server))
        assert caught(evidence, ConnectFailed, session.open).phase == "tls"


def test_a_proxy_with_a_password(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    password = SECRETS["proxy password"].replace("/", "%2F").replace("+", "%2B")

    def through(port: int) -> str:
        return f"http://user:{password}@127.0.0.1:{port}"

    with (
        ScriptedServer(talkative) as server,
        RecordingProxy(credentials=("user", SECRETS["proxy password"])) as good,
        RecordingProxy(credentials=("user", "another")) as strict,
        ScriptedServer(_echoing_proxy) as echoing,
    ):
        with RealtimeSession(openai(server), proxy=through(good.port)) as session:
            evidence.show(session, session._options, session._core)
            assert session.ask(CONTENT["question"], timeout=LIMIT).done
        for proxy in (strict, echoing):
            session = RealtimeSession(openai(server), proxy=through(proxy.port))
            assert caught(evidence, ConnectFailed, session.open).phase == "proxy"
        assert good.targets == [f"127.0.0.1:{server.port}"]
    for url in (through(0).replace(":0", ":zero"), f"socks5://user:{password}@p.test", f"http://user:{password}@"):
        caught(evidence, ConfigurationError, RealtimeSession(OpenAI(api_key=KEY), proxy=url).open)
        monkeypatch.setenv("https_proxy", url)
        caught(evidence, ConfigurationError, RealtimeSession(OpenAI(api_key=KEY)).open)


def _echoing_proxy(peer: Peer) -> None:
    request = peer.read_request()
    given = request.headers["proxy-authorization"]
    pair = base64.b64decode(given.removeprefix("Basic ")).decode()
    said = f"{given} {pair} {pair.partition(':')[2]}"
    peer.refuse(407, said, [("X-Echo", said)], json.dumps({"error": {"message": said, "code": pair}}))


# -- lost ----------------------------------------------------------------------------------------------------------


def _then(action: Callable[[Peer], object]) -> Callable[[Peer], None]:
    """A script: greet, hear one event, say half an answer, and then `action`."""

    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        asked = peer.recv_json()
        begun = {"id": "resp_1", "status": "in_progress", "metadata": asked["response"]["metadata"]}
        peer.send_json({"type": "response.created", "event_id": "1", "response": begun})
        delta = {"type": "response.output_text.delta", "response_id": "resp_1", "delta": CONTENT["answer"]}
        peer.send_json({**delta, "event_id": "2"})
        action(peer)

    return script


def _expire(peer: Peer) -> None:
    error = told_off(credentials_of(peer), code="session_expired")
    peer.send_json({"type": "error", "event_id": "e", "error": error})
    peer.close(1001, "")
    peer.expect_close(echo=False)


def _broken(data: bytes) -> Callable[[Peer], None]:
    def action(peer: Peer) -> None:
        peer.send_raw(data)
        peer.expect_close()

    return action


BAD = CONTENT["malformed"].encode() + KEY.encode()
ENDINGS: dict[str, tuple[Callable[[Peer], object], type[SessionClosed]]] = {
    "reset": (Peer.reset, ConnectionLost),
    "no UTF-8": (_broken(frame(TEXT, b'{"type": "\xff' + BAD)), SessionClosed),
    "masked": (_broken(frame(TEXT, BAD, masked=True)), SessionClosed),
    "reserved": (_broken(frame(TEXT, BAD, rsv=4)), SessionClosed),
    "opcode": (_broken(frame(3, BAD)), SessionClosed),
    "bad close": (_broken(frame(8, b"\x03\xe8\xff" + BAD[:60])), SessionClosed),
    "close": (lambda peer: peer.close(4000, f"a\n\x1b[2J {KEY}"), SessionClosed),
    "expired": (_expire, SessionExpired),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_line_that_is_lost_in_the_middle(ending: str, evidence: Evidence) -> None:
    action, kind = ENDINGS[ending]
    with ScriptedServer(_then(action)) as server:
        session = RealtimeSession(openai(server), max_message_size=1 << 20).open()
        try:
            response = session.respond(timeout=LIMIT)
            failure = caught(evidence, ResponseFailed, response.wait, LIMIT)
            assert failure.text == CONTENT["answer"]
            evidence.error(caught(evidence, kind, session.wait_for, "x", timeout=LIMIT))
            caught(evidence, kind, session.send, {"type": "x", "text": CONTENT["question"]})
            evidence.show(response, session, session._core.error)
        finally:
            session.close()


def test_messages_that_are_no_events(evidence: Evidence) -> None:
    bad = CONTENT["malformed"]

    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        for text in (f"{bad} {KEY}", f'["{bad}"]', f'"{bad}"', f'{{"{bad}": ', f'{{"type": "{bad}"', "[" * 5000):
            peer.send_text(text)
        peer.send_frame(BINARY, BAD)
        odd = {"error": bad, "item": bad, "response": [bad], "session": bad, "delta": [bad], "content_index": bad}
        for kind in ("error", "response.done", "response.created", "session.updated", "conversation.item.added"):
            peer.send_json({"type": kind, **odd}, {"type": kind, "error": {"message": [bad], "code": {"a": bad}}})
        peer.send_json({"type": "vendor.last"})
        peer.expect_close()

    refused: list[object] = []
    note = rtsync.message_refused.connect(lambda session, error: refused.append(error), weak=False)
    try:
        with (
            ScriptedServer(script) as server,
            RealtimeSession(openai(server)) as session,
            rtsync.log_events(),
        ):
            session.on("*", lambda session, event: evidence.show(event))
            session.wait_for("vendor.last", timeout=LIMIT)
            evidence.show(session.conversation)
    finally:
        rtsync.message_refused.disconnect(note)
    assert len(refused) >= 6
    for each in refused:
        assert isinstance(each, RealtimeError)
        evidence.error(each)


class Tools:
    """Tools that show what they are given, and a brain that calls them."""

    def __init__(self, evidence: Evidence) -> None:
        self.contexts: list[ToolContext] = []
        self._evidence = evidence

    def approve(self, call: ToolCall) -> str:
        self._evidence.show(call)
        return CONTENT["unknown field"]

    def work(self, words: str, context: ToolContext) -> str:
        self.contexts.append(context)
        self._evidence.show(context, context.call, *context.session.tool_calls)
        context.report({"said": words})
        return CONTENT["output"]

    def refuse(self, words: str) -> str:
        raise ToolError(CONTENT["refused item"])

    def fail(self, words: str) -> object:
        return [words, object()]

    def hang(self, words: str, context: ToolContext) -> str:
        context.wait(LIMIT)
        return words

    def declared(self) -> list[Any]:
        return [
            self.work,
            self.refuse,
            self.fail,
            Tool(self.hang, timeout=0.05),
            Tool(self.work, name="long", working=CONTENT["answer"]),
            Tool(self.work, name="denied", approval=self.approve),
        ]

    def brain(self, turn: Turn) -> Iterator[Any]:
        said = json.dumps({"words": CONTENT["arguments"]})
        names = "work", "refuse", "fail", "hang", "long", "denied", CONTENT["malformed"]
        yield from (FunctionCall(name, said) for name in names)
        yield FunctionCall("work", json.dumps({CONTENT["arguments"]: 1}))
        yield FunctionCall("work", CONTENT["arguments"])


def test_tools(evidence: Evidence) -> None:
    tools = Tools(evidence)

    def show(session: RealtimeSession, call: ToolCall, **_: Any) -> None:
        if call.name in session.tools:
            evidence.show(call)

    with (
        RealtimeSession(Simulator(brain=tools.brain, pace=False), tools=tools.declared(), tool_rounds=1) as session,
        rtsync.tool_started.connected_to(show, session),
        rtsync.tool_progress.connected_to(show, session),
        rtsync.tool_finished.connected_to(show, session),
    ):
        evidence.show(*session.tools.values(), session._core.tools, session)
        session.ask(CONTENT["question"], timeout=LIMIT)
    evidence.show(*tools.contexts, *(context.call for context in tools.contexts))
    evidence.close()


def test_a_session_that_is_dropped(evidence: Evidence) -> None:
    with ScriptedServer(talkative) as server:
        session = RealtimeSession(openai(server), config={"instructions": CONTENT["instructions"]}).open()
        session.ask(CONTENT["question"], timeout=LIMIT)
        core = session._core
        del session
        gc.collect()
        assert core.finished.wait(LIMIT)
        evidence.error(core.error)
    evidence.close()


# -- beside the session --------------------------------------------------------------------------------------------


def test_client_secrets_and_calls(evidence: Evidence) -> None:
    made = {"value": SECRETS["client secret"], "expires_at": 4102444800, "session": {"instructions": "x"}}
    with Recorder(Answer(503, headers={"Retry-After": "0"}), Answer(200, made)) as server:
        secret = create_client_secret(openai(server), session={"instructions": CONTENT["instructions"]})
        assert secret.value == SECRETS["client secret"]
        evidence.show(secret, secret.session)
        call = Call(openai(server), "rtc_1")
        evidence.show(call)
        call.accept(instructions=CONTENT["instructions"])
        for request in server.requests:
            evidence.note("URL", request.target)
    said = echoes([KEY, f"Bearer {KEY}", SECRETS["gateway key"]])
    headers = {"X-Echo": said, "Location": f"/{said}", "x-should-retry": "false", "X-Request-Id": said}
    for status in (302, 400, 401, 404, 429, 500):
        refusal = Answer(status, {"error": told_off([KEY, SECRETS["gateway key"]])}, headers, reason=said)
        with Recorder(refusal) as server:
            call = Call(openai(server), "rtc_1")
            caught(evidence, RealtimeError, call.accept, instructions=CONTENT["instructions"])
            caught(evidence, RealtimeError, create_client_secret, openai(server))
    with Recorder(Answer(200, {"odd": SECRETS["client secret"]})) as server:
        caught(evidence, RealtimeError, create_client_secret, openai(server))


def test_rest_answers_that_are_no_http(evidence: Evidence) -> None:
    for script in (answering_nonsense, answering_with_a_bad_header, breaking_the_chunks):
        with ScriptedServer(script) as server:
            caught(evidence, ConnectFailed, Call(openai(server), "rtc_1").hangup)


def test_webhooks(evidence: Evidence) -> None:
    secret = SECRETS["webhook secret"]
    encoded = "whsec_" + base64.b64encode(secret.encode()).decode()
    headers = [{"name": "From", "value": CONTENT["SIP header"]}]
    body = json.dumps(
        {"type": "realtime.call.incoming", "id": "evt_1", "data": {"call_id": "rtc_1", "sip_headers": headers}}
    ).encode()
    now = int(time.time())
    for key in (secret, encoded):
        call = verify_webhook(body, sign(body, sent=now, secret=key), key)
        evidence.show(call, *call.values())
    good = sign(body, sent=now, secret=secret)
    for forged in (good | {"webhook-signature": f"v1,{secret}"}, good | {"webhook-timestamp": secret}, {}):
        caught(evidence, WebhookRefused, verify_webhook, body, forged, secret)
    for odd in (CONTENT["SIP header"].encode(), b'{"type": ""}', b"\xff" + BAD):
        caught(evidence, WebhookRefused, verify_webhook, odd, sign(odd, sent=now, secret=secret), secret)
    for bad in (f"whsec_{secret}", f"{secret}\n{secret}", 7):
        caught(evidence, ConfigurationError, verify_webhook, body, good, bad)


def test_what_is_configured_wrongly(evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: list[Callable[[], object]] = [
        lambda: OpenAI(api_key=f"{KEY}\nx"),
        lambda: OpenAI(api_key=f"{KEY}\u20ac"),
        lambda: OpenAI(api_key=KEY.encode()),  # type: ignore[arg-type]
        lambda: OpenAI(api_key=KEY, base_url=f"https://user:{KEY}@host.test"),
        lambda: OpenAI(api_key=KEY, base_url=f"https://host.test/v1?key={KEY}"),
        lambda: OpenAI(api_key=KEY, base_url=f"http://{KEY}"),
        lambda: OpenAI(api_key=KEY, base_url=KEY),
        lambda: OpenAI(api_key=KEY, headers={"Authorization": f"Bearer {KEY}"}),
        lambda: OpenAI(api_key=KEY, headers={"X": f"{KEY}\n"}),
        lambda: OpenAI(api_key=KEY, headers={KEY: "x"}),
        lambda: OpenAI(api_key=KEY, organization=f"{KEY}\nx"),
        lambda: Azure(KEY, "d", api_key=KEY),
        lambda: Azure("https://r.test", "d", api_key=KEY, api_version=KEY),
        lambda: Azure("https://r.test", "d", api_key=KEY, credential=Credential()),
        lambda: Azure("https://r.test", "d", credential=KEY),  # type: ignore[arg-type]
        lambda: RealtimeSession(KEY),  # type: ignore[arg-type]
        lambda: RealtimeSession(OpenAI(api_key=KEY), config=CONTENT["instructions"]),  # type: ignore[arg-type]
        lambda: RealtimeSession(OpenAI(api_key=KEY), proxy=7),  # type: ignore[arg-type]
        lambda: Call(KEY, "rtc_1"),  # type: ignore[arg-type]
        lambda: create_client_secret(KEY),  # type: ignore[arg-type]
        lambda: rtsync.log_events(session=KEY),  # type: ignore[arg-type]
        lambda: RealtimeSession(OpenAI(api_key=lambda: f"{KEY}\n\n{KEY}")).open(),
        lambda: RealtimeSession(OpenAI(api_key=lambda: "")).open(),
    ]
    for make in wrong:
        caught(evidence, ConfigurationError, make)
    (tmp_path / ".env").write_text(
        f"OPENAI_API_KEY={SECRETS['key of the environment']}\n{KEY}\n{KEY} = = x\nOTHER={KEY}\nRTSYNC_TARGET=openai\n"
    )
    monkeypatch.chdir(tmp_path)
    target = target_from_env()
    show_target(evidence, target)
    evidence.error(_pickled_elsewhere(target, monkeypatch))


def _pickled_elsewhere(target: Target, monkeypatch: pytest.MonkeyPatch) -> BaseException:
    import pickle

    pickled = pickle.dumps(target)
    assert not sightings(pickled.decode("latin-1"))
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigurationError) as raised:
        RealtimeSession(pickle.loads(pickled)).open()
    return raised.value


# -- the simulator -------------------------------------------------------------------------------------------------


def test_the_simulator(evidence: Evidence) -> None:
    def brain(turn: Any) -> Iterator[str]:
        yield CONTENT["answer"]
        if len(turn.items) > 1:
            raise BrainFailed("The brain is tired.")

    with SimulatorServer(pace=False, brain=brain, api_keys=[SECRETS["server key"]]) as server:
        evidence.show(server)
        for key in (KEY, SECRETS["server key"] + "x"):
            for target in (OpenAI(api_key=key, base_url=server.openai_url), Azure(server.http_url, "d", api_key=key)):
                caught(evidence, AuthenticationFailed, RealtimeSession(target).open)
            call = Call(OpenAI(api_key=key, base_url=server.openai_url), "rtc_1")
            caught(evidence, AuthenticationFailed, call.hangup)
        target = OpenAI(api_key=SECRETS["server key"], base_url=server.openai_url)
        with RealtimeSession(target, config={"instructions": CONTENT["instructions"]}) as session:
            evidence.show(session.ask(CONTENT["question"], output_modalities=["text"], timeout=LIMIT))
            caught(evidence, ResponseFailed, session.ask, CONTENT["question"], timeout=LIMIT)
            caught(evidence, ServerError, session.update, instructions=[CONTENT["instructions"]])
            evidence.show(session.conversation, *session.conversation.items)
        evidence.show(create_client_secret(target, session={"instructions": CONTENT["instructions"]}))
    with RealtimeSession(Simulator(pace=False)) as session:
        evidence.show(session.ask(CONTENT["question"], timeout=LIMIT), session)


# -- a process of its own ------------------------------------------------------------------------------------------

_PROGRAM = """
import logging, sys, warnings
warnings.simplefilter("always")
logging.basicConfig(level=1, stream=sys.stderr)
import os, rtsync
from rtsync import OpenAI, RealtimeSession
key, question, base_url = os.environ["RTSYNC_TEST_KEY"], os.environ["RTSYNC_TEST_QUESTION"], sys.argv[1]
kept = RealtimeSession(OpenAI(api_key=key, base_url=base_url)).open()
dropped = RealtimeSession(OpenAI(api_key=key, base_url=base_url)).open()
for session in (kept, dropped):
    session.on("*", lambda session, event: print(event))
    session.ask(question)
del session, dropped
print(kept, kept.conversation)
kept.update(nonsense=question)
kept.add_item({"type": "message", "role": "user", "id": "refused", "content": []})
kept.wait_for("never", timeout=0.1)
"""


def test_a_program_that_ends_by_an_exception_with_a_session_open(evidence: Evidence) -> None:
    with ScriptedServer(talkative) as server:
        ended = subprocess.run(
            [sys.executable, "-X", "dev", "-c", _PROGRAM, f"{server.http_url}/v1"],
            capture_output=True,
            timeout=LIMIT,
            cwd=PROJECT,
            env={**os.environ, "RTSYNC_TEST_KEY": KEY, "RTSYNC_TEST_QUESTION": CONTENT["question"]},
        )
    evidence.note("stdout of a program", ended.stdout.decode())
    evidence.note("stderr of a program", ended.stderr.decode())
    assert ended.returncode == 1
    assert b"Event[response.done]" in ended.stdout
    assert b"was dropped while open" in ended.stderr
    assert b"Traceback" in ended.stderr


# -- the search itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SECRETS, *CONTENT])
def test_a_canary_is_found_in_every_form(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    text = {**SECRETS, **CONTENT}[name]
    encoded = [base64.b64encode(before + text.encode() + b".").decode() for before in (b"", b"x", b"xy")]
    for written in (text, f"a {text}b", json.dumps(text), *encoded, text[::-1], text[5:16], text.encode().hex()):
        with Evidence(capfd) as found:
            logging.getLogger("any").debug("it says %s", written)
        assert any(name in leak for leak in found.leaks()), written


def test_a_leak_is_found_wherever_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with Evidence(capfd) as found:
        print(f"out {KEY}")
        print(f"err {KEY}", file=sys.stderr)
        try:
            try:
                raise ValueError(KEY)
            except ValueError:
                raise ServerError("harmless", code=KEY) from None
        except ServerError as error:
            found.error(error)
        found.show({"a": PCM})
    places = {leak.partition(" in ")[2].partition(":")[0] for leak in found.leaks()}
    expected = {"stdout", "stderr", "text of ValueError", "attributes of ServerError", "pickle of ServerError"}
    assert expected | {"repr of dict"} <= places


def test_a_forged_line_is_found(capfd: pytest.CaptureFixture[str]) -> None:
    with Evidence(capfd) as found:
        logging.getLogger("rtsync.any").debug("two\nlines")
    assert found.leaks() == ["not one line of printable text: 'two\\nlines'"]
