"""What receiving costs: CPU of the client per event, while a burst comes in as fast as it can be taken."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measuring import Contender, Series, Setting, contenders, paired
from benchmarks.table import Result, figure, times
from benchmarks.traffic import LOADS

__all__ = ["measure"]

_ALL = (
    "bare", "rtsync/handler", "rtsync/nothing", "rtsync/wait", "rtsync/inline", "websocket-client",
    "openai/dispatch", "openai/iterate",
)  # fmt: skip
_OVER_TLS = ("bare", "rtsync/handler", "websocket-client", "openai/dispatch")


def measure(setting: Setting) -> Iterator[Result]:
    """A table for each load."""
    for tls in setting.lines:
        for load, settings in LOADS.items():
            found = contenders(setting, *_wanted(setting, load, tls), tls=tls)
            if not found:
                continue
            deltas = setting.scaled(settings.events)
            task = {"task": "receive", "before": 1, "deltas": deltas, "handled": settings.handled}
            series = paired(setting, found, task, {"load": load, "deltas": deltas}, tls=tls, pinned=False)
            yield cpu_table("receive", f"Receiving {settings.title}{' over TLS' if tls else ''}", found, series)


def _wanted(setting: Setting, load: str, tls: bool) -> tuple[str, ...]:
    if setting.quick and load != "text":
        return ("bare", "rtsync/handler")
    return _OVER_TLS if tls else _ALL


def cpu_table(name: str, title: str, found: list[Contender], series: Series) -> Result:
    """CPU per event of each, and how it compares within a round."""
    for figures in (figures for rounds in series.rounds.values() for figures in rounds):
        figures["per_event"] = figures["cpu"] / figures["events"]
    bare = next((contender.label for contender in found if contender.peer == "bare"), "")
    openai = next((contender.label for contender in found if contender.peer == "openai"), "")
    rows, bars = [], []
    for label in (contender.label for contender in found):
        values = series.values(label, "per_event")
        low, high = min(values), max(values)
        rows.append([
            label, figure(series.median(label, "per_event"), 1e6), f"{figure(low, 1e6)}-{figure(high, 1e6)}",
            times(series.ratio(label, bare, "per_event")), times(series.ratio(label, openai, "per_event")),
        ])  # fmt: skip
        bars.append((label, (series.median(label, "per_event") or 0.0) * 1e6))
    return Result(
        name, f"{title}: CPU us per event", ["client", "median", "least-most", "of bare socket", "of openai-python"],
        rows, series.rounds, bars, "us",
    )  # fmt: skip
