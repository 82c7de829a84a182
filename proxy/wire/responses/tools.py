"""Tools, the choice among them, and the shape of the answer: nested in chat, flat in the Responses format."""

from proxy.wire.responses.fields import (
    Json,
    as_flag,
    as_list,
    as_object,
    as_schema,
    as_text,
    at,
    no_place,
    refuse_unknown,
)

_CHOICES = frozenset({"auto", "none", "required"})
_NO_PARAMETERS: Json = {"type": "object", "properties": {}}


def chat_tools(found: object) -> list[Json]:
    """Functions for chat. Tools that a provider runs itself are refused."""
    tools = []
    for i, tool in enumerate(as_list(found, "tools")):
        path = at("tools", i)
        if as_object(tool, path).get("type") != "function":
            raise no_place(at(path, "type"))
        function = _described(tool, path, {"type", "parameters", "strict"})
        tools.append({"type": "function", "function": function | _shape(tool, "parameters", path)})
    return tools


def response_tools(found: object) -> list[Json]:
    """Functions for the Responses format, which holds to a schema strictly unless it is told otherwise."""
    tools = []
    for i, tool in enumerate(as_list(found, "tools")):
        path = at("tools", i)
        if as_object(tool, path).get("type") != "function":
            raise no_place(at(path, "type"))
        refuse_unknown(tool, {"type", "function"}, path)
        tools.append(_response_function(tool.get("function"), at(path, "function")))
    return tools


def response_functions(found: object) -> list[Json]:
    """Functions in chat's older way, for the Responses format."""
    return [_response_function(each, at("functions", i)) for i, each in enumerate(as_list(found, "functions"))]


def _response_function(found: object, path: str) -> Json:
    function = as_object(found, path)
    described = _described(function, path, {"parameters", "strict"})
    shape = {"parameters": _NO_PARAMETERS, "strict": False} | _shape(function, "parameters", path)
    return {"type": "function", **described, **shape}


def chat_tool_choice(found: object) -> str | Json:
    """The choice for chat."""
    if isinstance(found, str) and found in _CHOICES:
        return found
    choice = as_object(found, "tool_choice")
    if choice.get("type") != "function":
        raise no_place("tool_choice.type")
    refuse_unknown(choice, {"type", "name"}, "tool_choice")
    return {"type": "function", "function": {"name": as_text(choice.get("name"), "tool_choice.name")}}


def response_tool_choice(found: object) -> str | Json:
    """The choice for the Responses format."""
    if isinstance(found, str) and found in _CHOICES:
        return found
    choice = as_object(found, "tool_choice")
    if choice.get("type") != "function":
        raise no_place("tool_choice.type")
    refuse_unknown(choice, {"type", "function"}, "tool_choice")
    return _named(choice.get("function"), "tool_choice.function")


def response_function_choice(found: object) -> str | Json:
    """The choice in chat's older way, for the Responses format."""
    return found if isinstance(found, str) and found in ("auto", "none") else _named(found, "function_call")


def _named(found: object, path: str) -> Json:
    function = as_object(found, path)
    refuse_unknown(function, {"name"}, path)
    return {"type": "function", "name": as_text(function.get("name"), at(path, "name"))}


def chat_format(found: object) -> Json | None:
    """`text.format` as `response_format`; None for plain text, which needs no word."""
    chosen = as_object(found, "text.format")
    match chosen.get("type"):
        case "text":
            refuse_unknown(chosen, {"type"}, "text.format")
            return None
        case "json_object":
            refuse_unknown(chosen, {"type"}, "text.format")
            return {"type": "json_object"}
        case "json_schema":
            described = _described(chosen, "text.format", {"type", "schema", "strict"})
            as_object(chosen.get("schema"), "text.format.schema")
            return {"type": "json_schema", "json_schema": described | _shape(chosen, "schema", "text.format")}
    raise no_place("text.format.type")


def response_format(found: object) -> Json:
    """`response_format` as `text.format`."""
    chosen = as_object(found, "response_format")
    match chosen.get("type"):
        case "text" | "json_object":
            refuse_unknown(chosen, {"type"}, "response_format")
            return {"type": chosen["type"]}
        case "json_schema":
            refuse_unknown(chosen, {"type", "json_schema"}, "response_format")
            path = "response_format.json_schema"
            schema = as_object(chosen.get("json_schema"), path)
            described = _described(schema, path, {"schema", "strict"})
            return {"type": "json_schema", **described, **_shape(schema, "schema", path)}
    raise no_place("response_format.type")


def _described(found: Json, path: str, others: set[str]) -> Json:
    refuse_unknown(found, others | {"name", "description"}, path)
    described: Json = {"name": as_text(found.get("name"), at(path, "name"))}
    if found.get("description") is not None:
        described["description"] = as_text(found["description"], at(path, "description"))
    return described


def _shape(found: Json, name: str, path: str) -> Json:
    shape: Json = {}
    if found.get(name) is not None:
        shape[name] = as_schema(found[name], at(path, name))
    if found.get("strict") is not None:
        shape["strict"] = as_flag(found["strict"], at(path, "strict"))
    return shape
