"""Chat completions, turned into Responses requests."""

import pytest

from proxy.wire.responses.fields import Json
from proxy.wire.responses.requests import responses_from_chat
from proxy.wire.untranslatable import Untranslatable

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
ITEM = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}


def items(*messages: Json) -> list[Json]:
    found: list[Json] = responses_from_chat({"model": "m", "messages": list(messages)})["input"]
    return found


def tool(**members: object) -> Json:
    return {"tools": [{"type": "function", "function": members}]}


@pytest.mark.parametrize(
    ("members", "responses"),
    [
        ({"max_tokens": 5}, {"max_output_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 9}, {"max_output_tokens": 9}),
        ({"temperature": 0.1, "top_p": 1, "stream": True}, {"temperature": 0.1, "top_p": 1, "stream": True}),
        ({"user": "u", "safety_identifier": "s"}, {"user": "u", "safety_identifier": "s"}),
        ({"metadata": {"a": "b"}, "store": True}, {"metadata": {"a": "b"}, "store": True}),
        ({"store": False}, {"store": False}),
        ({"store": None}, {"store": False}),
        ({"prompt_cache_key": "k", "service_tier": "flex"}, {"prompt_cache_key": "k", "service_tier": "flex"}),
        ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        ({"verbosity": "low"}, {"text": {"verbosity": "low"}}),
        ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
                }
            },
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}},
        ),
        (
            tool(name="f", description="d", parameters=SCHEMA, strict=True),
            {"tools": [{"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": True}]},
        ),
        (
            tool(name="f"),
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "f",
                        "parameters": {"type": "object", "properties": {}},
                        "strict": False,
                    }
                ]
            },
        ),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"tool_choice": "none", "parallel_tool_calls": False}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tool_choice": {"type": "function", "name": "f"}},
        ),
        (
            {"functions": [{"name": "f", "parameters": SCHEMA}], "function_call": {"name": "f"}},
            {
                "tools": [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}],
                "tool_choice": {"type": "function", "name": "f"},
            },
        ),
        (
            {
                "n": 1,
                "stop": None,
                "seed": None,
                "logprobs": False,
                "top_logprobs": 0,
                "logit_bias": {},
                "frequency_penalty": 0,
                "presence_penalty": 0.0,
                "modalities": ["text"],
                "stream_options": {"include_usage": True},
                "prediction": None,
            },
            {},
        ),
    ],
)
def test_a_member_of_the_request(members: Json, responses: Json) -> None:
    said = [{"type": "message", "role": "user", "content": "hi"}]
    expected = {"model": "m", "input": said, "store": False, **responses}
    assert responses_from_chat({"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}) == expected


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"n": 2}, "n"),
        ({"stop": ["x"]}, "stop"),
        ({"seed": 1}, "seed"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": -1}, "presence_penalty"),
        ({"prediction": {"type": "content"}}, "prediction"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"top_k": 3}, "top_k"),
        ({"stream": 1}, "stream"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools.0.type"),
        (tool(name=3), "tools.0.function.name"),
        (tool(name="f", parameters=[]), "tools.0.function.parameters"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.type"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": 1}}, "response_format.json_schema"),
        ({"messages": None}, "messages"),
        ({"messages": ["x"]}, "messages.0"),
        ({"messages": [{"role": "alien", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x", "name": "Bob"}]}, "messages.0.name"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages.0.content.0.type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "messages.0.content.0.file.file_id",
        ),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages.0.audio"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"type": "custom"}]}]}, "messages.0.tool_calls.0.type"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "id": None}]}]},
            "messages.0.tool_calls.0.id",
        ),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages.0.name"),
    ],
)
def test_what_responses_have_no_place_for_is_named(members: Json, field: str) -> None:
    with pytest.raises(Untranslatable) as found:
        responses_from_chat({"model": "m", "messages": [{"role": "user", "content": "hi"}], **members})
    assert found.value.field == field


def test_messages_become_items() -> None:
    assert items(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "d"},
                {"type": "image_url", "image_url": {"url": "u", "detail": "high"}},
                {"type": "image_url", "image_url": {"url": "v"}},
                {"type": "file", "file": {"file_data": "QQ==", "filename": "n"}},
            ],
        },
        {"role": "assistant", "content": "e", "reasoning_content": "hm", "tool_calls": [CALL], "annotations": []},
        {"role": "tool", "tool_call_id": "c1", "content": "f"},
        {"role": "assistant", "content": None, "refusal": "no"},
    ) == [
        {"type": "message", "role": "system", "content": "a"},
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "b"}, {"type": "input_text", "text": "c"}],
        },
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "d"},
                {"type": "input_image", "image_url": "u", "detail": "high"},
                {"type": "input_image", "image_url": "v", "detail": "auto"},
                {"type": "input_file", "file_data": "QQ==", "filename": "n"},
            ],
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "e", "annotations": []}],
        },
        ITEM,
        {"type": "function_call_output", "call_id": "c1", "output": "f"},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ]


def test_the_older_way_to_call_gets_ids() -> None:
    first, output, second, other = items(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "x"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": None},
    )
    assert first["call_id"] == output["call_id"] != second["call_id"] == other["call_id"]
    assert (output["output"], other["output"]) == ("x", "")
