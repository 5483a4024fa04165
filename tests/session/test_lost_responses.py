"""Responses that run, or were asked for, when the line is lost: who hears of it, and which are asked for again."""

from __future__ import annotations

import base64
import threading
from typing import Any

import pytest

from rtsync import ConnectionLost, RealtimeSession, Reconnect, ResponseFailed, SessionClosed, WaitTimeout
from tests.loopback import LIMIT, Peer, ScriptedServer
from tests.session.service import Json, Service, delta, error, response, session_to, spawn
from tests.session.successive import Succession, at_once, attend, resuming, watched

AGAIN = at_once(restore=lambda snapshot: [], responses="again")


def beginning(service: Service, event: Json, *pieces: str) -> str:
    """Begin the response that `event` asks for, and say `pieces`; returns its id."""
    response_id = f"resp_{event['event_id']}"
    item = {"id": f"item_{event['event_id']}", "type": "message", "role": "assistant", "status": "in_progress"}
    metadata = event.get("response", {}).get("metadata")
    service.say(
        response("response.created", response_id, metadata=metadata),
        {"type": "conversation.item.added", "item": item | {"content": []}},
        *(delta(piece, response_id) | {"item_id": item["id"], "content_index": 0} for piece in pieces),
    )
    return response_id


def half(service: Service, event: Json) -> None:
    """Answer every `response.create` with half of a response; anything else as the service does."""
    if event["type"] == "response.create":
        beginning(service, event, "Half ", "of it")
    else:
        attend(service, event)


def lose(session: RealtimeSession, services: Succession, number: int = 1) -> Json:
    """Cut connection `number` and wait until the session is back."""
    with watched(session) as signals:
        services[number].peer.reset()
        return signals.until("reconnected")


# -- told to those who wait -------------------------------------------------------------------------------------------


def test_a_response_that_was_running_fails_with_the_text_so_far() -> None:
    with resuming(half) as (session, services):
        held = session.respond()
        session.wait_for("response.output_text.delta", timeout=LIMIT, where=lambda event: event.delta == "of it")
        waiting = spawn(lambda: held.wait(LIMIT))
        said = lose(session, services)
        with pytest.raises(ResponseFailed) as raised:
            waiting.result()
        assert (held.status, held.text, held.done) == ("lost", "Half of it", True)
        with pytest.raises(ResponseFailed):
            held.wait(LIMIT)
        held.cancel()  # Nothing left to cancel.
    assert (raised.value.status, raised.value.text) == ("lost", "Half of it")
    assert isinstance(raised.value.__cause__, ConnectionLost)
    assert (said["lost"][0].what, said["lost"][0].id) == ("response", held.id)


def test_streams_give_what_came_and_then_raise() -> None:
    def speaking(service: Service, event: Json) -> None:
        if event["type"] == "response.create":
            response_id = beginning(service, event, "Half")
            sound = base64.b64encode(b"sound").decode()
            service.say({"type": "response.output_audio.delta", "response_id": response_id, "delta": sound})
            service.say({"type": "marker"})

    with resuming(speaking) as (session, services):
        held = session.respond()
        session.wait_for("marker", timeout=LIMIT)
        texts, sounds = held.text_deltas(timeout=LIMIT), held.audio_chunks(timeout=LIMIT)
        assert next(texts) == "Half"
        assert next(sounds) == b"sound"
        more = [spawn(lambda: next(texts)), spawn(lambda: next(sounds))]
        lose(session, services)
        for task in more:
            with pytest.raises(ResponseFailed) as raised:
                task.result()
            assert raised.value.status == "lost"
        with pytest.raises(ResponseFailed) as late:
            list(held.text_deltas(timeout=LIMIT))
        assert late.value.text == "Half"


