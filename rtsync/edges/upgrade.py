"""HTTP on the socket before the frames: CONNECT at a proxy, and the WebSocket upgrade.

Ours, and not websocket-client's, because that one follows redirects with the credential, shares a cookie jar between
all sessions of a process, writes refused headers and bodies to its log, drops chunked bodies and has no limits.
No redirect is followed and no cookie is kept. The response is parsed by ``http.client``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from rtsync.edges import forks
from rtsync.edges.guard import GuardedSocket, LineBroken
from rtsync.edges.network import Address, Proxy
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectFailed,
    ConnectTimeout,
    RateLimited,
    RealtimeError,
    RedirectRefused,
    SendTimeout,
)
from rtsync.vocabulary.foreign import one_line, redact
from rtsync.vocabulary.version import VERSION

if TYPE_CHECKING:
    from http.client import HTTPResponse

__all__ = ["check_headers", "connect_through", "upgrade"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_MOST_BYTES = 256 * 1024  # of response head and body together; refusals are a few hundred bytes
_MOST_BODY = 64 * 1024
_LONGEST_SAID = 300  # characters of the server's own words in a message
_BODY_PATIENCE = 1.0  # seconds for the body of a refusal: the status is known already and must not wait for more
_REQUEST_IDS = ("x-request-id", "apim-request-id", "x-ms-request-id", "cf-ray")
_PROXY_HINTS = {407: "the proxy wants credentials: proxy='http://user:password@host:port'"}
_HINTS = {
    401: "check the key or token, and that it belongs to this endpoint (on Azure GA no api-version may be given)",
    403: "the credential is known but may not do this; on Azure the role is 'Cognitive Services OpenAI User'",
    404: "check the host and path; on Azure also the name of the deployment",
    426: "this is a web server without WebSockets at that path",
    429: "too many requests or no quota; wait, or raise the quota",
}


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse header values that would break out of their line, without showing them.

    Raises:
        ConfigurationError: a name or value with a line break, NUL or a character outside latin-1.
    """
    for name, value in headers.items():
        text = f"{name}{value}"
        if any(character in "\r\n\0" or ord(character) > 255 for character in text):
            raise ConfigurationError(
                f"the header {name.split(chr(10))[0].strip()!r} has a value with a line break or a character that HTTP"
                " cannot carry; was a key read from a file with its line end?"
            )


def connect_through(guard: GuardedSocket, proxy: Proxy, address: Address, deadline: Deadline) -> None:
    """Ask ``proxy`` for a tunnel to ``address``.

    Raises:
        ConnectFailed: phase ``"proxy"``, with the proxy's status.
        ConnectTimeout: likewise.
    """
    headers = {"Host": address.authority, "User-Agent": f"rtsync/{VERSION}"}
    if proxy.authorization:
        headers["Proxy-Authorization"] = proxy.authorization
    exchange = _Exchange(guard, "proxy", f"proxy {proxy.host}:{proxy.port}", deadline, _proxy_secrets(proxy))
    response = exchange.ask(f"CONNECT {address.authority} HTTP/1.1", headers, "CONNECT")
    if not 200 <= response.status < 300:
        exchange.refuse(response)
    if guard.available:
        raise ConnectFailed(f"{exchange.who} answered CONNECT with more than a tunnel", phase="proxy")


def _proxy_secrets(proxy: Proxy) -> tuple[str, ...]:
    if not proxy.authorization:
        return ()
    encoded = proxy.authorization.rpartition(" ")[2]
    pair = base64.b64decode(encoded).decode()
    return (proxy.authorization, encoded, pair, pair.partition(":")[2])


