"""Whole answers, turned into each other."""

import pytest
from openai.types.chat import ChatCompletion

from proxy.wire.responses.answers import chat_from_response, response_from_chat
from proxy.wire.responses.fields import Json
from proxy.wire.untranslatable import Untranslatable
from tests.proxy.wire.responses import sdk

REQUEST: Json = {"model": "asked", "input": "hi"}
CALLS = [
    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
]
USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 7,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def answer(message: Json, finish_reason: object = "stop", **members: object) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    return {"id": "chatcmpl-abc", "model": "m", "choices": [choice], "usage": USAGE, **members}


def response(message: Json, finish_reason: object = "stop", request: Json = REQUEST) -> Json:
    found = response_from_chat(answer(message, finish_reason), request=request, created=1700000000)
    sdk.response(found)
    return found


def test_a_plain_answer() -> None:
    found = response({"content": "hello"})
    assert sdk.response(found).output_text == "hello"
    assert (found["id"], found["created_at"], found["model"]) == ("resp_abc", 1700000000, "m")
    assert (found["status"], found["incomplete_details"], found["error"]) == ("completed", None, None)
    assert found["output"] == [
        {
            "id": "msg_abc_0",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "hello", "annotations": [], "logprobs": []}],
        }
    ]
    assert found["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 17,
    }


def test_thoughts_words_and_calls_are_items_in_this_order() -> None:
    output = response({"content": "w", "reasoning_content": "t", "tool_calls": CALLS}, "tool_calls")["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call", "function_call"]
    assert output[0]["summary"] == [{"type": "summary_text", "text": "t"}]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in output[2:]] == [
        ("c1", "f", '{"a":1}'),
        ("c2", "g", ""),
    ]
    assert len({item["id"] for item in output}) == 4


def test_a_refusal_is_a_part() -> None:
    output = response({"content": None, "refusal": "no"})["output"]
    assert output[0]["content"] == [{"type": "refusal", "refusal": "no"}]


@pytest.mark.parametrize(
    ("finish_reason", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_what_was_cut_off_is_incomplete(finish_reason: str, reason: str) -> None:
    found = response({"content": "hel"}, finish_reason)
    assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": reason})
    assert found["output"][0]["status"] == "incomplete"
    back = chat_from_response(found, created=1)
    assert back["choices"][0]["finish_reason"] == finish_reason


def test_odd_answers_of_providers() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": 1}}}]
    found = response({"content": [{"type": "text", "text": "a"}, {"text": "b"}], "reasoning": "t", "tool_calls": calls})
    assert sdk.response(found).output_text == "ab"
    assert found["output"][2]["arguments"] == '{"a":1}'
    assert found["output"][2]["call_id"]
    legacy = response({"content": None, "function_call": {"name": "f", "arguments": "{}"}}, "function_call")
    assert [item["name"] for item in legacy["output"]] == ["f"]
    bare = response_from_chat({"choices": [{"message": {"content": ""}}]}, request=REQUEST, created=5)
    assert (sdk.response(bare).id, bare["model"], bare["output"], bare["usage"]) == ("resp_5", "asked", [], None)


@pytest.mark.parametrize("choices", [None, [], "x", [3], [{}], [{"message": {"tool_calls": [3]}}]])
def test_what_is_no_answer_is_refused(choices: object) -> None:
    with pytest.raises(Untranslatable):
        response_from_chat({"choices": choices}, request=REQUEST, created=1)


def test_the_response_repeats_its_request() -> None:
    schema = {"type": "object"}
    said: Json = {
        "instructions": "i",
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "temperature": 0.5,
        "top_p": 1,
        "max_output_tokens": 99,
        "reasoning": {"effort": "low", "summary": None},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}, "verbosity": "low"},
        "tools": [{"type": "function", "name": "f", "description": None, "parameters": schema, "strict": True}],
        "tool_choice": {"type": "function", "name": "f"},
        "user": "u",
    }
    found = response({"content": "x"}, request={**REQUEST, **said, "store": True})
    assert {name: found[name] for name in said} == said
    assert (found["store"], found["truncation"], found["previous_response_id"]) == (False, "disabled", None)


def test_a_response_becomes_a_chat_completion() -> None:
    original = answer({"content": "w", "refusal": None, "reasoning_content": "t", "tool_calls": CALLS}, "tool_calls")
    found = chat_from_response(response_from_chat(original, request=REQUEST, created=1), created=2)
    ChatCompletion.model_validate(found)
    assert found["choices"][0] == {**original["choices"][0], "logprobs": None}
    assert (found["id"], found["model"], found["created"]) == ("chatcmpl-abc", "m", 2)
    assert found["usage"]["prompt_tokens_details"]["cached_tokens"] == 4
    assert {name: found["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")} == {
        "prompt_tokens": 10,
        "completion_tokens": 7,
        "total_tokens": 17,
    }


def test_thoughts_of_a_response_become_one_text() -> None:
    output = [
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
        },
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "c"}]},
        {"type": "web_search_call"},
        {"type": "message", "content": [{"type": "output_text", "text": "x"}, {"type": "output_text", "text": "y"}]},
    ]
    message = chat_from_response({"output": output}, created=1)["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "xy", "refusal": None, "reasoning_content": "a\n\nb\n\nc"}


@pytest.mark.parametrize(
    ("message", "content"),
    [({"content": ""}, ""), ({"content": None, "refusal": "no"}, None), ({"content": None, "tool_calls": CALLS}, None)],
)
def test_content_is_null_only_beside_something_else(message: Json, content: str | None) -> None:
    found = chat_from_response(response_from_chat(answer(message), request=REQUEST, created=1), created=1)
    ChatCompletion.model_validate(found)
    assert found["choices"][0]["message"]["content"] == content


def test_a_response_without_output_is_refused() -> None:
    with pytest.raises(Untranslatable) as refused:
        chat_from_response({"id": "resp_1"}, created=1)
    assert refused.value.field == "output"
