"""``manage.py rtsync``: commands for whoever runs the project."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from rtsync.bus.program import hold_until_stopped
from rtsync.django.configuration import made
from rtsync.vocabulary.errors import RealtimeError
from rtsync.web.application import Application
from rtsync.web.doctor import report

__all__ = ["Command"]

_HELP = (
    "doctor: look whether settings, bus and service fit; ends with status 1 where something is wrong. "
    "worker: hold the sessions of this project's web workers, with its tools and handlers, until it is stopped."
)


class Command(BaseCommand):
    """See ``docs/django.md``."""

    help = "Realtime conversations."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What there is to do."""
        parser.add_argument(
            "doing", choices=("doctor", "worker"), help=_HELP
        )  # No subparsers: --settings goes anywhere.

    def handle(self, *_: Any, doing: str, **__: Any) -> None:
        """Do it."""
        try:
            application = made()
            if doing == "worker":
                hold_until_stopped(application.worker(), self.stderr.write)
            else:
                self._examine(application)
        except RealtimeError as error:
            raise CommandError(str(error)) from error

    def _examine(self, application: Application) -> None:
        try:
            status = report(application, self.stdout.write)
        finally:
            application.stop()
        if status:
            sys.exit(status)
