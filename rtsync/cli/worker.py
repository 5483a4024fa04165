"""``rtsync worker``: a process that holds the sessions of web applications."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rtsync import ConfigurationError
from rtsync.cli.accounts import Wish, chosen_target, target_options
from rtsync.cli.outcome import EXIT_STATUSES

__all__ = ["worker"]

_SECONDS = click.FloatRange(min=0, min_open=True)


@click.command(epilog=EXIT_STATUSES)
@click.option(
    "--bus",
    metavar="URL",
    envvar="RTSYNC_BUS",
    required=True,
    help="redis://host:port/db, as the web workers have it; in RTSYNC_BUS a password is not seen by others.",
)
@target_options
@click.option(
    "--max-sessions", type=click.IntRange(min=1), default=500, show_default=True, help="Most sessions at once."
)
@click.option(
    "--lease",
    type=_SECONDS,
    default=2.5,
    show_default=True,
    help="Seconds after which other workers take the sessions of this one when it says nothing.",
)
@click.option(
    "--prepare", metavar="MODULE:FUNCTION", help="Called with each session before it is opened, to connect handlers."
)
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificate authority to trust, e.g. that of `rtsync serve --tls`.",
)
def worker(bus: str, wish: Wish, max_sessions: int, lease: float, prepare: str | None, ca_file: Path | None) -> None:
    """Hold the sessions that web workers open on a Redis bus, until it is stopped.

    Any number of workers may run, on any host that reaches the bus. When one dies, the others take its sessions and
    rebuild them; when it is stopped, by Ctrl+C or SIGTERM, it hands them over at once, and ends with status 0.

    The target and its credentials are this worker's, chosen as `rtsync chat` chooses them: they do not travel over the
    bus.
    """
    # Heavy, and the other commands do without them.
    from rtsync.bus import SessionDirectory
    from rtsync.bus.program import hold_until_stopped

    if bus.partition(":")[0] == "memory":
        raise click.UsageError(
            "--bus memory:// is within one process, and this is another one; give a redis:// address"
        )
    directory = SessionDirectory(
        bus,
        target=chosen_target(wish),
        run_owners=True,
        lease=lease,
        max_held=max_sessions,
        prepare=None if prepare is None else _named(prepare),
        session_options={} if ca_file is None else {"tls": str(ca_file)},
    )
    hold_until_stopped(directory, lambda said: click.echo(said, err=True))


def _named(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"--prepare {place}: there is no such function ({error})") from error
    if not callable(found):
        raise ConfigurationError(f"--prepare {place}: that is no function")
    return found  # type: ignore[no-any-return]
