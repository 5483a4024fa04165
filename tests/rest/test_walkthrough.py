"""A phone call from the webhook to the end, with the same port for REST and the WebSocket, as at the service."""

from __future__ import annotations

import time

from rtsync.pure.webhook import IncomingCall, verify_webhook
from rtsync.session.calls import Call
from rtsync.vocabulary.targets import OpenAI
from tests.loopback import Peer, RecordingProxy, ScriptedServer, realtime_greeting
from tests.rest.test_webhooks import BODY, SECRET, sign


def _service(peer: Peer) -> None:
    if peer.read_request().method == "POST":
        peer.refuse(200, "OK")
        return
    realtime_greeting(peer)
    assert peer.recv_json()["type"] == "response.create"
    peer.send_json(
        {"type": "response.done", "event_id": "event_2", "response": {"id": "resp_1", "status": "completed"}}
    )
    peer.expect_close()


def test_a_call_is_announced_accepted_joined_and_ended() -> None:
    with ScriptedServer(_service) as server:
        event = verify_webhook(BODY, sign(BODY, sent=int(time.time())), SECRET)
        assert isinstance(event, IncomingCall)
        call = Call(OpenAI(base_url=f"{server.http_url}/v1", api_key="sk-1"), event.call_id)
        call.accept(instructions="Be brief.")
        with call.session() as session:
            session.send({"type": "response.create"})
            assert session.wait_for("response.done", timeout=30).response.id == "resp_1"
        call.hangup()
    assert [(peer.request.method, peer.request.path) for peer in server.peers] == [
        ("POST", "/v1/realtime/calls/rtc_1/accept"),
        ("GET", "/v1/realtime?call_id=rtc_1"),
        ("POST", "/v1/realtime/calls/rtc_1/hangup"),
    ]
    assert {peer.request.headers["authorization"] for peer in server.peers} == {"Bearer sk-1"}


def test_the_session_beside_a_call_takes_the_calls_way(
    greeting_server: ScriptedServer, recording_proxy: RecordingProxy
) -> None:
    target = OpenAI(base_url=f"{greeting_server.http_url}/v1", api_key="sk-1")
    with Call(target, "rtc_1", proxy=recording_proxy.http_url).session():
        assert recording_proxy.targets == [greeting_server.authority]
    with Call(target, "rtc_1", proxy=recording_proxy.http_url).session(proxy=False):
        assert len(recording_proxy.targets) == 1
