"""Paired measurements: every contender once a round, in turn, and ratios taken within a round.

A machine's pace drifts by tens of percent from minute to minute. What two contenders did in the same round is
comparable; the median over rounds of their ratio is steadier than the ratio of their medians.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import peers, processes

__all__ = [
    "Contender",
    "Series",
    "Setting",
    "contenders",
    "left_out",
    "node_packages",
    "paired",
    "scratch",
    "taking_turns",
]

Figures = dict[str, Any]


class Contender(msgspec.Struct, frozen=True):
    """A client, and a way to use it.

    Attributes:
        peer: its key in ``peers.PEERS``; ``"node"`` for openai-node.
        variant: one of its variants.
        label: for people; what figures are kept under.
    """

    peer: str
    variant: str
    label: str


NODE = Contender("node", "", "openai-node")


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """How to measure.

    Attributes:
        rounds: how often each contender has its turn; None for what is usual for a measurement.
        quick: a twentieth of everything: shows that it works, and no more.
        peers: which of ``peers.PEERS``, and ``"node"``.
        tls: over ``wss://`` alone.
        pin: clients on one core and the load server on another, also where a measurement would not.
        node: directory in which npm installed ``openai`` and ``ws``; None where there is none.
        sessions: how many at once.
        rates: deltas a second and session.
        seconds: how long each rate is kept up.
        folder: room for files that nobody needs afterwards; has ``ca.pem`` and ``server.pem`` where TLS is measured.
    """

    rounds: int | None
    quick: bool
    peers: tuple[str, ...]
    tls: bool
    pin: bool
    node: Path | None
    sessions: tuple[int, ...]
    rates: tuple[float, ...]
    seconds: float
    folder: Path

    def scaled(self, count: int) -> int:
        """``count``, or less of it where it shall be quick."""
        return max(1, count // 20) if self.quick else count

    def turns(self, usual: int = 7) -> int:
        """How many rounds, where ``usual`` would do."""
        return self.rounds or (1 if self.quick else usual)

    @property
    def lines(self) -> tuple[bool, ...]:
        """Whether over TLS: plain, or TLS where asked for, or both so that openai-node has somebody to compare with."""
        if self.tls:
            return (True,)
        return (False, True) if "node" in self.peers and self.node is not None else (False,)


@contextmanager
def scratch(*, certificates: bool) -> Iterator[Path]:
    """A folder to be used and forgotten, with a fresh authority and a certificate for the loopback addresses in it."""
    with tempfile.TemporaryDirectory(prefix="rtsync-benchmarks-") as folder:
        if certificates:
            from rtsync.simulator.certificates import make_certificates  # Loads cryptography, which takes its time.

            make_certificates(Path(folder))
        yield Path(folder)


def contenders(setting: Setting, *wanted: str, tls: bool = False) -> list[Contender]:
    """Those of ``wanted`` (``"peer"`` for its first variant, ``"peer/variant"``) that may and can be measured."""
    found = []
    for name in wanted:
        peer, _, variant = name.partition("/")
        if peer not in setting.peers or peer in left_out(setting):
            continue
        kind = peers.PEERS[peer]
        variant = variant or next(iter(kind.variants))
        found.append(Contender(peer, variant, kind.variants[variant]))
    if tls and "node" in setting.peers and setting.node is not None:
        found.append(NODE)
    return found


def left_out(setting: Setting) -> dict[str, str]:
    """The peers that were asked for and are not there, each with what would bring it."""
    missing = {
        name: f"needs the Python package that {kind.needs!r} is imported from"
        for name, kind in peers.PEERS.items()
        if name in setting.peers and not peers.installed(name)
    }
    if "node" in setting.peers and setting.node is None:
        missing["node"] = "needs node, and --node DIR (or RTSYNC_BENCHMARK_NODE) with the npm packages openai and ws"
    return missing


def node_packages(folder: str | None) -> Path | None:
    """``folder``, if node is there and finds the packages in it."""
    if folder is None or shutil.which("node") is None:
        return None
    there = all((Path(folder) / "node_modules" / name).is_dir() for name in ("openai", "ws"))
    return Path(folder).absolute() if there else None


class Series:
    """What a measurement found: for every contender, one set of figures a round."""

    def __init__(self) -> None:
        self.rounds: dict[str, list[Figures]] = {}

    def add(self, label: str, figures: Figures) -> None:
        self.rounds.setdefault(label, []).append(figures)

    def values(self, label: str, name: str) -> list[float]:
        return [figures[name] for figures in self.rounds.get(label, []) if name in figures]

    def median(self, label: str, name: str) -> float | None:
        values = self.values(label, name)
        return statistics.median(values) if values else None

    def ratio(self, label: str, to: str, name: str) -> float | None:
        """The median over rounds of ``label``'s figure over ``to``'s of the same round."""
        pairs = zip(self.values(label, name), self.values(to, name), strict=False)
        ratios = [ours / theirs for ours, theirs in pairs if theirs]
        return statistics.median(ratios) if ratios else None


def taking_turns(labels: Sequence[str], rounds: int, turn: Callable[[int], Figures]) -> Series:
    """Call ``turn`` with each index, round after round; every other round goes backwards, so that nobody always follows
    the same one.
    """
    series = Series()
    for number in range(rounds):
        order = range(len(labels)) if number % 2 == 0 else reversed(range(len(labels)))
        for index in order:
            _progress(f"round {number + 1}/{rounds}: {labels[index]}")
            series.add(labels[index], turn(index))
    _progress("")
    return series


def paired(
    setting: Setting,
    found: Sequence[Contender],
    task: dict[str, Any],
    load: dict[str, Any],
    *,
    tls: bool = False,
    pinned: bool = False,
    rounds: int | None = None,
) -> Series:
    """Let every contender do ``task`` against a load server that plays ``load``.

    Args:
        setting: how.
        found: who.
        task: see ``client.py``.
        load: see ``load.py``.
        tls: over ``wss://``.
        pinned: client and server on a core each, whatever the setting says.
        rounds: how many; None for the usual number.
    """
    certificate = setting.folder / "server.pem" if tls else None
    ca_file = setting.folder / "ca.pem"
    ours, theirs = (0, 1) if pinned or setting.pin else (None, None)

    with processes.server(load, certificate=certificate, core=theirs) as served:
        spec = {**task, "port": served["port"], "ca": str(ca_file) if tls else None}

        def turn(index: int) -> Figures:
            contender = found[index]
            if contender.peer == "node":
                figures = processes.node({**spec, "packages": str(setting.node)}, ca_file=ca_file, core=ours)
            else:
                figures = processes.client({**spec, "peer": contender.peer, "variant": contender.variant}, core=ours)
            return {**figures, "events": served["events"][-1]}

        return taking_turns([contender.label for contender in found], rounds or setting.turns(), turn)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
