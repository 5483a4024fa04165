"""The processes of a measurement: one load server, and one client at a time."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["BenchmarkFailed", "client", "node", "on_core", "python", "server"]

_ROOT = Path(__file__).parent.parent
_NODE_CLIENT = Path(__file__).parent / "peers" / "openai_node.mjs"
_PATIENCE = 300  # seconds for one client
_FOREIGN = ("OPENAI_", "AZURE_", "PYTHONDEVMODE", "PYTHONASYNCIODEBUG", "COVERAGE_")


class BenchmarkFailed(Exception):
    """A process of the measurement did not do its part. The text says which, and what it printed."""


def _environment(**more: str) -> dict[str, str]:
    """That of this process, without accounts and proxies, which clients would take up, and with our modules."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and not name.lower().endswith("_proxy")
    }
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), kept.get("PYTHONPATH")]))} | more


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Processes started inside run on one core, where the platform allows; None leaves them where they are."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[core % len(before)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def server(spec: Mapping[str, Any], *, certificate: Path | None = None, core: int | None = None) -> Iterator[Any]:
    """A load server, see ``load.py``; gives its port and the number of events in each burst."""
    full = {**spec, "certificate": None if certificate is None else str(certificate)}
    with on_core(core):
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load", json.dumps(full)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), text=True,
        )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise BenchmarkFailed("the load server did not start")
        yield json.loads(line)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def client(spec: Mapping[str, Any], *, core: int | None = None) -> Any:
    """What a Python client measured, see ``client.py``."""
    return _run([sys.executable, "-m", "benchmarks.client", json.dumps(spec)], core)


def node(spec: Mapping[str, Any], *, ca_file: Path, core: int | None = None) -> Any:
    """What openai-node measured, see ``peers/openai_node.mjs``."""
    return _run(["node", str(_NODE_CLIENT), json.dumps(spec)], core, NODE_EXTRA_CA_CERTS=str(ca_file))


def python(code: str, *, bytecode: Path, core: int | None = None) -> Any:
    """What a fresh interpreter prints, as JSON, when it runs ``code``.

    Args:
        code: what to run.
        bytecode: where it keeps compiled modules, as an installed package has them.
        core: see ``on_core``.
    """
    return _run([sys.executable, "-c", code], core, PYTHONPYCACHEPREFIX=str(bytecode), PYTHONDONTWRITEBYTECODE="")


def _run(command: list[str], core: int | None, **environment: str) -> Any:
    return json.loads(_output(command, core, **environment).splitlines()[-1])


def _output(command: list[str], core: int | None, **environment: str) -> str:
    with on_core(core):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(**environment), text=True
        )
    try:
        output, errors = process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
        raise BenchmarkFailed(f"{' '.join(command)} was not done within {_PATIENCE} s\n{errors}") from None
    if process.returncode:
        raise BenchmarkFailed(f"{' '.join(command)} ended with {process.returncode}\n{errors}")
    return output
