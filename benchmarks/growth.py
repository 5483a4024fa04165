"""Whether a long conversation makes an event dearer: receiving text deltas behind so many items, or responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks import processes
from benchmarks.measuring import Setting, contenders, taking_turns
from benchmarks.table import Result, figure, times

__all__ = ["measure"]

_SIZES = (10, 1_000, 100_000)
_DELTAS = 10_000


def measure(setting: Setting) -> Iterator[Result]:
    """One table, for rtsync alone: the peers keep no conversation."""
    for _ in contenders(setting, "rtsync"):
        yield _grown(setting)


def _grown(setting: Setting) -> Result:
    grown = [(what, size) for what in ("items", "responses") for size in (_SIZES[:2] if setting.quick else _SIZES)]
    labels = [f"{size:,} {what}" for what, size in grown]
    deltas = setting.scaled(_DELTAS)
    core, other = (0, 1) if setting.pin else (None, None)

    def turn(index: int) -> dict[str, Any]:
        what, size = grown[index]
        # A server for every turn: the frames of all of them together would fill the memory.
        with processes.server({"load": "text", "deltas": deltas, what: size}, core=other) as served:
            spec = {
                "task": "receive", "before": 2, "deltas": deltas, "handled": "response.output_text.delta",
                "port": served["port"], "ca": None, "peer": "rtsync", "variant": "handler",
            }  # fmt: skip
            figures = processes.client(spec, core=core)
            return {**figures, "per_event": figures["cpu"] / served["events"][-1]}

    series = taking_turns(labels, setting.turns(), turn)
    rows = []
    for (what, _), label in zip(grown, labels, strict=True):
        least = next(name for name in labels if name.endswith(what))
        rows.append([
            label, figure(series.median(label, "per_event"), 1e6), times(series.ratio(label, least, "per_event"))
        ])  # fmt: skip
    title = "Text deltas behind a long conversation, one handler: CPU us per event"
    return Result("growth", title, ["past", "median", "of the shortest"], rows, series.rounds)
