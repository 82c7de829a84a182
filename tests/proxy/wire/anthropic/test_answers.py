"""Whole answers and their usage, in both directions."""

from typing import Any

import pytest

from proxy.wire.anthropic.answers import chat_from_message, message_from_chat
from proxy.wire.anthropic.usage import RunningUsage, anthropic_usage
from proxy.wire.untranslatable import Untranslatable
from proxy.wire.usage import Usage

USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}}


def message(said: dict[str, Any], reason: Any = "stop", **members: Any) -> dict[str, Any]:
    answer = {"id": "chatcmpl-9", "model": "m", "choices": [{"message": said, "finish_reason": reason}], **members}
    return message_from_chat(answer, fallback_model="fallback")


def chat(*content: dict[str, Any], **members: Any) -> dict[str, Any]:
    found = {"id": "msg_9", "model": "m", "content": list(content), "stop_reason": "end_turn", **members}
    return chat_from_message(found, created=1_700_000_000)


def test_a_chat_answer_as_a_message() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    assert message({"content": "hi", "reasoning_content": "hm"}, usage=usage) == {
        "id": "msg_9",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 60,
            "output_tokens": 20,
            "output_tokens_details": {"thinking_tokens": 5},
        },
    }


def test_what_an_answer_leaves_out_is_made_up() -> None:
    found = message_from_chat(
        {"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": ""}}]}}]}, fallback_model="fb"
    )
    assert (found["model"], found["usage"]["input_tokens"], found["stop_reason"]) == ("fb", 0, "tool_use")
    assert found["content"] == [{"type": "tool_use", "id": "toolu_unnamed_0", "name": "f", "input": {}}]


@pytest.mark.parametrize(
    ("said", "block"),
    [
        ({"content": [{"type": "text", "text": "a"}]}, {"type": "text", "text": "a"}),
        ({"content": None, "refusal": "no"}, {"type": "text", "text": "no"}),
        ({"reasoning": "hm"}, {"type": "thinking", "thinking": "hm", "signature": ""}),
        (
            {"function_call": {"name": "f", "arguments": '{"x":1}'}},
            {"type": "tool_use", "id": "toolu_9_0", "name": "f", "input": {"x": 1}},
        ),
        (
            {"tool_calls": [{"id": "t", "function": {"name": "f", "arguments": '{"x":'}}]},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"INVALID_JSON": '{"x":'}},
        ),
    ],
)
def test_a_block_for_what_was_said(said: dict[str, Any], block: dict[str, Any]) -> None:
    assert message(said)["content"] == [block]


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("function_call", "tool_use"),
        ("content_filter", "refusal"),
        (None, "end_turn"),
        ("odd", "end_turn"),
        ({}, "end_turn"),
    ],
)
def test_why_a_message_ends(reason: Any, stop: str) -> None:
    assert message({"content": "x"}, reason)["stop_reason"] == stop


def test_a_message_as_a_chat_answer() -> None:
    found = chat(
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
        USE,
        stop_reason="tool_use",
        usage={"input_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 5, "output_tokens": 6},
    )
    assert found == {
        "id": "chatcmpl-9",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "ab",
                    "refusal": None,
                    "reasoning_content": "hm",
                    "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 6,
            "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 5},
        },
    }


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        (None, "stop"),
        ("odd", "stop"),
    ],
)
def test_why_a_chat_answer_ends(stop: Any, reason: str) -> None:
    assert chat(stop_reason=stop)["choices"][0]["finish_reason"] == reason


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ({}, "choices"),
        ({"choices": []}, "choices"),
        ({"choices": [{}]}, "choices.0.message"),
        ({"choices": [{"message": {"content": 5}}]}, "choices.0.message.content"),
        ({"choices": [{"message": {"tool_calls": [{}]}}]}, "choices.0.message.tool_calls.0.function"),
    ],
)
def test_a_chat_answer_that_says_nothing_is_named(answer: dict[str, Any], field: str) -> None:
    with pytest.raises(Untranslatable) as refused:
        message_from_chat(answer, fallback_model="f")
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"type": "server_tool_use"}, "content.0.type"),
        ({**USE, "input": None}, "content.0.input"),
        ({**USE, "id": ""}, "content.0.id"),
        ({"type": "text"}, "content.0.text"),
    ],
)
def test_a_block_that_chat_has_no_place_for_is_named(block: dict[str, Any], field: str) -> None:
    with pytest.raises(Untranslatable) as refused:
        chat(block)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("found", "usage"),
    [
        ({"input_tokens": 1, "output_tokens": 2}, Usage(input_tokens=1, output_tokens=2)),
        (
            {"input_tokens": 1, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 3, "output_tokens": 4},
            Usage(input_tokens=1, cache_read_tokens=2, cache_write_tokens=3, output_tokens=4),
        ),
        (
            {"output_tokens": 4, "output_tokens_details": {"thinking_tokens": 9}},
            Usage(output_tokens=0, reasoning_tokens=4),
        ),
        ({"input_tokens": -1, "output_tokens": 2}, Usage(output_tokens=2)),
        ({"input_tokens": 2**60, "output_tokens": True}, None),
        ({}, None),
        ([], None),
    ],
)
def test_usage_in_disjoint_classes(found: object, usage: Usage | None) -> None:
    assert anthropic_usage(found) == usage


def test_later_counts_of_a_stream_win_if_they_can_be_true() -> None:
    counts = RunningUsage()
    counts.take({"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1})
    counts.take({"input_tokens": None, "cache_read_input_tokens": -3, "output_tokens": 7})
    counts.take("odd")
    assert counts.usage == Usage(input_tokens=10, cache_read_tokens=5, output_tokens=7)
