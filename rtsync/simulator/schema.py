"""Validation of what clients send: small rules that compose, and refusals in the service's words (protocol 6.4).

A rule is called with a value and the dotted path where it stands; it returns nothing and raises ``Refused``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rtsync.simulator.refusals import Refused

__all__ = [
    "Anything",
    "Choice",
    "Either",
    "Flag",
    "ListOf",
    "Nullable",
    "Number",
    "Record",
    "Rule",
    "Tagged",
    "Text",
    "Whole",
    "audio_bytes",
    "quoted_list",
    "unsupported",
]

Rule = Callable[[Any, str], None]


def _named(value: Any) -> str:
    """What kind of JSON value this is, as the service says it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    kinds = {str: "a string", int: "an integer", float: "a decimal", list: "an array", dict: "an object"}
    return kinds.get(type(value), "an unknown value")


def _wrong_type(path: str, expected: str, value: Any) -> Refused:
    message = f"Invalid type for '{path}': expected {expected}, but got {_named(value)} instead."
    return Refused("invalid_type", message, param=path)


def quoted_list(values: list[str]) -> str:
    """``'a', 'b', and 'c'`` as the service joins a list of accepted values (without the Oxford comma)."""
    quoted = [f"'{value}'" for value in values]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


@dataclass(frozen=True)
class Anything:
    """Every value passes."""

    def __call__(self, value: Any, path: str) -> None:
        """Accept."""


@dataclass(frozen=True)
class Text:
    """A string of at most ``longest`` characters."""

    longest: int | None = None

    def __call__(self, value: Any, path: str) -> None:
        """Refuse what is not such a string."""
        if not isinstance(value, str):
            raise _wrong_type(path, "a string", value)
        if self.longest is not None and len(value) > self.longest:
            message = (
                f"Invalid '{path}': string too long. Expected a string with maximum length {self.longest}, "
                f"but got a string with length {len(value)} instead."
            )
            raise Refused("string_above_max_length", message, param=path)


@dataclass(frozen=True)
class Flag:
    """true or false."""

    def __call__(self, value: Any, path: str) -> None:
        """Refuse what is not a boolean."""
        if not isinstance(value, bool):
            raise _wrong_type(path, "a boolean", value)


def _check_range(value: float, path: str, low: float | None, high: float | None, kind: str) -> None:
    if low is not None and value < low:
        message = f"Invalid '{path}': {kind} below minimum value. Expected a value >= {low}, but got {value} instead."
        raise Refused(f"{kind}_below_min_value", message, param=path)
    if high is not None and value > high:
        message = f"Invalid '{path}': {kind} above maximum value. Expected a value <= {high}, but got {value} instead."
        raise Refused(f"{kind}_above_max_value", message, param=path)


@dataclass(frozen=True)
class Whole:
    """An integer from ``low`` to ``high``."""

    low: int | None = None
    high: int | None = None

    def __call__(self, value: Any, path: str) -> None:
        """Refuse what is not such an integer."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(path, "an integer", value)
        _check_range(value, path, self.low, self.high, "integer")


@dataclass(frozen=True)
class Number:
    """A number from ``low`` to ``high``."""

    low: float | None = None
    high: float | None = None

    def __call__(self, value: Any, path: str) -> None:
        """Refuse what is not such a number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(path, "a decimal", value)
        _check_range(value, path, self.low, self.high, "decimal")


@dataclass(frozen=True, init=False)
class Choice:
    """One of a few strings."""

    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        object.__setattr__(self, "values", values)

    def __call__(self, value: Any, path: str) -> None:
        """Refuse every other value."""
        if not isinstance(value, str):
            raise _wrong_type(path, f"one of {quoted_list(list(self.values))}", value)
        if value not in self.values:
            raise unsupported(value, path, list(self.values))


def unsupported(value: str, path: str, accepted: list[str]) -> Refused:
    """The refusal of a string that is none of ``accepted``."""
    label = "Supported values are" if len(accepted) > 1 else "Value must be"
    return Refused("invalid_value", f"Invalid value: '{value}'. {label}: {quoted_list(accepted)}.", param=path)


@dataclass(frozen=True)
class Nullable:
    """null, or what ``rule`` accepts."""

    rule: Rule

    def __call__(self, value: Any, path: str) -> None:
        """Refuse what is neither."""
        if value is not None:
            self.rule(value, path)


@dataclass(frozen=True)
class ListOf:
    """An array whose every element satisfies ``rule``."""

    rule: Rule
    elements: str = "values"

    def __call__(self, value: Any, path: str) -> None:
        """Refuse the array, or the first element that does not fit."""
        if not isinstance(value, list):
            raise _wrong_type(path, f"an array of {self.elements}", value)
        for index, element in enumerate(value):
            self.rule(element, f"{path}[{index}]")


@dataclass(frozen=True)
class Record:
    """An object with these fields, and no others unless ``open``."""

    fields: Mapping[str, Rule]
    required: tuple[str, ...] = ()
    open: bool = False

    def __call__(self, value: Any, path: str) -> None:
        """Refuse an unknown, missing or wrong field, named by its dotted path."""
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        for name in self.required:
            if name not in value:
                at = _join(path, name)
                raise Refused("missing_required_parameter", f"Missing required parameter: '{at}'.", param=at)
        for name, inner in value.items():
            self._check_field(name, inner, _join(path, name))

    def _check_field(self, name: str, inner: Any, at: str) -> None:
        rule = self.fields.get(name)
        if rule is not None:
            rule(inner, at)
        elif not self.open:
            raise Refused("unknown_parameter", f"Unknown parameter: '{at}'.", param=at)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@dataclass(frozen=True)
class Tagged:
    """An object whose string field ``tag`` says which record it is; ``default`` when the tag may be left out."""

    tag: str
    records: Mapping[str, Record]
    default: str | None = None

    def __call__(self, value: Any, path: str) -> None:
        """Refuse a missing or unknown tag, or what its record refuses."""
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        at = _join(path, self.tag)
        named = value.get(self.tag, self.default)
        if named is None and self.tag not in value:
            raise Refused("missing_required_parameter", f"Missing required parameter: '{at}'.", param=at)
        Choice(*self.records)(named, at)
        self.records[str(named)](value, path)


@dataclass(frozen=True)
class Either:
    """A string that ``text`` accepts or anything else that ``other`` accepts."""

    text: Rule
    other: Rule
    expected: str = field(default="another value")

    def __call__(self, value: Any, path: str) -> None:
        """Refuse what fits neither."""
        if isinstance(value, str):
            self.text(value, path)
        else:
            self.other(value, path)


def audio_bytes(text: str, path: str) -> bytes:
    """The bytes of base64 ``text``.

    Raises:
        Refused: it is not base64 (code and param: the proposal of protocol 6.4).
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        message = f"Invalid '{path}'. Expected base64-encoded audio bytes (mono, in the session's input format)."
        raise Refused("invalid_value", message, param=path) from None
