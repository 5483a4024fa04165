"""The arguments that the scripted brain makes: they fit the schema, and are what the words offer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from rtsync import Tool
from rtsync.simulator.made_arguments import arguments_for
from tests.pure.tool_functions import FUNCTIONS

WORDS = ("", "just a few words", "Take 3 of “these”, Ada, at 2026-05-06 or not, and -2.5 more for Bob in Paris")


# The schema of `meet` says of a moment no more than that it is a text.
TELLING = [function for function in FUNCTIONS if function.__name__ != "meet"]


@pytest.mark.parametrize("function", TELLING, ids=lambda function: function.__name__)
@pytest.mark.parametrize("words", WORDS, ids=["none", "some", "many"])
def test_they_fit_the_schema_of_every_function(function: Callable[..., Any], words: str) -> None:
    tool = Tool(function)
    arguments = arguments_for(tool.parameters, words)
    jsonschema.validate(arguments, tool.parameters)
    tool.bind(json.dumps(arguments))


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/colour"},
        {"$ref": "#/$defs/tree"},
        {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 7}]},
        {"oneOf": [{"const": "only this"}, {"type": "array", "items": {"type": "string"}}]},
        {"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}]},
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "items": False},
        {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
        {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 2},
        {"type": "number", "exclusiveMinimum": 10, "exclusiveMaximum": 11},
        {"type": "integer", "minimum": 5, "multipleOf": 4},
        {"type": "integer", "maximum": -3},
        {"type": "string", "minLength": 40},
        {"type": "string", "maxLength": 3},
        {"type": "string", "pattern": "^[a-z]+$"},
        *({"type": "string", "format": kind} for kind in ("date", "time", "date-time", "uuid", "email", "ipv4", "uri")),
    ],
    ids=str,
)
def test_they_fit_schemas_that_no_signature_makes(schema: dict[str, Any]) -> None:
    tree = {"type": "object", "properties": {"leaf": {"type": "string"}, "branch": {"$ref": "#/$defs/tree"}}}
    whole = {
        "type": "object",
        "properties": {"x": schema},
        "required": ["x"],
        "$defs": {"colour": {"enum": ["red", "blue"]}, "tree": tree},
    }
    checker = jsonschema.FormatChecker()
    jsonschema.validate(arguments_for(whole, "just a few words"), whole, format_checker=checker)


def book(origin: str, destination: str, seats: int = 1, urgent: bool = False) -> None: ...


def convert(amount: float, digits: int = 2, unit: str = "c") -> None: ...


@pytest.mark.parametrize(
    ("function", "words", "arguments"),
    [
        (book, "Book a flight from Paris to Rome", {"origin": "Paris", "destination": "Rome"}),
        (book, "Book from Paris to Rome, 3 seats", {"origin": "Paris", "destination": "Rome", "seats": 3}),
        (book, "book “New York” to “Los Angeles”", {"origin": "New York", "destination": "Los Angeles"}),
        (convert, "convert 2.5", {"amount": 2.5}),
        (convert, "convert 2.5 to 3 digits, unit is f", {"amount": 2.5, "digits": 3, "unit": "f"}),
    ],
)
def test_what_the_words_offer_is_taken_once_and_in_order(
    function: Callable[..., Any], words: str, arguments: dict[str, Any]
) -> None:
    assert arguments_for(Tool(function).parameters, words) == arguments
