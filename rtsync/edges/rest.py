"""REST beside the session: one POST, retried and mapped into rtsync's errors. The only home of ``azure.core``.

azure-core brings the pipeline and the retry policy. Its stock transport is not used: it takes no ``ssl.SSLContext``,
knows no deadline (each received byte starts its timeout anew), lets a ``.netrc`` replace the credential and keeps a log
of its own. ``_Transport`` stands on the same sockets as a session, so ``tls=``, ``proxy=`` and failures mean the same.

1. One deadline covers every attempt and the waits between them. A wait that would outlast it is not begun: the refusal
   is raised at once, with its ``retry_after``.
2. Repeated are answers that say *later* (408, 429, 500, 502, 503, 504), and connections that were never made. A request
   that was sent and not answered is not: it may have been carried out.
3. The credential is asked for at each attempt, and stands in no log line, no message and no exception.
4. No redirect is followed and no cookie is kept. Every attempt has a connection of its own.

Which exception a refusal becomes is decided in one place, ``_refused``: a 401 or 403 is ``AuthenticationFailed``, a 429
``RateLimited``, a redirect ``RedirectRefused``; any other 4xx (but 408) in which the service explains itself
(``{"error": {...}}``) is a ``ServerError`` with its code: what was asked for is wrong, and asking again will not help.
Everything else is ``ConnectFailed`` with the status. All but ``ServerError`` have ``phase="rest"`` once the request was
sent.
"""

from __future__ import annotations

import email.utils
import io
import logging
import math
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any

import msgspec
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline import Pipeline, PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import RetryPolicy, SansIOHTTPPolicy
from azure.core.pipeline.transport import HttpTransport
from azure.core.rest import HttpRequest
from azure.core.utils import case_insensitive_dict

from rtsync.edges.credentials import authorization
from rtsync.edges.dial import dial
from rtsync.edges.guard import GuardedSocket, LineBroken
from rtsync.edges.nested_tls import NestedTLS
from rtsync.edges.network import Address, Interrupt, Route
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import (
    AuthenticationFailed,
    ConnectFailed,
    ConnectTimeout,
    ProtocolError,
    RateLimited,
    RealtimeError,
    RedirectRefused,
    SendTimeout,
    ServerError,
)
from rtsync.vocabulary.events import decode, encode
from rtsync.vocabulary.foreign import credentials_in, one_line, redact
from rtsync.vocabulary.targets import Target
from rtsync.vocabulary.version import VERSION

__all__ = ["Reply", "post"]

logger = logging.getLogger("rtsync.rest")

_RETRIES = 2
_FIRST_PAUSE = 0.5  # seconds before the first retry where the service names no time; doubled before each further one
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_NOT_CONNECTED = frozenset({"dns", "tcp"})
_MOST_BODY = 1 << 20
_BODY_PATIENCE = 1.0  # seconds for the body of a refusal: its status is known already
_LONGEST_SAID = 300  # characters of the service's own words in a message
_ANONYMOUS = {"Authorization": "Bearer any"}  # The simulator wants a credential as the service does; any will do.
_CREDENTIALS = ("authorization", "api-key")
_REQUEST_IDS = ("x-request-id", "apim-request-id", "x-ms-request-id", "cf-ray")
_HINTS = {
    401: "Check the key or token, and that it belongs to this endpoint",
    403: "The credential is known but may not do this; on Azure the role is 'Cognitive Services OpenAI User'",
    404: "Check the host and path; a call is known only until it has ended",
    429: "Too many requests or no quota; wait, or raise the quota",
}


class Reply(msgspec.Struct, frozen=True):
    """What the service answered. Header names are found in upper and lower case. Shows its status only."""

    status_code: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:  # The body may be a client secret.
        return f"<Reply HTTP {self.status_code}, {len(self.body)} bytes>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("status_code", self.status_code)]

    def fields(self) -> dict[str, Any] | None:
        """The JSON object in the body, or None where there is none."""
        try:
            return decode(self.body).to_dict()
        except (ProtocolError, UnicodeDecodeError):
            return None


