"""Responses requests, turned into chat completions."""

import pytest

from proxy.wire.responses.fields import Json
from proxy.wire.responses.requests import chat_from_responses
from proxy.wire.untranslatable import Untranslatable

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "name": "weather", "description": "d", "parameters": SCHEMA, "strict": True}
CHAT_TOOL = {"type": "function", "function": {key: value for key, value in TOOL.items() if key != "type"}}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "c1",
    "name": "f",
    "arguments": '{"a":1}',
    "status": "completed",
}
CHAT_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def messages(*items: Json) -> list[Json]:
    found: list[Json] = chat_from_responses({"model": "m", "input": list(items)})["messages"]
    return found


def content(*parts: Json) -> object:
    return messages({"role": "user", "content": list(parts)})[0]["content"]


def refused(request: Json) -> str:
    with pytest.raises(Untranslatable) as found:
        chat_from_responses(request)
    assert found.value.field in found.value.message or found.value.field == "input"
    return found.value.field


@pytest.mark.parametrize(
    ("members", "chat"),
    [
        ({"max_output_tokens": 9}, {"max_tokens": 9}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"stream": True}, {"stream": True}),
        ({"user": "u"}, {"user": "u"}),
        ({"safety_identifier": "s"}, {"user": "s"}),
        ({"safety_identifier": "s", "user": "u"}, {"user": "u"}),
        ({"tools": [TOOL]}, {"tools": [CHAT_TOOL]}),
        ({"tools": [{"type": "function", "name": "f"}]}, {"tools": [{"type": "function", "function": {"name": "f"}}]}),
        ({"tools": [TOOL], "tool_choice": "required"}, {"tools": [CHAT_TOOL], "tool_choice": "required"}),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "name": "weather"}, "parallel_tool_calls": False},
            {
                "tools": [CHAT_TOOL],
                "tool_choice": {"type": "function", "function": {"name": "weather"}},
                "parallel_tool_calls": False,
            },
        ),
        ({"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, {}),
        ({"reasoning": {"effort": "high", "summary": "auto"}}, {"reasoning_effort": "high"}),
        ({"reasoning": {"effort": None}}, {}),
        ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
                }
            },
        ),
        (
            {
                "store": True,
                "metadata": {"a": "b"},
                "client_metadata": {"a": "b"},
                "include": ["reasoning.encrypted_content"],
                "truncation": "disabled",
                "background": False,
                "service_tier": "auto",
                "top_logprobs": 0,
                "prompt_cache_key": "k",
                "prompt_cache_retention": "24h",
                "stream_options": {"include_obfuscation": False},
                "previous_response_id": None,
                "something_new": None,
            },
            {},
        ),
    ],
)
def test_a_member_of_the_request(members: Json, chat: Json) -> None:
    expected = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **chat}
    assert chat_from_responses({"model": "m", "input": "hi", **members}) == expected


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["reasoning.encrypted_content", "web_search_call.results"]}, "include.1"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"something_new": 1}, "something_new"),
        ({"tools": [TOOL, {"type": "web_search"}]}, "tools.1.type"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools.0.defer_loading"),
        ({"tools": {"type": "function"}}, "tools"),
        ({"tools": ""}, "tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"reasoning": {"context": "all_turns"}}, "reasoning.context"),
        ({"reasoning": "high"}, "reasoning"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_object", "x": 1}}}, "text.format.x"),
        ({"instructions": ["x"]}, "instructions"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"store": "yes"}, "store"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_output_tokens": True}, "max_output_tokens"),
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["x"]}, "input.0"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input.0.role"),
        ({"input": [{"role": "user", "content": 3}]}, "input.0.content"),
        ({"input": [{"role": "user", "content": "x", "name": "n"}]}, "input.0.name"),
        ({"input": [CALL, {"type": "custom_tool_call"}]}, "input.1.type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input.0.type"),
        ({"input": [{"type": "computer_call"}]}, "input.0.type"),
        ({"input": [{**CALL, "namespace": "n"}]}, "input.0.namespace"),
        ({"input": [{**CALL, "arguments": {}}]}, "input.0.arguments"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input.0.call_id"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image"}]}]},
            "input.0.output.0.type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input.0.content.0.file_id",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]},
            "input.0.content.0.file_url",
        ),
        ({"input": [{"role": "system", "content": [{"type": "input_image"}]}]}, "input.0.content.0.type"),
    ],
)
def test_what_chat_has_no_place_for_is_named(members: Json, field: str) -> None:
    assert refused({"model": "m", "input": "hi", **members}) == field


def test_schemas_without_end_are_refused() -> None:
    deep: Json = {}
    for _ in range(500):
        deep = {"a": deep}
    assert refused({"input": "hi", "tools": [{**TOOL, "parameters": deep}]}) == "tools.0.parameters"


def test_instructions_come_first() -> None:
    found = chat_from_responses({"instructions": "be brief", "input": "hi"})
    assert found["messages"] == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]


def test_roles_and_both_ways_to_write_a_message() -> None:
    assert messages(
        {"role": "developer", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
        {"type": "message", "id": "msg_1", "role": "system", "content": "c", "status": "completed"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "d"}]},
        {"role": "assistant", "content": "e"},
        {
            "type": "message",
            "id": "msg_2",
            "role": "assistant",
            "status": "completed",
            "phase": "final_answer",
            "content": [
                {"type": "output_text", "text": "f", "annotations": [], "logprobs": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
    ) == [
        {"role": "system", "content": "a\nb"},
        {"role": "system", "content": "c"},
        {"role": "user", "content": "d"},
        {"role": "assistant", "content": "e"},
        {"role": "assistant", "content": "f", "refusal": "no"},
    ]


def test_the_parts_of_a_users_message() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}}
    assert content(
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "low"},
        {"type": "input_image", "image_url": "https://x/y.png"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="},
        audio,
    ) == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ==", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ==", "filename": "a.pdf"}},
        audio,
    ]


def test_calls_join_the_message_that_they_belong_to() -> None:
    second = {**CALL, "call_id": "c2"}
    output = [{"type": "input_text", "text": "x"}, {"type": "input_text", "text": "y"}]
    assert messages(
        {"role": "assistant", "content": "I look"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "…"},
        CALL,
        second,
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {"type": "function_call_output", "call_id": "c2", "output": output},
        CALL,
    ) == [
        {"role": "assistant", "content": "I look", "tool_calls": [CHAT_CALL, {**CHAT_CALL, "id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": "x\ny"},
        {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL]},
    ]


def test_what_is_said_after_calls_does_not_part_them_from_their_outputs() -> None:
    assert messages(
        CALL, {"role": "assistant", "content": "wait"}, {"type": "function_call_output", "call_id": "c1", "output": "x"}
    ) == [
        {"role": "assistant", "content": "wait", "tool_calls": [CHAT_CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "x"},
    ]
