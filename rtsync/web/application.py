"""The settings of an application, in whatever framework it keeps them, and what they make: a directory and views.

Flask has them as ``RTSYNC_BUS``, Django as ``RTSYNC["BUS"]``. Who the users are is the framework's to find out.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rtsync import Azure, OpenAI, Simulator, Target, create_client_secret, target_from_env
from rtsync.bus import SessionDirectory
from rtsync.session.client_secret import ClientSecret
from rtsync.session.options import Within
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.web.gate import Gate
from rtsync.web.views import Views

__all__ = ["SETTINGS", "Application", "named", "unknown_settings"]

SETTINGS: Mapping[str, Any] = {
    "BUS": "memory://",
    "TARGET": None,
    "RUN_OWNERS": None,
    "SESSION": None,
    "SESSION_OPTIONS": {},
    "TOOLS": (),
    "PREPARE": None,
    "AUDIO": False,
    "DIRECTORY": {},
    "GATE": None,
    "ORIGINS": (),
    "MAX_STREAMS": None,
    "MAX_STREAMS_PER_OWNER": 8,
    "HEARTBEAT": 10.0,
    "CLIENT_SECRETS": False,
    "CALLS": None,
}
"""What can be set, with the defaults; ``docs/web.md`` says what each is."""

_TARGETS: dict[str, Callable[[], Target]] = {"openai": OpenAI, "azure": Azure, "simulator": Simulator}


class Application:
    """What the settings of an application make.

    Args:
        settings: by their names above. Where code is asked for, its dotted path will do: ``"shop.voice.prepare"``.
        within: what handlers and tools run in.
        check_origin: as of ``Views``.

    Attributes:
        directory: where the sessions are.
        views: what answers.

    Raises:
        ConfigurationError: a setting is not what it must be, or is none.

    Threads: any. It opens nothing, and may be made before a fork.
    """

    def __init__(self, settings: Mapping[str, Any], *, within: Within | None = None, check_origin: bool = True) -> None:
        for name, message in unknown_settings(settings):
            raise ConfigurationError(f"{name}: {message}")
        self._settings = {**SETTINGS, **settings}
        self._within = within
        self.directory = self._directory()
        self.views = self._views(check_origin)

    @functools.cached_property
    def target(self) -> Target:
        """Where this process connects to.

        Raises:
            ConfigurationError: none is set, and the environment says none.
        """
        wanted = self._settings["TARGET"]
        if wanted is None:
            return target_from_env()
        found = _TARGETS[wanted]() if wanted in ("openai", "azure", "simulator") else named(wanted)
        if not isinstance(found, Target):
            raise ConfigurationError(
                'TARGET must be "openai", "azure", "simulator", a target or the path of one, or None for what the'
                f" environment says; not {type(found).__name__}"
            )
        return found

    def _directory(self) -> SessionDirectory:
        settings = self._settings
        holds = settings["RUN_OWNERS"]
        if holds is None:
            holds = str(settings["BUS"]).partition(":")[0] == "memory"
        return SessionDirectory(
            settings["BUS"],
            run_owners=holds,
            target=self.target if holds else None,
            audio=settings["AUDIO"],
            prepare=named(settings["PREPARE"]),
            session_options=self._session_options(),
            **_mapping(settings["DIRECTORY"], "DIRECTORY"),
        )

    def _session_options(self) -> dict[str, Any]:
        options = dict(_mapping(self._settings["SESSION_OPTIONS"], "SESSION_OPTIONS"))
        if self._within is not None:
            options.setdefault("within", self._within)
        tools = self._settings["TOOLS"]
        if isinstance(tools, str) or not isinstance(tools, Iterable):
            raise ConfigurationError("TOOLS must be a list of functions, or of their paths")
        found = [tool if isinstance(tool, Mapping) else named(tool) for tool in tools]
        return {**options, "tools": found} if found else options

    def _views(self, check_origin: bool) -> Views:
        settings = self._settings
        gate = named(settings["GATE"])
        if gate is not None and not isinstance(gate, Gate):
            raise ConfigurationError(f"GATE must be a Gate, or the path of one, not {type(gate).__name__}")
        return Views(
            self.directory,
            gate=gate,
            config=named(settings["SESSION"]),
            origins=settings["ORIGINS"],
            check_origin=check_origin,
            max_streams=settings["MAX_STREAMS"],
            max_streams_per_owner=settings["MAX_STREAMS_PER_OWNER"],
            heartbeat=settings["HEARTBEAT"],
            client_secret=self._mint if settings["CLIENT_SECRETS"] else None,
            calls=named(settings["CALLS"]),
        )

    def _mint(self, owner: str) -> ClientSecret:
        return create_client_secret(self.target, session=self.views.settings(owner))


def unknown_settings(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The names that mean nothing, each with the nearest that does."""
    found = []
    for name in settings:
        if name not in SETTINGS:
            near = difflib.get_close_matches(str(name).upper(), SETTINGS, n=1, cutoff=0.5)
            hint = f"is {near[0]} meant?" if near else f"there are {', '.join(sorted(SETTINGS))}"
            found.append((str(name), f"there is no such setting; {hint}"))
    return found


def named(value: Any) -> Any:
    """What a dotted path stands for; anything else as it is.

    Raises:
        ConfigurationError: there is nothing of that name.
    """
    if not isinstance(value, str):
        return value
    module, _, name = value.replace(":", ".").rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"there is no {value!r}: {error}") from error


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} must be a mapping of options, not {type(value).__name__}")
    return value
