"""Which target a command reaches: what its options say, then the environment and ``.env``."""

from __future__ import annotations

import os

import click
import msgspec

from rtsync import Azure, ConfigurationError, OpenAI, Target, target_from_env
from rtsync.cli.option_sets import Option, gathered

__all__ = ["Wish", "chosen_target", "target_options"]

_KINDS = ("RTSYNC_TARGET", "AZURE_OPENAI_ENDPOINT", "OPENAI_API_KEY")
_NOTHING_NAMED = (
    "no account found: set OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_DEPLOYMENT, in the environment or "
    "in a .env file; or choose with --target openai, azure or simulator (which needs no account)"
)
# What each target cannot do without: the variables that may say it, and the option.
_NEEDED: dict[str, list[tuple[tuple[str, ...], str | None]]] = {
    "openai": [(("OPENAI_API_KEY",), None)],
    "azure": [
        (("AZURE_OPENAI_ENDPOINT",), "--endpoint"),
        (("AZURE_OPENAI_DEPLOYMENT", "AZURE_OPENAI_DEPLOYMENT_NAME"), "--deployment"),
    ],
}


class Wish(msgspec.Struct, frozen=True):
    """What the options say; None where they say nothing."""

    target: str | None
    model: str | None
    base_url: str | None
    endpoint: str | None
    api_version: str | None


_OPTIONS = (
    click.option(
        "--target",
        type=click.Choice(["openai", "azure", "simulator"]),
        help="Where to connect; else the environment says.",
    ),
    click.option(
        "-m", "--model", "--deployment", "model", metavar="NAME", help="Model on OpenAI, deployment on Azure."
    ),
    click.option("--base-url", metavar="URL", help="OpenAI, or a server that speaks as it does; also OPENAI_BASE_URL."),
    click.option("--endpoint", metavar="URL", help="The Azure resource; also AZURE_OPENAI_ENDPOINT."),
    click.option(
        "--api-version", metavar="DATE", help="Azure's preview endpoint of that date; also OPENAI_API_VERSION."
    ),
)
target_options: Option = gathered(Wish, "wish", _OPTIONS)
"""Give a command these options; it gets them as one ``wish``."""


def chosen_target(wish: Wish) -> Target:
    """The target that the options name, completed from the environment and ``.env``.

    Options go into the environment, under the names that the OpenAI and Azure libraries know them by, where they
    beat what ``.env`` says.

    Raises:
        click.UsageError: options that do not go together.
        ConfigurationError: nothing names a target, or something is missing or malformed.
    """
    kind = wish.target or _implied(wish)
    if kind:
        os.environ["RTSYNC_TARGET"] = kind
    _check_belongs(kind, wish)
    for variable, value in _variables(wish):
        os.environ[variable] = value
    return _with_model(_from_environment(told=kind is not None), wish.model)


def _implied(wish: Wish) -> str | None:
    if wish.base_url and (wish.endpoint or wish.api_version):
        raise click.UsageError("--base-url is for OpenAI, --endpoint and --api-version are for Azure: choose one")
    if wish.base_url:
        return "openai"
    return "azure" if wish.endpoint or wish.api_version else None


def _check_belongs(kind: str | None, wish: Wish) -> None:
    if wish.base_url and kind != "openai":
        raise click.UsageError("--base-url goes with --target openai")
    if (wish.endpoint or wish.api_version) and kind != "azure":
        raise click.UsageError("--endpoint and --api-version go with --target azure")


def _variables(wish: Wish) -> list[tuple[str, str]]:
    named = {
        "OPENAI_BASE_URL": wish.base_url,
        "AZURE_OPENAI_ENDPOINT": wish.endpoint,
        "AZURE_OPENAI_DEPLOYMENT": wish.model,
        "OPENAI_API_VERSION": wish.api_version,
    }
    return [(variable, value) for variable, value in named.items() if value]


def _from_environment(*, told: bool) -> Target:
    try:
        return target_from_env()
    except ConfigurationError as error:
        if not any(map(_is_set, _KINDS)):
            raise ConfigurationError(_NOTHING_NAMED) from None
        if missing := _missing():
            raise ConfigurationError(missing) from None
        if told and isinstance(error.__cause__, ConfigurationError):
            raise error.__cause__ from None  # why this target was chosen is known: an option says so
        raise


def _missing() -> str | None:
    """What the target that was chosen lacks, in the words of the command line; by now ``.env`` has been read."""
    kind = os.environ.get("RTSYNC_TARGET", "").strip().lower()
    kind = kind or ("azure" if _is_set("AZURE_OPENAI_ENDPOINT") else "openai")
    for variables, option in _NEEDED.get(kind, ()):
        if not any(map(_is_set, variables)):
            or_option = f", or give {option}" if option else ""
            return f"--target {kind} needs {variables[0]}: set it in the environment or in a .env file{or_option}"
    return None


def _is_set(variable: str) -> bool:
    return bool(os.environ.get(variable, "").strip())


def _with_model(target: Target, model: str | None) -> Target:
    if model is None or isinstance(target, Azure):
        return target
    if isinstance(target, OpenAI):
        return OpenAI(model)
    raise click.UsageError("--model has no meaning for the simulator")
