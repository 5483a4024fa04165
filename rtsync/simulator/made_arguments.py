"""Arguments that fit a tool's JSON schema, made of the user's words where they offer any, without a model.

The numbers, quotations and names of the words are taken in their order: "add 2 and 3" gives 2 and 3 to two arguments.
What the words do not offer is made up, and fits the schema.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["arguments_for"]

Schema = Mapping[str, Any]

_NUMBER = re.compile(r"(?<![\w.])(?<!\d-)-?\d+(?:\.\d+)?(?!-?\d)")  # None of a date.
_QUOTED = re.compile(r"[\"“]([^\"”]+)[\"”]")
_NAME = re.compile(r"(?<=[\w,] )([A-Z][\w-]+)")
_DEEPEST = 4  # levels; below them nothing is given that need not be
_COMPOSED = ("anyOf", "oneOf")
# Formats of texts: what they look like in the words, and what else is given.
_FORMATS: dict[str, tuple[str, str]] = {
    "date": (r"\b\d{4}-\d\d-\d\d\b", "2026-01-02"),
    "date-time": (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?", "2026-01-02T03:04:05Z"),
    "time": (r"\b\d\d:\d\d:\d\d\b", "03:04:05"),
    "duration": (r"\bP(?:T?\d+[DHMS])+", "PT1M"),
    "uuid": (r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b", "00000000-0000-4000-8000-000000000000"),
    "email": (r"[\w.+-]+@[\w-]+\.[\w.-]*\w", "somebody@example.com"),
    "uri": (r"\bhttps?://[^\s\"”]+", "https://example.com/"),
    "hostname": (r"\b[a-z0-9-]+(?:\.[a-z0-9-]+)+\b", "example.com"),
    "ipv4": (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "192.0.2.1"),
    "ipv6": (r"\b[0-9a-fA-F]*:[0-9a-fA-F:]+\b", "2001:db8::1"),
    "decimal": (r"(?<![\w.])-?\d+(?:\.\d+)?", "1"),
}


def arguments_for(schema: Schema, said: str) -> dict[str, Any]:
    """Arguments that fit ``schema``: every required one (every one when none is), and others that the words offer.

    A choice or a number that was said is taken; a text is what follows the argument's name, what was quoted, a name
    (a word with a capital inside of the sentence), or all the words. Patterns are met only by what was said.
    """
    return _Making(schema, said).members(schema)


class _Making:
    def __init__(self, root: Schema, said: str) -> None:
        self._root = root
        self._said = said
        self._numbers = [found.group() for found in _NUMBER.finditer(said)]
        self._quoted = _QUOTED.findall(said)
        self._names = _NAME.findall(_QUOTED.sub("", said))
        self._offered = [*self._quoted, *self._names]

    def members(self, schema: Schema, depth: int = 0) -> dict[str, Any]:
        """The members of an object."""
        schema = self._resolved(schema)
        properties: Schema = schema.get("properties", {})
        required = list(schema.get("required", ()))
        made = {name: self.value(name, properties.get(name, {}), depth) for name in required}
        for name, each in properties.items():
            if name not in made and (self._offers(name, each) if required else depth < _DEEPEST):
                made[name] = self.value(name, each, depth)
        return made

    def value(self, name: str, schema: Schema, depth: int = 0) -> Any:
        """What is given for ``name``."""
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._spoken(schema["enum"], schema["enum"][0])
        for key in _COMPOSED:
            if schema.get(key):
                return self.value(name, self._chosen(name, schema, key), depth)
        make = self._makers.get(_kind(schema))
        return self._text(name, schema) if make is None else make(name, schema, depth + 1)

    @property
    def _makers(self) -> dict[str, Callable[[str, Schema, int], Any]]:
        return {
            "object": lambda _, schema, depth: self._object(schema, depth),
            "array": self._array,
            "integer": lambda name, schema, _: int(self._number(name, schema, whole=True)),
            "number": lambda name, schema, _: self._number(name, schema, whole=False),
            "boolean": lambda *_: re.search(r"\b(no|not|false|off)\b", self._said, re.IGNORECASE) is None,
            "null": lambda *_: None,
        }

    # -- schemas -------------------------------------------------------------------------------------------------------

    def _resolved(self, schema: Schema) -> Schema:
        """What ``schema`` refers to, and what it is put together of."""
        while isinstance(schema.get("$ref"), str):
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self._referred(schema["$ref"]), **beside}
        for part in schema.get("allOf", ()):
            part = self._resolved(part)
            both = {**schema.get("properties", {}), **part.get("properties", {})}
            required = [*schema.get("required", ()), *part.get("required", ())]
            schema = {**part, **schema, **({"properties": both, "required": required} if both else {})}
        return schema

    def _referred(self, reference: str) -> Schema:
        found: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                found = found.get(step, {}) if isinstance(found, Mapping) else {}
        return found if isinstance(found, Mapping) and found.get("$ref") != reference else {}

    def _chosen(self, name: str, schema: Schema, key: str) -> Schema:
        """One of several: the one that the words offer something for, else the first that is not null."""
        beside = {each: value for each, value in schema.items() if each != key}
        members = [self._resolved({**beside, **member}) for member in schema[key]]
        members = [member for member in members if _kind(member) != "null"] or members
        return next((member for member in members if self._offers(name, member)), members[0])

    def _offers(self, name: str, schema: Schema) -> bool:
        """Whether the words hold something for it."""
        schema = self._resolved(schema)
        if schema.get("enum"):
            return self._spoken(schema["enum"], None) is not None
        if any(schema.get(key) for key in _COMPOSED):
            return any(self._offers(name, member) for key in _COMPOSED for member in schema.get(key, ()))
        if _kind(schema) in ("integer", "number"):
            return any(_fits(float(each), schema) for each in self._numbers)
        if _kind(schema) == "string" and schema.get("format") in _FORMATS:
            return re.search(_FORMATS[schema["format"]][0], self._said) is not None
        return _kind(schema) == "string" and bool(self._named(name) or self._quoted)

    # -- values --------------------------------------------------------------------------------------------------------

    def _spoken(self, values: list[Any], default: Any) -> Any:
        said = [each for each in values if re.search(rf"\b{re.escape(str(each))}\b", self._said, re.IGNORECASE)]
        return said[0] if said else default

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        made = self.members(schema, depth)
        more = schema.get("additionalProperties")
        number = 0
        while isinstance(more, Mapping) and len(made) < schema.get("minProperties", 0):
            number += 1
            made[f"key{number}"] = self.value(f"key{number}", more, depth)
        return made

    def _array(self, name: str, schema: Schema, depth: int) -> list[Any]:
        made = [self.value(name, each, depth) for each in schema.get("prefixItems", ())]
        items = schema.get("items")
        least = schema.get("minItems", 0)
        while len(made) < least and isinstance(items, Mapping):
            made.append(self.value(name, items, depth))
        return _distinct(made, least) if schema.get("uniqueItems") else made

    def _number(self, name: str, schema: Schema, *, whole: bool) -> float:
        named = self._named(name)
        said = [named] if named and _NUMBER.fullmatch(named) else []
        for text in (*said, *self._numbers):
            number = float(int(float(text))) if whole else float(text)
            if _fits(number, schema):
                if text in self._numbers:
                    self._numbers.remove(text)
                return number
        return _made_up(schema, whole=whole)

    def _text(self, name: str, schema: Schema) -> str:
        shape, instead = _FORMATS.get(str(schema.get("format")), ("", ""))
        if instead:
            found = re.search(shape, self._said)
            return found.group() if found else instead
        if schema.get("contentEncoding") == "base64" or schema.get("format") in ("byte", "binary"):
            return base64.b64encode(self._said.encode()).decode()
        fitting = (text for text in self._texts(name) if _fits_text(text, schema))
        text = next(fitting, None)
        return _cut_to_fit(self._said, schema) if text is None else self._taken(text)

    def _texts(self, name: str) -> Iterator[str]:
        named = self._named(name)
        yield from self._quoted[:1]
        if named:
            yield named
        yield from (*self._quoted, *self._names, *self._offered, self._said, *self._said.split())

    def _taken(self, text: str) -> str:
        for offers in (self._quoted, self._names):
            if text in offers:
                offers.remove(text)
        return text

    def _named(self, name: str) -> str | None:
        """What the words say right behind the argument's name."""
        spoken = re.escape(name.replace("_", " "))
        found = re.search(rf"\b(?:{spoken}|{re.escape(name)})(?: is)?[ :=]+([\w.-]*\w)", self._said, re.IGNORECASE)
        return found.group(1) if found else None


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind is None and "properties" in schema:
        return "object"
    return str(kind or ("array" if "prefixItems" in schema else "string"))


