"""What sending costs: CPU of appending 100 ms of audio (4.8 kB of samples, 6.4 kB of base64) again and again."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measuring import Setting, contenders, paired
from benchmarks.receiving import cpu_table
from benchmarks.table import Result

__all__ = ["measure"]

_TIMES = 5000


def measure(setting: Setting) -> Iterator[Result]:
    """One table, or one for each kind of line."""
    times = setting.scaled(_TIMES)
    for tls in setting.lines:
        found = contenders(setting, "bare", "rtsync/wait", "websocket-client", "openai/iterate", tls=tls)
        series = paired(setting, found, {"task": "send", "times": times}, {}, tls=tls)
        for figures in (figures for rounds in series.rounds.values() for figures in rounds):
            figures["events"] = times
        yield cpu_table("sending", f"Sending audio appends{' over TLS' if tls else ''}", found, series)
