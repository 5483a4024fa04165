"""Strings that must be seen nowhere, each unique, and every form in which they may be written."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

__all__ = ["CONTENT", "PCM", "SECRETS", "forms", "sightings"]

_PIECE = 9  # characters in a row that are no coincidence


def _noise(name: str) -> str:
    return base64.b32encode(hashlib.sha256(name.encode()).digest()).decode().lower()


def _secret(name: str, prefix: str) -> str:
    """A credential with the characters that URLs, JSON and HTML escape."""
    noise = _noise(name)
    return f"{prefix}{noise[:12]}+{noise[12:24]}/{noise[24:36]}"


SECRETS = {
    name: _secret(name, prefix)
    for name, prefix in {
        "api key": "sk-proj-",
        "key of the environment": "sk-env-",
        "token of a callable": "eyJh.",
        "token of a credential": "eyJi.",
        "Azure key": "az",
        "client secret": "ek_",
        "webhook secret": "hook",
        "MCP authorization": "mcp-",
        "MCP header": "mcph-",
        "gateway key": "gw-",
        "proxy password": "pw",
        "application secret": "app~",
        "server key": "srv-",
    }.items()
}
"""Credentials: seen nowhere, whatever is asked for."""

CONTENT = {
    name: f"{_noise(name)[:14]} {_noise(name)[14:28]}"
    for name in (
        "instructions", "question", "answer", "transcript", "user transcript", "arguments", "output", "metadata",
        "tool description", "malformed", "unknown field", "variable", "unserialisable", "SIP header", "refused item",
    )
}  # fmt: skip
"""What users and models say: only in data, and in a log that asks for content."""

PCM = hashlib.sha256(b"audio").digest() * 300
"""Audio: only in data."""
_AUDIO = base64.b64encode(PCM[:96]).decode()


def forms(text: str) -> Iterator[str]:
    """How ``text`` may be written: plain, escaped, encoded, backwards, in pieces."""
    yield from {text, json.dumps(text)[1:-1], quote(text, safe=""), quote_plus(text), html.escape(text), text[::-1]}
    yield text.encode().hex()
    for before in (b"", b".", b".."):
        yield base64.b64encode(before + text.encode() + b"...").decode()[4:-8]
    parts = [part for part in text.replace("+", " ").replace("/", " ").split() if len(part) >= _PIECE]
    for part in parts:
        for piece in (part, part[::-1]):
            yield from (piece[start : start + _PIECE] for start in range(len(piece) - _PIECE + 1))


_SECRET_FORMS = {name: frozenset(forms(text)) for name, text in SECRETS.items()}
_CONTENT_FORMS = {name: frozenset(forms(text)) for name, text in CONTENT.items()}
_CONTENT_FORMS["audio"] = frozenset(
    _AUDIO[start : start + 12] for start in range(44)
) | {repr(PCM[:12])[2:-1], ", ".join(map(str, PCM[:8]))}  # fmt: skip


def sightings(text: str, *, content: bool = True) -> list[str]:
    """The names of the canaries that ``text`` shows; without ``content`` only the secrets among them."""
    known = {**_SECRET_FORMS, **(_CONTENT_FORMS if content else {})}
    return [name for name, written in known.items() if any(form in text for form in written)]
