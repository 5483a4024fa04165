"""Where to connect, for what, and how to authenticate (protocol sections 1.1 to 1.5).

A target is a value: made once, checked when made, never changed. Making one reads the environment and
nothing else: no network, no token, no dependency. ``rtsync.edges.credentials.authorization`` turns its
``auth`` into a header at every connect.

1. What is passed beats what the environment says; an empty variable counts as not set.
2. A target has exactly one aim: a model (a deployment on Azure), a running call, transcription or translation.
3. A secret is held in a ``Secret``: no ``repr``, message, URL or pickle shows it. A pickled target names the
   variable its key came from and reads it again where it is loaded; a key, token callable or credential object
   that was passed stays behind, except a module-level function, which travels by its name.
4. Plain ``http`` and ``ws`` are for loopback only: elsewhere the credential would travel in clear.
"""

from __future__ import annotations

import datetime as dt
import hmac
import inspect
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType, MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, NoReturn, Protocol, Self, TypeAlias, cast
from urllib.parse import SplitResult, quote, urlsplit

from rtsync.vocabulary.errors import ConfigurationError

__all__ = [
    "AZURE_SCOPE",
    "Auth",
    "Azure",
    "Dialect",
    "OpenAI",
    "Purpose",
    "Secret",
    "Simulator",
    "Target",
    "TokenCredential",
    "TokenSource",
    "asynchronous",
    "checked_secret",
]

Dialect: TypeAlias = Literal["ga", "preview"]
Purpose: TypeAlias = Literal["conversation", "call", "transcription", "translation"]
TokenSource: TypeAlias = Callable[[], str]
"""Called without arguments at every connect, in a thread of rtsync's; returns a key or token."""

AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
"""The Entra scope of Azure OpenAI (protocol section 1.5)."""

_OPENAI_BASE = "https://api.openai.com/v1"
_DEFAULT_MODEL = "gpt-realtime"
_TRANSLATION_MODEL = "gpt-realtime-translate"
_SIMULATED_PREVIEW = "2025-04-01-preview"
_GA_VERSIONS = frozenset({"v1", "preview", "latest"})
_DATED_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(-preview)?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_.])?", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HANDSHAKE_HEADERS = frozenset({"host", "upgrade", "connection", "content-length", "transfer-encoding"})
_CREDENTIAL_HEADERS = frozenset({"authorization", "api-key"})


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


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Auth:
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
    source: object = field(default=None, repr=False)  # what a caller's object shows of itself is not ours to check
    scope: str = ""

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


class _Found(NamedTuple):
    """A setting and the option or variable that it came from."""

    text: str
    named: str


class _Aim(NamedTuple):
    """What a connection is for: a purpose, and the model or call id that goes with it."""

    purpose: Purpose
    value: str = ""


