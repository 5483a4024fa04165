"""A session moves to a new connection before the service ends the old one, and nothing is lost by that.

The services here say that they end a session in a second or a few; then everything happens in fractions of that: the
renewal begins when a third is left, waits for calm until a sixth is, and no longer than until a twelfth is.
"""

from __future__ import annotations

import contextlib
import email.utils
import gc
import itertools
import os
import queue
import random
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from rtsync import (
    CloseCause,
    OpenAI,
    RealtimeSession,
    ResponseFailed,
    SessionClosed,
    SessionExpired,
)
from rtsync.simulator import SimulatorServer
from tests.loopback import LIMIT, Peer, PeerClosed, PeerGone, ScriptedServer, realtime_greeting
from tests.session.service import Json, Service, delta, done, response, session_to, spawn, user
from tests.session.successive import Succession, assert_a_fork_is_refused, at_once, attend, resuming, watched

WHOLE = at_once(restore="conversation")


def ends_in(seconds: float) -> Json:
    """Fields of a greeting: the session ends in `seconds`, counted from its beginning."""
    return {"expires_at": lambda: time.time() + seconds}


def once_only(seconds: float, times: int = 1) -> Json:
    """The same for the first session, or so many; those that follow end in an hour."""
    lives = iter(times * [seconds])
    return {"expires_at": lambda: time.time() + next(lives, 3600.0)}


