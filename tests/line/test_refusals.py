"""The upgrade refused, redirected or answered with nonsense, and what of it reaches the program."""

from __future__ import annotations

import email.utils
import json
import logging
import pickle
import time
from collections.abc import Iterable

import pytest

from rtsync.edges.transport import Line
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    CloseCause,
    ConfigurationError,
    ConnectFailed,
    ConnectTimeout,
    RateLimited,
    RedirectRefused,
)
from rtsync.vocabulary.foreign import redact
from tests.line.recorder import RecordedLine, ending_of, failure_of, serve
from tests.loopback import LIMIT, TEXT, Certificates, Peer, ScriptedServer, frame

SECRET = "sk-proj-Zq7vN3+x/A9=Mnb.42"
HEADERS = {"Authorization": f"Bearer {SECRET}", "api-key": "azure-" + SECRET}


def refusal(
    status: int,
    reason: str = "Refused",
    headers: Iterable[tuple[str, str]] = (),
    body: str | bytes = "",
    *,
    chunked: bool = False,
    tls: Certificates | None = None,
) -> ConnectFailed:
    """What a line fails with at a server that answers so."""
    server, options = serve(lambda peer: peer.refuse(status, reason, headers, body, chunked=chunked), tls)
    with server:
        failure = failure_of(server.url, HEADERS, **options)
        assert server.connections == 1
    assert isinstance(failure, ConnectFailed)
    return failure


OPENAI_BODY = json.dumps(
    {"error": {"message": "You did so\nand so.", "type": "invalid_request_error", "param": None, "code": "bad_thing"}}
)
AZURE_BODY = json.dumps({"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}})
GATEWAY_BODY = json.dumps({"statusCode": 401, "message": "Access denied due to missing subscription key."})


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, ConnectFailed),
        (400, ConnectFailed),
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (404, ConnectFailed),
        (426, ConnectFailed),
        (429, RateLimited),
        (500, ConnectFailed),
        (503, ConnectFailed),
    ],
)
def test_a_refusal_says_status_code_and_message(status: int, kind: type[ConnectFailed], chunked: bool) -> None:
    failure = refusal(status, "Because", [("X-Request-Id", "req_1")], OPENAI_BODY, chunked=chunked)
    assert type(failure) is kind
    assert (failure.phase, failure.status, failure.code) == ("upgrade", status, "bad_thing")
    assert f"HTTP {status} Because. You did so and so" in str(failure)
    assert failure.request_id == "req_1"
    assert failure.headers["x-request-id"] == "req_1"