class Target:
    """Where to connect, for what, and how to authenticate. Make an `OpenAI`, an `Azure` or a `Simulator`.

    Immutable, hashable and equal by value. Safe to print, log and pickle: see this module's rule 3; the
    values of ``headers`` are pickled, so keep credentials out of them.

    Attributes:
        dialect: ``"ga"`` or ``"preview"``: which event names go over the wire (protocol section 7).
        purpose: ``"conversation"``, ``"call"``, ``"transcription"`` or ``"translation"``.
        model: model name (deployment name on Azure), or None where the aim is not a model.
        call_id: id of the running call, or None.
        api_version: the dated version of a preview endpoint, or None.
        auth: how it authenticates.

    Threads: any.
    """

    __slots__ = ("__weakref__", "_aim", "_base", "_extra", "api_version", "auth")
    _state: ClassVar[tuple[str, ...]] = ("_base", "_aim", "_extra", "api_version", "auth")

    _base: str
    _aim: _Aim
    _extra: tuple[tuple[str, str], ...]
    api_version: str | None
    auth: Auth

    def _fill(self, **state: object) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a target never changes: make a new {type(self).__name__}")

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    @property
    def url(self) -> str:
        """The complete ``ws://`` or ``wss://`` URL, percent-encoded."""
        return _url(self._base, self._aim, self.api_version)

    @property
    def headers(self) -> Mapping[str, str]:
        """Request headers, checked, all but the credential."""
        return MappingProxyType(dict(self._extra))

    @property
    def dialect(self) -> Dialect:
        """Which event names go over the wire."""
        return "preview" if self.api_version else "ga"

    @property
    def purpose(self) -> Purpose:
        """What the connection is for."""
        return self._aim.purpose

    @property
    def model(self) -> str | None:
        """Model name, or deployment name on Azure; None for a call and for transcription."""
        return self._aim.value if self.purpose in ("conversation", "translation") else None

    @property
    def call_id(self) -> str | None:
        """Id of the running call that this connection joins, or None."""
        return self._aim.value if self.purpose == "call" else None

    @property
    def session_type(self) -> Literal["realtime", "transcription"] | None:
        """What ``session.update`` must carry as ``session.type``; None where it carries none (protocol section 4)."""
        if self.dialect == "preview" or self.purpose == "translation":
            return None
        return "transcription" if self.purpose == "transcription" else "realtime"

    def for_call(self, call_id: str) -> Self:
        """The same target, aimed at a running WebRTC or SIP call (a sideband connection).

        Raises:
            ConfigurationError: not offered here, or not a usable id.
        """
        raise ConfigurationError(f"{type(self).__name__} offers no sideband connection to a call")

    def for_transcription(self) -> Self:
        """The same target, aimed at a transcription session. Its model goes into ``session.update``.

        Raises:
            ConfigurationError: not offered here.
        """
        return self._aimed_at(_Aim("transcription"))

    def for_translation(self, model: str = _TRANSLATION_MODEL) -> Self:
        """The same target, aimed at a translation session. OpenAI only (protocol section 1.1).

        Raises:
            ConfigurationError: not offered here, or not a usable model name.
        """
        raise ConfigurationError(
            f"{type(self).__name__} offers no translation sessions: use OpenAI().for_translation()"
        )

    def describe(self) -> str:
        """One line: what it reaches and how it authenticates. Never a secret."""
        return f"{type(self).__name__} {self.dialect} {self.purpose} at {self.url} ({self.auth.describe()})"

    def _aimed_at(self, aim: _Aim) -> Self:
        return self._but(_aim=aim)

    def _but(self, **changes: object) -> Self:
        return cast("Self", _restored(type(self), {**self._as_dict(), **changes}))

    def _as_dict(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self._state}

    def _value(self) -> tuple[object, ...]:
        rest = (id(value) if name == "brain" else value for name, value in self._as_dict().items() if name != "auth")
        return (type(self), *rest, *self.auth.same_as())

    def __eq__(self, other: object) -> bool:
        return self._value() == other._value() if isinstance(other, Target) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value())

    def __repr__(self) -> str:
        return f"<{self.describe()}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self._as_dict())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


def _restored(cls: type[Target], state: dict[str, object]) -> Target:
    target = object.__new__(cls)
    target._fill(**state)
    return target


