"""``Realtime``: the extension. Each application that it is given to has a directory, views and routes of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import flask

from rtsync.bus import SessionDirectory
from rtsync.flask.commands import commands
from rtsync.flask.routes import Owner, routes
from rtsync.session.client_secret import ClientSecret
from rtsync.vocabulary.errors import ConfigurationError, UsageError
from rtsync.web import Application, Gate, settings_from
from rtsync.web.application import Accept, Converse, Prepare
from rtsync.web.doctor import warnings_of

__all__ = ["Realtime"]

logger = logging.getLogger("rtsync.flask")

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_PREFIX = "RTSYNC_"
_PING = 25  # seconds: proxies cut what is silent, often after a minute


class Realtime:
    """The conversations of a Flask application.

    ::

        realtime = Realtime(owner=lambda: flask.session.get("user"), tools=[get_weather])

        def create_app():
            app = flask.Flask(__name__)
            app.config.from_prefixed_env()          # FLASK_RTSYNC_BUS, FLASK_RTSYNC_TARGET, ...
            realtime.init_app(app)
            return app

    Its settings are ``RTSYNC_...`` in ``app.config``: those of `rtsync.web.Settings`, and ``RTSYNC_URL_PREFIX``
    (``/realtime``). Its routes are the blueprint ``rtsync``; ``docs/flask.md`` lists both.

    Args:
        app: the application; None where ``init_app`` is called later, or for several.
        owner: called in each request, returns what the application knows its logged-in user by, a ``str``; None where
            nobody is logged in. It must be given: there is no open default.
        tools: what the model may call in the sessions that this application holds.
        gate: what pages may send; None for a conversation by text and voice.
        session: fields of each session that a page opens, or a callable that returns them for an owner; beats
            ``RTSYNC_SESSION``.
        client_secret: called with an owner, mints a key for WebRTC; beats ``RTSYNC_CLIENT_SECRETS``.
        converse: holds the conversation of a phone call, as of ``rtsync.web.IncomingCalls``; None: there is no webhook.
        accept: how phone calls are answered; None: with the settings of sessions.

    Handlers, tools and ``converse`` run within the application's context.

    Raises:
        ConfigurationError: from the constructor with ``app``, and from ``init_app``: there is no ``owner``, or a
            setting is not what it must be.

    Threads: any.
    """

    def __init__(
        self,
        app: flask.Flask | None = None,
        *,
        owner: Owner | None = None,
        tools: Iterable[Any] = (),
        gate: Gate | None = None,
        session: Mapping[str, Any] | Callable[[str], Mapping[str, Any] | None] | None = None,
        client_secret: Callable[[str], ClientSecret] | None = None,
        converse: Converse | None = None,
        accept: Accept | None = None,
    ) -> None:
        self._owner = owner
        self._tools = tuple(tools)
        self._session = session
        self._code: dict[str, Any] = {
            "gate": gate,
            "client_secret": client_secret,
            "converse": converse,
            "accept": accept,
        }
        self._prepare: list[Prepare] = []
        self._begun = False
        if app is not None:
            self.init_app(app)

    def prepare(self, connect: Decorated) -> Decorated:
        """Have ``connect(session, info)`` called with each session before it is opened, to connect handlers.

        A decorator, for code that stands before ``init_app``. It is called anew whenever a conversation moves to
        another line or worker, in the application's context and a thread of rtsync's.

        Raises:
            UsageError: an application was initialised already.
        """
        if self._begun:
            raise UsageError("prepare comes before init_app: sessions of the application would begin without it")
        self._prepare.append(connect)
        return connect

    def init_app(self, app: flask.Flask) -> None:
        """Give ``app`` the routes, the commands and, as ``app.extensions["rtsync"]``, its ``rtsync.web.Application``.

        Raises:
            ConfigurationError: see the class; or the application has been given them already.
        """
        if not callable(self._owner):
            raise ConfigurationError(
                "Realtime needs owner=: a callable that returns who is logged in, or None; there is no default, as"
                " anybody could reach anybody's sessions"
            )
        if "rtsync" in app.extensions:
            raise ConfigurationError("this application has a Realtime already")
        made, prefix = self._made(app)
        app.extensions["rtsync"] = made
        self._begun = True
        app.register_blueprint(routes(made.views, self._owner), url_prefix=prefix)
        app.cli.add_command(commands(made))
        # Flask-Sock has one set of options for all sockets of an application: its own say is the last.
        frames = {"max_message_size": made.views.gate.max_event_size, "ping_interval": _PING}
        app.config["SOCK_SERVER_OPTIONS"] = {**frames, **app.config.get("SOCK_SERVER_OPTIONS", {})}
        for warning in warnings_of(made):
            logger.warning("%s", warning)

    @property
    def application(self) -> Application:
        """What the current application has. Needs its context.

        Raises:
            UsageError: ``init_app`` was not called for it.
        """
        made = flask.current_app.extensions.get("rtsync")
        if not isinstance(made, Application):
            raise UsageError("this application has no Realtime: call init_app(app)")
        return made

    @property
    def directory(self) -> SessionDirectory:
        """The sessions of the current application. Needs its context."""
        return self.application.directory

    def _made(self, app: flask.Flask) -> tuple[Application, str]:
        values = {name.removeprefix(_PREFIX): value for name, value in app.config.items() if name.startswith(_PREFIX)}
        prefix = values.pop("URL_PREFIX", "/realtime")
        if not isinstance(prefix, str) or not prefix.startswith("/"):
            raise ConfigurationError(f"{_PREFIX}URL_PREFIX must begin with a slash: /realtime")
        if self._session is not None:
            values["SESSION"] = self._session
        settings = settings_from(values, called=lambda name: _PREFIX + name)
        made = Application(settings, tools=self._tools, prepare=self._prepare, within=app.app_context, **self._code)
        return made, prefix.rstrip("/")
