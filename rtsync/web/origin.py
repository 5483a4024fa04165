"""Whether a request comes from the application's own pages: browsers let any page send one, with your users' cookies.

1. ``Origin`` says whose page it was. Browsers send it with all that is not GET or HEAD, and with every WebSocket.
2. ``Sec-Fetch-Site: same-origin`` says as much, and is right behind a proxy that hides scheme and host. No page can
   write either.
3. What is only read, another page cannot read: browsers see to that. But its streams would be the user's, and count.
4. What changes something and says neither is refused: it comes from no browser of today, and who is it that logged in,
   then?
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from rtsync.vocabulary.errors import ConfigurationError
from rtsync.web.gate import Refused
from rtsync.web.requests import Request

__all__ = ["ANY_ORIGIN", "Origins"]

ANY_ORIGIN = "*"
"""Among origins: any page may, for applications that know their users by a header that no browser sends by itself."""

_PORTS = {"http": 80, "https": 443}


class Origins:
    """The origins that may send: the application's own, and those that it names.

    Args:
        others: beside its own: ``"https://app.example.com"``; or ``"*"``, any.

    Raises:
        ConfigurationError: one of them is no origin.
    """

    def __init__(self, others: Collection[str] = ()) -> None:
        if isinstance(others, str) or not all(isinstance(each, str) for each in others):
            raise ConfigurationError('origins must be a list of origins, e.g. ["https://app.example.com"]')
        self._any = ANY_ORIGIN in others
        self._others = frozenset(_configured(each) for each in others if each != ANY_ORIGIN)

    def check(self, request: Request) -> None:
        """Return where the request comes from a page that may send.

        Raises:
            Refused: it does not, or does not say so.
        """
        if self._any or request.headers.get("Sec-Fetch-Site") == "same-origin":
            return
        origin = _normal(request.headers.get("Origin") or "")
        if origin is None or (origin != _normal(request.site) and origin not in self._others):
            raise Refused(
                "this request does not come from a page of this application", status=403, code="foreign_origin"
            )

    def check_reading(self, request: Request) -> None:
        """Return where a page that may send reads, or what is no page, or does not say so.

        Raises:
            Refused: another page does.
        """
        if request.headers.get("Sec-Fetch-Site") not in (None, "none"):
            self.check(request)


def _configured(origin: str) -> str:
    found = _normal(origin)
    if found is None:
        raise ConfigurationError(f"{origin!r} is no origin; write scheme and host: https://app.example.com")
    return found


def _normal(origin: str) -> str | None:
    """Lower case and without a port that goes without saying; None for what is no origin (``null`` is none)."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port or _PORTS.get(parts.scheme, 0)}"
