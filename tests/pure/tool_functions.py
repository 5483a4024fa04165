"""Functions as programs declare them as tools: what rtsync, pydantic and openai-agents make of them is compared.

Where rtsync's schema differs on purpose, `differs` says in which argument, how, and why.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime as dt
import enum
import functools
import pathlib
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,  # Before 3.12, pydantic takes no others.
    Optional,
    TypeVar,
    Union,
)

import msgspec
import pydantic
from typing_extensions import TypedDict

Schema = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: list[Callable[..., Any]] = []


class Difference(msgspec.Struct, frozen=True):
    """An argument whose schema is not pydantic's: what we say, what pydantic and openai-agents say, and why."""

    argument: str
    ours: Schema | None
    theirs: Schema | None
    why: str


DIFFERENCES: dict[str, list[Difference]] = {}


def tool(function: F) -> F:
    FUNCTIONS.append(function)
    return function


def differs(argument: str, *, ours: Schema | None, theirs: Schema | None, why: str) -> Callable[[F], F]:
    def note(function: F) -> F:
        DIFFERENCES.setdefault(function.__name__, []).append(Difference(argument, ours, theirs, why))
        return function

    return note


class Unit(enum.Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


class Priority(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Colour(enum.StrEnum):
    RED = "red"
    GREEN = "green"


@dataclasses.dataclass
class Point:
    """A place on a map."""

    x: float
    y: float
    label: str = ""


@dataclasses.dataclass
class Circle:
    centre: Point
    radius: float


@dataclasses.dataclass
class Square:
    corner: Point
    side: float


@dataclasses.dataclass
class Folder:
    name: str
    children: list[Folder] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Meeting:
    at: dt.datetime
    place: Annotated[str, "Where they meet."] = ""


class Filter(TypedDict):
    field: str
    value: str | int
    negated: NotRequired[bool]


class Options(TypedDict, total=False):
    limit: int
    sort: Literal["asc", "desc"]


class Span(NamedTuple):
    start: int
    end: int = 10


class Address(pydantic.BaseModel):
    """Where somebody lives."""

    street: str
    number: Annotated[int, pydantic.Field(ge=1, description="of the house")]


UserId = NewType("UserId", int)


@tool
def nothing() -> str:
    return "ok"


@tool
def text(value: str) -> Any:
    return value


@tool
def whole(value: int) -> Any:
    return value


@tool
def number(value: float) -> Any:
    return value


@tool
def flag(value: bool) -> Any:
    return value


@tool
def several(first: str, second: int, third: float, fourth: bool) -> Any:
    return first, second, third, fourth


@tool
def defaults(name: str = "Ann", count: int = 3, ratio: float = 0.5, loud: bool = False) -> Any:
    return name, count, ratio, loud


@tool
def keyword_only(*, city: str, days: int = 1) -> Any:
    return city, days


@tool
def unannotated(value, other=5):  # type: ignore[no-untyped-def]
    return value, other


@tool
def anything(value: Any) -> Any:
    return value


@tool
def optional(value: Optional[str]) -> Any:  # noqa: UP045 - as older programs write it
    return value


@tool
def optional_with_default(value: int | None = None) -> Any:
    return value


@tool
@differs(
    "value",
    ours={"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    theirs={"type": "string", "default": None},
    why="a default of None says that None may be given, and models send null",
)
def none_by_default(value: str = None) -> Any:  # type: ignore[assignment]  # noqa: RUF013
    return value


@tool
def union(value: Union[str, int]) -> Any:  # noqa: UP007
    return value


@tool
def wide_union(value: int | str | bool | list[int] | None = None) -> Any:
    return value


@tool
def literal(unit: Literal["c", "f"] = "c") -> Any:
    return unit


@tool
def one_literal(kind: Literal["ticket"]) -> Any:
    return kind


@tool
def mixed_literal(value: Literal["a", 1]) -> Any:
    return value


@tool
def enumeration(unit: Unit, priority: Priority = Priority.LOW) -> Any:
    return unit, priority


@tool
def string_enumeration(colour: Colour = Colour.RED) -> Any:
    return colour


@tool
def optional_enumeration(unit: Unit | None = None) -> Any:
    return unit


@tool
def texts(values: list[str]) -> Any:
    return values


@tool
def any_list(values: list) -> Any:  # type: ignore[type-arg]
    return values


@tool
def nested_lists(matrix: list[list[float]]) -> Any:
    return matrix


@tool
def unique(values: set[int]) -> Any:
    return values


@tool
def frozen(values: frozenset[str] = frozenset()) -> Any:
    return values


@tool
def sequence(values: collections.abc.Sequence[int]) -> Any:
    return values


@tool
def iterable(values: collections.abc.Iterable[int]) -> Any:
    return values


@tool
def pair(value: tuple[int, str]) -> Any:
    return value


@tool
def many(values: tuple[int, ...]) -> Any:
    return values


@tool
def mapping(values: dict[str, int]) -> Any:
    return values


@tool
def any_dict(values: dict) -> Any:  # type: ignore[type-arg]
    return values


@tool
def abstract_mapping(values: collections.abc.Mapping[str, list[float]]) -> Any:
    return values


@tool
def number_keys(values: dict[int, str]) -> Any:
    return values


@tool
def moment(at: dt.datetime, day: dt.date, hour: dt.time) -> Any:
    return at, day, hour


@tool
def duration(length: dt.timedelta) -> Any:
    return length


@tool
@differs(
    "amount",
    ours={"type": "string", "format": "decimal"},
    theirs={"anyOf": [{"type": "number"}, {"type": "string"}]},
    why="a string keeps every digit on its way through a model; a number is accepted as well",
)
def money(amount: Decimal) -> Any:
    return amount


@tool
def identifier(value: uuid.UUID) -> Any:
    return value


@tool
def path(value: pathlib.Path) -> Any:
    return value


@tool
@differs(
    "value",
    ours={"type": "string", "contentEncoding": "base64"},
    theirs={"type": "string", "format": "binary"},
    why="JSON has no bytes; base64 can hold all of them, pydantic takes the characters' UTF-8",
)
def blob(value: bytes) -> Any:
    return value


@tool
def new_type(user: UserId) -> Any:
    return user


@tool
def data_class(point: Point) -> Any:
    return point


@tool
def nested_data_class(circle: Circle, others: list[Circle] | None = None) -> Any:
    return circle, others


@tool
def data_classes(shape: Circle | Square) -> Any:
    return shape


@tool
def recursive(folder: Folder) -> Any:
    return folder


@tool
def typed_dict(condition: Filter) -> Any:
    return condition


@tool
def partial_typed_dict(options: Options) -> Any:
    return options


@tool
def named_tuple(span: Span) -> Any:
    return span


@tool
def pydantic_model(address: Address) -> Any:
    return address


@tool
def pydantic_models(addresses: list[Address], spare: Address | None = None) -> Any:
    return addresses, spare


@tool
def pydantic_field(count: Annotated[int, pydantic.Field(ge=1, le=9, description="how many")] = 1) -> Any:
    return count


@tool
def default_data_class(point: Point = Point(0.0, 0.0)) -> Any:  # noqa: B008
    return point


@tool
def google(city: str, unit: str = "c") -> Any:
    """Look up the weather.

    It is measured every hour.

    Args:
        city: The city, e.g.
            Paris.
        unit (str): c or f.

    Returns:
        A dict.
    """
    return city, unit


@tool
def numpy(city: str, days: int = 1) -> Any:
    """Look up the weather.

    Parameters
    ----------
    city : str
        The city.
    days : int
        How many days.
    """
    return city, days


@tool
def sphinx(city: str, days: int = 1) -> Any:
    """Look up the weather.

    :param city: The city.
    :param int days: How many days.
    :returns: what it is
    """
    return city, days


def _timed(function: F) -> F:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


@tool
@_timed
def decorated(city: str, unit: Literal["c", "f"] = "c") -> Any:
    """Look up the weather."""
    return city, unit


@tool
@differs(
    "age",
    ours={"type": "integer", "minimum": 0, "maximum": 150},
    theirs={"type": "integer"},
    why="pydantic does not know msgspec's constraints",
)
@differs(
    "code",
    ours={"type": "string", "maxLength": 5, "default": "a"},
    theirs={"type": "string", "default": "a"},
    why="pydantic does not know msgspec's constraints",
)
def bounded(
    age: Annotated[int, msgspec.Meta(ge=0, le=150)], code: Annotated[str, msgspec.Meta(max_length=5)] = "a"
) -> Any:
    return age, code


@tool
def described(city: Annotated[str, "The city."], days: Annotated[int, pydantic.Field(description="How many.")]) -> Any:
    return city, days


@tool
def unions_in_lists(values: list[int | str], by_name: dict[str, list[Point] | None]) -> Any:
    return values, by_name


@tool
def thing(value: object) -> Any:
    return value


@tool
@differs(
    "meeting",
    ours={
        "type": "object",
        "properties": {"at": {"type": "string"}, "place": {"type": "string", "default": ""}},
        "required": ["at"],
    },
    theirs={
        "type": "object",
        "properties": {"at": {"type": "string", "format": "date-time"}, "place": {"type": "string", "default": ""}},
        "required": ["at"],
    },
    why="msgspec names the format of a field only where Meta(tz=...) says whether it has a time zone",
)
def meet(meeting: Meeting) -> Any:
    return meeting
