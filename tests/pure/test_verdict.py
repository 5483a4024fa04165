"""What the end of a line means, by plain calls."""

from __future__ import annotations

from typing import Any

import pytest

from rtsync import (
    AuthenticationFailed,
    CloseCause,
    ConnectFailed,
    ConnectionLost,
    RateLimited,
    SessionClosed,
    SessionExpired,
)
from rtsync.pure.verdict import closed, refused


@pytest.mark.parametrize(
    ("error", "code", "reason", "kind", "error_code"),
    [
        ({"code": "invalid_api_key"}, 3000, "", AuthenticationFailed, "invalid_api_key"),
        ({"code": "unauthorized"}, 4000, "", AuthenticationFailed, "unauthorized"),
        (None, 3000, "invalid_request_error.invalid_api_key", AuthenticationFailed, "invalid_api_key"),
        ({"code": "insufficient_quota"}, 4000, "", RateLimited, "insufficient_quota"),
        (None, 4000, "insufficient_quota.rate_limit_exceeded", RateLimited, "rate_limit_exceeded"),
        ({"code": "invalid_model"}, 4000, "", ConnectFailed, "invalid_model"),
        ({"code": 5, "message": None}, 1011, "", ConnectFailed, None),
        ({}, None, "", ConnectFailed, None),
    ],
)
def test_a_refusal_is_called_by_its_name(
    error: dict[str, Any] | None, code: int | None, reason: str, kind: type[ConnectFailed], error_code: str | None
) -> None:
    found = refused(error, code, reason)
    assert type(found) is kind
    assert (found.code, found.phase, found.status) == (error_code, "session", None)


@pytest.mark.parametrize("name", ["x-request-id", "apim-request-id", "cf-ray"])
def test_a_refusal_names_the_request(name: str) -> None:
    found = refused({"message": "No such model."}, 4000, "", {name: "req_1", "server": "s"})
    assert found.request_id == "req_1"
    assert found.headers["server"] == "s"
    assert "No such model" in str(found)


def test_a_refusal_says_what_to_do() -> None:
    assert "Check the key or token" in str(refused({"code": "invalid_api_key", "message": "Wrong."}, 3000, ""))
    assert "do not send openai-beta" in str(refused({"code": "beta_api_shape_disabled"}, 4000, "")).lower()


@pytest.mark.parametrize(
    ("cause", "code", "reason", "error", "kind", "final"),
    [
        (CloseCause.USER, 1000, "", None, SessionClosed, CloseCause.USER),
        (CloseCause.USER, 1000, "", {"code": "session_expired"}, SessionClosed, CloseCause.USER),
        (CloseCause.NETWORK, 1006, "", None, ConnectionLost, CloseCause.NETWORK),
        (CloseCause.SERVER, 1001, "", {"code": "session_expired"}, SessionExpired, CloseCause.EXPIRED),
        (CloseCause.SERVER, 1001, "maximum duration of 60 minutes", None, SessionExpired, CloseCause.EXPIRED),
        (CloseCause.SERVER, 3000, "", None, SessionClosed, CloseCause.AUTHENTICATION),
        (CloseCause.SERVER, 4000, "", {"code": "insufficient_quota"}, SessionClosed, CloseCause.RATE_LIMIT),
        (CloseCause.SERVER, 1011, "", {"code": "other"}, SessionClosed, CloseCause.SERVER),
        (CloseCause.SIZE, 1009, "", None, SessionClosed, CloseCause.SIZE),
        (CloseCause.PROTOCOL, 1002, "", None, SessionClosed, CloseCause.PROTOCOL),
        (CloseCause.ABANDONED, 1006, "", None, SessionClosed, CloseCause.ABANDONED),
    ],
)
def test_an_end_is_called_by_its_name(
    cause: CloseCause, code: int, reason: str, error: dict[str, Any] | None, kind: type[SessionClosed], final: CloseCause
) -> None:
    found = closed(code=code, reason=reason, cause=cause, message="it ended", error=error)
    assert type(found) is kind
    assert (found.code, found.reason, found.cause) == (code, reason, final)


def test_an_end_names_what_is_unanswered_but_not_all_of_it() -> None:
    found = closed(
        code=1006, reason="", cause=CloseCause.NETWORK, message="it ended", in_flight=[f"event.{n}" for n in range(9)]
    )
    assert "event.4, ...)" in str(found)
    assert "event.5" not in str(found)
    assert len(found.in_flight) == 9


def test_the_services_words_are_passed_on_unless_the_end_was_ours() -> None:
    error = {"code": "session_expired", "message": "60 minutes are over."}
    told = closed(code=1001, reason="", cause=CloseCause.SERVER, message="it ended", error=error)
    assert "60 minutes are over." in str(told)
    ours = closed(code=1000, reason="", cause=CloseCause.USER, message="it ended", error=error)
    assert "60 minutes" not in str(ours)
