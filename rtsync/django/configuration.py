"""The setting ``RTSYNC``, and what it makes: once in a process, with the first request."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string

from rtsync.django.connections import fresh_connections
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.web.application import Application
from rtsync.web.settings import Settings, settings_from

__all__ = ["KEYS", "application", "forget", "made", "named", "owner_of", "setting"]

_CODE = ("OWNER", "GATE", "TOOLS", "PREPARE", "CLIENT_SECRET", "CONVERSE", "ACCEPT")
KEYS = (*(field.encode_name for field in msgspec.structs.fields(Settings)), *_CODE)
"""Of ``RTSYNC``: the settings of every framework, and code, or paths of it: ``"shop.voice.prepare"``."""

_making = threading.Lock()  # So that a process has one application.
_made: Application | None = None


def application() -> Application:
    """That of this process. Raises ``ConfigurationError`` where the setting is not what it must be. Threads: any."""
    global _made
    found = _made
    if found is None:
        fresh = made()  # It imports code of the project's. Where two do so at once, one of them is for nothing.
        with _making:
            found = _made = _made or fresh
    return found


def made() -> Application:
    """A new one. Raises as ``application``."""
    given = setting()
    plain = {name: value for name, value in given.items() if name not in _CODE}
    if "SESSION" in plain:
        plain["SESSION"] = named(plain["SESSION"])
    return Application(
        settings_from(plain, called='RTSYNC["{}"]'.format),
        gate=named(given.get("GATE")),
        tools=[named(tool) for tool in _listed(given, "TOOLS")],
        prepare=[named(each) for each in _listed(given, "PREPARE")],
        client_secret=named(given.get("CLIENT_SECRET")),
        converse=named(given.get("CONVERSE")),
        accept=named(given.get("ACCEPT")),
        within=fresh_connections,
        check_origin=False,
    )


def setting() -> Mapping[str, Any]:
    """``settings.RTSYNC``."""
    found = getattr(settings, "RTSYNC", None)
    if not isinstance(found, Mapping):
        raise ConfigurationError(
            f'settings.RTSYNC must be a dict, e.g. {{"TARGET": "openai"}}, not {type(found).__name__}'
        )
    return found


def named(value: Any) -> Any:
    """What a dotted path stands for; anything else as it is.

    Raises:
        ConfigurationError: there is nothing of that name.
    """
    if not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except ImportError as error:
        raise ConfigurationError(f"there is no {value!r}: {error}") from error


def owner_of(request: HttpRequest) -> str | None:
    """Whose request it is: the primary key of the user that is logged in, or what ``RTSYNC["OWNER"]`` says."""
    found = named(setting().get("OWNER", _logged_in))(request)
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


def _listed(given: Mapping[str, Any], name: str) -> Iterable[Any]:
    found = given.get(name, ())
    if isinstance(found, str) or not isinstance(found, Iterable):
        raise ConfigurationError(f'RTSYNC["{name}"] must be a list of functions, or of their paths')
    return found


def forget(*, setting: str = "RTSYNC", **_: object) -> None:
    """Tests have changed a setting: if it is ours, the next request makes another application."""
    global _made
    if setting != "RTSYNC":
        return
    with _making:
        before, _made = _made, None
    if before is not None:
        before.stop()
