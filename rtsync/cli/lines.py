"""How a command holds its session's line, as options: limits in time, whom to trust, what is logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from rtsync import RealtimeSession, Target, Tool
from rtsync.cli.logs import show_events
from rtsync.cli.option_sets import Option, gathered

__all__ = ["LineOptions", "line_options"]

_SECONDS = click.FloatRange(min=0, min_open=True)

_OPTIONS = (
    click.option(
        "--log-events",
        type=click.Choice(["outline", "content"]),
        is_flag=False,
        flag_value="outline",
        help="Log every event in both directions on stderr: its type, ids and size, or with `content` also what it "
        "says.",
    ),
    click.option("--connect-timeout", type=_SECONDS, default=10.0, show_default=True, help="Seconds for connecting."),
    click.option(
        "--timeout",
        type=_SECONDS,
        default=60.0,
        show_default=True,
        help="Seconds of silence before an answer is given up.",
    ),
    click.option(
        "--ca-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Certificate authority to trust, e.g. that of `rtsync serve --tls`.",
    ),
)


class LineOptions(msgspec.Struct, frozen=True):
    """What the options say.

    Attributes:
        log_events: ``"outline"`` or ``"content"``; None for no log.
        connect_timeout: in seconds.
        timeout: seconds of silence after which whatever is awaited is given up.
        ca_file: of an authority to trust.
    """

    log_events: str | None
    connect_timeout: float
    timeout: float
    ca_file: Path | None

    def session(self, target: Target, config: Mapping[str, Any], tools: Sequence[Tool] = ()) -> RealtimeSession:
        """A session with ``target``, not open, in which the model may call ``tools``; the log is on from now."""
        if self.log_events is not None:
            show_events(content=self.log_events == "content")
        return RealtimeSession(
            target,
            config=config,
            tools=tuple(tools),
            connect_timeout=self.connect_timeout,
            tls=None if self.ca_file is None else str(self.ca_file),
        )


line_options: Option = gathered(LineOptions, "line", _OPTIONS)
"""Give a command these options; it gets them as one ``line``."""
