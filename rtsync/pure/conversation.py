"""What the session knows of its conversation: items in order as they grow, responses, configuration, limits, usage.

It is built from server events alone, in the order of their arrival, so it shows what the service has confirmed:

1. Items are those of the default conversation, announced by ``conversation.item.added`` (or ``created``), each behind
   its ``previous_item_id``. Out-of-band responses leave no items (protocol 3.4, rule 10).
2. Content grows by deltas and is replaced by what the closing events say. One event costs the same however long the
   conversation is: items are found by id and linked in order, small pieces are joined as they come and
   the others when somebody looks.
3. Audio is counted, not kept: parts lose their ``audio`` when they are taken in.
4. Nothing is trusted: a field of another type is passed over, an unknown item is nobody's.
5. What is kept is bounded, in items and in bytes of memory. Beyond that the items at the beginning are dropped, one
   after the other, and counted. Every item knows what it weighs, so that no event looks at more than what it changes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from sys import getsizeof
from typing import Any

import msgspec

from rtsync.pure.runs import Run
from rtsync.pure.weight import short_text, weight
from rtsync.vocabulary.events import Event, Fields, Items, raw

__all__ = ["COUNTED", "Conversation", "Item", "ResponseSummary", "Snapshot", "Usage"]

COUNTED = frozenset({"response.done", "conversation.item.input_audio_transcription.completed"})
"""Events that say what was used."""

_MOST_ITEMS = 10_000
_MOST_WEIGHT = 64 << 20
_MOST_RESPONSES = 256
_MOST_UNADDED = 64  # responses
_LATELY = 8  # items
_HEAVIEST_USAGE = 16 << 10
_LONGEST = 1e6  # seconds of one transcription that are believed
# Bytes that an item, one of its parts and a piece or field of these take beside what they say, about.
_ITEM, _PART, _PLACE = 1024, 256, 64
_PIECE = 512  # characters up to which deltas are joined as they come
_LIGHT = 1024  # what deltas may add to an item before it is weighed again


_item_id, _content_index, _delta = itemgetter("item_id"), itemgetter("content_index"), itemgetter("delta")

_CALL_IDS = {
    "function_call": "call_id",
    "function_call_output": "call_id",
    "mcp_approval_request": "id",
    "mcp_approval_response": "approval_request_id",
}


class Item(msgspec.Struct, frozen=True):
    """One item of a conversation, as it was when the snapshot was taken.

    Attributes:
        id: its id.
        type: ``"message"``, ``"function_call"``, ``"function_call_output"``, ``"mcp_call"``, ...
        role: ``"user"``, ``"assistant"`` or ``"system"`` for a message, else None.
        status: ``"in_progress"``, ``"completed"`` or ``"incomplete"``, or None where the service says none.
        text: its text parts, joined.
        transcript: the transcripts of its audio parts, joined; empty until they are known.
        truncated_ms: milliseconds of audio that a truncation left, or None.
        data: the item as a plain dict in the service's shape (protocol 5.3), with its content so far, without audio.
    """

    id: str
    type: str
    role: str | None
    status: str | None
    text: str
    transcript: str
    truncated_ms: int | None
    data: dict[str, Any]

    def __repr__(self) -> str:  # Without what was said: see ``rtsync.vocabulary.discretion``.
        said = f"{len(self.text or self.transcript)} characters"
        return f"<Item {self.id!r} {self.type!r} {self.role!r} {self.status!r}, {said}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("type", self.type), ("role", self.role), ("status", self.status)]


class Usage(msgspec.Struct, frozen=True):
    """What the session has used so far, over all its lines (protocol 5.2). Of what a line took along nothing is known.

    Attributes:
        responses: how many have ended.
        total_tokens: of responses; transcriptions are counted below, by themselves.
        input_tokens: of responses.
        output_tokens: of responses.
        input_text_tokens: those of them that are text. Where a service gives no details these stay 0.
        input_audio_tokens: likewise.
        cached_tokens: input tokens that the service had read before; they are part of the above.
        output_text_tokens: those of the output that are text.
        output_audio_tokens: likewise.
        input_image_tokens: those of the input that are images.
        cached_text_tokens: cached tokens that are text.
        cached_audio_tokens: likewise.
        cached_image_tokens: likewise.
        transcriptions: how many items of the user's were transcribed.
        transcription_tokens: of all of them, by models that count tokens.
        transcription_text_tokens: of their input, prompts.
        transcription_audio_tokens: of their input.
        transcription_output_tokens: what they wrote.
        transcription_seconds: by models that count seconds.
    """

    responses: int = 0
    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_text_tokens: int = 0
    input_audio_tokens: int = 0
    cached_tokens: int = 0
    output_text_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    cached_text_tokens: int = 0
    cached_audio_tokens: int = 0
    cached_image_tokens: int = 0
    transcriptions: int = 0
    transcription_tokens: int = 0
    transcription_text_tokens: int = 0
    transcription_audio_tokens: int = 0
    transcription_output_tokens: int = 0
    transcription_seconds: float = 0.0


class ResponseSummary(msgspec.Struct, frozen=True):
    """A response as the service last described it.

    Attributes:
        id: its id.
        status: ``"in_progress"`` or how it ended (protocol 5.1).
        usage: tokens used, in the service's shape, or None.
    """

    id: str
    status: str
    usage: dict[str, Any] | None

    def __repr__(self) -> str:
        return f"<ResponseSummary {self.id!r} {self.status!r}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("status", self.status)]


class Snapshot(msgspec.Struct, frozen=True):
    """A conversation at one moment; it does not change any more.

    Attributes:
        items: the items in order.
        responses: the newest responses, oldest first.
        config: the session as last confirmed (protocol section 4), empty before ``session.created``.
        rate_limits: as last told (protocol 5.5).
        usage: totals.
        speaking: whether voice detection hears somebody.
        dropped_items: items at the beginning that are no longer in ``items``: of more than 10,000, or of items that
            take more than 64 MiB of memory, the oldest are not kept.
    """

    items: tuple[Item, ...]
    responses: tuple[ResponseSummary, ...]
    config: dict[str, Any]
    rate_limits: list[Any]
    usage: Usage
    speaking: bool
    dropped_items: int = 0

    def __repr__(self) -> str:
        return f"<Snapshot of {len(self.items)} items, {len(self.responses)} responses>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("items", self.items), ("responses", self.responses), ("usage", self.usage)]


class _Growing:
    """An item while it lives: its fields, and its parts' text in pieces.

    ``weight`` is what it takes, about, and ``counted`` how much of that its conversation knows of.
    """

    __slots__ = ("after", "before", "counted", "fields", "id", "parts", "pieces", "truncated_ms", "weight")

    def __init__(self, item_id: str) -> None:
        self.id = item_id
        self.fields: dict[str, Any] = {}
        self.parts: list[dict[str, Any]] = []
        self.pieces: dict[tuple[int, str], list[str]] = {}
        self.truncated_ms: int | None = None
        self.before: _Growing | None = None
        self.after: _Growing | None = None
        self.weight = _ITEM
        self.counted = 0

    @property
    def awaits_transcript(self) -> bool:
        """Whether it is audio of a user's of whose words nothing is known, nor that they will not be."""
        return self.fields.get("role") == "user" and any(
            part.get("type") == "input_audio"
            and not part.get("transcript")
            and (index, "transcript") not in self.pieces
            for index, part in enumerate(self.parts)
        )

    def describe(self, item: Mapping[str, Any]) -> None:
        """What the service says of the whole item."""
        self._keep(self.fields, {name: value for name, value in item.items() if name != "content"})
        content = item.get("content")
        if isinstance(content, list) and (content or not self.parts):
            for index, part in enumerate(content):
                self.set_part(index, part)

    def set_part(self, index: int, part: object) -> None:
        """What the service says of one content part. A transcript already known is not undone by a null."""
        if not isinstance(part, dict) or not 0 <= index <= len(self.parts):
            return
        if index == len(self.parts):
            self.parts.append({})
            self.weight += _PART
        known = self.parts[index]
        said = {
            name: value
            for name, value in part.items()
            if name != "audio" and not ((value is None or value == "") and known.get(name))
        }
        self._keep(known, said)
        for name in ("text", "transcript"):
            if isinstance(said.get(name), str) and said[name]:
                self.forget(index, name)

    def grow(self, index: int, name: str, piece: str) -> None:
        """A delta of a part's text or transcript, or (index -1) of a call's arguments."""
        pieces = self.pieces.get((index, name))
        if pieces is None:
            pieces = self.pieces[index, name] = []
            self.weight += _PART
        if pieces and len(pieces[-1]) + len(piece) <= _PIECE:  # A string takes more memory than a word in it.
            joined = pieces[-1] + piece
            self.weight += getsizeof(joined) - getsizeof(pieces[-1])
            pieces[-1] = joined
            return
        pieces.append(piece)
        self.weight += getsizeof(piece) + _PLACE

    def settle(self, index: int, name: str, whole: str) -> None:
        """The whole of what the deltas were pieces of."""
        self.forget(index, name)
        self.grow(index, name, whole)

    def forget(self, index: int, name: str) -> None:
        """The deltas so far are void."""
        pieces = self.pieces.pop((index, name), None)
        if pieces is not None:
            self.weight -= sum(map(getsizeof, pieces)) + _PLACE * len(pieces) + _PART

    def truncate(self, index: int, end: int) -> None:
        """Cut to ``end`` milliseconds of audio. The service forgets the transcript with the audio."""
        self.truncated_ms = end
        self.forget(index, "transcript")
        if 0 <= index < len(self.parts):
            self.weight -= weight(self.parts[index].pop("transcript", None))

    def _keep(self, place: dict[str, Any], said: dict[str, Any]) -> None:
        for name, value in said.items():
            if type(value) is not str:
                more = weight(value)
            elif place.get(name) == value:  # Most of an item is said again and again.
                continue
            else:
                more = getsizeof(value)
            self.weight += more - weight(place[name]) if name in place else more + getsizeof(name) + _PLACE
            place[name] = value

    def content(self) -> list[dict[str, Any]]:
        parts = [Fields(part).to_dict() for part in self.parts]
        for (index, name), pieces in self.pieces.items():
            while 0 <= index < 64 and len(parts) <= index:  # A delta for a part that was never announced.
                parts.append({"type": "output_text" if name == "text" else "output_audio"})
            if 0 <= index < len(parts):
                parts[index][name] = "".join(pieces)
        return parts

    def snapshot(self) -> Item:
        data = Fields(self.fields).to_dict()
        parts = self.content()
        if parts or "content" in data or data.get("type") == "message":
            data["content"] = parts
        arguments = self.pieces.get((-1, "arguments"))
        if arguments is not None:
            data["arguments"] = "".join(arguments)
        return Item(
            id=self.id,
            type=str(data.get("type", "")),
            role=_text(data.get("role")),
            status=_text(data.get("status")),
            text="".join(part["text"] for part in parts if isinstance(part.get("text"), str)),
            transcript="".join(part["transcript"] for part in parts if isinstance(part.get("transcript"), str)),
            truncated_ms=self.truncated_ms,
            data=data,
        )


