"""A chat request as a request of the Messages format.

What has no place there is refused with the path of the field. Left out is what says nothing about the answer: members
that are null or hold their default, hints for prompt caches, and `stream_options`, which is the proxy's own affair.
"""

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
    optional_text,
    refuse,
)
from proxy.wire.anthropic.tools import messages_tool_choice, messages_tools
from proxy.wire.anthropic.turns_out import turns_of

_TRANSLATED = frozenset(
    {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "stream", "user"}
    | {"tools", "functions", "tool_choice", "function_call", "parallel_tool_calls", "reasoning_effort"}
    | {"response_format", "safety_identifier"}
)
_HINTS = frozenset({"stream_options", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"})
_HARMLESS: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "store": (False,),
    "metadata": ({},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
}
_BUDGETS = {"low": 1024, "medium": 4096, "high": 16_384, "xhigh": 32_768, "max": 65_536}
_LEAST_BUDGET = 1024
_LEAST_TOP_P_WITH_THINKING = 0.95


def messages_from_chat(request: Json, *, max_tokens: int) -> Json:
    """The Messages request for a chat request, with `max_tokens` where it names none. Raises Untranslatable."""
    request = as_object(request, "request")
    _check_members(request)
    turns = turns_of(request.get("messages"))
    limit = _limit(request, max_tokens)
    found: Json = {"model": as_name(request.get("model"), "model"), "max_tokens": limit, "messages": turns.messages}
    if turns.system:
        found["system"] = turns.system[0]["text"] if len(turns.system) == 1 else turns.system
    found.update(_sampling(request))
    if request.get("stream") is not None:
        found["stream"] = as_flag(request["stream"], "stream")
    found.update(_user(request))
    tools = messages_tools(request)
    if tools:
        found["tools"] = tools
    choice = messages_tool_choice(request, has_tools=bool(tools))
    if choice:
        found["tool_choice"] = choice
    # Within a tool loop the format wants the signed thinking of the turn that goes on, which chat has no place for; so
    # there the model answers without.
    thinking = _thinking(request, limit)
    if thinking and not turns.in_tool_loop:
        _check_with_thinking(found)
        found["thinking"] = thinking
    found.update(_format(request.get("response_format")))
    return found


def _check_members(request: Json) -> None:
    only(request, _TRANSLATED | _HINTS | _HARMLESS.keys(), "")
    for name, harmless in _HARMLESS.items():
        value = request.get(name)
        if value is not None and value not in harmless:
            raise refuse(name, "has no place in the Messages format.")


def _limit(request: Json, default: int) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        if request.get(name) is not None:
            return as_count(request[name], name)
    return default


def _sampling(request: Json) -> Json:
    found: Json = {}
    if request.get("temperature") is not None:
        found["temperature"] = as_number(request["temperature"], "temperature")
        if not 0 <= found["temperature"] <= 1:
            raise refuse("temperature", "goes from 0 to 1 in the Messages format.")
    if request.get("top_p") is not None:
        top_p = as_number(request["top_p"], "top_p")
        if top_p != 1:  # says nothing, and newer models refuse it beside a temperature
            found["top_p"] = top_p
    stop = request.get("stop")
    stops = [stop] if isinstance(stop, str) else [] if stop is None else as_texts(stop, "stop")
    stops = [each for each in stops if each]
    if stops:
        found["stop_sequences"] = stops
    return found


def _user(request: Json) -> Json:
    identifier = optional_text(request.get("safety_identifier"), "safety_identifier")
    user = optional_text(request.get("user"), "user") or identifier
    return {"metadata": {"user_id": user}} if user else {}


def _thinking(request: Json, limit: int) -> Json | None:
    effort = request.get("reasoning_effort")
    if effort is None or effort in ("none", "minimal"):
        return None
    if not isinstance(effort, str) or effort not in _BUDGETS:
        raise refuse("reasoning_effort", "must be none, minimal, low, medium, high, xhigh or max.")
    if limit <= _LEAST_BUDGET:
        raise refuse("reasoning_effort", f"needs max_tokens above {_LEAST_BUDGET}, but it is {limit}.")
    # Thinking counts against the limit, so at least half of it is left for the answer where that is possible.
    budget = min(_BUDGETS[effort], max(_LEAST_BUDGET, limit // 2))
    return {"type": "enabled", "budget_tokens": budget}


def _check_with_thinking(found: Json) -> None:
    against = []
    if found.get("temperature", 1) != 1:
        against.append("a temperature other than 1")
    if not _LEAST_TOP_P_WITH_THINKING <= found.get("top_p", 1) <= 1:
        against.append(f"a top_p below {_LEAST_TOP_P_WITH_THINKING}")
    if found.get("tool_choice", {}).get("type") in ("any", "tool"):
        against.append("a forced tool_choice")
    if against:
        raise refuse("reasoning_effort", f"can't be combined with {' and '.join(against)} in the Messages format.")


def _format(found: object) -> Json:
    wanted = optional_object(found, "response_format")
    if not wanted or wanted.get("type") == "text":
        return {}
    if wanted.get("type") != "json_schema":
        raise refuse("response_format.type", "only text and json_schema have a place in the Messages format.")
    only(wanted, {"type", "json_schema"}, "response_format")
    path = "response_format.json_schema"
    named = as_object(wanted.get("json_schema"), path)
    only(named, {"name", "description", "schema", "strict"}, path)
    schema = as_object(named.get("schema"), at(path, "schema"))
    if named.get("description") is not None:
        schema = {"description": as_text(named["description"], at(path, "description")), **schema}
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