def sockets() -> int:
    """How many descriptors of this process are sockets."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:  # The listing's own.
            pass
    return count


# -- a quiet moment ---------------------------------------------------------------------------------------------------


def test_the_next_connection_is_ready_before_the_first_one_is_closed() -> None:
    happened: queue.SimpleQueue[str] = queue.SimpleQueue()

    def noting(service: Service, event: Json) -> None:
        attend(service, event)
        happened.put(event["type"])

    with (
        resuming(noting, reconnect=WHOLE, greeting=once_only(0.6)) as (session, services),
        watched(session) as signals,
    ):
        session.update(instructions="Be brief.")
        session.add_item(user("One", "item_1"))
        session.add_item(user("Two", "item_2"))
        for _ in range(3):
            happened.get(timeout=LIMIT)
        said = signals.next("reconnected")
        assert [happened.get(timeout=LIMIT) for _ in range(3)] == ["session.update", *2 * ["conversation.item.create"]]
        services[1].peer.finished.wait(LIMIT)
        closed = services[1].closed_with
        assert session.state == "open"
        assert [item.id for item in session.conversation.items] == ["item_1", "item_2"]
        session.add_item(user("Three", "item_3"))
        assert session.respond().wait(LIMIT).text == "Yes."
        assert [services[2].hear()["type"] for _ in range(5)][-2:] == ["conversation.item.create", "response.create"]
        assert signals.nothing_more()
    assert closed is not None
    assert closed.code == 1000
    assert {name: said[name] for name in ("attempt", "cause", "lost", "renewed")} == {
        "attempt": 0,
        "cause": CloseCause.EXPIRED,
        "lost": (),
        "renewed": True,
    }
    assert said["state"] == "open"


def test_renewed_again_and_again() -> None:
    with resuming(reconnect=WHOLE, greeting=ends_in(0.5)) as (session, services), watched(session) as signals:
        for number in range(1, 7):
            session.add_item(user("Hello", f"item_{number}"))
            said = signals.next("reconnected")
            assert (said["renewed"], said["lost"]) == (True, ())
        assert [item.id for item in session.conversation.items] == [f"item_{number}" for number in range(1, 7)]
        assert session.stats.lines >= 7
        assert len(services) >= 7


def test_with_renew_off_the_line_ends_when_it_ends() -> None:
    """Another session with the same life is the clock."""
    with (
        resuming(reconnect=at_once(renew=False), greeting=ends_in(0.5)) as (session, services),
        resuming(greeting=ends_in(0.5)) as (other, _),
        watched(other) as signals,
    ):
        signals.next("reconnected")
        signals.next("reconnected")
        session.add_item(user("Hello"))
        assert len(services) == 1
        with watched(session) as mine:
            services[1].say({"type": "error", "error": {"code": "session_expired", "message": "Too long."}})
            services[1].peer.close(1001)
            assert mine.next("reconnecting")["cause"] is CloseCause.EXPIRED
            assert mine.next("reconnected")["renewed"] is False


def test_a_call_is_never_renewed() -> None:
    calls = Succession(**ends_in(0.5))
    with (
        ScriptedServer(calls.play) as server,
        RealtimeSession(
            OpenAI(api_key="k", base_url=server.http_url + "/v1").for_call("rtc_1"), reconnect=True
        ) as session,
        resuming(greeting=ends_in(0.5)) as (other, _),
        watched(other) as signals,
    ):
        signals.next("reconnected")
        signals.next("reconnected")
        session.add_item(user("Hello"))
        assert len(calls) == 1


def test_without_reconnect_nothing_is_renewed() -> None:
    services = Succession(**ends_in(0.5))
    with (
        ScriptedServer(services.play) as server,
        session_to(server) as session,
        resuming(greeting=ends_in(0.5)) as (other, _),
        watched(other) as signals,
    ):
        signals.next("reconnected")
        signals.next("reconnected")
        session.add_item(user("Hello"))
        assert len(services) == 1


# -- not while something goes on --------------------------------------------------------------------------------------

VOICE = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
NO_VOICE: Json = {"audio": {"input": {"turn_detection": None}}}


def run_a_response(session: RealtimeSession, service: Service) -> Callable[[], Any]:
    service.say(response("response.created"), delta("So"))
    session.wait_for("response.created", timeout=LIMIT)
    return lambda: service.say(done())


def speak(session: RealtimeSession, service: Service) -> Callable[[], Any]:
    service.say({"type": "session.updated", "session": VOICE}, {"type": "input_audio_buffer.speech_started"})
    session.wait_for("input_audio_buffer.speech_started", timeout=LIMIT)
    return lambda: service.say({"type": "input_audio_buffer.committed", "item_id": "item_1"})


def append_audio(session: RealtimeSession, service: Service) -> Callable[[], Any]:
    session.append_audio(b"sound")
    return lambda: service.say({"type": "input_audio_buffer.committed", "item_id": "item_1"})


def await_a_transcript(session: RealtimeSession, service: Service) -> Callable[[], Any]:
    spoken = {"id": "item_1", "type": "message", "role": "user", "status": "completed"}
    audio = {"audio": {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}}
    service.say(
        {"type": "session.updated", "session": audio},
        {
            "type": "conversation.item.added",
            "item": spoken | {"content": [{"type": "input_audio", "transcript": None}]},
        },
    )
    session.wait_for("conversation.item.added", timeout=LIMIT)
    said = {"item_id": "item_1", "content_index": 0, "transcript": "Hello?"}
    return lambda: service.say({"type": "conversation.item.input_audio_transcription.completed", **said})


def leave_unanswered(session: RealtimeSession, service: Service) -> Callable[[], Any]:
    session.send({"type": "input_audio_buffer.clear"})
    return lambda: service.say({"type": "input_audio_buffer.cleared"})


def test_nobody_is_interrupted() -> None:
    """Five sessions at once, each with something going on until the next connection has greeted."""
    kinds = (run_a_response, speak, append_audio, leave_unanswered, await_a_transcript)
    results = [spawn(_renewed_in_spite_of, kind) for kind in kinds]
    for task in results:
        said, still_there = task.result()
        assert said["lost"] == ()
        assert said["renewed"] is True
        assert still_there


def _renewed_in_spite_of(kind: Callable[[RealtimeSession, Service], Callable[[], Any]]) -> tuple[Json, bool]:
    greeting = once_only(4.5) | (VOICE if kind is speak else NO_VOICE)
    with resuming(reconnect=WHOLE, greeting=greeting) as (session, services), watched(session) as signals:
        end = kind(session, services[1])
        services[2].say()  # It has come, and greeted.
        still_there = services[1].closed_with is None and signals.nothing_more()
        end()
        return signals.next("reconnected"), still_there


def test_silence_that_is_streamed_to_voice_detection_keeps_nothing_from_renewal() -> None:
    with resuming(greeting=once_only(0.6) | VOICE) as (session, _), watched(session) as signals:
        stop = threading.Event()

        def stream() -> None:
            while not stop.wait(0.005):
                session.append_audio(bytes(480))

        streaming = spawn(stream)
        said = signals.next("reconnected")
        stop.set()
        streaming.result()
    assert (said["renewed"], said["lost"]) == (True, ())


def test_an_event_that_nothing_answers_keeps_nothing_from_renewal_and_is_not_lost() -> None:
    with resuming(greeting=once_only(0.6)) as (session, _), watched(session) as signals:
        session.send({"type": "something.new"})
        assert signals.next("reconnected")["lost"] == ()
        session.send({"type": "marker"})
        session.update()  # No error of the first one's is told to who waits.


def endless(service: Service, event: Json) -> None:
    """Begin every response and never end it."""
    if event["type"] == "response.create":
        service.say(response("response.created", metadata=event["response"].get("metadata")), delta("So far"))
    else:
        attend(service, event)


def test_at_the_limit_it_moves_all_the_same_and_says_what_is_lost() -> None:
    with (
        resuming(endless, attend, reconnect=WHOLE, greeting=once_only(0.6) | NO_VOICE) as (session, services),
        watched(session) as signals,
    ):
        held = session.respond()
        session.append_audio(b"sound")
        asked = spawn(lambda: session.wait_for("response.done", timeout=LIMIT))
        said = signals.next("reconnected")
        with pytest.raises(ResponseFailed) as raised:
            held.wait(LIMIT)
        with pytest.raises(ResponseFailed):
            asked.result()
        assert session.respond().wait(LIMIT).text == "Yes."
        assert [event["type"] for event in (services[2].hear(),)] == ["response.create"]
    assert (raised.value.status, raised.value.text) == ("lost", "So far")
    assert isinstance(raised.value.__cause__, SessionExpired)
    assert [lost.what for lost in said["lost"]] == ["response", "input_audio"]


def test_at_the_limit_a_response_is_asked_for_once_more_where_the_policy_says_so() -> None:
    policy = at_once(restore="conversation", responses="again")
    with (
        resuming(endless, attend, reconnect=policy, greeting=once_only(0.6)) as (session, _),
        watched(session) as signals,
    ):
        held = session.respond()
        assert held.wait(LIMIT).text == "Yes."
        assert signals.next("reconnected")["lost"] == ()


def test_at_the_limit_who_was_not_answered_hears() -> None:
    with (
        resuming(None, attend, greeting=once_only(0.6)) as (session, services),
        watched(session) as signals,
    ):
        asked = spawn(lambda: session.add_item(user("Hello")))
        with pytest.raises(SessionClosed, match="not sent again") as raised:
            asked.result()
        said = signals.next("reconnected")
        session.add_item(user("Again"))
        assert services[2].hear("conversation.item.create")["item"]["content"][0]["text"] == "Again"
    assert raised.value.cause is CloseCause.EXPIRED
    assert [(lost.what, lost.id) for lost in said["lost"]] == [("event", "conversation.item.create")]


# -- catching up ------------------------------------------------------------------------------------------------------


class Keeping:
    """A service that keeps the conversations of its connections, as it is told."""

    def __init__(self) -> None:
        self.conversations: dict[Service, list[str]] = {}
        self.settings: dict[Service, Json] = {}
        self.doubled: list[str] = []

    def __call__(self, service: Service, event: Json) -> None:
        items = self.conversations.setdefault(service, [])
        if event["type"] == "conversation.item.create":
            self._insert(items, event["item"]["id"], event.get("previous_item_id"))
        elif event["type"] == "conversation.item.delete":
            items.remove(event["item_id"])
        elif event["type"] == "session.update":
            self.settings[service] = event["session"]
        attend(service, event)

    def _insert(self, items: list[str], name: str, previous: str | None) -> None:
        if name in items:
            self.doubled.append(name)
        place = len(items) if previous is None else 0 if previous == "root" else items.index(previous) + 1
        items.insert(place, name)


def test_what_happens_while_the_next_one_is_restored_is_caught_up_with() -> None:
    keeping, go_on = Keeping(), threading.Event()

    def slow(service: Service, event: Json) -> None:
        if event["type"] == "session.update":
            assert go_on.wait(LIMIT)
        keeping(service, event)

    with (
        resuming(keeping, slow, reconnect=WHOLE, greeting=once_only(0.6)) as (session, services),
        watched(session) as signals,
    ):
        session.update(instructions="Be brief.")
        for name in "bdf":
            session.add_item(user(name, name))
        services[2].hear("session.update")
        session.add_item(user("c", "c"), after="b")
        session.add_item(user("a", "a"), after="root")
        session.add_item(user("g", "g"))
        session.delete_item("d")
        session.update(output_modalities=["text"])
        go_on.set()
        said = signals.next("reconnected")
        assert keeping.conversations[services[2]] == list("abcfg")
        assert [item.id for item in session.conversation.items] == list("abcfg")
        assert keeping.settings[services[2]] == {
            "type": "realtime",
            "instructions": "Be brief.",
            "output_modalities": ["text"],
        }
    assert said["lost"] == ()
    assert keeping.doubled == []


def test_what_comes_behind_an_item_that_was_refused_is_caught_up_with() -> None:
    keeping, go_on = Keeping(), threading.Event()

    def fussy(service: Service, event: Json) -> None:
        if event["type"] == "session.update":
            assert go_on.wait(LIMIT)
        if event.get("item", {}).get("id") == "b":
            service.say({"type": "error", "error": {"code": "invalid", "event_id": event["event_id"]}})
        else:
            keeping(service, event)

    with (
        resuming(keeping, fussy, reconnect=WHOLE, greeting=once_only(0.6)) as (session, services),
        watched(session) as signals,
    ):
        session.update(instructions="Be brief.")
        for name in "ab":
            session.add_item(user(name, name))
        services[2].hear("session.update")
        session.add_item(user("c", "c"))
        go_on.set()
        said = signals.next("reconnected")
        assert keeping.conversations[services[2]] == ["a", "c"]
    assert [(lost.what, lost.id) for lost in said["lost"]] == [("item", "b")]


def test_an_item_that_has_changed_since_is_made_anew_in_its_place() -> None:
    """The transcript of what the user said comes when the next connection has been told of the rest."""
    keeping, go_on = Keeping(), threading.Event()

    def slow(service: Service, event: Json) -> None:
        if event["type"] == "session.update":
            assert go_on.wait(LIMIT)
        keeping(service, event)

    spoken = {"id": "b", "type": "message", "role": "user", "status": "completed"}
    heard = {"type": "input_audio", "transcript": None}
    with (
        resuming(keeping, slow, reconnect=WHOLE, greeting=once_only(0.6)) as (session, services),
        watched(session) as signals,
    ):
        session.update(instructions="Be brief.")
        session.add_item(user("a", "a"))
        services[1].say({"type": "conversation.item.added", "item": spoken | {"content": [heard]}})
        session.add_item(user("c", "c"))
        services[2].hear("session.update")
        done_with = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "b"}
        services[1].say(done_with | {"content_index": 0, "transcript": "Hello?"})
        session.wait_for("conversation.item.input_audio_transcription.completed", timeout=LIMIT)
        go_on.set()
        said = signals.next("reconnected")
        assert keeping.conversations[services[2]] == ["a", "b", "c"]
        item = session.item("b")
        assert item is not None
        assert item.text == "Hello?"
    assert said["lost"] == ()


def test_what_a_callable_chose_is_not_brought_back_once_deleted() -> None:
    keeping, go_on = Keeping(), threading.Event()

    def slow(service: Service, event: Json) -> None:
        if event["type"] == "session.update":
            assert go_on.wait(LIMIT)
        keeping(service, event)

    def last_two(snapshot: Any) -> list[Json]:
        return [user(item.text, item.id) for item in snapshot.items[-2:]]

    with (
        resuming(keeping, slow, reconnect=at_once(restore=last_two), greeting=once_only(0.6)) as (session, services),
        watched(session) as signals,
    ):
        session.update(instructions="Be brief.")
        for name in "abc":
            session.add_item(user(name, name))
        services[2].hear("session.update")
        session.delete_item("b")
        session.add_item(user("d", "d"))
        go_on.set()
        signals.next("reconnected")
        assert keeping.conversations[services[2]] == ["c", "d"]


def test_a_callable_may_ask_the_model_for_its_summary() -> None:
    def summary(snapshot: Any) -> list[Json]:
        said = session.respond(conversation="none").wait(LIMIT).text
        return [{"type": "message", "role": "system", "content": [{"type": "input_text", "text": said}]}]

    with (
        resuming(reconnect=at_once(restore=summary), greeting=once_only(0.6)) as (session, services),
        watched(session) as signals,
    ):
        session.add_item(user("Hello"))
        signals.next("reconnected")
        assert services[2].hear("conversation.item.create")["item"]["content"][0]["text"] == "Yes."
        (item,) = session.conversation.items
    assert item.role == "system"


@pytest.mark.unmeasured
def test_many_threads_lose_nothing_and_double_nothing_over_many_renewals() -> None:
    """Eight threads add items without a pause, so that no calm moment ever comes."""
    keeping, renewals = Keeping(), 5
    with (
        resuming(keeping, reconnect=WHOLE, greeting=once_only(1.2, renewals)) as (session, services),
        watched(session) as signals,
    ):
        stop = threading.Event()

        def add(number: int) -> list[str]:
            names: list[str] = []
            while not stop.is_set() and len(names) < 200:
                names.append(f"{number}-{len(names)}")
                if len(names) % 2:
                    session.add_item(user("Hello", names[-1]), timeout=LIMIT)
                else:
                    session.send({"type": "conversation.item.create", "item": user("Hello", names[-1])}, timeout=LIMIT)
                stop.wait(0.01)  # Or the conversation grows faster than it can be restored.
            return names

        threads = [spawn(add, number) for number in range(8)]
        said = [signals.next("reconnected") for _ in range(renewals)]
        stop.set()
        names = [task.result() for task in threads]
        session.update()  # Everything before it is answered.
        items = [item.id for item in session.conversation.items]
        last = keeping.conversations[services[len(services)]]
    assert [(one["renewed"], one["lost"]) for one in said] == renewals * [(True, ())]
    assert sorted(items) == sorted(name for mine in names for name in mine)
    assert items == last
    assert keeping.doubled == []
    for number, mine in enumerate(names):
        assert [name for name in items if name.startswith(f"{number}-")] == mine


class Failing(Keeping):
    """The same, whose lines break now and then."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._chance = random.Random(seed)
        self.calm = threading.Event()

    def __call__(self, service: Service, event: Json) -> None:
        if not self.calm.is_set() and self._chance.random() < 0.002:
            service.peer.reset() if self._chance.random() < 0.5 else service.peer.drop()
            raise PeerGone("the line is broken")
        super().__call__(service, event)

    def life(self) -> float:
        """When the next session ends."""
        return time.time() + (3600.0 if self.calm.is_set() else self._chance.choice([0.5, 0.8]))


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_acknowledged_outlives_losses_and_renewals(seed: int) -> None:
    failing, stop = Failing(seed), threading.Event()
    policy = at_once(restore="conversation", attempts=None)
    with resuming(failing, reconnect=policy, greeting={"expires_at": failing.life}) as (session, _):

        def add(number: int) -> list[str]:
            kept: list[str] = []
            for n in itertools.count():
                if stop.wait(0.02):
                    return kept
                with contextlib.suppress(SessionClosed):  # It was on its way, and nobody knows.
                    session.add_item(user("Hello", f"{number}-{n}"), timeout=LIMIT)
                    kept.append(f"{number}-{n}")
            raise AssertionError

        threads = [spawn(add, number) for number in range(4)]
        until = time.monotonic() + LIMIT
        while session.stats.lines < 4 and time.monotonic() < until:
            stop.wait(0.05)
        failing.calm.set()
        stop.set()
        kept = [task.result() for task in threads]
        with contextlib.suppress(SessionClosed):
            session.update()
        session.update()
        items = [item.id for item in session.conversation.items]
        assert items in list(failing.conversations.values())
        assert session.stats.lines >= 4
    assert len(items) == len(set(items))
    assert failing.doubled == []
    for number, mine in enumerate(kept):
        found = [name for name in items if name.startswith(f"{number}-")]
        assert [name for name in found if name in set(mine)] == mine


