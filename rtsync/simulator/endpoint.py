"""A connection to an OpenAI-compatible HTTP endpoint that a cancellation can end in every phase.

Brains, ears and voices that work elsewhere ask through here, each on a thread of its own. What an endpoint says in a
refusal is shown without the key that it was asked with.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import selectors
import socket
import ssl
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from rtsync.simulator.brains import Cancellation
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.foreign import one_line, redact

__all__ = ["Endpoint", "Exchange", "Refusal", "reason"]

_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY)
_GLANCE = 0.1  # seconds
_LARGEST_ERROR = 64 << 10
_LONGEST_MESSAGE = 500


class Refusal(NamedTuple):
    """What an answer other than 200 says."""

    message: str
    code: str | None


class Endpoint:
    """Where to ask, and with which key.

    Args:
        named: what it is in messages: ``chat``, ``transcription``, ``speech``.
        base_url: as for an OpenAI client, for example ``http://127.0.0.1:11434/v1``.
        path: below it.
        api_key: sent as bearer token when given.
        timeout: seconds it may be silent, at the start and between pieces.
        tls: context for https; the system's authorities by default.

    Raises:
        ConfigurationError: ``base_url`` is no http or https URL.
    """

    def __init__(
        self,
        named: str,
        base_url: str,
        path: str,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = _parts(named, base_url)
        secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if secure else 80)
        self._path = parts.path.rstrip("/") + path
        self._api_key = api_key
        self._timeout = timeout
        self._tls = (tls or ssl.create_default_context()) if secure else None

    def ask(self, cancelled: Cancellation) -> Exchange:
        """A request that can be made, and cancelled; a context manager."""
        return Exchange(
            _Dialled(cancelled), self._host, self._port, self._path, self._timeout, self._tls, self._api_key
        )

    def refusal(self, response: http.client.HTTPResponse) -> Refusal:
        """Why it refused, without the key."""
        body = response.read(_LARGEST_ERROR)
        message, code = f"HTTP status {response.status}", None
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            error = json.loads(body)["error"]
            message, code = f"{message}: {error['message']}", error.get("code")
        secrets = [self._api_key] if self._api_key else []
        shown = one_line(redact(message, secrets), _LONGEST_MESSAGE)
        return Refusal(shown, redact(code, secrets) if isinstance(code, str) else None)


def _parts(named: str, base_url: str) -> Any:
    wrong = f"the {named} endpoint must be an http:// or https:// URL, such as http://host:port/v1"
    try:
        parts = urlsplit(base_url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        raise ConfigurationError(wrong) from None  # the reason would quote it, and it may hold a password
    if not sound:
        raise ConfigurationError(wrong)
    return parts


class Exchange:
    """One request and its answer."""

    def __init__(
        self,
        dialled: _Dialled,
        host: str,
        port: int,
        path: str,
        timeout: float,
        tls: ssl.SSLContext | None,
        api_key: str | None,
    ) -> None:
        self._dialled = dialled
        self._where = (host, port, timeout, tls)
        self._path = path
        self._api_key = api_key

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._dialled.close()

    def post(self, body: bytes | str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Send the request; the head of its answer.

        Raises:
            OSError: it cannot be reached, fell silent, or this was cancelled.
            http.client.HTTPException: it does not speak HTTP.

        Threads: blocks the calling thread in the network; a cancellation wakes it at once, here and while it reads.
        """
        host, port, timeout, tls = self._where
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        connection.sock = self._dialled.connect(host, port, timeout, tls)
        sent = dict(headers)
        if self._api_key:
            sent["Authorization"] = f"Bearer {self._api_key}"
        connection.request("POST", self._path, body, sent)
        response = self._dialled.response = connection.getresponse()
        return response


class _Dialled:
    """The socket, which a cancellation can end in every phase."""

    def __init__(self, cancelled: Cancellation) -> None:
        self._cancelled = cancelled
        self._sock: socket.socket | None = None
        self.response: http.client.HTTPResponse | None = None
        cancelled.then(self._shut)

    def connect(self, host: str, port: int, timeout: float, tls: ssl.SSLContext | None) -> socket.socket:
        """Connect to the first address that answers, within ``timeout`` seconds altogether."""
        until = time.monotonic() + timeout
        failure: OSError = OSError("no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            self._sock = socket.socket(family, kind, protocol)
            try:
                self._dial(address, until)
                return self._secured(host, timeout, tls)
            except OSError as error:
                self._sock.close()
                failure = error
        raise failure

    def _dial(self, address: Any, until: float) -> None:
        assert self._sock is not None
        self._sock.setblocking(False)
        code = self._sock.connect_ex(address)
        while code in _UNDER_WAY and time.monotonic() < until:
            # Not every system wakes a connecting socket that is shut down: look at the cancellation now and then.
            if self._cancelled.wait(0):
                raise ConnectionError("cancelled")
            if _writable(self._sock, _GLANCE):
                code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                break
        if code in _UNDER_WAY:
            raise TimeoutError
        if code:
            raise OSError(code, os.strerror(code))

    def _secured(self, host: str, timeout: float, tls: ssl.SSLContext | None) -> socket.socket:
        assert self._sock is not None
        self._sock.settimeout(timeout)
        if tls is not None:
            # The handshake comes after the new object is in its place, where a cancellation finds it.
            secured = tls.wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False)
            self._sock = secured
            self._refuse_if_cancelled()
            secured.do_handshake()
        self._refuse_if_cancelled()
        return self._sock

    def _refuse_if_cancelled(self) -> None:
        if self._cancelled():
            raise ConnectionError("cancelled")

    def _shut(self) -> None:
        """Wake the thread that waits for the endpoint. Threads: any."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back."""
        if self.response is not None:
            self.response.close()
        if self._sock is not None:
            self._sock.close()


def _writable(sock: socket.socket, timeout: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        return bool(selector.select(timeout))


def reason(error: Exception) -> str:
    """What became of an exchange that broke, in words that quote nobody."""
    return "it did not answer in time" if isinstance(error, TimeoutError) else type(error).__name__
