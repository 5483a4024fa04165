"""From a target to the header that authenticates it. The only home of ``azure.identity``, loaded on first use.

``authorization`` is called at every connect, in a thread of rtsync's, because asking can take seconds (a command
line tool, a metadata service) and because a token may have been renewed since the last time. Nothing is cached here:
azure-identity caches its tokens itself. What it lacks is a lock, so concurrent connects would each fetch a token of
their own; here they ask one after another, one line for every callable or credential object, however many targets
share it.
"""

from __future__ import annotations

import inspect
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rtsync.edges import forks
from rtsync.vocabulary.auth import Auth, asynchronous, checked_secret
from rtsync.vocabulary.deadline import Deadline
from rtsync.vocabulary.errors import AuthenticationFailed, ConfigurationError, ConnectTimeout, RealtimeError
from rtsync.vocabulary.targets import Target

__all__ = ["authorization"]

_REASON_LENGTH = 200  # characters of a foreign message that are shown; azure-identity writes pages


class _Asked:
    """A callable or credential object and the lock that lets one connect at a time ask it."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.turn = threading.Lock()


class _Registry:
    """Which ``_Asked`` belongs to which ``Auth``. Entries go when the last target that needs them goes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two tables; held for look-ups and for making an Azure credential
        self._of_auth: weakref.WeakKeyDictionary[Auth, _Asked] = weakref.WeakKeyDictionary()
        self._of_object: weakref.WeakValueDictionary[int, _Asked] = weakref.WeakValueDictionary()

    def asked(self, auth: Auth) -> _Asked:
        with self._lock:
            asked = self._of_auth.get(auth)
            if asked is None:
                asked = self._of_auth[auth] = self._made(auth)
            return asked

    def _made(self, auth: Auth) -> _Asked:
        if auth.kind == "default":
            return _Asked(_default_azure_credential())
        # A bound method is a new object each time it is named; what must not be asked twice at once is its owner.
        # An id is not reused while it is a key here: the _Asked keeps the source, the source keeps its owner.
        owner = id(getattr(auth.source, "__self__", auth.source))
        asked = self._of_object.get(owner)
        if asked is None:
            asked = self._of_object[owner] = _Asked(auth.source)
        return asked


_registry = _Registry()


def _start_anew() -> None:
    """In a forked child: locks may be held by threads that do not exist there, and connections are the parent's."""
    global _registry
    _registry = _Registry()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


def authorization(target: Target, *, deadline: Deadline | None = None) -> dict[str, str]:
    """The header that authenticates ``target``, with a key or token asked for now.

    Args:
        target: what is about to be connected to.
        deadline: limits the wait for another connect that asks the same credential. A credential that is
            already asked cannot be interrupted: it ends by its own time limits.

    Returns:
        One header, or none for a target without a credential (the simulator).

    Raises:
        ConfigurationError: what the callable or credential gave is no key or token, or is asynchronous; or a
            pickled target whose key was left behind.
        AuthenticationFailed: with ``phase="credential"``: it raised instead.
        ConnectTimeout: with ``phase="credential"``: its turn did not come before ``deadline``.

    Threads: any; blocks as long as the credential does. Two threads never ask one credential at the same time.
    """
    auth = target.auth
    if auth.kind == "none":
        return {}
    if auth.kind == "left behind":
        raise ConfigurationError(_left_behind(auth))
    if auth.secret is not None:
        return _header(auth, auth.secret.reveal())
    asked = _registry.asked(auth)
    with _turn(asked, auth, deadline or Deadline(None)):
        answer = _answer(auth, asked.source if auth.kind == "default" else auth.source)
    return _header(auth, checked_secret(answer, f"what {_whom(auth)} returned"))


def _header(auth: Auth, text: str) -> dict[str, str]:
    is_token = auth.header == "bearer" or (auth.header == "either" and _looks_like_a_token(text))
    return {"Authorization": f"Bearer {text}"} if is_token else {"api-key": text}


def _looks_like_a_token(text: str) -> bool:
    """Whether this is a JSON Web Token, as Entra issues: three parts, the first an encoded ``{"``; keys have no dot."""
    return text.startswith("eyJ") and text.count(".") == 2


@contextmanager
def _turn(asked: _Asked, auth: Auth, deadline: Deadline) -> Iterator[None]:
    limit = deadline.remaining()
    if not asked.turn.acquire(timeout=-1 if limit is None else min(limit, threading.TIMEOUT_MAX)):
        raise ConnectTimeout(
            f"{_whom(auth)} was still answering another connect when the connect timeout passed", phase="credential"
        )
    try:
        yield
    finally:
        asked.turn.release()


def _answer(auth: Auth, source: Any) -> object:
    try:
        answer = source() if auth.kind == "callable" else _token(source, auth.scope)
    except RealtimeError:
        raise
    except Exception as error:
        raise AuthenticationFailed(_failure(auth, error), phase="credential") from error
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()  # never awaited: without this Python warns of it
        raise ConfigurationError(asynchronous(auth.named))
    return answer if auth.kind == "callable" else _text_of(answer)


def _token(credential: Any, scope: str) -> object:
    get_token = getattr(credential, "get_token", None)
    return get_token(scope) if get_token else credential.get_token_info(scope)


def _text_of(access_token: object) -> object:
    text = getattr(access_token, "token", None)
    return access_token if text is None else text


def _default_azure_credential() -> Any:
    try:
        with forks.whole():
            from azure.identity import DefaultAzureCredential
    except ImportError as error:
        raise ConfigurationError(
            "Azure without a key needs azure-identity: pip install azure-identity, or set AZURE_OPENAI_API_KEY"
        ) from error
    return DefaultAzureCredential()


def _whom(auth: Auth) -> str:
    if auth.kind == "default":
        return "DefaultAzureCredential"
    if auth.kind == "credential":
        return f"{type(auth.source).__name__} (credential=)"
    return f"the callable given as {auth.named}"


def _failure(auth: Auth, error: Exception) -> str:
    reason = next(iter(str(error).strip().splitlines()), "")[:_REASON_LENGTH].rstrip(" .:")
    what = f"{_whom(auth)} gave no token: {type(error).__name__}" + (f": {reason}" if reason else "")
    if auth.kind == "callable":
        return what
    return f"{what}. Sign in with `az login`, or use a key: api_key=... or AZURE_OPENAI_API_KEY"


def _left_behind(auth: Auth) -> str:
    if auth.named.endswith("="):
        return (
            f"this target was pickled and {auth.named} is not carried along: make the target where it is used, or "
            "give the key in an environment variable or as a module-level function"
        )
    return f"this target was pickled, and {auth.named} is not set (or not usable) where it was loaded: set it there"
