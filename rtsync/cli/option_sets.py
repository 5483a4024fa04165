"""Options that several commands share, gathered into one argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

__all__ = ["Option", "gathered"]

Command = Callable[..., Any]
Option = Callable[[Command], Command]
_PARAMETERS = "__click_params__"  # where click keeps the options of a function that is no command yet


def gathered(kind: type[msgspec.Struct], name: str, options: Sequence[Option]) -> Option:
    """A decorator that gives a command ``options``; it gets what they say as one ``kind``, named ``name``."""

    def decorate(command: Command) -> Command:
        def with_set(**given: Any) -> Any:
            own = {field: given.pop(field) for field in kind.__struct_fields__ if field in given}
            return command(**{name: kind(**own)}, **given)

        with_set.__doc__ = command.__doc__
        with_set.__name__ = command.__name__
        setattr(with_set, _PARAMETERS, list(getattr(command, _PARAMETERS, [])))
        for option in reversed(options):
            option(with_set)
        return with_set

    return decorate
