"""Events: decoded as they came, read as mappings or by attribute, written as the wire wants them."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rtsync.vocabulary.errors import ProtocolError
from rtsync.vocabulary.events import Event, Fields, Items, decode, encode, new_event_id

# On a busy machine an example may take long; that says nothing about the code.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DONE: dict[str, Any] = {
    "type": "response.done",
    "event_id": "event_1",
    "response": {
        "id": "resp_1",
        "output": [{"type": "message", "content": [{"type": "output_audio", "transcript": "Hi"}]}],
        "usage": None,
    },
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(max_size=3) | st.sampled_from(["type", "delta", "items", "__class__", "_data"])
OBJECTS = st.dictionaries(NAMES, JSON, max_size=4)


def on_the_wire(value: Any, **options: Any) -> bytes:
    return json.dumps(value, **options).encode("utf-8", "surrogatepass")


def event(**fields: Any) -> Event:
    return Event({"type": "vendor.thing", **fields})


# -- decoding ------------------------------------------------------------------------------------------------------


@UNHURRIED
@given(OBJECTS, st.booleans())
@example({"type": "x", "lone": "\ud800", "big": 10**30, "half": 0.1, "": {"": [{}]}}, True)
def test_every_json_object_is_an_event_equal_to_it(data: dict[str, Any], ascii_only: bool) -> None:
    message = on_the_wire(data, ensure_ascii=ascii_only)
    found = decode(message)
    assert found == json.loads(message) == found.to_dict()
    assert list(found) == list(data)
    assert decode(encode(found)) == found


def test_unknown_types_and_fields_nulls_and_wrong_types_are_delivered() -> None:
    data: dict[str, Any] = {
        "type": "vendor.new",
        "response": None,
        "delta": 7,
        "audio": [],
        "item": "text",
        "surprise": {"a": None},
    }
    found = decode(on_the_wire(data))
    assert (found.type, found.wire_type) == ("vendor.new", "vendor.new")
    assert (found.response, found.delta, found.surprise.a) == (None, 7, None)
    assert found.to_dict() == data


@pytest.mark.parametrize("data", [{}, {"type": None}, {"type": 7}, {"type": ["x"]}, {"type": {"type": "x"}}])
def test_an_event_without_a_type_has_the_empty_one(data: dict[str, Any]) -> None:
    found = decode(on_the_wire(data))
    assert (found.type, found.wire_type) == ("", "")
    assert found == data


def test_half_surrogate_pairs_come_through() -> None:
    found = decode(b'{"type": "x", "delta": "\\ud83d", "\\udc00": 1}')
    assert found == {"type": "x", "delta": "\ud83d", "\udc00": 1}
    assert decode(encode(found)) == found


def test_numbers_that_json_does_not_have_come_through() -> None:
    found = decode(b'{"a": NaN, "b": Infinity, "c": -Infinity, "d": 1e999}')
    assert math.isnan(found.a)
    assert (found.b, found.c, found.d) == (math.inf, -math.inf, math.inf)


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**300])
def test_big_integers_stay_exact(number: int) -> None:
    assert decode(on_the_wire({"a": number})).a == number


def test_the_last_of_two_fields_of_one_name_counts() -> None:
    assert decode(b'{"type": "first", "type": "second"}').type == "second"


def test_deep_nesting_comes_through_and_does_not_break_what_reads_it() -> None:
    depth = 400
    found = decode(b'{"a":' * depth + b"1" + b"}" * depth)
    inner: Any = found
    for _ in range(depth):
        inner = inner.a
    assert inner == 1
    assert found.to_dict() == found
    assert len(repr(found)) < 1000


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "a number too long"),
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b'{"a": 1} {}', "Extra data"),
        (b"{'a': 1}", "Expecting property name"),
        (b'{"a": "line\nfeed"}', "Invalid control character"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"hello", "Expecting value"),
    ],
)
def test_what_is_no_json_is_refused_with_the_reason_and_without_its_text(message: bytes, says: str) -> None:
    with pytest.raises(ProtocolError, match="is not JSON") as caught:
        decode(message)
    assert says in str(caught.value)
    assert f"{len(message)} bytes" in str(caught.value)
    assert caught.value.close_code is None
    assert "hello" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "named"),
    [(b"[]", "list"), (b'"x"', "str"), (b"1", "int"), (b"1.5", "float"), (b"null", "NoneType"), (b"true", "bool")],
)
def test_json_that_is_no_object_is_refused(message: bytes, named: str) -> None:
    with pytest.raises(ProtocolError, match=rf"not an object \({named}, {len(message)} bytes\)") as caught:
        decode(message)
    assert caught.value.close_code is None


@pytest.mark.parametrize("message", [b'{"a": "\xff"}', b"\xff", b'{"a": "\xed\xa0\x80"}', b'{"a": "\xc3'])
def test_bytes_that_are_no_utf8_are_told_apart_for_the_close_code(message: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        decode(message)


@pytest.mark.parametrize(
    "message",
    [b'{"a": 1}', b'{"a": "\\ud800"}', b'{"a": NaN}', b"[]", b"hello", b'{"a": "\xff"}', b"\xff", b'{"a": "\xc3', b""],
)
def test_a_view_of_a_message_is_read_and_refused_as_the_message_itself(message: bytes) -> None:
    outcomes = []
    for form in (message, memoryview(bytearray(b"." + message + b"."))[1:-1]):
        try:
            outcomes.append(repr(decode(form).to_dict()))
        except (ProtocolError, UnicodeDecodeError) as error:
            outcomes.append(repr((type(error), str(error), error.__context__)))
    assert outcomes[0] == outcomes[1]


@UNHURRIED
@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_refused(message: bytes) -> None:
    try:
        assert isinstance(decode(message), Event)
    except (ProtocolError, UnicodeDecodeError):
        pass


# -- reading -------------------------------------------------------------------------------------------------------


def test_fields_are_read_by_attribute_and_by_name_at_any_depth() -> None:
    found = Event(DONE)
    assert found.response.output[0].content[0].transcript == "Hi"
    assert found["response"]["output"][0]["content"][0]["transcript"] == "Hi"
    assert found.response.usage is None
    assert (type(found.response), type(found.response.output)) == (Fields, Items)


def test_an_event_is_a_mapping() -> None:
    found = Event(DONE)
    assert isinstance(found, Mapping)
    assert (len(found), list(found), "event_id" in found, "nope" in found) == (3, list(DONE), True, False)
    assert found.get("nope", 7) == 7
    assert {**found}["event_id"] == "event_1"
    with pytest.raises(KeyError, match="nope"):
        found["nope"]
    match found:
        case {"type": "response.done", "response": {"id": str(response_id)}}:
            assert response_id == "resp_1"
        case _:
            pytest.fail("an event must match a mapping pattern")


def test_a_field_named_like_a_method_of_mappings_is_read_with_brackets() -> None:
    found = event(items=[1], keys={"a": 1}, get="x", to_dict=3)
    assert (found["items"], found["keys"], found["get"], found["to_dict"]) == ([1], {"a": 1}, "x", 3)
    assert dict(found.items())["get"] == "x"


def test_a_wire_field_cannot_take_the_place_of_type_or_wire_type() -> None:
    found = Event({"type": 3, "wire_type": "x", "_data": {}, "__class__": 1})
    assert (found.type, found.wire_type, found["wire_type"]) == ("", "", "x")
    assert found["__class__"] == 1
    assert found.__class__ is Event


def test_the_name_over_the_wire_is_told_where_it_was_another() -> None:
    found = Event({"type": "response.output_text.delta"}, "response.text.delta")
    assert (found.type, found.wire_type) == ("response.output_text.delta", "response.text.delta")
    assert copy.copy(found).wire_type == pickle.loads(pickle.dumps(found)).wire_type == "response.text.delta"


def test_a_missing_attribute_names_the_fields_that_are_there() -> None:
    with pytest.raises(
        AttributeError, match=r"Event\[response.done\] has no field 'detla'; it has: type, event_id, re"
    ):
        _ = Event(DONE).detla
    with pytest.raises(AttributeError, match="Fields has no field 'x'; it has: id, output, usage"):
        _ = Event(DONE).response.x
    assert not hasattr(Event(DONE), "_private")


def test_the_message_about_a_missing_attribute_is_bounded() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = Event({f"{number}" * 1000: number for number in range(1000)}).x
    assert len(str(caught.value)) < 10_000


def test_dir_lists_the_fields_that_are_attributes() -> None:
    listed = dir(event(delta="x", **{"not an identifier": 1}))
    assert {"delta", "type", "to_dict"} <= set(listed)
    assert "not an identifier" not in listed


def test_equality_is_by_value_with_mappings_of_any_kind() -> None:
    found = Event(DONE)
    assert found == DONE
    assert DONE.__eq__(found) is NotImplemented  # A dict leaves it to the event.
    assert found == Event(copy.deepcopy(DONE))
    assert found.response == DONE["response"]
    assert found == MappingProxyType(DONE)
    assert found == {**DONE, "response": found.response}
    assert found != {**DONE, "event_id": "event_2"}
    assert found != 7
    assert found != list(DONE)


def test_arrays_are_sequences_equal_to_lists_of_the_same_values() -> None:
    items = event(x=[1, {"a": [2]}, [3], None]).x
    assert items == [1, {"a": [2]}, [3], None]
    assert items == (1, {"a": [2]}, [3], None)
    assert items == Items([1, {"a": [2]}, [3], None])
    assert items != [1]
    assert items != "1"
    assert (len(items), items[-1], items[1].a[0], items[1:3]) == (4, None, 2, [{"a": [2]}, [3]])
    assert [type(item) for item in items] == [int, Fields, Items, type(None)]
    assert (items.index({"a": [2]}), 1 in items, next(reversed(items))) == (1, True, None)


@pytest.mark.parametrize("read", [Event, Fields, lambda data: Items([data])])
def test_views_are_compared_by_value_and_so_cannot_be_hashed(read: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(read(dict(DONE)))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda found: pickle.loads(pickle.dumps(found))])
@pytest.mark.parametrize("view", [lambda: Event(DONE, "wire"), lambda: Event(DONE).response, lambda: Items([DONE, 1])])
def test_copies_and_pickles_are_equal_and_of_the_same_kind(
    duplicate: Callable[[Any], Any], view: Callable[[], Any]
) -> None:
    original = view()
    found = duplicate(original)
    assert (found, type(found)) == (original, type(original))
    assert repr(found) == repr(original)


def test_every_pickle_protocol_carries_an_event() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(Event(DONE), protocol)) == DONE


# -- read-only -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["delta", "type", "wire_type", "_data", "new"])
def test_an_event_is_read_only(name: str) -> None:
    found = event(delta="x")
    with pytest.raises(AttributeError, match=r"read-only; change a copy: to_dict\(\)"):
        setattr(found, name, "changed")
    with pytest.raises(AttributeError, match="read-only"):
        delattr(found, name)
    assert found == {"type": "vendor.thing", "delta": "x"}


def test_nothing_inside_an_event_can_be_assigned() -> None:
    found: Any = Event(copy.deepcopy(DONE))
    for assign in (
        lambda: found.__setitem__("type", "x"),
        lambda: found.response.output.__setitem__(0, "x"),
        lambda: found.response.output.append("x"),
        lambda: setattr(found.response, "id", "x"),
    ):
        with pytest.raises((AttributeError, TypeError)):
            assign()
    assert found == DONE


@UNHURRIED
@given(OBJECTS)
def test_a_plain_copy_is_independent_at_every_depth(data: dict[str, Any]) -> None:
    found, before = Event(data), copy.deepcopy(data)
    _spoil(found.to_dict())
    _spoil(Items([data]).to_list())
    assert data == before
    assert found == before


def _spoil(value: Any) -> None:
    """Change everything in ``value`` that can be changed."""
    if isinstance(value, dict | list):
        for inner in list(value.values()) if isinstance(value, dict) else list(value):
            _spoil(inner)
        value.clear()


def test_a_plain_copy_is_what_json_can_write() -> None:
    copied = Event(DONE).to_dict()
    assert (type(copied), type(copied["response"]), type(copied["response"]["output"])) == (dict, dict, list)
    assert json.loads(json.dumps(copied)) == DONE


# -- what a repr shows ---------------------------------------------------------------------------------------------

SECRET = "c2VjcmV0" * 4


@pytest.mark.parametrize(
    "data",
    [
        {"type": "response.output_audio.delta", "delta": SECRET},
        {"type": "response.audio.delta", "delta": SECRET},
        {"type": "session.output_audio.delta", "delta": SECRET},
        {"type": "input_audio_buffer.append", "audio": SECRET},
        {"type": "x", "item": {"content": [{"type": "input_audio", "audio": SECRET}]}},
        {"type": "x", "item": {"content": [{"type": "input_image", "image_url": f"data:image/png;base64,{SECRET}"}]}},
        {"type": "x", "item": {"content": [{"type": "input_image", "image_url": {"url": SECRET}}]}},
        {"type": "x", "session": {"client_secret": {"value": SECRET, "expires_at": 1}}},
        {"type": "x", "session": {"client_secret": SECRET}},
        {"type": "x", "session": {"tools": [{"type": "mcp", "authorization": SECRET}]}},
        {"type": "x", "session": {"tools": [{"type": "mcp", "headers": {"Authorization": f"Bearer {SECRET}"}}]}},
        {"type": "x", "session": {"tools": [{"type": "mcp", "headers": [["X-Key", SECRET]]}]}},
        {"type": "x", "api_key": SECRET},
        {"type": "x", "audio": [SECRET, {"audio": SECRET}]},
    ],
)
def test_a_repr_shows_no_audio_no_image_and_no_secret(data: dict[str, Any]) -> None:
    found = Event(data)
    assert SECRET not in repr(found)
    assert SECRET not in str(found)
    assert SECRET not in f"{found}"
    assert SECRET not in repr(Items([data]))
    assert found.to_dict() == data


def test_a_repr_shows_structure_and_of_what_was_said_the_length() -> None:
    assert repr(event(delta="Hi", item={"id": None, "status": "completed", "n": [1, 2.5, True]})) == (
        "Event[vendor.thing]({'type': 'vendor.thing', 'delta': <2 characters>,"
        " 'item': {'id': None, 'status': 'completed', 'n': [1, 2.5, True]}})"
    )
    assert "'rate': 24000" in repr(Event({"session": {"audio": {"input": {"format": {"rate": 24000}}}}}))
    assert repr(Fields({"a": 1})) == "Fields({'a': 1})"


@pytest.mark.parametrize(
    "data",
    [
        {"type": "response.output_text.delta", "delta": SECRET},
        {"type": "response.function_call_arguments.done", "name": "f", "arguments": SECRET},
        {"type": "x", "item": {"arguments": {"name": SECRET, "id": SECRET}}},
        {"type": "x", "item": {"content": [{"type": "input_text", "text": SECRET}]}},
        {"type": "x", "item": {"content": SECRET, "message": SECRET}},
        {"type": "x", "item": {"output": SECRET}},
        {"type": "x", "session": {"instructions": SECRET, "prompt": {"id": "p", "variables": {"name": SECRET}}}},
        {"type": "x", "session": {"tools": [{"type": "function", "name": "f", "description": SECRET}]}},
        {"type": "x", "session": {"tools": [{"parameters": {"properties": {SECRET: {"type": "string"}}}}]}},
        {"type": "x", "session": {"tools": [{"type": "mcp", "server_url": f"https://mcp.test/?key={SECRET}"}]}},
        {"type": "x", "response": {"metadata": {"name": SECRET}}},
        {"type": "x", "logprobs": [{"token": SECRET, "bytes": list(SECRET.encode())}]},
        {"type": "x", "new_field_of_2031": SECRET},
    ],
)
def test_a_repr_shows_nothing_that_was_said(data: dict[str, Any]) -> None:
    for shown in (repr(Event(data)), str(Event(data)), repr(Items([data]))):
        assert SECRET not in shown
        assert ", ".join(map(str, SECRET.encode())) not in shown


def test_a_repr_of_an_error_shows_what_the_service_said_of_it() -> None:
    error = {"type": "invalid_request_error", "code": "unknown_parameter", "message": "Unknown parameter."}
    assert "'message': 'Unknown parameter.'" in repr(Event({"type": "error", "error": error}))


def test_a_type_from_the_wire_is_one_line_in_a_repr() -> None:
    assert repr(Event({"type": "a\x1b[2J\nb\u202ec"})).startswith("Event[a [2J b c](")


@pytest.mark.parametrize(
    "data",
    [
        {"instructions": "x" * 100_000},
        {"list": list(range(100_000))},
        {"list": [{"a": ["x" * 200] * 10}] * 1000},
        {str(number): number for number in range(100_000)},
        {"x" * 100_000: 1},
        {"number": 10**4000},
        {"type": "x" * 100_000},
    ],
)
def test_a_repr_is_bounded(data: dict[str, Any]) -> None:
    assert len(repr(Event(data))) < 5_000
    assert len(repr(Items([data]))) < 5_000


# -- encoding ------------------------------------------------------------------------------------------------------


def test_what_goes_out_is_compact_json_in_the_order_given() -> None:
    assert encode({"type": "x", "b": 1, "a": [None, True, "é"]}) == '{"type":"x","b":1,"a":[null,true,"é"]}'.encode()


@UNHURRIED
@given(OBJECTS)
def test_what_goes_out_reads_back_equal(data: dict[str, Any]) -> None:
    assert json.loads(encode(data)) == data
    assert json.loads(encode(MappingProxyType(data))) == data


@pytest.mark.parametrize("lone", ["", "\ud800"])
def test_bytes_go_out_as_base64_and_views_as_they_came(lone: str) -> None:
    sent = {
        "bytes": b"\x00\x01",
        "array": bytearray(b"\x00\x01"),
        "view": memoryview(b"\x00\x01"),
        "event": Event(DONE),
        "inner": Event(DONE).response,
        "items": Event(DONE).response.output,
        "mapping": MappingProxyType({"a": (1, 2)}),
        "text": lone,
    }
    assert json.loads(encode(sent)) == {
        "bytes": "AAE=",
        "array": "AAE=",
        "view": "AAE=",
        "event": DONE,
        "inner": DONE["response"],
        "items": DONE["response"]["output"],
        "mapping": {"a": [1, 2]},
        "text": lone,
    }


def test_numbers_that_json_does_not_have_go_out_as_null() -> None:
    assert encode({"a": math.nan, "b": math.inf, "c": -math.inf}) == b'{"a":null,"b":null,"c":null}'


def test_half_surrogate_pairs_go_out_as_escapes_in_valid_utf8() -> None:
    message = encode({"text": "a\ud83d", "\udc00": 1})
    message.decode("utf-8")
    assert json.loads(message) == {"text": "a\ud83d", "\udc00": 1}


class Unwritable:
    """Nothing that JSON knows."""


@pytest.mark.parametrize("extra", [{}, {"lone": "\ud800"}])
def test_what_is_no_json_is_refused_by_the_name_of_its_type(extra: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Unwritable"):
        encode({**extra, "item": [Unwritable()]})
    with pytest.raises(TypeError, match=r"complex|type complex"):
        encode({**extra, "number": 1j})


def test_what_contains_itself_is_refused() -> None:
    sent: dict[str, Any] = {"type": "x"}
    sent["item"] = {"again": [sent]}
    with pytest.raises(TypeError, match="contains itself"):
        encode(sent)


def test_event_ids_are_unique_short_and_plain() -> None:
    ids = {new_event_id() for _ in range(10_000)}
    assert len(ids) == 10_000
    assert all(len(found) <= 64 and found.startswith("event_") and found.isascii() for found in ids)