def _fits(number: float, schema: Schema) -> bool:
    step = schema.get("multipleOf")
    return (
        schema.get("minimum", -math.inf) <= number <= schema.get("maximum", math.inf)
        and schema.get("exclusiveMinimum", -math.inf) < number < schema.get("exclusiveMaximum", math.inf)
        and (not step or math.isclose(number / step, round(number / step)))
    )


def _made_up(schema: Schema, *, whole: bool) -> float:
    """A number that fits: 1, or the nearest to it."""
    step = schema.get("multipleOf") or 1
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    offers = [1.0, 0.0, float(step)]
    for bound, sign in ((least, 1), (most, -1)):
        if bound is not None:
            nearest = (math.ceil if sign > 0 else math.floor)(bound / step) * step
            offers += [float(bound), float(nearest), float(nearest + sign * step)]
    if least is not None and most is not None:
        offers.append((least + most) / 2)
    usable = (each for each in offers if _fits(each, schema) and (not whole or each == int(each)))
    return next(usable, 1.0)


def _fits_text(text: str, schema: Schema) -> bool:
    pattern = schema.get("pattern")
    fits = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", math.inf)
    return fits and (pattern is None or re.search(pattern, text) is not None)


def _cut_to_fit(text: str, schema: Schema) -> str:
    return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _distinct(values: list[Any], least: int) -> list[Any]:
    """``values`` without those that are there; numbers count on where there must be so many."""
    found: list[Any] = []
    for value in values:
        while value in found and isinstance(value, int | float) and not isinstance(value, bool) and len(found) < least:
            value += 1
        if value not in found:
            found.append(value)
    return found
