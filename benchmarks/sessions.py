"""What many sessions in one process take, at rest and under deltas, and how late a delta is when its handler runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.measuring import Contender, Series, Setting, contenders, paired
from benchmarks.table import Result, figure

__all__ = ["measure"]

_TURNS = 3  # Each takes a minute for every client.


def measure(setting: Setting) -> Iterator[Result]:
    """A table for each number of sessions, over plain lines."""
    found = contenders(setting, "bare", "rtsync", "websocket-client", "openai")
    for count in setting.sessions:
        phases = [(rate, setting.seconds) for rate in (0.0, *setting.rates)]
        task = {"task": "sessions", "sessions": count, "phases": phases, "handled": "response.output_text.delta"}
        series = _flattened(paired(setting, found, task, {"phases": phases}, rounds=setting.turns(_TURNS)))
        yield _table(count, phases, found, series)


def _flattened(series: Series) -> Series:
    """The figures of the phases beside the others, each named for its rate."""
    for figures in (figures for rounds in series.rounds.values() for figures in rounds):
        for phase in figures.pop("phases"):
            figures |= {f"{name}@{phase['rate']:g}": value for name, value in phase.items()}
    return series


def _table(count: int, phases: list[Any], found: list[Contender], series: Series) -> Result:
    columns = ["client", "kB", "kB after", "threads", "idle"]
    for rate, _ in phases[1:]:
        columns += [f"{rate:g}/s: core", "p50", "p99", "lost"]
    rows = []
    for label in (contender.label for contender in found):
        row = [label, *(figure(series.median(label, name), 1e-3) for name in ("memory", "memory_after"))]
        row.append(figure(series.median(label, "threads")))
        row.append(figure(series.median(label, "cpu@0")))
        for rate, _ in phases[1:]:
            row += [
                figure(series.median(label, f"cpu@{rate:g}")), figure(series.median(label, f"p50@{rate:g}"), 1e3),
                figure(series.median(label, f"p99@{rate:g}"), 1e3), figure(series.median(label, f"lost@{rate:g}")),
            ]  # fmt: skip
        rows.append(row)
    busiest = f"cpu@{phases[-1][0]:g}"
    bars = [(contender.label, series.median(contender.label, busiest) or 0.0) for contender in found]
    title = f"Sessions, {count} at once: kB and threads a session, CPU in cores, lag in ms"
    return Result("sessions", title, columns, rows, series.rounds, bars, f"cores at {phases[-1][0]:g}/s")
