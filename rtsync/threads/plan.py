"""What a new connection shall have, by the user's choice of ``Reconnect(restore=...)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rtsync.pure.conversation import Snapshot
from rtsync.pure.recovery import Lost, Reconnect, Replay, replay
from rtsync.threads.connection import Connection
from rtsync.vocabulary.events import encode
from rtsync.vocabulary.ids import new_id

if TYPE_CHECKING:
    from rtsync.threads.reader import Core

__all__ = ["Plan"]


class Plan:
    """The plan of one new connection. A callable of the user's is asked once, in the thread that asks for the plan."""

    def __init__(self, core: Core, policy: Reconnect | None) -> None:
        assert policy is not None
        self._core = core
        self._restore = policy.restore
        self._chosen: list[dict[str, Any]] | None = None  # What a callable has chosen, and from what.
        self._chosen_from: frozenset[str] = frozenset()

    def aim(self, connection: Connection) -> None:
        """Tell the restoration of ``connection`` what there shall be now."""
        connection.restoration.aim(self._core.settings.event, self._replayed(self._core.snapshot()).items)

    def is_met(self, connection: Connection) -> bool:
        """Whether the connection has that already."""
        return connection.restoration.has(self._core.settings.event, self._replayed(self._core.snapshot()).items)

    def lost(self, connection: Connection) -> tuple[Lost, ...]:
        """What cannot be rebuilt or was refused, and, where a renewal could not wait for it, what has changed since."""
        replayed, restoration = self._replayed(self._core.snapshot()), connection.restoration
        new = "it came while the session was being renewed"
        back = "it was deleted while the session was being renewed, and the service may have it again"
        return (
            *replayed.lost,
            *restoration.lost,
            *(Lost("item", item_id, new) for item_id in restoration.lacks(replayed.items)),
            *(Lost("item", item_id, back) for item_id in restoration.exceeds(replayed.items)),
        )

    def _replayed(self, snapshot: Snapshot) -> Replay:
        if self._restore == "conversation":
            return replay(snapshot)
        if self._restore == "config":
            why = "restore='config' brings back no items"
            return Replay([], tuple(Lost("item", item.id, why) for item in snapshot.items))
        if self._chosen is None:
            self._chosen_from = frozenset(item.id for item in snapshot.items)
            self._chosen = self._choose(snapshot)
        deleted = self._chosen_from.difference(item.id for item in snapshot.items)
        chosen = [item for item in self._chosen if item["id"] not in deleted]
        later = [item for item in replay(snapshot).items if item["id"] not in self._chosen_from]
        return Replay([*chosen, *later], ())

    def _choose(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """What the user's callable returns; nothing where it fails, which is reported."""
        assert callable(self._restore)
        try:
            chosen = [_named(item) for item in self._restore(snapshot)]
            encode({"items": chosen})  # What cannot be written would break the line that it is to go over.
        except (Exception, SystemExit) as error:  # sys.exit() ends no thread of rtsync's.
            self._core.report(self._restore, error)
            return []
        return chosen


def _named(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of the user's, with an id, by which its answer is told from others'."""
    known = item.get("id")
    return {**item, "id": known if isinstance(known, str) and known else new_id("item")}
