"""The tree of errors: what each is, carries and survives."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

import rtsync
from rtsync import RealtimeError
from rtsync.vocabulary import errors

DATA: dict[str, dict[str, Any]] = {
    "ServerError": {"type": "t", "code": "c", "param": "p", "event_id": "e", "request": "r"},
    "ResponseFailed": {"response": {"id": "r"}, "status": "failed", "reason": "x", "text": "so far"},
    "ProtocolError": {"close_code": 1002},
    "SessionClosed": {"code": 1011, "reason": "oops", "cause": rtsync.CloseCause.EXPIRED, "in_flight": ("a", "b")},
    "WaitTimeout": {"arrived": ("a", "b x 3")},
    "ConnectFailed": {
        "phase": "upgrade", "status": 429, "headers": {"a": "b"}, "request_id": "q", "retry_after": 5.0, "code": "c",
    },
}  # fmt: skip
CLASSES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, RealtimeError) and cls.__module__ == errors.__name__
]
BUILTINS = {
    "ConfigurationError": ValueError,
    "UsageError": RuntimeError,
    "ConnectFailed": ConnectionError,
    "ConnectTimeout": TimeoutError,
    "SessionClosed": ConnectionError,
    "ConnectionLost": ConnectionError,
    "SendTimeout": TimeoutError,
    "WaitTimeout": TimeoutError,
}


def data_of(cls: type[RealtimeError]) -> dict[str, Any]:
    return next((DATA[base.__name__] for base in cls.__mro__ if base.__name__ in DATA), {})


def made(cls: type[RealtimeError]) -> RealtimeError:
    return cls("what happened", **data_of(cls))


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_public(cls: type[RealtimeError]) -> None:
    assert getattr(rtsync, cls.__name__) is cls
    assert cls.__name__ in rtsync.__all__
    assert cls.__doc__


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_survives_pickling_and_copying_with_its_data(cls: type[RealtimeError]) -> None:
    error = made(cls)
    copies = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for found in (*copies, copy.copy(error), copy.deepcopy(error)):
        assert type(found) is cls
        assert str(found) == "what happened"
        assert found.args == ("what happened",)
        assert vars(found) == data_of(cls)
        assert found is not error


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_caught_by_one_name_and_by_the_builtin_it_is(cls: type[RealtimeError]) -> None:
    assert issubclass(cls, RealtimeError)
    assert issubclass(cls, BUILTINS.get(cls.__name__, Exception))


@pytest.mark.parametrize("cls", CLASSES)
def test_data_of_errors_are_keywords_with_defaults(cls: type[RealtimeError]) -> None:
    needed = {"phase": "tcp"} if issubclass(cls, rtsync.ConnectFailed) else {}
    error = cls("what happened", **needed)
    assert set(vars(error)) == set(data_of(cls))
    if data_of(cls):
        with pytest.raises(TypeError):
            cls("what happened", "positional")


def test_notes_survive_pickling() -> None:
    error = rtsync.SessionClosed("what happened")
    error.add_note("and then")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["and then"]


def test_errors_of_users_own_classes_survive_pickling() -> None:
    assert pickle.loads(pickle.dumps(Own("what", extra=1))).extra == 1


class Own(RealtimeError):
    """A user's own."""

    def __init__(self, message: str, *, extra: int) -> None:
        super().__init__(message, extra=extra)


def test_a_cause_is_equal_to_its_name() -> None:
    assert rtsync.CloseCause.USER == "user"
    assert f"{rtsync.CloseCause.NETWORK}" == "network"
