"""What ``manage.py check`` says of the setting ``RTSYNC``, and of what is around it. Nothing is connected to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from rtsync.django.configuration import KEYS, made, named, setting
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.web.application import Application
from rtsync.web.deployment import deployment_of
from rtsync.web.doctor import warnings_of

__all__ = ["check_settings"]

_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Errors are what stops conversations, warnings what will stop them in production."""
    try:
        unknown = list(_unknown(setting()))
        return unknown or [*_users(), *_deployed(made())]
    except ConfigurationError as error:
        return [checks.Error(f"RTSYNC: {error}", id="rtsync.E001")]


def _unknown(given: Iterable[object]) -> Iterator[checks.CheckMessage]:
    for name in given:
        if name not in KEYS:
            near = difflib.get_close_matches(str(name).upper(), KEYS, n=1, cutoff=0.5)
            hint = f"Is {near[0]} meant?" if near else f"There are {', '.join(sorted(KEYS))}."
            yield checks.Error(f"RTSYNC has no key {name!r}.", hint=hint, id="rtsync.E002")


def _users() -> Iterator[checks.CheckMessage]:
    hook = setting().get("OWNER")
    if hook is None:
        if not any(_is_kind(path, _AUTHENTICATION) for path in settings.MIDDLEWARE):
            yield checks.Error(
                "Nobody says who is logged in.",
                hint=f'Have {_AUTHENTICATION} in MIDDLEWARE, or set RTSYNC["OWNER"].',
                id="rtsync.E004",
            )
    elif not callable(named(hook)):
        yield checks.Error('RTSYNC["OWNER"] must be a function of the request, or its path.', id="rtsync.E003")


def _is_kind(path: str, wanted: str) -> bool:
    try:
        found, kind = import_string(path), import_string(wanted)
    except ImportError:
        return False  # Django says so itself.
    return isinstance(found, type) and issubclass(found, kind)


def _deployed(application: Application) -> Iterator[checks.CheckMessage]:
    deployment = deployment_of()
    for said in warnings_of(application, deployment=deployment):
        yield checks.Warning(f"RTSYNC: {said}.", id="rtsync.W001")
    if not (application.directory.shared or settings.DEBUG) and deployment.processes is None:
        yield checks.Warning(
            "RTSYNC: sessions live in one process (memory://), and DEBUG is off.",
            hint="With more than one worker process requests do not find their sessions: use a redis:// bus.",
            id="rtsync.W002",
        )
