"""What the simulator may import, and what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rtsync.simulator

FOLDER = Path(rtsync.simulator.__file__).parent
THREADED = {
    "__init__", "brains", "chat_brain", "ears", "endpoint", "engines", "hearing", "line", "narration", "senses",
    "server", "session", "speech_endpoints", "sphinx", "trouble", "voices",
}  # fmt: skip
BUSY = {"threading", "socket", "queue", "select", "selectors", "simple_websocket", "http", "time"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_room_of_the_simulator_imports_the_vocabulary_and_its_neighbours_alone(path: Path) -> None:
    ours = {name for name in imported(path) if name.split(".")[0] == "rtsync"}
    assert all(name.startswith(("rtsync.vocabulary", "rtsync.simulator", "rtsync.audio")) for name in ours)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_pure_rooms_touch_no_thread_and_no_socket(path: Path) -> None:
    names = imported(path)
    if path.stem not in THREADED:
        assert not {name.split(".")[0] for name in names} & BUSY
        assert not names & {f"rtsync.simulator.{room}" for room in THREADED}


def test_simple_websocket_has_one_home() -> None:
    homes = [path.stem for path in FOLDER.glob("*.py") if any("simple_websocket" in name for name in imported(path))]
    assert homes == ["line"]


def test_importing_the_simulator_loads_nothing_heavy() -> None:
    script = (
        "import sys, rtsync.simulator\n"
        "heavy = ['cryptography', 'azure', 'click', 'openai', 'pocketsphinx', 'pydantic', 'webrtcvad']\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
