"""What ``manage.py check`` says of the setting ``RTSYNC``, and of what is around it. Nothing is connected to."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from rtsync import bus
from rtsync.django.configuration import OWN, made, setting
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.web.application import SETTINGS, Application, named

__all__ = ["check_settings"]

_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
_WORKERS = re.compile(r"(?:--workers[ =]|-w ?)(\d+)")


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Errors are what stops conversations, warnings what will stop them in production."""
    try:
        found = list(_unknown(setting()))
        if found:
            return found
        application = made()
    except ConfigurationError as error:
        return [checks.Error(f"RTSYNC: {error}", id="rtsync.E001")]
    return [*_users(), *_buses(application)]


def _unknown(given: Any) -> Iterator[checks.CheckMessage]:
    known = [*SETTINGS, *OWN]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name).upper(), known, n=1, cutoff=0.5)
            hint = f"Is {near[0]} meant?" if near else f"There are {', '.join(sorted(known))}."
            yield checks.Error(f"RTSYNC has no key {name!r}.", hint=hint, id="rtsync.E002")


def _users() -> Iterator[checks.CheckMessage]:
    hook = setting().get("OWNER")
    if hook is not None:
        try:
            callable_hook = callable(named(hook))
        except ConfigurationError as error:
            yield checks.Error(f'RTSYNC["OWNER"]: {error}', id="rtsync.E003")
            return
        if not callable_hook:
            yield checks.Error('RTSYNC["OWNER"] must be a function of the request, or its path.', id="rtsync.E003")
    elif not any(_is_kind(path, _AUTHENTICATION) for path in settings.MIDDLEWARE):
        yield checks.Error(
            "Nobody says who is logged in.",
            hint=f'Have {_AUTHENTICATION} in MIDDLEWARE, or set RTSYNC["OWNER"].',
            id="rtsync.E004",
        )


def _is_kind(path: str, wanted: str) -> bool:
    try:
        found, parent = import_string(path), import_string(wanted)
    except ImportError:
        return False  # Django says so itself.
    return found is parent or (isinstance(found, type) and issubclass(found, parent))


def _buses(application: Application) -> Iterator[checks.CheckMessage]:
    workers = _workers()
    for said in bus.check(application.directory, workers=workers):
        yield checks.Warning(f"RTSYNC: {said}", id="rtsync.W001")
    if not application.directory.shared and not settings.DEBUG and workers is None:
        yield checks.Warning(
            "RTSYNC: sessions live in one process (memory://), and DEBUG is off.",
            hint="With more than one worker process requests do not find their sessions: use a redis:// bus.",
            id="rtsync.W002",
        )


def _workers() -> int | None:
    """Processes that will serve, where gunicorn is told by the environment."""
    told = _WORKERS.search(os.environ.get("GUNICORN_CMD_ARGS", ""))
    said = told[1] if told else os.environ.get("WEB_CONCURRENCY", "")
    return int(said) if said.isdecimal() else None
