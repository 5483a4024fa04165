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
from rtsync.simulator.ledger import Ledger, Terms

__all__ = ["Admission", "Entrance", "Request", "TurnedAway", "is_handshake", "is_realtime_path", "read_request"]

_OPENAI_GA = "/v1/realtime"
_AZURE_GA = "/openai/v1/realtime"
_AZURE_PREVIEW = "/openai/realtime"
_TRANSLATIONS = "/v1/realtime/translations"
_PATHS = (_OPENAI_GA, _AZURE_GA, _AZURE_PREVIEW, _TRANSLATIONS)
_EPHEMERAL = "ek_"
_KEY_PROTOCOL = "openai-insecure-api-key."
_HANDSHAKE_KEY_LENGTH = 16
_NAMED_LIKE_REALTIME = re.compile("realtime")


def is_realtime_path(path: str) -> bool:
    """Whether a WebSocket for a session may be opened at ``path``."""
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
    """What session the request gets; ``terms`` are what a client secret or an accepted call has settled."""

    dialect: Dialect
    kind: str
    model: str
    azure: bool
    terms: Terms | None = None
    call_id: str | None = None


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

    def envelope(self) -> dict[str, Any]:
        """The JSON body of an HTTP response, OpenAI's way."""
        error = {"message": self._message, "type": "invalid_request_error", "param": None, "code": self.code}
        return {"error": error}

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
        ledger: the client secrets and calls that there are.
    """

    def __init__(
        self,
        *,
        dialect: str = "auto",
        refuse_like: str = "auto",
        api_keys: Collection[str] | None = None,
        models: Collection[str] | None = None,
        ledger: Ledger,
    ) -> None:
        self._dialect = dialect
        self._refuse_like = refuse_like
        self._api_keys = None if api_keys is None else frozenset(api_keys)
        self._models = None if models is None else frozenset(models)
        self._ledger = ledger

    def admit(self, request: Request) -> Admission:
        """The session for this request.

        Raises:
            TurnedAway: the credential, the path's rules or the model say no.
        """
        azure = _is_azure(request.path)
        try:
            terms = self._check_credential(request)
            dialect = self._choose_dialect(request)
            return self._choose_session(request, dialect, terms, azure=azure)
        except TurnedAway as refusal:
            refusal.azure = azure if self._refuse_like == "auto" else self._refuse_like == "azure"
            raise

    def check_key(self, request: Request) -> None:
        """Whether the request carries a key, ephemeral ones excepted.

        Raises:
            TurnedAway: it does not; its ``azure`` says in which envelope.
        """
        try:
            if self._check_credential(request) is not None:
                raise _wrong_key(_EPHEMERAL)
        except TurnedAway as refusal:
            refusal.azure = _is_azure(request.path) if self._refuse_like == "auto" else self._refuse_like == "azure"
            raise

    def _check_credential(self, request: Request) -> Terms | None:
        """The terms of a client secret; None for every other key."""
        key = _credential(request)
        if not key:
            raise _no_credential()
        if key.startswith(_EPHEMERAL) and (secret := self._ledger.secret(key)) is not None:
            return secret.terms
        if key.startswith(_EPHEMERAL) or (self._api_keys is not None and key not in self._api_keys):
            raise _wrong_key(key)
        return None

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

    def _choose_session(self, request: Request, dialect: Dialect, terms: Terms | None, *, azure: bool) -> Admission:
        kind = _kind(request, terms)
        if terms is not None and terms.kind != kind:
            raise _wrong_secret(terms.kind)
        if kind == "transcription":
            return Admission(dialect, kind, "", azure, terms)
        call_id = request.query.get("call_id") if kind == "realtime" else None
        if call_id:
            return self._beside_call(call_id, dialect, azure=azure)
        model = request.query.get("model") or request.query.get("deployment") or ("" if terms is None else terms.model)
        if not model:
            raise _missing_model()
        self._check_model(model)
        return Admission(dialect, kind, model, azure, terms)

    def _beside_call(self, call_id: str, dialect: Dialect, *, azure: bool) -> Admission:
        call = self._ledger.call(call_id)
        if call.over:
            raise _no_call(call_id)
        model = _MODEL_OF_A_CALL if call.terms is None else call.terms.model
        return Admission(dialect, "realtime", model, azure, call.terms, call_id)

    def _check_model(self, model: str) -> None:
        if self._models is None or model in self._models:
            return
        if _NAMED_LIKE_REALTIME.search(model):
            message = f"The model `{model}` does not exist or you do not have access to it."
            raise _bad_request("model_not_found", message, close_code=4004)
        raise _bad_request("invalid_model", f'Model "{model}" is not supported in realtime mode')


# A sideband connection names no model; the call was accepted with one.
_MODEL_OF_A_CALL = "gpt-realtime"


def _is_azure(path: str) -> bool:
    return path.startswith("/openai/")


def _kind(request: Request, terms: Terms | None) -> str:
    intent = request.query.get("intent")
    if request.path == _TRANSLATIONS:
        if intent is not None:
            raise _bad_request("invalid_intent", "A translation session takes no intent.")
        return "translation"
    promised = terms is not None and terms.kind == "transcription" and "model" not in request.query
    return "transcription" if intent == "transcription" or promised else "realtime"


def _wrong_secret(kind: str) -> TurnedAway:
    return _bad_request("invalid_session_type", f"This client secret is for a {kind} session.")


def _no_call(call_id: str) -> TurnedAway:
    return _bad_request("call_id_not_found", f"No call with id '{call_id}' is in progress.")


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
