"""What is repeated, for how long, and which exception a failure becomes."""

from __future__ import annotations

import contextlib
import email.utils
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rtsync.edges.rest import Reply, post
from rtsync.session.calls import Call
from rtsync.session.client_secret import create_client_secret
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectFailed,
    ConnectTimeout,
    ProtocolError,
    RateLimited,
    RealtimeError,
    RedirectRefused,
    ServerError,
)
from rtsync.vocabulary.targets import Azure, OpenAI
from tests.loopback import Certificates, Peer, RecordingProxy, ScriptedServer, reserved_port
from tests.rest.recorder import SECRET_ANSWER, Answer, Recorder

KEY = "sk-test-key-0123456789"
BUSY = Answer(503, "busy", {"Retry-After": "0"})
OK = Answer(200, {"fine": True})


def _post(url: str, *, timeout: float = 30.0, sleeps: list[float] | None = None, **options: Any) -> Reply:
    """A request whose waits are only written down."""
    target = OpenAI(base_url=f"{url}/v1", api_key=KEY)
    waited = [] if sleeps is None else sleeps
    return post(target, f"{url}/v1/x", {"a": 1}, timeout=timeout, sleep=waited.append, **options)


def _call(url: str, **options: Any) -> Call:
    return Call(OpenAI(base_url=f"{url}/v1", api_key=KEY), "rtc_1", **options)


# -- repeated ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_says_later_is_asked_again(status: int) -> None:
    sleeps: list[float] = []
    with Recorder(Answer(status), Answer(status), OK) as server:
        assert _post(server.url, sleeps=sleeps).fields() == {"fine": True}
    assert [request.json for request in server.requests] == [{"a": 1}] * 3
    assert sleeps == [0.5, 1.0]


def test_the_service_names_the_wait() -> None:
    sleeps: list[float] = []
    with Recorder(
        Answer(429, headers={"Retry-After": "7"}), Answer(503, headers={"Retry-After-Ms": "1500"}), OK
    ) as server:
        _post(server.url, sleeps=sleeps)
    assert sleeps == [7.0, 1.5]


def test_a_date_is_a_wait_too() -> None:
    sleeps: list[float] = []
    when = email.utils.formatdate(time.time() + 20, usegmt=True)
    with Recorder(Answer(503, headers={"Retry-After": when}), OK) as server:
        _post(server.url, sleeps=sleeps)
    assert len(sleeps) == 1
    assert 5 < sleeps[0] <= 20


@pytest.mark.parametrize("nonsense", ["soon", "nan", "inf", "1e999", "Mon, 99 Foo 2026", "\xa0"])
def test_a_wait_that_makes_no_sense_is_ours_to_choose(nonsense: str) -> None:
    sleeps: list[float] = []
    with Recorder(Answer(503, headers={"Retry-After": nonsense}), OK) as server:
        _post(server.url, sleeps=sleeps)
    assert sleeps == [0.5]


def test_through_the_public_face_a_wait_of_nothing_takes_no_time() -> None:
    with Recorder(BUSY, BUSY, Answer(200, SECRET_ANSWER)) as server:
        assert create_client_secret(OpenAI(base_url=server.url, api_key=KEY)).value == SECRET_ANSWER["value"]
    assert len(server.requests) == 3


def test_after_three_attempts_the_refusal_is_raised() -> None:
    with Recorder(BUSY) as server, pytest.raises(ConnectFailed) as caught:
        _call(server.url).hangup()
    assert len(server.requests) == 3
    assert (caught.value.status, caught.value.phase, caught.value.retry_after) == (503, "rest", 0.0)


def test_every_attempt_asks_the_credential_anew() -> None:
    tokens = iter(["first", "second", "third"])
    with Recorder(BUSY, BUSY, OK) as server:
        Call(Azure(server.url, "d", credential=lambda: next(tokens)), "rtc_1").hangup()
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer first", "Bearer second", "Bearer third"]


def test_a_key_that_becomes_a_token_does_not_stay_beside_it() -> None:
    answers = iter(["a-key", "eyJ.a.b"])
    with Recorder(BUSY, OK) as server:
        Call(Azure(server.url, "d", api_key=lambda: next(answers)), "rtc_1").hangup()
    first, second = (request.headers for request in server.requests)
    assert (first["api-key"], first.get("authorization")) == ("a-key", None)
    assert (second.get("api-key"), second["authorization"]) == (None, "Bearer eyJ.a.b")


def test_a_server_that_comes_up_in_time_is_reached() -> None:
    waits: list[float] = []
    with reserved_port() as port, contextlib.ExitStack() as later:

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                later.enter_context(Recorder(OK, port=port))

        target = OpenAI(base_url=f"http://127.0.0.1:{port}", api_key=KEY)
        post(target, f"http://127.0.0.1:{port}/v1/x", None, timeout=30, sleep=sleep)
    assert waits == [0.5, 1.0]


