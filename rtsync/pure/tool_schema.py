"""A Python function as a tool: its declaration for the model, and the way from the model's arguments to its own.

What is decided here, because models and programs differ:

1. Whatever cannot work fails when it is declared, with ConfigurationError: not in the middle of a conversation.
2. An argument that the function does not have is refused, and the model is told which there are: what it meant to say
   by it would else be lost without a word. ``additionalProperties: false`` says so beforehand.
3. All that is wrong with a call is said at once, so that the model needs one more call and not several.
4. An argument that the model leaves out is left out of the call, so that the function's own default counts. A default
   of None says that None may be given, whatever the annotation says: models send null for "nothing".
5. What functools.partial has fixed is no longer the model's to choose: it is in no schema, and refused.
6. No annotation means any value.

The function and its arguments are the program's, the JSON is the model's: messages for the model (BadArguments) name
paths and what was expected, and quote no value.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from rtsync.pure.docstrings import documentation
from rtsync.pure.json_schema import Definitions
from rtsync.pure.ready_schema import ReadySchema
from rtsync.pure.tool_signature import EMPTY, Signature, check_callable, docstring_of, name_of, signature_of
from rtsync.pure.tool_types import ArgumentType, Inexpressible, Misfit, argument_type
from rtsync.vocabulary.errors import ConfigurationError, RealtimeError
from rtsync.vocabulary.foreign import one_line

__all__ = ["BadArguments", "BoundCall", "Declaration", "declare"]

# Both services' pattern; the length is Azure's, OpenAI documents none for realtime sessions.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST_MESSAGE = 500
_LONGEST_NAME_SHOWN = 40
_NAMES_SHOWN = 5


class BadArguments(RealtimeError, ValueError):
    """The arguments of a call break the tool's schema.

    The message is written for the model: paths and what was expected, on one line, without values.
    """


class BoundCall(msgspec.Struct, frozen=True):
    """A function and the arguments of one call, checked and converted. Calling it calls the function.

    Attributes:
        function: what is called.
        args: positional-only arguments.
        kwargs: all others, and the context.
        plain: what the model gave, as JSON has it.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    plain: dict[str, Any]

    def __call__(self) -> Any:
        """Call the function and return what it returns.

        Threads: on the caller's.
        """
        return self.function(*self.args, **self.kwargs)

    def __repr__(self) -> str:
        """Without the arguments, which are conversation."""
        return f"<BoundCall {name_of(self.function)}, arguments: {len(self.plain)}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("function", name_of(self.function)), ("arguments", len(self.plain))]


