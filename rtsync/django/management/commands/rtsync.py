"""``manage.py rtsync worker``: holds the sessions of this project."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from rtsync.bus.holding import hold_until_stopped
from rtsync.django.configuration import made, setting
from rtsync.vocabulary.errors import RealtimeError

__all__ = ["Command"]


class Command(BaseCommand):
    """See ``docs/django.md``."""

    help = "Realtime conversations of this project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What there is to do, and how."""
        doing = parser.add_subparsers(dest="doing", required=True)
        worker = doing.add_parser(
            "worker",
            help="Hold the sessions that the web workers open on a redis:// bus, until Ctrl+C or SIGTERM; then hand "
            "them over.",
        )
        worker.add_argument("--max-sessions", type=int, help="Most sessions at once (500).")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do it."""
        try:
            self._hold(options["max_sessions"])
        except RealtimeError as error:
            raise CommandError(str(error)) from error

    def _hold(self, most: int | None) -> None:
        """Hold sessions."""
        limits = {} if most is None else {"max_held": most}
        worker = made(RUN_OWNERS=True, DIRECTORY={**setting().get("DIRECTORY", {}), **limits})
        if not worker.directory.shared:
            raise CommandError('a worker is another process: set RTSYNC["BUS"] to a redis:// address')
        hold_until_stopped(worker.directory, self.stderr.write)
