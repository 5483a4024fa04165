"""The parameters of a function that is to be a tool, and how values get to them.

`inspect` knows the parameters, also behind functools.wraps, functools.partial and bound methods. What is added here:
annotations that are strings are looked up where the function was written, what a partial has fixed is left out, and
everything that a tool cannot be is refused.
"""

from __future__ import annotations

import functools
import inspect
import types
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.foreign import one_line

__all__ = ["EMPTY", "Signature", "check_callable", "docstring_of", "name_of", "signature_of"]

EMPTY = inspect.Parameter.empty
_LONGEST_PROBLEM = 200
_NO_TOOLS = (
    (inspect.iscoroutinefunction, "a coroutine function", "asyncio.run_coroutine_threadsafe(f(...), loop).result()"),
    (inspect.isasyncgenfunction, "an async generator", "return a list"),
    (inspect.isgeneratorfunction, "a generator", "return a list"),
)


class Signature(msgspec.Struct, frozen=True):
    """The parameters that are left to fill, with their annotations resolved.

    Attributes:
        filled: those that the model fills, by name, in order.
        contexts: names of those that the caller's context fills.
        positional: those that are positional-only, in order, of both kinds.
        is_open: whether there is a ``**kwargs``.
    """

    filled: dict[str, inspect.Parameter]
    contexts: frozenset[str]
    positional: tuple[inspect.Parameter, ...]
    is_open: bool

    @property
    def required(self) -> list[str]:
        """Names of those without a default that the model fills."""
        return [name for name, parameter in self.filled.items() if parameter.default is EMPTY]

    def placed(self, values: dict[str, Any], context: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of a call with ``values`` and ``context``."""
        # The context comes last: no value of the model's may stand in its place.
        values = {**values, **dict.fromkeys(self.contexts, context)}
        given = [index for index, each in enumerate(self.positional, 1) if each.name in values]
        # One that stands before one that was given cannot be left out.
        args = [values.pop(each.name, each.default) for each in self.positional[: max(given, default=0)]]
        return tuple(args), values


def check_callable(function: Any) -> None:
    """Refuse what is no plain function.

    Raises:
        ConfigurationError: a class, not callable, or a call of it would not return the result.
    """
    if isinstance(function, type):
        raise ConfigurationError(f"{function.__qualname__} is a class: make a tool of a function, or of an instance")
    if not callable(function):
        raise ConfigurationError(f"a tool must be a function, not {type(function).__name__}")
    for test, kind, instead in _NO_TOOLS:
        if test(_called(function)):
            raise ConfigurationError(
                f"{name_of(function)} is {kind}, and tools are called plainly, on threads:"
                f" in a function of your own, {instead}"
            )


def name_of(function: Any) -> str:
    """What ``function`` is called where it was written; of an object, its class."""
    inner = _unpartialled(function)
    return str(getattr(inner, "__name__", type(inner).__name__))


def docstring_of(function: Any) -> str | None:
    """The docstring of ``function``; of an object, its ``__call__``'s or else its class's."""
    return inspect.getdoc(_written(function)) or inspect.getdoc(_unpartialled(function))


def signature_of(function: Any, tool: str, context_type: type | None) -> Signature:
    """The parameters of ``function``.

    Raises:
        ConfigurationError: they cannot be known, an annotation cannot be resolved, or ``*args``.
    """
    left = _parameters(function, tool)
    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in left):
        raise ConfigurationError(f"tool {tool}: a model cannot fill *args; make it one argument: items: list[str]")
    resolve = _Namespace(function, tool, context_type).resolved
    parameters = [each.replace(annotation=resolve(each)) for each in left if each.kind is not each.VAR_KEYWORD]
    contexts = frozenset(each.name for each in parameters if _is_context(each.annotation, context_type))
    return Signature(
        filled={each.name: each for each in parameters if each.name not in contexts},
        contexts=contexts,
        positional=tuple(each for each in parameters if each.kind is each.POSITIONAL_ONLY),
        is_open=len(parameters) < len(left),
    )


def _parameters(function: Any, tool: str) -> list[inspect.Parameter]:
    try:
        found = inspect.signature(function).parameters
    except (TypeError, ValueError, NameError) as error:
        raise ConfigurationError(
            f"tool {tool}: its signature cannot be known ({one_line(str(error), _LONGEST_PROBLEM)});"
            " wrap it in a function of your own"
        ) from error
    # The model must not overrule what the program has fixed.
    fixed = function.keywords if isinstance(function, functools.partial) else {}
    return [each for name, each in found.items() if name not in fixed]


def _unpartialled(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _called(function: Any) -> Any:
    """What runs first in a call: a decorator may have made a plain function of a coroutine function."""
    inner = _unpartialled(function)
    return inner if inspect.isroutine(inner) or hasattr(inner, "__wrapped__") else type(inner).__call__


def _written(function: Any) -> Any:
    """The function that the signature and the docstring are of, behind decorators."""
    return inspect.unwrap(_called(function))


class _Namespace:
    """What the names in a function's annotations mean."""

    def __init__(self, function: Any, tool: str, context_type: type | None) -> None:
        self._tool = tool
        written = _written(function)
        written = getattr(written, "__func__", written)
        self._globals: dict[str, Any] = getattr(written, "__globals__", {})
        # Often imported for type checkers only.
        self._locals = {context_type.__name__: context_type} if context_type else {}
        self._locals = {name: each for name, each in self._locals.items() if name not in self._globals}
        if isinstance(written, types.FunctionType):
            self._locals |= inspect.getclosurevars(written).nonlocals

    def resolved(self, parameter: inspect.Parameter) -> Any:
        if parameter.annotation is EMPTY:
            return Any
        holder: Any = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
        try:
            return get_type_hints(holder, self._globals, self._locals, include_extras=True)[parameter.name]
        except Exception as error:  # An annotation is any expression, and raises anything.
            raise ConfigurationError(
                f"tool {self._tool}: the annotation of {parameter.name} cannot be resolved"
                f" ({one_line(str(error), _LONGEST_PROBLEM)}); what it names must be known at the top level of the"
                " module that the function is in"
            ) from error


def _is_context(annotation: Any, context_type: type | None) -> bool:
    if context_type is None:
        return False
    if get_origin(annotation) is Annotated:
        return _is_context(get_args(annotation)[0], context_type)
    if get_origin(annotation) in (Union, types.UnionType):
        return {*get_args(annotation)} == {context_type, types.NoneType}
    return annotation is context_type
