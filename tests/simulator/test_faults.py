"""Faults as values and as text: what can be said, what is said of mistakes, and what chance does."""

from __future__ import annotations

import contextlib
import itertools
import re
import statistics
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtsync import ConfigurationError
from rtsync.simulator import SimulatorServer, faults, frames
from rtsync.simulator.faults import (
    EFFECTS,
    Close,
    Drip,
    Duplicate,
    Effect,
    End,
    Error,
    Expire,
    Fault,
    Refuse,
    Reset,
    Stall,
    Wrong,
)
from tests.conftest import PROJECT


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("reset@bytes=500", Fault(Reset(), bytes=500)),
        ("reset", Fault(Reset())),
        ("close=1012@events=10", Fault(Close(1012), events=10)),
        ("close=none", Fault(Close(None))),
        ('close=1000,reason="Bye, \\"friend\\" @ home"', Fault(Close(1000, 'Bye, "friend" @ home'))),
        ("refuse=429,retry_after=2", Fault(Refuse(429, retry_after="2"))),
        ("refuse=302,location=https://b.example/x?a=b", Fault(Refuse(302, location="https://b.example/x?a=b"))),
        ("expire@seconds=.5", Fault(Expire(), seconds=0.5)),
        ("end,notify@accept", Fault(End(notify=True), accept=True)),
        ("stall=reads,lasting=3@every=5,seed=2", Fault(Stall("reads", 3.0), every=5.0, seed=2)),
        ("drip=50@bytes=0,first=2,skip=1", Fault(Drip(50), bytes=0, first=2, skip=1)),
        ("duplicate=3@on=error,nth=2,each=2,chance=0.5", Fault(Duplicate(3), on="error", nth=2, each=2, chance=0.5)),
        ("error=rate_limit_exceeded,message=Slow down", Fault(Error("rate_limit_exceeded", message="Slow down"))),
        ("wrong=huge,size=100", Fault(Wrong("huge", 100))),
    ],
)  # fmt: skip
def test_a_text_and_a_value_are_the_same(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault
    assert Fault.parse(str(fault)) == fault


def test_blanks_around_words_mean_nothing() -> None:
    assert Fault.parse(" close = 1012 , reason = Bye now @ events = 3 ") == Fault(Close(1012, "Bye now"), events=3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected an effect"),
        ("@events=1", "expected an effect"),
        ("rest", r"there is no 'rest'; there are close, drip,.* wrong"),
        ("reset=5", "reset takes no value"),
        ("reset,now", "reset: there is no 'now'; there is nothing"),
        ("close,code=1,because=x", "close: there is no 'because'; there is code, reason"),
        ("close=70000", r"code=70000: must be a whole number from 0 to 65535 \(or none\)"),
        ("close=1000,code=1001", "code is said twice"),
        ("close,reason=" + "ä" * 62, "reason must be text of at most 123 bytes"),
        ("refuse=101", "must be an HTTP status from 200 to 599"),
        ("refuse,location=a\r\nb", "must be text that can stand in a header"),
        ("drip=0", "must be a whole number, 1 or more"),
        ("stall=both,lasting=0", "lasting=0: must be seconds, more than 0"),
        ("stall=neither", "side=neither: must be one of both, reads, writes"),
        ("wrong", "wrong needs a value, one of binary, .*: wrong=..."),
        ("wrong=huge,size=3", "must be a whole number, 64 or more"),
        ("error=two words", "must be a name such as model_not_found"),
        ("end,notify=maybe", "notify=maybe: must be true or false"),
        ("reset@later=1", "behind @: there is no 'later'; there is accept, bytes, events, on,.* seed"),
        ("reset@bytes", "bytes=: must be a whole number, 0 or more"),
        ("reset@bytes=x", "bytes=x: must be"),
        ("reset@seconds=nan", "seconds=nan: must be seconds, 0 or more"),
        ("reset@seconds=inf", "seconds=inf: must be"),
        ("reset@chance=2", "chance=2: must be a number from 0 to 1"),
        ("reset@on=", "on=: must be the type of an event"),
        ("reset@bytes=1,seconds=2", "strikes at one moment, not at bytes and seconds"),
        ("reset@events=1@first=2", "expected name or name=value, parted by commas, at 'first=2'|at 'events=1@first=2'"),
        ("reset@events=1,,first=2", "expected name or name=value"),
        ('close,reason=a"b', "expected name or name=value"),
        ("reset@inside=3", "inside goes with on, or with events from 1"),
        ("reset@events=0,inside=3", "inside goes with on, or with events from 1"),
        ("reset@events=3,nth=2", "nth goes with on"),
        ("close@bytes=5", "close cannot strike at bytes; it can at events, every, on, seconds"),
        ("duplicate@events=5,inside=1", "duplicate cannot strike at inside"),
        (
            "refuse@seconds=1",
            "refuse=?.* cannot strike at seconds; it can at no other moment than the upgrade's answer",
        ),
        ("drip@accept", "drip cannot strike at accept"),
        ("stall=reads@accept", "nothing is read or sent there yet"),
    ],
)
def test_a_mistake_is_named_with_what_could_stand_there(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s)^fault {re.escape(repr(text))}: .*(?:{said})"):
        Fault.parse(text)
    with pytest.raises(ConfigurationError):
        SimulatorServer(faults=["reset", text])


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        (Close, {"code": 70000}, "code=70000: must be a whole number from 0 to 65535"),
        (Close, {"code": "x"}, "code='x': must be a whole number"),
        (Drip, {"rate": 1.5}, "rate=1.5: must be a whole number"),
        (Refuse, {"status": 99}, "status=99: must be an HTTP status"),
        (Fault, {"what": Close(), "bytes": 4}, "close cannot strike at bytes"),
        (Fault, {"what": Reset(), "seconds": float("nan")}, "seconds=nan: must be seconds"),
        (Fault, {"what": Reset(), "events": -1}, "events=-1: must be a whole number"),
        (Fault, {"what": "reset"}, r"what='reset': must be an effect, such as Reset\(\)"),
    ],
)
def test_a_value_is_checked_as_a_text_is(kind: type[Effect], fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{said}"):
        kind(**fields)


def _effect(kind: type[Effect]) -> st.SearchStrategy[Effect]:
    fields = {field.name: _values(field.name, field.type) for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **fields)


def _values(name: str, kind: Any) -> st.SearchStrategy[Any]:
    known: dict[str, st.SearchStrategy[Any]] = {
        "code": st.integers(0, 65535),
        "close": st.none() | st.integers(0, 65535),
        "kind": st.from_regex(r"\A[a-z_.]{1,20}\Z"),
        "message": st.text(),
        "reason": st.text(max_size=30),
        "status": st.integers(200, 599),
        "retry_after": st.none() | st.from_regex(r"\A[ -~]{1,20}\Z"),
        "location": st.none() | st.from_regex(r"\A[ -~]{1,20}\Z"),
        "lasting": st.none() | st.floats(0.001, 1e6),
        "notify": st.booleans(),
        "size": st.integers(64, 1 << 40),
        "side": st.sampled_from(["both", "reads", "writes"]),
        "frame": st.sampled_from(get_args(frames.WrongFrame)),
    }
    return known.get(name, st.integers(1, 10**9))


_EFFECTS = st.one_of(*(_effect(kind) for name, kind in EFFECTS.items() if name != "error")) | st.builds(
    Error,
    code=st.none() | st.from_regex(r"\A[a-z_]{1,20}\Z"),
    message=_values("message", str),
    close=_values("close", int),
)


@given(_EFFECTS, st.integers(1, 9), st.integers(0, 9), st.integers(1, 9), st.floats(0, 1), st.integers(-9, 9))
def test_every_fault_can_be_written_and_read_again(
    what: Effect, first: int, skip: int, each: int, chance: float, seed: int
) -> None:
    fault = Fault(what, first=first, skip=skip, each=each, chance=chance, seed=seed)
    assert Fault.parse(str(fault)) == fault


@given(st.text())
def test_no_text_is_anything_but_a_fault_or_a_configuration_error(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        fault = Fault.parse(text)
        assert Fault.parse(str(fault)) == fault


def test_lines_are_chosen_by_number() -> None:
    def chosen(**which: Any) -> list[int]:
        return [line for line in range(1, 11) if Fault(Reset(), **which).concerns(line)]

    assert chosen() == [*range(1, 11)]
    assert chosen(first=2) == [1, 2]
    assert chosen(skip=1, first=2) == [2, 3]
    assert chosen(each=3) == [3, 6, 9]
    assert chosen(each=3, skip=1) == [4, 7, 10]
    assert chosen(chance=0.0) == []


def test_chance_keeps_its_share_and_repeats_itself() -> None:
    fault = Fault(Reset(), chance=0.3, seed=5)
    struck = [fault.concerns(line) for line in range(1, 2001)]
    assert 500 < sum(struck) < 700
    assert struck == [fault.concerns(line) for line in range(1, 2001)]
    assert struck != [Fault(Close(), chance=0.3, seed=5).concerns(line) for line in range(1, 2001)]


def test_delays_are_about_what_was_asked_for() -> None:
    fault = Fault(Reset(), every=4.0)
    delays = [*itertools.islice(fault.delays(1), 500)]
    assert min(delays) >= 2
    assert max(delays) <= 6
    assert 3.5 < statistics.mean(delays) < 4.5
    assert delays == [*itertools.islice(fault.delays(1), 500)]
    assert delays != [*itertools.islice(fault.delays(2), 500)]
    assert [*Fault(Reset(), seconds=2.0).delays(1)] == [2.0]


def test_every_effect_has_a_name_and_is_exported() -> None:
    assert {kind.__name__ for kind in EFFECTS.values()} <= {*faults.__all__}
    assert [*EFFECTS] == sorted(EFFECTS)


def test_the_documents_have_every_effect_every_detail_and_every_moment() -> None:
    section = (PROJECT / "docs" / "cli.md").read_text(encoding="utf-8").partition("### Faults")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    names = [[re.findall(r"`([a-z_]+)`", cell) for cell in row] for row in rows]
    effects = {first[0]: details for first, details in names if first and first[0] in EFFECTS}
    assert effects == {
        name: [field.name for field in msgspec.structs.fields(effect)] for name, effect in EFFECTS.items()
    }
    words = [word for first, _ in names if first[0] not in EFFECTS for word in first]
    assert words == [field.name for field in msgspec.structs.fields(Fault)[1:]]


def test_the_faults_that_the_documents_show_are_faults() -> None:
    section = (PROJECT / "docs" / "cli.md").read_text(encoding="utf-8").partition("### Faults")[2].partition("\n## ")[0]
    shown = re.findall(rf"`((?:{'|'.join(EFFECTS)})[=,@][^`]*)`", section)
    assert len([Fault.parse(text) for text in shown]) > 10


def test_the_documents_have_every_wrong_frame() -> None:
    row = next(
        line for line in (PROJECT / "docs" / "cli.md").read_text(encoding="utf-8").splitlines() if "| `wrong`" in line
    )
    assert re.findall(r"`(?:wrong=)?([a-z0-9]+)`", row.split("|")[3])[:13] == [*get_args(frames.WrongFrame)]
