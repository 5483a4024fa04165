"""``Application``: what a web application has of rtsync, made once out of its settings and its code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rtsync.bus import SessionDirectory
from rtsync.bus.engine import SessionInfo
from rtsync.pure.webhook import IncomingCall
from rtsync.session.client_secret import ClientSecret, create_client_secret
from rtsync.session.options import Within
from rtsync.session.session import RealtimeSession
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.targets import Target
from rtsync.web.calls import IncomingCalls, Refer, Reject
from rtsync.web.gate import Gate
from rtsync.web.settings import Settings
from rtsync.web.views import Views

__all__ = ["Application"]

Prepare = Callable[[RealtimeSession, SessionInfo], object]
Converse = Callable[[RealtimeSession, IncomingCall], object]
Accept = Mapping[str, Any] | Callable[[IncomingCall], Mapping[str, Any] | Reject | Refer]


class Application:
    """An application's directory, views and calls. It opens nothing before the first request, so forks are fine.

    Args:
        settings: what its configuration says.
        gate: what its pages may send; None for a conversation by text and voice.
        tools: what the model may call in the sessions that it holds; as of ``RealtimeSession(tools=...)``.
        prepare: each is called with every session before it is opened, to connect handlers.
        within: gives the context manager in which handlers, tools and ``converse`` run.
        client_secret: called with an owner, mints a key; None: by the target and the session's settings, where
            ``client_secrets`` says so.
        converse: holds the conversation of a phone call; None: there is no webhook.
        accept: how phone calls are answered; None: with the settings of sessions.
        check_origin: as of ``Views``.

    Attributes:
        settings: as given.
        directory: where the sessions are.
        views: an answer for each route.
        calls: the phone calls; None where there is no webhook.

    Raises:
        ConfigurationError: a setting is not what it must be, or the environment lacks something.

    Threads: any.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        gate: Gate | None = None,
        tools: Iterable[Any] = (),
        prepare: Iterable[Prepare] = (),
        within: Within | None = None,
        client_secret: Callable[[str], ClientSecret] | None = None,
        converse: Converse | None = None,
        accept: Accept | None = None,
        check_origin: bool = True,
    ) -> None:
        self.settings = settings
        self._tools, self._prepare, self._within = tuple(tools), tuple(prepare), within
        self._target: Target | None = None
        self.directory = self._new_directory(holds=settings.holds_sessions)
        self.calls = None if converse is None else self._new_calls(converse, accept)
        self.views = Views(
            self.directory,
            gate=gate,
            config=settings.session,
            origins=settings.origins,
            check_origin=check_origin,
            max_streams_per_owner=settings.max_streams_per_owner,
            max_streams=settings.max_streams,
            max_openings=settings.max_openings,
            client_secret=client_secret or (self._minted if settings.client_secrets else None),
            calls=self.calls,
            heartbeat=settings.heartbeat,
            patience=settings.patience,
        )
        if settings.client_secrets and client_secret is None:
            self.target()  # Now, while somebody looks.

    def __repr__(self) -> str:
        return f"<rtsync Application at {self.directory.bus_name}>"

    def target(self) -> Target:
        """Where this application's sessions and calls are; for web workers that hold none, that of its workers.

        Raises:
            ConfigurationError: the environment does not say, or lacks something.
        """
        if self._target is None:
            self._target = self.settings.chosen_target()
        return self._target

    def worker(self) -> SessionDirectory:
        """A directory that holds sessions, for a process that does nothing else (``hold_until_stopped``)."""
        return self._new_directory(holds=True)

    def stop(self, *, timeout: float = 5.0) -> None:
        """End what runs in this process: streams, sessions, calls. No more calls are taken then.

        Threads: blocks up to twice ``timeout`` seconds.
        """
        if self.calls is not None:
            self.calls.stop(timeout=timeout)
        self.directory.stop(timeout=timeout)

    def _new_directory(self, *, holds: bool) -> SessionDirectory:
        settings = self.settings
        options: dict[str, Any] = {
            "responses": settings.responses,
            "audio": settings.audio,
            "max_sessions": settings.max_sessions,
            "max_sessions_per_owner": settings.max_sessions_per_owner,
            "idle_timeout": settings.idle_timeout,
            "lease": settings.lease,
            **settings.directory,
        }
        try:
            return SessionDirectory(
                settings.bus,
                target=self.target() if holds else None,
                run_owners=holds,
                session_options=self._session_options(),
                prepare=self._prepare_session if self._prepare else None,
                **options,
            )
        except TypeError as error:  # A name that is none, or is set elsewhere.
            raise ConfigurationError(f"DIRECTORY: {error}") from error

    def _session_options(self) -> dict[str, Any]:
        fixed = {"within": self._within, "tls": self.settings.ca_file, "tools": self._tools}
        return {**fixed, **self.settings.session_options}

    def _prepare_session(self, session: RealtimeSession, info: SessionInfo) -> None:
        for each in self._prepare:
            each(session, info)

    def _new_calls(self, converse: Converse, accept: Accept | None) -> IncomingCalls:
        settings = self.settings
        if accept is None and isinstance(settings.session, Mapping):
            accept = settings.session
        return IncomingCalls(
            self.target(),
            converse,
            secret=settings.webhook_secret,
            accept=accept,
            directory=self.directory,
            session_options=self._session_options(),
            within=self._within,
            max_calls=settings.max_calls,
            tls=settings.ca_file,
        )

    def _minted(self, owner: str) -> ClientSecret:
        settings = self.settings
        return create_client_secret(
            self.target(),
            session=self.views.settings(owner),
            expires_after=settings.client_secret_lifetime,
            tls=settings.ca_file,
        )