def test_what_arrives_right_after_the_hand_over_reaches_handlers_in_order() -> None:
    """The second connection speaks without a pause from its restoration on."""
    seen: list[int] = []
    enough = threading.Event()

    def on_marker(_session: RealtimeSession, event: Any) -> None:
        seen.append(event.number)
        if event.number == 199:
            enough.set()

    def talking(service: Service, event: Json) -> None:
        attend(service, event)
        if event["type"] == "session.update":
            for number in range(200):
                service.say({"type": "marker", "number": number})
                if number == 100:  # The rest when the first connection has been left.
                    assert services[1].peer.finished.wait(LIMIT)

    with resuming(attend, talking, greeting=once_only(0.6)) as (session, services):
        session.on("marker", on_marker)
        session.update(instructions="Be brief.")
        assert enough.wait(LIMIT)
    assert seen == list(range(200))


# -- trouble on the way -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["refused", "reset before the greeting", "reset in the restoration", "closed"])
def test_a_next_connection_that_fails_is_tried_again_and_the_session_goes_on(trouble: str) -> None:
    services = Succession(attend, **once_only(0.6))

    def script(peer: Peer) -> None:
        if peer.number != 2:
            services.play(peer)
        elif trouble == "refused":
            peer.refuse(503, "Not now")
        else:
            peer.accept()
            if trouble != "reset before the greeting":
                realtime_greeting(peer)
                peer.recv_json()
            peer.close(1013) if trouble == "closed" else peer.reset()

    with (
        ScriptedServer(script) as server,
        session_to(server, reconnect=WHOLE) as session,
        watched(session) as signals,
    ):
        session.add_item(user("Hello", "item_1"))
        server.wait_for_connections(2)
        session.add_item(user("Again", "item_2"))
        said = signals.next("reconnected")
        assert [item.id for item in session.conversation.items] == ["item_1", "item_2"]
        assert server.connections == 3
    assert (said["renewed"], said["lost"]) == (True, ())