class Conversation:
    """The growing whole; ``apply`` takes events in, ``snapshot`` gives an unchanging copy."""

    def __init__(self) -> None:
        self._items: dict[str, _Growing] = {}
        self._first: _Growing | None = None
        self._last: _Growing | None = None
        self._responses: dict[str, ResponseSummary] = {}
        self._config: dict[str, Any] = {}
        self._rate_limits: list[Any] = []
        self._usage = Usage()
        self._unadded: list[dict[str, Any]] = []  # Of responses, not in these totals yet.
        self._speaking = False
        self._weight = 0
        self._dropped = 0

    def apply(self, event: Event) -> None:
        """Take in one event; types that tell nothing of the conversation are passed over."""
        rule = _RULES.get(event.type)
        if rule is not None:
            rule(self, raw(event))
        elif event.type in _GROWN:
            run = Run([raw(event)], [event.type])
            run.number(0)
            self.apply_run(run)

    def apply_run(self, run: Run) -> None:
        """Take in deltas one after the other; those that follow each other in one place in one step."""
        if run.types.isdisjoint(_GROWN) or (len(run.types) == 1 and self._apply_to_one(run)):
            return
        item_id: str | None = None
        index, name, pieces = 0, "", list[str]()
        for kind, data in zip(run.kinds, run.data, strict=True):
            named = _GROWN.get(kind)
            if named is None:
                continue
            delta = data.get("delta")
            if type(delta) is not str:
                continue
            of, at = data.get("item_id"), data.get("content_index")
            if of != item_id or at != index or named != name:
                self._grow(item_id, index, name, pieces)
                item_id, index = of if type(of) is str else None, at if type(at) is int else 0
                name, pieces = named, []
            pieces.append(delta)
        self._grow(item_id, index, name, pieces)

    def _apply_to_one(self, run: Run) -> bool:
        """Take in deltas of one type, where all of them are what they should be and belong in one place: most runs."""
        data = run.data
        try:
            (item_id,), (index,) = set(map(_item_id, data)), set(map(_content_index, data))
            whole = "".join(map(_delta, data))
        except (KeyError, TypeError, ValueError):
            return False
        if type(item_id) is str:
            self._grow(item_id, index if type(index) is int else 0, _GROWN[run.kinds[0]], [whole])
        return True

    def snapshot(self) -> Snapshot:
        """Everything as it is now. Costs time in proportion to the conversation."""
        return Snapshot(
            items=tuple(item.snapshot() for item in self._in_order()),
            responses=tuple(map(_own, self._responses.values())),
            config=self.config,
            rate_limits=Items(self._rate_limits).to_list(),
            usage=self.usage,
            speaking=self._speaking,
            dropped_items=self._dropped,
        )

    def follow(self, earlier: Conversation) -> None:
        """Go on from ``earlier``, the same conversation on the connection before: its totals and responses."""
        self._usage, self._rate_limits = earlier.usage, earlier._rate_limits
        self._responses = {**earlier._responses, **self._responses}

    def reconfigure(self, later: Conversation) -> None:
        """Take over the configuration that ``later``, another view of the same session, was told of."""
        self._config = later._config

    def function_calls(self) -> tuple[set[str], set[str], bool]:
        """Ids of the calls of functions that are in it, and of those whose outputs are; of requests for approval, and
        of those that are answered, too. And whether there are messages. Costs time in proportion.
        """
        calls, outputs, has_messages = set[str](), set[str](), False
        for item in self._in_order():
            kind = item.fields.get("type")
            has_messages = has_messages or kind == "message"
            call_id = item.fields.get(_CALL_IDS.get(kind, "")) if isinstance(kind, str) else None
            if isinstance(call_id, str):
                (outputs if kind in ("function_call_output", "mcp_approval_response") else calls).add(call_id)
        return calls, outputs, has_messages

    @property
    def being_said(self) -> str:
        """What the response that is running has said so far: the text or transcript of the items at the end that are
        not finished.
        """
        unfinished = itertools.takewhile(_is_unfinished, self._from_the_end())
        now = [item.snapshot() for item in unfinished]
        return "".join(item.text or item.transcript for item in reversed(now))

    @property
    def speaking(self) -> bool:
        """Whether voice detection hears somebody."""
        return self._speaking

    @property
    def detects_voice(self) -> bool:
        """Whether the service decides by itself where speech begins and ends (protocol 4.2)."""
        return self._hearing.get("turn_detection") is not None

    @property
    def transcribing(self) -> bool:
        """Whether something that was said lately is still to be transcribed (protocol 4.6)."""
        if not self._hearing.get("transcription"):
            return False
        return any(item.awaits_transcript for item in itertools.islice(self._from_the_end(), _LATELY))

    @property
    def _hearing(self) -> dict[str, Any]:
        """What the session is configured to do with the user's audio (protocol 4.1)."""
        return _object(_object(self._config.get("audio")).get("input"))

    def _from_the_end(self) -> Iterator[_Growing]:
        item = self._last
        while item is not None:
            yield item
            item = item.before

    def item(self, item_id: str) -> Item | None:
        """One item as it is now."""
        found = self._items.get(item_id)
        return None if found is None else found.snapshot()

    @property
    def config(self) -> dict[str, Any]:
        """The session as last confirmed, a copy."""
        return Fields(self._config).to_dict()

    @property
    def usage(self) -> Usage:
        """Totals. They are added up where somebody asks, which most programs never do."""
        self._add_up()
        return self._usage

    def _add_up(self) -> None:
        if self._unadded:
            self._usage = _added(self._usage, self._unadded)
            self._unadded = []

    # -- order -----------------------------------------------------------------------------------------------------

    def _in_order(self) -> Iterator[_Growing]:
        item = self._first
        while item is not None:
            yield item
            item = item.after

    def _place(self, item: _Growing, previous: _Growing | None) -> None:
        """Link ``item`` behind ``previous``, or in front of all."""
        item.before, item.after = previous, self._first if previous is None else previous.after
        if item.before is None:
            self._first = item
        else:
            item.before.after = item
        if item.after is None:
            self._last = item
        else:
            item.after.before = item

    def _unlink(self, item: _Growing) -> None:
        if item.before is None:
            self._first = item.after
        else:
            item.before.after = item.after
        if item.after is None:
            self._last = item.before
        else:
            item.after.before = item.before

    # -- bounds ------------------------------------------------------------------------------------------------------

    def _weigh(self, item: _Growing) -> None:
        """``item`` has changed: drop the oldest, itself perhaps, until what is left may be kept."""
        total = self._weight = self._weight + item.weight - item.counted
        item.counted = item.weight
        if total > _MOST_WEIGHT or len(self._items) > _MOST_ITEMS:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        while self._first is not None and (self._weight > _MOST_WEIGHT or len(self._items) > _MOST_ITEMS):
            self._remove(self._first)
            self._dropped += 1

    def _remove(self, item: _Growing) -> None:
        del self._items[item.id]
        self._unlink(item)
        self._weight -= item.counted

    # -- rules: one for each kind of event ----------------------------------------------------------------------------

    def _on_item(self, event: dict[str, Any]) -> None:
        item = _object(event.get("item"))
        item_id = short_text(item.get("id"))
        if item_id is None:
            return
        found = self._items.get(item_id)
        if found is None:
            found = self._items[item_id] = _Growing(item_id)
            self._place(found, self._position(event))
        found.describe(item)
        self._weigh(found)

    def _position(self, event: dict[str, Any]) -> _Growing | None:
        """The item that a new one follows; null says that it is the first (protocol 3.1)."""
        if "previous_item_id" in event and event["previous_item_id"] is None:
            return None
        return self._known(event.get("previous_item_id")) or self._last

    def _known(self, item_id: object) -> _Growing | None:
        return self._items.get(item_id) if type(item_id) is str else None

    def _on_deleted(self, event: dict[str, Any]) -> None:
        item = self._known(event.get("item_id"))
        if item is not None:
            self._remove(item)

    def _on_truncated(self, event: dict[str, Any]) -> None:
        item, index = self._concerned(event)
        end = event.get("audio_end_ms")
        if item is None or not isinstance(end, int):
            return
        item.truncate(index, end)
        self._weigh(item)

    def _on_part(self, event: dict[str, Any]) -> None:
        item, index = self._concerned(event)
        if item is None:
            return
        part = _object(event.get("part"))
        named = {"text": "output_text", "audio": "output_audio"}.get(str(part.get("type")))
        item.set_part(index, {**part, "type": named} if named else part)
        self._weigh(item)

    def _grow(self, item_id: str | None, index: int, name: str, pieces: list[str]) -> None:
        """Deltas of one item, and of the same of what it says."""
        item = self._items.get(item_id) if item_id is not None else None
        if item is None:
            return
        item.grow(-1 if name == "arguments" else index, name, pieces[0] if len(pieces) == 1 else "".join(pieces))
        if item.weight - item.counted >= _LIGHT:
            self._weigh(item)

    def _settle(self, event: dict[str, Any], name: str, field: str) -> None:
        item, index = self._concerned(event)
        whole = event.get(field)
        if item is not None and isinstance(whole, str):
            item.settle(index if name != "arguments" else -1, name, whole)
            self._weigh(item)

    def _on_transcribed(self, event: dict[str, Any]) -> None:
        self._settle(event, "transcript", "transcript")
        self._usage = _transcribed(self._usage, _object(event.get("usage")))

    def _on_untranscribed(self, event: dict[str, Any]) -> None:
        item, index = self._concerned(event)
        if item is not None and item.awaits_transcript:
            item.settle(index, "transcript", "")

    def _concerned(self, event: dict[str, Any]) -> tuple[_Growing | None, int]:
        index = event.get("content_index")
        return self._known(event.get("item_id")), index if isinstance(index, int) else 0

    def _on_response(self, event: dict[str, Any]) -> None:
        response = _object(event.get("response"))
        response_id = short_text(response.get("id"))
        if response_id is None:
            return
        usage = response.get("usage")
        kept = usage if isinstance(usage, dict) and weight(usage) <= _HEAVIEST_USAGE else None
        status = short_text(response.get("status")) or (
            "completed" if event["type"] == "response.done" else "in_progress"
        )
        self._responses.pop(response_id, None)
        self._responses[response_id] = ResponseSummary(response_id, status, kept)
        if len(self._responses) > _MOST_RESPONSES:
            del self._responses[next(iter(self._responses))]
        if event["type"] == "response.done":
            self._unadded.append(_object(usage))
            if kept is None or len(self._unadded) >= _MOST_UNADDED:
                self._add_up()

    def _on_session(self, event: dict[str, Any]) -> None:
        session = event.get("session")
        if isinstance(session, dict):
            self._config = session

    def _on_rate_limits(self, event: dict[str, Any]) -> None:
        limits = event.get("rate_limits")
        if isinstance(limits, list):
            self._rate_limits = limits

    def _on_speech(self, event: dict[str, Any]) -> None:
        self._speaking = event["type"] == "input_audio_buffer.speech_started"


