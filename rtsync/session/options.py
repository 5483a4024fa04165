"""The options of a session and of the calls beside it, checked."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import Any

import msgspec

from rtsync.edges import forks
from rtsync.pure.backlog import Limits
from rtsync.pure.recovery import Reconnect
from rtsync.threads.surroundings import Within
from rtsync.vocabulary.deadline import seconds
from rtsync.vocabulary.errors import ConfigurationError

__all__ = [
    "Serving",
    "Within",
    "byte_count",
    "proxy_option",
    "queue_limits",
    "reconnect_policy",
    "required_seconds",
    "serving",
    "tls_context",
]


class Serving(msgspec.Struct, frozen=True):
    """How the tools of a session are run.

    Attributes:
        threads: how many at the same time.
        rounds: how many responses they may ask for in a row.
        within: gives the context manager in which each runs; None for none.
        mcp_approval: asked before the service calls a tool of an MCP server; None where the program sees to that.
    """

    threads: int = 8
    rounds: int = 16
    within: Within | None = None
    mcp_approval: Callable[[Any], bool | str] | None = None


def required_seconds(value: object, name: str) -> float:
    """A number of seconds, more than 0."""
    checked = seconds(value, name)
    assert checked is not None
    return checked


def byte_count(value: object, name: str) -> int:
    """A number of bytes, at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} must be a number of bytes, at least 1, not {value!r}")
    return value


def queue_limits(on_overflow: object, most_events: object, most_size: object) -> Limits:
    """What may wait for handlers and subscriptions, from the three options that say so."""
    if on_overflow not in ("close", "drop_deltas"):
        raise ConfigurationError(f"on_overflow must be 'close' or 'drop_deltas', not {on_overflow!r}")
    if isinstance(most_events, bool) or not isinstance(most_events, int) or most_events < 1:
        raise ConfigurationError(f"max_queue_events must be a number of events, at least 1, not {most_events!r}")
    return Limits(most_events, byte_count(most_size, "max_queue_size"), on_overflow == "drop_deltas")


def serving(tool_threads: int, tool_rounds: int, within: Within | None, mcp_approval: Any = None) -> Serving:
    """How tools are run, from the four options that say so."""
    for name, value in (("tool_threads", tool_threads), ("tool_rounds", tool_rounds)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigurationError(f"{name} must be a whole number, at least 1, not {value!r}")
    if not (within is None or callable(within)):
        raise ConfigurationError(
            f"within must be a callable that gives a context manager, such as app.app_context, or None, not"
            f" {type(within).__name__}"
        )
    if not (mcp_approval is None or callable(mcp_approval)):
        raise ConfigurationError(f"mcp_approval must be callable, not {type(mcp_approval).__name__}")
    return Serving(tool_threads, tool_rounds, within, mcp_approval)


def proxy_option(value: object) -> str | bool | None:
    """The URL of a proxy, False for none, or None for what the environment says."""
    if value is None or value is False or isinstance(value, str):
        return value
    raise ConfigurationError("proxy must be a URL such as 'http://host:port', False for none, or None")


def reconnect_policy(value: object) -> Reconnect | None:
    """The policy of reconnecting; None for none."""
    if value is None or value is False:
        return None
    if value is True:
        return Reconnect()
    if isinstance(value, Reconnect):
        return value
    raise ConfigurationError(f"reconnect must be True, a Reconnect(...), or None, not {type(value).__name__}")


def tls_context(value: object) -> ssl.SSLContext | None:
    """The context of TLS: one that is given, one that trusts the authorities in a file, or None for the shared one."""
    if value is None or isinstance(value, ssl.SSLContext):
        return value
    if any(kind.__name__ == "SSLContext" for kind in type(value).__mro__):
        raise ConfigurationError(
            "tls: this ssl.SSLContext was made before gevent patched ssl; make it afterwards, or patch first of all"
        )
    if not isinstance(value, str | os.PathLike):
        raise ConfigurationError("tls must be an ssl.SSLContext or the path of a file with trusted authorities")
    try:
        with forks.whole():
            return ssl.create_default_context(cafile=os.fspath(value))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"tls: no authorities could be read from {os.fspath(value)!r}: {error}") from error