def test_a_token_that_a_renewal_was_refused_with_is_not_sent_again_when_the_line_is_lost() -> None:
    services = Succession(**ends_in(0.6))
    refused = threading.Event()

    def script(peer: Peer) -> None:
        if peer.number == 1:
            services.play(peer)
        else:
            peer.refuse(401, "Unauthorized")
            refused.set()

    with ScriptedServer(script) as server, session_to(server, reconnect=True) as session:
        waiting = spawn(lambda: session.wait_for("never", timeout=LIMIT))
        assert refused.wait(LIMIT)
        refuser = server.wait_for_connections(2)[1]
        assert refuser.finished.wait(LIMIT)
        while session._core._recovery._refused is None:  # Until its reader has read the answer.
            threading.Event().wait(0.001)
        services[1].peer.reset()
        with pytest.raises(SessionClosed) as raised:
            waiting.result()
        assert server.connections == 2
    assert raised.value.cause is CloseCause.AUTHENTICATION


def test_what_came_while_a_renewal_restored_the_configuration_alone_is_told() -> None:
    go_on = threading.Event()

    def slow(service: Service, event: Json) -> None:
        if event["type"] == "session.update":
            assert go_on.wait(LIMIT)
        attend(service, event)

    with (
        resuming(attend, slow, reconnect=at_once(restore="config"), greeting=once_only(0.6)) as (session, services),
        watched(session) as signals,
    ):
        session.update(instructions="Be brief.")
        session.add_item(user("Hello", "item_1"))
        services[2].hear("session.update")
        session.add_item(user("Again", "item_2"))
        go_on.set()
        said = signals.next("reconnected")
        assert [item.id for item in session.conversation.items] == []
    assert [(lost.what, lost.id) for lost in said["lost"]] == [("item", "item_1"), ("item", "item_2")]


