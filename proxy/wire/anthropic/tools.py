"""Tool definitions and the choice among them, in both directions."""

from proxy.wire.anthropic.members import (
    Json,
    as_flag,
    as_name,
    as_object,
    as_text,
    at,
    only,
    optional_list,
    optional_object,
    refuse,
)

_CUSTOM_TOOL = frozenset(
    {"type", "name", "description", "input_schema", "strict", "cache_control", "eager_input_streaming"}
    | {"allowed_callers", "defer_loading", "input_examples"}
)
_NO_ARGUMENTS = {"type": "object", "properties": {}}
_WORDS_TO_CHAT = {"auto": "auto", "any": "required", "none": "none"}
_WORDS_FROM_CHAT = {chat: ours for ours, chat in _WORDS_TO_CHAT.items()}


def chat_tools(found: object) -> list[Json]:
    """Chat's `tools` for those of a Messages request. Tools that the provider itself runs are refused."""
    tools = optional_list(found, "tools")
    return [_chat_tool(as_object(tool, at("tools", n)), at("tools", n)) for n, tool in enumerate(tools)]


def _chat_tool(tool: Json, field: str) -> Json:
    if tool.get("type") not in (None, "custom"):
        raise refuse(at(field, "type"), "a tool that the provider itself runs has no place in chat completions.")
    only(tool, _CUSTOM_TOOL, field)
    # What these ask for is what chat does anyway, or can't be said in it.
    for name, harmless in (("allowed_callers", ["direct"]), ("defer_loading", False), ("input_examples", [])):
        if tool.get(name) not in (None, harmless):
            raise refuse(at(field, name), "has no place in chat completions.")
    function: Json = {"name": as_name(tool.get("name"), at(field, "name"))}
    if tool.get("description") is not None:
        function["description"] = as_text(tool["description"], at(field, "description"))
    function["parameters"] = as_object(tool.get("input_schema"), at(field, "input_schema"))
    if tool.get("strict") is not None:
        function["strict"] = as_flag(tool["strict"], at(field, "strict"))
    return {"type": "function", "function": function}


def chat_tool_choice(found: object) -> Json:
    """Chat's `tool_choice` and `parallel_tool_calls` for the choice of a Messages request."""
    choice = optional_object(found, "tool_choice")
    if not choice:
        return {}
    only(choice, {"type", "name", "disable_parallel_tool_use"}, "tool_choice")
    kind = choice.get("type")
    members: Json = {}
    if kind == "tool":
        name = as_name(choice.get("name"), "tool_choice.name")
        members["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif isinstance(kind, str) and kind in _WORDS_TO_CHAT:
        members["tool_choice"] = _WORDS_TO_CHAT[kind]
    else:
        raise refuse("tool_choice.type", "must be auto, any, tool or none.")
    alone = choice.get("disable_parallel_tool_use")
    if alone is not None and as_flag(alone, "tool_choice.disable_parallel_tool_use"):
        members["parallel_tool_calls"] = False
    return members


def messages_tools(request: Json) -> list[Json]:
    """The tools of a Messages request for a chat request's `tools` and its older `functions`."""
    tools: list[Json] = []
    for n, tool in enumerate(optional_list(request.get("tools"), "tools")):
        field = at("tools", n)
        found = as_object(tool, field)
        if found.get("type") not in (None, "function"):
            raise refuse(at(field, "type"), "only functions have a place in the Messages format.")
        only(found, {"type", "function"}, field)
        tools.append(_messages_tool(found.get("function"), at(field, "function")))
    for n, function in enumerate(optional_list(request.get("functions"), "functions")):
        tools.append(_messages_tool(function, at("functions", n)))
    return tools


def _messages_tool(found: object, field: str) -> Json:
    function = as_object(found, field)
    only(function, {"name", "description", "parameters", "strict"}, field)
    tool: Json = {"name": as_name(function.get("name"), at(field, "name"))}
    if function.get("description") is not None:
        tool["description"] = as_text(function["description"], at(field, "description"))
    schema = optional_object(function.get("parameters"), at(field, "parameters"))
    tool["input_schema"] = {"type": "object", **schema} if schema else dict(_NO_ARGUMENTS)
    if function.get("strict") is not None:
        tool["strict"] = as_flag(function["strict"], at(field, "strict"))
    return tool


def messages_tool_choice(request: Json, *, has_tools: bool) -> Json | None:
    """The choice of a Messages request for chat's `tool_choice`, `function_call` and `parallel_tool_calls`."""
    choice = _choice(request)
    alone = request.get("parallel_tool_calls") is not None and not as_flag(
        request["parallel_tool_calls"], "parallel_tool_calls"
    )
    if not has_tools and (choice is None or choice["type"] in ("auto", "none")):
        return None  # the Messages format refuses a choice among no tools, and this one says nothing
    if alone and (choice is None or choice["type"] != "none"):
        return {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return choice


def _choice(request: Json) -> Json | None:
    field = "tool_choice" if request.get("tool_choice") is not None else "function_call"
    found = request.get(field)
    if found is None:
        return None
    if isinstance(found, str) and found in _WORDS_FROM_CHAT:
        return {"type": _WORDS_FROM_CHAT[found]}
    named = as_object(found, field)
    if field == "tool_choice":
        if named.get("type") != "function":
            raise refuse("tool_choice.type", "only a function can be chosen in the Messages format.")
        only(named, {"type", "function"}, field)
        field = "tool_choice.function"
        named = as_object(named.get("function"), field)
    only(named, {"name"}, field)
    return {"type": "tool", "name": as_name(named.get("name"), at(field, "name"))}