def test_a_refused_connection_is_tried_three_times_and_says_so() -> None:
    with Recorder() as server:
        url = server.url
    sleeps: list[float] = []
    with pytest.raises(ConnectFailed, match="cannot connect") as caught:
        _post(url, sleeps=sleeps)
    assert sleeps == [0.5, 1.0]
    assert caught.value.phase == "tcp"
    assert caught.value.__suppress_context__


# -- not repeated --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 501])
def test_what_says_no_is_not_asked_again_whatever_it_says_of_later(status: int) -> None:
    with Recorder(Answer(status, headers={"Retry-After": "0"}), OK) as server, pytest.raises(RealtimeError):
        _post(server.url)
    assert len(server.requests) == 1


def test_the_service_may_say_that_asking_again_is_no_use() -> None:
    with Recorder(Answer(429, headers={"x-should-retry": "false"}), OK) as server, pytest.raises(RateLimited):
        _post(server.url)
    assert len(server.requests) == 1


def test_a_wait_beyond_the_timeout_is_not_begun() -> None:
    sleeps: list[float] = []
    answer = Answer(429, {"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}, {"Retry-After": "3600"})
    with Recorder(answer, OK) as server, pytest.raises(RateLimited, match="Slow down") as caught:
        _post(server.url, timeout=30, sleeps=sleeps)
    assert sleeps == []
    assert len(server.requests) == 1
    assert (caught.value.retry_after, caught.value.code, caught.value.status) == (3600.0, "rate_limit_exceeded", 429)


def test_our_own_waits_end_with_the_timeout_too() -> None:
    sleeps: list[float] = []
    with Recorder(Answer(503)) as server, pytest.raises(ConnectFailed) as caught:
        _post(server.url, timeout=0.9, sleeps=sleeps)
    assert sleeps == [0.5]
    assert caught.value.status == 503


def test_a_request_that_was_sent_and_not_answered_is_not_repeated() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.drop()

    with ScriptedServer(script) as server, pytest.raises(ConnectFailed, match="may have been carried out") as caught:
        _call(server.http_url).hangup()
    assert caught.value.phase == "rest"
    assert server.connections == 1


# -- what a refusal becomes ----------------------------------------------------------------------------------------


def _error(**fields: object) -> dict[str, object]:
    return {"error": {"message": "So it is", "type": "invalid_request_error", "param": None, "code": None, **fields}}


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (Answer(401, _error(code="invalid_api_key")), AuthenticationFailed, "invalid_api_key"),
        (Answer(401, {"error": {"code": "401", "message": "Access denied"}}), AuthenticationFailed, "401"),
        (Answer(403, _error(code="unsupported_country")), AuthenticationFailed, "unsupported_country"),
        (Answer(403, "<html>blocked</html>"), AuthenticationFailed, None),
        (Answer(429, _error(code="insufficient_quota")), RateLimited, "insufficient_quota"),
        (Answer(500, _error(code="oops")), ConnectFailed, "oops"),
        (Answer(408, _error(code="slow")), ConnectFailed, "slow"),
        (Answer(502, "<html>Bad gateway</html>"), ConnectFailed, None),
        (Answer(404, "<html>nothing here</html>"), ConnectFailed, None),
        (Answer(404, {"statusCode": 404, "message": "Resource not found"}), ConnectFailed, None),
        (Answer(404, {"error": "not found"}), ConnectFailed, None),
        (Answer(400, [1, 2]), ConnectFailed, None),
        (Answer(400, "\udcff".encode("utf-8", "surrogatepass").decode("latin-1")), ConnectFailed, None),
    ],
    ids=lambda value: f"{value.status}" if isinstance(value, Answer) else None,
)
def test_a_refusal_has_its_kind_status_and_code(answer: Answer, kind: type[ConnectFailed], code: str | None) -> None:
    answer.headers.update({"X-Request-Id": "req_7", "Set-Cookie": "__cf_bm=1", "x-should-retry": "false"})
    with Recorder(answer) as server, pytest.raises(ConnectFailed) as caught:
        _call(server.url).hangup()
    error = caught.value
    assert type(error) is kind
    assert (error.phase, error.status, error.code, error.request_id) == ("rest", answer.status, code, "req_7")
    assert "set-cookie" not in error.headers
    assert f"POST /v1/realtime/calls/rtc_1/hangup: HTTP {answer.status}" in str(error)
    assert "req_7" in str(error)


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_where_the_service_explains_itself_it_is_a_server_error(status: int) -> None:
    body = _error(code="unknown_parameter", param="session.bogus", message="Unknown parameter: 'session.bogus'.")
    with Recorder(Answer(status, body, {"apim-request-id": "r-1"})) as server, pytest.raises(ServerError) as caught:
        create_client_secret(Azure(server.url, "d", api_key=KEY), session={"bogus": 1})
    error = caught.value
    assert (error.type, error.code, error.param) == ("invalid_request_error", "unknown_parameter", "session.bogus")
    assert error.request == "POST /openai/v1/realtime/client_secrets"
    assert "Unknown parameter: 'session.bogus'" in str(error)
    assert f"HTTP {status}" in str(error)
    assert "r-1" in str(error)
    assert pickle.loads(pickle.dumps(error)).code == "unknown_parameter"


