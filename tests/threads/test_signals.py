"""`SafeSignal`: a blinker signal that keeps order, isolates, and bears many threads."""

from __future__ import annotations

import functools
import gc
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import blinker
import pytest

from rtsync import ConfigurationError
from rtsync.edges.signals import Board, SafeSignal, event_received, name_of
from rtsync.vocabulary.events import Event
from tests.session.service import spawn


class Sender:
    """Something that can be referred to weakly."""


def emit(signal: SafeSignal, sender: Any = None, **data: Any) -> list[tuple[str, str]]:
    failures: list[tuple[str, str]] = []
    signal.emit(sender, lambda receiver, error: failures.append((name_of(receiver), type(error).__name__)), **data)
    return failures


def test_it_is_a_blinker_signal() -> None:
    signal = SafeSignal()
    assert isinstance(signal, blinker.Signal)
    seen: list[Any] = []

    def receiver(sender: Any, **data: Any) -> str:
        seen.append((sender, data))
        return "heard"

    signal.connect(receiver)
    assert signal.send("me", event=1) == [(receiver, "heard")]
    assert seen == [("me", {"event": 1})]


def test_receivers_are_called_in_order_whatever_the_others_do() -> None:
    signal = SafeSignal()
    seen: list[int] = []
    for number in range(20):

        def receiver(_sender: Any, _event: Any, number: int = number) -> None:
            seen.append(number)
            if number % 5 == 0:
                raise ZeroDivisionError

        signal.connect(receiver, weak=False)
    failures = emit(signal, event=1)
    assert seen == list(range(20))
    assert [kind for _, kind in failures] == ["ZeroDivisionError"] * 4


def test_order_is_kept_among_receivers_of_one_sender_and_of_all() -> None:
    signal, sender = SafeSignal(), Sender()
    seen: list[str] = []
    signal.connect(lambda _sender, _event: seen.append("any"), weak=False)
    signal.connect(lambda _sender, _event: seen.append("mine"), sender=sender, weak=False)
    signal.connect(lambda _sender, _event: seen.append("theirs"), sender=Sender(), weak=False)
    emit(signal, sender, event=1)
    assert sorted(seen) == ["any", "mine"]


def test_receivers_for_one_sender_go_with_it() -> None:
    signal = SafeSignal()
    for _ in range(1000):
        signal.connect(lambda _sender, _event: None, sender=Sender(), weak=False)
    gc.collect()
    assert not signal.receivers
    sender = Sender()
    receiver = signal.connect(lambda _sender, _event: None, sender=sender, weak=False)
    signal.disconnect(receiver, sender=sender)
    assert not signal.receivers
    assert not signal._by_keyword


def test_muted_signals_are_silent() -> None:
    signal = SafeSignal()
    seen: list[int] = []
    signal.connect(lambda _sender, event: seen.append(event), weak=False)
    with signal.muted():
        emit(signal, event=1)
    emit(signal, event=2)
    assert seen == [2]


def test_connected_to_ends_with_its_block() -> None:
    signal = SafeSignal()
    seen: list[int] = []

    def receiver(_sender: Any, event: int) -> None:
        seen.append(event)

    with signal.connected_to(receiver):
        emit(signal, event=1)
    emit(signal, event=2)
    assert seen == [1]


@pytest.mark.parametrize("storm", range(3))
def test_threads_connect_disconnect_and_send_at_once(storm: int) -> None:
    signal = SafeSignal()
    senders = [Sender() for _ in range(10)]
    heard: list[int] = []
    signal.connect(lambda _sender, _event: heard.append(1), weak=False)

    def churn() -> None:
        for number in range(300):
            sender = senders[number % 10] if number % 3 else Sender()
            receiver = signal.connect(lambda _sender, _event: None, sender=sender, weak=False)
            assert emit(signal, sender, event=1) == []
            signal.disconnect(receiver, sender=sender)

    for one in [spawn(churn) for _ in range(6)]:
        one.result()
    gc.collect()
    assert len(heard) == 1800
    assert len(signal.receivers) == 1


