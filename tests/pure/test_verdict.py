"""What the end of a line means: close codes, refusals and quotas become exceptions."""

from __future__ import annotations

from typing import Any

import pytest

from rtsync.pure.verdict import closed, refused
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    CloseCause,
    ConnectFailed,
    ConnectionLost,
    RateLimited,
    SessionClosed,
    SessionExpired,
)

KIND = "invalid_request_error"


def error(code: object, message: object = "No.") -> dict[str, Any]:
    return {"type": KIND, "code": code, "message": message, "param": None, "event_id": None}


# Protocol 6.3 and the refusals among the close codes of 6.2: code, message, close code, reason; class, hint.
REFUSALS = [
    (
        "invalid_api_key",
        "Incorrect API key provided: sk-*****abcd. You can find it on the site.",
        3000,
        f"{KIND}.invalid_api_key",
        AuthenticationFailed,
        "Check the key or token",
    ),
    (None, "Missing bearer or basic authentication in header", 3000, KIND, AuthenticationFailed, "Check the key"),
    (
        "invalid_model",
        'Model "x" is not supported in realtime mode',
        4000,
        f"{KIND}.invalid_model",
        ConnectFailed,
        "Give a realtime model",
    ),
    (
        "missing_model",
        "You must provide a model parameter, ...",
        4000,
        f"{KIND}.missing_model",
        ConnectFailed,
        "Give a model",
    ),
    (
        "beta_api_shape_disabled",
        "The beta shape is disabled.",
        4000,
        f"{KIND}.beta_api_shape_disabled",
        ConnectFailed,
        "Do not send OpenAI-Beta: realtime=v1",
    ),
    (
        "model_not_found",
        "The model does not exist or you do not have access to it.",
        4004,
        f"{KIND}.model_not_found",
        ConnectFailed,
        "may not use this model",
    ),
    ("insufficient_quota", "You exceeded your current quota.", 1008, "", RateLimited, "Wait, or raise the quota"),
    ("rate_limit_exceeded", "Rate limit reached.", 4000, "", RateLimited, "Wait, or raise the quota"),
    ("too_many_requests", "Too many.", 1013, "", RateLimited, "Wait, or raise the quota"),
]


@pytest.mark.parametrize(("code", "message", "close_code", "reason", "kind", "hint"), REFUSALS)
def test_a_refusal_is_told_by_its_error_event(
    code: str | None, message: str, close_code: int, reason: str, kind: type[ConnectFailed], hint: str
) -> None:
    failure = refused(error(code, message), close_code, reason)
    assert type(failure) is kind
    assert (failure.code, failure.phase, failure.status) == (code, "session", None)
    assert str(failure).startswith(f"the service refused the session: {message.rstrip('.')}")
    assert hint in str(failure)
    assert ".." not in str(failure).replace("...", "")


@pytest.mark.parametrize(("code", "message", "close_code", "reason", "kind", "hint"), REFUSALS[:6])
def test_a_refusal_without_an_error_event_is_told_by_the_close_frame(
    code: str | None, message: str, close_code: int, reason: str, kind: type[ConnectFailed], hint: str
) -> None:
    failure = refused(None, close_code, reason)
    assert type(failure) is kind
    assert failure.code == code
    assert f"close code {close_code} {reason}" in str(failure)
    assert hint in str(failure)
    assert message not in str(failure)


@pytest.mark.parametrize("close_code", [1000, 1001, 1006, 1008, 1011, 1012, 1013, None])
def test_an_end_before_the_greeting_without_any_word_is_a_failed_connect(close_code: int | None) -> None:
    failure = refused(None, close_code, "")
    assert type(failure) is ConnectFailed
    assert failure.code is None
    assert str(failure) == f"the service refused the session: close code {close_code}"


@pytest.mark.parametrize(
    "reason", ["Your session hit the maximum duration of 60 minutes.", "bye", "invalid.", "Not now. Later."]
)
def test_a_reason_in_prose_is_no_code(reason: str) -> None:
    failure = refused(None, 1001, reason)
    assert failure.code is None
    assert reason.rstrip(".") in str(failure)


@pytest.mark.parametrize(
    ("code", "close_code", "reason", "kind", "found"),
    [
        ("unauthorized", 4000, "", AuthenticationFailed, "unauthorized"),
        ("invalid_issuer", 1008, "", AuthenticationFailed, "invalid_issuer"),
        (None, 4000, "insufficient_quota.rate_limit_exceeded", RateLimited, "rate_limit_exceeded"),
        ("insufficient_quota", 3000, "", AuthenticationFailed, "insufficient_quota"),
    ],
)
def test_a_refusal_with_an_unlisted_close_code_is_told_by_its_code(
    code: str | None, close_code: int, reason: str, kind: type[ConnectFailed], found: str
) -> None:
    failure = refused(error(code), close_code, reason)
    assert (type(failure), failure.code) == (kind, found)


