"""What the annotation of a tool's argument means in JSON: a schema for the model, and a way back from what it sent.

msgspec does both for nearly everything. This room adds what it has no word for: a plain string in `Annotated` as the
description, unions of several dataclasses (the one that fits best), paths, `object` and `Iterable`. An annotation of
pydantic's (a model, or a `Field` in `Annotated`) is left to pydantic, which the program has imported to write it.

Values are taken as they stand: the text "3" is no integer, as 0 is no boolean. A model that is told so calls again; one
that is guessed at acts on something else than it said.
"""

from __future__ import annotations

import collections.abc
import contextlib
import datetime as dt
import functools
import re
import sys
import types
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from rtsync.pure.json_schema import REFERENCES, Definitions, flattened, places, property_names
from rtsync.vocabulary.foreign import one_line

__all__ = ["ArgumentType", "Inexpressible", "Misfit", "argument_type", "at"]

_LONGEST_PROBLEM = 200
_LISTS = (collections.abc.Iterable, collections.abc.Collection)
# msgspec says so only of those that must have a time zone.
_FORMATS = {dt.datetime: "date-time", dt.time: "time"}
_FOREIGN = ("pydantic", "annotated_types")


class Inexpressible(Exception):
    """The annotation names what JSON cannot express, or what nobody can tell apart."""


class Misfit(Exception):
    """A value breaks its type. ``problems``: one line each, with the path and what was expected; no content."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class ArgumentType(msgspec.Struct, frozen=True):
    """The type of one argument.

    Attributes:
        schema: its JSON schema, flattened.
        definitions: what the schema refers to: types that contain themselves.
        read: the value from its JSON; takes the argument's name for messages. Raises Misfit.
        plain: a value of this type as JSON has it, for the schema's ``default``. Raises TypeError or ValueError.
    """

    schema: dict[str, Any]
    definitions: Definitions
    read: Callable[[str, msgspec.Raw], Any]
    plain: Callable[[Any], Any]


def argument_type(annotation: Any, *, nullable: bool = False) -> ArgumentType:
    """What ``annotation`` means; ``nullable`` adds None to it.

    Raises:
        Inexpressible: JSON cannot express it.
    """
    try:
        wanted = annotation | None if nullable and annotation is not Any else annotation
        if _is_foreign(annotation):
            return _foreign(wanted)
        return _known(_rewritten(wanted))
    except (TypeError, ValueError, NameError, AttributeError, RecursionError) as error:
        # msgspec's own words are for who knows msgspec; its first line says what is wrong.
        problem = one_line(str(error).partition("\n")[0], _LONGEST_PROBLEM)
    raise Inexpressible(problem)


# --- through msgspec


def _known(annotation: Any) -> ArgumentType:
    hooks = _Hooks()
    decoder = msgspec.json.Decoder(annotation, dec_hook=_decoded)
    schema, definitions = hooks.schema(annotation)

    def read(name: str, raw: msgspec.Raw) -> Any:
        try:
            return decoder.decode(raw)
        except msgspec.DecodeError as error:
            problem = _problem_of(str(error), name, schema, definitions)
        raise Misfit(problem)

    return ArgumentType(schema, definitions, read, msgspec.to_builtins)


class _Hooks:
    """The schemas of what msgspec does not know, and the definitions that those need."""

    def __init__(self) -> None:
        self._definitions: Definitions = {}

    def schema(self, annotation: Any) -> tuple[dict[str, Any], Definitions]:
        return flattened(self._raw(annotation), self._definitions)

    def _raw(self, annotation: Any) -> dict[str, Any]:
        template = f"{REFERENCES}{{name}}"
        (schema,), definitions = msgspec.json.schema_components(
            [annotation], schema_hook=self._hook, ref_template=template
        )
        self._definitions.update(definitions)
        return schema

    def _hook(self, kind: Any) -> dict[str, Any]:
        if isinstance(kind, type) and issubclass(kind, _Choice):
            return {"anyOf": [self._raw(member) for member in kind.members]}
        if isinstance(kind, type) and issubclass(kind, PurePath):
            return {"type": "string", "format": "path"}
        raise TypeError(f"JSON cannot express {_name_of(kind)}")


class _Whatever(type):
    """msgspec checks that a hook made what it was asked for."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return True


class _Choice(metaclass=_Whatever):
    """A union that msgspec cannot tell apart.

    Each member is tried. Of those that fit, the one counts that has most of what was given, else the leftmost.
    """

    members: tuple[Any, ...] = ()


def _decoded(kind: Any, value: Any) -> Any:
    if issubclass(kind, _Choice):
        return _chosen(kind.members, value)
    if not isinstance(value, str):
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
    return kind(value)


def _chosen(members: Iterable[Any], value: Any) -> Any:
    fitting = []
    for member in members:
        with contextlib.suppress(msgspec.ValidationError):
            fitting.append(msgspec.convert(value, member, dec_hook=_decoded, str_keys=True))
    if not fitting:
        raise ValueError(f"Expected one of {', '.join(getattr(each, '__name__', str(each)) for each in members)}")
    return max(fitting, key=functools.partial(_kept, value))


def _kept(value: Any, made: Any) -> int:
    """How much of the object ``value`` is in what was ``made`` of it: keys without a field are dropped."""
    names = value if isinstance(value, dict) else ()
    return sum(name in made if isinstance(made, dict) else hasattr(made, name) for name in names)


