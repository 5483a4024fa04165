"""``flask rtsync``: commands for whoever runs the application."""

from __future__ import annotations

import sys

import flask.cli

from rtsync.bus.program import hold_until_stopped
from rtsync.vocabulary.errors import RealtimeError
from rtsync.web import Application
from rtsync.web.doctor import report

__all__ = ["commands"]


def commands(application: Application) -> flask.cli.AppGroup:
    """The group ``rtsync`` of an application's commands. Threads: any."""
    group = flask.cli.AppGroup("rtsync", help="Realtime conversations.")

    @group.command("doctor", with_appcontext=False)
    def doctor() -> None:
        """Look whether settings, bus and service fit; ends with status 1 where something is wrong."""
        try:
            status = report(application, print)
        finally:
            application.stop()
        sys.exit(status)

    @group.command("worker", with_appcontext=False)
    def worker() -> None:
        """Hold the sessions of this application's web workers, with its tools and handlers, until it is stopped."""
        try:
            hold_until_stopped(application.worker(), lambda said: print(said, file=sys.stderr))
        except RealtimeError as error:
            sys.exit(f"Error: {error}")

    return group
