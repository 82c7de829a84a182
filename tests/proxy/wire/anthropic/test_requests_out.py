"""A chat request as a request of the Messages format: each field, and each refusal by its path."""

from typing import Any

import pytest

from proxy.wire.anthropic.requests_out import messages_from_chat
from proxy.wire.untranslatable import Untranslatable

ASKED = [{"role": "user", "content": "hi"}]
ASKED_BLOCKS = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
FUNCTION = {"name": "f", "description": "does", "parameters": {"properties": {}}, "strict": True}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


def messages(**members: Any) -> dict[str, Any]:
    return messages_from_chat({"model": "m", "messages": ASKED, **members}, max_tokens=4096)


def turns(*said: dict[str, Any]) -> Any:
    return messages(messages=list(said))["messages"]


def thinking(tokens: int) -> dict[str, Any]:
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({}, {}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": 6}),
        ({"temperature": 1, "top_p": 0.5}, {"temperature": 1, "top_p": 0.5}),
        ({"top_p": 1}, {}),
        ({"stop": "x"}, {"stop_sequences": ["x"]}),
        ({"stop": ["x", "", "y"]}, {"stop_sequences": ["x", "y"]}),
        ({"stop": ""}, {}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"safety_identifier": "s"}, {"metadata": {"user_id": "s"}}),
        ({"user": "u", "safety_identifier": "s"}, {"metadata": {"user_id": "u"}}),
        ({"n": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "logprobs": False, "store": False}, {}),
        ({"logit_bias": {}, "metadata": {}, "modalities": ["text"], "service_tier": "default"}, {}),
        ({"seed": None, "audio": None, "tools": None, "anything": None, "prompt_cache_key": "k"}, {}),
        ({"reasoning_effort": "none"}, {}),
        ({"reasoning_effort": "minimal"}, {}),
        ({"reasoning_effort": "low"}, thinking(1024)),
        ({"reasoning_effort": "medium", "max_tokens": 50_000}, {"max_tokens": 50_000, **thinking(4096)}),
        ({"reasoning_effort": "high", "max_tokens": 50_000}, {"max_tokens": 50_000, **thinking(16_384)}),
        ({"reasoning_effort": "high"}, thinking(2048)),
        ({"reasoning_effort": "high", "max_tokens": 1025}, {"max_tokens": 1025, **thinking(1024)}),
        (
            {"reasoning_effort": "low", "temperature": 1, "top_p": 0.95},
            {"temperature": 1, "top_p": 0.95} | thinking(1024),
        ),
        ({"response_format": {"type": "text"}}, {}),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "description": "d", "schema": {"type": "object"}, "strict": True},
                }
            },
            {"output_config": {"format": {"type": "json_schema", "schema": {"description": "d", "type": "object"}}}},
        ),
        ({"tool_choice": "none"}, {}),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, {}),
    ],
)
def test_a_setting_is_said_in_the_messages_format(members: dict[str, Any], found: dict[str, Any]) -> None:
    assert messages(**members) == {"model": "m", "max_tokens": 4096, "messages": ASKED_BLOCKS, **found}


@pytest.mark.parametrize(
    ("members", "choice"),
    [
        ({}, None),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"type": "tool", "name": "f"}),
        ({"function_call": {"name": "f"}}, {"type": "tool", "name": "f"}),
        ({"function_call": "none"}, {"type": "none"}),
    ],
)
def test_the_choice_among_tools(members: dict[str, Any], choice: Any) -> None:
    found = messages(tools=[TOOL], functions=[{"name": "g"}], **members)
    assert found["tools"] == [
        {
            "name": "f",
            "description": "does",
            "input_schema": {"type": "object", "properties": {}},
            "strict": True,
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert found.get("tool_choice") == choice


def test_instructions_are_gathered_wherever_they_stand() -> None:
    one = messages(messages=[*ASKED, {"role": "developer", "content": "be kind"}])
    assert (one["system"], one["messages"]) == ("be kind", ASKED_BLOCKS)
    parts = [{"type": "text", "text": "c"}, {"type": "text", "text": ""}]
    two = messages(messages=[{"role": "system", "content": "b"}, *ASKED, {"role": "system", "content": parts}])
    assert two["system"] == [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]


def test_parts_of_a_user() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "text", "text": ""},
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "DATA:image/png;base64,AA=="}},
        {"type": "file", "file": {"filename": "f.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
    ]
    assert turns({"role": "user", "content": parts})[0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
            "title": "f.pdf",
        },
    ]