def upgrade(
    guard: GuardedSocket, address: Address, headers: Mapping[str, str], secrets: tuple[str, ...], deadline: Deadline
) -> Mapping[str, str]:
    """Turn the connection into a WebSocket; returns the response headers, names in lower case.

    Args:
        guard: the connected socket.
        address: host and resource.
        headers: everything beyond the WebSocket's own headers, credential included.
        secrets: texts that no message may show.
        deadline: of the whole connect.

    Raises:
        ConnectFailed: phase ``"upgrade"`` and its kinds, by HTTP status.
    """
    key = base64.b64encode(os.urandom(16)).decode()
    own = {
        "Host": address.netloc,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        "User-Agent": f"rtsync/{VERSION}",
    }
    exchange = _Exchange(guard, "upgrade", address.netloc, deadline, secrets)
    given = {name.lower() for name in headers}
    request = {**{name: value for name, value in own.items() if name.lower() not in given}, **headers}
    response = exchange.ask(f"GET {address.resource} HTTP/1.1", request, "GET")
    if response.status != 101:
        exchange.refuse(response)
    _check_accept(exchange, response, key)
    return exchange.headers(response)


def _check_accept(exchange: _Exchange, response: HTTPResponse, key: str) -> None:
    wanted = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()
    upgraded = (response.getheader("upgrade") or "").lower() == "websocket"
    if not upgraded or (response.getheader("sec-websocket-accept") or "").strip() != wanted:
        raise ConnectFailed(
            f"{exchange.who} answered 101, but not as a WebSocket server (RFC 6455 4.1); is a proxy in between?",
            phase="upgrade",
            status=101,
            headers=exchange.headers(response),
        )


class _Exchange:
    """One HTTP request and its response on a guarded socket, which is left just behind the response's head."""

    def __init__(
        self, guard: GuardedSocket, phase: str, who: str, deadline: Deadline, secrets: tuple[str, ...]
    ) -> None:
        self._guard = guard
        self._stream = _Stream(guard, deadline)
        self._phase = phase
        self._deadline = deadline
        self._secrets = secrets
        self.who = who

    def ask(self, line: str, headers: Mapping[str, str], method: str) -> HTTPResponse:
        with forks.whole():
            from http.client import HTTPException, HTTPResponse  # Its import costs as much as the rest of rtsync.

        check_headers(headers)
        head = "\r\n".join([line, *(f"{name}: {value}" for name, value in headers.items()), "", ""])
        try:
            self._guard.sendall(head.encode("latin-1"), timeout=self._deadline.remaining())
            response = HTTPResponse(self._stream, method=method)  # type: ignore[arg-type]
            response.begin()
            return response
        except (TimeoutError, SendTimeout) as error:
            raise self._too_late() from error
        except LineBroken as error:
            raise self._failed(f"ended the connection instead of answering ({error})") from error
        except (HTTPException, ValueError) as error:
            what = type(error).__name__
        # Out here it has no context: what http.client raises quotes the server's bytes, which may be the credential.
        raise self._failed(f"did not answer as an HTTP server does ({what})")

    def _failed(self, what: str) -> ConnectFailed:
        return ConnectFailed(f"{self.who} {what}; is it the right host and port?", phase=self._phase)

    def _too_late(self) -> ConnectTimeout:
        return ConnectTimeout(
            f"{self.who} accepted the connection and did not answer the {self._phase} within"
            f" {self._deadline.timeout:g} s",
            phase=self._phase,
        )

    def refuse(self, response: HTTPResponse) -> NoReturn:
        """Raise what a refusal means."""
        headers = self.headers(response)
        if 300 <= response.status < 400:
            self._refuse_redirect(response.status, headers)
        code, message = self._explanation(response)
        by_proxy = self._phase == "proxy"
        reason = self._said(response.reason) or ""
        parts = [f"{self.who} refused the {self._phase}: HTTP {response.status} {reason}".rstrip(), message]
        parts.append((_PROXY_HINTS if by_proxy else _HINTS).get(response.status))
        kind = ConnectFailed if by_proxy else _kind(response.status)
        raise kind(
            ". ".join(part.rstrip(".") for part in parts if part),
            phase=self._phase,
            status=response.status,
            headers=headers,
            request_id=next((headers[name] for name in _REQUEST_IDS if name in headers), None),
            retry_after=_retry_after(headers.get("retry-after")),
            code=code,
        )

    def _refuse_redirect(self, status: int, headers: Mapping[str, str]) -> NoReturn:
        where = headers.get("location", "nowhere").split("?")[0]
        raise RedirectRefused(
            f"{self.who} answered with a redirect (HTTP {status}) to {where[:200]!r}. rtsync does not follow it:"
            " that would send the credential there. If you trust that address, make it the endpoint",
            phase=self._phase,
            status=status,
            headers=headers,
        )

    def _explanation(self, response: HTTPResponse) -> tuple[str | None, str | None]:
        """Error code and message in the body of a refusal, as far as there are any."""
        from http.client import HTTPException, IncompleteRead

        self._stream.deadline = Deadline(self._deadline.remaining(_BODY_PATIENCE))
        try:
            body = response.read(_MOST_BODY)
        except IncompleteRead as error:  # A chunked body that broke off.
            body = error.partial
        except (OSError, HTTPException, ValueError, RealtimeError):
            return None, None
        code, message = _explain(body.decode("utf-8", "replace").strip())
        return self._said(code), self._said(message)

    def _said(self, text: str | None) -> str | None:
        """The server's words for a message: redacted before they are cut, as half a credential is hard to recognise."""
        return one_line(redact(text or "", self._secrets), _LONGEST_SAID) or None

    def headers(self, response: HTTPResponse) -> dict[str, str]:
        """The response's headers: names in lower case, no cookies, no credential that the server echoes."""
        pairs = ((name.lower(), value) for name, value in response.getheaders())
        secrets = self._secrets
        return {redact(name, secrets): redact(value, secrets) for name, value in pairs if name != "set-cookie"}


