"""Reading as little as possible of requests and answers, and changing nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthub.core.errors import BadRequest, InvalidJson
from proxy.wire.openai import (
    Kind,
    StreamReader,
    answer_text,
    read_answer,
    read_request,
    usage_in_tail,
    write_request,
)
from proxy.wire.usage import Usage, openai_usage


def read(**members: object) -> bytes:
    return write_request(read_request(json.dumps(members).encode(), may_stream=True), native_id="n", ask_usage=True)


def test_the_model_is_replaced_and_nothing_else() -> None:
    messages = b'[{"content":"caf\\u00e9 \xf0\x9f\x98\x80", "x":1.0e5}]'
    body = b'{"messages": ' + messages + b',\n "model":"m", "odd": 12345678901234567890.10}'
    out = write_request(read_request(body, may_stream=True), native_id="org/native", ask_usage=True)
    assert messages in out
    assert b"12345678901234567890.10" in out
    assert json.loads(out)["model"] == "org/native"
    assert set(json.loads(out)) == {"messages", "model", "odd"}


def test_a_stream_is_asked_for_its_usage() -> None:
    assert json.loads(read(model="m", stream=True))["stream_options"] == {"include_usage": True}
    kept = json.loads(read(model="m", stream=True, stream_options={"include_usage": False, "x": 1}))
    assert kept["stream_options"] == {"include_usage": True, "x": 1}
    assert "stream_options" not in json.loads(read(model="m", stream=False))


def test_a_member_given_twice_reaches_the_backend_once() -> None:
    intake = read_request(b'{"model":"cheap","model":"dear"}', may_stream=True)
    assert intake.model == "dear"
    assert write_request(intake, native_id="dear", ask_usage=True) == b'{"model":"dear"}'


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"{]}", b"\xff\xfe", b'{"model":"m"} trailing'])
def test_what_is_no_object_is_invalid_json(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        read_request(body, may_stream=True)


def test_json_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises((InvalidJson, BadRequest)):
        read_request(b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}", may_stream=True)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"model": "m" * 300}, "model"),
        ({"model": "m", "stream": "yes"}, "stream"),
        ({"model": "m", "stream": 1}, "stream"),
        ({"model": "m", "stream": True, "stream_options": 3}, "stream_options"),
    ],
)
def test_a_wrong_member_is_named(members: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_request(json.dumps(members).encode(), may_stream=True)
    assert refused.value.param == param


def chunk(**members: object) -> bytes:
    return json.dumps({"choices": [{"index": 0, **members}]}).encode()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (chunk(delta={"role": "assistant", "content": ""}), Kind.QUIET),
        (chunk(delta={"content": "x"}), Kind.CONTENT),
        (chunk(delta={"reasoning_content": "x"}), Kind.CONTENT),
        (chunk(delta={"refusal": "no"}), Kind.CONTENT),
        (chunk(delta={"tool_calls": [{"function": {"name": "f"}}]}), Kind.CONTENT),
        (chunk(delta={}, finish_reason="stop"), Kind.CONTENT),
        (chunk(text="x"), Kind.CONTENT),
        (chunk(text=""), Kind.QUIET),
        (b'{"choices":[],"usage":{"prompt_tokens":1}}', Kind.USAGE),
        (b'{"choices":[],"usage":null,"prompt_filter_results":[]}', Kind.QUIET),
        (b'{"error":{"message":"x"}}', Kind.ERROR),
        (b"[DONE]", Kind.DONE),
        (b"{oops", Kind.MALFORMED),
        (b"[]", Kind.MALFORMED),
        (b'{"choices":"odd"}', Kind.CONTENT),
    ],
)
def test_the_kind_of_an_event(data: bytes, kind: Kind) -> None:
    assert StreamReader(1000).read(data) is kind


def test_a_stream_is_finished_when_every_choice_is() -> None:
    reader = StreamReader(1000)
    for index in (0, 1):
        reader.read(json.dumps({"choices": [{"index": index, "delta": {"content": "x"}}]}).encode())
    finished = [reader.finished]
    for index in (0, 1):
        reader.read(json.dumps({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]}).encode())
        finished.append(reader.finished)
    assert finished == [False, False, True]
    assert reader.text == ["x", "x"]


@given(st.binary(max_size=100))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    assert StreamReader(10).read(data) in Kind


@pytest.mark.parametrize(
    ("found", "usage"),
    [
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 30},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(input_tokens=70, cache_read_tokens=30, output_tokens=30, reasoning_tokens=20),
        ),
        ({"prompt_tokens": 5, "prompt_cache_hit_tokens": 9}, Usage(cache_read_tokens=5)),
        ({"prompt_tokens": 11, "total_tokens": 11}, Usage(input_tokens=11)),
        ({"total_tokens": 3}, Usage(input_tokens=3)),
        ({"prompt_tokens": -1, "completion_tokens": "x"}, None),
        ({"prompt_tokens": True}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_in_disjoint_classes(found: object, usage: Usage | None) -> None:
    assert openai_usage(found) == usage


def test_an_answer_is_looked_at() -> None:
    good = read_answer(b'{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}')
    assert good is not None
    assert good.usage == Usage(input_tokens=1, output_tokens=2)
    bad = read_answer(b'{"error":{"code":429}}')
    assert bad is not None
    assert bad.is_error
    assert read_answer(b'{"choices":[{"mess') is None
    assert read_answer(b"<html>") is None


def test_the_text_of_an_answer_and_the_usage_in_its_tail() -> None:
    assert answer_text(b'{"choices":[{"message":{"content":"hi","tool_calls":null}},{"text":"ho"}]}') == "hi ho"
    assert answer_text(b"nonsense") == ""
    tail = b'0.5]}],"usage":{"prompt_tokens":7,"prompt_tokens_details":{"cached_tokens":2},"total_tokens":7}}'
    assert usage_in_tail(tail) == Usage(input_tokens=5, cache_read_tokens=2)
    assert usage_in_tail(b"no usage {}") is None