class OpenAI(Target):
    """The OpenAI service, or a server that speaks as it does.

    Args:
        model: model to talk to; ``"gpt-realtime"`` when no other aim is given.
        api_key: a key (or an ephemeral ``ek_...`` secret), or a callable that returns one and is asked at every
            connect; ``OPENAI_API_KEY``.
        base_url: where the API lives, up to and including ``/v1``; ``OPENAI_BASE_URL``, else the OpenAI service.
            A host without a path gets ``/v1``.
        organization: sent as ``OpenAI-Organization``; ``OPENAI_ORG_ID``.
        project: sent as ``OpenAI-Project``; ``OPENAI_PROJECT_ID``.
        headers: more request headers.
        call_id: join this running call instead of a model.
        transcription: open a transcription session instead.
        translation: open a translation session instead: True, or the name of its model.

    Raises:
        ConfigurationError: something is missing or malformed; the message names it and the fix.
    """

    __slots__ = ()

    def __init__(
        self,
        model: str | None = None,
        *,
        api_key: str | TokenSource | None = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        headers: Mapping[str, str] | None = None,
        call_id: str | None = None,
        transcription: bool = False,
        translation: bool | str = False,
    ) -> None:
        aim = _one_aim("model", model, call_id, transcription, translation)
        self._fill(
            _base=_openai_base(base_url),
            _aim=aim or _Aim("conversation", _DEFAULT_MODEL),
            _extra=_headers(headers, "ga", _openai_headers(organization, project)),
            api_version=None,
            auth=_openai_auth(api_key),
        )

    def for_call(self, call_id: str) -> Self:
        """The same target, aimed at a running call: see `Target.for_call`."""
        return self._aimed_at(_Aim("call", _text(call_id, "call_id=")))

    def for_translation(self, model: str = _TRANSLATION_MODEL) -> Self:
        """The same target, aimed at a translation session: see `Target.for_translation`."""
        return self._aimed_at(_Aim("translation", _text(model, "model=")))


class Azure(Target):
    """Azure OpenAI: the GA endpoint, or a preview one when a dated ``api_version`` is given.

    Without a key, ``DefaultAzureCredential`` is made on first use and kept with the target, so keep the target.

    Args:
        endpoint: e.g. ``"https://RESOURCE.openai.azure.com"``, or a gateway in front of it with its path prefix;
            ``AZURE_OPENAI_ENDPOINT``.
        deployment: name of the deployment; ``AZURE_OPENAI_DEPLOYMENT``, then ``AZURE_OPENAI_DEPLOYMENT_NAME``.
        api_key: a key, sent as ``api-key``; or a callable that returns a key or token and is asked at every connect
            (what looks like a JSON Web Token goes out as ``Authorization: Bearer``). ``AZURE_OPENAI_AD_TOKEN``
            (a token), then ``AZURE_OPENAI_API_KEY``.
        credential: an azure-identity credential object or a callable that returns a token, asked at every connect.
        api_version: ``"v1"``, ``"preview"`` or ``"latest"`` mean the GA endpoint, which is asked without a version
            (one on the GA path is a documented cause of 401); a date such as ``"2025-04-01-preview"`` means the
            preview endpoint. ``OPENAI_API_VERSION``.
        headers: more request headers.
        call_id: join this running call instead of a deployment. GA only.
        transcription: open a transcription session instead. GA only.
        token_scope: what a credential object is asked for.

    Raises:
        ConfigurationError: something is missing or malformed; the message names it and the fix.
    """

    __slots__ = ()

    def __init__(
        self,
        endpoint: str | None = None,
        deployment: str | None = None,
        *,
        api_key: str | TokenSource | None = None,
        credential: TokenCredential | TokenSource | None = None,
        api_version: str | None = None,
        headers: Mapping[str, str] | None = None,
        call_id: str | None = None,
        transcription: bool = False,
        token_scope: str = AZURE_SCOPE,
    ) -> None:
        aim = _one_aim("deployment", deployment, call_id, transcription, translation=False)
        version = _dated_version(api_version)
        self._fill(
            _base=_azure_base(endpoint, version),
            _aim=_azure_aim(aim or _deployment_from_environment(), version),
            _extra=_headers(headers, "preview" if version else "ga", {}),
            api_version=version,
            auth=_azure_auth(api_key, credential, token_scope),
        )

    def for_call(self, call_id: str) -> Self:
        """The same target, aimed at a running call: see `Target.for_call`. GA only."""
        return self._aimed_at(_azure_aim(_Aim("call", _text(call_id, "call_id=")), self.api_version))

    def for_transcription(self) -> Self:
        """The same target, aimed at a transcription session: see `Target.for_transcription`. GA only."""
        return self._aimed_at(_azure_aim(_Aim("transcription"), self.api_version))


