"""A JSON schema that the program brings along, and what breaks it: by fastjsonschema, which needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec

from rtsync.pure.tool_types import Misfit
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.foreign import one_line

__all__ = ["ReadySchema"]

_LONGEST_PROBLEM = 200
_PATH = re.compile(r"data[.]?(?P<path>\S*) (?P<problem>.*)", re.DOTALL)


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
            problem = _problem(error.message)
        except RecursionError:
            problem = "nested too deeply"
        else:
            return plain
        raise Misfit(problem)


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


def _problem(said: str) -> str:
    found = _PATH.fullmatch(said)
    text = f"{found['path']}: {found['problem']}" if found and found["path"] else said.removeprefix("data ")
    return one_line(text, _LONGEST_PROBLEM)
