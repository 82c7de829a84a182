"""A request of the Messages format as a chat request: each field, and each refusal by its path."""

import json
from typing import Any

import pytest

from proxy.wire.anthropic.requests_in import chat_from_messages
from proxy.wire.untranslatable import Untranslatable

ASKED = [{"role": "user", "content": "hi"}]
PIXEL = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
PIXEL_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def request(**members: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 100, "messages": ASKED, **members}


def chat(**members: Any) -> dict[str, Any]:
    return chat_from_messages(request(**members))


def said(*messages: tuple[str, Any]) -> Any:
    turns = [{"role": role, "content": content} for role, content in messages]
    return chat(messages=turns)["messages"]


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({}, {}),
        ({"temperature": 0.5, "top_p": 0.9, "stream": True}, {"temperature": 0.5, "top_p": 0.9, "stream": True}),
        ({"stream": False}, {"stream": False}),
        ({"temperature": None, "system": None, "tools": None, "top_k": None}, {}),
        ({"stop_sequences": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"stop_sequences": []}, {}),
        ({"metadata": {"user_id": "u"}}, {"user": "u"}),
        ({"metadata": {}}, {}),
        ({"service_tier": "auto"}, {}),
        ({"cache_control": {"type": "ephemeral"}}, {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, {"reasoning_effort": "low"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 2049}}, {"reasoning_effort": "medium"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, {"reasoning_effort": "medium"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 8193}}, {"reasoning_effort": "high"}),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, {"reasoning_effort": "medium"}),
        ({"thinking": {"type": "disabled"}}, {}),
        ({"output_config": {"effort": "max"}}, {"reasoning_effort": "max"}),
        ({"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}}, {"reasoning_effort": "low"}),
        ({"tool_choice": {"type": "auto"}}, {"tool_choice": "auto"}),
        ({"tool_choice": {"type": "any"}}, {"tool_choice": "required"}),
        ({"tool_choice": {"type": "none"}}, {"tool_choice": "none"}),
        (
            {"tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        ),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": False}}, {"tool_choice": "auto"}),
    ],
)
def test_a_setting_is_said_in_chat(members: dict[str, Any], found: dict[str, Any]) -> None:
    assert chat(**members) == {"model": "m", "max_tokens": 100, "messages": ASKED, **found}


@pytest.mark.parametrize("member", ["output_config", "output_format"])
def test_an_answer_may_be_held_to_a_schema(member: str) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    found = chat(**{member: {"format": wanted} if member == "output_config" else wanted})
    assert found["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
    }


def test_tools_become_functions() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "string"}}}
    tools = [
        {"name": "f", "description": "does", "input_schema": schema, "strict": True, "cache_control": {}},
        {"type": "custom", "name": "g", "input_schema": {}, "eager_input_streaming": True, "defer_loading": False},
    ]
    assert chat(tools=tools)["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "does", "parameters": schema, "strict": True}},
        {"type": "function", "function": {"name": "g", "parameters": {}}},
    ]


def test_without_a_limit_chat_has_none_either() -> None:
    assert chat_from_messages({"model": "m", "messages": ASKED}) == {"model": "m", "messages": ASKED}


@pytest.mark.parametrize(
    "system", ["be\n\nkind", [{"type": "text", "text": "be", "cache_control": {}}, {"type": "text", "text": "kind"}]]
)
def test_the_system_prompt_comes_first(system: Any) -> None:
    assert chat(system=system)["messages"] == [{"role": "system", "content": "be\n\nkind"}, *ASKED]


def test_a_system_message_stays_in_its_place() -> None:
    assert said(("user", "a"), ("system", "b"), ("user", "c")) == [
        {"role": "user", "content": "a"},
        {"role": "system", "content": "b"},
        {"role": "user", "content": "c"},
    ]


def test_text_is_one_string_and_images_make_parts() -> None:
    text = {"type": "text", "text": "look", "citations": None}
    far = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    assert said(("user", [text, {"type": "text", "text": ""}, text])) == [{"role": "user", "content": "look\n\nlook"}]
    assert said(("user", [text, PIXEL, far])) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                PIXEL_PART,
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            ],
        }
    ]


def test_documents() -> None:
    plain = {"type": "text", "media_type": "text/plain", "data": "body"}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
    inner = {"type": "content", "content": [{"type": "text", "text": "in"}]}
    document = {"type": "document", "title": "T", "context": "C", "citations": {"enabled": False}}
    assert said(("user", [{**document, "source": plain}])) == [{"role": "user", "content": "T\n\nC\n\nbody"}]
    assert said(("user", [{"type": "document", "source": inner}])) == [{"role": "user", "content": "in"}]
    assert said(("user", [{**document, "source": pdf}]))[0]["content"] == [
        {"type": "text", "text": "C"},
        {"type": "file", "file": {"filename": "T", "file_data": "data:application/pdf;base64,AAAA"}},
    ]