class Simulator(Target):
    """The embedded server: no account, no network beyond loopback. The session starts it on open.

    ``url`` is empty until then: ``at()`` gives the target for a server that runs.

    Args:
        brain: callable that answers; None for the scripted one that comes with the simulator.
        pace: whether deltas come at the speed of a model; False for as fast as possible.
        dialect: ``"ga"`` or ``"preview"``.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    __slots__ = ("brain", "pace")
    _state: ClassVar[tuple[str, ...]] = (*Target._state, "brain", "pace")

    brain: Callable[..., Any] | None
    pace: bool

    def __init__(self, *, brain: Callable[..., Any] | None = None, pace: bool = True, dialect: Dialect = "ga") -> None:
        if dialect not in ("ga", "preview"):
            raise ConfigurationError(f'dialect= must be "ga" or "preview", not {dialect!r}')
        if brain is not None and not callable(brain):
            raise ConfigurationError(f"brain= must be a callable or None, not {type(brain).__name__}")
        self._fill(
            _base="",
            _aim=_Aim("conversation", _DEFAULT_MODEL),
            _extra=(),
            api_version=_SIMULATED_PREVIEW if dialect == "preview" else None,
            auth=Auth("none"),
            brain=brain,
            pace=bool(pace),
        )

    @property
    def url(self) -> str:
        """The complete URL of the running server, or empty where none is known yet."""
        return super().url if self._base else ""

    def at(self, address: str) -> Self:
        """The same target, at a simulator that runs.

        Args:
            address: scheme, host and port, e.g. ``"ws://127.0.0.1:8765"``.
        """
        origin, _ = _address(_Found(_text(address, "address="), "address="))
        return self._but(_base=f"{origin}/openai" if self.api_version else f"{origin}/v1")

    def for_transcription(self) -> Self:
        """The same target, aimed at a transcription session: see `Target.for_transcription`. GA only."""
        if self.api_version:
            raise ConfigurationError('a preview Simulator offers no transcription sessions: use dialect="ga"')
        return self._aimed_at(_Aim("transcription"))

    def describe(self) -> str:
        """One line: what it reaches."""
        where = f"at {self.url}" if self._base else "in this process"
        return f"Simulator {self.dialect} {self.purpose} {where} (no credential)"


# --- aims --------------------------------------------------------------------------------------------------------


def _one_aim(
    model_option: str, model: str | None, call_id: str | None, transcription: bool, translation: bool | str
) -> _Aim | None:
    _check_flags(transcription, translation)
    aims = []
    if model is not None:
        aims.append((model_option, _Aim("conversation", _text(model, f"{model_option}="))))
    if call_id is not None:
        aims.append(("call_id", _Aim("call", _text(call_id, "call_id="))))
    if transcription:
        aims.append(("transcription", _Aim("transcription")))
    if translation is not False:
        translator = _TRANSLATION_MODEL if translation is True else _text(translation, "translation=")
        aims.append(("translation", _Aim("translation", translator)))
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


def _deployment_from_environment() -> _Aim:
    found = _setting("deployment=", None, "AZURE_OPENAI_DEPLOYMENT", "AZURE_OPENAI_DEPLOYMENT_NAME")
    if found is None:
        raise ConfigurationError(
            "Azure needs a deployment: pass deployment=... or set AZURE_OPENAI_DEPLOYMENT "
            "(or pass call_id=... or transcription=True instead)"
        )
    return _Aim("conversation", found.text)


def _azure_aim(aim: _Aim, version: str | None) -> _Aim:
    if version and aim.purpose != "conversation":
        what = "sideband connections to calls" if aim.purpose == "call" else "transcription sessions"
        raise ConfigurationError(
            f"Azure has {what} on the GA endpoint only, not under api-version {version}: leave api_version off"
            ' (where OPENAI_API_VERSION is set, pass api_version="v1")'
        )
    return aim


# --- URLs --------------------------------------------------------------------------------------------------------


def _url(base: str, aim: _Aim, version: str | None) -> str:
    value = quote(aim.value, safe="")
    if version and aim.purpose == "conversation":
        return f"{base}/realtime?api-version={quote(version, safe='')}&deployment={value}"
    tails = {
        "conversation": f"/realtime?model={value}",
        "call": f"/realtime?call_id={value}",
        "transcription": "/realtime?intent=transcription",
        "translation": f"/realtime/translations?model={value}",
    }
    return base + tails[aim.purpose]


def _openai_base(base_url: str | None) -> str:
    found = _setting("base_url=", base_url, "OPENAI_BASE_URL") or _Found(_OPENAI_BASE, "base_url=")
    origin, path = _address(found)
    # Whoever names a path (also "/realtime" at the root) means it; a bare host means the usual place.
    path = _without_end(path, "realtime") if path else ["v1"]
    return "/".join((origin, *path))


def _azure_base(endpoint: str | None, version: str | None) -> str:
    found = _setting("endpoint=", endpoint, "AZURE_OPENAI_ENDPOINT")
    if found is None:
        raise ConfigurationError(
            "Azure needs an endpoint: pass endpoint=... or set AZURE_OPENAI_ENDPOINT, "
            "e.g. https://RESOURCE.openai.azure.com"
        )
    origin, path = _address(found)
    if "deployments" in path:
        raise ConfigurationError(
            f"{found.named} must end before /openai/deployments: the deployment goes into deployment=..."
        )
    prefix = _without_end(path, "realtime", "v1", "openai")
    return "/".join((origin, *prefix, "openai", *(() if version else ("v1",))))


def _without_end(path: list[str], *ends: str) -> list[str]:
    for end in ends:
        if path[-1:] == [end]:
            path = path[:-1]
    return path


def _address(found: _Found) -> tuple[str, list[str]]:
    """``wss://host:port`` (or ``ws://``) and the parts of the path, percent-encoded, of an http(s) or ws(s) URL."""
    parts, port = _split(found)
    _check_no_extras(parts, found.named)
    host = _host(parts, found.named)
    secure = parts.scheme in ("https", "wss")
    if not secure and not _is_loopback(host):
        raise ConfigurationError(
            f"{found.named} would send the credential to {host} in clear: use https:// "
            "(plain http:// and ws:// are for localhost, 127.0.0.0/8 and ::1)"
        )
    bracketed = f"[{host}]" if ":" in host else host
    origin = f"{'wss' if secure else 'ws'}://{bracketed}{f':{port}' if port is not None else ''}"
    return origin, [quote(part, safe="%!$&'()*+,;=:@~") for part in parts.path.split("/") if part]


