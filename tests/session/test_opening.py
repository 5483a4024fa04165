"""`open`: refusals of both styles, silence, interruptions, and using a session once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from rtsync import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectFailed,
    ConnectTimeout,
    OpenAI,
    RateLimited,
    RealtimeSession,
    ServerError,
    SessionClosed,
    Simulator,
    UsageError,
)
from tests.loopback import LIMIT, Peer, ScriptedServer, realtime_greeting
from tests.session.service import Json, conversing, error, session_to, spawn

SHORT = 0.4  # seconds of connect_timeout where it is meant to pass


def refusing(close_code: int, reason: str = "", **fields: Any) -> Callable[[Peer], None]:
    """OpenAI's style: 101, then an error, then a close frame."""

    def script(peer: Peer) -> None:
        peer.accept([("x-request-id", "req_7")])
        if fields:
            peer.send_json(error(**fields))
        peer.close(close_code, reason)
        peer.expect_close(echo=False)

    return script


def test_a_session_is_open_when_open_returns_and_closed_when_the_block_ends() -> None:
    with conversing() as (session, _service):
        assert session.state == "open"
        assert session.open() is session
    assert session.state == "closed"


@pytest.mark.parametrize(
    ("code", "fields", "kind"),
    [
        (3000, {"code": "invalid_api_key", "message": "Wrong key."}, AuthenticationFailed),
        (3000, {}, AuthenticationFailed),
        (4000, {"code": "invalid_model", "message": "No such model."}, ConnectFailed),
        (4000, {"code": "insufficient_quota", "message": "Pay."}, RateLimited),
        (4004, {"code": "model_not_found", "message": "Not found."}, ConnectFailed),
        (1011, {}, ConnectFailed),
    ],
)
def test_a_refusal_behind_the_upgrade_is_raised(code: int, fields: Json, kind: type[ConnectFailed]) -> None:
    with ScriptedServer(refusing(code, "invalid_request_error.because", **fields)) as server:
        session = session_to(server)
        with pytest.raises(ConnectFailed, match=fields.get("message", "because")) as raised:
            session.open()
        failed = raised.value
        assert type(failed) is kind
        assert failed.phase == "session"
        assert failed.code == fields.get("code", "because")
        assert failed.request_id == "req_7"
        assert session.state == "closed"


def test_a_server_that_is_silent_behind_the_upgrade_ends_in_a_timeout() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.expect_close()

    with ScriptedServer(script) as server:
        session = session_to(server, connect_timeout=SHORT)
        with pytest.raises(ConnectTimeout, match=r"said nothing for the rest of 0\.4 s") as raised:
            session.open()
        assert raised.value.phase == "session"
        assert session.state == "closed"


def test_a_server_that_only_complains_is_refusing() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_json(error(code="insufficient_quota", message="Pay."))
        peer.expect_close()

    with ScriptedServer(script) as server, pytest.raises(RateLimited, match="Pay"):
        session_to(server, connect_timeout=SHORT).open()


def test_a_token_callable_that_blocks_ends_in_a_timeout_and_its_thread_when_it_returns() -> None:
    go_on = threading.Event()

    def token() -> str:
        go_on.wait(LIMIT)
        return "token"

    session = RealtimeSession(OpenAI(api_key=token, base_url="http://127.0.0.1:9/v1"), connect_timeout=SHORT)
    try:
        with pytest.raises(ConnectTimeout, match="credential gave no token") as raised:
            session.open()
        assert raised.value.phase == "credential"
        reader = [thread for thread in threading.enumerate() if thread.name == f"rtsync-reader-{session._core.number}"]
        assert len(reader) == 1
    finally:
        go_on.set()
    reader[0].join(LIMIT)
    assert not reader[0].is_alive()
    assert session.state == "closed"


def test_a_token_callable_that_fails_is_told_of() -> None:
    def token() -> str:
        raise LookupError("no login")

    session = RealtimeSession(OpenAI(api_key=token, base_url="http://127.0.0.1:9/v1"))
    with pytest.raises((ConnectFailed, ConfigurationError), match=r"LookupError|no login"):
        session.open()
    assert session.state == "closed"


def test_a_token_callable_may_not_wait_on_the_session_that_it_opens() -> None:
    refused: list[str] = []

    def token() -> str:
        try:
            session.wait_for("session.created", timeout=None)
        except UsageError as found:
            refused.append(str(found))
        return "token"

    session = RealtimeSession(OpenAI(api_key=token, base_url="http://127.0.0.1:9/v1"))
    with pytest.raises(ConnectFailed):
        session.open()
    assert "wait for itself" in refused[0]


