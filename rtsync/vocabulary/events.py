"""Server events: decoded once, kept as they came, read as mappings or by attribute.

The service's own published examples break its published schema, so nothing here validates: a field
that is new, missing, null or of another type is delivered as it came.
"""

from __future__ import annotations

import base64
import functools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, overload

import msgspec

from rtsync.vocabulary.discretion import outline
from rtsync.vocabulary.errors import ProtocolError
from rtsync.vocabulary.foreign import one_line
from rtsync.vocabulary.ids import new_id

__all__ = [
    "Event",
    "Fields",
    "Items",
    "decode",
    "decode_object",
    "encode",
    "filled",
    "made_of",
    "new_event_id",
    "parse",
    "quick",
    "raw",
]

parse = msgspec.json.Decoder().decode
"""The JSON in one message, for what receives many; ``decode_object`` takes what it refuses, too."""

_REFUSED = object()  # by the fast parser
_LONGEST_SHOWN = 120
_MOST_NAMES = 30


class Fields(Mapping[str, Any]):
    """Read-only view of a JSON object: ``fields["name"]`` and ``fields.name`` read the same value.

    Its repr shows structure (types, ids, states, numbers), and of all other text only the length: what is said in a
    conversation does not get into a log or a traceback by accident. ``to_dict()`` has everything.

    Objects inside come back as ``Fields``, arrays as ``Items``. ``to_dict()`` gives plain copies. A field whose
    name is a method of every mapping (``items``, ``keys``, ``values``, ``get``) is read with brackets only.
    """

    __slots__ = ("_data",)
    _data: dict[str, Any]

    def __init__(self, data: dict[str, Any]) -> None:
        _set_data(self, data)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of ``name``, or ``default``."""
        value = self._data.get(name, default)
        return _view(value) if type(value) in _CONTAINERS else value

    def __getitem__(self, name: str) -> Any:
        value = self._data[name]
        return _view(value) if type(value) in _CONTAINERS else value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # Not a wire field, and copy and pickle ask for many of these.
            raise AttributeError(name)
        try:
            value = self._data[name]
        except KeyError:
            raise AttributeError(f"{self._label()} has no field {name!r}; it has: {_listed(self._data)}") from None
        return _view(value) if type(value) in _CONTAINERS else value

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{self._label()} is read-only; change a copy: to_dict()")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{self._label()} is read-only; change a copy: to_dict()")

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __contains__(self, name: object) -> bool:
        return name in self._data

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Fields):
            return self._data == other._data
        if isinstance(other, Mapping):
            return bool(self._data == _plain(other))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # a mapping, compared by value

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self._data if name.isidentifier())]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._data,)

    def __copy__(self) -> Fields:
        return self

    def __repr__(self) -> str:
        return f"{self._label()}({outline(self._data)})"

    def to_dict(self) -> dict[str, Any]:
        """A plain, independent copy: dicts and lists that may be changed, and that ``json`` can write."""
        return _copied(self._data)  # type: ignore[no-any-return]

    def _label(self) -> str:
        return type(self).__name__


class Event(Fields):
    """A server event: a read-only mapping over exactly what came, with attribute access.

    ``event.delta``, ``event.response.output[0].content[0].transcript``, ``event["item"]["id"]``.

    Attributes:
        type: event type, in the GA vocabulary where the dialect has a counterpart; ``""`` when the wire had none.
        wire_type: the type as it came over the wire.
    """

    __slots__ = ("_wire_type",)
    type: str
    wire_type: str

    def __init__(self, data: dict[str, Any], wire_type: str | None = None) -> None:
        _set_data(self, data)
        if wire_type is not None:
            _set_wire_type(self, wire_type)

    def _named(self) -> str:
        """The type of an event that has no class of its own; the others have it as an attribute of theirs."""
        named = self._data.get("type")
        return named if isinstance(named, str) else ""

    def _named_on_the_wire(self) -> str:
        try:
            return _get_wire_type(self)  # type: ignore[no-any-return]
        except AttributeError:  # Never set: most go by the same name.
            return self.type

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._data, self.wire_type)

    def _label(self) -> str:
        return f"Event[{one_line(self.type[:_LONGEST_SHOWN])}]"


raw = operator.attrgetter("_data")
"""The JSON object behind ``Fields``, not to be changed: for rules that run on every event."""

# What a read-only object is filled with: the slots themselves, three times as fast as object.__setattr__.
_set_data = Fields.__dict__["_data"].__set__
_set_wire_type = Event.__dict__["_wire_type"].__set__
_get_wire_type = Event.__dict__["_wire_type"].__get__
Event.type = property(Event._named)  # type: ignore[assignment]
Event.wire_type = property(Event._named_on_the_wire)  # type: ignore[assignment]


def quick(name: str) -> Any:
    """A property that reads the field ``name``: half the cost of finding out that there is no attribute."""

    def read(event: Event) -> Any:
        try:
            value = event._data[name]
        except KeyError:
            return event.__getattr__(name)  # Which says what there is.
        return _view(value) if type(value) in _CONTAINERS else value

    return property(read)


class Items(Sequence[Any]):
    """Read-only view of a JSON array; objects inside come back as ``Fields``. Equal to a list of the same values."""

    __slots__ = ("_data",)

    def __init__(self, data: list[Any]) -> None:
        self._data = data

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Items: ...
    def __getitem__(self, index: int | slice) -> Any:
        return _view(self._data[index])

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Items):
            return self._data == other._data
        if isinstance(other, list | tuple):
            return bool(self._data == _plain(list(other)))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return Items, (self._data,)

    def __repr__(self) -> str:
        return outline(self._data)

    def to_list(self) -> list[Any]:
        """A plain, independent copy."""
        return _copied(self._data)  # type: ignore[no-any-return]


_CONTAINERS = frozenset({dict, list})


def _view(value: Any) -> Any:
    if isinstance(value, dict):
        return Fields(value)
    if isinstance(value, list):
        return Items(value)
    return value


def _copied(value: Any) -> Any:
    """A deep copy without recursion: what came over the wire may be nested deeper than Python's stack bears."""
    top = [value]
    todo: list[Any] = [top]
    while todo:
        container = todo.pop()
        for key, inner in container.items() if type(container) is dict else enumerate(container):
            if type(inner) in _CONTAINERS:
                container[key] = inner.copy()
                todo.append(container[key])
    return top[0]