def _is_unfinished(item: _Growing) -> bool:
    return item.fields.get("status") == "in_progress"


def _own(response: ResponseSummary) -> ResponseSummary:
    """A copy whose usage may be changed."""
    usage = response.usage
    return ResponseSummary(response.id, response.status, None if usage is None else Fields(usage).to_dict())


def _object(value: object) -> dict[str, Any]:
    """A received object, which nobody changes, so that it may be kept; empty where it is none."""
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: Mapping[str, Any], name: str) -> int:
    number = value.get(name)
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 0


def _added(total: Usage, usages: Sequence[dict[str, Any]]) -> Usage:
    """``total`` with what those responses have used."""
    told = list(map(_told, usages))
    return _more(total, {name: sum(counts[name] for counts in told) for name in told[0]})


def _told(usage: dict[str, Any]) -> dict[str, int]:
    """The counts of one response."""
    came, went = _object(usage.get("input_token_details")), _object(usage.get("output_token_details"))
    again = _object(came.get("cached_tokens_details"))
    return {
        "responses": 1,
        "total_tokens": _count(usage, "total_tokens"),
        "input_tokens": _count(usage, "input_tokens"),
        "output_tokens": _count(usage, "output_tokens"),
        "cached_tokens": _count(came, "cached_tokens"),
        **{f"input_{kind}_tokens": _count(came, f"{kind}_tokens") for kind in ("text", "audio", "image")},
        **{f"cached_{kind}_tokens": _count(again, f"{kind}_tokens") for kind in ("text", "audio", "image")},
        **{f"output_{kind}_tokens": _count(went, f"{kind}_tokens") for kind in ("text", "audio")},
    }