@pytest.mark.parametrize(("status", "headers"), [(403, []), (503, [("Retry-After", "100")])])
def test_a_refusal_for_long_leaves_the_session_on_its_line(status: int, headers: list[tuple[str, str]]) -> None:
    """Another session of the same life is the clock."""
    services = Succession(**ends_in(0.6))

    def script(peer: Peer) -> None:
        services.play(peer) if peer.number == 1 else peer.refuse(status, "No more", headers)

    with (
        ScriptedServer(script) as server,
        session_to(server, reconnect=True) as session,
        resuming(greeting=ends_in(0.6)) as (other, _),
        watched(other) as signals,
    ):
        signals.next("reconnected")
        signals.next("reconnected")
        session.add_item(user("Hello"))
        assert session.state == "open"
        assert server.connections == 2


def test_a_next_connection_that_dies_when_it_is_ready_is_no_loss() -> None:
    """It is ready while a response runs, and goes; the response ends; another one takes over."""
    with (
        resuming(endless, attend, reconnect=WHOLE, greeting=once_only(4.5)) as (session, services),
        watched(session) as signals,
    ):
        held = session.respond()
        session.update(instructions="Be brief.")
        services[2].hear("session.update")
        services[2].say({"type": "marker", "of": "a connection that was never used"})
        services[2].peer.reset()
        seen: list[Any] = []
        session.on("marker", lambda session, event: seen.append(event.of))
        services[3].hear("session.update")
        services[1].say(done(metadata=held.metadata))
        assert held.wait(LIMIT).status == "completed"
        said = signals.next("reconnected")
        session.add_item(user("Hello", "item_1"))
        assert services[3].hear("conversation.item.create")["item"]["id"] == "item_1"
    assert (said["renewed"], said["lost"]) == (True, ())
    assert seen == []