def post(
    target: Target,
    url: str,
    body: Mapping[str, Any] | None,
    *,
    timeout: float,
    accept: str = "application/json",
    tls: ssl.SSLContext | None = None,
    proxy: str | bool | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Reply:
    """POST ``body`` as JSON and return the answer, which is one of success.

    Args:
        target: whose credential and headers go along.
        url: ``http://`` or ``https://``, complete.
        body: a JSON object; None for an empty body.
        timeout: seconds for everything: credential, connections, retries and the waits between them.
        accept: what the answer may be; control calls have an empty one, and the official clients send ``*/*``.
        tls: as of a session.
        proxy: as of a session.
        sleep: waits between attempts, for that many seconds.

    Raises:
        ConnectFailed: and its kinds, as this module's docstring tells.
        ServerError: the service refused and explained itself.
        ConfigurationError: the credential or a header is not usable.
        TypeError: something in ``body`` is not JSON.

    Threads: any; blocks the caller up to ``timeout``, and as long as a credential that is already asked may take.
    """
    content = b"" if body is None else encode(body)
    headers = {"Accept": accept, "User-Agent": f"rtsync/{VERSION}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    request = HttpRequest("POST", url, content=content, headers=case_insensitive_dict({**headers, **target.headers}))
    deadline = Deadline(timeout)
    policies: list[Any] = [_Retries(deadline), _Authentication(target, deadline)]
    try:
        reply: Reply = Pipeline(_Transport(deadline, tls, proxy, sleep), policies).run(request).http_response
    except ServiceRequestError as error:
        raise _undressed(error) from None
    if not 200 <= reply.status_code < 300:
        raise _refused(reply, request)
    return reply


def _undressed(error: ServiceRequestError) -> ConnectFailed:
    """The failure that rule 2 dressed for azure-core's eyes."""
    assert isinstance(error.inner_exception, ConnectFailed)
    return error.inner_exception


# -- the pipeline --------------------------------------------------------------------------------------------------


class _Retries(RetryPolicy[HttpRequest, Any]):
    """Rules 1 and 2, on azure-core's policy: stock, that one repeats any refusal with a Retry-After, for up to days."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(retry_total=_RETRIES, retry_connect=_RETRIES, retry_status=_RETRIES)
        self._method_whitelist = frozenset({"POST"})
        self._deadline = deadline

    def is_retry(self, settings: dict[str, Any], response: PipelineResponse[Any, Any]) -> bool:
        answer = response.http_response
        # The header of OpenAI's service that its own clients obey.
        return answer.status_code in _PASSING and answer.headers.get("x-should-retry") != "false"

    def increment(self, settings: dict[str, Any], response: Any = None, error: Exception | None = None) -> bool:
        if not super().increment(settings, response, error):
            return False
        left = self._deadline.remaining()
        return left is None or self._pause(settings, None if error else response) < left

    def sleep(self, settings: dict[str, Any], transport: Any, response: Any = None) -> None:
        transport.sleep(self._pause(settings, response))

    def _pause(self, settings: dict[str, Any], response: Any) -> float:
        asked = None if response is None else _retry_after(response.http_response.headers)
        retries = max(0, len(settings["history"]) - 1)
        return float(_FIRST_PAUSE * 2**retries) if asked is None else asked


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the service asks to wait, of its milliseconds, seconds or HTTP date; None where it asks nothing."""
    for name, unit in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        if (found := _number(headers.get(name, ""))) is not None:
            return found * unit
    try:
        until = email.utils.parsedate_to_datetime(headers.get("retry-after", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, until - time.time())


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


class _Authentication(SansIOHTTPPolicy[HttpRequest, Reply]):
    """Rule 3."""

    def __init__(self, target: Target, deadline: Deadline) -> None:
        self._target = target
        self._deadline = deadline

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        headers = request.http_request.headers
        for name in _CREDENTIALS:
            headers.pop(name, None)
        headers.update(authorization(self._target, deadline=self._deadline) or _ANONYMOUS)
        if self._deadline.passed:
            raise ConnectTimeout(
                f"the credential took longer than the timeout of {self._deadline.timeout:g} s", phase="credential"
            )


class _Transport(HttpTransport[HttpRequest, Reply]):
    """One request over one connection of rtsync's own."""

    def __init__(
        self,
        deadline: Deadline,
        tls: ssl.SSLContext | None,
        proxy: str | bool | None,
        sleep: Callable[[float], object],
    ) -> None:
        self._deadline = deadline
        self._tls = tls
        self._proxy = proxy
        self._sleep = sleep

    def open(self) -> None:
        """Nothing is kept between requests."""

    def close(self) -> None:
        """Nothing is kept between requests."""

    def __exit__(self, *_: object) -> None:
        """Nothing is kept between requests."""

    def sleep(self, duration: float) -> None:
        if duration > 0:
            self._sleep(duration)

    def send(self, request: HttpRequest, **_: Any) -> Reply:
        address = _address(request)
        guard = self._connected(address)
        try:
            reply = _Exchange(guard, request, address, self._deadline).run()
        finally:
            guard.close()
        logger.debug("%s %s: HTTP %d", request.method, address.resource, reply.status_code)
        return reply

    def _connected(self, address: Address) -> GuardedSocket:
        interrupt = Interrupt()
        interrupt.arm()
        try:
            return self._opened(Route.to(address, self._proxy), interrupt)
        except ConnectTimeout:
            raise
        except ConnectFailed as error:
            if error.phase not in _NOT_CONNECTED:
                raise
            raise ServiceRequestError(str(error), error=error) from error
        finally:
            interrupt.close()

    def _opened(self, route: Route, interrupt: Interrupt) -> GuardedSocket:
        guards: list[GuardedSocket] = []

        def adopt(layer: socket.socket | NestedTLS) -> GuardedSocket:
            guards.append(GuardedSocket(layer))
            return guards[-1]

        try:
            return dial(route, self._tls, self._deadline, interrupt, adopt=adopt, phase=lambda phase: None)
        except BaseException:
            for guard in guards:
                guard.close()
            raise


def _address(request: HttpRequest) -> Address:
    return Address.of(f"ws{request.url.removeprefix('http')}")  # It knows the two schemes of WebSockets only.


# -- one request on the wire ---------------------------------------------------------------------------------------


class _Exchange:
    """One HTTP request and its response on a connection that ends with it."""

    def __init__(self, guard: GuardedSocket, request: HttpRequest, address: Address, deadline: Deadline) -> None:
        self._guard = guard
        self._request = request
        self._address = address
        self._deadline = deadline
        self._incoming = _Incoming(guard, deadline)

    def run(self) -> Reply:
        try:
            self._guard.sendall(self._message(), timeout=self._deadline.remaining())
            response = HTTPResponse(self._incoming, method=self._request.method)  # type: ignore[arg-type]
            response.begin()
            return self._reply(response)
        except (TimeoutError, SendTimeout) as error:
            raise self._too_late() from error
        except (LineBroken, ConnectionError) as error:
            raise self._failed("ended the connection instead of answering") from error
        except (HTTPException, ValueError) as error:
            what = type(error).__name__
        # Out here it has no context: what http.client raises quotes the server's bytes, which may be the credential.
        raise self._failed(f"did not answer as an HTTP server does ({what})")

    def _message(self) -> bytes:
        request, content = self._request, self._request.content or b""
        headers = case_insensitive_dict(request.headers)
        headers.update({"Host": self._address.netloc, "Content-Length": str(len(content)), "Connection": "close"})
        lines = [f"{request.method} {self._address.resource} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + bytes(content)

    def _reply(self, response: HTTPResponse) -> Reply:
        headers = case_insensitive_dict()
        for name, value in response.getheaders():
            if name.lower() != "set-cookie":
                headers.setdefault(name.lower(), value)
        return Reply(response.status, response.reason or "", headers, self._body(response))

    def _body(self, response: HTTPResponse) -> bytes:
        refusal = response.status >= 300
        if refusal:
            self._incoming.deadline = Deadline(self._deadline.remaining(_BODY_PATIENCE))
        try:
            return response.read(_MOST_BODY)
        except IncompleteRead as error:
            return error.partial
        except TimeoutError:
            if refusal:
                return b""
            raise

    def _failed(self, what: str) -> ConnectFailed:
        return ConnectFailed(
            f"{self._address.netloc} {what} ({_line(self._request)}); is it the right host and port? The request may"
            " have been carried out",
            phase="rest",
        )

    def _too_late(self) -> ConnectTimeout:
        return ConnectTimeout(
            f"{self._address.netloc} did not answer {_line(self._request)} within {self._deadline.timeout:g} s; it may"
            " have been carried out",
            phase="rest",
        )


class _Incoming(io.RawIOBase):
    """What ``http.client`` reads: a guarded socket, up to a deadline."""

    def __init__(self, guard: GuardedSocket, deadline: Deadline) -> None:
        self._guard = guard
        self.deadline = deadline

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            ready = self._guard.available or self._guard.fill(self.deadline.at)
        except LineBroken:  # The end: http.client knows whether it comes too early.
            return 0
        # A peer that never pauses (100 Continue, over and over) must not put the deadline off.
        if not ready or self.deadline.passed:
            raise TimeoutError
        data = self._guard.take(min(len(buffer), self._guard.available))
        buffer[: len(data)] = data
        return len(data)


def _line(request: HttpRequest) -> str:
    return f"{request.method} {_address(request).resource.partition('?')[0]}"


# -- what a refusal means ------------------------------------------------------------------------------------------


def _refused(reply: Reply, request: HttpRequest) -> RealtimeError:
    """The exception for an answer that is none of success."""
    secrets = credentials_in(request.headers)
    headers = {redact(name, secrets): redact(value, secrets) for name, value in reply.headers.items()}
    if 300 <= reply.status_code < 400:
        return _redirected(reply.status_code, headers, request)
    error = (reply.fields() or {}).get("error")
    said = _Said.of(error if isinstance(error, dict) else {}, secrets)
    request_id = next((headers[name] for name in _REQUEST_IDS if name in headers), None)
    message = _message(reply, request, said, request_id, one_line(redact(reply.reason, secrets), _LONGEST_SAID))
    kind = _kind(reply.status_code)
    if kind is ConnectFailed and isinstance(error, dict) and reply.status_code < 500 and reply.status_code != 408:
        return ServerError(message, type=said.type, code=said.code, param=said.param, request=_line(request))
    return kind(
        message,
        phase="rest",
        status=reply.status_code,
        headers=headers,
        request_id=request_id,
        retry_after=_retry_after(reply.headers),
        code=said.code,
    )


class _Said(msgspec.Struct, frozen=True):
    """The fields of the service's ``error`` object (protocol 1.6 and 5.4) that are texts, without credentials."""

    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None

    @classmethod
    def of(cls, error: Mapping[str, Any], secrets: tuple[str, ...]) -> _Said:
        found = {name: error.get(name) for name in cls.__struct_fields__}
        return cls(**{name: _text(value, secrets) for name, value in found.items() if value is not None})


def _text(value: object, secrets: tuple[str, ...]) -> str | None:
    """One line of printable characters; codes may be numbers."""
    if not isinstance(value, str | int):
        return None
    return one_line(redact(str(value), secrets), _LONGEST_SAID)


def _message(reply: Reply, request: HttpRequest, said: _Said, request_id: str | None, reason: str) -> str:
    first = f"{_address(request).netloc} refused {_line(request)}: HTTP {reply.status_code} {reason}".rstrip()
    parts = [first, said.message, _HINTS.get(reply.status_code), request_id and f"Request id: {request_id}"]
    return ". ".join(part.rstrip(".") for part in parts if part)


def _redirected(status: int, headers: Mapping[str, str], request: HttpRequest) -> RedirectRefused:
    where = headers.get("location", "nowhere").partition("?")[0]
    return RedirectRefused(
        f"{_address(request).netloc} answered {_line(request)} with a redirect (HTTP {status}) to {where[:200]!r}."
        " rtsync does not follow it: that would send the credential there. If you trust that address, make it the"
        " endpoint",
        phase="rest",
        status=status,
        headers=headers,
    )


def _kind(status: int) -> type[ConnectFailed]:
    if status in (401, 403):
        return AuthenticationFailed
    return RateLimited if status == 429 else ConnectFailed