def test_turns_alternate_and_results_come_first() -> None:
    found = turns(
        *ASKED,
        {"role": "user", "content": "more"},
        {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}], "annotations": []},
        {"role": "user", "content": "wait"},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": ""}]},
        {"role": "assistant", "content": "ok", "reasoning_content": "hm", "refusal": "no"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "never"}]},
    )
    assert [turn["role"] for turn in found] == ["user", "assistant", "user", "assistant"]
    assert [block["text"] for block in found[0]["content"]] == ["hi", "more"]
    assert found[1]["content"] == [
        {"type": "tool_use", "id": name, "name": "f", "input": {"x": 1}} for name in ("c1", "c2")
    ]
    assert found[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": "r"},
        {"type": "tool_result", "tool_use_id": "c2"},
        {"type": "text", "text": "wait"},
    ]
    assert [block["text"] for block in found[3]["content"]] == ["ok", "no", "never"]


def test_the_older_kind_of_call_gets_an_id() -> None:
    found = turns(
        *ASKED,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
        {"role": "function", "name": "f", "content": "r"},
    )
    use, result = found[1]["content"][0], found[2]["content"][0]
    assert (use["name"], use["input"], result["content"]) == ("f", {}, "r")
    assert use["id"] == result["tool_use_id"] != ""


def test_within_a_tool_loop_the_model_answers_without_thinking() -> None:
    loop = [*ASKED, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c1", "content": "r"}]
    assert "thinking" not in messages(messages=loop, reasoning_effort="high", temperature=0.5)
    assert "thinking" in messages(
        messages=[*loop, {"role": "assistant", "content": "x"}, *ASKED], reasoning_effort="high"
    )


def call(**function: Any) -> dict[str, Any]:
    return {"messages": [*ASKED, {"role": "assistant", "tool_calls": [{**CALL, "function": function}]}]}


def part(found: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [found]}]}


def image(**members: Any) -> dict[str, Any]:
    return part({"type": "image_url", "image_url": members})


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"model": 5}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "x", "name": "n"}]}, "messages.0.name"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages.0.name"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages.0.audio"),
        ({"messages": [{"role": "assistant", "annotations": [{}]}]}, "messages.0.annotations"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"type": "custom"}]}]}, "messages.0.tool_calls.0.type"),
        (call(name="f"), "messages.1.tool_calls.0.function.arguments"),
        (call(name="f", arguments="{oops"), "messages.1.tool_calls.0.function.arguments"),
        (call(name="f", arguments="[]"), "messages.1.tool_calls.0.function.arguments"),
        (call(arguments="{}"), "messages.1.tool_calls.0.function.name"),
        (part({"type": "input_audio"}), "messages.0.content.0.type"),
        (part({"type": "file", "file": {"file_id": "f"}}), "messages.0.content.0.file.file_id"),
        (part({"type": "file", "file": {"file_data": "AAAA"}}), "messages.0.content.0.file.file_data"),
        (image(url="ftp://x"), "messages.0.content.0.image_url.url"),
        (image(url="data:image/tiff;base64,AA"), "messages.0.content.0.image_url.url"),
        (image(url="https://x", detail="low"), "messages.0.content.0.image_url.detail"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"temperature": 1.1}, "temperature"),
        ({"stop": 5}, "stop"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"seed": 0}, "seed"),
        ({"prediction": {}}, "prediction"),
        ({"audio": {}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"store": True}, "store"),
        ({"metadata": {"a": "b"}}, "metadata"),
        ({"top_k": 5}, "top_k"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools.0.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice.type"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"reasoning_effort": "low", "max_tokens": 1024}, "reasoning_effort"),
        ({"reasoning_effort": "low", "temperature": 0.5}, "reasoning_effort"),
        ({"reasoning_effort": "low", "top_p": 0.5}, "reasoning_effort"),
        ({"reasoning_effort": "low", "tools": [TOOL], "tool_choice": "required"}, "reasoning_effort"),
    ],
)
def test_what_the_messages_format_has_no_place_for_is_named(members: dict[str, Any], field: str) -> None:
    with pytest.raises(Untranslatable) as refused:
        messages(**members)
    assert refused.value.field == field
    assert refused.value.message.startswith(field)
