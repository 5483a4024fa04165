"""A request as the views take it, and the answer that they give: what a framework's are turned into and out of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from rtsync.vocabulary.errors import BusUnavailable, RealtimeError, TooManySessions
from rtsync.vocabulary.events import encode
from rtsync.web.answers import error_event, status_of
from rtsync.web.gate import Refused

__all__ = ["Answer", "Body", "Headers", "Request", "json_answer", "read_body", "refusal"]

_JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_AGAIN = 1.0  # seconds; where the error does not say
_PIECE = 65_536  # bytes


class Headers(Protocol):
    """Headers of a request as frameworks have them: names in any case."""

    def get(self, name: str, /) -> str | None:
        """The value, or None."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values."""


class Body(Protocol):
    """A body that comes piece by piece: server-sent events."""

    def __iter__(self) -> Any:
        """Pieces, ``bytes``."""

    def close(self) -> None:
        """Nobody reads it any more. Web servers call it, whether it was read or not."""


class Request(msgspec.Struct, frozen=True):
    """What the views want to know of a request.

    Attributes:
        headers: by names in any case.
        read: up to so many bytes of the body; none at its end.
        site: scheme and host that the page's own site has, as the framework knows it: ``"https://example.com"``.
        after: the query's ``after``: id of the last event that the page knows.
    """

    headers: Headers
    read: Callable[[int], bytes]
    site: str
    after: str | None = None

    def __repr__(self) -> str:
        return f"<Request to {self.site}>"  # Its headers hold the cookies of a login.

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("site", self.site)]


class Answer(msgspec.Struct, frozen=True):
    """What is answered.

    Attributes:
        status: of HTTP.
        headers: by name.
        body: ``bytes``, or what is sent piece by piece as it comes; it is to be closed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | Body


def json_answer(status: int, told: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that holds JSON, and is kept by nobody."""
    return Answer(status, {**_JSON, **(headers or {})}, encode(told))


def refusal(error: RealtimeError) -> Answer:
    """What a page is told of an error; with ``Retry-After`` where it is worth coming again."""
    after = getattr(error, "retry_after", None)
    if after is None and isinstance(error, BusUnavailable | TooManySessions):
        after = _AGAIN
    return json_answer(
        status_of(error), error_event(error), {} if after is None else {"Retry-After": str(math.ceil(after))}
    )


def read_body(request: Request, most: int) -> bytes:
    """The body, of which no more is read than is allowed, whatever its ``Content-Length`` says.

    Raises:
        Refused: it is larger, and was not read to its end.
    """
    declared = request.headers.get("Content-Length") or ""
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > most):
        raise _too_large(most)
    body = bytearray()
    while len(body) <= most and (piece := request.read(min(_PIECE, most + 1 - len(body)))):
        body += piece
    if len(body) > most:
        raise _too_large(most)
    return bytes(body)


def _too_large(most: int) -> Refused:
    return Refused(f"a body takes at most {most} bytes", status=413, code="too_large")
