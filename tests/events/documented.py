"""The documented events and objects (`documented.json`), and annotations in the words of that file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Required, Union, get_args, get_origin, get_type_hints

from rtsync.vocabulary import shapes
from rtsync.vocabulary.events import Event, Fields

DOCUMENTED: dict[str, Any] = json.loads(Path(__file__).with_name("documented.json").read_text(encoding="utf-8"))

_WORDS = {str: "string", int: "integer", float: "number", bool: "boolean", Any: "any"}

# A field that the schema lets go but the service always sends (protocol 5.1, 5.3), or that says what an object is.
ALWAYS_SENT = {
    "ContentPart": {"type"},
    "Item": {"id", "call_id"},
    "ResponseObject": {"id", "object", "status", "output"},
}
# `null` clears these (protocol 4.3), where the schema is silent.
CLEARED = {
    "AudioInputConfig": {"turn_detection", "transcription", "noise_reduction"},
    "SessionConfig": {"tracing", "prompt"},
    "TranslationAudioInputConfig": {"transcription", "noise_reduction"},
}
OTHERWISE = {("AudioFormat", "rate"): {"integer"}, ("ResponseOptions", "conversation"): {'"auto"', '"none"'}}


def hints(described: type) -> dict[str, Any]:
    """The annotations of a class, resolved, without those of `Event` itself but `type`."""
    found = get_type_hints(described, localns={"shapes": shapes}, include_extras=True)
    own = {name for line in described.__mro__ if line not in (Event, Fields) for name in _annotated(line)}
    return {name: hint for name, hint in found.items() if name in own}


def _annotated(line: type) -> Mapping[str, Any]:
    return getattr(line, "__annotations__", {}) if line.__module__.startswith("rtsync.") else {}


def words(hint: Any) -> set[str]:
    """The alternatives of an annotation as `documented.json` writes them; `null` is one."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Required:
        return words(inner[0])
    if origin in (Union, UnionType):
        return {word for part in inner for word in words(part)}
    if origin is Literal:
        return {json.dumps(value) for value in inner}
    if origin in (shapes.Array, Sequence):
        return {f"array of {' | '.join(sorted(words(inner[0])))}"}
    if origin is Mapping:
        return {f"map of {' | '.join(sorted(words(inner[1])))}"}
    return {_word(hint)} - {"bytes"}


def _word(hint: Any) -> str:
    return "null" if hint is NoneType else _WORDS.get(hint) or str(hint.__name__)
