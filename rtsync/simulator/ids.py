"""Identifiers in the service's shapes: a prefix and 21 base62 characters, 16 for calls (protocol 6.5)."""

from __future__ import annotations

import random
import secrets
import string

__all__ = ["new_id", "new_secret"]

_BASE62 = string.ascii_letters + string.digits
_CALL_LENGTH = 16
_LENGTH = 21


def new_id(prefix: str) -> str:
    """A fresh id: ``new_id("item")`` is ``item_`` and 21 base62 characters; ``call`` has 16."""
    length = _CALL_LENGTH if prefix == "call" else _LENGTH
    # Names, not secrets: to ask the system for each letter would hand the interpreter to another thread each time.
    return f"{prefix}_" + "".join(random.choices(_BASE62, k=length))


def new_secret(prefix: str) -> str:
    """As ``new_id``, and not to be guessed."""
    return f"{prefix}_" + "".join(secrets.choice(_BASE62) for _ in range(_LENGTH))