def test_a_current_line_that_dies_during_renewal_is_a_loss_like_any_other() -> None:
    stuck = threading.Event()

    def slow(service: Service, event: Json) -> None:
        stuck.set()  # And never an answer.

    with (
        resuming(attend, slow, attend, reconnect=WHOLE, greeting=once_only(0.6)) as (session, services),
        watched(session) as signals,
    ):
        session.add_item(user("Hello", "item_1"))
        assert stuck.wait(LIMIT)
        services[1].peer.reset()
        assert signals.next("reconnecting")["cause"] is CloseCause.NETWORK
        said = signals.next("reconnected")
        services[2].peer.finished.wait(LIMIT)
        session.add_item(user("Again", "item_2"))
        assert [item.id for item in session.conversation.items] == ["item_1", "item_2"]
        assert [services[3].hear()["item"]["id"] for _ in range(2)] == ["item_1", "item_2"]
        assert signals.nothing_more()
    assert (said["renewed"], said["lost"], said["attempt"]) == (False, (), 1)


def test_a_new_line_that_dies_right_after_the_hand_over_is_a_loss_like_any_other() -> None:
    def dying(service: Service, event: Json) -> None:
        attend(service, event)
        services[1].peer.finished.wait(LIMIT)
        service.peer.reset()

    with (
        resuming(attend, dying, attend, reconnect=WHOLE, greeting=once_only(0.6)) as (session, services),
        watched(session) as signals,
    ):
        session.update(instructions="Be brief.")
        assert signals.next("reconnected")["renewed"] is True
        assert signals.next("reconnecting")["attempt"] == 1
        assert signals.next("reconnected")["renewed"] is False
        session.add_item(user("Hello"))
        assert services[3].hear()["type"] == "session.update"