def _split(found: _Found) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(found.text)
        port = parts.port
    except ValueError:
        parts, port = None, None
    # The value itself stays out of every message: a password may stand in it, or a key that was mixed up.
    if parts is None or parts.scheme not in ("https", "http", "wss", "ws"):
        raise ConfigurationError(
            f"{found.named} must be a URL that begins with https://, e.g. https://RESOURCE.openai.azure.com "
            f"or {_OPENAI_BASE}"
        )
    return parts, port


def _check_no_extras(parts: SplitResult, named: str) -> None:
    if "@" in parts.netloc:
        raise ConfigurationError(f"{named} must not hold a user name or password: credentials go into api_key=")
    if parts.query or parts.fragment:
        raise ConfigurationError(
            f"{named} must end before '?' and '#': rtsync writes the query itself from the deployment or model, "
            "and from api_version= where there is one"
        )


def _host(parts: SplitResult, named: str) -> str:
    host = (parts.hostname or "").lower()
    if not (_HOST.fullmatch(host) or _is_ip(host)):
        raise ConfigurationError(
            f"{named} names no usable host: write it in ASCII (xn--...), e.g. https://RESOURCE.openai.azure.com"
        )
    return host


def _is_ip(host: str) -> bool:
    try:
        return "%" not in host and bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)


