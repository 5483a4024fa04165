"""``--timeline FILE``: the turns of a conversation as a page, written when the conversation is over."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from rtsync import RealtimeSession, timeline_page

__all__ = ["drawn_to", "timeline_options"]


def timeline_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that holds a conversation: ``timeline`` and ``timeline_words``, for ``drawn_to``."""
    words = click.option(
        "--timeline-words", is_flag=True, help="Also write down there what was said, which stays out otherwise."
    )
    page = click.option(
        "--timeline",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="At the end, draw who spoke when, and where the time went, as an HTML page.",
    )
    return page(words(command))


@contextlib.contextmanager
def drawn_to(path: Path | None, session: RealtimeSession, *, words: bool = False) -> Iterator[None]:
    """Write the turns of ``session`` to ``path`` when the block is over, however it ends; nothing where it is None.

    Stands around ``with session``, so that the last turn has ended, too.

    Args:
        path: of the HTML file; what is there is replaced.
        session: whose turns are drawn.
        words: whether what was said goes into the file.

    Raises:
        click.FileError: it cannot be written; not where the block has raised already.
    """
    try:
        yield
    except BaseException:
        if session.turns:  # Else it was never open, and what is there from an earlier time is worth more.
            with contextlib.suppress(click.FileError):
                _write(path, session, words)
        raise
    _write(path, session, words)


def _write(path: Path | None, session: RealtimeSession, words: bool) -> None:
    if path is None:
        return
    said = {item.id: item.text or item.transcript for item in session.conversation.items} if words else None
    try:
        path.write_text(timeline_page(session.turns, said=said), encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(path), error.strerror or "it cannot be written") from error
