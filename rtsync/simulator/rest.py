"""The REST requests beside the WebSocket: client secrets and the control of calls (protocol 1.6).

Every answer is a status and a body; a refusal is the documented envelope. Who may ask is checked before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rtsync.simulator.dialect import Dialect, session_to_preview
from rtsync.simulator.ledger import ClientSecret, Ledger, Terms
from rtsync.simulator.refusals import Refused
from rtsync.simulator.schema import Anything, Choice, Record, Text, Whole
from rtsync.simulator.session_config import SessionConfig
from rtsync.simulator.translation import TranslationConfig

__all__ = ["Rest", "RestAnswer", "envelope", "is_rest_path"]

_SECRETS = re.compile(r"(/v1|/openai/v1|/openai)/realtime/(client_secrets|sessions|transcription_sessions)")
_TRANSLATION_SECRETS = re.compile(r"/v1/realtime/translations/client_secrets")
_CALLS = re.compile(r"(/v1|/openai/v1)/realtime/calls/([^/]+)/(accept|reject|refer|hangup)")

_MODEL = "gpt-realtime"
_SECRET_SECONDS = 600
_PREVIEW_SECONDS = 60
_EXPIRY = Record({"anchor": Choice("created_at"), "seconds": Whole(10, 7200)})
_REQUEST = Record({"expires_after": _EXPIRY, "session": Record({}, open=True)})
_TRANSLATION_REQUEST = Record(
    {"expires_after": _EXPIRY, "session": Record({"model": Text(), "audio": Anything()}, required=("model",))},
    required=("session",),
)
_ACTIONS = {
    "reject": Record({"status_code": Whole(300, 699)}),
    "refer": Record({"target_uri": Text()}, required=("target_uri",)),
    "hangup": Record({}),
}


@dataclass(frozen=True)
class RestAnswer:
    """A status, and the body as JSON value; None for an empty body."""

    status: int
    body: Mapping[str, Any] | None = None


def envelope(refused: Refused) -> dict[str, Any]:
    """The body of a refusal."""
    error = {"message": refused.message, "type": refused.kind, "param": refused.param, "code": refused.code}
    return {"error": error}


def is_rest_path(path: str) -> bool:
    """Whether a POST to ``path`` means anything here."""
    return any(pattern.fullmatch(path) for pattern in (_SECRETS, _TRANSLATION_SECRETS, _CALLS))


class Rest:
    """Answers REST requests, and notes what follows from them in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def answer(self, path: str, body: bytes) -> RestAnswer:
        """The answer to a POST; ``path`` is one of ``is_rest_path``."""
        try:
            return self._dispatch(path, _decoded(body))
        except Refused as refused:
            return RestAnswer(400, envelope(refused))

    def _dispatch(self, path: str, fields: dict[str, Any]) -> RestAnswer:
        call = _CALLS.fullmatch(path)
        if call is not None:
            return self._control(call[2], call[3], fields)
        if _TRANSLATION_SECRETS.fullmatch(path):
            return self._translation_secret(fields)
        makers: dict[str, Callable[[dict[str, Any]], RestAnswer]] = {
            "client_secrets": self._secret,
            "sessions": lambda given: self._preview_session("realtime", given),
            "transcription_sessions": lambda given: self._preview_session("transcription", given),
        }
        return makers[path.rpartition("/")[2]](fields)

    def _secret(self, fields: dict[str, Any]) -> RestAnswer:
        _REQUEST(fields, "")
        given = fields.get("session", {"type": "realtime"})
        config = _session(given, "session")
        return self._issued(config, fields)

    def _translation_secret(self, fields: dict[str, Any]) -> RestAnswer:
        _TRANSLATION_REQUEST(fields, "")
        session = dict(fields["session"])
        config = TranslationConfig(session.pop("model"))
        config.update(session)
        return self._issued(config, fields)

    def _issued(self, config: SessionConfig | TranslationConfig, fields: Mapping[str, Any]) -> RestAnswer:
        seconds = fields.get("expires_after", {}).get("seconds", _SECRET_SECONDS)
        secret = self._ledger.issue(_terms(config), seconds)
        shown = {name: value for name, value in config.shown().items() if name != "temperature"}
        return RestAnswer(200, {"value": secret.value, "expires_at": secret.expires_at, "session": shown})

    def _preview_session(self, kind: str, fields: dict[str, Any]) -> RestAnswer:
        model = fields.get("model", _MODEL) if kind == "realtime" else ""
        Text()(model, "model")
        config = SessionConfig(Dialect.PREVIEW, kind, model=model)
        config.update(fields, "")
        secret: ClientSecret = self._ledger.issue(_terms(config), _PREVIEW_SECONDS)
        key = {"value": secret.value, "expires_at": secret.expires_at}
        return RestAnswer(200, {**session_to_preview(config.shown()), "client_secret": key})

    def _control(self, call_id: str, action: str, fields: dict[str, Any]) -> RestAnswer:
        if self._ledger.call(call_id).over:
            return _no_call(call_id)
        if action == "accept":
            return self._accept(call_id, fields)
        _ACTIONS[action](fields, "")
        return RestAnswer(200) if self._ledger.end(call_id) else _no_call(call_id)

    def _accept(self, call_id: str, fields: dict[str, Any]) -> RestAnswer:
        if not self._ledger.accept(call_id, _terms(_session(fields, ""))):
            message = f"The call '{call_id}' has been accepted already."
            return RestAnswer(400, envelope(Refused("call_already_accepted", message)))
        return RestAnswer(200)


def _decoded(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("invalid_json", "We could not parse the JSON body of your request.") from None
    if not isinstance(fields, dict):
        raise Refused("invalid_type", "Invalid body: expected a JSON object.")
    return fields


def _session(given: dict[str, Any], path: str) -> SessionConfig:
    """A GA session, of the kind that it says."""
    kind = given.get("type")
    model = given.get("model", _MODEL)
    Text()(model, f"{path}.model".lstrip("."))
    transcribes = kind == "transcription"
    config = SessionConfig(
        Dialect.GA, "transcription" if transcribes else "realtime", model="" if transcribes else model, strict_type=True
    )
    config.update(given, path)
    return config


def _terms(config: SessionConfig | TranslationConfig) -> Terms:
    return Terms(config.kind, config.model, config.shown())


def _no_call(call_id: str) -> RestAnswer:
    refused = Refused("call_id_not_found", f"No call with id '{call_id}' is in progress.", param="call_id")
    return RestAnswer(404, envelope(refused))
