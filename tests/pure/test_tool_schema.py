"""A function's declaration as a tool, and the way from the model's arguments to its own."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import datetime as dt
import enum
import functools
import json
import operator
import pickle
import socket
import subprocess
import sys
import typing
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import pydantic
import pytest
import typing_extensions

from rtsync.pure.tool_schema import BadArguments, declare
from rtsync.vocabulary.errors import ConfigurationError, RealtimeError

if TYPE_CHECKING:
    from collections import OrderedDict as OnlyForTypeCheckers

T = TypeVar("T")


class Context:
    """What a tool may ask for."""


class Unit(enum.Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass
class Place:
    """A place on a map."""

    x: int


@dataclasses.dataclass
class Near:
    x: int
    distance: int = 0


@dataclasses.dataclass
class Positive:
    value: int

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError("value must not be negative")


@dataclasses.dataclass
class Tree:
    name: str
    children: list[Tree] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Coloured:
    colour: Unit
    next: Coloured | None = None


class Forest(pydantic.BaseModel):
    name: str
    children: list[Forest] = []


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Box(msgspec.Struct, Generic[T]):
    content: T


class Span(NamedTuple):
    start: int
    end: int = 9


class Guest(msgspec.Struct, tag="guest"):
    name: str


class Host(msgspec.Struct, tag="host"):
    name: str
    rooms: int = 1


class Plan(typing.TypedDict):
    name: typing.Required[str]
    steps: typing.NotRequired[list[str]]


class Person(pydantic.BaseModel):
    name: str
    age: Annotated[int, pydantic.Field(ge=0)] = 0


def weather(city: str, unit: Literal["c", "f"] = "c") -> Any:
    """Say what the weather is.

    It is looked up each time.

    Args:
        city: the city
        unit: of the temperature
    """
    return city, unit


def kwargs_of(function: Callable[..., Any], arguments: Any, **options: Any) -> dict[str, Any]:
    return declare(function, **options).bind(json.dumps(arguments)).kwargs


def refusal(function: Callable[..., Any], arguments: Any, **options: Any) -> str:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    with pytest.raises(BadArguments) as caught:
        declare(function, **options).bind(text)
    return str(caught.value)


# --- what the model is told


def test_a_function_becomes_what_stands_in_session_tools() -> None:
    assert declare(weather).to_dict() == {
        "type": "function",
        "name": "weather",
        "description": "Say what the weather is.\n\nIt is looked up each time.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "the city"},
                "unit": {"type": "string", "enum": ["c", "f"], "description": "of the temperature", "default": "c"},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }


def test_a_function_without_docstring_has_no_description() -> None:
    def silent() -> None: ...

    assert declare(silent).to_dict() == {
        "type": "function",
        "name": "silent",
        "parameters": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
    }


def test_name_and_description_can_be_given() -> None:
    declaration = declare(weather, name="get-weather_2", description="Look it up.")
    assert (declaration.name, declaration.description) == ("get-weather_2", "Look it up.")
    assert declaration.parameters["properties"]["city"]["description"] == "the city"


def test_what_is_handed_out_can_be_changed_without_changing_the_declaration() -> None:
    declaration = declare(weather)
    before = copy.deepcopy(declaration.parameters)
    declaration.to_dict()["parameters"]["properties"].clear()
    assert declaration.parameters == before


def test_a_description_in_annotated_counts_more_than_the_docstring() -> None:
    def f(
        a: Annotated[str, "from the annotation"],
        b: Annotated[int, msgspec.Meta(ge=1, description="from msgspec")],
        c: Annotated[str, typing_extensions.Doc("from Doc")],
        d: Annotated[str, object()],
    ) -> None:
        """F.

        Args:
            a: from the docstring
            b: from the docstring
            c: from the docstring
            d: from the docstring
        """

    properties = declare(f).parameters["properties"]
    found = {name: schema["description"] for name, schema in properties.items()}
    assert found == {
        "a": "from the annotation",
        "b": "from msgspec",
        "c": "from Doc",
        "d": "from the docstring",
    }
    assert properties["b"]["minimum"] == 1


def test_what_is_said_of_an_argument_counts_more_than_what_is_said_of_its_type() -> None:
    def f(centre: Annotated[Place, "where it begins"], edge: Place) -> None: ...

    properties = declare(f).parameters["properties"]
    assert properties["centre"]["description"] == "where it begins"
    assert properties["edge"]["description"] == "A place on a map."


def test_a_default_that_json_has_no_word_for_is_not_shown() -> None:
    marker = object()

    def f(a: int = marker) -> Any:  # type: ignore[assignment]
        return a

    assert declare(f).parameters["properties"]["a"] == {"type": "integer"}
    assert declare(f).bind("{}")() is marker


def test_a_type_that_contains_itself_is_defined_once() -> None:
    def f(tree: Tree, other: Tree | None = None) -> Any:
        return tree, other

    parameters = declare(f).parameters
    assert [*parameters["$defs"]] == ["Tree"]
    assert parameters["properties"]["tree"] == {"$ref": "#/$defs/Tree"}
    assert parameters["$defs"]["Tree"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    given = {"tree": {"name": "a", "children": [{"name": "b"}]}}
    assert kwargs_of(f, given) == {"tree": Tree("a", [Tree("b")])}
    assert (
        refusal(f, {"tree": {"name": "a", "children": [{"name": 1}]}}) == "tree.children[0].name: expected str, got int"
    )


@pytest.mark.parametrize("annotation", [Tree, Forest, Any])
def test_however_deep_a_value_is_it_is_taken_or_refused(annotation: Any) -> None:
    def f(value: Any) -> None: ...

    f.__annotations__["value"] = annotation
    declaration = declare(f)

    def outcome(depth: int) -> str:
        try:
            declaration.bind('{"value": ' + '{"name": "a", "children": [' * depth + "]}" * depth + "}")
        except BadArguments as error:
            return str(error)
        return "taken"

    # Somewhere between 400 and 500, Python's limit is met: by one reader first, and then by the others.
    told = {outcome(depth) for depth in [3, *range(400, 500), 20_000]}
    assert "taken" in told
    assert len(told) > 1
    assert all("nested too deeply" in each or "recursion limit" in each for each in told - {"taken"})


def test_an_enum_inside_of_a_type_in_itself_is_found() -> None:
    def f(tree: Coloured) -> None: ...

    given = {"tree": {"colour": "c", "next": {"colour": "c", "next": {"colour": "SECRET"}}}}
    assert refusal(f, given) == 'tree.next.next.colour: expected one of "c", "f"'


def test_two_types_of_one_name_that_contain_themselves_are_refused() -> None:
    other = dataclasses.make_dataclass("Tree", [("value", int), ("next", "Tree | None", None)])
    other.__module__ = "elsewhere"
    sys.modules["elsewhere"] = typing.cast("Any", type("Module", (), {"Tree": other}))
    try:

        def f(a: Tree, b: Any) -> None: ...

        f.__annotations__["b"] = other
        with pytest.raises(
            ConfigurationError, match=r"tool f: two types are called Tree, and contain themselves: rename"
        ):
            declare(f)
    finally:
        del sys.modules["elsewhere"]


# --- what can be a tool


def test_bound_methods_are_tools_without_self() -> None:
    class Desk:
        def find(self, name: str) -> str:
            """Find it."""
            return f"found {name}"

        @classmethod
        def count(cls, of: str) -> str:
            return f"{cls.__name__} {of}"

        @staticmethod
        def plain(value: Unit) -> Unit:
            return value

    declaration = declare(Desk().find)
    assert (declaration.name, declaration.description) == ("find", "Find it.")
    assert declaration.bind('{"name": "x"}')() == "found x"
    assert declare(Desk.count).bind('{"of": "x"}')() == "Desk x"
    assert declare(Desk.plain).bind('{"value": "c"}')() is Unit.CELSIUS


def test_an_object_that_can_be_called_is_a_tool() -> None:
    class Lookup:
        """Looks things up."""

        def __call__(self, unit: Unit) -> Unit:
            return unit

    declaration = declare(Lookup())
    assert (declaration.name, declaration.description) == ("Lookup", "Looks things up.")
    assert declaration.bind('{"unit": "f"}')() is Unit.FAHRENHEIT


def test_what_a_partial_has_fixed_is_not_the_models_to_choose() -> None:
    def pay(account: str, amount: int, currency: str = "EUR") -> Any:
        """Pay."""
        return account, amount, currency

    declaration = declare(functools.partial(functools.partial(pay, "A1"), currency="USD"))
    assert (declaration.name, declaration.description) == ("pay", "Pay.")
    assert [*declaration.parameters["properties"]] == ["amount"]
    assert declaration.bind('{"amount": 5}')() == ("A1", 5, "USD")
    with pytest.raises(
        BadArguments, match=r"^there is no argument 'currency'; the arguments are: amount; missing amount$"
    ):
        declaration.bind('{"currency": "EUR"}')


def test_decorated_functions_are_read_behind_their_decorator() -> None:
    def loud(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return "loud", function(*args, **kwargs)

        return wrapper

    declaration = declare(loud(weather))
    assert declaration.to_dict() == declare(weather).to_dict()
    assert declaration.bind('{"city": "Oslo"}')() == ("loud", ("Oslo", "c"))
    cached = functools.lru_cache(weather)
    assert declare(cached).to_dict() == declare(weather).to_dict()


def test_a_decorator_may_make_a_plain_function_of_a_coroutine_function() -> None:
    async def slow(value: int) -> int:
        return value

    @functools.wraps(slow)
    def plain(*args: Any, **kwargs: Any) -> int:
        return asyncio.run(slow(*args, **kwargs))

    assert declare(plain).bind('{"value": 3}')() == 3


def test_a_choice_of_tagged_types_is_said_by_their_tags() -> None:
    def f(who: Guest | Host, pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]) -> None: ...

    properties = declare(f).parameters["properties"]
    assert [each["properties"]["type"]["enum"] for each in properties["who"]["anyOf"]] == [["guest"], ["host"]]
    assert [each["properties"]["kind"]["const"] for each in properties["pet"]["oneOf"]] == ["cat", "dog"]
    assert "#/$defs" not in json.dumps(properties)


def test_fields_may_be_called_as_keywords_are() -> None:
    @dataclasses.dataclass
    class Odd:
        title: str
        discriminator: int
        items: list[int]
        properties: Point

    def f(odd: Any) -> None: ...

    f.__annotations__["odd"] = Odd
    schema = declare(f).parameters["properties"]["odd"]
    assert [*schema["properties"]] == ["title", "discriminator", "items", "properties"]
    given = {"odd": {"title": "a", "discriminator": 1, "items": [1], "properties": {"x": 1}}}
    assert kwargs_of(f, given) == {"odd": Odd("a", 1, [1], Point(1))}


def test_builtins_with_a_signature_are_tools() -> None:
    assert declare(operator.add).bind('{"a": 1, "b": 2}')() == 3


def test_positional_only_and_keyword_only_arguments_arrive() -> None:
    def f(a: int, b: int = 2, c: int = 3, /, d: int = 4, *, e: int = 5) -> Any:
        return a, b, c, d, e

    declaration = declare(f)
    assert declaration.bind('{"a": 1}').args == (1,)
    assert declaration.bind('{"a": 1, "c": 30, "e": 50}')() == (1, 2, 30, 4, 50)


def test_arguments_may_have_any_name() -> None:
    def f(self: int, cls: int, __struct_fields__: int, name: int, function: int) -> Any:
        return self, cls, __struct_fields__, name, function

    given = {"self": 1, "cls": 2, "__struct_fields__": 3, "name": 4, "function": 5}
    assert declare(f).bind(json.dumps(given))() == (1, 2, 3, 4, 5)


def test_an_argument_that_is_left_out_has_the_functions_own_default() -> None:
    mutable = [1]

    def f(values: list[int] = mutable) -> Any:
        return values

    assert declare(f).bind("{}")() is mutable


# --- the context


def with_context(ctx: Context, city: str) -> Any:
    return ctx, city


def with_optional_context(city: str, ctx: Context | None = None) -> Any:
    return ctx, city


def with_annotated_context(city: str, *, ctx: Annotated[Context, "mine"]) -> Any:
    return ctx, city


def with_positional_context(city: str, ctx: Context, days: int = 1, /) -> Any:
    return ctx, city


@pytest.mark.parametrize(
    "function", [with_context, with_optional_context, with_annotated_context, with_positional_context]
)
def test_the_context_is_filled_by_the_caller_and_not_in_the_schema(function: Callable[..., Any]) -> None:
    declaration = declare(function, context_type=Context)
    assert "ctx" not in declaration.parameters["properties"]
    context = Context()
    bound = declaration.bind('{"city": "Oslo"}', context)
    assert bound() == (context, "Oslo")
    assert bound.plain == {"city": "Oslo"}


@pytest.mark.parametrize("function", [with_context, with_optional_context])
def test_the_model_cannot_give_the_context(function: Callable[..., Any]) -> None:
    said = refusal(function, {"city": "Oslo", "ctx": 1}, context_type=Context)
    assert said == "there is no argument 'ctx'; the arguments are: city"


def test_the_context_may_be_imported_for_type_checkers_only() -> None:
    written = "def f(ctx: 'Context', city: str): return ctx"
    names: dict[str, Any] = {}
    exec(written, names)
    assert declare(names["f"], context_type=Context).bind('{"city": "a"}', 1)() == 1


def test_another_type_of_the_contexts_name_is_not_the_context() -> None:
    written = "class Context(str): pass\ndef f(ctx: 'Context'): return ctx"
    names: dict[str, Any] = {"__name__": "elsewhere"}
    exec(written, names)
    with pytest.raises(
        ConfigurationError, match=r"annotation of ctx does not work: JSON cannot express elsewhere\.Context"
    ):
        declare(names["f"], context_type=Context)


# --- values

VALUES: list[tuple[Any, Any, Any]] = [
    (Unit, "c", Unit.CELSIUS),
    (Point, {"x": 1}, Point(1)),
    (list[Point], [{"x": 1, "y": 2}], [Point(1, 2)]),
    (dict[str, Point], {"a": {"x": 1}}, {"a": Point(1)}),
    (dict[int, str], {"7": "a"}, {7: "a"}),
    (Point | None, None, None),
    (set[int], [1, 2, 1], {1, 2}),
    (frozenset[str], ["a"], frozenset("a")),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[int, ...], [1, 2], (1, 2)),
    (Span, [1], Span(1)),
    (dt.datetime, "2026-05-01T10:00:00Z", dt.datetime(2026, 5, 1, 10, tzinfo=dt.UTC)),
    (dt.datetime, "2026-05-01T10:00:00", dt.datetime(2026, 5, 1, 10)),  # noqa: DTZ001
    (dt.date, "2026-05-01", dt.date(2026, 5, 1)),
    (dt.time, "10:00:00", dt.time(10)),
    (dt.timedelta, "PT90S", dt.timedelta(seconds=90)),
    (Decimal, "1.10", Decimal("1.10")),
    (Decimal, 1.1, Decimal("1.1")),
    (uuid.UUID, "12345678-1234-5678-1234-567812345678", uuid.UUID("12345678-1234-5678-1234-567812345678")),
    (bytes, "aGk=", b"hi"),
    (Path, "a/b", Path("a/b")),
    (Path | None, None, None),
    (Box[int], {"content": 3}, Box(3)),
    (Guest | Host, {"type": "host", "name": "Ann"}, Host("Ann")),
    (Plan, {"name": "x"}, {"name": "x"}),
    (Point | Near, {"x": 1, "distance": 2}, Near(1, 2)),
    (Point | Near, {"x": 1}, Point(1)),
    (Plan | Point, {"name": "a"}, {"name": "a"}),
    (list[Point | Near], [{"x": 1}, {"x": 1, "distance": 2}], [Point(1), Near(1, 2)]),
    (Point | Near | None, None, None),
    (dict[int, str] | Point, {"7": "a"}, {7: "a"}),
    (Path | int, 3, 3),
    (Path | int, "a", Path("a")),
    (dt.date | str, "2026-05-01", dt.date(2026, 5, 1)),
    (dt.date | str, "tomorrow", "tomorrow"),
    (float, 3, 3.0),
    (int, 2**70, 2**70),
    (typing.Iterable[Unit], ["c"], [Unit.CELSIUS]),
    (typing.Iterable, ["c"], ["c"]),
    (object, {"a": [1, None]}, {"a": [1, None]}),
    (None, None, None),
    (Person, {"name": "Ann"}, Person(name="Ann")),
    (list[Person], [{"name": "Ann"}], [Person(name="Ann")]),
    (dict[str, Person | None], {"a": None}, {"a": None}),
    (dict[str, Person | None] | None, None, None),
    (pydantic.PositiveInt, 3, 3),
]


@pytest.mark.parametrize(("annotation", "given", "expected"), VALUES, ids=[f"{row[0]}-{row[1]}" for row in VALUES])
def test_values_become_what_the_annotation_says(annotation: Any, given: Any, expected: Any) -> None:
    def f(value: Any) -> None: ...

    f.__annotations__["value"] = annotation
    (found,) = kwargs_of(f, {"value": given}).values()
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("nothing", ["", "null", " \n", "{}", "{ }"])
def test_no_arguments_may_be_said_in_any_way(nothing: str) -> None:
    def f(a: int = 1) -> Any:
        return a

    assert declare(f).bind(nothing)() == 1
    assert refusal(weather, nothing) == "missing city"


def test_a_default_of_none_says_that_none_may_be_given() -> None:
    def f(a: str = None, b: Person = None, c: Any = None) -> Any:  # type: ignore[assignment]  # noqa: RUF013
        return a, b, c

    assert declare(f).bind('{"a": null, "b": null, "c": null}')() == (None, None, None)
    assert declare(f).parameters["properties"]["c"] == {"default": None}


def test_an_argument_without_annotation_takes_any_value() -> None:
    def f(a, b=2):  # type: ignore[no-untyped-def]
        return a, b

    assert declare(f).parameters["properties"] == {"a": {}, "b": {"default": 2}}
    assert declare(f).bind('{"a": {"x": [1]}}')() == ({"x": [1]}, 2)


# --- what the model did wrong

REFUSED: list[tuple[Any, Any, str]] = [
    (int, "3", "value: expected int, got str"),
    (int, 3.5, "value: expected int, got float"),
    (int, True, "value: expected int, got bool"),
    (str, None, "value: expected str, got null"),
    (Unit, "SECRET", 'value: expected one of "c", "f"'),
    (Unit | None, "SECRET", 'value: expected one of "c", "f"'),
    (Literal["a", 1], "SECRET", 'value: expected one of 1, "a"'),
    (list[Unit], ["c", "SECRET"], 'value[1]: expected one of "c", "f"'),
    (dict[str, list[Unit]], {"SECRET": ["SECRET"]}, 'value[...][0]: expected one of "c", "f"'),
    (dict[Unit, int], {"SECRET": 1}, "value: a key: none of the values allowed"),
    (dict[int, int], {"SECRET": 1}, "value: a key: expected int, got str"),
    (Point, {"y": 1}, "value: missing x"),
    (list[Point], [{"x": "SECRET"}], "value[0].x: expected int, got str"),
    (Guest | Host, {"type": "SECRET"}, 'value.type: expected one of "guest", "host"'),
    (Plan, {"name": "a", "steps": [1]}, "value.steps[0]: expected str, got int"),
    (tuple[int, str], [1], "value: expected array of length 2"),
    (dt.datetime, "SECRET", "value: invalid RFC3339 encoded datetime"),
    (uuid.UUID, "SECRET", "value: invalid UUID"),
    (Decimal, "SECRET", "value: invalid decimal string"),
    (bytes, "SECRET!", "value: invalid base64 encoded string"),
    (Annotated[int, msgspec.Meta(ge=1)], 0, "value: expected int >= 1"),
    (Annotated[str, msgspec.Meta(max_length=3)], "SECRET", "value: expected str of length <= 3"),
    (Point | Near, {"y": "SECRET"}, "value: expected one of Point, Near"),
    (list[Point | Near], [{"x": "SECRET"}], "value[0]: expected one of Point, Near"),
    (Path, 3, "value: expected str, got int"),
    (Positive, {"value": -1}, "value: value must not be negative"),
    (Person, {"age": -1}, "value.name: field required; value.age: input should be greater than or equal to 0"),
    (Person, {"name": 3}, "value.name: input should be a valid string"),
    (dict[str, list[Person]], {"SECRET": [{}]}, "value[...][0].name: field required"),
    (list[Person], [{"name": "a"}, "SECRET"], "value[1]: input should be an object"),
]


@pytest.mark.parametrize(("annotation", "given", "said"), REFUSED, ids=[f"{row[0]}-{row[1]}" for row in REFUSED])
def test_the_model_is_told_where_and_what_was_expected(annotation: Any, given: Any, said: str) -> None:
    def f(value: Any) -> None: ...

    f.__annotations__["value"] = annotation
    assert refusal(f, {"value": given}) == said


NO_OBJECTS = [
    ("[]", "the arguments must be one JSON object"),
    ('"SECRET"', "the arguments must be one JSON object"),
    ("7", "the arguments must be one JSON object"),
    ("{SECRET", "the arguments are no valid JSON: JSON is malformed: object keys must be strings (byte 1)"),
    ('{"city": "SECRET', "the arguments are no valid JSON: Input data was truncated"),
    ('{"city": NaN}', "the arguments are no valid JSON: JSON is malformed: invalid character (byte 9)"),
    ('{"city": "\ud800"}', "the arguments hold half of a character"),
    ('{"city": ' + "[" * 100_000 + "]" * 100_000 + "}", "the arguments are nested too deeply"),
]


@pytest.mark.parametrize(("text", "said"), NO_OBJECTS, ids=[f"{index}" for index in range(len(NO_OBJECTS))])
def test_what_is_no_object_is_refused(text: str, said: str) -> None:
    assert refusal(weather, text) == said


def test_all_that_is_wrong_is_said_at_once_and_briefly() -> None:
    assert refusal(weather, {"city": 1, "unit": "x"}) == 'city: expected str, got int; unit: expected one of "c", "f"'
    said = refusal(weather, {f"n{index}": 1 for index in range(1000)})
    assert said.startswith("there is no argument 'n0'; there is no argument 'n1'; ")
    assert said.endswith("; the arguments are: city, unit; missing city")
    assert len(said) < 250


@pytest.mark.parametrize("name", ["what Ann said", "x" * 41, "a\nb", ""])
def test_a_made_up_argument_that_is_no_name_is_not_quoted(name: str) -> None:
    said = refusal(weather, {"city": "Oslo", name: 1})
    assert said == "one argument has a name that no argument has; the arguments are: city, unit"


def test_a_tool_without_arguments_says_so() -> None:
    def f() -> None: ...

    assert refusal(f, {"a": 1}) == "there is no argument 'a'; the tool has no arguments"


def test_what_a_type_raises_by_itself_that_is_no_refusal_is_the_programs() -> None:
    @dataclasses.dataclass
    class Broken:
        value: int

        def __post_init__(self) -> None:
            raise KeyError("of the program")

    def f(value: Any) -> None: ...

    f.__annotations__["value"] = Broken
    with pytest.raises(KeyError, match="of the program"):
        declare(f).bind('{"value": {"value": 1}}')


def test_bad_arguments_are_an_error_of_ours_and_travel() -> None:
    with pytest.raises(BadArguments) as caught:
        declare(weather).bind("{}")
    assert isinstance(caught.value, RealtimeError)
    assert isinstance(caught.value, ValueError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == "missing city"
    assert caught.value.__cause__ is None


def test_a_call_shows_no_arguments() -> None:
    declaration = declare(weather)
    bound = declaration.bind('{"city": "SECRET"}')
    assert repr(bound) == "<BoundCall weather, arguments: 1>"
    assert bound.__rich_repr__() == [("function", "weather"), ("arguments", 1)]
    assert repr(declaration) == "Declaration('weather')"


# --- wrong declarations


async def coroutine(a: int) -> None: ...


async def asynchronous() -> AsyncIterator[int]:
    yield 1


def generator() -> Iterator[int]:
    yield 1


class AsyncObject:
    async def __call__(self) -> None: ...


def stars(*args: int) -> None: ...


def open_ended(a: int, **kwargs: int) -> None: ...


def unresolvable(a: OnlyForTypeCheckers[str, int]) -> None: ...


def takes_socket(connection: socket.socket) -> None: ...


def takes_callable(then: Callable[[int], str]) -> None: ...


def takes_a_number(value: complex) -> None: ...


def takes_mixed(value: Mixed) -> None: ...


def takes_member(value: Literal[Unit.CELSIUS]) -> None: ...


def takes_class(value: type[int]) -> None: ...


def takes_deque(value: deque[int]) -> None: ...


def takes_no_type(value: 5 = None) -> None: ...  # type: ignore[valid-type]


def takes_bounds(value: Annotated[str, msgspec.Meta(ge=3)]) -> None: ...


def takes_loop(value: asyncio.AbstractEventLoop | int | None) -> None: ...


def takes_field(value: int = pydantic.Field(3)) -> None: ...


def takes_odd_model(value: Annotated[socket.socket, pydantic.Field(description="x")]) -> None: ...


def grüße() -> None: ...


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (coroutine, {}, r"^coroutine is a coroutine function, and tools are called plainly.*run_coroutine_threadsafe"),
    (functools.partial(coroutine, 1), {}, "^coroutine is a coroutine function"),
    (AsyncObject(), {}, "^AsyncObject is a coroutine function"),
    (asynchronous, {}, r"^asynchronous is an async generator.* return a list"),
    (generator, {}, r"^generator is a generator.* return a list"),
    (int, {}, "^int is a class: make a tool of a function"),
    (Point, {}, "^Point is a class"),
    ("weather", {}, "^a tool must be a function, not str$"),
    (None, {}, "^a tool must be a function, not NoneType$"),
    (stars, {}, r"^tool stars: a model cannot fill \*args; make it one argument"),
    (open_ended, {}, r"^tool open_ended: a model cannot know what \*\*kwargs may hold"),
    (unresolvable, {}, "^tool unresolvable: the annotation of a cannot be resolved .*OnlyForTypeCheckers.* top level"),
    (takes_socket, {}, r"annotation of connection does not work: JSON cannot express socket\.socket\. Use types"),
    (takes_callable, {}, "annotation of then does not work: JSON cannot express .*Callable"),
    (takes_a_number, {}, r"annotation of value does not work: JSON cannot express complex\. Use"),
    (takes_mixed, {}, "annotation of value does not work: Enums must contain"),
    (takes_member, {}, "annotation of value does not work: Literal may only contain"),
    (takes_class, {}, "annotation of value does not work: JSON cannot express type"),
    (takes_deque, {}, r"annotation of value does not work: JSON cannot express collections\.deque\. Use"),
    (takes_no_type, {}, "annotation of value does not work|annotation of value cannot be resolved"),
    (takes_bounds, {}, "annotation of value does not work: Can only set `ge`"),
    (takes_loop, {}, "annotation of value does not work: JSON cannot express asyncio"),
    (takes_field, {}, "^tool takes_field: the default of value is pydantic's Field"),
    (takes_odd_model, {}, "annotation of value does not work: Unable to generate pydantic-core schema"),
    (lambda: 1, {}, "^a lambda has no name that a model could call: give it one, name="),
    (grüße, {}, r"^the service refuses 'grüße' as the name of a tool: it must be 1 to 64 letters"),
    (weather, {"name": ""}, "^the service refuses '' as the name"),
    (weather, {"name": "a b"}, "^the service refuses 'a b' as the name"),
    (weather, {"name": "a.b"}, "^the service refuses 'a.b' as the name"),
    (weather, {"name": "weather\n"}, "^the service refuses 'weather' as the name"),
    (weather, {"name": "x" * 65}, "^the service refuses 'x{40}…' as the name"),
    (weather, {"name": 5}, "^the name of a tool must be a string, not int"),
    (weather, {"description": 5}, "^tool weather: its description must be a string, not int"),
    (min, {}, r"^tool min: its signature cannot be known .*; wrap it in a function of your own"),
]


@pytest.mark.parametrize(("function", "options", "said"), WRONG, ids=[str(index) for index in range(len(WRONG))])
def test_wrong_declarations_fail_when_declared_and_say_what_to_do(
    function: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        declare(function, **options)


def test_the_longest_name_is_taken_and_a_description_of_any_length() -> None:
    assert declare(lambda: 1, name="x" * 64, description="y" * 5000).name == "x" * 64


def test_types_of_a_closure_are_found() -> None:
    def outer() -> Callable[..., Any]:
        class Kind(enum.Enum):
            A = "a"

        def f(kind: Kind) -> bool:
            return kind is Kind.A

        return f

    assert declare(outer()).bind('{"kind": "a"}')() is True


def test_pydantic_is_not_needed_and_not_imported() -> None:
    code = """
import datetime, sys
from rtsync.pure.tool_schema import declare
def f(at: datetime.datetime, values: "list[int] | None" = None) -> object:
    "Do it."
    return at.year
assert declare(f).bind('{"at": "2026-05-01T00:00:00"}')() == 2026
assert not sys.modules.keys() & {"pydantic", "docstring_parser", "fastjsonschema"}, sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
