"""What a received value weighs: about how many bytes of memory it keeps.

Bounds on what is kept for long are in these, not in bytes of the wire: three bytes of JSON can be an empty list, which
takes twenty times as much.
"""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof
from typing import Any

__all__ = ["LONGEST_ID", "short_text", "weight"]

LONGEST_ID = 512
"""Characters of the longest id that is believed (protocol 6.1); the service's own have about 30."""


def weight(value: Any) -> int:
    """Bytes that decoded JSON takes. Without recursion: it may be nested deeper than Python's stack bears."""
    if type(value) is str:
        return getsizeof(value)
    total: int = getsizeof(value)
    todo: list[Any] = [value]
    held: Iterable[Any]
    while todo:  # Each is counted where it is held.
        found = todo.pop()
        if type(found) is dict:
            held = found.values()
            total += sum(map(getsizeof, found))
        elif type(found) is list:
            held = found
        else:
            continue
        total += sum(map(getsizeof, held))
        todo += [each for each in held if type(each) is dict or type(each) is list]
    return total


def short_text(value: object) -> str | None:
    """``value`` where it is a text that may be an id or a name: not empty, and not longer than one."""
    return value if isinstance(value, str) and 0 < len(value) <= LONGEST_ID else None