# -- leaving ----------------------------------------------------------------------------------------------------------


def _never(peer: Peer) -> None:
    peer.read_request()
    peer.wait_until_released()


def _upgrade_only(peer: Peer) -> None:
    peer.accept()
    peer.wait_until_released()


def _greet_only(peer: Peer) -> None:
    realtime_greeting(peer)
    try:
        while True:
            peer.recv_json()
    except PeerClosed:
        return


@pytest.mark.parametrize("phase", ["not begun", "upgrading", "greeting", "restoring", "ready", "handed over"])
def test_closing_in_any_phase_leaves_nothing(phase: str) -> None:
    after: dict[str, Any] = {"upgrading": _never, "greeting": _upgrade_only, "restoring": _greet_only}
    life = 3600.0 if phase == "not begun" else 1.5 if phase == "ready" else 0.6
    services = Succession(endless, **once_only(life))

    def script(peer: Peer) -> None:
        play = services.play if peer.number == 1 else after.get(phase, services.play)
        play(peer)

    before = sockets()
    with ScriptedServer(script) as server, session_to(server, reconnect=WHOLE) as session:
        session.add_item(user("Hello", "item_1"))
        if phase == "ready":
            session.respond()
            services[2].hear("conversation.item.create")
        elif phase == "handed over":
            with watched(session) as signals:
                signals.next("reconnected")
        elif phase != "not begun":
            server.wait_for_connections(2)
        waiting = spawn(lambda: session.wait_for("never", timeout=LIMIT))
        session.close()
        with pytest.raises(SessionClosed) as raised:
            waiting.result()
        assert session.state == "closed"
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("rtsync-")]
        for peer in server.peers:
            peer.release()
    assert raised.value.cause is CloseCause.USER
    assert sockets() == before