def _explain(text: str) -> tuple[str | None, str | None]:
    import json  # Refusals only.

    try:
        data = json.loads(text)
        error = data.get("error", data)
        code, message = (error, None) if isinstance(error, str) else (error.get("code"), error.get("message"))
    except (ValueError, AttributeError, RecursionError):
        return None, text if "<" not in text else None
    return (str(code) if code is not None else None), message if isinstance(message, str) else None


def _kind(status: int) -> type[ConnectFailed]:
    if status in (401, 403):
        return AuthenticationFailed
    return RateLimited if status == 429 else ConnectFailed


def _retry_after(value: str | None) -> float | None:
    """Seconds from a ``Retry-After`` header, which is a number or an HTTP date (RFC 9110 10.2.3)."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value[:20])
    import email.utils  # Costly, and rarely wanted.

    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, binascii.Error, OverflowError):
        return None


class _Stream(io.RawIOBase):
    """What ``http.client`` reads: the guarded socket up to the last byte asked for, and none beyond.

    The frames may follow the response's head in the same packet, so nothing may be read ahead here.
    """

    def __init__(self, guard: GuardedSocket, deadline: Deadline) -> None:
        self._guard = guard
        self.deadline = deadline
        self._left = _MOST_BYTES

    def makefile(self, *_: object) -> _Stream:
        return self

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> bytes:
        line = b""
        limit = self._left if size is None or size < 0 else size
        while not line.endswith(b"\n") and len(line) < limit:
            self._fill()
            line += self._take(min(self._guard.buffer.until(b"\n"), limit - len(line)))
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._left if size is None or size < 0 else size
        parts: list[bytes] = []
        while wanted > 0:
            try:
                self._fill()
            except (LineBroken, TimeoutError):  # A body without a length ends with the connection.
                break
            parts.append(self._take(min(wanted, self._guard.available)))
            wanted -= len(parts[-1])
        return b"".join(parts)

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _fill(self) -> None:
        if not self._guard.available and not self._guard.fill(self.deadline.at):
            raise TimeoutError
        if self._left <= 0:
            raise ValueError("the response is too long")

    def _take(self, size: int) -> bytes:
        self._left -= size
        return self._guard.take(size)