def use(name: str = "f", call_id: str = "t1", **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


def test_calls_and_thinking_of_an_assistant() -> None:
    thinking = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "x"}]
    direct = {**use("g", "t2"), "caller": {"type": "direct"}}
    messages = said(
        ("user", "a"),
        ("assistant", [*thinking, {"type": "text", "text": "ok"}, use(x=[1, "é"])]),
        ("user", [{"type": "tool_result", "tool_use_id": "t1"}]),
        ("assistant", [direct]),
        ("user", [{"type": "tool_result", "tool_use_id": "t2", "content": "r"}]),
        ("assistant", thinking),
    )
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant", "tool"]
    call = messages[1]["tool_calls"][0]
    assert (messages[1]["content"], call["id"], call["type"], call["function"]["name"]) == ("ok", "t1", "function", "f")
    assert json.loads(call["function"]["arguments"]) == {"x": [1, "é"]}
    assert messages[2] == {"role": "tool", "tool_call_id": "t1", "content": ""}
    assert messages[3]["content"] is None
    assert messages[3]["tool_calls"][0]["function"] == {"name": "g", "arguments": "{}"}


def test_results_of_tools_come_first_and_their_images_after_them() -> None:
    results = [
        {"type": "text", "text": "and now?"},
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "seen"}, PIXEL]},
        {"type": "tool_result", "tool_use_id": "t2", "content": "no file", "is_error": True},
        {"type": "tool_result", "tool_use_id": "t3", "content": [PIXEL], "is_error": False},
        {"type": "tool_result", "tool_use_id": "t4", "content": [], "is_error": True},
    ]
    assert said(("user", results)) == [
        {"role": "tool", "tool_call_id": "t1", "content": "seen"},
        {"role": "tool", "tool_call_id": "t2", "content": "Error: no file"},
        {"role": "tool", "tool_call_id": "t3", "content": "The result is attached to the next message."},
        {"role": "tool", "tool_call_id": "t4", "content": "Error"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Attached to the result of t1:"},
                PIXEL_PART,
                {"type": "text", "text": "Attached to the result of t3:"},
                PIXEL_PART,
                {"type": "text", "text": "and now?"},
            ],
        },
    ]


def test_a_result_in_a_second_user_message_still_follows_its_call() -> None:
    result = [{"type": "tool_result", "tool_use_id": "t1", "content": "r"}]
    messages = said(("user", "a"), ("assistant", [use()]), ("user", "wait"), ("user", result))
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "user"]


def block(found: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [*ASKED, {"role": role, "content": [found]}]}


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
        ({"messages": ["hi"]}, "messages.0"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x", "name": "n"}]}, "messages.0.name"),
        ({"top_k": 5}, "top_k"),
        ({"container": "c"}, "container"),
        ({"mcp_servers": []}, "mcp_servers"),
        ({"context_management": {}}, "context_management"),
        ({"anthropic_version": "v"}, "anthropic_version"),
        ({"betas": []}, "betas"),
        ({"service_tier": "standard_only"}, "service_tier"),
        ({"temperature": "warm"}, "temperature"),
        ({"stream": 1}, "stream"),
        ({"system": 5}, "system"),
        ({"system": [PIXEL]}, "system.0.type"),
        ({"stop_sequences": ["a", 1]}, "stop_sequences.1"),
        ({"metadata": {"other": 1}}, "metadata.other"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "between_tools"}}, "thinking.type"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"output_config": {"format": {}}, "output_format": {}}, "output_format"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools.0.type"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"tools": [{"name": "f", "input_schema": {}, "defer_loading": True}]}, "tools.0.defer_loading"),
        ({"tools": [{"name": "f", "input_schema": {}, "odd": 1}]}, "tools.0.odd"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        (block({"type": "text", "text": "x", "citations": [{}]}), "messages.1.content.0.citations"),
        (block({"type": "image", "source": {"type": "file", "file_id": "f"}}), "messages.1.content.0.source"),
        (block({**PIXEL, "transformations": {"oversized_image": "error"}}), "messages.1.content.0.transformations"),
        (block({"type": "document", "source": {"type": "url", "url": "u"}}), "messages.1.content.0.source"),
        (block({"type": "document", "citations": {"enabled": True}}), "messages.1.content.0.citations"),
        (block({"type": "search_result"}), "messages.1.content.0.type"),
        (block({"type": "tool_result"}), "messages.1.content.0.tool_use_id"),
        (block(use()), "messages.1.content.0.type"),
        (block(PIXEL, "assistant"), "messages.1.content.0.type"),
        (block({"type": "server_tool_use"}, "assistant"), "messages.1.content.0.type"),
        (block({**use(), "input": "x"}, "assistant"), "messages.1.content.0.input"),
        (block({**use(), "caller": {"type": "code_execution_20250825"}}, "assistant"), "messages.1.content.0.caller"),
        (block({"type": "tool_result", "tool_use_id": "t", "content": [use()]}), "messages.1.content.0.content.0.type"),
    ],
)
def test_what_chat_has_no_place_for_is_named(members: dict[str, Any], field: str) -> None:
    with pytest.raises(Untranslatable) as refused:
        chat(**members)
    assert refused.value.field == field
    assert refused.value.message.startswith(field)


def test_input_that_is_nested_without_end_is_named() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"x": deep}
    with pytest.raises(Untranslatable) as refused:
        said(("assistant", [{**use(), "input": deep}]))
    assert refused.value.field == "messages.0.content.0.input"
    while deep:  # undone from the outside, for its own end would be recursive too
        deep = deep.pop("x")
