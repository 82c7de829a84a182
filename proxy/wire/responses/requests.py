"""Requests: `POST /v1/responses` and chat completions, turned into each other."""

from collections.abc import Callable
from typing import Any

from proxy.wire.responses.fields import (
    Json,
    as_flag,
    as_labels,
    as_list,
    as_number,
    as_object,
    as_text,
    as_whole,
    at,
    no_place,
    refuse_unknown,
    refuse_unless,
)
from proxy.wire.responses.items import messages_from_input
from proxy.wire.responses.messages import input_from_messages
from proxy.wire.responses.tools import (
    chat_format,
    chat_tool_choice,
    chat_tools,
    response_format,
    response_function_choice,
    response_functions,
    response_tool_choice,
    response_tools,
)
from proxy.wire.untranslatable import Untranslatable

_Plain = dict[str, tuple[str, Callable[[object, str], Any]]]
"""Members that mean the same in both formats: the name in the other one, and what they must be."""

_TO_CHAT: _Plain = {
    "model": ("model", as_text),
    "max_output_tokens": ("max_tokens", as_whole),
    "temperature": ("temperature", as_number),
    "top_p": ("top_p", as_number),
    "stream": ("stream", as_flag),
    "safety_identifier": ("user", as_text),
    "user": ("user", as_text),
}
_TO_RESPONSES: _Plain = {
    "model": ("model", as_text),
    "max_tokens": ("max_output_tokens", as_whole),
    "max_completion_tokens": ("max_output_tokens", as_whole),  # the newer name wins
    "temperature": ("temperature", as_number),
    "top_p": ("top_p", as_number),
    "stream": ("stream", as_flag),
    "user": ("user", as_text),
    "safety_identifier": ("safety_identifier", as_text),
    "metadata": ("metadata", as_labels),
    "parallel_tool_calls": ("parallel_tool_calls", as_flag),
    "prompt_cache_key": ("prompt_cache_key", as_text),
    "prompt_cache_retention": ("prompt_cache_retention", as_text),
    "service_tier": ("service_tier", as_text),
}

_RESPONSES_ONLY: dict[str, tuple[object, ...]] = {
    "background": (False,),
    "truncation": ("disabled",),
    "service_tier": ("auto", "default"),
    "top_logprobs": (0,),
}
"""Members without a place in chat, with the values that go without saying."""

_RESPONSES_IGNORED = frozenset(
    # Labels, which the answer repeats; nothing is stored here, whatever `store` says, and SDKs leave it at true.
    {"metadata", "client_metadata", "store"}
    # Hints on price, and how events are padded.
    | {"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "stream_options"}
)
_RESPONSES_KNOWN = (
    frozenset(_TO_CHAT)
    | frozenset(_RESPONSES_ONLY)
    | _RESPONSES_IGNORED
    | {"instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text", "include"}
)

_CHAT_ONLY: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "stop": ([], ""),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "modalities": (["text"],),
}
_CHAT_KNOWN = (
    frozenset(_TO_RESPONSES)
    | frozenset(_CHAT_ONLY)
    | {"messages", "tools", "tool_choice", "functions", "function_call", "response_format", "reasoning_effort"}
    | {"verbosity", "store", "stream_options"}
)


def chat_from_responses(request: Json) -> Json:
    """The chat completion that a Responses request asks for. Raises Untranslatable."""
    refuse_unknown(request, _RESPONSES_KNOWN)
    refuse_unless(request, _RESPONSES_ONLY)
    _check_ignored(request)
    chat = _plain(request, _TO_CHAT)
    chat["messages"] = _messages(request)
    return chat | _tools_for_chat(request) | _thinking(request) | _shape_for_chat(request)


def _plain(request: Json, members: _Plain) -> Json:
    found = {}
    for name, (target, read) in members.items():
        if request.get(name) is not None:
            found[target] = read(request[name], name)
    return found


