"""How a target authenticates: a key, or whom to ask for one (protocol section 1.5).

1. A secret is held in a ``Secret``: no ``repr``, message, URL or pickle shows it.
2. A pickled ``Auth`` names the variable its key came from and reads it again where it is loaded; a key, token callable
   or credential object that was passed stays behind, except a module-level function, which travels by its name.
3. Nothing is asked here: ``rtsync.edges.credentials`` turns an ``Auth`` into a header at every connect.
"""

from __future__ import annotations

import hmac
import inspect
import os
from collections.abc import Callable
from types import FunctionType
from typing import Any, Literal, NoReturn, Protocol, TypeAlias

import msgspec

from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.settings import checked_text, encodes, has_control

__all__ = [
    "AZURE_SCOPE",
    "Auth",
    "Secret",
    "TokenCredential",
    "TokenSource",
    "asynchronous",
    "azure_auth",
    "checked_secret",
    "openai_auth",
]

TokenSource: TypeAlias = Callable[[], str]
"""Called without arguments at every connect, in a thread of rtsync's; returns a key or token."""

AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
"""The Entra scope of Azure OpenAI (protocol section 1.5)."""


class TokenCredential(Protocol):
    """What an azure-identity credential object offers; the ``token`` of what it returns is used."""

    def get_token(self, *scopes: str, **kwargs: Any) -> Any:
        """A token for ``scopes``."""


class Secret:
    """A key or token that shows itself only to ``reveal()``."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled")


class Auth(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """How a target authenticates. ``rtsync.edges.credentials`` turns it into a header.

    Two are the same object or they are different: what is kept for one (a credential made on first use)
    belongs to it, and to the targets derived from its target.

    Attributes:
        kind: ``"none"``; ``"static"``, a key or token in ``secret``; ``"callable"`` or ``"credential"``, asked
            at every connect, in ``source``; ``"default"``, a ``DefaultAzureCredential`` made on first use;
            ``"left behind"``, passed in another process and not carried along by pickle.
        header: ``"bearer"`` (``Authorization: Bearer``), ``"api-key"``, or ``"either"``: bearer for what
            looks like a JSON Web Token, ``api-key`` for anything else.
        named: the option or variable it came from, for messages: ``"api_key="``, ``"OPENAI_API_KEY"``.
        secret: the key or token of a static one.
        source: the callable or credential object.
        scope: what a credential object is asked for.
    """

    kind: Literal["none", "static", "callable", "credential", "default", "left behind"]
    header: Literal["bearer", "api-key", "either"] = "bearer"
    named: str = ""
    secret: Secret | None = None
    source: object = None
    scope: str = ""

    def __repr__(self) -> str:  # without `source`: what a caller's object shows of itself is not ours to check
        return f"<Auth {self.describe()}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("kind", self.kind), ("named", self.named)]

    def describe(self) -> str:
        """A few words for humans, e.g. ``"key from OPENAI_API_KEY"``."""
        words = {
            "none": "no credential",
            "static": f"{'token' if self.named == 'AZURE_OPENAI_AD_TOKEN' else 'key'} from {self.named}",
            "callable": f"callable from {self.named}",
            "credential": f"{type(self.source).__name__} from {self.named}",
            "default": "DefaultAzureCredential",
            "left behind": f"{self.named} was not carried along by pickle",
        }
        return words[self.kind]

    def same_as(self) -> tuple[object, ...]:
        """What makes two ways to authenticate equal: the same key, or the same object to ask."""
        return (self.kind, self.header, self.named, self.secret, id(self.source), self.scope)

    def __reduce__(self) -> tuple[Any, ...]:
        function = self.source if _has_importable_name(self.source) else None
        return _auth_elsewhere, (self.kind, self.header, self.named, function, self.scope)


def _has_importable_name(source: object) -> bool:
    return isinstance(source, FunctionType) and source.__qualname__.isidentifier()


def _auth_elsewhere(kind: Any, header: Any, named: str, function: object, scope: str) -> Auth:
    if kind in ("none", "default"):
        return Auth(kind, header, named, scope=scope)
    if function is not None:
        return Auth(kind, header, named, source=function, scope=scope)
    try:
        secret = _key_from_environment(named)
    except ConfigurationError:  # raised while unpickling, it would end a worker's task before the task can see it
        secret = None
    return Auth("static" if secret else "left behind", header, named, secret=secret, scope=scope)


def checked_secret(value: object, named: str) -> str:
    """``value`` as a key or token that fits a header, without surrounding whitespace.

    Args:
        value: what was passed, read or returned.
        named: the option, variable or callable it came from, for the message; the value is never shown.

    Raises:
        ConfigurationError: not a string, empty, or with characters that no key has.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"{named} must be a string, not {type(value).__name__}")
    text = value.strip()
    if not text:
        raise ConfigurationError(f"{named} is empty: give it a key or token")
    if has_control(text) or not encodes(text, "latin-1"):
        raise ConfigurationError(
            f"{named} holds a line break, a control character or one outside Latin-1: copy the key again"
        )
    return text


