"""Which requests are the same, and which may be cached."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthub.core.errors import BadRequest
from proxy.rules.cache_key import KEY_BYTES, SHARED, CacheUse, cache_key, may_cache, private_scope
from proxy.wire.openai import read_request

BODY = b'{"model":"small","messages":[{"role":"user","content":"hi"}],"temperature":0,"seed":7}'


def key(body: bytes = BODY, **special: Any) -> bytes:
    intake = read_request(body, may_stream=True)
    values: dict[str, Any] = {
        "scope": SHARED,
        "endpoint": "chat/completions",
        "model": "small",
        "envelope": intake.envelope,
        "stream": intake.stream,
        "wants_usage": intake.wants_usage,
    }
    return cache_key(**values | special)


def with_member(member: bytes) -> bytes:
    return BODY[:-1] + b"," + member + b"}"


STREAM = with_member(b'"stream":true')


def test_it_has_32_bytes_and_is_the_same_each_time() -> None:
    assert len(key()) == KEY_BYTES
    assert key() == key()


@pytest.mark.parametrize(
    "body",
    [
        b'{"seed":7,"temperature":0,"messages":[{"role":"user","content":"hi"}],"model":"small"}',
        b'{ "model" : "alias", "messages":[{"role":"user","content":"hi"}],"temperature":0,\n"seed":7}',
        with_member(b'"stream":false'),
        with_member(b'"stream":null'),
        with_member(b'"stream_options":{"include_usage":true}'),
    ],
    ids=["order", "model and spaces", "no stream", "null stream", "options without a stream"],
)
def test_what_does_not_decide_the_answer_does_not_count(body: bytes) -> None:
    assert key(body) == key()


def test_the_order_of_stream_options_does_not_count() -> None:
    options = [b'{"include_usage":true,"a":1,"b":2}', b'{"b":2, "a":1,"include_usage":true}']
    assert len({key(with_member(b'"stream":true,"stream_options":' + each)) for each in options}) == 1
    none = with_member(b'"stream":true,"stream_options":null')
    assert key(none) != key()


def test_everything_else_counts() -> None:
    bodies = [
        BODY,
        BODY.replace(b"hi", b"ho"),
        BODY.replace(b"hi", rb"\u0068i"),
        BODY.replace(b"7", b"8"),
        BODY.replace(b":0", b":0.0"),
        with_member(b'"user":"a"'),
        with_member(b'"metadata":{}'),
        with_member(b'"store":true'),
        with_member(b'"unheard_of":1'),
        STREAM,
        with_member(b'"stream":true,"stream_options":{"include_usage":true}'),
        with_member(b'"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}'),
    ]
    others: list[dict[str, Any]] = [
        {"scope": private_scope("key_1")},
        {"scope": private_scope("key_2")},
        {"endpoint": "completions"},
        {"model": "large"},
        {"headers": [(b"openai-beta", b"x")]},
        {"headers": [(b"openai-beta", b"y")]},
        {"headers": [(b"anthropic-beta", b"x"), (b"anthropic-beta", b"y")]},
        {"headers": [(b"accept-language", b"de")]},
    ]
    keys = [key(body) for body in bodies] + [key(**other) for other in others]
    assert len(set(keys)) == len(bodies) + len(others)


def test_headers_that_stay_in_the_hub_do_not_count() -> None:
    assert (
        key(headers=[(b"authorization", b"Bearer x"), (b"traceparent", b"00"), (b"x-agenthub-session", b"1")]) == key()
    )


def test_no_member_can_pretend_to_be_another_and_its_value() -> None:
    assert key(envelope={"a": b"1", "e5z": b"2"}) != key(envelope={"a": b"1e5", "z": b"2"})
    assert key(scope="a", endpoint="b") != key(scope="", endpoint="ab")


SMALL = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([b"1", b"2", b"12", b'"a"', b'"1:b1:2"']), max_size=4)


@given(SMALL, SMALL)
def test_members_are_the_same_exactly_if_the_keys_are(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert (key(envelope=one) == key(envelope=other)) is (one == other)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_any_object_has_a_key(members: dict[str, object]) -> None:
    envelope = msgspec.json.decode(msgspec.json.encode(members), type=dict[str, msgspec.Raw])
    assert len(key(envelope={**envelope, "stream_options": b"no object"}, stream=True)) == KEY_BYTES


@pytest.mark.parametrize(
    ("temperature", "use"),
    [
        (b"0", CacheUse.FULL),
        (b"0.0", CacheUse.FULL),
        (b"-0.0", CacheUse.FULL),
        (b"0e5", CacheUse.FULL),
        (b"1", CacheUse.NONE),
        (b"0.0001", CacheUse.NONE),
        (b"false", CacheUse.NONE),
        (b"null", CacheUse.NONE),
        (b'"0"', CacheUse.NONE),
        (b"[0]", CacheUse.NONE),
        (b"0,", CacheUse.NONE),
        (None, CacheUse.NONE),
    ],
)
def test_a_temperature_of_zero_is_a_number_that_is_named(temperature: bytes | None, use: CacheUse) -> None:
    envelope = {} if temperature is None else {"temperature": temperature}
    assert may_cache(endpoint="chat/completions", envelope=envelope, header={}) is use


@pytest.mark.parametrize("envelope", [{}, {"temperature": b"0"}, {"temperature": b"1"}])
@pytest.mark.parametrize(
    ("asked", "use"),
    [(b"on", CacheUse.FULL), (b" ON ", CacheUse.FULL), (b"off", CacheUse.NONE), (b"refresh", CacheUse.REFRESH)],
)
def test_the_header_decides(envelope: dict[str, bytes], asked: bytes, use: CacheUse) -> None:
    header = {b"x-agenthub-cache": asked}
    assert may_cache(endpoint="chat/completions", envelope=envelope, header=header) is use


def test_embeddings_are_always_the_same() -> None:
    assert may_cache(endpoint="embeddings", envelope={}, header={}) is CacheUse.FULL
    assert may_cache(endpoint="embeddings", envelope={}, header={b"x-agenthub-cache": b"off"}) is CacheUse.NONE


def test_an_unknown_wish_is_refused() -> None:
    with pytest.raises(BadRequest, match="takes on, off or refresh"):
        may_cache(endpoint="embeddings", envelope={}, header={b"x-agenthub-cache": b"yes"})


def test_what_is_refreshed_is_written_and_not_read() -> None:
    assert [(use.reads, use.writes) for use in CacheUse] == [(False, False), (True, True), (False, True)]
