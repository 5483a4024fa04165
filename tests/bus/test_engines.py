"""Both engines keep the same rules: `rtsync/bus/engine.py`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rtsync.bus.addresses import engine_for
from rtsync.bus.engine import LOBBY, Batch, Bus, Card, Claim, Outcome, Posting, Revival, commands_of, events_of
from tests.bus.conversing import LIMIT
from tests.bus.redis_server import RedisServer

FOREVER = 3600.0  # seconds


@pytest.fixture(params=["memory", "redis"])
def engine(request: pytest.FixtureRequest) -> Iterator[Bus]:
    """An engine that holds nothing."""
    address = "memory://" if request.param == "memory" else request.getfixturevalue("bus")
    made = engine_for(address, timeout=5.0)()
    yield made
    made.close()


def card(session_id: str = "rt_1", **changes: Any) -> Card:
    fields = {
        "session_id": session_id,
        "owner": "ann",
        "config": None,
        "audio": False,
        "again": True,
        "idle_timeout": FOREVER,
        "keep_closed": FOREVER,
        "max_backlog": 3,
        "max_events": 100,
        "max_history": 1000,
    }
    return Card(**{**fields, **changes})


def registered(engine: Bus, **changes: Any) -> Card:
    made = card(**changes)
    assert engine.register(made, most=100, most_of_owner=100) is None
    return made


def claimed(engine: Bus, holder: str = "one", lease: float = FOREVER) -> Claim:
    [claim] = engine.claim(holder, most=10, lease=lease)
    return claim


def events(engine: Bus, after: str = "0") -> list[bytes]:
    return [entry.data for entry in engine.read("rt_1", after, 1000)]


def test_what_was_registered_is_claimed_once_with_its_card(engine: Bus) -> None:
    made = registered(engine, config={"voice": "alloy"})
    claim = claimed(engine)
    assert claim.card == made
    assert (claim.number, claim.tries, claim.handed_over) == (1, 1, False)
    assert engine.claim("two", most=10, lease=FOREVER) == []


def test_no_more_is_claimed_than_there_is_room_for(engine: Bus) -> None:
    for number in range(3):
        registered(engine, session_id=f"rt_{number}")
    assert len(engine.claim("one", most=2, lease=FOREVER)) == 2
    assert len(engine.claim("two", most=2, lease=FOREVER)) == 1


def test_limits_hold_for_one_owner_and_for_all(engine: Bus) -> None:
    for number, owner in enumerate(["ann", "ann", "bob"]):
        assert engine.register(card(f"rt_{number}", owner=owner), most=4, most_of_owner=2) is None
    assert engine.register(card("rt_3"), most=4, most_of_owner=2) == "owner"
    assert engine.register(card("rt_4", owner="bob"), most=4, most_of_owner=2) is None
    assert engine.register(card("rt_5", owner="cid"), most=4, most_of_owner=2) == "all"
    engine.finish("rt_0", "user", b"{}")
    assert engine.register(card("rt_5", owner="cid"), most=4, most_of_owner=2) is None
    assert sorted(engine.sessions("bob")) == ["rt_2", "rt_4"]


def test_a_session_registered_twice_is_one(engine: Bus) -> None:
    registered(engine)
    assert engine.register(card(), most=1, most_of_owner=1) is None
    assert len(engine.claim("one", most=10, lease=FOREVER)) == 1


def test_commands_are_taken_from_the_owner_alone(engine: Bus) -> None:
    registered(engine)
    assert engine.post("rt_1", "bob", "c1", b"{}") is Posting.UNKNOWN
    assert engine.post("rt_2", "ann", "c1", b"{}") is Posting.UNKNOWN
    assert engine.post("rt_1", "ann", "c1", b"{}") is Posting.DONE
    assert engine.info("rt_1", "bob") is None
    assert engine.finish("rt_1", "user", b"{}", owner="bob") is Posting.UNKNOWN


def test_a_command_that_is_posted_again_stands_there_once(engine: Bus) -> None:
    registered(engine)
    for _ in range(5):
        assert engine.post("rt_1", "ann", "c1", b"{}") is Posting.DONE
    assert len(engine.backlog("rt_1")) == 1


def test_a_full_backlog_takes_no_more_and_loses_nothing(engine: Bus) -> None:
    registered(engine)
    claim = claimed(engine)
    said = [engine.post("rt_1", "ann", f"c{number}", b"%d" % number) for number in range(4)]
    assert said == [Posting.DONE] * 3 + [Posting.FULL]
    waiting = engine.backlog("rt_1")
    assert [entry.data for entry in waiting] == [b"0", b"1", b"2"]
    assert engine.publish([Batch(claim, 1, [], done=[waiting[1].id])]) == [Outcome.DONE]
    assert [entry.data for entry in engine.backlog("rt_1")] == [b"0", b"2"]
    assert engine.post("rt_1", "ann", "c3", b"3") is Posting.DONE


def test_events_plan_and_commands_change_together(engine: Bus) -> None:
    registered(engine)
    claim = claimed(engine)
    engine.post("rt_1", "ann", "c1", b"{}")
    entry = engine.backlog("rt_1")[0]
    batch = Batch(claim, 1, [b"first", b"second"], done=[entry.id], changes={"a": b"1", "b": b"2"})
    assert engine.publish([batch]) == [Outcome.DONE]
    assert events(engine) == [b"first", b"second"]
    assert engine.backlog("rt_1") == []
    plan = engine.plan("rt_1")
    assert plan.fields == {"a": b"1", "b": b"2"}
    assert plan.last_id == engine.last_id("rt_1") == engine.read("rt_1", "0", 10)[-1].id
    assert engine.publish([Batch(claim, 2, [], changes={"a": None, "b": b"3"})]) == [Outcome.DONE]
    assert engine.plan("rt_1").fields == {"b": b"3"}


def test_a_batch_that_comes_twice_counts_once(engine: Bus) -> None:
    registered(engine)
    claim = claimed(engine)
    for _ in range(3):
        assert engine.publish([Batch(claim, 1, [b"once"])]) == [Outcome.DONE]
    assert events(engine) == [b"once"]


def test_commands_before_an_id_are_done_with_it(engine: Bus) -> None:
    registered(engine)
    claim = claimed(engine)
    for number in range(3):
        engine.post("rt_1", "ann", f"c{number}", b"%d" % number)
    third = engine.backlog("rt_1")[2].id
    engine.publish([Batch(claim, 1, [], before=third)])
    assert [entry.data for entry in engine.backlog("rt_1")] == [b"2"]


def test_who_was_followed_by_another_holder_cannot_say_a_word(engine: Bus) -> None:
    registered(engine)
    stale = claimed(engine, "one", lease=0.0)
    fresh = claimed(engine, "two")
    assert (fresh.number, fresh.tries) == (2, 2)
    assert engine.publish([Batch(stale, 1, [b"late"], changes={"a": b"1"})]) == [Outcome.STALE]
    assert engine.renew([stale], FOREVER) == {"rt_1": Outcome.STALE}
    engine.release([stale])
    assert engine.claim("three", most=10, lease=FOREVER) == []
    assert engine.publish([Batch(fresh, 1, [b"mine"])]) == [Outcome.DONE]
    assert events(engine) == [b"mine"]
    assert engine.plan("rt_1").fields == {}


def test_who_slept_over_the_lease_goes_on_where_nobody_has_followed(engine: Bus) -> None:
    registered(engine)
    claim = claimed(engine, lease=0.0)
    assert engine.publish([Batch(claim, 1, [b"late"])]) == [Outcome.DONE]
    assert engine.renew([claim], FOREVER) == {"rt_1": Outcome.DONE}
    assert engine.claim("two", most=10, lease=FOREVER) == []


def test_what_is_given_up_can_be_claimed_at_once_and_says_so(engine: Bus) -> None:
    registered(engine)
    engine.release([claimed(engine)])
    info = engine.info("rt_1", "ann")
    assert info is not None
    assert (info.state, info.holder) == ("waiting", None)
    again = claimed(engine, "two")
    assert again.handed_over
    engine.publish([Batch(again, 1, [b"a word"])])
    engine.release([again])
    assert claimed(engine, "three").tries == 1


def test_the_end_is_the_last_event_whoever_brings_it(engine: Bus) -> None:
    registered(engine)
    claim = claimed(engine)
    engine.post("rt_1", "ann", "c1", b"{}")
    engine.publish([Batch(claim, 1, [b"before"])])
    assert engine.finish("rt_1", "user", b"the end", owner="ann") is Posting.DONE
    assert engine.finish("rt_1", "user", b"again", owner="ann") is Posting.CLOSED
    assert engine.post("rt_1", "ann", "c2", b"{}") is Posting.CLOSED
    assert engine.publish([Batch(claim, 2, [b"late"])]) == [Outcome.CLOSED]
    assert engine.renew([claim], FOREVER) == {"rt_1": Outcome.CLOSED}
    assert events(engine) == [b"before", b"the end"]
    assert engine.claim("two", most=10, lease=FOREVER) == []
    info = engine.info("rt_1", "ann")
    assert info is not None
    assert (info.state, info.cause, info.backlog) == ("closed", "user", 0)


def test_a_holder_can_bring_the_end(engine: Bus) -> None:
    registered(engine)
    claim = claimed(engine)
    assert engine.publish([Batch(claim, 1, [b"the end"], cause="expired")]) == [Outcome.DONE]
    info = engine.info("rt_1", "ann")
    assert info is not None
    assert (info.state, info.cause) == ("closed", "expired")
    assert events(engine) == [b"the end"]
    assert engine.sessions("ann") == []


def test_what_nobody_uses_is_closed(engine: Bus) -> None:
    registered(engine, session_id="rt_1", idle_timeout=0.001)
    registered(engine, session_id="rt_2")
    threading.Event().wait(0.01)  # The time is what is tested.
    assert engine.close_idle() == 1
    info = engine.info("rt_1", "ann")
    assert info is not None
    assert info.cause == "idle"
    [notice] = events(engine)
    assert b"0.001 s" in notice
    assert engine.sessions("ann") == ["rt_2"]


def test_only_the_newest_events_are_kept(engine: Bus) -> None:
    registered(engine, max_events=100)
    claim = claimed(engine)
    engine.publish([Batch(claim, 1, [b"%d" % number for number in range(1000)])])
    kept = events(engine)
    assert len(kept) <= 250
    assert kept[-1] == b"999"
    assert not engine.has("rt_1", "1-1")
    assert engine.has("rt_1", engine.last_id("rt_1"))


def test_who_follows_a_channel_is_woken_and_misses_nothing(engine: Bus) -> None:
    registered(engine)
    claim = claimed(engine)
    found: list[bytes] = []
    reading = threading.Event()

    def follow() -> None:
        cursor = "0"
        while len(found) < 50:
            reading.set()
            for entry in engine.follow({events_of("rt_1"): cursor}, LIMIT).get(events_of("rt_1"), ()):
                cursor = entry.id
                found.append(entry.data)

    thread = threading.Thread(target=follow)
    thread.start()
    assert reading.wait(LIMIT)
    for number in range(50):
        engine.publish([Batch(claim, number + 1, [b"%d" % number])])
    thread.join(LIMIT)
    assert found == [b"%d" % number for number in range(50)]


def test_holders_are_told_of_new_sessions_commands_and_ends(engine: Bus) -> None:
    def told(channel: str, after: str, happens: Callable[[], object]) -> str:
        happens()
        return engine.follow({channel: after}, LIMIT)[channel][-1].id

    told(LOBBY, "0", lambda: registered(engine))
    first = told(commands_of("rt_1"), "0", lambda: engine.post("rt_1", "ann", "c1", b"{}"))
    told(commands_of("rt_1"), first, lambda: engine.finish("rt_1", "user", b"{}"))


def test_who_follows_in_vain_comes_back(engine: Bus) -> None:
    assert engine.follow({LOBBY: "0"}, 0.01) == {}


def test_redis_keeps_nothing_of_a_session_for_ever(bus: str, redis_server: RedisServer) -> None:
    engine = engine_for(bus, timeout=5.0)()
    made = registered(engine, idle_timeout=100.0, keep_closed=10.0)
    claim = claimed(engine)
    engine.post("rt_1", "ann", "c1", b"{}")
    engine.publish([Batch(claim, 1, [b"event"], changes={"a": b"1"})])

    def lifetimes() -> dict[str, int]:
        names = [f"{kind}:rt_1" for kind in ("card", "in", "seen", "out", "plan")] + [f"owner:{made.owner}"]
        prefix = bus.partition("prefix=")[2]
        return {name: engine._call("PTTL", prefix + name) for name in names}  # type: ignore[attr-defined]

    assert all(0 < left <= 260_000 for left in lifetimes().values()), lifetimes()
    engine.finish("rt_1", "user", b"{}")
    left = lifetimes()
    assert left["owner:ann"] == -2  # Nothing of it is there any more.
    assert all(0 < left[name] <= 60_000 for name in left if name != "owner:ann"), left
    engine.close()


def test_a_holder_brings_back_what_redis_has_lost(bus: str, redis_server: RedisServer) -> None:
    engine = engine_for(bus, timeout=5.0)()
    registered(engine)
    claim = claimed(engine)
    engine._call("FLUSHALL")  # type: ignore[attr-defined]
    assert engine.publish([Batch(claim, 7, [b"event"])]) == [Outcome.GONE]
    assert engine.renew([claim], FOREVER) == {"rt_1": Outcome.GONE}
    assert engine.revive([Revival(claim, {"a": b"1"})], FOREVER) == [Outcome.DONE]
    assert engine.publish([Batch(claim, 7, [b"event"])]) == [Outcome.DONE]
    assert engine.plan("rt_1").fields == {"a": b"1"}
    assert engine.claim("two", most=10, lease=FOREVER) == []
    assert engine.post("rt_1", "ann", "c1", b"{}") is Posting.DONE
    engine.close()


def test_a_name_is_marked_once_until_its_time_is_over_or_it_is_unmarked(engine: Bus) -> None:
    assert engine.mark("call:1", "mine", FOREVER)
    assert engine.mark("call:1", "mine", FOREVER)  # Repeated, as nobody knew whether it had happened.
    assert not engine.mark("call:1", "another", FOREVER)
    assert engine.mark("call:2", "another", FOREVER)
    engine.unmark("call:1")
    assert engine.mark("call:1", "another", 0.01)
    threading.Event().wait(0.1)  # The time is what is tested.
    assert engine.mark("call:1", "a third", FOREVER)
