"""A JSON schema that the program brings along, and what breaks it: by fastjsonschema, which needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec

from rtsync.pure.json_schema import property_names
from rtsync.pure.tool_types import Misfit, at
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.foreign import one_line

__all__ = ["ReadySchema"]

_LONGEST_PROBLEM = 200
_STEP = re.compile(r"\[\d+\]|[^.\[]+")
# It quotes their names, which the model chose.
_MADE_UP = re.compile(r"must not contain .* properties\Z", re.DOTALL)


class ReadySchema:
    """A checked schema of an object, and the check of values against it."""

    def __init__(self, schema: Any, tool: str) -> None:
        if not isinstance(schema, Mapping) or schema.get("type") != "object":
            raise ConfigurationError(
                f'tool {tool}: parameters= must be the JSON schema of an object: {{"type": "object", "properties": …}}'
            )
        self.schema = _copied(schema, tool)
        self.names: dict[str, Any] = self.schema.get("properties", {})
        self.is_open = self.schema.get("additionalProperties", True) is not False
        self._all_names = property_names(self.schema)
        self._check = _compiled(self.schema, tool)

    def read(self, plain: dict[str, Any]) -> dict[str, Any]:
        """``plain``, where it fits.

        Raises:
            Misfit: it does not.
        """
        missing = [name for name in self.schema.get("required", ()) if name not in plain]
        if missing:
            raise Misfit(*(f"missing {name}" for name in missing))
        import fastjsonschema

        try:
            self._check(plain)
        except fastjsonschema.JsonSchemaValueException as error:
            problem = self._problem(error.name or "", error.message)
        else:
            return plain
        raise Misfit(problem)

    def _problem(self, name: str, said: str) -> str:
        problem = _MADE_UP.sub("has properties that are not allowed", said.removeprefix(name).lstrip())
        path = _STEP.findall(name)[1:]  # The first is "data".
        return at(path, problem, self._all_names) if path else one_line(problem, _LONGEST_PROBLEM)


def _copied(schema: Mapping[str, Any], tool: str) -> dict[str, Any]:
    """A copy in plain JSON, so that later changes to the program's own do not matter."""
    try:
        copied: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(schema)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"tool {tool}: parameters= is no JSON: {one_line(str(error), 200)}") from error
    return copied


def _compiled(schema: dict[str, Any], tool: str) -> Callable[[Any], Any]:
    # Only a ready-made schema needs it.
    import fastjsonschema

    try:
        check: Callable[[Any], Any] = fastjsonschema.compile(schema, handlers=_NO_REFERENCES, use_default=False)
    except ConfigurationError:
        raise
    except Exception as error:  # It raises whatever Python does about the part that is wrong.
        problem = f"tool {tool}: parameters= is no JSON schema: {one_line(str(error), 200)}"
        raise ConfigurationError(problem) from error
    return check


def _elsewhere(address: str) -> NoReturn:
    raise ConfigurationError(f"parameters= refers to {one_line(address, 100)}: put what it refers to into the schema")


# fastjsonschema would fetch them.
_NO_REFERENCES = dict.fromkeys(("http", "https", "ftp", "file", "data"), _elsewhere)
