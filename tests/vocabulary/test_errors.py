"""Everything that rtsync raises: one tree, picklable, nothing lost."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rtsync
from rtsync.vocabulary import errors
from rtsync.vocabulary.errors import CloseCause, ConnectFailed, RealtimeError, SessionClosed, WaitTimeout
from rtsync.vocabulary.events import Event

CONNECT = {
    "phase": "upgrade",
    "status": 401,
    "headers": {"x-request-id": "req_1"},
    "request_id": "req_1",
    "retry_after": 1.5,
    "code": "invalid_api_key",
    "retryable": True,
}
END = {
    "code": 1006,
    "reason": "bye",
    "cause": CloseCause.NETWORK,
    "in_flight": ("response.create",),
    "retryable": False,
}

# Every class: its builtin base in the contract's tree, its parent, and a value for each of its attributes.
TREE: dict[str, tuple[type[Exception] | None, str, dict[str, Any]]] = {
    "ConfigurationError": (ValueError, "RealtimeError", {}),
    "UsageError": (RuntimeError, "RealtimeError", {}),
    "FellBehind": (RuntimeError, "UsageError", {}),
    "ServerError": (
        None,
        "RealtimeError",
        {"type": "invalid_request_error", "code": "c", "param": "p", "event_id": "e", "request": "session.update"},
    ),
    "ResponseFailed": (
        None,
        "RealtimeError",
        {"response": {"id": "r", "output": []}, "status": "incomplete", "reason": "max_output_tokens", "text": "Hi"},
    ),
    "ProtocolError": (None, "RealtimeError", {"close_code": 1009}),
    "ConnectFailed": (ConnectionError, "RealtimeError", CONNECT),
    "ConnectTimeout": (TimeoutError, "ConnectFailed", CONNECT),
    "AuthenticationFailed": (ConnectionError, "ConnectFailed", CONNECT),
    "RateLimited": (ConnectionError, "ConnectFailed", CONNECT),
    "RedirectRefused": (ConnectionError, "ConnectFailed", CONNECT),
    "SessionClosed": (ConnectionError, "RealtimeError", END),
    "ConnectionLost": (ConnectionError, "SessionClosed", END),
    "SessionExpired": (ConnectionError, "SessionClosed", END),
    "SendTimeout": (TimeoutError, "RealtimeError", {}),
    "UnknownSession": (LookupError, "RealtimeError", {}),
    "TooManySessions": (None, "RealtimeError", {"limit": "owner"}),
    "BusUnavailable": (ConnectionError, "RealtimeError", {}),
    "DeviceFailed": (None, "RealtimeError", {}),
    "ToolError": (None, "RealtimeError", {}),
    "ToolCancelled": (None, "RealtimeError", {}),
    "WebhookRefused": (None, "RealtimeError", {"reason": "forged"}),
    "WaitTimeout": (TimeoutError, "RealtimeError", {"arrived": ("session.created", "response.output_text.delta x 3")}),
}


_OTHERS = ("RealtimeError", "CloseCause", "passing_close", "rebuilt")


def made(name: str) -> RealtimeError:
    found: RealtimeError = getattr(errors, name)("what happened, and the way out", **TREE[name][2])
    return found


def descendants(cls: type[RealtimeError]) -> Iterator[type[RealtimeError]]:
    for child in cls.__subclasses__():
        yield child
        yield from descendants(child)


def test_the_tree_of_this_test_is_the_whole_tree() -> None:
    exported = {name for name in errors.__all__ if name not in _OTHERS}
    assert set(TREE) == exported
    assert set(TREE) == {cls.__name__ for cls in descendants(RealtimeError) if cls.__module__ == errors.__name__}


@pytest.mark.parametrize("name", TREE)
def test_each_error_stands_where_the_contract_draws_it(name: str) -> None:
    builtin, parent, _ = TREE[name]
    error = made(name)
    assert getattr(errors, parent) in type(error).__bases__
    assert builtin is None or isinstance(error, builtin)
    expected = (ConnectionError, TimeoutError, ValueError, RuntimeError, LookupError)
    held = {cls for cls in expected if isinstance(error, cls)}
    assert held == ({ConnectionError, TimeoutError} if name == "ConnectTimeout" else {builtin} - {None})


@pytest.mark.parametrize("name", TREE)
def test_one_except_catches_it(name: str) -> None:
    with pytest.raises(RealtimeError, match=r"^what happened, and the way out$"):
        raise made(name)


@pytest.mark.parametrize("name", TREE)
def test_its_attributes_are_what_it_was_given(name: str) -> None:
    error = made(name)
    assert {attribute: getattr(error, attribute) for attribute in TREE[name][2]} == TREE[name][2]
    assert error.args == ("what happened, and the way out",)


DUPLICATES: list[Callable[[RealtimeError], RealtimeError]] = [
    copy.copy,
    copy.deepcopy,
    *(
        lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ),
]


@pytest.mark.parametrize("duplicate", DUPLICATES)
@pytest.mark.parametrize("name", TREE)
def test_it_travels_between_processes_with_everything_in_it(
    name: str, duplicate: Callable[[RealtimeError], RealtimeError]
) -> None:
    error = made(name)
    error.add_note("a note on the way")
    found = duplicate(error)
    assert found is not error
    assert type(found) is type(error)
    assert (str(found), repr(found), found.args) == (str(error), repr(error), error.args)
    assert vars(found) == vars(error)
    assert {attribute: getattr(found, attribute) for attribute in TREE[name][2]} == TREE[name][2]
    assert duplicate(found).args == error.args


@pytest.mark.parametrize("name", TREE)
def test_its_text_alone_is_enough_where_no_more_travels(name: str) -> None:
    """Celery with JSON calls the class with `args`, and makes a plain `Exception` of one that wants more."""
    error = made(name)
    again = type(error)(*error.args)
    assert (type(again), str(again)) == (type(error), str(error))


def test_nobody_tries_again_for_a_text_alone() -> None:
    assert not errors.ConnectFailed("a text").retryable


@pytest.mark.parametrize("name", TREE)
def test_a_copy_has_a_traceback_of_its_own(name: str) -> None:
    error = made(name)
    try:
        raise error
    except RealtimeError:
        pass
    assert error.__traceback__ is not None
    assert copy.copy(error).__traceback__ is None


@pytest.mark.parametrize("name", TREE)
def test_its_traceback_prints(name: str) -> None:
    printed = "".join(traceback.format_exception(made(name)))
    assert printed == f"rtsync.vocabulary.errors.{name}: what happened, and the way out\n"


@pytest.mark.parametrize("name", ["RealtimeError", "CloseCause", *TREE])
def test_every_error_is_part_of_the_face(name: str) -> None:
    assert getattr(rtsync, name) is getattr(errors, name)


def test_what_is_left_out_has_a_value_all_the_same() -> None:
    refused = ConnectFailed("no", phase="dns")
    assert (refused.status, refused.headers, refused.request_id, refused.retry_after, refused.code) == (
        None, {}, None, None, None,
    )  # fmt: skip
    assert vars(SessionClosed("no")) == {
        "code": None, "reason": "", "cause": CloseCause.SERVER, "in_flight": (), "retryable": False,
    }  # fmt: skip
    assert vars(WaitTimeout("no")) == {"arrived": ()}
    assert set(vars(errors.ServerError("no"))) == {"type", "code", "param", "event_id", "request"}
    assert errors.ResponseFailed("no").status == "failed"
    assert errors.ProtocolError("no").close_code is None


def test_sequences_given_are_copied() -> None:
    given, headers = ["response.create"], {"a": "b"}
    end, refused = SessionClosed("no", in_flight=given), ConnectFailed("no", phase="dns", headers=headers)
    given.append("later")
    headers.clear()
    assert end.in_flight == ("response.create",)
    assert refused.headers == {"a": "b"}


def test_a_subclass_of_a_user_travels_too() -> None:
    error = Own("mine", extra=7)
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found), found.extra) == (Own, "mine", 7)


class Own(RealtimeError):
    """An error of a program that builds on rtsync."""

    def __init__(self, message: str, *, extra: int) -> None:
        super().__init__(message, extra=extra)

    extra: int


def test_a_response_read_from_an_event_travels() -> None:
    error = errors.ResponseFailed("no", response=Event({"type": "x", "response": {"id": "r"}}).response)
    assert pickle.loads(pickle.dumps(error)).response == {"id": "r"}


def test_causes_are_their_own_names() -> None:
    assert [str(cause) for cause in CloseCause] == [cause.value for cause in CloseCause]
    assert pickle.loads(pickle.dumps(CloseCause.USER)) is CloseCause.USER