def test_a_refusal_over_tls_is_read_in_the_same_way(certificates: Certificates) -> None:
    failure = refusal(404, "Not Found", [("apim-request-id", "a-1")], AZURE_BODY, chunked=True, tls=certificates)
    assert (failure.status, failure.code, failure.request_id) == (404, "DeploymentNotFound", "a-1")
    assert "The API deployment does not exist" in str(failure)


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (AZURE_BODY, "DeploymentNotFound", "The API deployment does not exist"),
        (GATEWAY_BODY, None, "Access denied due to missing subscription key"),
        ('{"error": "model_not_found"}', "model_not_found", "HTTP 400 Bad"),
        ('{"error": {"code": 7, "message": ["not", "text"]}}', "7", "HTTP 400 Bad"),
        ("upstream connect error", None, "upstream connect error"),
        ("a\x1b[31m\r\nb\x07", None, "a [31m b"),
        ("<html><body>502</body></html>", None, "HTTP 400 Bad"),
        ("x" * 5000, None, "x" * 300 + "…"),
        ("\xff\xfe", None, "HTTP 400 Bad"),
        ("[" * 60_000, None, "HTTP 400 Bad"),
        ("[1, 2]", None, "HTTP 400 Bad"),
        ("null", None, "HTTP 400 Bad"),
        ("", None, "HTTP 400 Bad"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_whatever_the_body_is_the_refusal_stays_readable(
    body: str, code: str | None, words: str, chunked: bool
) -> None:
    failure = refusal(400, "Bad", body=body.encode("latin-1"), chunked=chunked)
    assert failure.code == code
    assert words in str(failure)
    assert str(failure).isprintable()
    assert len(str(failure)) < 500
    assert "<html" not in str(failure)


@pytest.mark.parametrize(
    ("rest", "ends"),
    [
        (b"Content-Length: 1000\r\n\r\nno quota", False),
        (b"Content-Length: 1000\r\n\r\nno quota", True),
        (b"Transfer-Encoding: chunked\r\n\r\n8\r\nno quota\r\n", False),
        (b"Transfer-Encoding: chunked\r\n\r\n400\r\nno quota", True),
        (b"\r\nno quota", True),
    ],
)
def test_a_body_that_breaks_off_or_stalls_does_not_hold_the_refusal_back(rest: bytes, ends: bool) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_raw(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\n" + rest)
        if not ends:
            peer.wait_until_released()

    with ScriptedServer(script) as server:
        began = time.monotonic()
        failure = failure_of(server.url, connect_timeout=20.0)
        assert time.monotonic() - began < 15
    assert isinstance(failure, RateLimited)
    assert failure.retry_after == 3
    assert "no quota" in str(failure)


def test_a_body_without_end_is_not_read_to_its_end() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_raw(b"HTTP/1.1 500 Oops\r\n\r\n")
        while True:
            peer.send_raw(b"x" * 10_000)

    with ScriptedServer(script) as server, RecordedLine(server.url) as client:
        failure = client.wait_ending().error
        assert isinstance(failure, ConnectFailed)
        assert failure.status == 500
        assert client.line.counters[0] < 1 << 20


@pytest.mark.parametrize("name", ["X-Request-ID", "apim-request-id", "x-ms-request-id", "CF-Ray"])
def test_the_request_id_is_found_under_each_of_its_names(name: str) -> None:
    assert refusal(500, headers=[(name, "id-1")]).request_id == "id-1"


def test_the_request_id_of_the_service_beats_that_of_what_stands_before_it() -> None:
    headers = [("cf-ray", "ray"), ("apim-request-id", "apim"), ("x-request-id", "req")]
    assert refusal(500, headers=headers).request_id == "req"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_nothing(status: int, value: str, seconds: float | None) -> None:
    assert refusal(status, headers=[("Retry-After", value)]).retry_after == seconds


def test_retry_after_as_a_date_is_the_seconds_until_then() -> None:
    when = email.utils.formatdate(time.time() + 90, usegmt=True)
    seconds = refusal(429, headers=[("Retry-After", when)]).retry_after
    assert seconds is not None
    assert 40 < seconds <= 90


def test_without_retry_after_there_is_none() -> None:
    assert refusal(429).retry_after is None


# -- redirects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("down", [False, True])
def test_no_redirect_is_followed(status: int, down: bool, certificates: Certificates) -> None:
    def redirect(peer: Peer) -> None:
        peer.refuse(status, "Elsewhere", [("Location", f"{second.url}/v1?token=in-query")], "moved")

    with ScriptedServer(Peer.accept) as second:
        first, options = serve(redirect, certificates if down else None)
        with first:
            failure = failure_of(first.url, HEADERS, **options)
            assert first.connections == 1
        assert second.connections == 0
    assert isinstance(failure, RedirectRefused)
    assert (failure.status, failure.phase) == (status, "upgrade")
    assert second.authority in str(failure)
    assert "in-query" not in str(failure)
    assert failure.headers["location"].startswith(second.url)


def test_a_redirect_to_nowhere_is_refused_too() -> None:
    failure = refusal(302)
    assert isinstance(failure, RedirectRefused)
    assert "nowhere" in str(failure)


# -- secrets ----------------------------------------------------------------------------------------------------------


ECHOES = {
    "plain body": ([], f"bad key {SECRET}"),
    "json": ([], json.dumps({"error": {"code": SECRET, "message": f"the key {SECRET} is bad"}})),
    "escaped json": ([], json.dumps({"error": {"message": "".join(f"\\u{ord(c):04x}" for c in SECRET)}})),
    "at the cut": ([], "y" * 290 + SECRET),
    "json at the cut": ([], json.dumps({"error": {"message": "y" * 290 + SECRET}})),
    "whole header": ([], f"got Authorization: Bearer {SECRET}, api-key: azure-{SECRET}"),
    "headers": ([("X-Debug", SECRET), ("X-Request-Id", SECRET), ("Set-Cookie", f"key={SECRET}")], ""),
    "reason": ([], ""),
    "location": ([("Location", f"https://evil.example.test/{SECRET}/x#{SECRET}")], ""),
    "location at the cut": ([("Location", f"https://evil.example.test/{'y' * 165}{SECRET}")], ""),
}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("echo", ECHOES)
def test_a_secret_that_the_server_echoes_is_shown_nowhere(
    echo: str, chunked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers, body = ECHOES[echo]
    body = body.replace("\\\\u", "\\u")
    reason = f"No {SECRET}" if echo == "reason" else "No"
    failure = refusal(302 if "location" in echo else 401, reason, headers, body, chunked=chunked)
    shown = [str(failure), repr(failure), repr(failure.args), repr(vars(failure)), repr(failure.__cause__), caplog.text]
    for text in [*shown, repr(pickle.dumps(failure))]:
        assert SECRET not in text
        assert SECRET[:6] not in text


def test_a_line_and_its_ending_show_no_secret() -> None:
    with (
        ScriptedServer(lambda peer: peer.refuse(401, "No", body=SECRET)) as server,
        RecordedLine(server.url, HEADERS) as client,
    ):
        ending = client.wait_ending()
        assert SECRET not in repr(ending) + repr(client.line) + str(ending.error)


def test_redacting_leaves_no_rest_where_one_secret_begins_another() -> None:
    assert redact("see abcdefgh!", ("abcd", "abcdefgh")) == "see ***!"
    assert redact("see abcdefgh!", ("abcdefgh", "abcd")) == "see ***!"


def test_a_cookie_of_one_line_is_never_sent_by_another() -> None:
    def script(peer: Peer) -> None:
        peer.accept([("Set-Cookie", "who=alice; Domain=localhost; Path=/"), ("Set-Cookie", "bare=1")])
        peer.expect_close()

    with ScriptedServer(script) as server:
        for _ in range(2):
            for host in ("localhost", "127.0.0.1"):
                with RecordedLine(f"ws://{host}:{server.port}/") as client:
                    client.wait_open()
                    assert "set-cookie" not in client.line.response_headers
                    client.line.close()
        assert server.connections == 4
        for peer in server.peers:
            assert "cookie" not in peer.request.headers


# -- headers of ours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["\n", "\r\n", "\r", "\0", "\r\nX-Injected: 1", "\u20ac", "\ud800"])
@pytest.mark.parametrize("where", ["value", "name"])
def test_a_header_that_breaks_out_is_refused_before_anything_is_sent(bad: str, where: str) -> None:
    header = {"api-key": SECRET + bad} if where == "value" else {"x" + bad + "y": "1"}
    with ScriptedServer(Peer.read_request) as server, RecordedLine(server.url, header) as client:
        failure = client.wait_ending().error
        assert isinstance(failure, ConfigurationError)
        assert SECRET not in str(failure)
        assert client.line.counters == (0, 0)


def test_headers_are_asked_for_at_each_connect_in_the_reader() -> None:
    with ScriptedServer(lambda peer: peer.refuse(401, "No")) as server:
        for number in range(2):
            failure_of(server.url, lambda number=number: {"X-Number": str(number)})
        assert [peer.request.headers["x-number"] for peer in server.peers] == ["0", "1"]


def test_a_credential_that_fails_is_the_reason_that_is_given() -> None:
    def no_token() -> dict[str, str]:
        raise ConfigurationError("no token today")

    with ScriptedServer(Peer.read_request) as server:
        with RecordedLine(server.url, no_token) as client:
            ending = client.wait_ending()
            assert str(ending.error) == "no token today"
            assert client.line.phase == "credential"
        assert server.connections == 0


def test_a_credential_that_takes_too_long_is_named_as_the_cause() -> None:
    def slow() -> dict[str, str]:
        deadline = time.monotonic() + 0.2
        while time.monotonic() < deadline:
            pass
        return {}

    with ScriptedServer(Peer.read_request) as server:
        failure = failure_of(server.url, slow, connect_timeout=0.1)
        assert isinstance(failure, ConnectTimeout)
        assert failure.phase == "credential"
        assert server.connections == 0


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("", "/"),
        ("?a=b", "/?a=b"),
        ("/openai/v1/realtime?model=a b", "/openai/v1/realtime?model=a%20b"),
        ("/x?model=größe&y=%20%2F", "/x?model=gr%C3%B6%C3%9Fe&y=%20%2F"),
        ("/x#fragment", "/x"),
    ],
)
def test_the_request_line_is_well_formed(path: str, sent: str) -> None:
    with ScriptedServer(Peer.accept) as server:
        ending_of(server.url + path)
        assert server.peers[0].request.path == sent
        assert server.peers[0].request.headers["host"] == server.authority


@pytest.mark.parametrize(
    "url", ["http://x.test/", "ws://", "ws:///x", "ws://h:99999/", "ws://h:port/", "ws://[::1/", ""]
)
def test_what_is_no_websocket_url_is_refused_when_the_line_is_made(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not a WebSocket URL"):
        Line(url)


# -- no WebSocket server at all ---------------------------------------------------------------------------------------


def _answer(data: bytes, *, stay: bool = False) -> ScriptedServer:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_raw(data)
        if stay:
            peer.wait_until_released()

    return ScriptedServer(script)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46" * 20,
        b"HTTP/9.9 101 Switching\r\n\r\n",
        b"HTTP/1.1 abc Switching\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
        b"\0" * 1000 + b"\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n",
        b"",
        b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-A: 1\r\n" * 2000 + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nX-Long: " + b"a" * (1 << 20) + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-A: " + b"1" * 20_000 + b"\r\n" * 1 + b"X-B: 2\r\n" * 200_000,
    ],
)
@pytest.mark.parametrize("stay", [False, True])
def test_an_answer_that_is_not_http_is_a_failure_of_the_upgrade(answer: bytes, stay: bool) -> None:
    with _answer(answer, stay=stay) as server:
        waits = stay and not answer.endswith(b"\r\n\r\n") and len(answer) < 1000
        failure = failure_of(server.url, connect_timeout=0.5 if waits else 20.0)
    assert isinstance(failure, ConnectFailed)
    assert failure.phase == "upgrade"
    assert str(failure).isprintable()
    assert len(str(failure)) < 300


