"""What an application says of itself in the configuration of its framework, by names and types, checked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from rtsync.edges.environment import target_from_env, target_named
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.targets import Target

__all__ = ["Settings", "settings_from"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="upper"):
    """An application's. Written in capitals, as frameworks do.

    Attributes:
        bus: of the ``SessionDirectory``.
        target: ``"openai"``, ``"azure"`` or ``"simulator"``, completed by the environment; a ``Target``; None: the
            environment says all of it (``target_from_env``).
        session: fields of each session that a page opens, as of ``RealtimeSession(config=...)``; or a callable that
            returns them for an owner.
        audio: whether sound travels over the bus.
        run_owners: whether the web workers hold sessions; None: with ``memory://`` only.
        responses: ``"again"`` or ``"fail"``; as of ``SessionDirectory``.
        origins: whose pages may send, beside the application's own.
        max_sessions, max_sessions_per_owner: most sessions, of all and of one owner.
        max_streams, max_streams_per_owner: most open streams in a process; as of ``Views``.
        max_openings: sessions and client secrets that one owner may ask for in a minute; as of ``Views``.
        idle_timeout: seconds without commands and readers after which a session is closed.
        lease: seconds after which the sessions of a process that died are taken by another one.
        heartbeat: seconds without an event after which a stream says that it is alive.
        client_secrets: whether pages are given keys for WebRTC; with one they are past the gate.
        client_secret_lifetime: seconds; None for the service's choice.
        webhook_secret: of the endpoint for incoming calls; None: ``OPENAI_WEBHOOK_SECRET``.
        max_calls: most phone calls at once in a process.
        session_options: more keyword arguments of each ``RealtimeSession`` that this application holds.
        directory: more keyword arguments of the ``SessionDirectory``: ``{"max_held": 100}``.
        patience: seconds for which a page may not read its WebSocket before it is cut.
        ca_file: a file with the authorities to trust, where the system's are not those.
    """

    bus: str = "memory://"
    target: Any = None
    session: Any = None
    audio: bool = False
    run_owners: bool | None = None
    responses: Literal["again", "fail"] = "again"
    origins: tuple[str, ...] = ()
    max_sessions: int = 1000
    max_sessions_per_owner: int = 8
    max_streams: int | None = None
    max_streams_per_owner: int = 8
    max_openings: int = 60
    idle_timeout: float = 300.0
    lease: float = 2.5
    heartbeat: float = 10.0
    client_secrets: bool = False
    client_secret_lifetime: int | None = None
    webhook_secret: str | None = None
    max_calls: int = 50
    session_options: dict[str, Any] = {}
    directory: dict[str, Any] = {}
    patience: float = 10.0
    ca_file: str | None = None

    def __repr__(self) -> str:
        return "<Settings>"  # They hold secrets.

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []

    @property
    def holds_sessions(self) -> bool:
        """Whether the web workers do."""
        return self.bus.partition(":")[0] == "memory" if self.run_owners is None else self.run_owners

    def chosen_target(self) -> Target:
        """Where sessions connect to.

        Raises:
            ConfigurationError: it is no target, or the environment lacks something.
        """
        if isinstance(self.target, Target):
            return self.target
        if self.target is None:
            return target_from_env()
        if isinstance(self.target, str):
            return target_named(self.target)
        raise ConfigurationError(
            f"the target must be 'openai', 'azure', 'simulator' or a Target, not {type(self.target).__name__}"
        )


def settings_from(values: Mapping[str, Any], *, called: Callable[[str], str]) -> Settings:
    """Settings out of a framework's configuration.

    Args:
        values: by name, in capitals and without a prefix. Numbers and booleans may be text, as environments have them,
            and ``ORIGINS`` a text with commas.
        called: what the application's people call a setting, for messages: ``"RTSYNC_BUS"`` for ``"BUS"``.

    Raises:
        ConfigurationError: a name that is no setting, or a value of another type. No value is quoted.
    """
    known = [field.encode_name for field in msgspec.structs.fields(Settings)]
    for name in values:
        if name not in known:
            raise ConfigurationError(f"{called(name)} is no setting; there are {', '.join(map(called, known))}")
    try:
        return msgspec.convert({**values, **_listed(values.get("ORIGINS"))}, Settings, strict=False)
    except msgspec.ValidationError as error:
        wrong, _, place = str(error).partition(" - at `$.")
        name = place.partition("[")[0].rstrip("`")
        unquoted = wrong.partition(" '")[0].lower()
        raise ConfigurationError(f"{called(name)}: {unquoted}") from None


def _listed(origins: object) -> dict[str, list[str]]:
    """As a list, where it is a text with commas."""
    if not isinstance(origins, str):
        return {}
    return {"ORIGINS": [each.strip() for each in origins.split(",") if each.strip()]}