def _dated_version(api_version: str | None) -> str | None:
    """The date of a preview endpoint, or None for the GA one."""
    found = _setting("api_version=", api_version, "OPENAI_API_VERSION")
    if found is None or found.text.lower() in _GA_VERSIONS:
        return None
    match = _DATED_VERSION.fullmatch(found.text.lower())
    if match is None or not _is_date(match[1]):
        raise ConfigurationError(
            f'{found.named} must be a date such as "2025-04-01-preview" (the preview endpoint), '
            'or "v1", "preview" or "latest" (the GA endpoint)'
        )
    return match[0]


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


# --- settings ----------------------------------------------------------------------------------------------------


def _setting(option: str, value: object, *variables: str) -> _Found | None:
    """What was passed, else the first variable that is set and not empty."""
    if value is not None:
        return _Found(_text(value, option), option)
    for variable in variables:
        if text := os.environ.get(variable, "").strip():
            return _Found(_text(text, variable), variable)
    return None


def _text(value: object, named: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{named} must be a string, not {type(value).__name__}")
    text = value.strip()
    if not text:
        raise ConfigurationError(f"{named} is empty: give it a value or leave it out")
    if _CONTROL.search(text) or not _encodes(text, "utf-8"):
        raise ConfigurationError(f"{named} holds a control character, a line break or a broken character: remove it")
    return text


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _headers(
    headers: Mapping[str, str] | None, dialect: Dialect, ours: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    if headers is not None and not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers= must be a mapping of names to values, not {type(headers).__name__}")
    given = [_header(name, value, dialect) for name, value in (headers or {}).items()]
    names = {name.lower() for name, _ in given}
    if len(names) < len(given):
        raise ConfigurationError("headers= names a header twice (upper and lower case are the same): keep one")
    return (*((name, value) for name, value in ours.items() if name.lower() not in names), *given)


def _header(name: object, value: object, dialect: Dialect) -> tuple[str, str]:
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise ConfigurationError("headers= holds a name that is not an HTTP header name (letters, digits and hyphens)")
    lowered = name.lower()
    if lowered in _CREDENTIAL_HEADERS:
        raise ConfigurationError(f"headers= must not hold {name}: credentials go into api_key= or credential=")
    if lowered in _HANDSHAKE_HEADERS or lowered.startswith("sec-websocket-"):
        raise ConfigurationError(f"headers= must not hold {name}: the WebSocket handshake sets it")
    text = _header_value(value, f"headers= {name}")
    if dialect == "ga" and lowered == "openai-beta" and "realtime=" in text.replace(" ", ""):
        raise ConfigurationError("headers= must not hold OpenAI-Beta: realtime on a GA endpoint, which refuses it")
    return name, text


def _header_value(value: object, named: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{named} must be a string, not {type(value).__name__}")
    text = value.strip(" \t")
    if _CONTROL.search(text.replace("\t", " ")) or not _encodes(text, "latin-1"):
        raise ConfigurationError(f"{named} holds a line break, a control character or one outside Latin-1: remove it")
    return text


# --- credentials -------------------------------------------------------------------------------------------------


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
    if _CONTROL.search(text) or not _encodes(text, "latin-1"):
        raise ConfigurationError(
            f"{named} holds a line break, a control character or one outside Latin-1: copy the key again"
        )
    return text


def _openai_headers(organization: str | None, project: str | None) -> dict[str, str]:
    found = {
        "OpenAI-Organization": _setting("organization=", organization, "OPENAI_ORG_ID"),
        "OpenAI-Project": _setting("project=", project, "OPENAI_PROJECT_ID"),
    }
    return {name: _header_value(each.text, each.named) for name, each in found.items() if each}


def _openai_auth(api_key: object) -> Auth:
    if api_key is not None:
        return _given_key(api_key, "bearer", "bearer", scope="")
    key = _key_from_environment("OPENAI_API_KEY")
    if key is None:
        raise ConfigurationError("OpenAI needs a key: pass api_key=... or set OPENAI_API_KEY")
    return Auth("static", "bearer", "OPENAI_API_KEY", secret=key)


def _azure_auth(api_key: object, credential: object, token_scope: str) -> Auth:
    scope = _text(token_scope, "token_scope=")
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
