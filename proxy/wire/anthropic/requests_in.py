"""A request of the Messages format as a chat request.

What has no place in chat is refused with the path of the field. Two things are left out, because they say nothing about
the answer: `cache_control`, which is about price, and how thinking is to be displayed.
"""

from collections.abc import Callable

from proxy.wire.anthropic.members import (
    Json,
    as_count,
    as_flag,
    as_name,
    as_number,
    as_object,
    as_text,
    as_texts,
    at,
    only,
    optional_object,
    refuse,
)
from proxy.wire.anthropic.tools import chat_tool_choice, chat_tools
from proxy.wire.anthropic.turns_in import chat_messages

_KNOWN = frozenset(
    {"model", "max_tokens", "messages", "system", "temperature", "top_p", "stop_sequences", "stream", "metadata"}
    | {"tools", "tool_choice", "thinking", "output_config", "output_format", "service_tier", "cache_control"}
)
_AS_THEY_ARE: dict[str, Callable[[object, str], object]] = {
    "model": as_name,
    "max_tokens": as_count,
    "temperature": as_number,
    "top_p": as_number,
    "stream": as_flag,
}
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
_MOST_LOW_TOKENS = 2048
_MOST_MEDIUM_TOKENS = 8192


def chat_from_messages(request: Json) -> Json:
    """The chat request for a Messages request. Raises Untranslatable.

    Without max_tokens, as when tokens are only counted, the chat request has none either.
    """
    request = as_object(request, "request")
    only(request, _KNOWN, "")
    if request.get("service_tier") not in (None, "auto"):
        raise refuse("service_tier", "has no place in chat completions.")
    as_name(request.get("model"), "model")
    chat: Json = {}
    for name, read in _AS_THEY_ARE.items():
        if request.get(name) is not None:
            chat[name] = read(request[name], name)
    chat["messages"] = chat_messages(request)
    stops = as_texts(request["stop_sequences"], "stop_sequences") if request.get("stop_sequences") is not None else []
    if stops:
        chat["stop"] = stops
    chat.update(_user(request.get("metadata")))
    tools = chat_tools(request.get("tools"))
    if tools:
        chat["tools"] = tools
    chat.update(chat_tool_choice(request.get("tool_choice")))
    chat.update(_effort(request))
    chat.update(_format(request))
    return chat


def _user(found: object) -> Json:
    metadata = optional_object(found, "metadata")
    only(metadata, {"user_id"}, "metadata")
    user = metadata.get("user_id")
    return {} if user is None else {"user": as_text(user, "metadata.user_id")}


def _effort(request: Json) -> Json:
    thinking = _effort_of_thinking(optional_object(request.get("thinking"), "thinking"))
    config = optional_object(request.get("output_config"), "output_config")
    only(config, {"effort", "format"}, "output_config")
    effort = config.get("effort")
    if effort is not None and (not isinstance(effort, str) or effort not in _EFFORTS):
        raise refuse("output_config.effort", "must be low, medium, high, xhigh or max.")
    effort = effort or thinking
    return {"reasoning_effort": effort} if effort else {}


def _effort_of_thinking(thinking: Json) -> str | None:
    if not thinking:
        return None
    only(thinking, {"type", "budget_tokens", "display"}, "thinking")
    kind = thinking.get("type")
    if kind == "disabled":
        return None
    if kind == "adaptive":
        return "medium"
    if kind != "enabled":
        raise refuse("thinking.type", "must be enabled, adaptive or disabled.")
    budget = as_count(thinking.get("budget_tokens"), "thinking.budget_tokens")
    if budget <= _MOST_LOW_TOKENS:
        return "low"
    return "medium" if budget <= _MOST_MEDIUM_TOKENS else "high"


def _format(request: Json) -> Json:
    config = optional_object(request.get("output_config"), "output_config")
    field, found = "output_config.format", config.get("format")
    older = request.get("output_format")
    if older is not None:
        if found is not None:
            raise refuse("output_format", "says the same as output_config.format; give one of the two.")
        field, found = "output_format", older
    if found is None:
        return {}
    wanted = as_object(found, field)
    if wanted.get("type") != "json_schema":
        raise refuse(at(field, "type"), "must be json_schema.")
    only(wanted, {"type", "schema"}, field)
    # The Messages format holds every answer to its schema, which in chat has to be asked for.
    schema = {"name": "answer", "schema": as_object(wanted.get("schema"), at(field, "schema")), "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
