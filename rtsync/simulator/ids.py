"""Identifiers in the service's shapes: a prefix and 21 base62 characters, 16 for calls (protocol 6.5)."""

from __future__ import annotations

import secrets
import string

__all__ = ["new_id"]

_BASE62 = string.ascii_letters + string.digits
_CALL_LENGTH = 16
_LENGTH = 21


def new_id(prefix: str) -> str:
    """A fresh id: ``new_id("item")`` is ``item_`` and 21 base62 characters; ``call`` has 16."""
    length = _CALL_LENGTH if prefix == "call" else _LENGTH
    return f"{prefix}_" + "".join(secrets.choice(_BASE62) for _ in range(length))