def test_a_board_makes_one_signal_a_type_also_for_many_threads() -> None:
    for _ in range(50):
        board = Board()
        made = [spawn(board.signal, "x") for _ in range(4)]
        assert len({id(one.result()) for one in made}) == 1


def test_a_board_wants_only_what_somebody_listens_to() -> None:
    board = Board()
    assert not board.wants("x")
    receiver = board.signal("x").connect(lambda _sender, _event: None, weak=False)
    assert board.wants("x")
    assert not board.wants("y")
    board.signal("x").disconnect(receiver)
    assert not board.wants("x")
    board.signal(Board.ALL).connect(receiver, weak=False)
    assert board.wants("y")


def test_names_of_handlers_are_for_people() -> None:
    class Callable_:  # noqa: N801
        def __call__(self) -> None: ...

    assert name_of(test_muted_signals_are_silent).endswith("test_signals.test_muted_signals_are_silent")
    assert name_of(functools.partial(test_muted_signals_are_silent)) == name_of(test_muted_signals_are_silent)
    assert name_of(Callable_()) == "Callable_"
    assert "<lambda>" in name_of(lambda: None)


class Listener:
    """An object whose methods listen."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_event(self, _sender: Any, event: Any) -> None:
        self.heard.append(event)


async def asynchronous(_sender: Any, _event: Any) -> None:
    """What a signal that calls plain functions cannot call."""


class Asynchronous:
    """The same as an object."""

    async def __call__(self, _sender: Any, _event: Any) -> None: ...


def test_weak_receivers_go_with_their_last_reference() -> None:
    signal, listener, kept = SafeSignal(), Listener(), Listener()
    heard = listener.heard

    def function(_sender: Any, event: Any) -> None:
        heard.append(event)

    signal.connect(listener.on_event)
    signal.connect(function)
    signal.connect(kept.on_event)
    emit(signal, event=1)
    del listener, function
    gc.collect()
    emit(signal, event=2)
    assert (heard, kept.heard) == ([1, 1], [1, 2])
    assert len(signal.receivers) == 1


def test_strong_receivers_stay() -> None:
    signal, heard = SafeSignal(), list[int]()
    signal.connect(lambda _sender, event: heard.append(event), weak=False)
    signal.connect(functools.partial(lambda tens, _sender, event: heard.append(tens + event), 10), weak=False)
    gc.collect()
    emit(signal, event=1)
    assert heard == [1, 11]


@pytest.mark.parametrize("receiver", [lambda _sender, _event: None, functools.partial(print, "heard")])
def test_what_would_vanish_at_once_is_warned_of_where_it_is_connected(receiver: Any) -> None:
    signal = SafeSignal()
    with pytest.warns(
        RuntimeWarning, match=r"connected weakly.*session\.on\(...\), or connect\(..., weak=False\)"
    ) as said:
        signal.connect(receiver)
    assert [warning.filename for warning in said] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        signal.connect(receiver, weak=False)


@pytest.mark.parametrize("receiver", [asynchronous, Asynchronous(), functools.partial(asynchronous, 1)])
@pytest.mark.parametrize("weak", [True, False])
def test_coroutine_functions_are_refused_with_a_way_out(receiver: Any, weak: bool) -> None:
    signal = SafeSignal()
    with pytest.raises(ConfigurationError, match=r"coroutine function.*run_coroutine_threadsafe"):
        signal.connect(receiver, weak=weak)
    assert not signal.receivers


@pytest.mark.parametrize("receiver", [None, 5, "handler"])
def test_what_cannot_be_called_is_refused(receiver: Any) -> None:
    signal = SafeSignal()
    with pytest.raises(ConfigurationError, match=f"must be callable, not {type(receiver).__name__}"):
        signal.connect(receiver)
    assert not signal.receivers


def test_receivers_take_the_event_by_position_or_by_keyword_whatever_they_call_it() -> None:
    signal, heard = SafeSignal(), list[str]()

    def by_position(_session: Any, anything: Any) -> None:
        heard.append(f"position {anything}")

    def by_name(_session: Any, *, event: Any) -> None:
        heard.append(f"name {event}")

    def by_keywords(_session: Any, **data: Any) -> None:
        heard.append(f"keywords {data}")

    def by_default(_session: Any, event: Any = None, more: Any = 2) -> None:
        heard.append(f"default {event} {more}")

    for receiver in (by_position, by_name, by_keywords, by_default):
        signal.connect(receiver)
    assert emit(signal, event=1) == []
    assert heard == ["position 1", "name 1", "keywords {'event': 1}", "default 1 2"]


def test_several_data_go_by_keyword_and_none_at_all_too() -> None:
    signal, heard = SafeSignal(), list[Any]()

    def receiver(_session: Any, **data: Any) -> None:
        heard.append(data)

    signal.connect(receiver)
    emit(signal, attempt=1, delay=2.0)
    emit(signal)
    assert heard == [{"attempt": 1, "delay": 2.0}, {}]


def test_a_receiver_of_the_wrong_shape_fails_alone() -> None:
    signal, listener = SafeSignal(), Listener()
    signal.connect(lambda: None, weak=False)
    signal.connect(listener.on_event)
    assert [kind for _, kind in emit(signal, event=1)] == ["TypeError"]
    assert listener.heard == [1]


def test_each_receiver_is_announced_before_it_is_called() -> None:
    signal, order = SafeSignal(), list[str]()

    def receiver(_session: Any, _event: Any) -> None:
        order.append("called")

    signal.connect(receiver)
    signal.emit(None, lambda *_: None, lambda announced: order.append(name_of(announced).rpartition(".")[2]), event=1)
    assert order == ["receiver", "called"]


def test_what_ends_the_program_is_no_failure_of_a_receiver() -> None:
    signal = SafeSignal()

    def interrupted(_session: Any, _event: Any) -> None:
        raise KeyboardInterrupt

    signal.connect(interrupted)
    with pytest.raises(KeyboardInterrupt):
        emit(signal, event=1)


def test_connect_via_listens_to_one_sender_and_holds_strongly() -> None:
    signal, sender, heard = SafeSignal(), Sender(), list[int]()

    @signal.connect_via(sender)
    def receiver(_session: Any, event: int) -> None:
        heard.append(event)

    del receiver
    gc.collect()
    emit(signal, sender, event=1)
    emit(signal, Sender(), event=2)
    assert heard == [1]


def test_a_receiver_connected_twice_is_called_once_in_its_first_place() -> None:
    signal, order = SafeSignal(), list[str]()

    def first(_session: Any, _event: Any) -> None:
        order.append("first")

    def second(_session: Any, _event: Any) -> None:
        order.append("second")

    for receiver in (first, second, first):
        signal.connect(receiver)
    emit(signal, event=1)
    assert order == ["first", "second"]


def test_a_receiver_may_connect_and_disconnect_while_it_is_called() -> None:
    signal, order = SafeSignal(), list[str]()

    def late(_session: Any, _event: Any) -> None:
        order.append("late")

    def once(_session: Any, _event: Any) -> None:
        order.append("once")
        signal.disconnect(once)
        signal.connect(late)

    signal.connect(once)
    emit(signal, event=1)
    emit(signal, event=2)
    assert order == ["once", "late"]


def test_a_receiver_of_several_senders_stays_until_the_last_one_is_disconnected() -> None:
    signal, one, two, listener = SafeSignal(), Sender(), Sender(), Listener()
    signal.connect(listener.on_event, sender=one)
    signal.connect(listener.on_event, sender=two)
    signal.disconnect(listener.on_event, sender=one)
    emit(signal, one, event=1)
    emit(signal, two, event=2)
    assert listener.heard == [2]
    signal.disconnect(listener.on_event, sender=two)
    assert not signal.receivers


@pytest.mark.parametrize("with_sender", [True, False])
def test_a_thousand_connections_and_disconnections_leave_nothing(with_sender: bool) -> None:
    signal, sender = SafeSignal(), Sender()
    where: dict[str, Any] = {"sender": sender} if with_sender else {}
    for number in range(1000):

        def by_keyword(_session: Any, *, event: int, number: int = number) -> None: ...

        signal.connect(by_keyword, weak=bool(number % 2), **where)
        signal.disconnect(by_keyword, **where)
    del by_keyword
    gc.collect()
    assert not signal.receivers
    assert not signal._by_keyword
    assert not any(signal._by_receiver.values())
    assert not any(signal._by_sender.values())


@pytest.fixture
def nervous_threads() -> Iterator[None]:
    """Threads that give way to each other as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("nervous_threads")
