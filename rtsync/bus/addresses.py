"""From the address of a bus to its engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtsync.bus.engine import Bus
from rtsync.bus.memory import MemoryBus
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["EngineMaker", "engine_for"]

_REDIS = ("redis", "rediss", "unix")


class EngineMaker:
    """Makes an engine when it is called, in the process that calls.

    Attributes:
        name: the address, without credentials.
        shared: whether other processes reach the same bus.
    """

    def __init__(self, make: Callable[[], Bus], name: str, *, shared: bool) -> None:
        self._make = make
        self.name = name
        self.shared = shared

    def __call__(self) -> Bus:
        """An engine. Nothing is connected yet."""
        return self._make()


def engine_for(address: Any, *, timeout: float) -> EngineMaker:
    """What makes the engine of ``address``.

    Args:
        address: ``"memory://"`` or ``"redis://..."``.
        timeout: seconds that a call of the engine may take.

    Raises:
        ConfigurationError: it is no such address, or the extra is missing.
    """
    scheme = address.partition(":")[0] if isinstance(address, str) else ""
    if scheme == "memory":
        return EngineMaker(MemoryBus, MemoryBus.name, shared=False)
    if scheme in _REDIS:
        from rtsync.bus.streams import redis_engine  # An extra, and 0.25 s.

        return redis_engine(address, timeout=timeout)
    raise ConfigurationError(
        "bus must be 'memory://' or 'redis://host:port/db' (rediss:// with TLS, unix:// for a socket)"
    )