def _check_ignored(request: Json) -> None:
    if request.get("metadata") is not None:
        as_labels(request["metadata"], "metadata")
    if request.get("store") is not None:
        as_flag(request["store"], "store")
    if request.get("include") is not None:
        # Reasoning in a sealed form is what clients that keep conversations themselves wish for, not what they need.
        for i, wish in enumerate(as_list(request["include"], "include")):
            if wish != "reasoning.encrypted_content":
                raise no_place(at("include", i))


def _messages(request: Json) -> list[Json]:
    messages: list[Json] = []
    if request.get("instructions") is not None:
        messages.append({"role": "system", "content": as_text(request["instructions"], "instructions")})
    if request.get("input") is None:
        raise Untranslatable("input", "The request needs an input: a string or a list of items.")
    return messages + messages_from_input(request["input"])


def _tools_for_chat(request: Json) -> Json:
    found: Json = {}
    if request.get("tools"):
        found["tools"] = chat_tools(request["tools"])
    elif request.get("tools") is not None:
        as_list(request["tools"], "tools")
    if request.get("tool_choice") is not None:
        found["tool_choice"] = chat_tool_choice(request["tool_choice"])
    if request.get("parallel_tool_calls") is not None:
        found["parallel_tool_calls"] = as_flag(request["parallel_tool_calls"], "parallel_tool_calls")
    if "tools" not in found:
        # Chat refuses to hear how tools are called where there are none; clients say it all the same.
        found.pop("parallel_tool_calls", None)
        if found.get("tool_choice") in ("auto", "none"):
            del found["tool_choice"]
    return found


def _thinking(request: Json) -> Json:
    if request.get("reasoning") is None:
        return {}
    reasoning = as_object(request["reasoning"], "reasoning")
    # A summary is a wish: chat backends show what they thought, or they don't.
    refuse_unknown(reasoning, {"effort", "summary", "generate_summary", "context", "mode"}, "reasoning")
    refuse_unless(reasoning, {"context": ("auto",), "mode": ("standard",)}, "reasoning")
    if reasoning.get("effort") is None:
        return {}
    return {"reasoning_effort": as_text(reasoning["effort"], "reasoning.effort")}


def _shape_for_chat(request: Json) -> Json:
    if request.get("text") is None:
        return {}
    text = as_object(request["text"], "text")
    refuse_unknown(text, {"format", "verbosity"}, "text")
    found: Json = {}
    if text.get("format") is not None and (shape := chat_format(text["format"])) is not None:
        found["response_format"] = shape
    if text.get("verbosity") is not None:
        found["verbosity"] = as_text(text["verbosity"], "text.verbosity")
    return found


def responses_from_chat(request: Json) -> Json:
    """The Responses request that a chat completion asks for. Raises Untranslatable.

    The provider is told not to store the answer, unless the client asks for it: that is what a chat client expects.
    """
    refuse_unknown(request, _CHAT_KNOWN)
    refuse_unless(request, _CHAT_ONLY)
    found = _plain(request, _TO_RESPONSES)
    found["input"] = input_from_messages(request.get("messages"))
    found["store"] = request.get("store") is not None and as_flag(request["store"], "store")
    return found | _tools_for_responses(request) | _thinking_and_shape(request)


def _tools_for_responses(request: Json) -> Json:
    found: Json = {}
    if request.get("tools") is not None:
        found["tools"] = response_tools(request["tools"])
    if request.get("functions") is not None:
        found["tools"] = found.get("tools", []) + response_functions(request["functions"])
    if request.get("tool_choice") is not None:
        found["tool_choice"] = response_tool_choice(request["tool_choice"])
    elif request.get("function_call") is not None:
        found["tool_choice"] = response_function_choice(request["function_call"])
    return found


def _thinking_and_shape(request: Json) -> Json:
    found: Json = {}
    if request.get("reasoning_effort") is not None:
        found["reasoning"] = {"effort": as_text(request["reasoning_effort"], "reasoning_effort")}
    text: Json = {}
    if request.get("response_format") is not None:
        text["format"] = response_format(request["response_format"])
    if request.get("verbosity") is not None:
        text["verbosity"] = as_text(request["verbosity"], "verbosity")
    return found | {"text": text} if text else found
