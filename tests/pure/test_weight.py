"""What received values weigh."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from rtsync.pure.weight import short_text, weight


def test_a_text_weighs_what_it_takes() -> None:
    assert weight("x" * 1000) == sys.getsizeof("x" * 1000)
    assert weight("\U0001f600" * 1000) > 4000


@pytest.mark.parametrize("value", [[[] for _ in range(1000)], [{} for _ in range(1000)], [[[""] * 500], [1.5] * 500]])
def test_many_small_values_weigh_more_than_their_json(value: Any) -> None:
    assert weight(value) > 8000


def test_names_and_values_of_objects_count() -> None:
    assert weight({"n" * 100: "v" * 1000}) > 1100


def test_values_nested_deeper_than_the_stack_are_weighed() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert weight(value) > 100_000 * 56


@pytest.mark.parametrize(
    ("value", "expected"), [("resp_1", "resp_1"), ("", None), (None, None), (7, None), ("x" * 513, None)]
)
def test_an_id_is_a_text_that_is_not_too_long(value: object, expected: str | None) -> None:
    assert short_text(value) == expected