def test_an_error_of_odd_types_is_read_as_far_as_it_goes() -> None:
    body = {"error": {"message": ["x"], "type": {}, "code": 42, "param": "line\nbreak" + "x" * 5000}}
    with Recorder(Answer(400, body)) as server, pytest.raises(ServerError) as caught:
        _call(server.url).reject()
    assert (caught.value.type, caught.value.code) == (None, "42")
    assert caught.value.param is not None
    assert len(caught.value.param) < 400
    assert "\n" not in caught.value.param


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_nothing_goes_there(status: int) -> None:
    with Recorder() as elsewhere, Recorder(Answer(status, headers={"Location": f"{elsewhere.url}/x?k=1"})) as server:
        with pytest.raises(RedirectRefused) as caught:
            _call(server.url).hangup()
        assert elsewhere.requests == []
    assert len(server.requests) == 1
    assert (caught.value.status, caught.value.phase) == (status, "rest")
    assert f"{elsewhere.url}/x" in str(caught.value)
    assert "k=1" not in str(caught.value)


@pytest.mark.parametrize(
    "body", ["", "ek_1", "[]", "{}", "null", '{"value": ""}', '{"value": 7}', '{"client_secret": "ek"}', "{" * 10_000]
)
def test_an_answer_without_a_secret_is_a_protocol_error(body: str) -> None:
    with Recorder(Answer(200, body)) as server, pytest.raises(ProtocolError):
        create_client_secret(OpenAI(base_url=server.url, api_key=KEY))


def test_fields_around_a_secret_may_be_odd() -> None:
    with Recorder(Answer(200, {"value": "ek_1", "expires_at": "soon", "session": None})) as server:
        secret = create_client_secret(OpenAI(base_url=server.url, api_key=KEY))
    assert (secret.value, secret.expires_at, dict(secret.session)) == ("ek_1", None, {})


def test_the_body_of_an_accepted_call_is_not_looked_at() -> None:
    with Recorder(Answer(200, "whatever")) as server:
        _call(server.url).accept()
    assert len(server.requests) == 1


# -- servers at their worst ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\0" * 100, b"HTTP/1.1 99 \r\n\r\n"]
)
def test_what_is_no_http_server_is_named(garbage: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_raw(garbage)

    with ScriptedServer(script) as server, pytest.raises(ConnectFailed) as caught:
        _call(server.http_url).hangup()
    assert caught.value.phase == "rest"
    assert caught.value.status is None


def test_a_head_without_end_is_given_up() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        with_headers = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(1000))
        peer.send_raw(with_headers)

    with ScriptedServer(script) as server, pytest.raises(ConnectFailed) as caught:
        _call(server.http_url).hangup()
    assert caught.value.phase == "rest"


def _mute(peer: Peer) -> None:
    peer.read_request()
    peer.wait_until_released()


def _mute_after_the_head(peer: Peer) -> None:
    peer.read_request()
    peer.send_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    peer.wait_until_released()


def _endless_line(peer: Peer) -> None:
    peer.read_request()
    peer.send_raw(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        peer.send_raw(b"x" * 1000)


def _endless_promise(peer: Peer) -> None:
    peer.read_request()
    while True:
        peer.send_raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000)


@pytest.mark.parametrize("script", [_mute, _mute_after_the_head])
def test_a_mute_server_costs_no_more_than_the_timeout(script: Any) -> None:
    with ScriptedServer(script) as server, pytest.raises(ConnectTimeout, match="may have been carried out") as caught:
        _call(server.http_url).hangup(timeout=0.3)
    assert caught.value.phase == "rest"
    assert server.connections == 1


@pytest.mark.parametrize("script", [_endless_line, _endless_promise])
def test_a_server_that_never_stops_talking_is_given_up(script: Any) -> None:
    with ScriptedServer(script) as server, pytest.raises(ConnectFailed) as caught:
        _call(server.http_url).hangup(timeout=0.5)
    assert caught.value.phase == "rest"


