"""Where a target's REST endpoints are: beside its WebSocket, at the same base (protocol section 1.6)."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.targets import Target

__all__ = ["call_url", "client_secret_url"]


def client_secret_url(target: Target) -> str:
    """Where client secrets for ``target`` are made.

    The preview of Azure has them beside ``/realtime``, not under it: ``/openai/realtimeapi/sessions`` (Microsoft's
    article on WebRTC, of the time of the preview) and ``/openai/realtimeapi/transcription_sessions``.

    Raises:
        ConfigurationError: the target names no server.
    """
    base, query = _base(target)
    if target.dialect == "preview":
        return f"{base}api/{'transcription_' if target.purpose == 'transcription' else ''}sessions?{query}"
    return f"{base}/{'translations/' if target.purpose == 'translation' else ''}client_secrets"


def call_url(target: Target, call_id: str, action: str) -> str:
    """Where ``action`` (``"accept"``, ``"reject"``, ``"refer"``, ``"hangup"``) is done to a call.

    Raises:
        ConfigurationError: the target names no server, or one without calls.
    """
    base, _ = _base(target)
    if target.dialect == "preview":
        raise ConfigurationError(
            f"calls are controlled on the GA endpoint only, not under api-version {target.api_version}: leave "
            'api_version off (where OPENAI_API_VERSION is set, pass api_version="v1")'
        )
    # "." and ".." are left alone by quote() and taken for steps by servers.
    return f"{base}/calls/{quote(call_id, safe='').replace('.', '%2E')}/{action}"


def _base(target: Target) -> tuple[str, str]:
    """The URL up to and with ``/realtime``, and the version as a query where there is one."""
    if not target.url:
        raise ConfigurationError(
            "Simulator() runs only while a session is open: start a server and name it, Simulator().at(server.url)"
        )
    parts = urlsplit(target.url)
    path = parts.path.removesuffix("/translations") if target.purpose == "translation" else parts.path
    scheme = "https" if parts.scheme == "wss" else "http"
    return f"{scheme}://{parts.netloc}{path}", f"api-version={quote(target.api_version or '', safe='')}"
