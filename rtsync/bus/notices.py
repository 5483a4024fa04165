"""Events of rtsync's own on the bus, told from the service's by their ``rtsync.`` prefix; and audio kept off it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rtsync.pure.recovery import Lost
from rtsync.vocabulary import errors
from rtsync.vocabulary.errors import CloseCause, RealtimeError, SessionClosed
from rtsync.vocabulary.events import encode, new_event_id

__all__ = [
    "CLOSED",
    "FAILED",
    "GAP",
    "MOVED",
    "closed",
    "closing_error",
    "failed",
    "forgotten",
    "gap",
    "has_audio",
    "idle",
    "moved",
    "without_audio",
]

MOVED = "rtsync.session.moved"
"""The conversation goes on over another line: ``cause``, ``again`` (responses that are asked for once more), ``lost``.

``cause`` is ``"owner_lost"``, ``"handover"``, ``"line_lost"`` or ``"renewed"``.
"""
CLOSED = "rtsync.session.closed"
"""The last event of a session: ``cause``, ``message``, and of what kind the error was, if it was one (``error``)."""
GAP = "rtsync.stream.gap"
"""What came behind the id that a reader asked to go on from is no longer kept: take a snapshot."""
FAILED = "rtsync.command.failed"
"""A command could not be handed to the service: ``message``, ``command_id`` (its ``event_id``), ``error``."""

_AUDIO_DELTAS = frozenset({"response.output_audio.delta", "response.audio.delta"})
_RETRIEVED = "conversation.item.retrieved"
_PLAIN = (str, int, float, bool, type(None))


def moved(cause: str, *, again: Sequence[str], lost: Sequence[Lost]) -> bytes:
    """The notice ``MOVED``."""
    return _notice(
        MOVED,
        cause=cause,
        again=list(again),
        lost=[{"what": each.what, "id": each.id, "reason": each.reason} for each in lost],
    )


def closed(cause: str, message: str, error: RealtimeError | None = None) -> bytes:
    """The notice ``CLOSED``; with an ``error``, so that ``closing_error`` gives it again."""
    return _notice(CLOSED, cause=cause, message=message, **({} if error is None else {"error": _packed(error)}))


def failed(command_id: str, error: RealtimeError) -> bytes:
    """The notice ``FAILED``."""
    return _notice(FAILED, command_id=command_id, message=str(error), error=_packed(error))


def gap(after: str) -> bytes:
    """The notice ``GAP``."""
    return _notice(GAP, after=after)


def idle(timeout: float | str) -> bytes:
    """``CLOSED`` of a session that nobody has used for ``timeout`` seconds."""
    return closed("idle", f"nobody has sent or read anything for {timeout} s")


def forgotten(bus: str) -> bytes:
    """``CLOSED`` of a session that the bus knows no more."""
    message = f"the bus at {bus} has lost this session: it was restarted without its data, or the session has expired"
    return closed("forgotten", message)


def closing_error(notice: Mapping[str, Any]) -> RealtimeError:
    """The error that a ``CLOSED`` notice tells of; a ``SessionClosed`` where it was none."""
    message, cause = str(notice.get("message")), notice.get("cause")
    packed = notice.get("error")
    if isinstance(packed, Mapping) and (error := _unpacked(packed, message)) is not None:
        return error
    known = CloseCause(str(cause)) if cause in set(CloseCause) else CloseCause.SERVER
    return SessionClosed(message, cause=known, retryable=True)


def _packed(error: RealtimeError) -> dict[str, Any]:
    data = {name: value for name, value in vars(error).items() if isinstance(value, _PLAIN)}
    return {"kind": type(error).__name__, "data": data}


def _unpacked(packed: Mapping[str, Any], message: str) -> RealtimeError | None:
    kind = getattr(errors, str(packed.get("kind")), None)
    if not (isinstance(kind, type) and issubclass(kind, RealtimeError)):
        return None
    data = {"headers": {}, "in_flight": (), **(packed.get("data") or {})}  # Which are no plain values, and stay behind.
    if "cause" in data:
        data["cause"] = CloseCause(data["cause"])
    return errors.rebuilt(kind, message, data)


def _notice(kind: str, **fields: Any) -> bytes:
    return encode({"type": kind, "event_id": new_event_id(), **fields})


# -- audio ------------------------------------------------------------------------------------------------------------


def without_audio(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """``event`` without sound; None where it is nothing else."""
    kind = event.get("type")
    if kind in _AUDIO_DELTAS:
        return None
    return _with_silent_item(event) if kind == _RETRIEVED and has_audio(event) else event


def has_audio(event: Mapping[str, Any]) -> bool:
    """Whether the item of ``event`` has sound in it."""
    item = event.get("item")
    parts = item.get("content") if isinstance(item, Mapping) else None
    return isinstance(parts, Sequence) and any(isinstance(part, Mapping) and part.get("audio") for part in parts)


def _with_silent_item(event: Mapping[str, Any]) -> dict[str, Any]:
    item = event["item"]
    parts = [{name: part[name] for name in part if name != "audio"} for part in item["content"]]
    return {**event, "item": {**item, "content": parts}}