class Declaration:
    """A function as the model knows it (protocol 4.8). Made by `declare`.

    Attributes:
        function: what is called.
        name: what the model calls it.
        description: what it does, and when to call it; empty where nothing says so.
        parameters: JSON schema of its arguments; do not change it.
    """

    __slots__ = ("_reader", "description", "function", "name", "parameters")

    def __init__(self, function: Callable[..., Any], name: str, description: str, reader: _Reader) -> None:
        self.function = function
        self.name = name
        self.description = description
        self.parameters = reader.schema
        self._reader = reader

    def to_dict(self) -> dict[str, Any]:
        """What stands in ``session.tools``: a copy."""
        described = {"description": self.description} if self.description else {}
        return {"type": "function", "name": self.name, **described, "parameters": copy.deepcopy(self.parameters)}

    def bind(self, arguments: str, context: Any = None) -> BoundCall:
        """The call that ``arguments`` ask for.

        Args:
            arguments: JSON, as the model wrote it. Nothing, or ``null``, is taken for ``{}``.
            context: what the parameters of the context's type get.

        Raises:
            BadArguments: it is no JSON object, or breaks the schema.
        """
        try:
            values, plain = self._values(arguments)
        except Misfit as misfit:
            problems = misfit.problems
        except RecursionError:
            problems = ("the arguments are nested too deeply",)
        else:
            args, kwargs = self._reader.signature.placed(values, context)
            return BoundCall(self.function, args, kwargs, plain)
        raise BadArguments(one_line("; ".join(problems), _LONGEST_MESSAGE))

    def _values(self, arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
        given = _object(arguments)
        plain = {name: msgspec.json.decode(raw) for name, raw in given.items()}
        misnamed = [*_misnamed(plain, self._reader.signature)]
        if misnamed:
            raise Misfit(*misnamed)
        return self._reader.read(given, plain), plain

    def __repr__(self) -> str:
        return f"Declaration({self.name!r})"


def declare(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    context_type: type | None = None,
) -> Declaration:
    """How the model is told of ``function``, and how its calls become calls of it.

    The schema comes from the signature, descriptions from the docstring (Google, NumPy, Sphinx, Epydoc) and from
    ``Annotated[str, "the city"]``, which counts more. In the fields of a dataclass, TypedDict or struct, what msgspec
    reads counts: ``Annotated[str, msgspec.Meta(description="the city")]``.

    Args:
        function: a plain function, bound method, functools.partial or object that can be called.
        name: what the model calls it; the function's own by default.
        description: what it does, and when to call it; by default what the docstring says before its first section.
        parameters: a ready-made JSON schema of an object. Arguments are then checked against it and given as they
            are in JSON: the annotations count no more, but for ``context_type``.
        context_type: parameters of this type (or this type or None) are the caller's to fill, and not in the schema.

    Raises:
        ConfigurationError: it cannot be a tool; the message says why, and what to do.
    """
    check_callable(function)
    named = _checked_name(function, name)
    signature = signature_of(function, named, context_type)
    found = documentation(docstring_of(function))
    described = _checked_description(named, found.description if description is None else description)
    if parameters is None:
        return Declaration(function, named, described, _annotated(named, signature, found.arguments))
    return Declaration(function, named, described, _ready(named, signature, parameters))


# --- what the program says


def _checked_name(function: Any, name: str | None) -> str:
    found = name_of(function) if name is None else name
    if not isinstance(found, str):
        raise ConfigurationError(f"the name of a tool must be a string, not {type(found).__name__}")
    if found == "<lambda>":
        raise ConfigurationError("a lambda has no name that a model could call: give it one, name=..., or use def")
    if not _NAME.fullmatch(found):
        raise ConfigurationError(
            f"the service refuses {one_line(found, _LONGEST_NAME_SHOWN)!r} as the name of a tool: it must be 1 to 64"
            " letters (a-z, A-Z), digits, _ or -; give it another: name=..."
        )
    return found


def _checked_description(tool: str, description: str) -> str:
    if not isinstance(description, str):
        raise ConfigurationError(f"tool {tool}: its description must be a string, not {type(description).__name__}")
    return description


def _annotated(tool: str, signature: Signature, descriptions: dict[str, str]) -> _AnnotatedReader:
    if signature.is_open:
        raise ConfigurationError(
            f"tool {tool}: a model cannot know what **kwargs may hold; name its arguments, or give their schema:"
            " parameters=..."
        )
    kinds = {name: _type_of(tool, parameter) for name, parameter in signature.filled.items()}
    definitions: Definitions = {}
    for name, definition in (pair for kind in kinds.values() for pair in kind.definitions.items()):
        if definitions.setdefault(name, definition) != definition:
            raise ConfigurationError(f"tool {tool}: two types are called {name}, and contain themselves: rename one")
    schema = _object_schema(signature, kinds, descriptions)
    return _AnnotatedReader(signature, {**schema, "$defs": definitions} if definitions else schema, kinds)


def _object_schema(
    signature: Signature, kinds: dict[str, ArgumentType], descriptions: dict[str, str]
) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            name: _property(kind, signature.filled[name], descriptions.get(name)) for name, kind in kinds.items()
        },
        "required": signature.required,
        "additionalProperties": False,
    }