def _rewritten(annotation: Any) -> Any:
    """``annotation`` in the words of msgspec."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is object:
        return Any
    if hasattr(annotation, "__supertype__"):
        return _rewritten(annotation.__supertype__)
    if annotation in _FORMATS:
        return _annotated(annotation, [msgspec.Meta(extra_json_schema={"format": _FORMATS[annotation]})])
    if origin in _LISTS or annotation in _LISTS:
        return list[tuple(map(_rewritten, arguments))] if arguments else list  # type: ignore[misc]
    if origin is Annotated:
        return _annotated(_rewritten(arguments[0]), filter(None, map(_meta, arguments[1:])))
    if origin in (Union, types.UnionType):
        return _union([_rewritten(each) for each in arguments])
    if origin in (None, Literal, collections.abc.Callable):
        return annotation
    return origin[tuple(each if each is ... else _rewritten(each) for each in arguments)]


def _annotated(annotation: Any, metadata: Iterable[Any]) -> Any:
    whole: Any = Annotated
    return whole[(annotation, *metadata)] if (metadata := [*metadata]) else annotation


def _meta(note: Any) -> msgspec.Meta | None:
    if isinstance(note, msgspec.Meta):
        return note
    text = note if isinstance(note, str) else getattr(note, "documentation", None)  # typing_extensions.Doc
    return msgspec.Meta(description=text) if isinstance(text, str) else None


def _union(members: list[Any]) -> Any:
    whole: Any = Union
    try:
        msgspec.json.Decoder(whole[tuple(members)])
    except TypeError:
        rest = tuple(each for each in members if each is not types.NoneType)
        choice: Any = type("Choice", (_Choice,), {"members": rest})
        return choice if len(rest) == len(members) else choice | None
    return whole[tuple(members)]


def _name_of(kind: type) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


# --- through pydantic, where the program uses it


def _is_foreign(annotation: Any) -> bool:
    if "pydantic" not in sys.modules:
        return False
    if get_origin(annotation) is Annotated and any(map(_is_foreign_note, annotation.__metadata__)):
        return True
    if isinstance(annotation, type) and hasattr(annotation, "__get_pydantic_core_schema__"):
        return True
    return hasattr(annotation, "__pydantic_validator__") or any(map(_is_foreign, get_args(annotation)))


def _is_foreign_note(note: Any) -> bool:
    return type(note).__module__.partition(".")[0] in _FOREIGN


def _foreign(annotation: Any) -> ArgumentType:
    pydantic = sys.modules["pydantic"]
    try:
        adapter = pydantic.TypeAdapter(annotation)
        found = adapter.json_schema(ref_template=f"{REFERENCES}{{model}}")
    except pydantic.errors.PydanticUserError as error:
        raise TypeError(str(error)) from None
    schema, definitions = flattened(found, found.pop("$defs", {}))
    names = property_names([schema, definitions])

    def read(name: str, raw: msgspec.Raw) -> Any:
        try:
            return adapter.validate_json(bytes(raw), strict=True)
        except pydantic.ValidationError as error:
            # Not what pydantic says of the whole error: that quotes the input.
            found = error.errors(include_url=False, include_context=False, include_input=False)
        raise Misfit(*(at([name, *each["loc"]], each["msg"], names | {name}) for each in found))

    return ArgumentType(schema, definitions, read, lambda value: adapter.dump_python(value, mode="json"))


# --- what the model is told


_PLACED = re.compile(r"(?P<problem>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|(\[[^\]]*\])")
# msgspec quotes the value that is none of those allowed.
_QUOTING = re.compile(r"Invalid (enum )?value ")


def _problem_of(said: str, name: str, schema: dict[str, Any], definitions: Definitions) -> str:
    """What msgspec ``said`` of the argument ``name``, for the model: the path, what was expected, and no content."""
    found = _PLACED.fullmatch(said)
    assert found is not None
    problem, path = found["problem"], [*_steps(found["path"] or "")]
    if _QUOTING.match(problem):
        problem = _allowed(places(schema, path, definitions))
    problem = problem.replace("`", "").replace("Object missing required field", "missing")
    return at([name, *path], f"a key: {_small(problem)}" if found["key"] else problem)


def _steps(path: str) -> Iterator[str]:
    for field, index in _STEP.findall(path):
        yield field or index


def _allowed(schemas: Iterable[dict[str, Any]]) -> str:
    values = [msgspec.json.encode(value).decode() for each in schemas for value in each.get("enum", ())]
    return f"expected one of {', '.join(values)}" if values else "none of the values allowed"


def at(path: Iterable[str | int], problem: str, names: Container[str] | None = None) -> str:
    """The line for the model. Of ``path``, what is none of ``names`` is a key that the model chose, and not shown."""
    steps = [f"[{step}]" if isinstance(step, int) else step for step in path]
    if names is not None:
        steps = [step if step in names or re.fullmatch(r"\[\d+\]", step) else "[...]" for step in steps]
    where = "".join(step if step.startswith("[") or not index else f".{step}" for index, step in enumerate(steps))
    return one_line(f"{where}: {_small(problem)}", _LONGEST_PROBLEM)


def _small(problem: str) -> str:
    return problem[:1].lower() + problem[1:]