# -- config ---------------------------------------------------------------------------------------------------------


def test_config_is_confirmed_when_open_returns() -> None:
    with RealtimeSession(Simulator(pace=False), config={"output_modalities": ["text"]}) as session:
        assert session.wait_for("session.updated", timeout=0).session.output_modalities == ["text"]
        assert session.ask("Hi").text


def test_config_that_is_refused_ends_the_session() -> None:
    session = RealtimeSession(Simulator(pace=False), config={"no_such_field": 1})
    with pytest.raises(ServerError) as raised:
        session.open()
    assert raised.value.param == "session.no_such_field"
    assert session.state == "closed"


def test_config_that_is_never_confirmed_ends_in_a_timeout() -> None:
    def script(peer: Peer) -> None:
        realtime_greeting(peer)
        peer.expect_close()

    with ScriptedServer(script) as server:
        session = session_to(server, connect_timeout=SHORT, config={"instructions": "Hi"})
        with pytest.raises(TimeoutError, match=r"no answer to 'session\.update'"):
            session.open()
        assert session.state == "closed"


# -- close during open ----------------------------------------------------------------------------------------------


def test_close_while_the_credential_is_asked_for_ends_open_at_once() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def token() -> str:
        asked.set()
        go_on.wait(LIMIT)
        return "token"

    session = RealtimeSession(OpenAI(api_key=token, base_url="http://127.0.0.1:9/v1"), connect_timeout=LIMIT)
    opening = spawn(session.open)
    try:
        assert asked.wait(LIMIT)
        session.close(timeout=0.1)
        opening.thread.join(1.0)
        assert opening.over
        with pytest.raises(SessionClosed, match="close"):
            opening.result()
    finally:
        go_on.set()


def test_close_and_open_race_without_a_session_left_open() -> None:
    for delay in range(100):
        session = RealtimeSession(Simulator(pace=False))
        opening = spawn(session.open)
        threading.Event().wait(delay * 0.0003)
        session.close()
        try:
            opening.result()
        except (SessionClosed, UsageError):
            pass
        session.close()
        assert session.state == "closed"


def test_a_keyboard_interrupt_ends_open_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        signal_main()
        peer.expect_close()

    def signal_main() -> None:
        import signal

        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with ScriptedServer(script) as server:
        session = session_to(server, connect_timeout=LIMIT)
        with pytest.raises(KeyboardInterrupt):
            session.open()
        assert session.state == "closed"
        assert session._core.finished


# -- once -----------------------------------------------------------------------------------------------------------


def test_a_session_is_used_once() -> None:
    with conversing() as (session, _service):
        pass
    with pytest.raises(UsageError, match="used once"):
        session.open()


def test_a_session_that_failed_to_open_is_used_up() -> None:
    with ScriptedServer(refusing(3000)) as server:
        session = session_to(server)
        with pytest.raises(AuthenticationFailed):
            session.open()
        with pytest.raises(UsageError, match="used once"):
            session.open()


def test_a_session_closed_before_opening_is_used_up() -> None:
    session = RealtimeSession(Simulator())
    session.close()
    session.close()
    assert session.state == "closed"
    with pytest.raises(UsageError, match="used once"):
        session.open()
    with pytest.raises(SessionClosed, match=r"before open\(\)"):
        session.wait_for("response.done")


def test_two_threads_do_not_open_one_session_twice() -> None:
    reached = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        reached.set()
        peer.wait_until_released()
        realtime_greeting(peer)
        peer.expect_close()

    with ScriptedServer(script) as server:
        session = session_to(server)
        opening = spawn(session.open)
        assert reached.wait(LIMIT)
        with pytest.raises(UsageError, match="another thread"):
            session.open()
        server.peers[0].release()
        opening.result()
        assert server.connections == 1
        session.close()


# -- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"connect_timeout": 0}, {"connect_timeout": None}, {"send_timeout": -1}, {"close_timeout": "3"},
        {"heartbeat": 0}, {"max_message_size": 0}, {"max_message_size": 1.5}, {"max_message_size": True},
        {"config": [1]}, {"tls": 5}, {"tls": "/no/such/file"}, {"proxy": True}, {"proxy": 5},
    ],
)  # fmt: skip
def test_an_option_that_is_not_what_it_must_be_is_refused_by_its_name(options: Json) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        RealtimeSession(Simulator(), **options)


def test_what_is_no_target_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs a target"):
        RealtimeSession("wss://example.org")  # type: ignore[arg-type]
