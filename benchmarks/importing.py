"""What it takes until the first event: importing, then opening."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

from benchmarks import processes
from benchmarks.measuring import Setting, contenders, paired, taking_turns
from benchmarks.table import Result, figure, times

__all__ = ["measure"]

_STATEMENTS = {
    "import rtsync": ("rtsync", "import rtsync"),
    "import websocket, blinker, msgspec": ("bare", "import websocket, blinker, msgspec"),
    "import websocket": ("websocket-client", "import websocket"),
    "import openai": ("openai", "import openai"),
}


def measure(setting: Setting) -> Iterator[Result]:
    """Two tables and more: importing, and opening over each kind of line."""
    yield _imports(setting)
    for tls in setting.lines:
        yield _openings(setting, tls)


def _imports(setting: Setting) -> Result:
    found = {
        label: statement
        for label, (peer, statement) in _STATEMENTS.items()
        if peer in setting.peers and all(importlib.util.find_spec(name) for name in _modules(statement))
    }
    labels = list(found)

    def turn(index: int) -> Any:
        code = (
            "import json, time\nwall, cpu = time.perf_counter(), time.process_time()\n"
            f"{found[labels[index]]}\n"
            "print(json.dumps({'wall': time.perf_counter() - wall, 'cpu': time.process_time() - cpu}))"
        )
        return processes.python(code, bytecode=setting.folder / "bytecode", core=0 if setting.pin else None)

    for index in range(len(labels)):  # Bytecode is compiled, and files are in memory.
        turn(index)
    series = taking_turns(labels, setting.turns(), turn)
    rows = [
        [
            label, figure(series.median(label, "cpu"), 1e3), figure(series.median(label, "wall"), 1e3),
            times(series.ratio(label, "import openai", "cpu")),
        ]
        for label in labels
    ]  # fmt: skip
    bars = [(label.removeprefix("import "), (series.median(label, "cpu") or 0.0) * 1e3) for label in labels]
    columns = ["statement", "CPU", "time", "of import openai"]
    return Result("importing", "Importing: ms", columns, rows, series.rounds, bars, "ms")


def _modules(statement: str) -> list[str]:
    return statement.removeprefix("import ").split(", ")


def _openings(setting: Setting, tls: bool) -> Result:
    found = contenders(setting, "bare", "rtsync", "websocket-client", "openai/iterate", tls=tls)
    series = paired(setting, found, {"task": "opening"}, {}, tls=tls)
    names = ("first_wall", "first_cpu", "again_wall", "again_cpu")
    rows = [
        [contender.label, *(figure(series.median(contender.label, name), 1e3) for name in names)] for contender in found
    ]
    columns = ["client", "time, first in a process", "CPU", "time, once more", "CPU, once more"]
    title = f"From the call that opens to the first event{', over TLS' if tls else ''}: ms"
    return Result("importing", title, columns, rows, series.rounds)
