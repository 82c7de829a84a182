"""The conversation of a Messages request as chat messages.

Left out: `thinking` and `redacted_thinking` of earlier turns. The format allows to leave them out, and chat has no
place for their signatures.
"""

from typing import NamedTuple

from proxy.wire.anthropic.members import Json, as_flag, as_list, as_name, as_object, at, json_text, only, refuse
from proxy.wire.anthropic.parts_in import blocks_of, chat_content, chat_parts, joined, text_of

_ROLES = frozenset({"user", "assistant", "system"})


class _Turn(NamedTuple):
    """What one side says until the other one does, with the path of each block."""

    role: str
    blocks: list[tuple[Json, str]]


def chat_messages(request: Json) -> list[Json]:
    """The chat messages for `system` and `messages`. Raises Untranslatable."""
    system = request.get("system")
    instructions = "" if system is None else text_of(blocks_of(system, "system"))
    said: list[Json] = []
    for turn in _turns(as_list(request.get("messages"), "messages")):
        if turn.role == "assistant":
            said += _assistant(turn.blocks)
        elif turn.role == "user":
            said += _user(turn.blocks)
        else:
            said += _system(turn.blocks)
    if not said:
        raise refuse("messages", "needs at least one message that says something.")
    return [{"role": "system", "content": instructions}, *said] if instructions else said


def _turns(messages: list[object]) -> list[_Turn]:
    # Neighbours of the same role are one turn, as the format has it: a tool result in the second of two user messages
    # must follow its call at once.
    turns: list[_Turn] = []
    for n, found in enumerate(messages):
        field = at("messages", n)
        message = as_object(found, field)
        only(message, {"role", "content"}, field)
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise refuse(at(field, "role"), "must be user, assistant or system.")
        blocks = blocks_of(message.get("content"), at(field, "content"))
        if turns and turns[-1].role == role:
            turns[-1].blocks.extend(blocks)
        else:
            turns.append(_Turn(role, blocks))
    return turns


def _system(blocks: list[tuple[Json, str]]) -> list[Json]:
    content = text_of(blocks)
    return [{"role": "system", "content": content}] if content else []


def _user(blocks: list[tuple[Json, str]]) -> list[Json]:
    messages: list[Json] = []
    attached: list[Json] = []
    parts: list[Json] = []
    for block, field in blocks:
        if block.get("type") == "tool_result":
            message, rest = _tool_result(block, field)
            messages.append(message)
            attached += rest
        else:
            parts += chat_parts(block, field)
    content = chat_content([*attached, *parts])
    if content:
        messages.append({"role": "user", "content": content})
    return messages


def _tool_result(block: Json, field: str) -> tuple[Json, list[Json]]:
    """The tool message, and what must follow in a user message because a tool message holds only text."""
    only(block, {"type", "tool_use_id", "content", "is_error", "cache_control"}, field)
    name = as_name(block.get("tool_use_id"), at(field, "tool_use_id"))
    texts: list[Json] = []
    others: list[Json] = []
    if block.get("content") is not None:
        for inner, path in blocks_of(block["content"], at(field, "content")):
            for part in chat_parts(inner, path):
                (texts if part["type"] == "text" else others).append(part)
    text = joined(texts)
    if others:
        text = text or "The result is attached to the next message."
        others.insert(0, {"type": "text", "text": f"Attached to the result of {name}:"})
    if block.get("is_error") is not None and as_flag(block["is_error"], at(field, "is_error")):
        text = f"Error: {text}" if text else "Error"
    return {"role": "tool", "tool_call_id": name, "content": text}, others


def _assistant(blocks: list[tuple[Json, str]]) -> list[Json]:
    parts: list[Json] = []
    calls: list[Json] = []
    for block, field in blocks:
        kind = block.get("type")
        if kind == "tool_use":
            calls.append(_call(block, field))
        elif kind not in ("thinking", "redacted_thinking"):
            if kind != "text":
                raise refuse(at(field, "type"), "this kind of block has no place in an assistant's chat message.")
            parts += chat_parts(block, field)
    content = chat_content(parts)
    if calls:
        return [{"role": "assistant", "content": content or None, "tool_calls": calls}]
    return [{"role": "assistant", "content": content}] if content else []


def _call(block: Json, field: str) -> Json:
    only(block, {"type", "id", "name", "input", "cache_control", "caller"}, field)
    caller = block.get("caller")
    if caller is not None and as_object(caller, at(field, "caller")).get("type") != "direct":
        raise refuse(at(field, "caller"), "a call by a tool has no place in chat completions.")
    arguments = json_text(as_object(block.get("input"), at(field, "input")), at(field, "input"))
    return {
        "id": as_name(block.get("id"), at(field, "id")),
        "type": "function",
        "function": {"name": as_name(block.get("name"), at(field, "name")), "arguments": arguments},
    }
