"""One conversation in each wire format, by the official clients: what is asked and what came back in the same words."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai

from tests.hub import Hub

FORMATS = ("chat", "messages", "responses")
KINDS = ("openai-completions", "anthropic-messages", "openai-responses")

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SYSTEM = "Answer in one word."
QUESTION = "What is this?"
TOOL = "look_up"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@dataclass(slots=True)
class Said:
    """An answer."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)  # id, name, arguments
    stopped: str = ""
    prompt_tokens: int = 0  # all of them, cached ones included
    cached_tokens: int = 0
    completion_tokens: int = 0


def ask(hub: Hub, key: str, wire: str, model: str, *, stream: bool, tools: bool = False) -> Said:
    """Ask for one answer by the official client of a format, with a system prompt and an image."""
    return {"chat": _chat, "messages": _messages, "responses": _responses}[wire](hub, key, model, stream, tools)


def _chat(hub: Hub, key: str, model: str, stream: bool, tools: bool) -> Said:
    messages: Any = [
        {"role": "system", "content": SYSTEM},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": QUESTION},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            ],
        },
    ]
    function = {"name": TOOL, "description": "Looks a city up.", "parameters": SCHEMA}
    more: Any = {"tools": [{"type": "function", "function": function}]} if tools else {}
    with hub.openai(key) as client:
        if not stream:
            answer = client.chat.completions.create(model=model, messages=messages, max_tokens=100, **more)
            return _of_chat(answer)
        with client.chat.completions.stream(
            model=model, messages=messages, max_tokens=100, stream_options={"include_usage": True}, **more
        ) as events:
            try:
                final = events.get_final_completion()
            except openai.LengthFinishReasonError:
                return Said(stopped="length")  # the client's own word for it
        return _of_chat(final)


def _of_chat(answer: Any) -> Said:
    choice, usage = answer.choices[0], answer.usage
    details = usage.prompt_tokens_details
    return Said(
        text=choice.message.content or "",
        reasoning=getattr(choice.message, "reasoning_content", None) or "",
        calls=[
            (call.id, call.function.name, json.loads(call.function.arguments))
            for call in choice.message.tool_calls or []
        ],
        stopped={"stop": "end", "tool_calls": "tools", "length": "length"}[choice.finish_reason],
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=(details.cached_tokens or 0) if details else 0,
        completion_tokens=usage.completion_tokens,
    )


def _messages(hub: Hub, key: str, model: str, stream: bool, tools: bool) -> Said:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    arguments: Any = {
        "model": model,
        "max_tokens": 100,
        "system": SYSTEM,
        "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}, image]}],
    }
    if tools:
        arguments["tools"] = [{"name": TOOL, "description": "Looks a city up.", "input_schema": SCHEMA}]
    with anthropic_client(hub, key) as client:
        if stream:
            with client.messages.stream(**arguments) as events:
                answer: Any = events.get_final_message()
        else:
            answer = client.messages.create(**arguments)
    usage = answer.usage
    cached = usage.cache_read_input_tokens or 0
    return Said(
        text="".join(block.text for block in answer.content if block.type == "text"),
        reasoning="".join(block.thinking for block in answer.content if block.type == "thinking"),
        calls=[(block.id, block.name, block.input) for block in answer.content if block.type == "tool_use"],
        stopped={"end_turn": "end", "tool_use": "tools", "max_tokens": "length"}[answer.stop_reason],
        prompt_tokens=usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0),
        cached_tokens=cached,
        completion_tokens=usage.output_tokens,
    )


def _responses(hub: Hub, key: str, model: str, stream: bool, tools: bool) -> Said:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}
    arguments: Any = {
        "model": model,
        "max_output_tokens": 100,
        "instructions": SYSTEM,
        "input": [{"role": "user", "content": [{"type": "input_text", "text": QUESTION}, image]}],
    }
    if tools:
        function = {"name": TOOL, "description": "Looks a city up.", "parameters": SCHEMA, "strict": False}
        arguments["tools"] = [{"type": "function", **function}]
    with hub.openai(key) as client:
        if stream:
            with client.responses.stream(**arguments) as events:
                # The client's shortcut to the final response knows of completed ones only.
                last = [event for event in events if event.type in ("response.completed", "response.incomplete")]
            answer: Any = last[-1].response
        else:
            answer = client.responses.create(**arguments)
    calls = [
        (item.call_id, item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"
    ]
    reasons = [part.text for item in answer.output if item.type == "reasoning" for part in item.summary]
    stopped = "length" if answer.status == "incomplete" else "tools" if calls else "end"
    return Said(
        text=answer.output_text,
        reasoning="".join(reasons),
        calls=calls,
        stopped=stopped,
        prompt_tokens=answer.usage.input_tokens,
        cached_tokens=answer.usage.input_tokens_details.cached_tokens,
        completion_tokens=answer.usage.output_tokens,
    )


def anthropic_client(hub: Hub, key: str) -> anthropic.Anthropic:
    """Anthropic's official client, as it comes but for its retries."""
    return anthropic.Anthropic(base_url=hub.base_url, api_key=key, max_retries=0, timeout=30)


def texts_seen(kind: str, body: dict[str, Any]) -> Iterator[str]:
    """What a backend of a kind was asked, as far as it is system prompt, question, image and tool."""
    if kind == "anthropic-messages":
        system = body["system"]
        yield system if isinstance(system, str) else "".join(block["text"] for block in system)
        text, image = body["messages"][0]["content"]
        yield from (text["text"], image["source"]["data"])
        yield from (tool["name"] for tool in body.get("tools", []))
    elif kind == "openai-responses":
        items = [item for item in body["input"] if item.get("type", "message") == "message"]
        yield body.get("instructions") or _text(items.pop(0)["content"])
        text, image = items[0]["content"]
        yield from (text["text"], image["image_url"].partition("base64,")[2])
        yield from (tool["name"] for tool in body.get("tools", []))
    else:
        yield _text(body["messages"][0]["content"])
        text, image = body["messages"][1]["content"]
        yield from (text["text"], image["image_url"]["url"].partition("base64,")[2])
        yield from (tool["function"]["name"] for tool in body.get("tools", []))


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
