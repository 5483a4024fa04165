"""JSON schemas as the service takes them: references inlined, every array with its items, no titles.

References are understood by the service in no place that the documents name, so they stay only where a type contains
itself. OpenAI refuses an array whose schema has no ``items`` ("array schema missing items"), which JSON Schema allows.
Titles repeat the name that stands in front of them, and cost tokens in every session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["REFERENCES", "Definitions", "flattened", "places", "property_names"]

Schema = dict[str, Any]
Definitions = dict[str, Schema]

REFERENCES = "#/$defs/"
# A discriminator is OpenAPI's, and points at definitions that are gone; the tag of each member says the same.
_DROPPED = ("title", "discriminator")
_SCHEMAS_BY_NAME = ("properties", "patternProperties")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE_SCHEMAS = ("items", "additionalProperties", "propertyNames", "contains", "not")
_TYPES = {str: "string", int: "integer"}


def flattened(schema: Schema, definitions: Definitions) -> tuple[Schema, Definitions]:
    """``schema`` with what it refers to in place, and the definitions that it still needs: of types in themselves."""
    flattening = _Flattening(definitions)
    flat = flattening.schema(schema)
    return flat, flattening.kept


class _Flattening:
    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._recursive = {name for name in definitions if name in _reached(definitions[name], definitions)}
        self.kept: Definitions = {}

    def schema(self, schema: Schema) -> Schema:
        schema = {**schema}
        for keyword in _DROPPED:
            schema.pop(keyword, None)
        name = schema.get("$ref", "").removeprefix(REFERENCES)
        if name in self._recursive:
            self._keep(name)
            return schema
        if name:
            del schema["$ref"]
            # What stands beside the reference is said of this place, so it wins.
            return {**self.schema(self._definitions[name]), **schema}
        return _completed(self._deeper(schema))

    def _keep(self, name: str) -> None:
        if name not in self.kept:
            self.kept[name] = {}  # It will be met again inside of itself.
            self.kept[name] = self.schema(self._definitions[name])

    def _deeper(self, schema: Schema) -> Schema:
        for key, value in schema.items():
            if key in _SCHEMAS_BY_NAME:
                schema[key] = {name: self.schema(each) for name, each in value.items()}
            elif key in _LISTS_OF_SCHEMAS:
                schema[key] = [self.schema(each) for each in value]
            elif key in _SINGLE_SCHEMAS and isinstance(value, dict):
                schema[key] = self.schema(value)
        return schema


def _reached(schema: Any, definitions: Definitions) -> set[str]:
    """The names of all definitions that ``schema`` leads to."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            waiting.extend(each.values())
            name = each.get("$ref")
            name = name.removeprefix(REFERENCES) if isinstance(name, str) else None
            if name in definitions and name not in found:
                found.add(name)
                waiting.append(definitions[name])
        elif isinstance(each, list):
            waiting.extend(each)
    return found


def _completed(schema: Schema) -> Schema:
    values = schema.get("enum", ())
    kinds = {type(value) for value in values}
    if "type" not in schema and len(kinds) == 1 and kinds <= _TYPES.keys():
        schema = {"type": _TYPES[kinds.pop()], **schema}
    if "anyOf" in schema:
        schema["anyOf"] = [each for member in schema["anyOf"] for each in _alternatives(member)]
    if schema.get("type") == "array" and not isinstance(schema.get("items"), dict):
        schema["items"] = _any_of(schema.get("prefixItems", []))
    return schema


def _alternatives(schema: Schema) -> list[Schema]:
    """A choice inside of a choice is one choice."""
    alternatives: list[Schema] = schema["anyOf"] if schema.keys() == {"anyOf"} else [schema]
    return alternatives


def _any_of(schemas: list[Schema]) -> Schema:
    different = [each for index, each in enumerate(schemas) if each not in schemas[:index]]
    return different[0] if len(different) == 1 else {"anyOf": different} if different else {}


def places(schema: Schema, path: list[str], definitions: Definitions) -> list[Schema]:
    """The schemas of what stands at ``path`` in a value of ``schema``: names of fields, and ``[3]`` or ``[...]``.

    Several where it may be one of several; none where that cannot be told.
    """
    if "$ref" in schema:
        return places(definitions.get(schema["$ref"].removeprefix(REFERENCES), {}), path, definitions)
    if "anyOf" in schema:
        return [found for each in schema["anyOf"] for found in places(each, path, definitions)]
    if not path:
        return [schema]
    return [found for each in _step(schema, path[0]) for found in places(each, path[1:], definitions)]


def _step(schema: Schema, step: str) -> list[Schema]:
    if not step.startswith("["):
        named = schema.get("properties", {}).get(step)
        return [] if named is None else [named]
    found = (schema.get(key) for key in ("items", "additionalProperties"))
    return [each for each in found if isinstance(each, dict)]


def property_names(schema: Any) -> frozenset[str]:
    """The names that ``schema`` and its definitions have for properties: all other keys are somebody's content."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            named = each.get("properties")
            found.update(named if isinstance(named, dict) else ())
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    return frozenset(found)
