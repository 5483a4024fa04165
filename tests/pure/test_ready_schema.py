"""Schemas that the program brings along."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rtsync.pure.tool_schema import BadArguments, declare
from rtsync.vocabulary.errors import ConfigurationError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Weather",
    "properties": {
        "city": {"type": "string", "minLength": 2},
        "unit": {"enum": ["c", "f"], "default": "c"},
        "days": {"type": "array", "items": {"$ref": "#/$defs/day"}},
    },
    "required": ["city"],
    "$defs": {"day": {"type": "integer", "minimum": 1}},
}


class Context:
    """What a tool may ask for."""


def weather(city: str, unit: str = "f", days: Any = ()) -> Any:
    """Look it up."""
    return city, unit, days


def anything(**kwargs: Any) -> Any:
    return kwargs


def declared(function: Callable[..., Any] = weather, **changes: Any) -> Any:
    return declare(function, parameters={**SCHEMA, **changes}, context_type=Context)


def refusal(arguments: Any, **changes: Any) -> str:
    with pytest.raises(BadArguments) as caught:
        declared(**changes).bind(json.dumps(arguments))
    return str(caught.value)


def test_a_ready_schema_is_sent_as_it_is() -> None:
    declaration = declared()
    assert declaration.to_dict() == {
        "type": "function",
        "name": "weather",
        "description": "Look it up.",
        "parameters": SCHEMA,
    }


def test_later_changes_of_the_programs_own_do_not_matter() -> None:
    own = json.loads(json.dumps(SCHEMA))
    declaration = declare(weather, parameters=own)
    own["properties"]["city"]["type"] = "integer"
    assert declaration.parameters == SCHEMA


def test_values_are_as_json_has_them_and_defaults_are_the_functions() -> None:
    assert declared().bind('{"city": "Oslo", "days": [1, 2]}')() == ("Oslo", "f", [1, 2])


def test_keywords_take_what_the_schema_allows() -> None:
    declaration = declare(anything, parameters={"type": "object", "properties": {"a-b": {"type": "integer"}}})
    assert declaration.bind('{"a-b": 1, "c": 2}')() == {"a-b": 1, "c": 2}
    assert declare(anything, parameters={"type": "object"}).bind("")() == {}


def test_the_context_and_positional_arguments_arrive() -> None:
    def f(ctx: Context, city: str, /, *, unit: str = "c", days: Any = None) -> Any:
        return ctx, city, unit

    assert declared(f).bind('{"city": "Oslo", "unit": "f"}', 7)() == (7, "Oslo", "f")


def test_no_value_of_the_models_stands_in_the_place_of_the_context() -> None:
    def f(ctx: Context, **kwargs: Any) -> Any:
        return ctx, kwargs

    assert declared(f).bind('{"city": "Oslo", "ctx": 1}', 7)() == (7, {"city": "Oslo"})


MAPPING = {"city": {}, "unit": {}, "days": {"additionalProperties": {"type": "integer"}}}
CLOSED = {"city": {}, "unit": {}, "days": {"properties": {"a": {}}, "additionalProperties": False}}

REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    ({}, {}, "missing city"),
    ({"city": 5}, {}, "city: must be string"),
    ({"city": "S"}, {}, "city: must be longer than or equal to 2 characters"),
    ({"city": "SECRET", "unit": "SECRET"}, {}, "unit: must be one of ['c', 'f']"),
    ({"city": "SECRET", "days": [1, 0]}, {}, "days[1]: must be bigger than or equal to 1"),
    ({"city": "SECRET", "state": 1}, {}, "there is no argument 'state'; the arguments are: city, unit, days"),
    ({"city": "SECRET"}, {"required": ["city", "unit", "days"]}, "missing unit; missing days"),
    (
        {"city": "a b"},
        {"additionalProperties": False, "maxProperties": 0},
        "must contain less than or equal to 0 properties",
    ),
    ({"city": "ab", "days": {"my SECRET.key[1]": ""}}, {"properties": MAPPING}, "days[...][...][1]: must be integer"),
    (
        {"city": "ab", "days": {"SECRET": 1, "a": 2}},
        {"properties": CLOSED},
        "days: has properties that are not allowed",
    ),
    ({"city": "SECRET"}, {"minProperties": 2}, "must contain at least 2 properties"),
    ({"city": "SECRET"}, {"required": ["city", "unit"]}, "missing unit"),
]


@pytest.mark.parametrize(("arguments", "changes", "said"), REFUSED, ids=[row[2] for row in REFUSED])
def test_what_breaks_the_schema_is_refused(arguments: Any, changes: dict[str, Any], said: str) -> None:
    assert refusal(arguments, **changes) == said


def test_what_the_function_needs_is_missed_though_the_schema_does_not_require_it() -> None:
    assert refusal({}, required=[]) == "missing city"


def test_a_closed_schema_refuses_what_keywords_would_take() -> None:
    with pytest.raises(BadArguments, match=r"^has properties that are not allowed$"):
        declared(anything, additionalProperties=False).bind('{"city": "Oslo", "made_up": 1}')


def test_a_schema_in_itself_ends_where_python_does() -> None:
    again = {"again": {"allOf": [{"$ref": "#"}]}}  # Two calls a level: that is more than Python has for 900 of them.
    tree = {"type": "object", "properties": {"next": {"$ref": "#/$defs/again"}}, "$defs": again}
    declaration = declare(anything, parameters=tree)
    assert declaration.bind('{"next": {"next": {}}}')() == {"next": {"next": {}}}
    with pytest.raises(BadArguments, match="nested too deeply"):
        declaration.bind('{"next":' * 900 + "{}" + "}" * 900)


def takes_more(city: str, unit: str, days: Any, other: int) -> None: ...


def takes_less(city: str) -> None: ...


def takes_context(city: Context, **kwargs: Any) -> None: ...


def stars(*args: Any) -> None: ...


WRONG: list[tuple[Callable[..., Any], Any, str]] = [
    (weather, [], "^tool weather: parameters= must be the JSON schema of an object"),
    (weather, {}, "must be the JSON schema of an object"),
    (weather, {"type": "string"}, "must be the JSON schema of an object"),
    (
        weather,
        {"type": "object", "properties": {"city": {"type": "text"}}},
        "parameters= is no JSON schema: Unknown type",
    ),
    (weather, {"type": "object", "properties": ["city"]}, "parameters= is no JSON schema"),
    (weather, {"type": "object", "required": "city"}, "parameters= is no JSON schema"),
    (weather, {"type": "object", "properties": {"city": {"pattern": "("}}}, "parameters= is no JSON schema"),
    (weather, {"type": "object", "properties": {"city": {"$ref": "#/nowhere"}}}, "parameters= is no JSON schema"),
    (weather, {"type": "object", "properties": {"city": {"$ref": "http://127.0.0.1:1/x"}}}, "refers to http://127"),
    (weather, {"type": "object", "properties": {"city": {"$ref": "file:///etc/hostname"}}}, "refers to file:"),
    (weather, {"type": "object", "properties": {"city": {"default": object()}}}, "parameters= is no JSON:"),
    (takes_more, SCHEMA, "the function needs 'other', which parameters= does not have"),
    (takes_less, SCHEMA, "parameters= has 'unit', and the function has no such argument"),
    (takes_context, SCHEMA, "parameters= has 'city', and the function has no such argument"),
    (stars, SCHEMA, r"a model cannot fill \*args"),
]


@pytest.mark.parametrize(("function", "parameters", "said"), WRONG, ids=[str(index) for index in range(len(WRONG))])
def test_wrong_schemas_fail_when_declared(function: Callable[..., Any], parameters: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        declare(function, parameters=parameters, context_type=Context)
