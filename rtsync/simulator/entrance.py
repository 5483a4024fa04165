"""Who may come in: what an upgrade request is answered, before any session exists (protocol 1.1, 1.2, 1.5, 6.3).

Pure: takes path, query and headers, returns an ``Admission`` or raises ``TurnedAway``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rtsync.simulator.dialect import Dialect

__all__ = ["Admission", "Entrance", "Request", "TurnedAway", "is_handshake", "is_realtime_path", "read_request"]

_OPENAI_GA = "/v1/realtime"
_AZURE_GA = "/openai/v1/realtime"
_AZURE_PREVIEW = "/openai/realtime"
_PATHS = (_OPENAI_GA, _AZURE_GA, _AZURE_PREVIEW)
_KEY_PROTOCOL = "openai-insecure-api-key."
_HANDSHAKE_KEY_LENGTH = 16
_NAMED_LIKE_REALTIME = re.compile("realtime")


def is_realtime_path(path: str) -> bool:
    """Whether a WebSocket for a conversation or a transcription may be opened at ``path``."""
    return path in _PATHS


def is_handshake(headers: Mapping[str, str]) -> bool:
    """Whether these headers, names in lower case, ask for a WebSocket as RFC 6455 wants it."""
    connection = [token.strip() for token in headers.get("connection", "").lower().split(",")]
    return (
        headers.get("upgrade", "").lower() == "websocket"
        and "upgrade" in connection
        and headers.get("sec-websocket-version") == "13"
        and _is_handshake_key(headers.get("sec-websocket-key", ""))
    )


def _is_handshake_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _HANDSHAKE_KEY_LENGTH
    except ValueError:
        return False


@dataclass(frozen=True)
class Request:
    """An upgrade request, with header names in lower case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def subprotocols(self) -> list[str]:
        """What the client offers in ``Sec-WebSocket-Protocol``."""
        offered = self.headers.get("sec-websocket-protocol", "")
        return [name.strip() for name in offered.split(",") if name.strip()]


def read_request(target: str, headers: Mapping[str, str]) -> Request:
    """The request for ``target`` (path and query as in the request line)."""
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    return Request(parts.path.rstrip("/") or "/", query, {name.lower(): value for name, value in headers.items()})


@dataclass(frozen=True)
class Admission:
    """What session the request gets."""

    dialect: Dialect
    kind: str
    model: str
    azure: bool


class TurnedAway(Exception):
    """The request is refused, in OpenAI's way (after a 101) or in Azure's (an HTTP status).

    Attributes:
        code: ``error.code``.
        message: the service's sentence.
        close_code: WebSocket close code, OpenAI's way.
        status: HTTP status, Azure's way.
        azure_code: ``error.code`` of the HTTP body.
        azure: which way.
    """

    def __init__(
        self,
        code: str | None,
        message: str,
        *,
        close_code: int,
        status: int,
        azure_code: str,
        azure_message: str,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.close_code = close_code
        self.status = status
        self._message = message
        self._azure_code = azure_code
        self._azure_message = azure_message
        self.azure = False

    @property
    def close_reason(self) -> str:
        """``<error.type>.<error.code>``, or the type alone when the code is null."""
        return "invalid_request_error" + (f".{self.code}" if self.code else "")

    def event(self) -> dict[str, Any]:
        """The first and only event, OpenAI's way."""
        error = {"type": "invalid_request_error", "code": self.code, "message": self._message}
        return {"type": "error", "error": {**error, "param": None, "event_id": None}}

    def body(self) -> dict[str, Any]:
        """The JSON body of the response, Azure's way."""
        return {"error": {"code": self._azure_code, "message": self._azure_message}}


_ACCESS_DENIED = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource."
)
_NO_DEPLOYMENT = "The API deployment for this resource does not exist."


def _wrong_key(key: str) -> TurnedAway:
    message = f"Incorrect API key provided: {_masked(key)}."
    return TurnedAway(
        "invalid_api_key", message, close_code=3000, status=401, azure_code="401", azure_message=_ACCESS_DENIED
    )


def _masked(key: str) -> str:
    return f"{key[:3]}{'*' * 8}{key[-2:]}" if len(key) >= 16 else "*" * 8


def _no_credential() -> TurnedAway:
    message = "Missing bearer or basic authentication in header"
    return TurnedAway(None, message, close_code=3000, status=401, azure_code="401", azure_message=_ACCESS_DENIED)


