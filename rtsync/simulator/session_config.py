"""The configuration of one session: defaults, and updates that happen whole or not at all (protocol 4.3, 4.4)."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from rtsync.audio.formats import AudioFormat, audio_format
from rtsync.simulator.dialect import Dialect, options_to_ga
from rtsync.simulator.ids import new_id
from rtsync.simulator.refusals import Refused
from rtsync.simulator.settings import session_rule

__all__ = ["DEFAULT_INSTRUCTIONS", "SessionConfig"]

DEFAULT_INSTRUCTIONS = (
    "You take part in a live conversation. Answer briefly and kindly, in the language of the person you talk with, "
    "and call a function whenever one of yours fits what was asked."
)

_PCM = {"type": "audio/pcm", "rate": 24000}
# silence_duration_ms: the live server and the Azure docs say 200, the SDK docs 500 (protocol 4.2).
_VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200}
_ANSWERING = {"create_response": True, "interrupt_response": True}
_VAD_DEFAULTS: dict[str, dict[str, Any]] = {
    "server_vad": {**_VAD, "idle_timeout_ms": None, **_ANSWERING},
    "semantic_vad": {"type": "semantic_vad", "eagerness": "auto", **_ANSWERING},
}
# Fields the service knows only once they are set; they are not part of the default object.
_MERGED = ("audio", "input", "output")
# Families known not to reason. Azure deployment names say nothing, so every other name may.
_NOT_REASONING = re.compile(r"gpt-4o|gpt-realtime(?!-2(?!0))")


def _realtime_defaults(model: str) -> dict[str, Any]:
    return {
        "model": model,
        "output_modalities": ["audio"],
        "instructions": DEFAULT_INSTRUCTIONS,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "temperature": 0.8,
    }


def _audio_input_defaults(turn_detection: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": dict(_PCM),
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": dict(turn_detection),
    }


class SessionConfig:
    """What a session is set to. Kept in GA terms; ``temperature`` exists for the preview alone.

    Args:
        dialect: vocabulary in which the client sends updates.
        kind: ``realtime`` or ``transcription``.
        model: model or deployment of the URL; ``""`` for a transcription session.
        expires_at: Unix time, seconds.
        strict_type: refuse a GA update without ``session.type``. The documents disagree (protocol 4.3).
    """

    def __init__(
        self,
        dialect: Dialect = Dialect.GA,
        kind: str = "realtime",
        *,
        model: str = "",
        expires_at: int = 0,
        strict_type: bool = False,
    ) -> None:
        self.dialect = dialect
        self.kind = kind
        self._strict_type = strict_type
        self._voice_locked = False
        self._values = _defaults(kind, model, expires_at)

    def shown(self) -> dict[str, Any]:
        """The whole effective session, as ``session.created`` and ``session.updated`` carry it, in GA terms."""
        return copy.deepcopy(self._values)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def get(self, name: str) -> Any:
        """A field that is only there once it was set; None before."""
        return self._values.get(name)

    @property
    def model(self) -> str:
        """The model or deployment of this session."""
        return str(self._values.get("model", ""))

    @property
    def input_format(self) -> AudioFormat:
        """The format of the user's audio (protocol 4.5)."""
        return audio_format(self._values["audio"]["input"]["format"])

    def lock_voice(self) -> None:
        """Assistant audio has been sent: from now on the voice cannot change."""
        self._voice_locked = True

    def check_voice(self, voice: Any, path: str) -> None:
        """Refuse a voice that differs after the first assistant audio (protocol 4.3)."""
        if self._voice_locked and voice != self._values["audio"]["output"]["voice"]:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise Refused("cannot_update_voice", message, param=path)

    def adopt(self, values: Mapping[str, Any]) -> None:
        """Begin with what another session was set to, by a client secret or by accepting a call; both of one kind."""
        kept = ("id", "expires_at", "model")
        self._values |= {name: copy.deepcopy(value) for name, value in values.items() if name not in kept}

    def update(self, fields: Any, path: str = "session") -> None:
        """Apply the ``session`` of an update: all of it, or nothing and ``Refused``.

        ``path`` is where the fields stand in what the client sent, for the refusal.
        """
        self._check_kind(fields, path)
        session_rule(self.dialect, self.kind)(fields, path)
        ga = dict(fields) if self.dialect is Dialect.GA else options_to_ga(fields)
        self._check_reasoning(ga)
        self._check_new_voice(ga)
        ga.pop("model", None)  # Not updatable; the SDKs and the samples send it all the same.
        ga.pop("type", None)
        merged = copy.deepcopy(self._values)
        _merge(merged, copy.deepcopy(ga))
        _complete(merged, self.kind)
        self._values = merged

    def _check_kind(self, fields: Any, path: str) -> None:
        if self.dialect is Dialect.PREVIEW or not isinstance(fields, dict):
            return
        named = fields.get("type")
        if named is None and self._strict_type:
            at = f"{path}.type".lstrip(".")
            raise Refused("missing_required_parameter", f"Missing required parameter: '{at}'.", param=at)
        if named in ("realtime", "transcription") and named != self.kind:
            raise wrong_kind(named, self.kind)

    def _check_new_voice(self, fields: Mapping[str, Any]) -> None:
        output = fields.get("audio", {}).get("output", {})
        if "voice" in output:
            path = "session.audio.output.voice" if self.dialect is Dialect.GA else "session.voice"
            self.check_voice(output["voice"], path)

    def _check_reasoning(self, fields: Mapping[str, Any]) -> None:
        if fields.get("reasoning") is not None and _NOT_REASONING.match(self.model):
            message = f"Reasoning is not supported by the model '{self.model}'."
            raise Refused("invalid_value", message, param="session.reasoning")


