"""What a tool returned, as the text that the model reads (``function_call_output.output``, protocol 5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import msgspec

from rtsync.vocabulary.errors import RealtimeError

__all__ = ["NotSerialisable", "serialise"]


class NotSerialisable(RealtimeError, TypeError):
    """A tool returned what JSON cannot express. The message names the type, not the content."""


def serialise(result: Any) -> str:
    """``result`` as text for the model.

    A string stays as it is, without quotes; halves of characters in it (lone surrogates) become ``?``. Bytes are
    taken for UTF-8 text. Everything else becomes JSON: None is ``null``, as are NaN and the infinities, which JSON does
    not have; dataclasses, structs, attrs and pydantic models, TypedDicts, mappings and rows of sqlite3 are objects;
    sequences, NamedTuples and sets are arrays; Enum members are their values; dates and times are ISO 8601; Decimal
    and UUID are strings; bytes inside of something are base64.

    Raises:
        NotSerialisable: anything else, or something that contains itself.
    """
    if isinstance(result, str):
        return result.encode("utf-8", "replace").decode()
    if isinstance(result, bytes | bytearray | memoryview):
        return _text(result)
    try:
        return msgspec.json.encode(result, enc_hook=_plain).decode()
    except NotSerialisable:
        raise
    except UnicodeEncodeError:
        problem = "holds half of a character (a lone surrogate)"
    except RecursionError:
        problem = "contains itself, or is nested too deeply"
    except (TypeError, ValueError, OverflowError):
        problem = "holds keys or values that JSON cannot express"
    raise NotSerialisable(
        f"what the tool returned ({type(result).__name__}) {problem}; return plain values or a string"
    )


def _text(result: bytes | bytearray | memoryview) -> str:
    try:
        return bytes(result).decode()
    except UnicodeDecodeError:
        pass
    raise NotSerialisable(
        f"the tool returned {type(result).__name__} that are no UTF-8 text, which a model cannot read; return text"
    )


def _plain(value: Any) -> Any:
    """What msgspec does not know by itself."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, dict | list | tuple | set | frozenset):
        raise TypeError("msgspec knows all of them but as keys")
    kind = type(value)
    if hasattr(kind, "__pydantic_serializer__"):
        return kind.__pydantic_serializer__.to_python(value, mode="json")
    # Fields and events of ours, too; sqlite3.Row is a sequence that reads like a mapping.
    if hasattr(kind, "keys") and hasattr(kind, "__getitem__"):
        return {key: value[key] for key in value.keys()}  # noqa: SIM118
    if isinstance(value, Sequence):
        return list(value)
    raise NotSerialisable(
        f"the tool returned {kind.__module__}.{kind.__qualname__}, or something that holds one, which JSON cannot"
        " express; return plain values, a dataclass or a string"
    )
