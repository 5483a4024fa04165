"""A setting: what was passed, else what the environment says (protocol section 1.4), checked and with its name.

What is passed beats what the environment says; an empty variable counts as not set.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["Setting", "checked_text", "encodes", "has_control", "setting"]

_CONTROL = frozenset(map(chr, (*range(0x20), *range(0x7F, 0xA0))))


class Setting(msgspec.Struct, frozen=True):
    """A text, and the option or variable that it came from: ``"base_url="``, ``"OPENAI_BASE_URL"``. May be a secret."""

    text: str
    named: str

    def __repr__(self) -> str:
        return f"<Setting {self.named}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("named", self.named)]


def setting(option: str, value: object, *variables: str) -> Setting | None:
    """What was passed, else the first variable that is set and not empty, else None.

    Raises:
        ConfigurationError: as ``checked_text``.
    """
    if value is not None:
        return Setting(checked_text(value, option), option)
    for variable in variables:
        if text := os.environ.get(variable, "").strip():
            return Setting(checked_text(text, variable), variable)
    return None


def checked_text(value: object, named: str) -> str:
    """``value`` without surrounding whitespace.

    Raises:
        ConfigurationError: not a string, empty, or with characters that no setting has; the value is not shown.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"{named} must be a string, not {type(value).__name__}")
    text = value.strip()
    if not text:
        raise ConfigurationError(f"{named} is empty: give it a value or leave it out")
    if has_control(text) or not encodes(text, "utf-8"):
        raise ConfigurationError(f"{named} holds a control character, a line break or a broken character: remove it")
    return text


def has_control(text: str) -> bool:
    """Whether ``text`` holds a control character: a line break, a tab, NUL and their like."""
    return not _CONTROL.isdisjoint(text)


def encodes(text: str, encoding: str) -> bool:
    """Whether ``text`` can be written in ``encoding``."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