def openai_auth(api_key: object) -> Auth:
    """How to authenticate at OpenAI: with what was passed, else ``OPENAI_API_KEY``.

    Raises:
        ConfigurationError: no key, or none that is usable.
    """
    if api_key is not None:
        return _given_key(api_key, "bearer", "bearer", scope="")
    key = _key_from_environment("OPENAI_API_KEY")
    if key is None:
        raise ConfigurationError("OpenAI needs a key: pass api_key=... or set OPENAI_API_KEY")
    return Auth("static", "bearer", "OPENAI_API_KEY", secret=key)


def azure_auth(api_key: object, credential: object, token_scope: str) -> Auth:
    """How to authenticate at Azure: with what was passed, else ``AZURE_OPENAI_AD_TOKEN``, ``AZURE_OPENAI_API_KEY``.

    Without any of them ``DefaultAzureCredential`` is asked.

    Raises:
        ConfigurationError: key and credential together, or none that is usable.
    """
    scope = checked_text(token_scope, "token_scope=")
    if api_key is not None and credential is not None:
        raise ConfigurationError("api_key= and credential= exclude each other: pass one of them")
    if api_key is not None:
        return _given_key(api_key, "api-key", "either", scope)
    if credential is not None:
        return _given_credential(credential, scope)
    if token := _key_from_environment("AZURE_OPENAI_AD_TOKEN"):
        return Auth("static", "bearer", "AZURE_OPENAI_AD_TOKEN", secret=token)
    if key := _key_from_environment("AZURE_OPENAI_API_KEY"):
        return Auth("static", "api-key", "AZURE_OPENAI_API_KEY", secret=key)
    return Auth("default", "bearer", "DefaultAzureCredential", scope=scope)


def _key_from_environment(variable: str) -> Secret | None:
    value = os.environ.get(variable, "")
    return Secret(checked_secret(value, variable)) if value.strip() else None


def _given_key(
    api_key: object, header: Literal["bearer", "api-key"], of_callable: Literal["bearer", "either"], scope: str
) -> Auth:
    if isinstance(api_key, str):
        return Auth("static", header, "api_key=", secret=Secret(checked_secret(api_key, "api_key=")), scope=scope)
    if hasattr(api_key, "get_token"):
        raise ConfigurationError("api_key= takes a key or a callable: pass credential objects as Azure(credential=...)")
    if not callable(api_key):
        raise ConfigurationError(
            f"api_key= must be a string or a callable that returns one, not {type(api_key).__name__}"
        )
    _check_not_async(api_key, "api_key=")
    return Auth("callable", of_callable, "api_key=", source=api_key, scope=scope)


def _given_credential(credential: object, scope: str) -> Auth:
    if hasattr(credential, "get_token") or hasattr(credential, "get_token_info"):
        _check_not_async(credential, "credential=")
        return Auth("credential", "bearer", "credential=", source=credential, scope=scope)
    if callable(credential):
        _check_not_async(credential, "credential=")
        return Auth("callable", "bearer", "credential=", source=credential, scope=scope)
    raise ConfigurationError(
        "credential= must be an azure-identity credential object or a callable that returns a token, "
        f"not {type(credential).__name__}: pass keys as api_key="
    )


def _check_not_async(source: object, named: str) -> None:
    asked = (source, *(getattr(source, name, None) for name in ("get_token", "get_token_info", "__call__")))
    if any(inspect.iscoroutinefunction(each) for each in asked):
        raise ConfigurationError(asynchronous(named))


def asynchronous(named: str) -> str:
    """What to say where ``named`` turns out to be asynchronous."""
    return (
        f"{named} is asynchronous and rtsync asks from a plain thread: use the credential of the same name "
        "from azure.identity (not azure.identity.aio), or a plain function"
    )
