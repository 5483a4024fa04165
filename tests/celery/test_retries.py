"""Which errors of a task are worth another run, and when: by plain calls, and by tasks that Celery runs on the spot."""

from __future__ import annotations

import pytest
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

from rtsync import (
    AuthenticationFailed,
    BusUnavailable,
    CloseCause,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    RateLimited,
    RealtimeError,
    RedirectRefused,
    ResponseFailed,
    SendTimeout,
    ServerError,
    SessionClosed,
    SessionExpired,
    UsageError,
    WaitTimeout,
)
from rtsync.celery import RealtimeTask, retry_delay

PASSING = [
    ConnectTimeout("x", phase="tcp"),
    ConnectFailed("x", phase="dns"),
    ConnectFailed("x", phase="upgrade", status=503),
    RateLimited("x", phase="upgrade", status=429),
    ConnectionLost("x", code=1006, cause=CloseCause.NETWORK),
    SessionExpired("x", code=1001, cause=CloseCause.EXPIRED),
    SessionClosed("x", code=1012),
    SendTimeout("x"),
    BusUnavailable("x"),
    ResponseFailed("x", reason="rate_limit_exceeded"),
    ResponseFailed("x", reason="server_error"),
    ResponseFailed("x", status="lost"),
    ServerError("x", type="server_error"),
]
STAYING = [
    AuthenticationFailed("x", phase="upgrade", status=401),
    RateLimited("x", phase="upgrade", status=429, code="insufficient_quota"),
    RedirectRefused("x", phase="upgrade", status=302),
    ConnectFailed("x", phase="tls"),
    ConnectFailed("x"),
    SessionClosed("x", code=1008),
    SessionClosed("x", cause=CloseCause.USER),
    SessionClosed("x", cause=CloseCause.BUDGET),
    ResponseFailed("x", status="incomplete", reason="max_output_tokens"),
    ResponseFailed("x", reason="insufficient_quota"),
    ServerError("x", type="invalid_request_error", code="unknown_parameter"),
    WaitTimeout("x"),
    UsageError("x"),
    ConfigurationError("x"),
    SoftTimeLimitExceeded(),
    ConnectionResetError(),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_passes_is_tried_again_later_and_later(error: Exception) -> None:
    for attempt, most in ((1, 2.0), (2, 4.0), (3, 8.0), (20, 300.0), (10_000, 300.0)):
        delay = retry_delay(error, attempt)
        assert delay is not None
        assert most / 2 <= delay <= most


@pytest.mark.parametrize("error", STAYING, ids=repr)
def test_what_stays_is_not(error: Exception) -> None:
    assert retry_delay(error, 1) is None


def test_the_service_may_ask_for_more_and_not_for_less() -> None:
    asked = RateLimited("x", phase="upgrade", status=429, retry_after=3600.0)
    assert retry_delay(asked, 1) == 3600.0
    delay = retry_delay(RateLimited("x", phase="upgrade", status=429, retry_after=0.1), 1, first_delay=10.0)
    assert delay is not None
    assert delay >= 5.0


class Failing:
    """Tasks that fail, each time it is run."""

    def __init__(self, error: Exception) -> None:
        self.app = Celery("failing", broker="memory://")
        self.error = error
        self.runs = 0

    def run(self, **options: object) -> None:
        def fail() -> None:
            self.runs += 1
            raise self.error

        self.app.task(**{"base": RealtimeTask, **options})(fail).apply().get()

    def fails(self, **options: object) -> int:
        """How often it was run, until the client had the error."""
        with pytest.raises(type(self.error)) as caught:
            self.run(**options)
        assert caught.value is self.error
        self.app.close()
        return self.runs


def test_a_task_is_run_again_as_often_as_it_says() -> None:
    assert Failing(ConnectTimeout("x", phase="tcp")).fails(max_retries=3) == 4
    assert Failing(ConnectTimeout("x", phase="tcp")).fails() == 7


def test_a_task_that_fails_for_good_is_run_once() -> None:
    assert Failing(ConfigurationError("x")).fails() == 1
    assert Failing(ValueError("x")).fails() == 1


def test_a_task_may_choose_its_errors() -> None:
    lost = ConnectionLost("x", code=1006, cause=CloseCause.NETWORK)
    assert Failing(lost).fails(autoretry_for=(ConnectFailed,)) == 1
    assert Failing(ValueError("x")).fails(autoretry_for=(RealtimeError, ValueError), max_retries=2) == 3


def test_a_countdown_of_the_tasks_own_holds() -> None:
    app = Celery("deciding", broker="memory://")
    runs = []

    @app.task(base=RealtimeTask, bind=True, max_retries=1)  # type: ignore[untyped-decorator]
    def decide(self: RealtimeTask) -> None:
        runs.append(self.request.retries)
        raise self.retry(exc=WaitTimeout("x"), countdown=30)

    with pytest.raises(WaitTimeout):
        decide.apply().get()
    assert runs == [0, 1]
    app.close()