def _transcribed(total: Usage, usage: dict[str, Any]) -> Usage:
    came, lasted = _object(usage.get("input_token_details")), usage.get("seconds")
    believed = isinstance(lasted, int | float) and lasted is not True and 0 < lasted < _LONGEST
    counts = {
        "transcriptions": 1,
        "transcription_tokens": _count(usage, "total_tokens"),
        "transcription_text_tokens": _count(came, "text_tokens"),
        "transcription_audio_tokens": _count(came, "audio_tokens"),
        "transcription_output_tokens": _count(usage, "output_tokens"),
        "transcription_seconds": lasted if believed else 0.0,
    }
    return _more(total, counts)


def _more(total: Usage, counts: Mapping[str, Any]) -> Usage:
    return msgspec.structs.replace(total, **{name: getattr(total, name) + more for name, more in counts.items()})


def _settling(name: str, field: str) -> Callable[[Conversation, dict[str, Any]], None]:
    return lambda conversation, event: conversation._settle(event, name, field)


_RULES: dict[str, Callable[[Conversation, dict[str, Any]], None]] = {
    "conversation.item.added": Conversation._on_item,
    "conversation.item.created": Conversation._on_item,
    "conversation.item.done": Conversation._on_item,
    "conversation.item.retrieved": Conversation._on_item,
    "conversation.item.deleted": Conversation._on_deleted,
    "conversation.item.truncated": Conversation._on_truncated,
    "conversation.item.input_audio_transcription.completed": Conversation._on_transcribed,
    "conversation.item.input_audio_transcription.failed": Conversation._on_untranscribed,
    "input_audio_buffer.speech_started": Conversation._on_speech,
    "input_audio_buffer.speech_stopped": Conversation._on_speech,
    "input_audio_buffer.committed": Conversation._on_speech,
    "rate_limits.updated": Conversation._on_rate_limits,
    "response.content_part.added": Conversation._on_part,
    "response.content_part.done": Conversation._on_part,
    "response.created": Conversation._on_response,
    "response.done": Conversation._on_response,
    "response.function_call_arguments.done": _settling("arguments", "arguments"),
    "response.mcp_call_arguments.done": _settling("arguments", "arguments"),
    "response.output_audio_transcript.done": _settling("transcript", "transcript"),
    "response.output_text.done": _settling("text", "text"),
    "session.created": Conversation._on_session,
    "session.updated": Conversation._on_session,
}

# Event types whose ``delta`` grows an item, and what of it grows.
_GROWN = {
    "conversation.item.input_audio_transcription.delta": "transcript",
    "response.function_call_arguments.delta": "arguments",
    "response.mcp_call_arguments.delta": "arguments",
    "response.output_audio_transcript.delta": "transcript",
    "response.output_text.delta": "text",
}
