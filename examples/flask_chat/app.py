"""A page to talk with a model, by text and by voice.

What:  streamed answers, microphone and speaker, interruption, transcripts; a reload finds the conversation
Needs: pip install 'rtsync[flask]'; 'rtsync[simulator-voice]' and flite for a simulator that hears and speaks
Run:   python examples/flask_chat/app.py
With:  OPENAI_API_KEY; or AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_DEPLOYMENT and AZURE_OPENAI_API_KEY: no simulator
"""

import os
import secrets
from typing import Any

from flask import Flask, Response, make_response, render_template, request, session, url_for

import rtsync
from rtsync.flask import Realtime

ACCOUNTS = ("RTSYNC_TARGET", "AZURE_OPENAI_ENDPOINT", "OPENAI_API_KEY")
# Scripts and styles are files of ours, and nothing else is loaded from anywhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws://{0} wss://{0};"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def target() -> rtsync.Target:
    try:
        return rtsync.target_from_env()  # Reads .env, too.
    except rtsync.ConfigurationError:
        if any(map(os.environ.get, ACCOUNTS)):
            raise
        return rtsync.Simulator(ears="auto", voice="auto", vad="auto")


def visitor() -> str | None:
    """Whose conversations these are, from Flask's signed cookie. In your application: who is logged in."""
    return session.get("visitor")


realtime = Realtime(owner=visitor)


def create_app(**config: Any) -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(
        SECRET_KEY=secrets.token_hex(),  # Several processes need one that is the same: FLASK_SECRET_KEY.
        SESSION_COOKIE_SAMESITE="Lax",
        RTSYNC_AUDIO=True,  # Through the relay.
        RTSYNC_SESSION={
            "instructions": "Talk with the visitor of a web page. Be brief, friendly and plain.",
            "audio": {"input": {"transcription": {"model": os.environ.get("TRANSCRIBER", "gpt-4o-mini-transcribe")}}},
        },
    )
    app.config.from_prefixed_env()  # FLASK_RTSYNC_BUS, ...
    app.config.from_mapping(config)
    app.config.setdefault("RTSYNC_TARGET", target())
    realtime.init_app(app)
    app.add_url_rule("/", view_func=page)
    return app


def page() -> Response:
    session.setdefault("visitor", secrets.token_urlsafe())
    service = type(realtime.application.target()).__name__
    response = make_response(
        render_template("chat.html", base="/realtime", static=url_for("static", filename=""), service=service)
    )
    response.headers["Content-Security-Policy"] = POLICY.format(request.host)
    response.headers["Permissions-Policy"] = "microphone=(self)"
    response.headers["Cache-Control"] = "no-store"
    return response


if __name__ == "__main__":
    create_app().run(port=int(os.environ.get("PORT", "5000")), threaded=True)
