"""An application as anybody would write one: a factory, a login, a tool and a handler that use its context."""

from __future__ import annotations

from typing import Any

import flask

from rtsync import Event, RealtimeSession
from rtsync.bus import SessionInfo
from rtsync.flask import Realtime

__all__ = ["create_app", "realtime"]


def price_of(article: str) -> str:
    """What an article costs.

    Args:
        article: its name.
    """
    price: str = flask.current_app.config["PRICES"][article]
    return price


realtime = Realtime(owner=lambda: flask.session.get("user"), tools=[price_of])


@realtime.prepare
def connect(session: RealtimeSession, info: SessionInfo) -> None:
    flask.current_app.config["SEEN"].append(("opened", info.owner))
    session.on("response.done", note)


def note(session: RealtimeSession, event: Event) -> None:
    flask.current_app.config["SEEN"].append((event.type, flask.current_app.name))


def create_app(**config: Any) -> flask.Flask:
    """One application; settings from FLASK_RTSYNC_..., and then ``config``."""
    app = flask.Flask(__name__)
    app.secret_key = "of tests"
    app.config.from_mapping(PRICES={"bread": "4.20"}, SEEN=[], RTSYNC_SESSION={"output_modalities": ["text"]})
    app.config.from_prefixed_env()
    app.config.update(config)
    realtime.init_app(app)

    @app.post("/login/<name>")
    def login(name: str) -> str:
        flask.session["user"] = name
        return name

    return app
