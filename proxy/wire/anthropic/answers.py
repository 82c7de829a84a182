"""Whole answers: a chat completion as a message, and a message as a chat completion."""

from proxy.wire.anthropic.members import (
    Json,
    as_list,
    as_name,
    as_object,
    as_text,
    at,
    json_object,
    json_text,
    optional_list,
    optional_text,
    refuse,
)
from proxy.wire.anthropic.usage import anthropic_usage, chat_usage_members, messages_usage_members
from proxy.wire.anthropic.words import chat_id, finish_reason, message_id, stop_reason, tool_use_id
from proxy.wire.usage import Usage, openai_usage

INVALID_JSON = "INVALID_JSON"
"""Under this name the format keeps arguments that a model has written and that are no JSON."""


def message_from_chat(answer: Json, *, fallback_model: str) -> Json:
    """The message for a chat completion. Raises Untranslatable where it has no choice that can be read."""
    answer = as_object(answer, "answer")
    choices = as_list(answer.get("choices"), "choices")
    if not choices:
        raise refuse("choices", "holds no answer.")
    choice = as_object(choices[0], "choices.0")
    said = as_object(choice.get("message"), "choices.0.message")
    name = message_id(answer.get("id"))
    calls = _tool_uses(said, name)
    model = answer.get("model")
    return {
        "id": name,
        "type": "message",
        "role": "assistant",
        "model": model if isinstance(model, str) and model else fallback_model,
        "content": [*_said(said), *calls],
        "stop_reason": stop_reason(choice.get("finish_reason"), has_calls=bool(calls)),
        "stop_sequence": None,
        "usage": messages_usage_members(openai_usage(answer.get("usage")) or Usage()),
    }


def _said(message: Json) -> list[Json]:
    field = "choices.0.message"
    blocks: list[Json] = []
    for name in ("reasoning_content", "reasoning"):
        thinking = optional_text(message.get(name), at(field, name))
        if thinking:  # its signature is empty, since nobody has signed it
            blocks.append({"type": "thinking", "thinking": thinking, "signature": ""})
            break
    for text in [*_texts(message.get("content"), at(field, "content")), message.get("refusal")]:
        if text:
            blocks.append({"type": "text", "text": as_text(text, at(field, "refusal"))})
    return blocks


def _texts(content: object, field: str) -> list[str]:
    if content is None or isinstance(content, str):
        return [content or ""]
    texts = []
    for n, found in enumerate(as_list(content, field)):
        part = as_object(found, at(field, n))
        if part.get("type") != "text":
            raise refuse(at(at(field, n), "type"), "this kind of part has no place in a message.")
        texts.append(as_text(part.get("text"), at(at(field, n), "text")))
    return texts


def _tool_uses(message: Json, name: str) -> list[Json]:
    field = "choices.0.message.tool_calls"
    blocks = []
    for n, found in enumerate(optional_list(message.get("tool_calls"), field)):
        call = as_object(found, at(field, n))
        path = at(at(field, n), "function")
        blocks.append(_tool_use(call.get("function"), tool_use_id(call.get("id"), name, n), path))
    if message.get("function_call") is not None:
        path = "choices.0.message.function_call"
        blocks.append(_tool_use(message["function_call"], tool_use_id(None, name, len(blocks)), path))
    return blocks


def _tool_use(found: object, call_id: str, field: str) -> Json:
    function = as_object(found, field)
    arguments = optional_text(function.get("arguments"), at(field, "arguments"))
    given = json_object(arguments)
    # A model may write no JSON, or be cut off in the middle of it; what it did write is kept.
    given = {INVALID_JSON: arguments} if given is None else given
    return {"type": "tool_use", "id": call_id, "name": as_name(function.get("name"), at(field, "name")), "input": given}


def chat_from_message(message: Json, *, created: int) -> Json:
    """The chat completion for a message, `created` in epoch seconds. Raises Untranslatable."""
    message = as_object(message, "message")
    said = _chat_message(as_list(message.get("content"), "content"))
    model = message.get("model")
    usage = anthropic_usage(message.get("usage"))
    answer: Json = {
        "id": chat_id(message.get("id")),
        "object": "chat.completion",
        "created": created,
        "model": model if isinstance(model, str) else "",
        "choices": [
            {
                "index": 0,
                "message": said,
                "logprobs": None,
                "finish_reason": finish_reason(message.get("stop_reason")),
            }
        ],
    }
    if usage is not None:
        answer["usage"] = chat_usage_members(usage)
    return answer


def _chat_message(content: list[object]) -> Json:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Json] = []
    for n, found in enumerate(content):
        field = at("content", n)
        block = as_object(found, field)
        kind = block.get("type")
        if kind == "text":
            texts.append(as_text(block.get("text"), at(field, "text")))
        elif kind == "thinking":
            thoughts.append(as_text(block.get("thinking"), at(field, "thinking")))
        elif kind == "tool_use":
            calls.append(_call(block, field))
        elif kind != "redacted_thinking":  # which holds nothing that can be read
            raise refuse(at(field, "type"), "this kind of block has no place in a chat completion.")
    message: Json = {"role": "assistant", "content": "".join(texts) or None, "refusal": None}
    if "".join(thoughts):
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None:
        message["content"] = ""
    return message


def _call(block: Json, field: str) -> Json:
    given = as_object(block.get("input"), at(field, "input"))
    kept = given.get(INVALID_JSON) if len(given) == 1 else None
    return {
        "id": as_name(block.get("id"), at(field, "id")),
        "type": "function",
        "function": {
            "name": as_name(block.get("name"), at(field, "name")),
            "arguments": kept if isinstance(kept, str) else json_text(given, at(field, "input")),
        },
    }