@pytest.mark.parametrize("name", ["x-request-id", "apim-request-id", "cf-ray"])
def test_the_services_id_of_the_request_is_kept(name: str) -> None:
    failure = refused(None, 4000, "", {name: "req_1", "server": "cloudflare"})
    assert (failure.request_id, failure.headers) == ("req_1", {name: "req_1", "server": "cloudflare"})


@pytest.mark.parametrize("details", [error(7, None), error(["x"], {"a": 1}), {"code": {}}, {}])
def test_an_error_of_another_shape_is_still_a_refusal(details: dict[str, Any]) -> None:
    failure = refused(details, 4000, f"{KIND}.invalid_model")
    assert (type(failure), failure.code) == (ConnectFailed, "invalid_model")


# -- sessions that had begun ---------------------------------------------------------------------------------------

EXPIRY = "Your session hit the maximum duration of 60 minutes."

# Protocol 6.2: code, reason, code of the error event before it; class, cause.
CLOSES = [
    (1000, "", None, SessionClosed, CloseCause.SERVER),
    (1001, EXPIRY, "session_expired", SessionExpired, CloseCause.EXPIRED),
    (1001, "", "session_expired", SessionExpired, CloseCause.EXPIRED),
    (1001, EXPIRY, None, SessionExpired, CloseCause.EXPIRED),
    (1001, "going away", None, SessionClosed, CloseCause.SERVER),
    (1008, "", None, SessionClosed, CloseCause.SERVER),
    (1008, "", "insufficient_quota", SessionClosed, CloseCause.RATE_LIMIT),
    (1011, "", None, SessionClosed, CloseCause.SERVER),
    (1012, "", None, SessionClosed, CloseCause.SERVER),
    (1013, "", "rate_limit_exceeded", SessionClosed, CloseCause.RATE_LIMIT),
    (3000, f"{KIND}.invalid_api_key", "invalid_api_key", SessionClosed, CloseCause.AUTHENTICATION),
    (3000, "", None, SessionClosed, CloseCause.AUTHENTICATION),
    (4000, f"{KIND}.invalid_model", "invalid_model", SessionClosed, CloseCause.SERVER),
    (4004, f"{KIND}.model_not_found", "model_not_found", SessionClosed, CloseCause.SERVER),
    (1008, "", ["not a code"], SessionClosed, CloseCause.SERVER),
]


@pytest.mark.parametrize(("code", "reason", "error_code", "kind", "cause"), CLOSES)
def test_a_close_by_the_service_is_told_by_code_reason_and_the_error_before_it(
    code: int, reason: str, error_code: object, kind: type[SessionClosed], cause: CloseCause
) -> None:
    details = None if error_code is None else error(error_code, "It says why.")
    end = closed(code=code, reason=reason, cause=CloseCause.SERVER, message="the service closed", error=details)
    assert type(end) is kind
    assert (end.code, end.reason, end.cause, end.in_flight) == (code, reason, cause, ())
    assert str(end) == ("the service closed" if details is None else "the service closed: It says why.")


@pytest.mark.parametrize("cause", [cause for cause in CloseCause if cause is not CloseCause.SERVER])
def test_what_the_line_knows_of_the_cause_stands(cause: CloseCause) -> None:
    end = closed(code=1006, reason="", cause=cause, message="it ended", error=error("session_expired"))
    expected = {CloseCause.NETWORK: ConnectionLost, CloseCause.EXPIRED: SessionExpired}.get(cause, SessionClosed)
    assert (type(end), end.cause) == (expected, cause)


def test_a_session_closed_by_its_user_does_not_repeat_an_old_error() -> None:
    end = closed(code=1000, reason="", cause=CloseCause.USER, message="closed", error=error(None, "Old news."))
    assert str(end) == "closed"


@pytest.mark.parametrize("message", [None, "", 7, ["x"]])
def test_an_error_without_words_adds_none(message: object) -> None:
    end = closed(code=1011, reason="", cause=CloseCause.SERVER, message="gone", error=error(None, message))
    assert str(end) == "gone"


def test_unanswered_events_are_named_and_the_first_five_are_in_the_message() -> None:
    few = closed(code=1006, reason="", cause=CloseCause.NETWORK, message="lost", in_flight=("a", "b"))
    assert (str(few), few.in_flight) == ("lost (unanswered: a, b)", ("a", "b"))
    many = closed(code=1006, reason="", cause=CloseCause.NETWORK, message="lost", in_flight=tuple("abcdef"))
    assert (str(many), many.in_flight) == ("lost (unanswered: a, b, c, d, e, ...)", tuple("abcdef"))
