"""Where to connect, for what, and how to authenticate (protocol sections 1.1 to 1.5).

A target is a value: made once, checked when made, never changed. Making one reads the environment and nothing else:
no network, no token. Each part has a room of its own: ``settings`` (passed, or from the environment), ``aim``,
``address``, ``headers`` and ``auth``.

1. What is passed beats what the environment says; an empty variable counts as not set.
2. A target has exactly one aim: a model (a deployment on Azure), a running call, transcription or translation.
3. No secret shows, and none travels in a pickle: see ``auth``.
4. Plain ``http`` and ``ws`` are for this machine only: elsewhere the credential would travel in clear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NoReturn, Self, TypeAlias, cast

from rtsync.vocabulary.address import azure_base, dated_version, openai_base, origin_and_path, websocket_url
from rtsync.vocabulary.aim import TRANSLATION_MODEL, Aim, Purpose, deployment_of_environment, one_aim
from rtsync.vocabulary.auth import AZURE_SCOPE, Auth, TokenCredential, TokenSource, azure_auth, openai_auth
from rtsync.vocabulary.errors import ConfigurationError
from rtsync.vocabulary.headers import account_headers, request_headers
from rtsync.vocabulary.settings import Setting, checked_text

__all__ = ["Azure", "Dialect", "OpenAI", "Simulator", "Target"]

Dialect: TypeAlias = Literal["ga", "preview"]

_DEFAULT_MODEL = "gpt-realtime"
_SIMULATED_PREVIEW = "2025-04-01-preview"


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
    _aim: Aim
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
        return websocket_url(self._base, self._aim, self.api_version)

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
        if self.purpose == "transcription":  # The preview says it by the event's type: see the dialect.
            return "transcription"
        return None if self.dialect == "preview" or self.purpose == "translation" else "realtime"

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
        return self._aimed_at(Aim("transcription"))

    def for_translation(self, model: str = TRANSLATION_MODEL) -> Self:
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

    def _aimed_at(self, aim: Aim) -> Self:
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
        aim = one_aim("model", model, call_id, transcription, translation)
        self._fill(
            _base=openai_base(base_url),
            _aim=aim or Aim("conversation", _DEFAULT_MODEL),
            _extra=request_headers(headers, ours=account_headers(organization, project), ga=True),
            api_version=None,
            auth=openai_auth(api_key),
        )

    def for_call(self, call_id: str) -> Self:
        """The same target, aimed at a running call: see `Target.for_call`."""
        return self._aimed_at(Aim("call", checked_text(call_id, "call_id=")))

    def for_translation(self, model: str = TRANSLATION_MODEL) -> Self:
        """The same target, aimed at a translation session: see `Target.for_translation`."""
        return self._aimed_at(Aim("translation", checked_text(model, "model=")))


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
        transcription: open a transcription session instead.
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
        aim = one_aim("deployment", deployment, call_id, transcription, translation=False)
        version = dated_version(api_version)
        self._fill(
            _base=azure_base(endpoint, version),
            _aim=_azure_aim(aim or deployment_of_environment(), version),
            _extra=request_headers(headers, ga=version is None),
            api_version=version,
            auth=azure_auth(api_key, credential, token_scope),
        )

    def for_call(self, call_id: str) -> Self:
        """The same target, aimed at a running call: see `Target.for_call`. GA only."""
        return self._aimed_at(_azure_aim(Aim("call", checked_text(call_id, "call_id=")), self.api_version))

    def for_transcription(self) -> Self:
        """The same target, aimed at a transcription session: see `Target.for_transcription`."""
        return self._aimed_at(Aim("transcription"))


def _azure_aim(aim: Aim, version: str | None) -> Aim:
    if version and aim.purpose == "call":
        raise ConfigurationError(
            f"Azure has calls on the GA endpoint only, not under api-version {version}: leave api_version off"
            ' (where OPENAI_API_VERSION is set, pass api_version="v1")'
        )
    return aim


class Simulator(Target):
    """The embedded server: no account, no network beyond loopback. The session starts it on open.

    ``url`` is empty until then: ``at()`` gives the target for a server that runs.

    Args:
        brain: callable that answers; None for the scripted one that comes with the simulator.
        pace: whether deltas come at the speed of a model; False for as fast as possible.
        dialect: ``"ga"`` or ``"preview"``.
        ears: what gives the words of the user's audio: ``"builtin"``, which measures and does not listen,
            ``"pocketsphinx"``, ``"pocketsphinx-open"``, ``"auto"``, a URL, or a callable. docs/simulator.md tells.
        voice: what says the answers: ``"builtin"``, which has no words, ``"flite"``, ``"espeak-ng"``, ``"espeak"``,
            ``"say"``, ``"auto"``, a URL, or a callable.
        vad: what tells speech from noise: ``"energy"``, ``"webrtc"`` or ``"auto"``.

    What is missing for these, a package or a program, is said when the session opens.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    __slots__ = ("brain", "ears", "pace", "vad", "voice")
    _state: ClassVar[tuple[str, ...]] = (*Target._state, "brain", "ears", "pace", "vad", "voice")

    brain: Callable[..., Any] | None
    ears: str | Callable[..., Any]
    pace: bool
    vad: str
    voice: str | Callable[..., Any]

    def __init__(
        self,
        *,
        brain: Callable[..., Any] | None = None,
        pace: bool = True,
        dialect: Dialect = "ga",
        ears: str | Callable[..., Any] = "builtin",
        voice: str | Callable[..., Any] = "builtin",
        vad: Literal["energy", "webrtc", "auto"] = "energy",
    ) -> None:
        if dialect not in ("ga", "preview"):
            raise ConfigurationError(f'dialect= must be "ga" or "preview", not {dialect!r}')
        if brain is not None and not callable(brain):
            raise ConfigurationError(f"brain= must be a callable or None, not {type(brain).__name__}")
        if vad not in ("energy", "webrtc", "auto"):
            raise ConfigurationError('vad= must be "energy", "webrtc" or "auto"')
        self._fill(
            _base="",
            _aim=Aim("conversation", _DEFAULT_MODEL),
            _extra=(),
            api_version=_SIMULATED_PREVIEW if dialect == "preview" else None,
            auth=Auth("none"),
            brain=brain,
            ears=_named_or_callable(ears, "ears="),
            pace=bool(pace),
            vad=vad,
            voice=_named_or_callable(voice, "voice="),
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
        origin, _ = origin_and_path(Setting(checked_text(address, "address="), "address="))
        return self._but(_base=f"{origin}/openai" if self.api_version else f"{origin}/v1")

    def for_transcription(self) -> Self:
        """The same target, aimed at a transcription session: see `Target.for_transcription`."""
        return self._aimed_at(Aim("transcription"))

    def describe(self) -> str:
        """One line: what it reaches."""
        where = f"at {self.url}" if self._base else "in this process"
        return f"Simulator {self.dialect} {self.purpose} {where} (no credential)"


def _named_or_callable(value: object, option: str) -> str | Callable[..., Any]:
    if callable(value):
        return value
    return checked_text(value, option)