def _property(kind: ArgumentType, parameter: inspect.Parameter, description: str | None) -> dict[str, Any]:
    schema = dict(kind.schema)
    if description:
        schema.setdefault("description", description)
    if parameter.default is not EMPTY:
        with contextlib.suppress(TypeError, ValueError):  # A default that JSON has no word for is only not shown.
            schema.setdefault("default", kind.plain(parameter.default))
    return schema


def _type_of(tool: str, parameter: inspect.Parameter) -> ArgumentType:
    if type(parameter.default).__name__ == "FieldInfo":
        raise ConfigurationError(
            f"tool {tool}: the default of {parameter.name} is pydantic's Field, and the function would be called with"
            " that; put it into the annotation: Annotated[int, Field(...)] = 5"
        )
    try:
        return argument_type(parameter.annotation, nullable=parameter.default is None)
    except Inexpressible as error:
        raise ConfigurationError(
            f"tool {tool}: the annotation of {parameter.name} does not work: {error}. Use types that JSON can express"
            " and tell apart, or give the schema yourself: parameters=..."
        ) from error


def _ready(tool: str, signature: Signature, parameters: Mapping[str, Any]) -> _ReadyReader:
    schema = ReadySchema(parameters, tool)
    homeless = [
        name
        for name in schema.names
        if name in signature.contexts or not (signature.is_open or name in signature.filled)
    ]
    if homeless:
        raise ConfigurationError(
            f"tool {tool}: parameters= has {homeless[0]!r}, and the function has no such argument for the model"
        )
    unfilled = [name for name in signature.required if name not in schema.names]
    if schema.names and unfilled:
        raise ConfigurationError(f"tool {tool}: the function needs {unfilled[0]!r}, which parameters= does not have")
    return _ReadyReader(signature, schema)


# --- from the model's arguments to a call


class _Reader(Protocol):
    """Takes values out of JSON, by a schema."""

    signature: Signature
    schema: dict[str, Any]

    def read(self, given: dict[str, msgspec.Raw], plain: dict[str, Any]) -> dict[str, Any]:
        """The values, or Misfit."""


class _AnnotatedReader:
    """By the function's annotations."""

    def __init__(self, signature: Signature, schema: dict[str, Any], kinds: dict[str, ArgumentType]) -> None:
        self.signature = signature
        self.schema = schema
        self._kinds = kinds

    def read(self, given: dict[str, msgspec.Raw], plain: dict[str, Any]) -> dict[str, Any]:
        values, problems = {}, list[str]()
        for name, raw in given.items():
            try:
                values[name] = self._kinds[name].read(name, raw)
            except Misfit as misfit:
                problems += misfit.problems
        if problems:
            raise Misfit(*problems)
        return values


class _ReadyReader:
    """By a schema that the program brought along."""

    def __init__(self, signature: Signature, ready: ReadySchema) -> None:
        self.signature = signature
        self.schema = ready.schema
        self._ready = ready

    def read(self, given: dict[str, msgspec.Raw], plain: dict[str, Any]) -> dict[str, Any]:
        return self._ready.read(plain)


def _object(arguments: str) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(arguments.strip() or "null", type=dict[str, msgspec.Raw] | None) or {}
    except msgspec.ValidationError:
        problem = "the arguments must be one JSON object"
    except msgspec.DecodeError as error:
        problem = f"the arguments are no valid JSON: {error}"
    except UnicodeError:
        problem = "the arguments hold half of a character"
    raise Misfit(problem)


def _misnamed(given: Iterable[str], signature: Signature) -> Iterator[str]:
    """Which names the model made up, and which it forgot."""
    unknown = [] if signature.is_open else [name for name in given if name not in signature.filled]
    for name in unknown[:_NAMES_SHOWN]:
        # What is no name may be anything that was said.
        is_name = name.isidentifier() and len(name) <= _LONGEST_NAME_SHOWN
        yield f"there is no argument {name!r}" if is_name else "one argument has a name that no argument has"
    if unknown:
        yield f"the arguments are: {', '.join(signature.filled)}" if signature.filled else "the tool has no arguments"
    for name in signature.required:
        if name not in given:
            yield f"missing {name}"