def test_who_sent_response_create_and_waits_hears_with_the_text_so_far() -> None:
    with resuming(half) as (session, services):
        session.send({"type": "response.create"})
        session.wait_for("response.output_text.delta", timeout=LIMIT, where=lambda event: event.delta == "of it")
        with watched(session) as signals:
            services[1].peer.reset()
            with pytest.raises(ResponseFailed) as raised:
                session.wait_for("response.done", timeout=LIMIT)
            signals.until("reconnected")
        session.send({"type": "response.create"})
        assert session.wait_for("response.created", timeout=LIMIT)
    assert (raised.value.status, raised.value.text) == ("lost", "Half of it")


def test_who_sent_response_create_and_waits_only_after_the_loss_hears_too() -> None:
    with resuming(half) as (session, services):
        session.send({"type": "response.create"})
        session.wait_for("response.created", timeout=LIMIT)
        lose(session, services)
        with pytest.raises(ResponseFailed):
            session.wait_for("response.done", timeout=LIMIT)


def test_other_threads_waits_for_responses_end_and_their_other_waits_go_on() -> None:
    with resuming(half) as (session, services):
        session.send({"type": "response.create"})
        session.wait_for("response.output_text.delta", timeout=LIMIT)
        started = threading.Barrier(3)

        def wait(*types: str) -> Any:
            with session.expect(types, timeout=LIMIT) as expected:
                started.wait(LIMIT)
            return expected.event.type

        ending = spawn(wait, "response.done", "response.output_text.done")
        staying = spawn(wait, "response.done", "marker")
        started.wait(LIMIT)
        lose(session, services)
        with pytest.raises(ResponseFailed):
            ending.result()
        services[2].say({"type": "marker"})
        assert staying.result() == "marker"


def test_a_response_of_voice_detection_is_lost_for_those_who_wait_for_it() -> None:
    with resuming(None) as (session, services):
        services[1].say(response("response.created"), delta("Half"))
        session.wait_for("response.output_text.delta", timeout=LIMIT)
        started = threading.Event()

        def wait() -> Any:
            with session.expect("response.done", timeout=LIMIT):
                started.set()

        waiting = spawn(wait)
        assert started.wait(LIMIT)
        said = lose(session, services)
        with pytest.raises(ResponseFailed) as raised:
            waiting.result()
    assert raised.value.status == "lost"
    assert [(lost.what, lost.id) for lost in said["lost"]] == [("response", "resp_1")]


def test_who_waits_for_the_turn_gets_it_on_the_new_line() -> None:
    with resuming(half, attend) as (session, services):
        first = session.respond()
        second = spawn(lambda: session.respond(timeout=LIMIT).wait(LIMIT).text)
        third = spawn(lambda: session.respond(timeout=LIMIT).wait(LIMIT).text)
        lose(session, services)
        assert second.result() == "Yes."
        assert third.result() == "Yes."
        with pytest.raises(ResponseFailed):
            first.wait(LIMIT)


def test_asking_that_had_begun_to_be_answered_raises_with_the_text() -> None:
    with resuming(half) as (session, services):
        asking = spawn(lambda: session.ask("Hello", timeout=LIMIT))
        while not (items := session.conversation.responses) or items[-1].status != "in_progress":
            session.wait_for("response.output_text.delta", timeout=LIMIT, where=lambda event: event.delta == "of it")
        services[1].say({"type": "marker"})
        session.wait_for("marker", timeout=LIMIT)
        lose(session, services)
        with pytest.raises(ResponseFailed) as raised:
            asking.result()
    assert raised.value.text == "Half of it"


def test_a_response_beside_the_conversation_is_lost_as_well() -> None:
    with resuming(half) as (session, services):
        beside = session.respond(conversation="none")
        lose(session, services)
        with pytest.raises(ResponseFailed) as raised:
            beside.wait(LIMIT)
    assert raised.value.status == "lost"


# -- asked for once more ----------------------------------------------------------------------------------------------


def test_what_was_running_is_asked_for_once_more() -> None:
    with resuming(half, attend, reconnect=AGAIN) as (session, services):
        held = session.respond(instructions="Say yes.", metadata={"mine": "1"})
        first = services[1].hear("response.create")["response"]
        said = lose(session, services)
        assert held.wait(LIMIT).text == "Yes."
        again = services[2].hear("response.create")["response"]
        session.add_item({"type": "message", "role": "user", "content": []})
        assert services[2].hear()["type"] == "conversation.item.create"
    assert again == first
    assert said["lost"] == ()


