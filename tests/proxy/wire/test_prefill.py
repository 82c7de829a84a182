"""Putting into the mouth of one backend what another has said, and following what it says then."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.rules.table import ApiKind, BackendEntry, Candidate, MappingEntry
from proxy.wire.prefill import ContinuedEvents, SaidSoFar, continued_request, prefill_way
from proxy.wire.untranslatable import Untranslatable
from proxy.wire.usage import Usage

CHAT = Candidate(
    BackendEntry("a", "a", "", "primary", "http://host/v1", ApiKind.OPENAI_COMPLETIONS, "k"), MappingEntry("m", "n")
)
ANTHROPIC = replace(CHAT, backend=replace(CHAT.backend, api=ApiKind.ANTHROPIC_MESSAGES))
FIRST = {"id": "c-1", "created": 7, "model": "m"}


def with_compat(candidate: Candidate, **compat: object) -> Candidate:
    return replace(candidate, mapping=replace(candidate.mapping, compat=compat))


@pytest.mark.parametrize("told", [True, "prefix", "continue"])
def test_a_mapping_says_how_it_is_made_to_go_on(told: object) -> None:
    assert prefill_way(with_compat(CHAT, prefill=told)) == told
    assert prefill_way(with_compat(ANTHROPIC, prefill=told)) == told


@pytest.mark.parametrize("told", [False, "", "yes", 1, 0, [], {}, 1.0])
def test_any_other_word_means_no(told: object) -> None:
    assert prefill_way(with_compat(CHAT, prefill=told)) is False
    assert prefill_way(with_compat(ANTHROPIC, prefill=told)) is False


def test_without_a_word_only_anthropics_format_goes_on_and_not_where_it_thinks() -> None:
    assert prefill_way(CHAT) is False
    assert prefill_way(with_compat(CHAT, prefill=None)) is False
    assert prefill_way(ANTHROPIC) is True
    assert prefill_way(replace(ANTHROPIC, mapping=replace(ANTHROPIC.mapping, reasoning=True))) is False


def continued(way: bool | str = True, **members: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **members}
    found: dict[str, Any] = json.loads(
        continued_request(json.dumps(body).encode(), said="Once ", said_tokens=10, way=way)
    )
    return found


@pytest.mark.parametrize(
    ("way", "marks", "members"),
    [
        (True, {}, {}),
        ("prefix", {"prefix": True}, {}),
        ("continue", {}, {"continue_final_message": True, "add_generation_prompt": False}),
    ],
)
def test_what_was_said_is_the_last_message(way: bool | str, marks: dict[str, Any], members: dict[str, Any]) -> None:
    found = continued(way, temperature=0.5, tools=[])
    assert found.pop("messages") == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Once ", **marks},
    ]
    assert found == {"model": "m", "temperature": 0.5, "tools": [], **members}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(
    ("asked", "left"), [(100, 90), (11, 1), (10, 1), (3, 1), (None, None), ("x", "x"), (True, True)]
)
def test_the_limit_is_lowered_by_what_was_said_and_never_to_nothing(name: str, asked: Any, left: Any) -> None:
    assert continued(**{name: asked})[name] == left


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "m"}',
        b'{"messages": null}',
        b'{"messages": "x"}',
        b"{",
        b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["none", "null", "text", "half", "deep"],
)
def test_what_can_not_be_gone_on_with_is_refused(body: bytes) -> None:
    with pytest.raises(Untranslatable) as refused:
        continued_request(body, said="x", said_tokens=1, way=True)
    assert refused.value.field == "messages"


def said(*deltas: dict[str, Any], index: int = 0, **choice: Any) -> SaidSoFar:
    so_far = SaidSoFar()
    for delta in deltas:
        so_far.take(chunk_event({"delta": delta, "index": index, "finish_reason": None, **choice}))
    return so_far


def chunk_event(*choices: dict[str, Any], **more: Any) -> bytes:
    return b"data: " + json.dumps({**FIRST, "choices": choices, **more}).encode() + b"\n\n"


def test_the_text_and_the_names_of_a_stream_are_kept() -> None:
    so_far = said(
        {"role": "assistant", "content": ""}, {"content": "é "}, {"reasoning_content": "hm"}, {"content": "b"}
    )
    assert (so_far.text, so_far.first, so_far.resumable) == ("é b", FIRST, True)


def test_events_may_come_together_and_with_other_line_ends() -> None:
    so_far = SaidSoFar()
    one, two = chunk_event({"delta": {"content": "a"}}), chunk_event({"delta": {"content": "b"}})
    so_far.take(b": comment\n\n" + one + two.replace(b"\n", b"\r\n") + b"event: x\n\n")
    assert so_far.text == "ab"


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": [{"index": 0}]},
        {"function_call": {"name": "f"}},
        {"audio": {"id": "a"}},
        {"refusal": "No."},
        {"content": [{"type": "text", "text": "x"}]},
    ],
    ids=lambda delta: next(iter(delta)),
)
def test_what_no_prefill_can_say_is_the_end_of_resuming(delta: dict[str, Any]) -> None:
    so_far = said({"content": "a"}, delta, {"content": "b"})
    assert not so_far.resumable


def test_several_answers_and_an_answer_that_has_ended_are_not_gone_on_with() -> None:
    assert not said({"content": "a"}, index=1).resumable
    assert not said({}, finish_reason="stop").resumable
    assert said({"content": "a", "tool_calls": None, "refusal": None}).resumable


@given(st.binary(max_size=200))
def test_no_bytes_break_the_listener(data: bytes) -> None:
    SaidSoFar().take(b"data: " + data + b"\n\n")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["choices", "delta", "content", "index", "usage", "role"]), inner)
        ),
        max_leaves=15,
    )
)
def test_no_chunk_breaks_listener_or_writer(found: object) -> None:
    SaidSoFar().take(b"data: " + json.dumps(found).encode() + b"\n\n")
    if isinstance(found, dict):
        ContinuedEvents(FIRST, carried=Usage(), wants_usage=True, repeated=" ").chunk(found)


def goes_on(*deltas: dict[str, Any], repeated: str = "") -> list[dict[str, Any]]:
    events = ContinuedEvents(FIRST, carried=Usage(), wants_usage=False, repeated=repeated)
    out = [events.chunk({"id": "other", "choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    return [json.loads(event.removeprefix(b"data: "))["choices"][0]["delta"] for event in out if event]


def test_role_and_new_thoughts_are_left_out() -> None:
    assert goes_on(
        {"role": "assistant", "content": ""}, {"reasoning_content": "hm"}, {"role": "assistant", "content": "b"}
    ) == [{"content": "b"}]


@pytest.mark.parametrize(
    ("repeated", "pieces", "text"),
    [
        (" ", [" b", " c"], "b c"),
        (" ", ["b", " c"], "b c"),
        ("\n", ["\n    b"], "    b"),
        ("\n\n", ["\n", "\n", "\nb"], "\nb"),
        ("\n\n", ["\n", "b\n"], "b\n"),
        ("", [" b"], " b"),
    ],
)
def test_white_space_that_is_said_twice_comes_once(repeated: str, pieces: list[str], text: str) -> None:
    assert "".join(d["content"] for d in goes_on(*[{"content": each} for each in pieces], repeated=repeated)) == text


def test_usage_is_that_of_both_parts() -> None:
    events = ContinuedEvents(FIRST, carried=Usage(10, 3, 0, 4, 1, estimated=True), wants_usage=True)
    usage = {"prompt_tokens": 20, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 5}}
    event = json.loads(events.chunk({"choices": [], "usage": usage}).removeprefix(b"data: "))
    assert (event["usage"]["prompt_tokens"], event["usage"]["completion_tokens"]) == (33, 11)
    assert event["usage"]["total_tokens"] == 44
    assert event["usage"]["prompt_tokens_details"]["cached_tokens"] == 8
    hidden = ContinuedEvents(FIRST, carried=Usage(), wants_usage=False)
    assert hidden.chunk({"choices": [], "usage": usage}) == b""
