"""The events explained to people, as the classes, their docstrings and the examples tell: nothing is said twice.

``describe("response.done")`` gives what there is to say, ``render`` a page of text from it.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Required, Union, get_args, get_origin

from rtsync.pure.dialect import canonical
from rtsync.vocabulary import client_shapes, examples, shapes
from rtsync.vocabulary.client_events import CLIENT_EVENTS, TRANSLATION_CLIENT_EVENTS
from rtsync.vocabulary.server_events import SERVER_EVENTS

__all__ = ["Description", "FieldDescription", "describe", "described_types", "render"]

_WIDTH = 100
_FIELD = re.compile(r"(\w+): (.*)")


class FieldDescription(NamedTuple):
    """A field of an event or an object.

    Attributes:
        name: its name.
        type: its type, as written in Python.
        optional: whether it may be absent, or null in what the service sends.
        meaning: what it says; ``""`` where its name says it.
    """

    name: str
    type: str
    optional: bool
    meaning: str


class Description(NamedTuple):
    """An event, or an object inside events.

    Attributes:
        name: type of the event, or name of the object's class.
        sender: ``"client"`` or ``"server"``; an event only.
        summary: when it is sent, or what it is.
        fields: its fields, without ``type`` in an event.
        objects: the objects inside, each once, in the order in which they appear.
        example: one as it looks on the wire; an event only.
    """

    name: str
    sender: str
    summary: str
    fields: tuple[FieldDescription, ...]
    objects: tuple[Description, ...] = ()
    example: dict[str, Any] | None = None


_SOURCES: tuple[tuple[str, dict[str, type], dict[str, dict[str, Any]], Any], ...] = (
    ("client", CLIENT_EVENTS, examples.CLIENT_EXAMPLES, client_shapes),
    ("client", TRANSLATION_CLIENT_EVENTS, examples.TRANSLATION_CLIENT_EXAMPLES, client_shapes),
    ("server", dict(SERVER_EVENTS), examples.TRANSLATION_SERVER_EXAMPLES | examples.SERVER_EXAMPLES, shapes),
)


def described_types() -> list[tuple[str, str, str]]:
    """Type, sender and summary of every event, the client's first; what two kinds of session know comes twice."""
    return [
        (event_type, sender, _summary(event_class))
        for sender, classes, _, _ in _SOURCES
        for event_type, event_class in classes.items()
    ]


def describe(event_type: str) -> list[Description]:
    """What there is to say about the events of this type, GA or preview name; nothing about an unknown one."""
    name = canonical(event_type) if event_type not in SERVER_EVENTS else event_type
    return [
        Description(
            name,
            sender,
            _summary(classes[name]),
            tuple(field for field in _fields(classes[name]) if field.name != "type"),
            tuple(_objects(classes[name], home)),
            shown.get(name),
        )
        for sender, classes, shown, home in _SOURCES
        if name in classes
    ]


def render(description: Description, *, objects: bool = True) -> str:
    """A page of text, lines of at most 100 characters where words allow.

    Args:
        description: of an event.
        objects: whether to explain the objects inside.
    """
    lines = [f"{description.name}  (from the {description.sender})", *_wrapped(description.summary, "")]
    lines += ["", *_field_lines(description)] if description.fields else []
    for inner in description.objects if objects else ():
        lines += ["", inner.name, *_wrapped(inner.summary, ""), *_field_lines(inner)]
    if description.example is not None:
        lines += ["", "Example", *json.dumps(description.example, indent=2, ensure_ascii=False).splitlines()]
    return "\n".join(lines) + "\n"


def _field_lines(description: Description) -> Iterator[str]:
    for field in description.fields:
        yield f"  {field.name}: {field.type}" + (" (optional)" if field.optional else "")
        if field.meaning:
            yield from _wrapped(field.meaning, "      ")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _summary(described: type) -> str:
    text = inspect.getdoc(described) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "")


def _fields(described: type) -> Iterator[FieldDescription]:
    meanings = {name: text for line in reversed(described.__mro__) for name, text in _meanings(line).items()}
    seen: dict[str, str] = {}
    for line in reversed(described.__mro__):
        if line.__module__.startswith("rtsync.vocabulary.") and line.__module__ != "rtsync.vocabulary.events":
            seen |= {name: _written(hint) for name, hint in inspect.get_annotations(line).items()}
    required = getattr(described, "__required_keys__", None)
    for name, hint in seen.items():
        optional = name not in required if required is not None else hint.endswith("| None")
        shown = hint.removesuffix(" | None") if required is None else hint
        yield FieldDescription(name, shown, optional, meanings.get(name, ""))


def _meanings(described: type) -> dict[str, str]:
    """The ``Attributes`` of a docstring, by name."""
    listed = inspect.cleandoc(described.__doc__ or "").partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \w)", textwrap.dedent(listed).replace("\n", "\n    ").join(("    ", ""))):
        match = _FIELD.fullmatch(" ".join(entry.split()).replace("``", ""))
        if match:
            found[match[1]] = match[2] if match[2].endswith("...") else match[2].removesuffix(".")
    return found


def _written(hint: Any) -> str:
    """An annotation as one would write it, without what only type checkers need."""
    if isinstance(hint, str):
        return re.sub(r"\bArray\[", "list[", hint.replace("shapes.", ""))
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Required:
        return _written(inner[0])
    if origin in (Union, UnionType):
        return " | ".join("None" if part is NoneType else _written(part) for part in inner)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, inner))}]"
    name = "list" if origin is Sequence else getattr(origin or hint, "__name__", str(hint))
    return f"{name}[{', '.join(map(_written, inner))}]" if inner else name


def _objects(described: type, home: Any, seen: set[str] | None = None) -> Iterator[Description]:
    """The objects inside, and those inside them."""
    seen = set() if seen is None else seen
    for field in _fields(described):
        for inner in _classes(field.type, home):
            if inner.__name__ not in seen:
                seen.add(inner.__name__)
                yield Description(inner.__name__, "", _summary(inner), tuple(_fields(inner)))
                yield from _objects(inner, home, seen)


def _classes(hint: str, home: Any) -> Iterator[type]:
    """The classes of ``home`` that an annotation names."""
    for name in re.findall(r"\w+", re.sub(r"\"[^\"]*\"|'[^']*'", "", hint)):
        if name in home.__all__ and isinstance(found := getattr(home, name), type):
            yield found
