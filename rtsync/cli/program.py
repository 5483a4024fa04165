"""The command group, and the one place where every way to end becomes a line and an exit status."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TextIO

import click

from rtsync import RealtimeError, __version__
from rtsync.cli.chat import chat
from rtsync.cli.demo import demo
from rtsync.cli.events import events
from rtsync.cli.logs import log_to_stderr
from rtsync.cli.outcome import EXIT_STATUSES, Exit, complain, exit_of
from rtsync.cli.say import say
from rtsync.cli.serve import serve
from rtsync.cli.talk import talk
from rtsync.cli.transcribe import transcribe
from rtsync.cli.worker import worker

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_STATUSES)
@click.version_option(__version__, message="rtsync %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what goes on: the settings found, the line.")
def program(verbose: bool) -> None:
    """Live conversations with the OpenAI and Azure OpenAI Realtime API.

    Every option can also be given as a variable: RTSYNC_CHAT_TIMEOUT=20 is `rtsync chat --timeout 20`. Keys are no
    options, which other users of the machine could see: they come from variables, those of an account also from .env.
    """
    log_to_stderr(verbose)


program.add_command(demo)
program.add_command(chat)
program.add_command(talk)
program.add_command(say)
program.add_command(transcribe)
program.add_command(serve)
program.add_command(worker)
program.add_command(events)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status.

    Args:
        arguments: what follows the program's name; ``sys.argv`` where None.

    Threads: blocks until the command has ended; call it from the main thread, which Ctrl+C interrupts.
    """
    for stream in (sys.stdout, sys.stderr):
        _never_fails_to_encode(stream)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except RealtimeError as error:
        complain(error)
        return exit_of(error)
    except OSError as error:  # stdout: a full disk, or `| head` that has seen enough
        _give_up_stdout()
        if not isinstance(error, BrokenPipeError):
            complain(f"the output cannot be written: {error.strerror or error}")
        return Exit.FAILED


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status = program.main(arguments, prog_name="rtsync", standalone_mode=False, auto_envvar_prefix="RTSYNC")
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.UsageError as error:
        name = error.ctx.command_path if error.ctx else "rtsync"
        complain(f"{error.format_message()} ({name} --help lists the options)", whom=name)
        return Exit.USAGE
    except click.ClickException as error:
        complain(error.format_message())
        return Exit.FAILED
    except click.Abort:
        return Exit.INTERRUPTED
    return status if isinstance(status, int) else Exit.OK


def _never_fails_to_encode(stream: TextIO) -> None:
    """A terminal without a character shows an escape for it; a model's words are no reason to end."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def _give_up_stdout() -> None:
    """What is left in its buffer must not be tried again, and complained about, when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