def _plain(value: Any) -> Any:
    """``value`` with every view replaced by the plain object under it."""
    if isinstance(value, Fields | Items):
        return value._data
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _listed(names: Mapping[str, Any]) -> str:
    listed = ", ".join(one_line(name[:_LONGEST_SHOWN]) for name in islice(names, _MOST_NAMES))
    return f"{listed}, ..." if len(names) > _MOST_NAMES else listed


def decode(message: bytes | memoryview) -> Event:
    """The event in one text message. Raises as ``decode_object``."""
    return Event(decode_object(message))


def filled(classes: Iterable[type[Event]], data: Sequence[dict[str, Any]]) -> list[Event]:
    """``cls(data)`` for each pair, which are many: by the interpreter's own loops, in two thirds of the time."""
    events = list(map(object.__new__, classes))
    any(map(_set_data, events, data))  # It returns nothing each time, so any() asks for all.
    return events


def made_of(cls: type[Event], data: dict[str, Any]) -> Event:
    """``cls(data)``, in half of the time."""
    event: Event = object.__new__(cls)
    _set_data(event, data)
    return event


def decode_object(message: bytes | memoryview) -> dict[str, Any]:
    """The JSON object in one text message.

    Raises:
        UnicodeDecodeError: the message is not UTF-8; the WebSocket protocol wants close code 1007.
        ProtocolError: it is not a JSON object; the session goes on (as the service itself does, protocol 6.4).
    """
    try:
        data = parse(message)
    except (msgspec.MsgspecError, RecursionError):
        data = _REFUSED
    if data is _REFUSED:  # Not in the handler above: what follows may raise, and shall not carry the message along.
        data = _decode_leniently(message)
    if type(data) is not dict:
        raise ProtocolError(
            f"the server sent JSON that is not an object ({type(data).__name__}, {len(message)} bytes); ignored"
        )
    return data


def _decode_leniently(message: bytes | memoryview) -> Any:
    """What the fast parser refuses and the world sends: half a surrogate pair, NaN, numbers beyond a double."""
    import json  # What follows is rare.

    text = str(message, "utf-8")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else getattr(error, "msg", "a number too long")
    raise ProtocolError(f"the server sent a text message that is not JSON ({why}; {len(message)} bytes); ignored")


def encode(event: Mapping[str, Any]) -> bytes:
    """``event`` as the UTF-8 JSON of one text message. Views of received events inside it are written as they came.

    Raises:
        TypeError: something in it is not JSON; the message names its type, or says that it contains itself.
    """
    try:
        return _encode(event)
    except RecursionError:
        raise TypeError(f"the {type(event).__name__} to send contains itself, or is nested too deeply") from None
    except (ValueError, msgspec.MsgspecError):  # Half surrogate pairs. The error holds the whole text: leave it here.
        pass
    import json

    return json.dumps(event, default=_writable, ensure_ascii=True, separators=(",", ":")).encode()


def _writable(value: Any) -> Any:
    """What to write in place of ``value``, which is no JSON."""
    if isinstance(value, Fields | Items):
        return value._data
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"an object of type {type(value).__name__} is not JSON")


_encode = msgspec.json.Encoder(enc_hook=_writable).encode


new_event_id = functools.partial(new_id, "event")
"""A fresh id for a client event, at most 512 characters as the service demands (protocol 6.1)."""