def test_asked_for_and_not_begun_is_asked_for_once_more() -> None:
    with resuming(None, attend, reconnect=AGAIN) as (session, services):
        asked = spawn(lambda: session.respond(timeout=LIMIT).wait(LIMIT).text)
        services[1].hear("response.create")
        services[1].peer.reset()
        assert asked.result() == "Yes."


def test_it_is_asked_for_on_every_line_until_it_is_done() -> None:
    with resuming(half, half, None, attend, reconnect=AGAIN) as (session, services):
        held = session.respond()
        for number in (1, 2, 3):
            services[number].hear("response.create")
            lose(session, services, number)
        assert held.wait(LIMIT).text == "Yes."
        assert services[4].hear("response.create")["response"] == {"metadata": held.metadata}
        assert services[4].heard_nothing_more()


def test_a_line_that_breaks_just_then_does_not_swallow_it() -> None:
    """The second connection ends as soon as it has greeted, so that the asking again may fail in any way."""
    services = Succession(half, attend)

    def script(peer: Peer) -> None:
        if 2 <= peer.number <= 12:
            peer.accept()
            peer.send_json({"type": "session.created", "session": {"type": "realtime"}})
            peer.reset()
        else:
            services.play(peer)

    policy = at_once(restore=lambda snapshot: [], responses="again", attempts=None)
    with ScriptedServer(script) as server, session_to(server, reconnect=policy) as session:
        held = session.respond()
        services[1].peer.reset()
        assert held.wait(LIMIT).text == "Yes."
        services[2].hear("response.create")
        assert services[2].heard_nothing_more()


def test_streams_that_gave_nothing_yet_go_on_and_those_that_did_raise() -> None:
    with resuming(half, attend, reconnect=AGAIN) as (session, services):
        held = session.respond()
        session.wait_for("response.output_text.delta", timeout=LIMIT, where=lambda event: event.delta == "of it")
        begun = held.text_deltas(timeout=LIMIT)
        assert [next(begun), next(begun)] == ["Half ", "of it"]
        listening = spawn(lambda: list(held.audio_chunks(timeout=LIMIT)))  # It has seen pieces, and given none.
        waiting = spawn(lambda: next(begun))
        lose(session, services)
        with pytest.raises(ResponseFailed, match="anew") as raised:
            waiting.result()
        assert raised.value.status == "lost"
        held.wait(LIMIT)
        assert list(held.text_deltas(timeout=LIMIT)) == ["Yes."]
        assert listening.result() == []


def test_it_is_asked_for_before_those_who_wait_and_in_order() -> None:
    """Two beside the conversation, one in it, and one that waits for its turn."""
    with resuming(half, attend, reconnect=AGAIN) as (session, services):
        held = [
            session.respond(conversation="none", instructions="1"),
            session.respond(instructions="2"),
            session.respond(conversation="none", instructions="3"),
        ]
        later = spawn(lambda: session.respond(instructions="4", timeout=LIMIT).wait(LIMIT).text)
        with watched(session) as signals:
            services[1].peer.reset()
            sending = spawn(lambda: session.send({"type": "response.create", "response": {"instructions": "raw"}}))
            signals.until("reconnected")
        assert [one.wait(LIMIT).text for one in held] == ["Yes."] * 3
        assert later.result() == "Yes."
        sending.result()
        session.update()
        heard = []
        while (event := services[2].hear())["type"] != "session.update":
            heard.append(event["response"]["instructions"])
    assert heard[:3] == ["1", "2", "3"]
    assert "4" in heard[3:]


def test_what_was_cancelled_is_not_asked_for_again() -> None:
    with resuming(half, attend, reconnect=AGAIN) as (session, services):
        held = session.respond()
        cancelling = spawn(held.cancel)
        services[1].hear("response.create")
        services[1].hear("response.cancel")
        services[1].peer.reset()
        with pytest.raises(ConnectionLost):
            cancelling.result()
        with pytest.raises(ResponseFailed) as raised:
            held.wait(LIMIT)
        assert raised.value.text == "Half of it"
        session.update(instructions="Be brief.")
        assert services[2].hear()["type"] == "session.update"


