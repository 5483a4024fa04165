"""The folders of `rtsync/` are its layers: imports point down, and every dependency has one home.

Read with `ast`, so that imports inside functions and under TYPE_CHECKING count as well.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

from tests.conftest import PROJECT

PACKAGE = PROJECT / "rtsync"
FACE = "face"  # rtsync/__init__.py: what users import

# What a module of each layer may import from rtsync, besides its own layer. `threads` and `edges` stand on one floor:
# the reader drives the transport and delivery fills the signals, so threads know edges, and edges know no thread.
MAY_IMPORT = {
    "vocabulary": frozenset[str](),
    "pure": frozenset({"vocabulary"}),
    "audio": frozenset({"vocabulary"}),
    "edges": frozenset({"vocabulary", "pure", "audio"}),
    "devices": frozenset({"vocabulary", "audio", "edges"}),
    "threads": frozenset({"vocabulary", "pure", "audio", "edges"}),
    "session": frozenset({"vocabulary", "pure", "audio", "edges", "devices", "threads"}),
    "simulator": frozenset({"vocabulary", "audio"}),
    FACE: frozenset({"vocabulary", "pure", "audio", "edges", "devices", "threads", "session"}),
    "bus": frozenset({"vocabulary", "pure", "audio", "edges", "devices", "threads", "session", "simulator", FACE}),
    "web": frozenset(
        {"vocabulary", "pure", "audio", "edges", "devices", "threads", "session", "simulator", FACE, "bus"}
    ),
    "cli": frozenset(
        {"vocabulary", "pure", "audio", "edges", "devices", "threads", "session", "simulator", FACE, "bus"}
    ),
    "django": frozenset(
        {"vocabulary", "pure", "audio", "edges", "devices", "threads", "session", "simulator", FACE, "bus", "web"}
    ),
    "gui": frozenset({"vocabulary", "pure", "audio", "edges", "devices", "threads", "session", FACE}),
    "celery": frozenset({"vocabulary", "pure", "audio", "edges", "devices", "threads", "session", FACE}),
    "flask": frozenset(
        {"vocabulary", "pure", "audio", "edges", "devices", "threads", "session", "simulator", FACE, "bus", "web"}
    ),
}
# Beside the layers: `Simulator()` starts the embedded server on first use.
ALSO_LAZILY = {"session": ("rtsync.simulator",)}

BLOCKING = {
    "_thread", "asyncio", "blinker", "concurrent", "multiprocessing", "queue", "select", "selectors", "socket",
    "ssl", "threading", "websocket",
}  # fmt: skip

# Where a dependency may be imported: a module, every module of a folder, or (ANYWHERE) every module.
ANYWHERE = "/"
HOMES: dict[str, str | tuple[str, ...]] = {
    "azure.core": "edges/rest.py",
    "azure.identity": "edges/credentials.py",
    "blinker": "edges/signals.py",
    "celery": "celery/",
    "click": "cli/",
    "cryptography": "simulator/",
    "django": "django/",
    "docstring_parser": "pure/docstrings.py",
    "dotenv": "edges/environment.py",
    "fastjsonschema": "pure/ready_schema.py",
    "flask": "flask/",
    "flask_sock": "flask/",
    "miniaudio": "devices/miniaudio.py",
    "msgspec": ANYWHERE,
    "pocketsphinx": "simulator/sphinx.py",
    "redis": "bus/streams.py",
    "simple_websocket": ("simulator/", "django/socket.py"),  # The same for whoever has a socket and no WebSocket.
    "sounddevice": "devices/portaudio.py",
    "webrtcvad": "simulator/webrtc.py",
    "websocket": "edges/transport.py",
}

DRAWERS = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}


@dataclasses.dataclass(frozen=True)
class Import:
    target: str
    line: int
    lazy: bool

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _dotted(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _layer(dotted: str) -> str:
    if dotted == "rtsync.__main__":
        return "cli"
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in MAY_IMPORT else FACE


def _imports(tree: ast.AST, package: str, *, lazy: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        for target in _targets(node, package):
            yield Import(target, getattr(node, "lineno", 0), lazy)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports(node, package, lazy=inside)


def _targets(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        origin = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
        return [_most_specific(origin, alias.name) for alias in node.names]
    return _named_by_string(node)


def _named_by_string(node: ast.AST) -> list[str]:
    match node:
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(value=str(name)), *_]):
            return [name] if called in {"import_module", "__import__"} else []
    return []


def _most_specific(origin: str, name: str) -> str:
    """`from rtsync import simulator` names the module, `from rtsync import Azure` the face."""
    inner = PROJECT.joinpath(*origin.split("."), name)
    return f"{origin}.{name}" if inner.is_dir() or inner.with_suffix(".py").exists() else origin


@functools.cache
def _imports_of(path: Path) -> list[Import]:
    dotted = _dotted(path)
    package = dotted if path.name == "__init__.py" else dotted.rpartition(".")[0]
    return list(_imports(ast.parse(path.read_text(encoding="utf-8")), package))


def _is_within(target: str, prefixes: tuple[str, ...]) -> bool:
    return any(target == prefix or target.startswith(prefix + ".") for prefix in prefixes)


def _may(layer: str, found: Import) -> bool:
    if _layer(found.target) in {layer, *MAY_IMPORT[layer]}:
        return True
    return found.lazy and _is_within(found.target, ALSO_LAZILY.get(layer, ()))


every_module = pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))


@pytest.mark.parametrize("path", sorted((PACKAGE / "web").glob("*.py")), ids=lambda path: path.name)
def test_the_web_core_knows_no_framework(path: Path) -> None:
    foreign = {found.top for found in _imports_of(path)} - set(sys.stdlib_module_names)
    assert foreign <= {"msgspec", "rtsync"}


def test_every_layer_is_there_and_no_other() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == MAY_IMPORT.keys() - {FACE}
    assert {_layer(_dotted(path)) for path in _modules()} == MAY_IMPORT.keys()


@every_module
def test_imports_point_down_the_layers(path: Path) -> None:
    layer = _layer(_dotted(path))
    ours = [found for found in _imports_of(path) if found.top == "rtsync"]
    assert [f"line {found.line}: {found.target}" for found in ours if not _may(layer, found)] == []


@every_module
def test_the_pure_rooms_know_no_thread_and_no_socket(path: Path) -> None:
    if _layer(_dotted(path)) in {"audio", "pure", "vocabulary"}:
        assert [f"line {found.line}: {found.target}" for found in _imports_of(path) if found.top in BLOCKING] == []


@every_module
def test_every_dependency_has_one_home(path: Path) -> None:
    where = path.relative_to(PACKAGE).as_posix()
    foreign = [found for found in _imports_of(path) if found.top not in {"rtsync", *sys.stdlib_module_names}]
    strays = [found for found in foreign if not _lives_in(where, _home(found))]
    assert [f"line {found.line}: {found.target} (home: {_home(found)})" for found in strays] == []


def _home(found: Import) -> tuple[str, ...]:
    homes = next((home for name, home in HOMES.items() if _is_within(found.target, (name,))), ())
    return (homes,) if isinstance(homes, str) else homes


def _lives_in(where: str, homes: tuple[str, ...]) -> bool:
    return any(home in {where, ANYWHERE} or (home.endswith("/") and where.startswith(home)) for home in homes)


@pytest.mark.parametrize("dependency", sorted(HOMES))
def test_every_home_is_lived_in(dependency: str) -> None:
    """A home that nobody uses is a dependency that nobody needs."""
    assert any(_is_within(found.target, (dependency,)) for path in _modules() for found in _imports_of(path))


@every_module
def test_no_module_is_a_drawer(path: Path) -> None:
    assert not {part.strip("_") for part in path.relative_to(PACKAGE).with_suffix("").parts} & DRAWERS


def test_an_import_is_found_wherever_it_stands() -> None:
    source = """
import threading
from rtsync import simulator, Azure
if TYPE_CHECKING:
    from ..vocabulary.errors import RealtimeError
def later():
    from azure.identity import DefaultAzureCredential
    importlib.import_module("rtsync.cli")
"""
    found = [(item.target, item.lazy) for item in _imports(ast.parse(source), "rtsync.pure")]
    assert found == [
        ("threading", False),
        ("rtsync.simulator", False),
        ("rtsync", False),
        ("rtsync.vocabulary.errors", False),
        ("azure.identity", True),
        ("rtsync.cli", True),
    ]


def test_what_the_layers_forbid_is_seen() -> None:
    assert not _may("edges", Import("rtsync.threads.reader", 1, lazy=True))
    assert not _may("pure", Import("rtsync.edges.guard", 1, lazy=False))
    assert not _may("simulator", Import("rtsync", 1, lazy=True))
    assert not _may("simulator", Import("rtsync.pure.state", 1, lazy=False))
    assert not _may("session", Import("rtsync.simulator", 1, lazy=False))
    assert _may("session", Import("rtsync.simulator", 1, lazy=True))
    assert _may("threads", Import("rtsync.edges.transport", 1, lazy=False))
