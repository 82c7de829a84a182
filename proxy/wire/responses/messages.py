"""The messages of a chat, turned into the items of a Responses request."""

from proxy.wire.responses.fields import Json, as_list, as_object, as_text, at, no_place, refuse_unknown
from proxy.wire.responses.parts import input_content, input_texts, spoken

# What assistants' messages carry when clients send back what they got. Reasoning has a place among the items only with
# the marks of the provider that made it; models go on without.
_ASSISTANT = frozenset(
    {"role", "content", "refusal", "tool_calls", "function_call"}
    | {"annotations", "reasoning", "reasoning_content", "reasoning_details"}
)


def input_from_messages(found: object) -> list[Json]:
    """The items that messages say."""
    items: list[Json] = []
    for i, message in enumerate(as_list(found, "messages")):
        path = at("messages", i)
        items += _items(as_object(message, path), path, items)
    return items


def _items(message: Json, path: str, before: list[Json]) -> list[Json]:
    where = at(path, "content")
    match message.get("role"):
        case "system" | "developer":
            refuse_unknown(message, {"role", "content"}, path)
            content = input_texts(message.get("content"), where)
            return [{"type": "message", "role": message["role"], "content": content}]
        case "user":
            refuse_unknown(message, {"role", "content"}, path)
            return [{"type": "message", "role": "user", "content": input_content(message.get("content"), where)}]
        case "assistant":
            return _said(message, path) + _calls(message, path)
        case "tool":
            refuse_unknown(message, {"role", "content", "tool_call_id"}, path)
            call_id = as_text(message.get("tool_call_id"), at(path, "tool_call_id"))
            return [_output(call_id, message.get("content"), where)]
        case "function":
            refuse_unknown(message, {"role", "content", "name"}, path)
            name = as_text(message.get("name"), at(path, "name"))
            return [_output(_last_call(before, name, path), message.get("content"), where)]
    raise no_place(at(path, "role"))


def _said(message: Json, path: str) -> list[Json]:
    refuse_unknown(message, _ASSISTANT, path)
    text, refusal = spoken(message.get("content"), at(path, "content"))
    if message.get("refusal") is not None:
        refusal += as_text(message["refusal"], at(path, "refusal"))
    parts: list[Json] = []
    if text:
        parts.append({"type": "output_text", "text": text, "annotations": []})
    if refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    return [{"type": "message", "role": "assistant", "content": parts}] if parts else []


def _calls(message: Json, path: str) -> list[Json]:
    items = []
    if message.get("tool_calls") is not None:
        where = at(path, "tool_calls")
        for i, call in enumerate(as_list(message["tool_calls"], where)):
            found = as_object(call, at(where, i))
            if found.get("type", "function") != "function":
                raise no_place(at(at(where, i), "type"))
            refuse_unknown(found, {"id", "type", "index", "function"}, at(where, i))
            call_id = as_text(found.get("id"), at(at(where, i), "id"))
            items.append(_call(call_id, found.get("function"), at(at(where, i), "function")))
    if message.get("function_call") is not None:
        # The older way to call had no ids; its answer follows at once, so that the place is name enough.
        call_id = "call_" + path.replace(".", "_")
        items.append(_call(call_id, message["function_call"], at(path, "function_call")))
    return items


def _call(call_id: str, function: object, path: str) -> Json:
    found = as_object(function, path)
    refuse_unknown(found, {"name", "arguments"}, path)
    name, arguments = (as_text(found.get(each), at(path, each)) for each in ("name", "arguments"))
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def _last_call(before: list[Json], name: str, path: str) -> str:
    for item in reversed(before):
        if item["type"] == "function_call" and item["name"] == name:
            return str(item["call_id"])
    raise no_place(at(path, "name"))


def _output(call_id: str, content: object, path: str) -> Json:
    output = "" if content is None else input_texts(content, path)
    return {"type": "function_call_output", "call_id": call_id, "output": output}
