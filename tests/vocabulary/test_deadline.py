"""One timeout over several steps, and numbers of seconds."""

from __future__ import annotations

import math
import select
import socket
import threading
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtsync.vocabulary.deadline import Deadline, seconds
from rtsync.vocabulary.errors import ConfigurationError

# On a busy machine an example may take long; that says nothing about the code.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_a_deadline_without_a_timeout_never_passes() -> None:
    deadline = Deadline(None)
    assert (deadline.remaining(), deadline.passed, deadline.timeout) == (None, False, None)
    assert deadline.remaining(5) == 5
    assert repr(deadline) == "Deadline(None)"


def test_a_deadline_of_zero_has_passed() -> None:
    deadline = Deadline(0)
    assert (deadline.remaining(), deadline.remaining(5), deadline.passed) == (0.0, 0.0, True)


def test_a_deadline_in_the_past_has_nothing_left_rather_than_less() -> None:
    assert Deadline(-5).remaining() == 0.0


def test_several_steps_share_one_timeout() -> None:
    deadline = Deadline(1000)
    before = deadline.remaining()
    after = deadline.remaining()
    assert before is not None
    assert after is not None
    assert 900 < after <= before <= 1000
    assert (deadline.passed, deadline.timeout) == (False, 1000)


def test_a_step_gets_its_own_share_at_most() -> None:
    deadline = Deadline(1000)
    assert deadline.remaining(at_most=2) == 2
    left = deadline.remaining(at_most=5000)
    assert left is not None
    assert left <= 1000


def test_a_deadline_shows_what_is_left() -> None:
    assert repr(Deadline(0)) == "Deadline(0.000 s left)"


@UNHURRIED
@given(st.floats(min_value=1e-9, max_value=1e6) | st.integers(min_value=1, max_value=10**6))
def test_positive_numbers_are_seconds(value: float) -> None:
    found = seconds(value, "timeout")
    assert (found, type(found)) == (value, float)


def test_zero_is_allowed_only_where_it_means_something() -> None:
    assert seconds(0, "timeout", zero=True) == 0.0
    with pytest.raises(ConfigurationError, match="send_timeout must be more than 0 seconds, not 0"):
        seconds(0, "send_timeout")


def test_none_is_allowed_only_where_it_means_something() -> None:
    assert seconds(None, "heartbeat", none="no heartbeat") is None
    with pytest.raises(ConfigurationError, match="connect_timeout must be a number of seconds, not None"):
        seconds(None, "connect_timeout")


@pytest.mark.parametrize(
    "value", ["5", b"5", [5], True, False, math.nan, math.inf, -math.inf, 1j, Decimal(5), object, "sixty"]
)
def test_what_is_no_number_of_seconds_is_refused_by_the_name_of_the_option(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="close_timeout must be a number of seconds") as caught:
        seconds(value, "close_timeout")
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(("zero", "least"), [(False, "more than 0"), (True, "0 or more")])
def test_negative_seconds_are_refused(zero: bool, least: str) -> None:
    with pytest.raises(ConfigurationError, match=f"timeout must be {least} seconds, not -1.5"):
        seconds(-1.5, "timeout", zero=zero)


def test_the_message_says_what_none_would_mean() -> None:
    with pytest.raises(ConfigurationError, match=r"heartbeat must be a number of seconds, or None \(no heartbeat\)"):
        seconds("20", "heartbeat", none="no heartbeat")


@pytest.mark.parametrize("forever", [1e10, 1e300, 10**10, 10**400, threading.TIMEOUT_MAX * 2])
def test_more_seconds_than_an_operating_system_can_sleep_become_the_most_that_it_can(forever: float) -> None:
    found = seconds(forever, "timeout")
    assert found is not None
    assert found > 20 * 86400
    lock = threading.Lock()
    assert lock.acquire(timeout=found)
    left = Deadline(found).remaining()
    assert left is not None
    near, far = socket.socketpair()
    with near, far:
        far.send(b"x")
        poller = select.poll()
        poller.register(near, select.POLLIN)
        assert poller.poll(math.ceil(left * 1000))
