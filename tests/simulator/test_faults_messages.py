"""What strikes between events, or strikes events themselves; refused upgrades; and which lines suffer."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

import pytest
import websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rtsync import ConfigurationError
from rtsync.simulator import Fault, SimulatorServer
from rtsync.simulator.faults import Close, Duplicate, Refuse, Stall
from tests.simulator.documented import check_ga
from tests.simulator.talk import GA, LIMIT, PREVIEW, Talk, types
from tests.simulator.test_faults_lines import bad, both
from tests.simulator.wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, Frame, Raw

CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4000, 4004]
RESERVED = [0, 999, 1004, 1005, 1006, 1014, 1015, 2999, 5000, 65535]


@pytest.mark.parametrize("code", CODES)
def test_every_close_code_reaches_a_client_with_its_reason(code: int) -> None:
    with bad(f'close={code},reason="so, {code}"@events=1') as server, Talk(server) as talk:
        assert talk.receive()["type"] == "session.created"
        assert talk.close_code() == (code, f"so, {code}")


@pytest.mark.parametrize("code", [*CODES, *RESERVED, None])
def test_every_close_code_stands_on_the_wire_as_it_was_asked_for(code: int | None) -> None:
    with SimulatorServer(faults=[Fault(Close(code))]) as server, Raw(server) as client:
        assert client.frame().close == (code, "")
        client.send(CLOSE)
        assert client.rest() == (b"", "end")  # and nothing behind it


def test_a_close_frame_ends_a_response_between_its_events() -> None:
    with bad("close=1012@on=response.output_text.delta") as server, Talk(server) as talk:
        talk.text_only()
        talk.say("Hello")
        assert talk.until("response.output_text.delta")
        assert talk.close_code()[0] == 1012


def test_a_client_that_does_not_answer_the_close_is_not_waited_for_long() -> None:
    with bad("close@seconds=0.1") as server, Raw(server) as client:
        client.frame()
        assert client.frame().close == (1011, "")
        assert client.rest() == (b"", "end")


def test_a_session_is_refused_as_openai_does() -> None:
    fault = "error=invalid_api_key,kind=invalid_request_error,close=3000"
    with bad(fault) as server, Talk(server) as talk:
        event = talk.receive()
        assert talk.close_code() == (3000, "invalid_request_error.invalid_api_key")
    check_ga(event)
    assert (event["type"], event["error"]["code"]) == ("error", "invalid_api_key")


def test_an_error_without_a_close_leaves_the_session_open() -> None:
    with SimulatorServer(faults="error,message=Sorry@events=2", pace=False) as server, Talk(server) as talk:
        talk.text_only()
        event = talk.receive()
        talk.say("Hello")
        assert talk.until("response.done")
    assert event["error"] == {
        "type": "server_error",
        "code": None,
        "message": "Sorry",
        "param": None,
        "event_id": None,
    }


@pytest.mark.parametrize(("target", "minutes"), [(GA, 60), (PREVIEW, 30)])
def test_a_session_expires(target: str, minutes: int) -> None:
    with bad(f"expire={minutes}@events=1") as server, Talk(server, target) as talk:
        assert talk.receive()["type"] == "session.created"
        assert talk.receive()["error"]["code"] == "session_expired"
        assert talk.close_code() == (1001, f"Your session hit the maximum duration of {minutes} minutes.")


def wrong(kind: str) -> Frame:
    with bad(f"wrong={kind},size=70000@events=1") as server, Raw(server) as client:
        assert client.frame().event["type"] == "session.created"
        frame = client.frame()
        client.wrong()
        assert client.frame().event["type"] == "error"  # The server goes on as if nothing had been.
        return frame


def test_wrong_frames_are_wrong_in_the_way_they_say() -> None:
    assert wrong("binary").op == BINARY
    assert wrong("masked").masked
    assert wrong("reserved").reserved
    assert wrong("opcode").op == 0x3
    assert (wrong("fragment").op, wrong("fragment").fin) == (TEXT, False)
    assert wrong("continuation").op == CONTINUATION
    assert (wrong("ping").op, len(wrong("ping").payload)) == (PING, 126)
    assert (wrong("close").op, len(wrong("close").payload)) == (CLOSE, 1)
    with pytest.raises(UnicodeDecodeError):
        wrong("utf8").payload.decode()
    with pytest.raises(json.JSONDecodeError):
        json.loads(wrong("json").payload)
    assert isinstance(json.loads(wrong("array").payload), list)
    assert (len(wrong("huge").payload), wrong("huge").event["type"]) == (70_000, "rtsync.huge")


def test_an_impossible_length_is_announced() -> None:
    with bad("wrong=length@events=1") as server, Raw(server) as client:
        client.frame()
        assert client.exactly(10) == b"\x81\x7f\x80" + bytes(7)


@both
def test_a_huge_message_comes_whole(tls: bool) -> None:
    size = (8 << 20) + 1
    with bad(f"wrong=huge,size={size}@events=1", tls=tls) as server, Raw(server) as client:
        client.frame()
        assert len(client.frame().payload) == size


@pytest.mark.parametrize(
    ("kind", "code"),
    [(kind, 1002) for kind in ("masked", "reserved", "opcode", "continuation", "ping", "close")]
    + [("utf8", 1007), ("huge", 1009), ("length", 1009)],
)
def test_a_client_of_another_house_is_appalled(kind: str, code: int) -> None:
    with (
        bad(f"wrong={kind},size=5000@events=1") as server,
        Talk(server, max_size=4000) as talk,
        pytest.raises(ConnectionClosed) as closed,
    ):
        while True:
            talk.receive()
    assert closed.value.sent is not None
    assert closed.value.sent.code == code


def test_a_message_that_never_ends_is_an_error_at_the_next_one() -> None:
    with bad("wrong=fragment@events=1") as server, Talk(server) as talk:
        talk.receive()
        talk.send("nothing.like.it")
        with pytest.raises(ConnectionClosed) as closed:
            talk.receive()
    assert closed.value.sent is not None
    assert closed.value.sent.code == 1002


def answer(*faults: str) -> list[dict[str, Any]]:
    """The events of a text answer to `Hello`, on a line that suffers."""
    with bad(*faults) as server, Talk(server) as talk:
        talk.text_only()
        talk.say("Hello")
        return talk.until("rate_limits.updated")


def without_deltas(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events if not event["type"].endswith(".delta")]


WHOLE = without_deltas(answer())


def test_an_event_comes_twice() -> None:
    events = answer("duplicate@on=response.created")
    at = [event["type"] for event in events].index("response.created")
    assert events[at] == events[at + 1]
    assert without_deltas(events[:at] + events[at + 1 :]) == WHOLE


def test_so_many_events_come_twice() -> None:
    with bad("duplicate=3@events=2") as server, Talk(server) as talk:
        talk.receive()
        for _ in range(4):
            talk.send("nothing.like.it")
        ids = [talk.receive()["event_id"] for _ in range(7)]
    assert [ids.count(each) for each in dict.fromkeys(ids)] == [2, 2, 2, 1]


def test_two_neighbours_change_places() -> None:
    events = answer("reorder@on=response.done")
    assert without_deltas(events) == [*WHOLE[:-2], "rate_limits.updated"]
    deltas = answer("reorder=2@on=conversation.item.added,nth=1")
    assert sorted(without_deltas(deltas)) == sorted(WHOLE)
    assert without_deltas(deltas)[:2] == ["conversation.item.done", "conversation.item.added"]


def test_an_event_without_a_neighbour_comes_late() -> None:
    with bad("reorder@on=session.updated") as server, Talk(server) as talk:
        talk.text_only()
        talk.say("Hello")
        assert talk.until("rate_limits.updated")


def test_an_event_is_lost() -> None:
    assert without_deltas(answer("lose@on=response.content_part.done")) == [
        each for each in WHOLE if each != "response.content_part.done"
    ]
    with bad("lose=2@events=2") as server, Talk(server) as talk:
        talk.receive()
        for number in range(3):
            talk.send("nothing.like.it", event_id=f"mine_{number}")
        assert talk.receive()["error"]["event_id"] == "mine_2"


def test_events_come_in_small_frames() -> None:
    assert without_deltas(answer("split=7")) == WHOLE
    with bad("split=7@on=error") as server, Raw(server) as client:
        client.frame()
        client.wrong()
        frames = [client.frame()]
        while not frames[-1].fin:
            frames.append(client.frame())
    assert [frame.op for frame in frames] == [TEXT, *[CONTINUATION] * (len(frames) - 1)]
    assert {len(frame.payload) for frame in frames[:-1]} == {7}
    assert json.loads(b"".join(frame.payload for frame in frames))["type"] == "error"


@pytest.mark.parametrize("status", [200, 301, 302, 307, 308, 400, 401, 403, 404, 408, 426, 429, 500, 503, 599])
def test_an_upgrade_is_refused_with_every_status(status: int) -> None:
    with bad(f"refuse={status}") as server:
        with pytest.raises(InvalidStatus) as refused:
            Talk(server)
        assert refused.value.response.status_code == status
        assert server.strikes == 1


@both
def test_a_refusal_says_when_to_come_again_or_where_to_go(tls: bool) -> None:
    faults = ["refuse=429,retry_after=2@first=1", "refuse=302,location=ws://127.0.0.1:1/x?a=b@skip=1"]
    with bad(*faults, tls=tls) as server:
        heads = []
        for _ in range(2):
            with Raw(server) as client:
                heads.append(client.head)
    assert heads[0].startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nRetry-After: 2\r\n" in heads[0]
    assert heads[1].startswith(b"HTTP/1.1 302 Found\r\n")
    assert b"\r\nLocation: ws://127.0.0.1:1/x?a=b\r\n" in heads[1]


def test_other_requests_are_answered_as_ever() -> None:
    with bad("refuse=503") as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=LIMIT)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
        assert (server.lines, server.strikes) == (0, 0)


def fates(server: SimulatorServer, count: int) -> list[str]:
    """What becomes of the next lines: how each ends, or `well`."""
    found = []
    for _ in range(count):
        with Talk(server) as talk:
            talk.receive()
            try:
                talk.send("nothing.like.it")
                talk.receive()
                found.append("well")
            except ConnectionClosed as closed:
                found.append(str(closed.rcvd.code if closed.rcvd else "lost"))
    return found


def test_the_first_lines_suffer_and_the_next_are_well() -> None:
    with bad("end@events=1,first=1", "close=1012@events=1,skip=1,first=2", "reset@events=1,skip=3,each=2") as server:
        assert fates(server, 7) == ["lost", "1012", "1012", "well", "lost", "well", "lost"]
        assert (server.lines, server.strikes) == (7, 5)


def test_chance_is_the_same_again_and_another_with_another_seed() -> None:
    def run(seed: int) -> list[str]:
        with bad(f"close=1013@events=1,chance=0.5,seed={seed}") as server:
            return fates(server, 20)

    first = run(1)
    assert {"well", "1013"} == set(first)
    assert run(1) == first
    assert run(2) != first


def test_a_fault_strikes_again_and_again() -> None:
    with bad("error@every=0.05") as server, Talk(server) as talk:
        talk.receive()
        for _ in range(5):
            assert talk.receive()["type"] == "error"


def test_several_faults_strike_one_line() -> None:
    faults = ["split=5", "duplicate@on=session.created", "error@events=2", "close=4000@events=3"]
    with bad(*faults) as server, Talk(server) as talk:
        received = [talk.receive() for _ in range(2)]
        talk.send("nothing.like.it")
        received += [talk.receive() for _ in range(2)]
        assert talk.close_code()[0] == 4000
    assert types(received) == ["session.created", "session.created", "error", "error"]


def test_open_lines_are_struck_now() -> None:
    with SimulatorServer(pace=False) as server, Talk(server) as first, Talk(server) as second:
        for talk in (first, second):
            talk.receive()
        assert server.strike(Duplicate(), line=2) == 1
        second.send("nothing.like.it")
        assert second.receive() == second.receive()
        assert server.strike(Fault(Close(1012))) == 2
        assert first.close_code()[0] == second.close_code()[0] == 1012
        assert server.strikes == 3


def test_a_line_that_is_struck_now_goes_silent() -> None:
    with SimulatorServer() as server, Raw(server) as client:
        client.frame()
        assert server.strike(Stall()) == 1
        client.wrong()
        assert client.is_silent()


def test_a_slow_line_can_be_made_of_a_good_one() -> None:
    with SimulatorServer(pace=False) as server, Raw(server) as client:
        client.frame()
        server.strike("drip=500")
        client.wrong()
        started = time.monotonic()
        client.frame()
        assert time.monotonic() - started > 0.3


def test_nobody_is_struck_where_no_line_is_open() -> None:
    with SimulatorServer() as server:
        assert server.strike("reset") == 0
        with Talk(server) as talk:
            talk.receive()
            assert server.strike("reset", line=7) == 0


@pytest.mark.parametrize("fault", ["reset@events=1", "stall@every=5", Fault(Close(), seconds=1), Refuse(), "nonsense"])
def test_what_cannot_strike_now_is_a_configuration_error(fault: Any) -> None:
    with SimulatorServer() as server, pytest.raises(ConfigurationError):
        server.strike(fault)


@both
def test_a_server_that_crashes_ends_every_line_and_comes_back_at_its_port(tls: bool) -> None:
    with SimulatorServer(tls=tls, pace=False) as server:
        url = server.url
        clients = [Raw(server) for _ in range(20)]
        for client in clients:
            client.frame()
        server.crash()
        for client in clients:
            with client:
                assert client.rest() in [(b"", "reset"), (b"", "cut" if tls else "end")]
        with pytest.raises(RuntimeError, match="not running"):
            _ = server.port
        server.start(same_port=True)
        assert server.url == url
        with Raw(server) as client:
            assert client.frame().event["type"] == "session.created"
        assert server.lines == 21


def test_a_server_that_was_stopped_comes_back_at_its_port_when_asked() -> None:
    with SimulatorServer() as server:
        port = server.port
        with Talk(server) as talk:
            talk.receive()
            server.stop()
            assert talk.close_code()[0] == 1001
        server.start(same_port=True)
        assert server.port == port


def test_another_library_sees_the_same() -> None:
    with bad("close=4001,reason=Enough@events=2") as server:
        client = websocket.create_connection(server.url + GA, header=["Authorization: Bearer k"], timeout=LIMIT)
        client.recv()
        client.send('{"type": "nothing.like.it"}')
        client.recv()
        assert client.recv_data() == (CLOSE, b"\x0f\xa1Enough")
        assert client.sock is not None
        client.sock.close()


def test_what_has_gone_silent_for_ever_stays_so() -> None:
    with SimulatorServer(pace=False) as server, Raw(server) as client:
        client.frame()
        for fault in ("stall", "stall,lasting=0.01", "drip=1000", "duplicate", "error"):
            assert server.strike(fault) == 1
        client.wrong()
        assert client.is_silent()
        server.strike("reset")
        assert client.rest() == (b"", "reset")


def test_faults_strike_inside_the_events_of_a_slow_line() -> None:
    faults = ["drip=20000", *(f"stall,lasting=0.01@events={number},inside=4" for number in range(2, 30))]
    with bad(*faults) as server, Talk(server) as talk:
        talk.text_only()
        talk.say("Hello")
        assert talk.until("rate_limits.updated")
        assert server.strikes > 10