def test_closing_from_many_threads_while_it_is_renewed_leaves_nothing() -> None:
    before = sockets()
    for pause in range(8):
        services = Succession(**ends_in(0.25))
        with ScriptedServer(services.play) as server, session_to(server, reconnect=WHOLE) as session:
            session.add_item(user("Hello", "item_1"))
            services[1 + pause % 3].say()
            tasks = [spawn(session.close) for _ in range(4)]
            for task in tasks:
                task.result()
            assert session.state == "closed"
    assert sockets() == before


def test_a_session_that_is_dropped_during_its_renewal_is_collected() -> None:
    services = Succession(attend, None, **once_only(0.6))
    with ScriptedServer(services.play) as server:
        session: RealtimeSession | None = session_to(server, reconnect=WHOLE).open()
        assert session is not None
        session.add_item(user("Hello", "item_1"))
        services[2].hear("conversation.item.create")
        readers = [thread for thread in threading.enumerate() if thread.name.startswith("rtsync-reader")]
        assert len(readers) == 2
        gone = weakref.ref(session)
        with pytest.warns(ResourceWarning, match="dropped while open"):
            session = None
        gc.collect()
        assert gone() is None
        for reader in readers:
            reader.join(LIMIT)
            assert not reader.is_alive()


def test_a_fork_during_a_renewal_leaves_it_to_the_parent() -> None:
    go_on = threading.Event()

    def slow(service: Service, event: Json) -> None:
        assert go_on.wait(LIMIT)
        attend(service, event)

    with (
        resuming(attend, slow, reconnect=WHOLE, greeting=once_only(0.6)) as (session, services),
        watched(session) as signals,
    ):
        session.add_item(user("Hello", "item_1"))
        services[2].hear("conversation.item.create")
        assert_a_fork_is_refused(session)
        go_on.set()
        assert signals.next("reconnected")["lost"] == ()
        session.add_item(user("Again", "item_2"))
        assert services[2].hear("conversation.item.create")["item"]["id"] == "item_2"


# -- what the service says of the time --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expires_at", [None, "soon", True, [], {}, 0, -1, 1, 1e300, float("inf"), float("nan"), 4102444800]
)
def test_a_service_that_says_nothing_sensible_is_not_renewed(expires_at: object) -> None:
    with resuming(greeting={"expires_at": expires_at}) as (session, services):
        for _ in range(20):
            session.add_item(user("Hello"))
        assert len(services) == 1
        assert session.state == "open"


@pytest.mark.parametrize("ahead", [86400.0, -86400.0])
def test_clocks_may_differ(ahead: float) -> None:
    """The service's own is that of the answer to the upgrade."""
    services = Succession()

    def script(peer: Peer) -> None:
        there = time.time() + ahead
        peer.accept(headers=[("Date", email.utils.formatdate(there, usegmt=True))])
        services.play(peer)

    services._greeting = {"expires_at": lambda: time.time() + ahead + (0.6 if len(services) == 1 else 3600.0)}
    with (
        ScriptedServer(script) as server,
        session_to(server, reconnect=True) as session,
        watched(session) as signals,
    ):
        assert signals.next("reconnected")["renewed"] is True


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_a_date_that_is_none_is_passed_over(date: str) -> None:
    services = Succession(**once_only(0.6))

    def script(peer: Peer) -> None:
        peer.accept(headers=[("Date", date)])
        services.play(peer)

    with (
        ScriptedServer(script) as server,
        session_to(server, reconnect=True) as session,
        watched(session) as signals,
    ):
        assert signals.next("reconnected")["renewed"] is True


# -- the simulator ----------------------------------------------------------------------------------------------------


def test_a_conversation_outlives_the_simulators_sessions() -> None:
    with (
        SimulatorServer(max_session_seconds=3.0, pace=False) as server,
        RealtimeSession(
            OpenAI(api_key="k", base_url=server.openai_url), config={"output_modalities": ["text"]}, reconnect=WHOLE
        ) as session,
        watched(session) as signals,
    ):
        asked, renewed, pause = 0, 0, threading.Event()
        while renewed < 2:
            assert session.ask("Hello").text
            asked += 1
            pause.wait(0.05)  # Or the conversation grows faster than it can be restored.
            if not signals.nothing_more():
                assert signals.next("reconnected")["lost"] == ()
                renewed += 1
        said = [item.role for item in session.conversation.items]
        assert said == asked * ["user", "assistant"]
        assert session.conversation.usage.responses == asked