def test_a_server_that_drips_costs_no_more_than_the_timeout() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        pace = threading.Event()
        while not pace.wait(0.01):  # Until the client goes, which ends a script.
            peer.send_raw(b"H")

    with ScriptedServer(script) as server, pytest.raises(ConnectTimeout):
        _call(server.http_url).hangup(timeout=0.5)


def test_a_refusal_that_keeps_its_body_back_is_known_all_the_same() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n{")
        peer.wait_until_released()

    with ScriptedServer(script) as server, pytest.raises(ConnectFailed) as caught:
        _call(server.http_url).hangup()
    assert caught.value.status == 404


def test_chunks_and_broken_bodies_are_read_as_far_as_they_go() -> None:
    def script(peer: Peer) -> None:
        if peer.number == 1:
            peer.refuse(400, "Bad Request", body='{"error": {"message": "So it is", "code": "c"}}', chunked=True)
        else:
            peer.read_request()
            peer.send_raw(b'HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n{"error":')

    with ScriptedServer(script) as server:
        with pytest.raises(ServerError, match="So it is"):
            _call(server.http_url).hangup()
        with pytest.raises(ConnectFailed) as caught:
            _call(server.http_url).hangup()
    assert caught.value.status == 400


def test_an_address_that_never_answers_costs_no_more_than_the_timeout(blackhole_address: tuple[str, int]) -> None:
    host, port = blackhole_address
    with pytest.raises(ConnectTimeout) as caught:
        _call(f"http://{host}:{port}").hangup(timeout=0.3)
    assert caught.value.phase == "tcp"


def test_a_credential_that_fails_is_not_asked_again() -> None:
    asked: list[int] = []

    def token() -> str:
        asked.append(1)
        raise OSError("metadata service unreachable")

    with Recorder() as server, pytest.raises(AuthenticationFailed, match="metadata service") as caught:
        Call(Azure(server.url, "d", credential=token), "rtc_1").hangup()
    assert (caught.value.phase, len(asked), server.requests) == ("credential", 1, [])


def test_a_credential_that_takes_too_long_ends_the_request() -> None:
    def token() -> str:
        threading.Event().wait(0.2)
        return "token"

    with Recorder() as server, pytest.raises(ConnectTimeout, match=r"longer than the timeout of 0\.1 s") as caught:
        Call(Azure(server.url, "d", credential=token), "rtc_1").hangup(timeout=0.1)
    assert caught.value.phase == "credential"
    assert server.requests == []


def test_a_credential_that_breaks_a_header_is_named_and_not_shown() -> None:
    with Recorder() as server, pytest.raises(ConfigurationError) as caught:
        Call(OpenAI(base_url=server.url, api_key=lambda: "sk-1\nX-Evil: 1"), "rtc_1").hangup()
    assert "Evil" not in str(caught.value)
    assert server.requests == []


# -- TLS and proxies are the session's -----------------------------------------------------------------------------


def test_tls_trusts_whom_it_is_told_to(certificates: Certificates) -> None:
    with Recorder(tls=certificates.server_context()) as server:
        _call(server.url, tls=certificates.ca_file).hangup()
        _call(server.url, tls=certificates.client_context()).reject()
        with pytest.raises(ConnectFailed, match="not trusted") as caught:
            _call(server.url).hangup()
    assert caught.value.phase == "tls"
    assert len(server.requests) == 2


def test_a_proxy_is_used_where_one_is_named(recording_proxy: RecordingProxy) -> None:
    with Recorder(Answer(200, SECRET_ANSWER)) as server:
        _call(server.url, proxy=recording_proxy.http_url).hangup()
        create_client_secret(OpenAI(base_url=server.url, api_key=KEY), proxy=recording_proxy.http_url)
    assert recording_proxy.targets == [server.authority] * 2
    assert all("authorization" not in request.headers for request in recording_proxy.requests)


def test_a_proxy_that_refuses_is_named_and_not_asked_again() -> None:
    wants = RecordingProxy(credentials=("user", "word"))
    with wants as proxy, Recorder() as server, pytest.raises(ConnectFailed) as caught:
        _call(server.url, proxy=proxy.http_url).hangup()
    assert (caught.value.phase, caught.value.status, len(proxy.requests)) == ("proxy", 407, 1)


def test_the_environments_proxy_is_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Recorder() as server:
        _call(server.url).hangup()
    assert len(server.requests) == 1


def test_a_netrc_does_not_replace_the_credential(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with Recorder() as server:
        _call(server.url).hangup()
    assert server.one.headers["authorization"] == f"Bearer {KEY}"