def _bad_request(code: str, message: str, *, close_code: int = 4000) -> TurnedAway:
    return TurnedAway(
        code,
        message,
        close_code=close_code,
        status=404,
        azure_code="DeploymentNotFound",
        azure_message=_NO_DEPLOYMENT,
    )


def _wrong_api_version() -> TurnedAway:
    message = "The api-version query parameter does not fit this path."
    return TurnedAway(
        "invalid_api_version", message, close_code=4000, status=401, azure_code="401", azure_message=message
    )


def _no_api_version() -> TurnedAway:
    message = "Resource not found"
    return TurnedAway(
        "missing_api_version", message, close_code=4000, status=404, azure_code="404", azure_message=message
    )


class Entrance:
    """The rules at the door.

    Args:
        dialect: ``auto`` (by path), ``ga`` or ``preview``.
        refuse_like: ``auto`` (by path), ``openai`` or ``azure``.
        api_keys: accepted credentials; None accepts every one that is not empty.
        models: served models and deployments; None serves every one.
    """

    def __init__(
        self,
        *,
        dialect: str = "auto",
        refuse_like: str = "auto",
        api_keys: Collection[str] | None = None,
        models: Collection[str] | None = None,
    ) -> None:
        self._dialect = dialect
        self._refuse_like = refuse_like
        self._api_keys = None if api_keys is None else frozenset(api_keys)
        self._models = None if models is None else frozenset(models)

    def admit(self, request: Request) -> Admission:
        """The session for this request.

        Raises:
            TurnedAway: the credential, the path's rules or the model say no.
        """
        azure = request.path != _OPENAI_GA
        try:
            self._check_credential(request)
            dialect = self._choose_dialect(request)
            return self._choose_session(request, dialect, azure=azure)
        except TurnedAway as refusal:
            refusal.azure = azure if self._refuse_like == "auto" else self._refuse_like == "azure"
            raise

    def _check_credential(self, request: Request) -> None:
        key = _credential(request)
        if not key:
            raise _no_credential()
        if self._api_keys is not None and key not in self._api_keys:
            raise _wrong_key(key)

    def _choose_dialect(self, request: Request) -> Dialect:
        if self._dialect != "auto":
            return Dialect(self._dialect)
        if request.path == _AZURE_PREVIEW:
            if not request.query.get("api-version"):
                raise _no_api_version()
            return Dialect.PREVIEW
        if request.path == _AZURE_GA and "api-version" in request.query:
            raise _wrong_api_version()
        if request.path == _OPENAI_GA and "openai-beta" in request.headers:
            raise _beta_disabled()
        return Dialect.GA

    def _choose_session(self, request: Request, dialect: Dialect, *, azure: bool) -> Admission:
        if request.query.get("intent") == "transcription":
            return Admission(dialect, "transcription", "", azure)
        model = request.query.get("model") or request.query.get("deployment") or ""
        if model:
            self._check_model(model)
        elif not request.query.get("call_id"):
            raise _missing_model()
        return Admission(dialect, "realtime", model or _MODEL_OF_A_CALL, azure)

    def _check_model(self, model: str) -> None:
        if self._models is None or model in self._models:
            return
        if _NAMED_LIKE_REALTIME.search(model):
            message = f"The model `{model}` does not exist or you do not have access to it."
            raise _bad_request("model_not_found", message, close_code=4004)
        raise _bad_request("invalid_model", f'Model "{model}" is not supported in realtime mode')


# A sideband connection names no model; the call was accepted with one.
_MODEL_OF_A_CALL = "gpt-realtime"


def _missing_model() -> TurnedAway:
    return _bad_request("missing_model", "You must provide a model parameter, such as ?model=gpt-realtime.")


def _beta_disabled() -> TurnedAway:
    message = "The beta shape of the Realtime API is no longer served: leave out the OpenAI-Beta header."
    return _bad_request("beta_api_shape_disabled", message)


def _credential(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if request.headers.get("api-key"):
        return request.headers["api-key"]
    if request.query.get("api-key"):
        return request.query["api-key"]
    offered = (name for name in request.subprotocols if name.startswith(_KEY_PROTOCOL))
    return next(offered, "").removeprefix(_KEY_PROTOCOL)