def test_a_megabyte_of_headers_is_not_read() -> None:
    with _answer(b"HTTP/1.1 101 X\r\n" + b"X-A: 123456789\r\n" * 70_000) as server, RecordedLine(server.url) as client:
        assert isinstance(client.wait_ending().error, ConnectFailed)
        assert client.line.counters[0] < 1 << 20


@pytest.mark.parametrize("key", ["", "bm90IHRoZSByaWdodCBrZXk="])
def test_a_101_without_the_right_accept_key_is_no_websocket(key: str) -> None:
    with ScriptedServer(lambda peer: peer.accept(accept_key=key)) as server:
        failure = failure_of(server.url)
    assert isinstance(failure, ConnectFailed)
    assert (failure.status, failure.phase) == (101, "upgrade")


def test_a_continue_before_the_101_is_passed_over() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_raw(b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n")
        peer.accept()
        peer.send_text("{}")
        peer.expect_close()

    with ScriptedServer(script) as server, RecordedLine(server.url) as client:
        assert client.wait_messages(1) == [b"{}"]


def test_a_reset_in_the_middle_of_the_101_is_a_failed_connect(tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send_raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgr")
        peer.reset()

    server, options = serve(script, tls)
    with server:
        ending = ending_of(server.url, **options)
    assert isinstance(ending.error, ConnectFailed)
    assert (ending.code, ending.cause, ending.error.phase) == (None, CloseCause.NETWORK, "upgrade")
    assert "ended the connection" in str(ending.error)


def test_a_mute_server_is_given_up_at_the_deadline(tls: Certificates | None) -> None:
    server, options = serve(Peer.wait_until_released, tls)
    with server:
        failure = failure_of(server.url, connect_timeout=0.5, **options)
    assert isinstance(failure, ConnectTimeout)
    assert failure.phase == "upgrade"
    assert "0.5 s" in str(failure)


def test_a_server_that_drips_its_answer_is_given_up_at_the_deadline(tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        peer.accept([("X-Long", "y" * 10_000)], drip=0.02)

    server, options = serve(script, tls)
    with server:
        began = time.monotonic()
        failure = failure_of(server.url, connect_timeout=0.5, **options)
        assert time.monotonic() - began < LIMIT / 3
        server.peers[0].release()
    assert isinstance(failure, ConnectTimeout)
    assert failure.phase == "upgrade"


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 9, None])
def test_frames_that_come_with_the_101_are_not_lost(cut: int | None, tls: Certificates | None) -> None:
    def script(peer: Peer) -> None:
        request = peer.read_request()
        held: list[bytes] = []
        write = peer.wire.write
        peer.wire.write = lambda data, limit=LIMIT: held.append(data)  # type: ignore[method-assign]
        peer.accept()
        del peer.wire.write
        assert request
        frames = frame(TEXT, "one") + frame(TEXT, "x" * 70_000) + frame(TEXT, "three")
        whole = b"".join(held) + frames
        split = len(whole) - len(frames) + cut if cut is not None else len(whole)
        write(whole[:split])
        write(whole[split:])
        peer.expect_close()

    server, options = serve(script, tls)
    with server, RecordedLine(server.url, **options) as client:
        assert client.wait_messages(3) == [b"one", b"x" * 70_000, b"three"]
