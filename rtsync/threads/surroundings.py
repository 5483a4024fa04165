"""What the program's callables run in, as it has said by ``within=``.

1. A context is entered for what is handled at once: an event, deltas that came together, or a signal. It is left
   before anybody hears that the last of them is handled.
2. No event is lost to it. Where it cannot be entered that is reported, and handlers run without it: those that need it
   fail, and are reported as well. Where leaving it fails that is reported.
3. What comes out of the handlers themselves (``sys.exit()``) passes through it, as through any context.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["Surroundings", "Within", "plainly"]

Job = Callable[[], None]
Within = Callable[[], AbstractContextManager[Any]]


def plainly(job: Job) -> None:
    """Do it, in no surroundings."""
    job()


class Surroundings:
    """Does jobs within the program's context.

    Args:
        within: gives a context.
        report: called with what goes wrong in the context itself.
    """

    def __init__(self, within: Within, report: Callable[[BaseException], None]) -> None:
        self._within = within
        self._report = report

    def __call__(self, job: Job) -> None:
        """Do ``job`` within."""
        entered, raised = False, None
        try:
            with self._within():
                entered = True
                try:
                    job()
                except BaseException as error:
                    raised = error
                    raise
        except BaseException as error:  # sys.exit() too: where it is the context's own, the thread has work left.
            if error is raised or isinstance(error, KeyboardInterrupt):
                raise
            self._report(error)
        finally:
            del raised
        if not entered:
            job()
