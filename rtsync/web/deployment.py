"""How a web server runs the application, as far as its environment and command line tell."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import msgspec

__all__ = ["Deployment", "deployment_of"]


class Deployment(msgspec.Struct, frozen=True):
    """What is known; None where nothing is.

    Attributes:
        processes: that serve the application.
        threads: that each of them has.
        kind: gunicorn's name for its workers.
    """

    processes: int | None = None
    threads: int | None = None
    kind: str | None = None


def deployment_of(environ: Mapping[str, str] | None = None, argv: Sequence[str] | None = None) -> Deployment:
    """Out of ``WEB_CONCURRENCY``, ``GUNICORN_CMD_ARGS`` and, under gunicorn, its command line; or as uWSGI says.

    gunicorn's configuration file is not read: it is a program. ``post_worker_init`` in it knows (docs/deployment.md).

    Args:
        environ: None for this process's.
        argv: None for this process's.

    Threads: any.
    """
    uwsgi = sys.modules.get("uwsgi")  # There is one in the processes that uWSGI runs, and nowhere else.
    if uwsgi is not None:
        return _of_uwsgi(uwsgi)
    environ = os.environ if environ is None else environ
    words = _words(environ.get("GUNICORN_CMD_ARGS", ""))
    command = sys.argv if argv is None else argv
    if command and "gunicorn" in Path(command[0]).parts[-2:]:
        words += command[1:]
    return Deployment(
        processes=_number(_last(words, "-w", "--workers") or environ.get("WEB_CONCURRENCY")),
        threads=_number(_last(words, "", "--threads")),
        kind=_last(words, "-k", "--worker-class"),
    )


def _of_uwsgi(uwsgi: ModuleType) -> Deployment:
    threads = uwsgi.opt.get("threads", b"")
    return Deployment(processes=uwsgi.numproc, threads=_number(threads.decode()) or 1)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _last(words: Iterable[str], short: str, long: str) -> str | None:
    """The value of an option, in any of the ways to write one."""
    found, wanted = None, False
    for word in words:
        name, equals, value = word.partition("=")
        if wanted:
            found, wanted = word, False
        elif word in {short, long} - {""}:
            wanted = True
        elif equals and name == long:
            found = value
        elif short and word.startswith(short) and not word.startswith("--"):
            found = word[len(short) :]
    return found


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
