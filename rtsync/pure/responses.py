"""Responses as they grow: what each has said so far, and which one is speaking.

A *record* collects the events of one response. The *ledger* knows the records: those asked for and not yet begun, in
the order in which they were asked for, and those that have begun, by the service's response id. A response that was
asked for carries a mark in its ``metadata``, which the service echoes; that tells ours from those of voice detection
or of another client, and parallel ones apart. A server that echoes no metadata (compatible servers differ) gets its
responses matched by order.

One response at a time may write to the default conversation (protocol: ``response.create``). ``busy`` says whether
there is one, begun or asked for.

What a record keeps is bounded, of each kind by itself: 64 MiB of audio as base64 (17 minutes of PCM16), 16 MiB of
text, of transcript and of arguments, 64 MiB of items. The beginning is kept, and ``gaps`` says behind which piece it
ends. The whole text may come all the same, with ``response.done``.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from sys import getsizeof
from typing import Any

from rtsync.pure.weight import short_text, weight
from rtsync.vocabulary.events import Event, raw

__all__ = ["Ledger", "Record"]

_MOST_ORPHANS = 64
_MOST_AUDIO = 64 << 20
_MOST_TEXT = 16 << 20
_MOST_ITEMS = 64 << 20
_PIECE = 64  # bytes that a piece takes beside what it says, about

# Piece kind of each delta and of each final text, in both dialects (protocol 3.1 and 3.3).
_DELTAS = {
    "response.output_text.delta": "text",
    "response.text.delta": "text",
    "response.output_audio_transcript.delta": "transcript",
    "response.audio_transcript.delta": "transcript",
    "response.output_audio.delta": "audio",
    "response.audio.delta": "audio",
    "response.function_call_arguments.delta": "arguments",
}
_TEXT_PARTS = {"output_text": "text", "text": "text"}
_SPOKEN_PARTS = {"output_audio": "transcript", "audio": "transcript"}


_ENDS = ("response.created", "response.done")


class Record:
    """One response: what was asked for, and what came of it.

    Attributes:
        mark: our mark in its metadata; None for a response that this session did not ask for.
        out_of_band: whether it stays outside the default conversation.
        id: the service's id, once it has begun.
        status: ``"requested"``, then the service's status (protocol 5.1), or ``"lost"``.
        pieces: deltas in order of arrival, each as kind (``"text"``, ``"transcript"``, ``"audio"``, ``"arguments"``)
            and content; audio is base64 as it came.
        gaps: by kind, the number of pieces behind which no more of the kind are kept; see the module.
        response: the ``response`` object of ``response.done``, or as last known; not to be changed.
        owner: who asked for it by an event of their own; whatever the caller gave.
        restarts: how often it was asked for once more, on a new line; ``pieces`` is another list then.
        unasked: whether the program did not ask for it: another client did, voice detection, or a tool's output.
        offered: whether those who listen for such have been given it.
        kept: whether anybody may read more of it than its id and status, so that what it says is kept: of one that this
            session asked for, and of others where somebody listens for them.
    """

    def __init__(self, mark: str | None = None, *, out_of_band: bool = False, kept: bool = False) -> None:
        self.mark = mark
        self.unasked = mark is None
        self.offered = False
        self.kept = kept or mark is not None
        self.out_of_band = out_of_band
        self.id: str | None = None
        self.status = "requested"
        self.pieces: list[tuple[str, str]] = []
        self.gaps: dict[str, int] = {}
        self.response: dict[str, Any] = {}
        self.owner: object = None
        self.restarts = 0
        self._items: dict[int, dict[str, Any]] = {}
        self._weights: dict[str | int, int] = {}  # Of the pieces by kind, of the items by index.
        self._items_weight = 0

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.status not in ("requested", "in_progress")

    def apply(self, event: Event) -> None:
        """Take in one event of this response."""
        if event.type in _DELTAS:
            self.grow(event.type, raw(event).get("delta"))
        elif event.type in ("response.output_item.added", "response.output_item.done"):
            self._note_item(event)
        elif event.type in _ENDS:
            self._note_response(event)

    def grow(self, kind: str, delta: object) -> None:
        """Take in a delta, the type of whose event is ``kind``."""
        piece = _DELTAS.get(kind)
        if piece is not None and type(delta) is str and self.kept:
            self._note_piece(piece, delta)

    def lose(self) -> None:
        """The line ended before the response did."""
        if not self.done:
            self.status = "lost"

    def restart(self) -> None:
        """It is asked for once more: forget what the first one said."""
        self.id, self.status, self.response = None, "requested", {}
        self.pieces, self._items, self.gaps = [], {}, {}
        self._weights, self._items_weight = {}, 0
        self.restarts += 1

    def cut_short(self, kinds: Iterable[str], seen: int) -> bool:
        """Whether pieces of ``kinds`` are missing and everything before them is among the first ``seen`` pieces."""
        return bool(self.gaps) and any(self.gaps.get(kind, seen + 1) <= seen for kind in kinds)

    @property
    def wordless(self) -> bool:
        """Whether there was more text than is kept, and the end of the response did not bring it."""
        missing = (self.gaps.keys() & {"text"}, _TEXT_PARTS), (self.gaps.keys() & {"transcript"}, _SPOKEN_PARTS)
        return any(gap and not any(self._parts(parts)) for gap, parts in missing)

    @property
    def items(self) -> list[dict[str, Any]]:
        """The output items as last known, in order."""
        output = self.response.get("output")
        if isinstance(output, list) and output:
            return [item for item in output if isinstance(item, dict)]
        return [self._items[index] for index in sorted(self._items)]

    @property
    def text(self) -> str:
        """The text said so far; the whole of it once done."""
        return self._said("text", _TEXT_PARTS)

    @property
    def transcript(self) -> str:
        """The transcript of the audio so far; the whole of it once done."""
        return self._said("transcript", _SPOKEN_PARTS)

    def joined(self, kind: str) -> str:
        """The deltas of ``kind``, joined."""
        return "".join(piece for name, piece in self.pieces if name == kind)

    def _said(self, kind: str, parts: Mapping[str, str]) -> str:
        final = "".join(self._parts(parts)) if self.done else ""
        return final or self.joined(kind)

    def _parts(self, parts: Mapping[str, str]) -> Iterator[str]:
        for item in self.items:
            content = item.get("content")
            for part in content if isinstance(content, list) else ():
                field = parts.get(str(part.get("type"))) if isinstance(part, dict) else None
                value = part.get(field) if field else None
                if isinstance(value, str):
                    yield value

    def _note_piece(self, kind: str, piece: str) -> None:
        if kind in self.gaps:
            return
        kept = self._weights.get(kind, 0) + getsizeof(piece) + _PIECE
        if kept > (_MOST_AUDIO if kind == "audio" else _MOST_TEXT):
            self.gaps[kind] = len(self.pieces)
            return
        self._weights[kind] = kept
        self.pieces.append((kind, piece))

    def _note_item(self, event: Event) -> None:
        index, plain = raw(event).get("output_index"), raw(event).get("item")
        if not self.kept or not isinstance(index, int) or not isinstance(plain, dict):
            return
        weighs = weight(plain) + _PIECE
        more = weighs - self._weights.get(index, 0)
        if self._items_weight + more > _MOST_ITEMS:
            return
        self._items_weight += more
        self._weights[index] = weighs
        self._items[index] = plain

    def _note_response(self, event: Event) -> None:
        response = _response(event)
        if self.kept:
            self.response = response
        self.id = short_text(response.get("id")) or self.id
        status = short_text(response.get("status"))
        if event.type == "response.done":  # Sent once per response, whatever it says (protocol 3.4).
            self.status = status if status is not None and status != "in_progress" else "completed"
        else:
            self.status = "in_progress"


class Ledger:
    """The responses of one connection.

    Attributes:
        keeps_all: whether responses that begin from now on are kept although this session did not ask for them.
    """

    def __init__(self, mark: str, *, echoes: bool = False) -> None:
        self.keeps_all = False
        self._mark = mark
        self._requested: dict[str, Record] = {}
        self._running: dict[str, Record] = {}
        self._echoes = echoes

    @property
    def busy(self) -> bool:
        """Whether a response to the default conversation has begun or been asked for, and not ended."""
        return any(not record.out_of_band for record in self.open)

    @property
    def active(self) -> Record | None:
        """The response that writes to the default conversation now."""
        return next((record for record in self._running.values() if not record.out_of_band), None)

    def request(self, record: Record) -> None:
        """A marked response is about to be asked for."""
        assert record.mark is not None
        self._requested[record.mark] = record

    def withdraw(self, record: Record) -> None:
        """The service refused to begin it, or it was never sent."""
        if record.mark is not None:
            self._requested.pop(record.mark, None)
        if record.id is not None:
            self._running.pop(record.id, None)

    def apply(self, event: Event) -> Record | None:
        """Take in an event; returns the record that it belongs to, if to any."""
        if event.type in _DELTAS:
            return self.grow(event.type, raw(event))
        if not event.type.startswith("response."):
            return None
        record = self._record_of(event)
        if record is not None and (record.kept or event.type in _ENDS):  # Nobody reads the others.
            record.apply(event)
            if record.done and record.id is not None:
                self._running.pop(record.id, None)
        return record

    def grow(self, kind: str, data: dict[str, Any]) -> Record | None:
        """Take in a delta of type ``kind``; returns the record that it belongs to, if to any."""
        record = self._running_as(data.get("response_id"))
        if record is not None and record.kept:
            record.grow(kind, data.get("delta"))
        return record

    @property
    def idle(self) -> bool:
        """Whether no response at all has begun or been asked for, and not ended."""
        return not self._running and not self._requested

    def lose(self, asked: Container[str | None] | None = None) -> list[Record]:
        """The line has ended: every response that had begun is lost, and those asked for over it.

        Args:
            asked: marks of those that the service was asked for; None for all that are waiting to begin.

        Returns:
            Them; what is to become of each is up to the caller.
        """
        waiting = [record for mark, record in self._requested.items() if asked is None or mark in asked]
        lost = [*self._running.values(), *waiting]
        self._running.clear()
        for record in waiting:
            del self._requested[record.mark or ""]
        return lost

    @property
    def open(self) -> list[Record]:
        """The responses that have begun or been asked for, and not ended."""
        return [*self._running.values(), *self._requested.values()]

    def _record_of(self, event: Event) -> Record | None:
        if event.type == "response.created":
            return self._begun(event)
        if event.type == "response.done":
            response_id = _response(event).get("id")
            # A server that skips response.created, or leaves our mark out of it, still ends what was asked for.
            return self._marked(event) or self._running_as(response_id) or self._matched(event)
        return self._running_as(raw(event).get("response_id"))

    def _running_as(self, response_id: object) -> Record | None:
        return self._running.get(response_id) if type(response_id) is str else None

    def _begun(self, event: Event) -> Record | None:
        response_id = short_text(_response(event).get("id"))
        if response_id is None:
            return None
        known = self._running.get(response_id)  # A server that says it twice has not begun another one.
        record = known or self._matched(event) or Record(out_of_band=_is_out_of_band(event), kept=self.keeps_all)
        self._running[response_id] = record
        self._drop_orphan()
        return record

    def _drop_orphan(self) -> None:
        """A server that never ends its responses must not fill the memory; those that we asked for are kept."""
        orphans = [response_id for response_id, record in self._running.items() if record.mark is None]
        if len(orphans) > _MOST_ORPHANS:
            del self._running[orphans[0]]

    def _matched(self, event: Event) -> Record | None:
        """The requested record that this response is, by its mark, else by order where the server echoes none."""
        metadata = _metadata(event)
        if isinstance(metadata.get(self._mark), str):
            return self._marked(event)
        if self._echoes or metadata or not self._requested:
            return None
        return self._requested.pop(next(iter(self._requested)))

    def _marked(self, event: Event) -> Record | None:
        """The requested record whose mark this response carries."""
        mark = _metadata(event).get(self._mark)
        if not isinstance(mark, str):
            return None
        self._echoes = True
        return self._requested.pop(mark, None)


def _response(event: Event) -> dict[str, Any]:
    """The response in ``event``, which nobody changes, so that it may be kept; empty where there is none."""
    response = raw(event).get("response")
    return response if isinstance(response, dict) else {}


def _metadata(event: Event) -> Mapping[str, Any]:
    metadata = _response(event).get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _is_out_of_band(event: Event) -> bool:
    """GA says ``conversation_id: null`` for a response outside the conversation (protocol 5.1); others say nothing."""
    response = _response(event)
    return "conversation_id" in response and response["conversation_id"] is None
