"""What type checkers know of ``on``, ``once``, ``wait_for``, ``expect`` and ``events``: the class of each event type.

The signatures stand in ``typed_face.pyi``, one overload for each type, written by ``tests/events/face_writer.py``. At
run time there is nothing to know: ``typed_as`` hands back the method as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["events", "expect", "on", "once", "typed_as", "wait_for"]

Method = TypeVar("Method", bound=Callable[..., Any])

on: Any = None
once: Any = None
wait_for: Any = None
expect: Any = None
events: Any = None


def typed_as(_overloads: object) -> Callable[[Method], Method]:
    """Let type checkers see a method with the overloads of this module: ``@typed_as(typed_face.wait_for)``."""
    return lambda method: method
