"""The options of a session and of the calls beside it, checked."""

from __future__ import annotations

import os
import ssl

from rtsync.edges import forks
from rtsync.vocabulary.deadline import seconds
from rtsync.vocabulary.errors import ConfigurationError

__all__ = ["byte_count", "proxy_option", "required_seconds", "tls_context"]


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


def proxy_option(value: object) -> str | bool | None:
    """The URL of a proxy, False for none, or None for what the environment says."""
    if value is None or value is False or isinstance(value, str):
        return value
    raise ConfigurationError("proxy must be a URL such as 'http://host:port', False for none, or None")


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
