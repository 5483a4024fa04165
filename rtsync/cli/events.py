"""``rtsync events``: the events of the protocol, listed or explained one by one."""

from __future__ import annotations

import difflib

import click

from rtsync import ConfigurationError
from rtsync.cli.outcome import EXIT_STATUSES

__all__ = ["events"]

_SIMILAR = 0.6


@click.command(epilog=EXIT_STATUSES)
@click.argument("event_type", metavar="[TYPE]", required=False)
def events(event_type: str | None) -> None:
    """Explain the events of the Realtime API.

    Without TYPE it lists all of them: the type, who sends it, and what it says. With TYPE it shows one: its fields, the
    objects in it, and an example. A preview endpoint's name will do as well.
    """
    click.echo(_listed() if event_type is None else _explained(event_type))


def _listed() -> str:
    from rtsync.pure.reference import described_types  # a class for every event, which other commands do without

    listed = described_types()
    width = max(len(name) for name, _, _ in listed)
    return "\n".join(f"{name:{width}}  {sender}  {summary}" for name, sender, summary in listed)


def _explained(event_type: str) -> str:
    from rtsync.pure.reference import describe, render
    from rtsync.vocabulary.names import CLIENT_TYPES, PREVIEW_CLIENT_TYPES

    found = describe("session.update" if event_type in PREVIEW_CLIENT_TYPES - CLIENT_TYPES else event_type)
    if not found:
        raise ConfigurationError(f"no event type {event_type!r} is documented{_way_out(event_type)}")
    pages = [render(description).rstrip("\n") for description in found]
    if found[0].name != event_type:
        pages.insert(0, f"{event_type} is what preview endpoints call {found[0].name}; rtsync takes either name.")
    return "\n\n\n".join(pages)


def _way_out(event_type: str) -> str:
    """The name that was meant, where one is similar."""
    from rtsync.pure.reference import described_types
    from rtsync.vocabulary.names import PREVIEW_SERVER_TYPES

    names = {name for name, _, _ in described_types()} | PREVIEW_SERVER_TYPES
    close = difflib.get_close_matches(event_type, sorted(names), n=1, cutoff=_SIMILAR)
    return f"; did you mean {close[0]!r}?" if close else "; `rtsync events` lists them"
