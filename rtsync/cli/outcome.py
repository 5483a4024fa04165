"""How the command ends: its exit statuses, and one line for every error."""

from __future__ import annotations

import sys
from enum import IntEnum

from rtsync import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectFailed,
    RealtimeError,
    ResponseFailed,
    SendTimeout,
    SessionClosed,
    WaitTimeout,
)
from rtsync.vocabulary.foreign import one_line

__all__ = ["EXIT_STATUSES", "Exit", "complain", "exit_of", "was_lost"]


class Exit(IntEnum):
    """What the shell sees."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_CONNECTED = 3
    NOT_AUTHENTICATED = 4
    BROKEN_OFF = 5
    INTERRUPTED = 130


EXIT_STATUSES = """\
Exit status: 0 done; 1 the service refused or failed what was asked; 2 an option or a setting is wrong or missing;
3 no connection; 4 the key or token was refused; 5 the conversation broke off (line lost, or nothing came in time);
130 ended by Ctrl+C."""


def was_lost(error: RealtimeError) -> bool:
    """Whether the conversation cannot go on after this error."""
    if isinstance(error, ResponseFailed):
        return error.status == "lost"
    return isinstance(error, SessionClosed | SendTimeout | WaitTimeout)


def exit_of(error: RealtimeError) -> Exit:
    """The exit status that stands for an error."""
    if isinstance(error, ConfigurationError):
        return Exit.USAGE
    if isinstance(error, AuthenticationFailed):
        return Exit.NOT_AUTHENTICATED
    if isinstance(error, ConnectFailed):
        return Exit.NOT_CONNECTED
    return Exit.BROKEN_OFF if was_lost(error) else Exit.FAILED


def complain(message: object, *, whom: str = "rtsync") -> None:
    """One line on stderr. A service's words may hold line breaks and terminal escapes, which are taken out."""
    sys.stderr.write(
        f"{whom}: {one_line(str(message))}\n"
    )  # In one piece: print() lets a prompt in before the line's end.
    sys.stderr.flush()
