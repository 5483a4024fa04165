"""What a docstring says of its function and of each argument.

Google, NumPy, Sphinx and Epydoc docstrings are read by docstring-parser, which finds out by itself which one it has.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import docstring_parser

__all__ = ["Documentation", "documentation"]


class Documentation(msgspec.Struct, frozen=True):
    """A docstring, taken apart.

    Attributes:
        description: what stands before the first section: what the function does. Empty where it has no docstring.
        arguments: what is said of each argument, by its name.
    """

    description: str = ""
    arguments: dict[str, str] = {}


def documentation(docstring: str | None) -> Documentation:
    """What ``docstring`` says; one that fits no style is description as a whole."""
    text = inspect.cleandoc(docstring or "").strip()
    if "\n" not in text:
        return Documentation(text)
    # Only who declares a tool needs it.
    import docstring_parser

    found = docstring_parser.parse(text)
    return Documentation((found.description or "").strip(), _arguments(found.params))


def _arguments(params: list[docstring_parser.DocstringParam]) -> dict[str, str]:
    """NumPy's docstrings describe several at once: ``x, y : int``."""
    return {
        name.strip(): " ".join(param.description.split())
        for param in params
        if param.description
        for name in param.arg_name.split(",")
    }