def test_six_nervous_threads_storm_a_signal_and_nothing_breaks() -> None:
    signal, listener, sender = SafeSignal(), Listener(), Sender()
    signal.connect(listener.on_event)

    def connect_for_senders_that_vanish() -> None:
        for _ in range(400):
            signal.connect(_nothing, sender=Sender())

    def connect_for_all() -> None:
        for _ in range(400):

            def receiver(_sender: Any, _event: Any) -> None: ...

            signal.connect(receiver)
            signal.disconnect(receiver)

    def send() -> None:
        for _ in range(400):
            assert emit(signal, sender, event=1) == []

    for one in [spawn(work) for work in (connect_for_senders_that_vanish, connect_for_all, send) * 2]:
        one.result()
    gc.collect()
    assert len(listener.heard) == 800
    assert list(signal.receivers_for(sender)) == [listener.on_event]
    assert len(signal.receivers) == 1


def _nothing(_sender: Any, _event: Any) -> None: ...


class Somewhere:
    current: Callable[..., Any] | None = None
    number = 0

    @property
    def handling(self) -> tuple[int, object]:
        return self.number, self.current


def test_a_board_calls_the_types_listeners_then_those_of_all_then_the_modules() -> None:
    board, session, order, place = Board(), Sender(), list[str](), Somewhere()
    board.signal(Board.ALL).connect(lambda _session, _event: order.append("all"), weak=False)
    board.signal("x").connect(lambda _session, _event: order.append("type"), weak=False)
    board.signal("y").connect(lambda _session, _event: order.append("other type"), weak=False)

    def module_wide(_session: Any, _event: Any) -> None:
        order.append("module")

    assert board.wants("z")
    with event_received.connected_to(module_wide):
        board.emit(session, [Event({"type": "x"})], lambda *_: None, place, {})
    assert order == ["type", "all", "module"]
    assert place.current is module_wide


