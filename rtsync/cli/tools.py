"""``--tool``: functions of the user's own that the model may call, and what is seen and asked of the calls."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import msgspec

from rtsync import (
    ConfigurationError,
    RealtimeSession,
    Tool,
    ToolCall,
    handler_failed,
    tool_finished,
    tool_progress,
    tool_started,
)
from rtsync.cli.option_sets import Option, gathered
from rtsync.vocabulary.foreign import one_line

__all__ = ["Questions", "ToolNotes", "ToolOptions", "loaded", "tool_option", "tool_options"]

_LONGEST_CALL = 300  # characters
_HINT = "'--tool'"

tool_option = click.option(
    "--tool",
    multiple=True,
    metavar="WHERE:FUNCTION",
    help="A Python function that the model may call: module:function or path/to/file.py:function; several times if "
    "need be.",
)
_APPROVE = click.option(
    "--approve",
    is_flag=True,
    help="Ask at the terminal before each call of a tool: y, n, or why not. Without it they are called.",
)


class ToolOptions(msgspec.Struct, frozen=True):
    """What the options say.

    Attributes:
        tool: where each is.
        approve: whether to ask before each call.
    """

    tool: tuple[str, ...]
    approve: bool

    def load(self, questions: Questions) -> list[Tool]:
        """The tools, which ask ``questions`` where that is wanted.

        Raises:
            click.UsageError: one cannot be imported or declared, or there is no terminal to ask at.
        """
        if self.approve and not questions.can_be_asked:
            raise click.UsageError(
                "--approve asks at the terminal, and stdin is none. Without --approve the tools are called unasked"
            )
        tools = loaded(self.tool)
        return [tool.with_approval(questions.before(tool.approval)) for tool in tools] if self.approve else tools


tool_options: Option = gathered(ToolOptions, "wanted", (tool_option, _APPROVE))
"""Give a command these options; it gets them as one ``wanted``."""


def loaded(where: tuple[str, ...]) -> list[Tool]:
    """The tools that ``--tool`` names.

    Raises:
        click.BadParameter: one cannot be imported, or declared.
    """
    return [_load(each) for each in where]


def _load(where: str) -> Tool:
    place, colon, name = where.rpartition(":")
    if not (place and colon and name):
        raise click.BadParameter(f"{where!r} is not module:function or path/to/file.py:function", param_hint=_HINT)
    module = _module(place, where)
    try:
        found: Any = module
        for step in name.split("."):
            found = getattr(found, step)
    except AttributeError:
        raise click.BadParameter(f"there is no {name!r} in {place}", param_hint=_HINT) from None
    if isinstance(found, Tool):
        return found
    try:
        return Tool(found)
    except ConfigurationError as error:
        raise click.BadParameter(f"{where} cannot be declared: {error}", param_hint=_HINT) from error


def _module(place: str, where: str) -> ModuleType:
    try:
        if place.endswith(".py") or os.sep in place:
            return _module_of(Path(place))
        if os.getcwd() not in sys.path:  # The script of the command is elsewhere.
            sys.path.insert(0, os.getcwd())
        return importlib.import_module(place)
    except click.ClickException:
        raise
    except (Exception, SystemExit) as error:  # Whatever the user's code raises.
        why = f"{type(error).__name__}: {error}"
        raise click.BadParameter(f"{where} cannot be imported ({one_line(why)})", param_hint=_HINT) from error


def _module_of(path: Path) -> ModuleType:
    """A file as a module; what lies beside it can be imported, as when Python runs it."""
    if not path.is_file():
        raise click.BadParameter(f"there is no file {str(path)!r}", param_hint=_HINT)
    spec = importlib.util.spec_from_file_location(f"rtsync_tools_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise click.BadParameter(f"{str(path)!r} is no Python file", param_hint=_HINT)
    known = sys.modules.get(spec.name)
    if known is not None and known.__file__ == str(path):
        return known
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    spec.loader.exec_module(module)
    return module


class ToolNotes:
    """Says which tools are called, how far they are, and how long they took.

    Args:
        tell: says one line; called where the session's handlers run.

    It must be held as long as it shall speak.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def attach(self, session: RealtimeSession) -> None:
        """Hear of the calls of ``session``."""
        tool_started.connect(self._started, sender=session)
        tool_progress.connect(self._progressed, sender=session)
        tool_finished.connect(self._finished, sender=session)
        handler_failed.connect(self._failed, sender=session)

    def _started(self, _session: RealtimeSession, *, call: ToolCall, **_more: Any) -> None:
        self._tell(described(call.name, call.arguments))

    def _progressed(self, _session: RealtimeSession, *, call: ToolCall, progress: Any, **_more: Any) -> None:
        self._tell(f"{call.name}: {progress}")

    def _failed(self, _session: RealtimeSession, *, handler: Any, error: BaseException, **_more: Any) -> None:
        self._tell(f"{getattr(handler, '__name__', 'a tool')} raised {type(error).__name__}: {error}")

    def _finished(self, _session: RealtimeSession, *, call: ToolCall, **_more: Any) -> None:
        began, ended = call.started_at, call.ended_at
        lasted = "" if began is None or ended is None else f"{ended - began:.2f} s"
        if call.status == "completed":
            self._tell(f"{call.name}: {lasted}")
        else:
            self._tell(f"{call.name}: {', '.join(filter(None, (call.status.replace('_', ' '), lasted)))}: {call.error}")


def described(name: str, arguments: Mapping[str, Any]) -> str:
    """A call as one would write it."""
    given = ", ".join(f"{key}={msgspec.json.encode(value).decode()}" for key, value in arguments.items())
    return one_line(f"{name}({given})", _LONGEST_CALL)


class Questions:
    """Asks at the terminal whether a tool may be called; one question at a time.

    Threads: ``ask`` in those of the tools, where it blocks; ``dismiss`` in the main thread.
    """

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._reading, self._writing = os.pipe()
        self._dismissed = 0

    def close(self) -> None:
        """Ask nothing more."""
        self.dismiss()
        with self._asking:
            os.close(self._reading)
            os.close(self._writing)

    @property
    def can_be_asked(self) -> bool:
        """Whether there is somebody to ask."""
        return sys.stdin is not None and sys.stdin.isatty()

    def before(self, own: Callable[[ToolCall], bool | str] | None) -> Callable[[ToolCall], bool | str]:
        """An approval that asks, and then what the tool brought along."""

        def approve(call: ToolCall) -> bool | str:
            verdict = self.ask(call)
            return verdict if verdict is not True or own is None else own(call)

        return approve

    def ask(self, call: ToolCall) -> bool | str:
        """True for y, False for n; other words are the reason of a no."""
        dismissed = self._dismissed
        with self._asking:
            if self._dismissed != dismissed:
                return False
            print(f"{described(call.name, call.arguments)}? y, n, or why not: ", end="", file=sys.stderr, flush=True)
            said = self._line().strip()
        if said.lower() in ("y", "yes"):
            return True
        return False if said.lower() in ("", "n", "no") else said

    def dismiss(self) -> None:
        """Nobody waits for the answers any more: those that are asked are no."""
        self._dismissed += 1
        if self._asking.locked():
            os.write(self._writing, b"\n")

    def _line(self) -> str:
        """What is typed; nothing where it was dismissed."""
        if sys.platform == "win32":  # Where a terminal cannot be waited for: Ctrl+C is followed by Enter.
            return sys.stdin.readline()
        import select

        ready, _, _ = select.select([sys.stdin, self._reading], [], [])
        if self._reading in ready:
            os.read(self._reading, 1)
            print(file=sys.stderr)
            return ""
        return sys.stdin.readline()
