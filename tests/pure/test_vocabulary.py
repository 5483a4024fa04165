"""Names and deadlines."""

from __future__ import annotations

import math
import time

import pytest

from rtsync import ConfigurationError
from rtsync.vocabulary import names
from rtsync.vocabulary.deadline import Deadline, seconds


def test_a_deadline_spends_one_timeout_over_several_steps() -> None:
    deadline = Deadline(1000.0)
    first = deadline.remaining()
    second = deadline.remaining()
    assert first is not None
    assert second is not None
    assert 900 < second <= first <= 1000
    assert deadline.remaining(5) == 5
    assert not deadline.passed
    assert deadline.timeout == 1000.0
    assert "s left" in repr(deadline)


def test_a_deadline_that_has_passed_has_nothing_left() -> None:
    deadline = Deadline(0)
    assert deadline.passed
    assert deadline.remaining() == 0.0
    assert deadline.remaining(5) == 0.0


def test_no_timeout_never_passes() -> None:
    deadline = Deadline(None)
    assert not deadline.passed
    assert deadline.remaining() is None
    assert deadline.remaining(5) == 5
    assert repr(deadline) == "Deadline(None)"


def test_a_deadline_stands_on_the_monotonic_clock() -> None:
    before = time.monotonic()
    deadline = Deadline(10)
    assert deadline.at is not None
    assert before + 10 <= deadline.at <= time.monotonic() + 10


@pytest.mark.parametrize(("value", "expected"), [(1, 1.0), (0.5, 0.5)])
def test_seconds_are_numbers(value: float, expected: float) -> None:
    found = seconds(value, "timeout")
    assert found == expected
    assert type(found) is float


@pytest.mark.parametrize("value", [None, "1", True, math.nan, math.inf, -1, 0, -0.0, [1], b"1"])
def test_what_is_no_number_of_seconds_is_refused_by_its_name(value: object) -> None:
    with pytest.raises(ConfigurationError, match="connect_timeout must be"):
        seconds(value, "connect_timeout")


def test_none_and_zero_are_for_options_that_know_them() -> None:
    assert seconds(None, "timeout", none="wait for ever") is None
    assert seconds(0, "timeout", zero=True) == 0.0
    with pytest.raises(ConfigurationError, match=r"or None \(wait for ever\)"):
        seconds("x", "timeout", none="wait for ever")
    with pytest.raises(ConfigurationError, match="0 or more"):
        seconds(-1, "timeout", zero=True)


def test_known_types_are_those_of_every_dialect() -> None:
    known = names.known_server_types()
    assert known == names.SERVER_TYPES | names.PREVIEW_SERVER_TYPES | names.TRANSLATION_SERVER_TYPES
    assert {"response.output_text.delta", "response.text.delta", "session.closed"} <= known
    assert not known & names.CLIENT_TYPES


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("respose.done", "response.done"),
        ("response.outputtext.delta", "response.output_text.delta"),
        ("session_created", "session.created"),
        ("completely.different", None),
        ("", None),
    ],
)
def test_a_typing_error_finds_what_was_meant(wrong: str, right: str | None) -> None:
    assert names.closest(wrong) == right