def test_what_is_cancelled_in_the_gap_is_not_asked_for_again() -> None:
    nothing = error(code="response_cancel_not_active", message="Cancellation failed: no active response found")

    def attentive(service: Service, event: Json) -> None:
        if event["type"] == "response.cancel":
            service.say(nothing | {"error": nothing["error"] | {"event_id": event["event_id"]}})
        else:
            attend(service, event)

    services, opened = Succession(half, attentive), threading.Event()

    def script(peer: Peer) -> None:
        if peer.number > 1:
            assert opened.wait(LIMIT)
        services.play(peer)

    with (
        ScriptedServer(script) as server,
        session_to(server, reconnect=AGAIN) as session,
        watched(session) as signals,
    ):
        held = session.respond()
        services[1].peer.reset()
        signals.next("reconnecting")
        with pytest.raises(WaitTimeout):
            held.cancel(timeout=0.01)
        cancelling = spawn(lambda: held.cancel(timeout=LIMIT))
        opened.set()
        cancelling.result()
        assert held.wait(LIMIT).status == "cancelled"
        session.update(instructions="Be brief.")
        assert services[2].hear()["type"] == "response.cancel"
        assert services[2].hear()["type"] == "session.update"


def test_what_nobody_holds_any_more_is_not_asked_for_again() -> None:
    """respond() has given up in the gap."""
    services, opened = Succession(None, attend), threading.Event()

    def script(peer: Peer) -> None:
        if peer.number > 1:
            assert opened.wait(LIMIT)
        services.play(peer)

    with (
        ScriptedServer(script) as server,
        session_to(server, reconnect=AGAIN) as session,
        watched(session) as signals,
    ):
        asked = spawn(lambda: session.respond(timeout=1.0))
        services[1].hear("response.create")
        services[1].peer.reset()
        signals.next("reconnecting")
        with pytest.raises(WaitTimeout):
            asked.result()
        opened.set()
        signals.next("reconnected")
        assert session.respond(instructions="next").wait(LIMIT).text == "Yes."
        assert services[2].hear("response.create")["response"]["instructions"] == "next"


def test_closing_ends_what_was_to_be_asked_for_again() -> None:
    patient = Reconnect(first_delay=3600, longest_delay=3600, restore="conversation", responses="again")
    with resuming(half, reconnect=patient) as (session, services), watched(session) as signals:
        held = session.respond()
        tasks = [spawn(lambda: held.wait(LIMIT)), spawn(lambda: list(held.text_deltas(timeout=LIMIT)))]
        services[1].peer.reset()
        signals.next("reconnecting")
        session.close()
        for task in tasks:
            with pytest.raises((SessionClosed, ResponseFailed)):
                task.result()
        assert held.status == "lost"
        assert held.done


def test_giving_up_ends_it_too() -> None:
    policy = at_once(restore="conversation", responses="again", attempts=1)
    services = Succession(half)

    def script(peer: Peer) -> None:
        services.play(peer) if peer.number == 1 else peer.refuse(503, "Not now")

    with ScriptedServer(script) as server, session_to(server, reconnect=policy) as session:
        held = session.respond()
        services[1].peer.reset()
        with pytest.raises((SessionClosed, ResponseFailed)):
            held.wait(LIMIT)
        assert held.status == "lost"


def test_a_refusal_on_the_new_line_ends_it() -> None:
    def refusing(service: Service, event: Json) -> None:
        service.say(error(event_id=event["event_id"], code="no_more_today"))

    with resuming(half, refusing, reconnect=AGAIN) as (session, services):
        held = session.respond()
        lose(session, services)
        with pytest.raises(Exception, match="No") as raised:
            held.wait(LIMIT)
    assert getattr(raised.value, "code", None) == "no_more_today"
