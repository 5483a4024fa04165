"""Where the service lives: from an endpoint or base URL, an aim and an API version to a URL (protocol section 1.1).

1. Plain ``http`` and ``ws`` are for this machine only: elsewhere the credential would travel in clear.
2. A message names the setting and never shows its value: a password may stand in it, or a key that was mixed up.
3. What rtsync writes itself (query, ``/openai``, ``/v1``, ``/realtime``) may be there already, or not.
"""

from __future__ import annotations

import ipaddress
import string
from datetime import date
from typing import TypeAlias
from urllib.parse import SplitResult, quote, urlsplit

from rtsync.vocabulary.aim import Aim
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.settings import Setting, setting

__all__ = [
    "azure_base",
    "dated_version",
    "openai_base",
    "origin_and_path",
    "stays_on_this_machine",
    "websocket_url",
]

_OPENAI = "https://api.openai.com/v1"
_GA_VERSIONS = frozenset({"v1", "preview", "latest"})
_HOST = frozenset(string.ascii_lowercase + string.digits + "._-")

_IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def websocket_url(base: str, aim: Aim, version: str | None) -> str:
    """The complete WebSocket URL, percent-encoded."""
    value = quote(aim.value, safe="")
    if version:  # Azure's blog on transcription shows the second: no deployment, the model comes with the session.
        tail = "intent=transcription" if aim.purpose == "transcription" else f"deployment={value}"
        return f"{base}/realtime?api-version={quote(version, safe='')}&{tail}"
    tails = {
        "conversation": f"/realtime?model={value}",
        "call": f"/realtime?call_id={value}",
        "transcription": "/realtime?intent=transcription",
        "translation": f"/realtime/translations?model={value}",
    }
    return base + tails[aim.purpose]


def openai_base(base_url: str | None) -> str:
    """What comes before ``/realtime`` at OpenAI, or at a server that speaks as it does; ``OPENAI_BASE_URL``.

    Raises:
        ConfigurationError: as ``origin_and_path``.
    """
    found = setting("base_url=", base_url, "OPENAI_BASE_URL") or Setting(_OPENAI, "base_url=")
    origin, path = origin_and_path(found)
    # Whoever names a path (also "/realtime" at the root) means it; a bare host means the usual place.
    path = _without_end(path, "realtime") if path else ["v1"]
    return "/".join((origin, *path))


def azure_base(endpoint: str | None, version: str | None) -> str:
    """What comes before ``/realtime`` at an Azure resource or a gateway in front of it; ``AZURE_OPENAI_ENDPOINT``.

    Args:
        endpoint: with or without what rtsync appends; None for the environment's.
        version: of a preview endpoint, or None for the GA one.

    Raises:
        ConfigurationError: missing, or as ``origin_and_path``.
    """
    found = setting("endpoint=", endpoint, "AZURE_OPENAI_ENDPOINT")
    if found is None:
        raise ConfigurationError(
            "Azure needs an endpoint: pass endpoint=... or set AZURE_OPENAI_ENDPOINT, "
            "e.g. https://RESOURCE.openai.azure.com"
        )
    origin, path = origin_and_path(found)
    if "deployments" in path:
        raise ConfigurationError(
            f"{found.named} must end before /openai/deployments: the deployment goes into deployment=..."
        )
    prefix = _without_end(path, "realtime", "v1", "openai")
    return "/".join((origin, *prefix, "openai", *(() if version else ("v1",))))


def _without_end(path: list[str], *ends: str) -> list[str]:
    for end in ends:
        if path[-1:] == [end]:
            path = path[:-1]
    return path


def origin_and_path(found: Setting) -> tuple[str, list[str]]:
    """``wss://host:port`` (or ``ws://``) and the parts of the path, percent-encoded, of an http(s) or ws(s) URL.

    Raises:
        ConfigurationError: no such URL; with a user, query or fragment; or not encrypted and not on this machine.
    """
    parts, port = _split(found)
    _check_no_extras(parts, found.named)
    host = _host(parts, found.named)
    secure = parts.scheme in ("https", "wss")
    if not secure and not stays_on_this_machine(host):
        raise ConfigurationError(
            f"{found.named} would send the credential to {host} in clear: use https:// "
            "(plain http:// and ws:// are for localhost, 127.0.0.0/8 and ::1)"
        )
    bracketed = f"[{host}]" if ":" in host else host
    origin = f"{'wss' if secure else 'ws'}://{bracketed}{f':{port}' if port is not None else ''}"
    return origin, [quote(part, safe="%!$&'()*+,;=:@~") for part in parts.path.split("/") if part]


def _split(found: Setting) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(found.text)
        port = parts.port
    except ValueError:
        parts, port = None, None
    if parts is None or parts.scheme not in ("https", "http", "wss", "ws"):
        raise ConfigurationError(
            f"{found.named} must be a URL that begins with https://, e.g. https://RESOURCE.openai.azure.com "
            f"or {_OPENAI}"
        )
    return parts, port


def _check_no_extras(parts: SplitResult, named: str) -> None:
    if "@" in parts.netloc:
        raise ConfigurationError(f"{named} must not hold a user name or password: credentials go into api_key=")
    if parts.query or parts.fragment:
        raise ConfigurationError(
            f"{named} must end before '?' and '#': rtsync writes the query itself from the deployment or model, "
            "and from api_version= where there is one"
        )


def _host(parts: SplitResult, named: str) -> str:
    host = (parts.hostname or "").lower()
    if not (_is_name(host) or _ip(host)):
        raise ConfigurationError(
            f"{named} names no usable host: write it in ASCII (xn--...), e.g. https://RESOURCE.openai.azure.com"
        )
    return host


def _is_name(host: str) -> bool:
    return bool(host) and _HOST.issuperset(host) and host[0] not in ".-" and host[-1] != "-"


def _ip(host: str) -> _IPAddress | None:
    try:
        return None if "%" in host else ipaddress.ip_address(host)
    except ValueError:
        return None


def stays_on_this_machine(host: str) -> bool:
    """Whether what is sent to ``host`` stays on this machine: ``localhost``, or an address in 127.0.0.0/8 or ``::1``.

    Other names under ``.localhost`` are not among them: most systems leave those to a name server, which may name any
    address.
    """
    address = _ip(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def dated_version(api_version: str | None) -> str | None:
    """The dated version of a preview endpoint, or None for the GA one; ``OPENAI_API_VERSION``.

    Raises:
        ConfigurationError: neither a date nor a name of the GA endpoint.
    """
    found = setting("api_version=", api_version, "OPENAI_API_VERSION")
    if found is None:
        return None
    version = found.text.lower()
    if version in _GA_VERSIONS:
        return None
    if not _is_date(version.removesuffix("-preview")):
        raise ConfigurationError(
            f'{found.named} must be a date such as "2025-04-01-preview" (the preview endpoint), '
            'or "v1", "preview" or "latest" (the GA endpoint)'
        )
    return version


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text  # it also reads 20250401 and 2025-W14-2
    except ValueError:
        return False
