"""The table of a session's life: every pair of state and trigger."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtsync.pure.state import TABLE, State, Trigger, after
from rtsync.vocabulary.errors import UsageError

# On a busy machine an example may take long; that says nothing about the code.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NEW, CONNECTING, OPEN = State.NEW, State.CONNECTING, State.OPEN
RECONNECTING, CLOSING, CLOSED = State.RECONNECTING, State.CLOSING, State.CLOSED

# Written down a second time, by hand: columns are open, established, lost, ended, close; None is a mistake.
DRAWN: dict[State, tuple[State | None, ...]] = {
    NEW: (CONNECTING, None, NEW, NEW, CLOSED),
    CONNECTING: (None, OPEN, CLOSED, CLOSED, CLOSING),
    OPEN: (OPEN, OPEN, RECONNECTING, CLOSED, CLOSING),
    RECONNECTING: (RECONNECTING, OPEN, RECONNECTING, CLOSED, CLOSING),
    CLOSING: (None, CLOSING, CLOSED, CLOSED, CLOSING),
    CLOSED: (None, CLOSED, CLOSED, CLOSED, CLOSED),
}
TRIGGERS = (Trigger.OPEN, Trigger.ESTABLISHED, Trigger.LOST, Trigger.ENDED, Trigger.CLOSE)
PAIRS = [
    (state, trigger, following)
    for state, row in DRAWN.items()
    for trigger, following in zip(TRIGGERS, row, strict=True)
]


def test_every_pair_of_state_and_trigger_is_decided() -> None:
    assert set(TABLE) == set(product(State, Trigger)) == {(state, trigger) for state, trigger, _ in PAIRS}


@pytest.mark.parametrize(("state", "trigger", "following"), PAIRS)
def test_each_pair_leads_where_it_is_drawn(state: State, trigger: Trigger, following: State | None) -> None:
    if following is None:
        with pytest.raises(UsageError):
            after(state, trigger)
    else:
        assert after(state, trigger) is following


@pytest.mark.parametrize("state", [CLOSING, CLOSED])
def test_opening_a_used_session_names_the_way_out(state: State) -> None:
    with pytest.raises(UsageError, match="make a new RealtimeSession"):
        after(state, Trigger.OPEN)


def test_opening_twice_at_once_says_who_is_at_it() -> None:
    with pytest.raises(UsageError, match="being opened by another thread"):
        after(CONNECTING, Trigger.OPEN)


@UNHURRIED
@given(st.lists(st.sampled_from(Trigger), max_size=30))
def test_nothing_leads_out_of_closed_and_close_then_ended_always_leads_there(triggers: list[Trigger]) -> None:
    state, closed = NEW, False
    for trigger in triggers:
        try:
            state = after(state, trigger)
        except UsageError:
            continue
        assert not closed or state is CLOSED
        closed = state is CLOSED
    assert after(after(state, Trigger.CLOSE), Trigger.ENDED) is CLOSED


def test_states_read_as_the_contract_names_them() -> None:
    assert [str(state) for state in State] == ["new", "connecting", "open", "reconnecting", "closing", "closed"]
