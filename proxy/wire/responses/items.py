"""A conversation as the items of a Responses request, turned into the messages of a chat."""

from proxy.wire.responses.fields import Json, as_list, as_object, as_text, at, no_place, refuse_unknown
from proxy.wire.responses.parts import chat_content, chat_texts, spoken

# What an item carries beside its meaning. `phase` labels what an assistant said as remark or as answer.
_MARKS = frozenset({"id", "type", "status"})


def messages_from_input(found: object) -> list[Json]:
    """The messages that an input says: a string, or a list of items.

    Reasoning items are left out: chat has no place for them, and models go on without. Calls, which are items of their
    own, join the assistant's message that they belong to.
    """
    if isinstance(found, str):
        return [{"role": "user", "content": found}]
    messages: list[Json] = []
    for i, item in enumerate(as_list(found, "input")):
        _add(messages, as_object(item, at("input", i)), at("input", i))
    return messages


def _add(messages: list[Json], item: Json, path: str) -> None:
    match item.get("type") or "message":
        case "message":
            _add_message(messages, item, path)
        case "function_call":
            _turn(messages).setdefault("tool_calls", []).append(_call(item, path))
        case "function_call_output":
            messages.append(_output(item, path))
        case "reasoning":
            pass
        case _:
            raise no_place(at(path, "type"))


def _add_message(messages: list[Json], item: Json, path: str) -> None:
    refuse_unknown(item, _MARKS | {"role", "content", "phase"}, path)
    where = at(path, "content")
    match item.get("role"):
        case "user":
            messages.append({"role": "user", "content": chat_content(item.get("content"), where)})
        case "system" | "developer":
            # The newer name of the role is known to few backends; where it is, the older one means the same.
            texts = chat_texts(item.get("content"), where)
            messages.append({"role": "system", "content": "\n".join(texts)})
        case "assistant":
            _say(messages, *spoken(item.get("content"), where))
        case _:
            raise no_place(at(path, "role"))


def _say(messages: list[Json], text: str, refusal: str) -> None:
    # What is said between calls and their outputs is of the same turn: in a chat nothing may stand between those.
    if messages and "tool_calls" in messages[-1]:
        message = messages[-1]
    else:
        message = {"role": "assistant", "content": None}
        messages.append(message)
    if text or not refusal:
        message["content"] = (message["content"] or "") + text
    if refusal:
        message["refusal"] = message.get("refusal", "") + refusal


def _turn(messages: list[Json]) -> Json:
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    return messages[-1]


def _call(item: Json, path: str) -> Json:
    refuse_unknown(item, _MARKS | {"call_id", "name", "arguments"}, path)
    name, arguments = (as_text(item.get(each), at(path, each)) for each in ("name", "arguments"))
    call_id = as_text(item.get("call_id"), at(path, "call_id"))
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _output(item: Json, path: str) -> Json:
    refuse_unknown(item, _MARKS | {"call_id", "name", "output"}, path)
    # The parts of an output are things apart (files read, pages found), unlike the pieces of something said.
    content = "\n".join(chat_texts(item.get("output"), at(path, "output")))
    return {"role": "tool", "tool_call_id": as_text(item.get("call_id"), at(path, "call_id")), "content": content}
