"""Request headers of a target: which may be given, and what their values may hold (protocol section 1.5)."""

from __future__ import annotations

import string
from collections.abc import Mapping

from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.settings import encodes, has_control, setting

__all__ = ["account_headers", "request_headers"]

_NAME = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")  # RFC 9110, 5.6.2: token
_HANDSHAKE = frozenset({"host", "upgrade", "connection", "content-length", "transfer-encoding"})
_CREDENTIAL = frozenset({"authorization", "api-key"})


def account_headers(organization: str | None, project: str | None) -> dict[str, str]:
    """OpenAI's headers for an organization and a project, passed or from the environment.

    Raises:
        ConfigurationError: one does not fit a header.
    """
    found = {
        "OpenAI-Organization": setting("organization=", organization, "OPENAI_ORG_ID"),
        "OpenAI-Project": setting("project=", project, "OPENAI_PROJECT_ID"),
    }
    return {name: _value(each.text, each.named) for name, each in found.items() if each}


def request_headers(
    given: Mapping[str, str] | None, *, ours: Mapping[str, str] | None = None, ga: bool
) -> tuple[tuple[str, str], ...]:
    """Names and values of the headers to send.

    Args:
        given: what the caller wants to be sent.
        ours: what is sent where the caller does not give the same header.
        ga: whether they go to a GA endpoint, which refuses the opt-in header of the preview.

    Raises:
        ConfigurationError: no mapping, a name or value that no header has, a header that is not the caller's to set.
    """
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(f"headers= must be a mapping of names to values, not {type(given).__name__}")
    checked = [_header(name, value, ga=ga) for name, value in (given or {}).items()]
    names = {name.lower() for name, _ in checked}
    if len(names) < len(checked):
        raise ConfigurationError("headers= names a header twice (upper and lower case are the same): keep one")
    return (*((name, value) for name, value in (ours or {}).items() if name.lower() not in names), *checked)


def _header(name: object, value: object, *, ga: bool) -> tuple[str, str]:
    if not isinstance(name, str) or not name or not _NAME.issuperset(name):
        raise ConfigurationError("headers= holds a name that is not an HTTP header name (letters, digits and hyphens)")
    lowered = name.lower()
    if lowered in _CREDENTIAL:
        raise ConfigurationError(f"headers= must not hold {name}: credentials go into api_key= or credential=")
    if lowered in _HANDSHAKE or lowered.startswith("sec-websocket-"):
        raise ConfigurationError(f"headers= must not hold {name}: the WebSocket handshake sets it")
    text = _value(value, f"headers= {name}")
    if ga and lowered == "openai-beta" and "realtime=" in text.replace(" ", ""):
        raise ConfigurationError("headers= must not hold OpenAI-Beta: realtime on a GA endpoint, which refuses it")
    return name, text


def _value(value: object, named: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{named} must be a string, not {type(value).__name__}")
    text = value.strip(" \t")
    if has_control(text.replace("\t", " ")) or not encodes(text, "latin-1"):
        raise ConfigurationError(f"{named} holds a line break, a control character or one outside Latin-1: remove it")
    return text