def test_a_board_makes_signals_on_request_and_never_from_the_wire() -> None:
    board = Board()
    board.signal("x")
    for number in range(1000):
        assert not board.wants(f"vendor.{number}")
        board.emit(Sender(), [Event({"type": f"vendor.{number}"})], lambda *_: None, Somewhere(), {})
    assert list(board._signals) == ["x"]
    assert board.signal("x") is board.signal("x")


def test_what_a_receiver_leaves_behind_goes_with_its_event_also_where_it_leaves_the_loop() -> None:
    board, place, traces = Board(), Somewhere(), {1: "first", 2: "second", 3: "third"}

    def handler(_session: Any, event: Any) -> None:
        if event.number == 2:
            raise SystemExit

    def events() -> Iterator[Event]:
        for place.number in (1, 2, 3):
            yield Event({"type": "x", "number": place.number})

    board.signal("x").connect(handler, weak=False)
    with pytest.raises(SystemExit):
        board.emit(Sender(), events(), lambda *_: None, place, traces)
    assert traces == {3: "third"}


def test_a_handler_that_was_disconnected_is_let_go_of_at_once() -> None:
    class Handler:
        def __call__(self, _session: Any, _event: Any) -> None:
            pass

    board, handler, place = Board(), Handler(), Somewhere()
    gone = weakref.ref(handler)
    board.signal("response.done").connect(handler, weak=False)
    for _ in range(2):  # The second one by the plan of the first.
        board.emit(Sender(), [Event({"type": "response.done"})], lambda *_: None, place, {})
    place.current = None
    board.signal("response.done").disconnect(handler)
    del handler
    gc.collect()
    assert gone() is None
