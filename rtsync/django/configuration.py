"""The setting ``RTSYNC``, and what it makes: once in a process, with the first request."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from rtsync.django.connections import fresh_connections
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.web.application import Application, named

__all__ = ["OWN", "application", "forget", "made", "owner_of", "setting"]

OWN = ("OWNER",)
"""Keys of ``RTSYNC`` that only Django has."""

_making = threading.Lock()  # So that a process has one application.
_made: Application | None = None


def application() -> Application:
    """That of this process. Raises ``ConfigurationError`` where the setting is not what it must be. Threads: any."""
    global _made
    with _making:
        if _made is None:
            _made = made()
        return _made


def made(**changes: Any) -> Application:
    """A new one, of the setting with ``changes``."""
    ours = {name: value for name, value in {**setting(), **changes}.items() if name not in OWN}
    return Application(ours, within=fresh_connections, check_origin=False)


def setting() -> Mapping[str, Any]:
    """``settings.RTSYNC``."""
    found = getattr(settings, "RTSYNC", None)
    if not isinstance(found, Mapping):
        raise ConfigurationError(f'settings.RTSYNC must be a dict, e.g. {{"TARGET": "openai"}}, not {found!r:.80}')
    return found


def owner_of(request: HttpRequest) -> str | None:
    """Whose request it is: the primary key of the user that is logged in, or what ``RTSYNC["OWNER"]`` says."""
    hook = named(setting().get("OWNER", _logged_in))
    found = hook(request)
    if found is not None and not isinstance(found, str):
        raise ConfigurationError(f'RTSYNC["OWNER"] must return a str, or None for nobody, not {type(found).__name__}')
    return found


def _logged_in(request: HttpRequest) -> str | None:
    user = getattr(request, "user", None)
    if user is None:
        raise ConfigurationError(
            "nobody says who is logged in: have django.contrib.auth's AuthenticationMiddleware in MIDDLEWARE, or set"
            ' RTSYNC["OWNER"]'
        )
    return str(user.pk) if user.is_authenticated else None


def forget(*, setting: str = "RTSYNC", **_: object) -> None:
    """Tests have changed a setting: if it is ours, the next request makes another application."""
    global _made
    if setting != "RTSYNC":
        return
    with _making:
        before, _made = _made, None
    if before is not None:
        before.directory.stop()
