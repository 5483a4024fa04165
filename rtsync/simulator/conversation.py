"""The conversation: an ordered list of items, and what may be put into it (protocol 5.3)."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator, Mapping
from typing import Any

from rtsync.audio.formats import PCM16, AudioFormat, audio_format
from rtsync.simulator.dialect import Dialect, item_to_ga
from rtsync.simulator.ids import new_id
from rtsync.simulator.refusals import Refused
from rtsync.simulator.schema import (
    Anything,
    Choice,
    Flag,
    ListOf,
    Nullable,
    Record,
    Rule,
    Tagged,
    Text,
    audio_bytes,
)

__all__ = ["Conversation", "audio_part", "check_item", "check_length", "new_item", "without_audio"]

Item = dict[str, Any]

_COMMON: dict[str, Rule] = {
    "id": Nullable(Text()),
    "type": Text(),
    "object": Choice("realtime.item"),
    "status": Choice("completed", "incomplete", "in_progress"),
}
_TEXT_PART = Record({"type": Text(), "text": Text()}, required=("text",))
_AUDIO_PART = Record({"type": Text(), "audio": Text(), "transcript": Nullable(Text())}, required=("audio",))
_IMAGE_PART = Record(
    {"type": Text(), "image_url": Text(), "detail": Choice("auto", "low", "high")}, required=("image_url",)
)


def _message_rule(parts: Mapping[str, Record]) -> Record:
    content = ListOf(Tagged("type", parts), "objects")
    return Record({**_COMMON, "role": Text(), "content": content}, required=("role", "content"))


def _roles(dialect: Dialect) -> dict[str, Record]:
    """Content by role. Assistant audio is in neither list: only the model makes it."""
    user = {"input_text": _TEXT_PART, "input_audio": _AUDIO_PART}
    if dialect is Dialect.GA:
        user["input_image"] = _IMAGE_PART
    written = "output_text" if dialect is Dialect.GA else "text"
    return {
        "system": _message_rule({"input_text": _TEXT_PART}),
        "user": _message_rule(user),
        "assistant": _message_rule({written: _TEXT_PART}),
    }


def _record(required: tuple[str, ...], **fields: Rule) -> Record:
    return Record({**_COMMON, **fields}, required=required)


_CALLS = {
    "function_call": _record(("name", "arguments"), name=Text(), arguments=Text(), call_id=Nullable(Text())),
    "function_call_output": _record(("call_id", "output"), call_id=Text(), output=Text()),
}
_MCP = {
    "mcp_list_tools": _record(("server_label", "tools"), server_label=Text(), tools=ListOf(Anything(), "objects")),
    "mcp_call": _record(
        ("server_label", "name", "arguments"),
        server_label=Text(),
        name=Text(),
        arguments=Text(),
        output=Nullable(Text()),
        error=Anything(),
        approval_request_id=Nullable(Text()),
    ),
    "mcp_approval_request": _record(
        ("server_label", "name", "arguments"), server_label=Text(), name=Text(), arguments=Text()
    ),
    "mcp_approval_response": _record(
        ("approval_request_id", "approve"), approval_request_id=Text(), approve=Flag(), reason=Nullable(Text())
    ),
}
_MESSAGES = {dialect: _roles(dialect) for dialect in Dialect}
_ITEMS = {
    Dialect.GA: ("message", *_CALLS, *_MCP),
    Dialect.PREVIEW: ("message", *_CALLS),
}


def check_item(value: Any, dialect: Dialect, path: str = "item") -> None:
    """Refuse what is no item a client may create."""
    Tagged("type", dict.fromkeys(_ITEMS[dialect], Record({}, open=True)))(value, path)
    if value["type"] == "message":
        Tagged("role", _MESSAGES[dialect])(value, path)
    else:
        (_CALLS | _MCP)[value["type"]](value, path)
    for index, part in enumerate(value.get("content", [])):
        if "audio" in part:
            audio_bytes(part["audio"], f"{path}.content[{index}].audio")


def new_item(value: Any, dialect: Dialect, path: str = "item", *, form: AudioFormat = PCM16) -> Item:
    """The item a client asked for, checked, in GA terms, with id and status; ``form`` is that of its audio.

    Raises:
        Refused: it breaks a rule of its type.
    """
    check_item(value, dialect, path)
    item = item_to_ga(value)
    fields = {name: inner for name, inner in item.items() if name not in ("id", "type", "object", "status")}
    if item["type"] == "function_call" and fields.get("call_id") is None:
        fields["call_id"] = new_id("call")
    for part in fields.get("content", []):
        if "audio" in part:
            part["format"] = form.name
    # A client's status has no effect (protocol 5.3).
    return {"id": item.get("id") or new_id("item"), "type": item["type"], "status": "completed", **fields}


def audio_part(kind: str, audio: bytes, form: AudioFormat, transcript: str | None = None) -> dict[str, Any]:
    """A part with sound: ``input_audio`` or ``output_audio``. The name of its format is kept beside the bytes."""
    return {
        "type": kind,
        "transcript": transcript,
        "audio": base64.b64encode(audio).decode(),
        "format": form.name,
    }


def without_audio(item: Mapping[str, Any]) -> Item:
    """The item as events announce it: audio shows its transcript, never its bytes."""
    shown = copy.deepcopy(dict(item))
    for part in shown.get("content", []):
        if part.pop("audio", None) is not None:
            part.pop("format", None)
            part.setdefault("transcript", None)
    return shown


class Conversation:
    """Items in order. Ids are unique; audio stays base64 inside its part."""

    def __init__(self) -> None:
        self.id = new_id("conv")
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def find(self, item_id: str) -> Item | None:
        """The item of this id, or None."""
        return next((item for item in self._items if item["id"] == item_id), None)

    @property
    def last_id(self) -> str | None:
        """Id of the newest item, None when there is none."""
        return self._items[-1]["id"] if self._items else None

    def previous_of(self, item_id: str) -> str | None:
        """Id of the item before ``item_id``; None for the first."""
        ids = [item["id"] for item in self._items]
        index = ids.index(item_id) if item_id in ids else 0
        return ids[index - 1] if index > 0 else None

    def append(self, item: Item) -> None:
        """Put ``item`` at the end."""
        self._items.append(item)

    def create(self, item: Item, previous_item_id: str | None = None) -> None:
        """Put a client's item after ``previous_item_id``: ``root`` is the beginning, None the end.

        Raises:
            Refused: unknown neighbour, id taken, or output for a call that is not here.
        """
        position = self._position_after(previous_item_id)
        if self.find(item["id"]) is not None:
            message = f"Error adding item: an item with id '{item['id']}' already exists."
            raise Refused("item_create_duplicate_item_id", message, param="item.id")
        self._check_call(item)
        self._items.insert(position, item)

    def _position_after(self, previous_item_id: str | None) -> int:
        if previous_item_id is None:
            return len(self._items)
        if previous_item_id == "root":
            return 0
        for index, item in enumerate(self._items):
            if item["id"] == previous_item_id:
                return index + 1
        message = f"Error adding item: the previous item with id '{previous_item_id}' does not exist."
        raise Refused("item_not_found", message, param="previous_item_id")

    def _check_call(self, item: Item) -> None:
        if item["type"] != "function_call_output":
            return
        called = {other["call_id"] for other in self._items if other["type"] == "function_call"}
        if item["call_id"] not in called:
            message = f"Tool call ID '{item['call_id']}' not found in conversation."
            raise Refused("invalid_tool_call_id", message)

    def delete(self, item_id: str) -> None:
        """Take the item out, or ``Refused``."""
        item = self.find(item_id)
        if item is None:
            raise _missing("delete", "deleting", item_id)
        self._items.remove(item)

    def retrieve(self, item_id: str) -> Item:
        """The item with its audio bytes, as ``conversation.item.retrieved`` carries it, or ``Refused``."""
        item = self.find(item_id)
        if item is None:
            raise _missing("retrieve", "retrieving", item_id)
        return {"id": item["id"], "object": "realtime.item", **copy.deepcopy(item)}

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Cut an assistant's audio at ``audio_end_ms``; its transcript goes (protocol 2, conversation.item.truncate).

        Raises:
            Refused: no such item, not the model's audio, or already shorter.
        """
        item = self.find(item_id)
        if item is None:
            raise _missing("truncate", "truncating", item_id)
        part = _spoken_part(item, content_index)
        audio, form = base64.b64decode(part["audio"]), audio_format(part["format"])
        check_length(form.duration_ms(len(audio)), audio_end_ms)
        kept = audio[: audio_end_ms * form.bytes_per_ms]
        part |= {"transcript": None, "audio": base64.b64encode(kept).decode()}


def check_length(length_ms: int, audio_end_ms: int) -> None:
    """Refuse to cut audio behind its end."""
    if audio_end_ms > length_ms:
        message = f"Audio content of {length_ms}ms is already shorter than {audio_end_ms}ms"
        raise Refused("invalid_value", message, param="audio_end_ms")


def _spoken_part(item: Item, content_index: int) -> dict[str, Any]:
    content = item.get("content", [])
    part: dict[str, Any] = content[content_index] if content_index < len(content) else {}
    if item.get("role") != "assistant" or part.get("type") != "output_audio":
        raise Refused(None, "Only model output audio messages can be truncated")
    return part


def _missing(verb: str, doing: str, item_id: str) -> Refused:
    return Refused(f"item_{verb}_invalid_item_id", f"Error {doing} item: the item with id '{item_id}' does not exist.")
