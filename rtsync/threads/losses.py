"""What a line takes along when it ends although the session goes on, and who is told.

Nothing that the kernel took is sent again (protocol 1.3: a new connection is a new session). So whoever waits for what
was asked over the old line has to hear that it will not come:

1. An event that was handed over and not answered: who asks for its answer, or waits in the window that it was
   sent in, gets a ``ConnectionLost``.
2. A response that had begun or was asked for: who holds it finds it ``lost``; who asked for it by an event of their
   own, and every wait for nothing but ``response.*`` events, gets a ``ResponseFailed`` with the text so far.
3. An event that a thread is just handing over is not lost: that thread sends it over the next line, or hears of it
   there. Nor is a response whose turn has come and that was not asked for yet.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rtsync.pure.correlation import Sent
from rtsync.pure.history import Window
from rtsync.pure.recovery import Lost
from rtsync.pure.responses import Record
from rtsync.threads.connection import Connection
from rtsync.threads.floor import Floor
from rtsync.threads.following import Follower, Request
from rtsync.threads.waiting import Hub
from rtsync.vocabulary.errors import RealtimeError, ResponseFailed, SessionClosed
from rtsync.vocabulary.events import Fields

__all__ = ["Losses", "collect"]


class _Broken(msgspec.Struct, frozen=True):
    record: Record
    follower: Follower | None
    text: str


class Losses(msgspec.Struct):
    """What ended with a line.

    Attributes:
        handed: events that were handed over and not answered, oldest first.
        broken: responses that had begun or were asked for.
        kept: who holds a response that shall be asked for once more.
    """

    handed: Sequence[Sent]
    broken: Sequence[_Broken]
    kept: Sequence[Follower]

    def tell(self, error: SessionClosed, hub: Hub, requests: set[Request]) -> None:
        """Tell everyone concerned. Called by the reader, outside the books."""
        faults: list[tuple[object, RealtimeError]] = []
        for broken in self.broken:
            if broken.follower is not None:
                begun = broken.record.id is not None
                broken.follower.notify(hub.newest, _but(error) if begun else _unanswered(error, "response.create"))
            elif isinstance(broken.record.owner, Window):
                faults.append((broken.record.owner, _failed(broken, error)))
        for sent in self.handed:
            fault = _unanswered(error, sent.type)
            if isinstance(sent.owner, Request):
                requests.discard(sent.owner)
                sent.owner.resolve(0, None, fault)
            elif isinstance(sent.owner, Window):
                faults.append((sent.owner, fault))
        for follower in self.kept:
            follower.bell.ring()  # Who streams it shall see that it begins anew.
        once = {id(owner): (owner, fault) for owner, fault in reversed(faults)}  # The first counts.
        hub.lose(once.values(), _failed(self.broken[0], error) if self.broken else None)

    def listed(self) -> list[Lost]:
        """The same for the program to read."""
        responses = [Lost("response", broken.record.id, "it was running") for broken in self.broken]
        others = [sent for sent in self.handed if not isinstance(sent.owner, Follower)]
        return responses + [Lost("event", sent.type, "it was sent, and not answered") for sent in others]


def collect(connection: Connection, floor: Floor, *, again: bool) -> Losses:
    """What ends with the line of ``connection``. Under the books.

    Args:
        connection: whose line has ended or is left.
        floor: the responses of the session.
        again: whether responses that somebody holds shall be asked for once more.
    """
    handed = [sent for sent in connection.correlation.outstanding() if sent.event_id not in connection.sending]
    asked = {sent.subject for sent in handed if sent.type == "response.create"}
    broken, kept = [], []
    for record, follower in floor.lose(asked):
        # What the service began by itself, e.g. by voice detection, cannot be asked for: it answered what is gone.
        if again and follower is not None and not follower.cancelled and record.mark is not None:
            floor.keep_turn(follower)
            kept.append(follower)
        else:
            record.lose()
            broken.append(_Broken(record, follower, _said(connection, record)))
    asked_again = {id(follower) for follower in kept}
    return Losses([sent for sent in handed if id(sent.owner) not in asked_again], broken, kept)


def _unanswered(error: SessionClosed, event_type: str) -> SessionClosed:
    """What who sent an event of ``event_type`` is told when the line ended with ``error`` and the session goes on."""
    return _but(error, f"; it came before {event_type!r} was answered, which is not sent again", (event_type,))


def _but(error: SessionClosed, also: str = "", in_flight: Sequence[str] = ()) -> SessionClosed:
    """``error``, which did not end the session."""
    told = type(error)(
        f"{error}{also}. The session goes on over a new connection",
        code=error.code,
        reason=error.reason,
        cause=error.cause,
        in_flight=in_flight,
        retryable=error.retryable,
    )
    told.__cause__ = error.__cause__
    return told


def _failed(broken: _Broken, error: SessionClosed) -> ResponseFailed:
    return ResponseFailed(
        f"the line was lost in the middle of the response: {_but(error)}",
        response=Fields(broken.record.response).to_dict() or None,
        status="lost",
        text=broken.text,
    )


def _said(connection: Connection, record: Record) -> str:
    """The text of a response so far; of one that nobody holds, what the conversation has of it."""
    if record.mark is None and not record.out_of_band:
        return connection.conversation.being_said
    return record.text or record.transcript
