"""Text that others wrote, made fit to be shown: without credentials, and without what commands a terminal or a log.

A server may echo the key that it refuses, and its words may hold escapes that move a cursor, line breaks that forge a
second line of a log, or marks that turn the direction of what follows. What is handed out as data (an event's fields)
is as it came; what becomes a message, a line of a log or a repr goes through here.
"""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping

__all__ = ["credentials_in", "harmless", "one_line", "redact"]

_SHORTEST_SECRET = 4  # what is shorter is a placeholder, and would blank out half of every sentence
_SHORTEST_PIECE = 8  # of a credential that a limit on length has cut off
# The directional embeddings, overrides and isolates; the plain marks, which real text in Hebrew and Arabic has, turn
# nothing around.
_TURNS = frozenset((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
_OBEYED = {code: None for code in (*range(0x20), *range(0x7F, 0xA0), *_TURNS) if chr(code) not in "\n\t"}
# Names of headers that carry a credential: ours, and those of gateways (Ocp-Apim-Subscription-Key, X-Auth-Token).
_TELLING = ("auth", "key", "token", "secret", "password", "cookie", "credential")


def one_line(text: str, longest: int | None = None) -> str:
    """``text`` in one line of printable characters, and where it is longer than ``longest``, cut."""
    if not text.isprintable():
        text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return text if longest is None or len(text) <= longest else f"{text[:longest]}…"


def harmless(text: str) -> str:
    """``text`` with its line breaks and tabs, without any other character that a terminal would obey."""
    return text if text.isprintable() else text.translate(_OBEYED)


def credentials_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The credentials among ``headers`` of a request, with and without their scheme."""
    values = [value for name, value in headers.items() if any(word in name.lower() for word in _TELLING)]
    return tuple(dict.fromkeys(part for value in values for part in (value, value.rpartition(" ")[2])))


def redact(text: str, secrets: Iterable[str]) -> str:
    """``text`` without the credentials ``secrets``, as they are or encoded, also where a limit has cut one off."""
    forms = {form for secret in secrets if len(secret) >= _SHORTEST_SECRET for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):  # One may be the beginning of another.
        text = text.replace(form, "***")
    return _without_piece(text, forms)


def _forms(secret: str) -> Iterator[str]:
    """How a server may write ``secret`` in a body, a URL or a header."""
    import json  # Refusals only.

    escaped = json.dumps(secret)[1:-1]
    yield from (secret, escaped, escaped.replace("/", "\\/"), escaped.replace("+", "\\u002B"))
    yield urllib.parse.quote(secret, safe="")
    yield urllib.parse.quote_plus(secret)
    for offset in range(3):  # What base64 makes of it depends on how much stands in front of it.
        encoded = base64.b64encode(bytes(offset) + secret.encode()).decode()
        middle = encoded[4 if offset else 0 : -4]
        if len(middle) >= _SHORTEST_PIECE:
            yield middle


def _without_piece(text: str, forms: Iterable[str]) -> str:
    """``text`` without the beginning of a credential at its end: a close reason has room for 123 bytes."""
    for form in forms:
        start = text.rfind(form[:_SHORTEST_PIECE], max(0, len(text) - len(form)))
        if len(form) > _SHORTEST_PIECE and start >= 0 and form.startswith(text[start:].rstrip("…. ")):
            return f"{text[:start]}***"
    return text
