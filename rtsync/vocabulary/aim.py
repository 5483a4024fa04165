"""What a connection is for: a model (a deployment on Azure), a running call, transcription or translation."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.settings import checked_text, setting

__all__ = ["TRANSLATION_MODEL", "Aim", "Purpose", "deployment_of_environment", "one_aim"]

Purpose: TypeAlias = Literal["conversation", "call", "transcription", "translation"]

TRANSLATION_MODEL = "gpt-realtime-translate"
"""The model of OpenAI's translation endpoint (protocol section 1.1)."""


class Aim(msgspec.Struct, frozen=True):
    """A purpose, and the model or call id that goes with it."""

    purpose: Purpose
    value: str = ""


def one_aim(
    model_option: str, model: str | None, call_id: str | None, transcription: bool, translation: bool | str
) -> Aim | None:
    """The aim that was passed, or None where none was.

    Args:
        model_option: what the caller calls a model: ``"model"`` or ``"deployment"``.
        model: name of a model or deployment.
        call_id: id of a running call.
        transcription: whether to open a transcription session.
        translation: whether to open a translation session, or the name of its model.

    Raises:
        ConfigurationError: more than one, or a malformed one.
    """
    _check_flags(transcription, translation)
    aims = []
    if model is not None:
        aims.append((model_option, Aim("conversation", checked_text(model, f"{model_option}="))))
    if call_id is not None:
        aims.append(("call_id", Aim("call", checked_text(call_id, "call_id="))))
    if transcription:
        aims.append(("transcription", Aim("transcription")))
    if translation is not False:
        translator = TRANSLATION_MODEL if translation is True else checked_text(translation, "translation=")
        aims.append(("translation", Aim("translation", translator)))
    if len(aims) > 1:
        given = " and ".join(f"{option}=" for option, _ in aims)
        raise ConfigurationError(f"{given} exclude each other: a connection has one aim, so pass one of them")
    return aims[0][1] if aims else None


def _check_flags(transcription: object, translation: object) -> None:
    if not isinstance(transcription, bool):
        raise ConfigurationError(
            "transcription= must be True or False; the transcription model goes into session.update"
        )
    if not isinstance(translation, bool | str):
        raise ConfigurationError("translation= must be True, False or the name of the translation model")


def deployment_of_environment() -> Aim:
    """A conversation with the Azure deployment that the environment names.

    Raises:
        ConfigurationError: it names none.
    """
    found = setting("deployment=", None, "AZURE_OPENAI_DEPLOYMENT", "AZURE_OPENAI_DEPLOYMENT_NAME")
    if found is None:
        raise ConfigurationError(
            "Azure needs a deployment: pass deployment=... or set AZURE_OPENAI_DEPLOYMENT "
            "(or pass call_id=... or transcription=True instead)"
        )
    return Aim("conversation", found.text)
