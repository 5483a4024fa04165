"""The schemas of many signatures beside those of pydantic and openai-agents; values and wrong values of each."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import msgspec
import pydantic
import pytest
from agents.function_schema import function_schema
from hypothesis import given, settings
from hypothesis import strategies as st

from rtsync.pure.tool_results import serialise
from rtsync.pure.tool_schema import BadArguments, declare
from tests.pure.tool_functions import DIFFERENCES, FUNCTIONS, Schema

Function = Callable[..., Any]
DEEP = 3
every_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)


def test_there_are_more_than_forty_signatures() -> None:
    assert len({function.__name__ for function in FUNCTIONS}) == len(FUNCTIONS) > 40


# --- beside the peers


def normalised(schema: Schema) -> Schema:
    """What is said in other words only: references in place, no titles, no order of enums.

    Also dropped: `items` beside `prefixItems`, which we add because OpenAI refuses arrays without;
    `additionalProperties` that allow anything; an empty `required`.
    """
    found = _inlined(schema, schema.get("$defs", {}), 0)
    assert isinstance(found, dict)
    found.pop("$defs", None)
    return found


def _inlined(part: Any, definitions: dict[str, Schema], depth: int) -> Any:
    if isinstance(part, list):
        return [_inlined(each, definitions, depth) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        target = definitions[part["$ref"].rpartition("/")[2]] if depth < DEEP else {}
        return _inlined({**target, **{key: part[key] for key in part if key != "$ref"}}, definitions, depth + 1)
    plain = {key: _inlined(value, definitions, depth) for key, value in part.items() if key != "$defs"}
    return dict(_in_one_way(plain))


def _in_one_way(schema: Schema) -> Iterator[tuple[str, Any]]:
    dropped = [("additionalProperties", True), ("required", [])]
    for key, value in schema.items():
        if key == "const":
            yield "enum", [value]
        elif key == "enum":
            yield key, sorted(value, key=str)
        elif key == "description" and isinstance(value, str):
            yield key, " ".join(value.split())
        elif (key, value) not in dropped and not _is_noise(key, value, schema):
            yield key, value


def _is_noise(key: str, value: Any, schema: Schema) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "items" and "prefixItems" in schema)


def differing(function: Function, ours: Schema, theirs: Schema) -> None:
    """Take the arguments out that differ on purpose; each must differ exactly as its note says."""
    for difference in DIFFERENCES.get(function.__name__, ()):
        found = (ours["properties"].pop(difference.argument), theirs["properties"].pop(difference.argument))
        assert found == (difference.ours, difference.theirs), difference.why


@every_function
def test_the_schema_is_that_of_openai_agents(function: Function) -> None:
    ours = normalised(declare(function).parameters)
    theirs = normalised(function_schema(function, strict_json_schema=False).params_json_schema)
    differing(function, ours, theirs)
    # It adds this in its strict mode only, which realtime sessions do not have.
    assert ours.pop("additionalProperties") is False
    assert ours == theirs


@every_function
def test_the_name_and_the_description_are_those_of_openai_agents(function: Function) -> None:
    ours, theirs = declare(function), function_schema(function, strict_json_schema=False)
    assert ours.name == theirs.name
    assert ours.description == (theirs.description or "")


@every_function
def test_the_schema_is_that_of_pydantic(function: Function) -> None:
    ours = normalised(declare(function).parameters)
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(function)  # type: ignore[arg-type]
    theirs = normalised(adapter.json_schema())
    differing(function, ours, theirs)
    for name, argument in ours["properties"].items():
        if "description" not in theirs["properties"][name]:  # It reads neither docstrings nor strings in Annotated.
            argument.pop("description", None)
    assert ours == theirs


@every_function
def test_the_schema_is_a_json_schema(function: Function) -> None:
    parameters = declare(function).parameters
    jsonschema.Draft202012Validator.check_schema(parameters)
    assert json.loads(json.dumps(parameters)) == parameters
    assert [each for each in _arrays(parameters) if not isinstance(each.get("items"), dict)] == []


def _arrays(part: Any) -> Iterator[Schema]:
    if isinstance(part, dict):
        if part.get("type") == "array":
            yield part
        for each in part.values():
            yield from _arrays(each)
    elif isinstance(part, list):
        for each in part:
            yield from _arrays(each)


# --- values made from the schema

FORMATS: dict[str, st.SearchStrategy[str]] = {
    "date-time": st.datetimes().map(lambda value: value.isoformat()),
    "date": st.dates().map(lambda value: value.isoformat()),
    "time": st.times().map(lambda value: value.isoformat()),
    "duration": st.integers(-(10**6), 10**6).map(lambda seconds: f"{'-' * (seconds < 0)}PT{abs(seconds)}S"),
    "uuid": st.uuids().map(str),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    "path": st.text("abc/.", min_size=1),
}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def values(schema: Schema, definitions: dict[str, Schema], depth: int = 0) -> st.SearchStrategy[Any]:
    """JSON values that `schema` allows."""
    if "$ref" in schema:
        return values(definitions[schema["$ref"].rpartition("/")[2]], definitions, depth + 1)
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    if "anyOf" in schema:
        return st.one_of([values(each, definitions, depth) for each in schema["anyOf"]])
    made: dict[str | None, Callable[..., st.SearchStrategy[Any]]] = {
        "string": lambda: strings(schema),
        "integer": lambda: st.integers(schema.get("minimum", -(2**60)), schema.get("maximum", 2**60)),
        "number": lambda: st.floats(allow_nan=False, allow_infinity=False),
        "boolean": st.booleans,
        "null": st.none,
        "array": lambda: arrays(schema, definitions, depth),
        "object": lambda: objects(schema, definitions, depth),
        None: lambda: ANY_JSON,
    }
    return made[schema.get("type")]()


def strings(schema: Schema) -> st.SearchStrategy[str]:
    if schema.get("contentEncoding") == "base64":
        return st.binary().map(lambda value: base64.b64encode(value).decode())
    return FORMATS.get(schema.get("format", ""), st.text(max_size=schema.get("maxLength", 20)))


def arrays(schema: Schema, definitions: dict[str, Schema], depth: int) -> st.SearchStrategy[Any]:
    if "prefixItems" in schema:
        return st.tuples(*(values(each, definitions, depth) for each in schema["prefixItems"])).map(list)
    if depth > DEEP:
        return st.just([])
    return st.lists(values(schema["items"], definitions, depth), max_size=3, unique=schema.get("uniqueItems", False))


def objects(schema: Schema, definitions: dict[str, Schema], depth: int) -> st.SearchStrategy[Any]:
    if "properties" in schema:
        made = {name: values(each, definitions, depth) for name, each in schema["properties"].items()}
        required = {name: made[name] for name in schema.get("required", ())}
        return st.fixed_dictionaries(required, optional={name: made[name] for name in made.keys() - required.keys()})
    inner = schema.get("additionalProperties", True)
    # No schema here says that keys must be numbers; dict[int, str] says so, and dict[str, str] takes them.
    keys = st.integers(0, 99).map(str)
    return st.dictionaries(keys, ANY_JSON if inner is True else values(inner, definitions, depth), max_size=3)


# A text of any kind, its schema says: see its difference.
SAYS_LESS = {"meet"}


@pytest.mark.parametrize(
    "function",
    [function for function in FUNCTIONS if function.__name__ not in SAYS_LESS],
    ids=lambda function: function.__name__,
)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_fits_the_schema_is_taken_and_comes_back_the_same(function: Function, data: st.DataObject) -> None:
    declaration = declare(function)
    parameters = declaration.parameters
    arguments = data.draw(values(parameters, parameters.get("$defs", {})))
    bound = declaration.bind(json.dumps(arguments))
    assert bound.plain == arguments
    again = declaration.bind(serialise(bound.kwargs))
    assert again.kwargs == bound.kwargs
    bound()


# --- values that break it

WRONG: list[Any] = ["SECRET", 17.25, True, None, 7, [{"SECRET": "SECRET"}], {"SECRET": ["SECRET"]}, [None], ["SECRET"]]
# They take whatever comes.
UNTYPED = {"nothing", "unannotated", "anything", "thing"}


def wrong_calls(parameters: Schema) -> Iterator[tuple[str, Any]]:
    """Arguments that the schema refuses, by jsonschema's word."""
    for name, schema in parameters["properties"].items():
        validator = jsonschema.Draft202012Validator({**schema, "$defs": parameters.get("$defs", {})})
        yield from ((name, value) for value in WRONG if not validator.is_valid(value))


@every_function
def test_what_breaks_the_schema_is_refused_by_its_path_and_not_quoted(function: Function) -> None:
    declaration = declare(function)
    refused = [*wrong_calls(declaration.parameters)]
    assert bool(refused) is (function.__name__ not in UNTYPED)
    required = declaration.parameters["required"]
    taken = ("money", 17.25), ("money", 7)
    for name, value in refused:
        if (function.__name__, value) in taken and not isinstance(value, bool):
            continue  # A number of money is taken, though the schema asks for a string.
        with pytest.raises(BadArguments) as caught:
            declaration.bind(msgspec.json.encode({**dict.fromkeys(required), name: value}).decode())
        assert name in str(caught.value)
        assert "SECRET" not in str(caught.value)
        assert len(str(caught.value)) <= 500


@every_function
def test_an_argument_that_is_missing_or_made_up_is_named(function: Function) -> None:
    declaration = declare(function)
    required = declaration.parameters["required"]
    if required:
        with pytest.raises(BadArguments, match=f"missing {required[0]}"):
            declaration.bind("{}")
    with pytest.raises(BadArguments, match=r"^there is no argument 'made_up'; the (tool has no )?arguments"):
        declaration.bind('{"made_up": 1}')
