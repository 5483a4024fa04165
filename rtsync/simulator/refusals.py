"""How the simulator says no: an error that leaves the session open (protocol 5.4 and 6.4)."""

from __future__ import annotations

from typing import Any

__all__ = ["EXPIRED", "INTERNAL", "Refused", "error_event"]

INTERNAL = "The server had an error while processing your request. Sorry about that!"
"""What the service says when the fault is its own."""

EXPIRED = "Your session hit the maximum duration of {minutes} minutes."
"""What it says when a session has lasted its time (protocol 6.2)."""


class Refused(Exception):
    """A client event the service would answer with an ``error`` event.

    Attributes:
        code: the error code, or None where the service leaves it null.
        message: the service's sentence.
        param: dotted path of the offending field, in the client's own vocabulary, or None.
        kind: ``error.type``.
    """

    def __init__(
        self, code: str | None, message: str, *, param: str | None = None, kind: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.kind = kind


def error_event(refused: Refused, client_event_id: str | None = None) -> dict[str, Any]:
    """The ``error`` event for ``refused``; ``client_event_id`` is echoed, null when the client sent none."""
    return {
        "type": "error",
        "error": {
            "type": refused.kind,
            "code": refused.code,
            "message": refused.message,
            "param": refused.param,
            "event_id": client_event_id,
        },
    }
