"""What the command logs on stderr: records of rtsync's loggers, fit for a terminal."""

from __future__ import annotations

import logging

from rtsync.vocabulary.foreign import harmless

__all__ = ["log_to_stderr", "show_events"]

_EVENTS = "rtsync.events"


class _Formatter(logging.Formatter):
    """A record as a line. A traceback in it may quote what a server sent, so nothing in it commands the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))


def log_to_stderr(verbose: bool) -> None:
    """What is wrong with the settings is always said; the rest comes back as the one line of an error."""
    handler = _handler()
    logging.getLogger("rtsync").addHandler(handler if verbose else logging.NullHandler())
    logging.getLogger("rtsync").setLevel(logging.INFO if verbose else logging.WARNING)
    if not verbose:
        logging.getLogger("rtsync.target").addHandler(handler)


def show_events(*, content: bool) -> None:
    """Log every event that goes over the line, until the command ends."""
    from rtsync import log_events

    logger = logging.getLogger(_EVENTS)
    logger.addHandler(_handler())
    logger.setLevel(logging.INFO)
    logger.propagate = False  # --verbose shows all loggers
    log_events(logger, level=logging.INFO, content=content)


def _handler() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("rtsync: %(message)s"))
    return handler