def wrong_kind(sent: str, held: str) -> Refused:
    """The refusal of an update meant for the other kind of session (protocol 6.4)."""
    message = f"Passing a {sent} session update event to a {held} session is not allowed."
    return Refused("invalid_parameter", message, param="session.type")


def _defaults(kind: str, model: str, expires_at: int) -> dict[str, Any]:
    if kind == "transcription":
        head = {"type": kind, "object": "realtime.transcription_session", "id": new_id("sess")}
        audio: dict[str, Any] = {"input": _audio_input_defaults(_VAD)}
        return {**head, "expires_at": expires_at, "audio": audio, "include": None}
    head = {"type": kind, "object": "realtime.session", "id": new_id("sess")}
    audio = {
        "input": _audio_input_defaults(_VAD_DEFAULTS["server_vad"]),
        "output": {"format": dict(_PCM), "voice": "alloy", "speed": 1.0},
    }
    return {**head, **_realtime_defaults(model), "expires_at": expires_at, "audio": audio, "include": None}


def _merge(into: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Deep for the ``audio`` tree, whole values elsewhere."""
    for name, value in fields.items():
        if name in _MERGED and isinstance(value, dict):
            _merge(into[name], value)
        else:
            into[name] = value


def _complete(values: dict[str, Any], kind: str) -> None:
    """Fill in what the service adds to a partial object: turn detection, transcription, audio format."""
    audio_input = values["audio"]["input"]
    if audio_input["turn_detection"] is not None:
        audio_input["turn_detection"] = _turn_detection(audio_input["turn_detection"], kind)
    if audio_input["transcription"] is not None:
        audio_input["transcription"] = {"model": None, "language": None, "prompt": None} | audio_input["transcription"]
    for side in values["audio"].values():
        if side["format"]["type"] == "audio/pcm":
            side["format"] = dict(_PCM)


def _turn_detection(given: dict[str, Any], kind: str) -> dict[str, Any]:
    named = given.get("type", "server_vad")
    defaults = _VAD if kind == "transcription" and named == "server_vad" else _VAD_DEFAULTS[named]
    return {**defaults, **given}
