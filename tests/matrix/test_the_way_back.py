"""What stands in the way of a session that comes back: every refusal once more, tokens, and how often it is tried."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rtsync import (
    AuthenticationFailed,
    CloseCause,
    ConnectFailed,
    ConnectionLost,
    OpenAI,
    RateLimited,
    RealtimeSession,
    Reconnect,
    SessionClosed,
)
from tests.loopback import LIMIT, Certificates, Peer, RecordingProxy, ScriptedServer, reserved_port
from tests.matrix.house import House, Json, Room, attentive
from tests.matrix.refusals import REFUSALS, SHORT, Refusal, reach
from tests.matrix.test_coming_back import CONFIG, SOON, assert_restored, opened_again, talk
from tests.matrix.waiters import Told, assert_same_end
from tests.session.service import session_to

pytestmark = pytest.mark.usefixtures("nothing_left")

ENDLESS = Reconnect(restore="conversation", attempts=None, first_delay=0.01, longest_delay=0.05)
LONGEST_WAIT = 120.0
"""Seconds of `Retry-After` that are waited for; beyond that it is given up."""


@contextlib.contextmanager
def front(over: str, certificates: Certificates, house: House, port: int) -> Iterator[ScriptedServer]:
    """The house at `port`, or behind a proxy there."""
    if over == "proxy":
        hidden = ScriptedServer(house.play, tls=certificates.server_context("api.example.test"))
        with hidden, RecordingProxy(routes={"api.example.test:443": ("127.0.0.1", hidden.port)}, port=port) as proxy:
            yield proxy
        return
    tls = certificates.server_context() if over == "wss" else None
    with ScriptedServer(house.play, port=port, tls=tls) as server:
        yield server


def passes(refusal: Refusal) -> bool:
    return refusal.again and (refusal.wait is None or refusal.wait[1] <= LONGEST_WAIT)


def is_of(refusal: Refusal, loss: Json) -> bool:
    """Whether an attempt has failed by this refusal: the gap between two servers refuses, too."""
    error = loss["error"]
    return type(error) is refusal.kind and error.status == refusal.status and error.retryable


def rows(*, passing: bool) -> list[Any]:
    """The refusals that pass, or those that stay, each over the first line that it is tried over."""
    chosen = [refusal for refusal in REFUSALS if passes(refusal) is passing]
    return [pytest.param(refusal, refusal.over[0], id=str(refusal)) for refusal in chosen]


@pytest.mark.parametrize(("refusal", "over"), rows(passing=True))
def test_a_refusal_that_passes_is_waited_out(refusal: Refusal, over: str, certificates: Certificates) -> None:
    house, options = House(), {"connect_timeout": SHORT} if refusal.late else {}
    with reserved_port() as port, contextlib.ExitStack() as stack:
        with front(over, certificates, house, port):
            session = reach(port, over, certificates, "k", reconnect=ENDLESS, config=CONFIG, **options)
            stack.enter_context(session)
            told = stack.enter_context(Told(session))
            talk(session)
        with refusal.place(port, certificates if over == "wss" else None):
            told.until(lambda: any(is_of(refusal, loss) for loss in told.losses))
        with front(over, certificates, house, port):
            second = opened_again(house, session)
            failed = next(loss for loss in told.losses if is_of(refusal, loss))
            assert failed["delay"] >= (refusal.wait or (0, 0))[0]
            assert failed["cause"] is CloseCause.NETWORK
            assert [loss["attempt"] for loss in told.losses] == list(range(1, len(told.losses) + 1))
            assert told.back["attempt"] == len(told.losses)
            assert_restored(house.room(1), second)
            assert session.ask("Still there?", timeout=LIMIT).text == "yes"
            session.close()


@pytest.mark.parametrize(("refusal", "over"), rows(passing=False))
def test_a_refusal_that_stays_ends_the_session(refusal: Refusal, over: str, certificates: Certificates) -> None:
    house = House()
    with reserved_port() as port, contextlib.ExitStack() as stack:
        with front(over, certificates, house, port):
            session = reach(port, over, certificates, "k", reconnect=ENDLESS)
            stack.enter_context(session)
            told = stack.enter_context(Told(session))
        with refusal.place(port, certificates if over == "wss" else None) as bad:
            ended = told.closed
            assert isinstance(bad, ScriptedServer)
            assert bad.connections == 1
        failed = ended.__cause__
        assert isinstance(failed, refusal.kind)
        assert ended.cause is {
            AuthenticationFailed: CloseCause.AUTHENTICATION,
            RateLimited: CloseCause.RATE_LIMIT,
        }.get(refusal.kind, CloseCause.NETWORK)
        assert ended.retryable is refusal.again
        assert str(failed) in str(ended)
        assert_same_end(session, ended)


# -- credentials ------------------------------------------------------------------------------------------------------


class Doorman:
    """A door that lets those in whose token is among the valid ones; the others get a 401."""

    def __init__(self, *valid: str) -> None:
        self.valid = set(valid)
        self.shown: list[str] = []

    def __call__(self, peer: Peer) -> bool:
        token = peer.read_request().headers["authorization"].removeprefix("Bearer ")
        self.shown.append(token)
        if token not in self.valid:
            peer.refuse(401, "Unauthorized", body='{"error": {"code": "expired", "message": "Expired."}}')
        return token not in self.valid


@contextlib.contextmanager
def guarded(
    tokens: Callable[[], str], doorman: Doorman, policy: Reconnect = SOON
) -> Iterator[tuple[House, RealtimeSession, Told]]:
    house = House(door=doorman)
    with ScriptedServer(house.play) as server:
        target = OpenAI(api_key=tokens, base_url=server.http_url + "/v1")
        with RealtimeSession(target, reconnect=policy) as session, Told(session) as told:
            yield house, session, told


def test_a_fresh_token_is_asked_for_at_each_attempt() -> None:
    numbers = itertools.count(1)
    doorman = Doorman("t1", "t2", "t3")
    with guarded(lambda: f"t{next(numbers)}", doorman) as (house, session, _told):
        for number in (2, 3):
            house.room(number - 1).peer.reset()
            opened_again(house, session, number)
            assert session.ask("Hi", timeout=LIMIT).text == "yes"
    assert doorman.shown == ["t1", "t2", "t3"]


def test_a_token_that_has_expired_since_is_shown_once_and_then_another() -> None:
    tokens = iter(["old", "old", "new"])
    doorman = Doorman("old", "new")
    with guarded(lambda: next(tokens), doorman) as (house, session, told):
        doorman.valid.remove("old")
        house.room().peer.reset()
        opened_again(house, session)
        assert session.ask("Hi", timeout=LIMIT).text == "yes"
        assert [type(loss["error"]) for loss in told.losses] == [ConnectionLost, AuthenticationFailed]
        assert told.losses[1]["delay"] == 0.0
    assert doorman.shown == ["old", "old", "new"]


def test_the_same_token_is_never_refused_twice() -> None:
    doorman = Doorman("old")
    with guarded(lambda: "old", doorman) as (house, session, told):
        doorman.valid.clear()
        house.room().peer.reset()
        ended = told.closed
        assert (type(ended), ended.cause, ended.retryable) == (SessionClosed, CloseCause.AUTHENTICATION, False)
        assert_same_end(session, ended)
    assert doorman.shown == ["old", "old"]


# -- how often --------------------------------------------------------------------------------------------------------


def test_attempts_are_counted_and_their_delays_grow() -> None:
    policy = Reconnect(attempts=4, first_delay=0.02, longest_delay=0.05)

    def door(peer: Peer) -> bool:
        if peer.number > 1:
            peer.read_request()
            peer.refuse(503, "Busy")
        return peer.number > 1

    house = House(door=door)
    with ScriptedServer(house.play) as server, session_to(server, reconnect=policy) as session, Told(session) as told:
        house.room().peer.reset()
        ended = told.closed
        assert (type(ended), ended.cause, ended.code, ended.retryable) == (
            ConnectionLost, CloseCause.NETWORK, 1006, True,
        )  # fmt: skip
        assert "after 4 attempts" in str(ended)
        assert isinstance(ended.__cause__, ConnectFailed)
        assert ended.__cause__.status == 503
        assert_same_end(session, ended)
        assert server.connections == 5
        assert [loss["attempt"] for loss in told.losses] == [1, 2, 3, 4]
        for loss, full in zip(told.losses, [0.02, 0.04, 0.05, 0.05], strict=True):
            assert full / 2 <= loss["delay"] <= full


def test_a_service_that_takes_the_session_back_and_drops_it_is_given_up() -> None:
    """To greet and to confirm the configuration is no progress: else such a service would be tried for ever."""

    def answer(room: Room, event: Json) -> None:
        attentive(room, event)
        if room.peer.number > 1:
            room.peer.close(1011)

    house = House(answer)
    with (
        ScriptedServer(house.play) as server,
        session_to(server, config=CONFIG, reconnect=Reconnect(attempts=3, first_delay=0.0)) as session,
        Told(session) as told,
    ):
        house.room().peer.reset()
        ended = told.closed
        assert "after 3 attempts" in str(ended)
        assert [loss["attempt"] for loss in told.losses] == [1, 2, 3]
        assert server.connections == 4


def test_real_progress_makes_up_for_every_attempt_before() -> None:
    house = House()
    policy = Reconnect(restore="conversation", attempts=1, first_delay=0.0)
    with ScriptedServer(house.play) as server, session_to(server, reconnect=policy) as session, Told(session) as told:
        for number in range(1, 8):
            assert session.ask(f"Question {number}", timeout=LIMIT).text == "yes"
            house.room(number).peer.reset()
            assert_restored(house.room(number), opened_again(house, session, number + 1))
        told.until(lambda: len(told.returns) == 7)
        assert [back["attempt"] for back in told.returns] == [1] * 7
        assert len(house.room(8).items) == 14
