"""A target from ``.env`` and the environment, for programs whose account is a matter of deployment."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.targets import Azure, OpenAI, Simulator, Target

__all__ = ["target_from_env", "target_named"]

_log = logging.getLogger("rtsync.target")

_VARIABLES = (
    "RTSYNC_TARGET",
    "AZURE_OPENAI_ENDPOINT",
    "AZURE_OPENAI_DEPLOYMENT",
    "AZURE_OPENAI_DEPLOYMENT_NAME",
    "AZURE_OPENAI_AD_TOKEN",
    "AZURE_OPENAI_API_KEY",
    "OPENAI_API_VERSION",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
)
_TARGETS: dict[str, Callable[[], Target]] = {"openai": OpenAI, "azure": Azure, "simulator": Simulator}


class _Choice(msgspec.Struct, frozen=True):
    """A kind of target and the reason for it."""

    kind: str
    why: str


def target_from_env(dotenv: bool | str | os.PathLike[str] = True) -> Target:
    """The target that the environment describes.

    ``.env`` is looked for in the working directory and then in each directory above it. Its variables go into
    ``os.environ`` where they are not set yet, so that Azure and OpenAI libraries find them too.

    ``RTSYNC_TARGET`` (``openai``, ``azure`` or ``simulator``) decides. Without it ``AZURE_OPENAI_ENDPOINT`` means
    Azure, and otherwise ``OPENAI_API_KEY`` means OpenAI: an endpoint is set for this purpose, while a key
    may stand in the environment for any program.

    What was found is logged on ``"rtsync.target"`` at INFO: names of variables, never a secret.

    Args:
        dotenv: True to look for ``.env``, False to read none, or the path of the file to read.

    Raises:
        ConfigurationError: nothing to decide by, something missing or malformed, or a file that cannot be read.

    Threads: any, but ``os.environ`` belongs to the whole process: call it before threads start.
    """
    if path := _dotenv_path(dotenv):
        _load(path)
    _log.info("environment: %s", ", ".join(filter(_is_set, _VARIABLES)) or "none of rtsync's variables is set")
    choice = _choice()
    target = _made(choice)
    _log.info("%s: %s", choice.why, target.describe())
    return target


def target_named(kind: str, dotenv: bool | str | os.PathLike[str] = True) -> Target:
    """The target of that kind, ``openai``, ``azure`` or ``simulator``; the rest of it is the environment's to say.

    Args:
        kind: as of ``RTSYNC_TARGET``, which it beats.
        dotenv: as of ``target_from_env``.

    Raises, Threads: as of ``target_from_env``.
    """
    if path := _dotenv_path(dotenv):
        _load(path)
    made = _TARGETS.get(kind.strip().lower())
    if made is None:
        raise ConfigurationError("a target by name is openai, azure or simulator")
    return made()


def _is_set(variable: str) -> bool:
    return bool(os.environ.get(variable, "").strip())


def _choice() -> _Choice:
    if _is_set("RTSYNC_TARGET"):
        kind = os.environ["RTSYNC_TARGET"].strip().lower()
        if kind not in _TARGETS:
            raise ConfigurationError("RTSYNC_TARGET must be openai, azure or simulator")
        return _Choice(kind, f"RTSYNC_TARGET={kind}")
    if _is_set("AZURE_OPENAI_ENDPOINT"):
        also = " (beats OPENAI_API_KEY; RTSYNC_TARGET=openai for that)" if _is_set("OPENAI_API_KEY") else ""
        return _Choice("azure", f"AZURE_OPENAI_ENDPOINT is set{also}")
    if _is_set("OPENAI_API_KEY"):
        return _Choice("openai", "OPENAI_API_KEY is set")
    raise ConfigurationError(
        "the environment names no target: set AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_DEPLOYMENT for Azure, or "
        "OPENAI_API_KEY for OpenAI, in the environment or in a .env file; without an account use Simulator() "
        "or RTSYNC_TARGET=simulator"
    )


def _made(choice: _Choice) -> Target:
    try:
        return _TARGETS[choice.kind]()
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (chosen because {choice.why})") from error


def _dotenv_path(dotenv: bool | str | os.PathLike[str]) -> str:
    """The file to read; empty for none."""
    if isinstance(dotenv, bool):
        from dotenv import find_dotenv

        return find_dotenv(usecwd=True) if dotenv else ""
    if not isinstance(dotenv, str | os.PathLike):
        raise ConfigurationError(f"dotenv= must be True, False or the path of a file, not {type(dotenv).__name__}")
    if not Path(dotenv).is_file():
        raise ConfigurationError(f"{os.fspath(dotenv)}: no such file (given as dotenv=)")
    return os.fspath(dotenv)


def _load(path: str) -> None:
    from dotenv import load_dotenv

    before = set(os.environ)
    try:
        _warn_of_bad_lines(path)
        load_dotenv(path, encoding="utf-8-sig")  # Windows editors begin a file with a byte order mark
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {_reason(error)}") from None
    _log.info("%s: %s", path, _names(set(os.environ) - before))


def _names(added: set[str]) -> str:
    """The variables that are rtsync's, by name; of others the number, as a key that lost its name would show here."""
    ours = [variable for variable in _VARIABLES if variable in added]
    others = [f"{len(added) - len(ours)} of other programs"] if len(added) > len(ours) else []
    return ", ".join(ours + others) or "nothing that was not set already"


def _warn_of_bad_lines(path: str) -> None:
    from dotenv.parser import parse_stream

    with open(path, encoding="utf-8-sig") as stream:
        bad = [
            str(each.original.line) for each in parse_stream(stream) if each.error or (each.key and each.value is None)
        ]
    if bad:
        _log.warning("%s: no NAME=value in line %s", path, ", ".join(bad))


def _reason(error: OSError | ValueError) -> str:
    """Why, without the content of the file: a decoding error carries all of it."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (isinstance(error, OSError) and error.strerror) or "a value holds a character that no variable can hold"
