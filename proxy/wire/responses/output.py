"""What an answer in the Responses format is made of."""

import re
from typing import Any

import msgspec

from proxy.wire.responses.fields import Json, is_shallow
from proxy.wire.responses.usage import usage_in_responses
from proxy.wire.usage import Usage

_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_ID = 128

COMPLETED, INCOMPLETE = "completed", "incomplete"

# What stops an answer short, by the words that either format has for it.
REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def core_of(found: object, *, otherwise: int) -> str:
    """The part of an answer's id that its id in the other format shares."""
    name = found if isinstance(found, str) else ""
    for prefix in ("chatcmpl-", "resp_"):
        name = name.removeprefix(prefix)
    return _FOREIGN.sub("", name)[:_LONGEST_ID] or str(otherwise)


def text_of(found: object) -> str:
    """The text of a content that is a string or, with some providers, a list of parts."""
    if isinstance(found, str):
        return found
    if not isinstance(found, list):
        return ""
    texts = [part.get("text") for part in found if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def reasoning_of(found: Json) -> str:
    """What a chat message or delta says that it thought; providers differ in the name."""
    return text_of(found.get("reasoning_content")) or text_of(found.get("reasoning"))


def arguments_of(found: object) -> str:
    """The arguments of a call, which some providers give as an object instead of JSON in a string."""
    if isinstance(found, str):
        return found
    return msgspec.json.encode(found).decode() if isinstance(found, dict) and is_shallow(found) else ""


def reasoning_item(item_id: str, text: str | None, status: str) -> Json:
    """An item of what the model thought; None where nothing is known of it yet."""
    summary = [] if text is None else [{"type": "summary_text", "text": text}]
    return {"id": item_id, "type": "reasoning", "summary": summary, "status": status}


def message_item(item_id: str, content: list[Json], status: str) -> Json:
    """An item of what the model said."""
    return {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": content}


def message_part(kind: str, text: str) -> Json:
    """A piece of a message: output_text or refusal."""
    if kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def call_item(item_id: str, call_id: str, name: str, arguments: str, status: str) -> Json:
    """An item of a call."""
    return {
        "id": item_id,
        "type": "function_call",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": status,
    }


def response_shell(request: Json, *, core: str, created: int, model: str) -> Json:
    """A response that has nothing in it yet, with what it repeats of its request."""
    return {
        "id": f"resp_{core}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": _of(request, "instructions", str),
        "max_output_tokens": _of(request, "max_output_tokens", int),
        "max_tool_calls": None,
        "metadata": _labels(request.get("metadata")),
        "model": model,
        "output": [],
        "parallel_tool_calls": request.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "prompt_cache_key": _of(request, "prompt_cache_key", str),
        "reasoning": _reasoning(request.get("reasoning")),
        "safety_identifier": _of(request, "safety_identifier", str),
        "store": False,
        "temperature": _of(request, "temperature", (int, float)),
        "text": _text(request.get("text")),
        "tool_choice": _tool_choice(request.get("tool_choice")),
        "tools": _tools(request.get("tools")),
        "top_logprobs": 0,
        "top_p": _of(request, "top_p", (int, float)),
        "truncation": "disabled",
        "usage": None,
        "user": _of(request, "user", str),
    }


def _of(found: Json, name: str, wanted: type | tuple[type, ...]) -> Any:
    value = found.get(name)
    return value if isinstance(value, wanted) and not isinstance(value, bool) else None


def _labels(found: object) -> Json:
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _reasoning(found: object) -> Json:
    wished = found if isinstance(found, dict) else {}
    return {"effort": _of(wished, "effort", str), "summary": _of(wished, "summary", str)}


def _text(found: object) -> Json:
    wished = found if isinstance(found, dict) else {}
    shape = wished.get("format")
    kept = isinstance(shape, dict) and isinstance(shape.get("type"), str) and is_shallow(shape)
    text: Json = {"format": shape if kept else {"type": "text"}}
    if isinstance(wished.get("verbosity"), str):
        text["verbosity"] = wished["verbosity"]
    return text


def _tool_choice(found: object) -> str | Json:
    if isinstance(found, str):
        return found
    if isinstance(found, dict) and isinstance(found.get("name"), str):
        return {"type": "function", "name": found["name"]}
    return "auto"


def _tools(found: object) -> list[Json]:
    tools = []
    for tool in found if isinstance(found, list) else []:
        if isinstance(tool, dict) and tool.get("type") == "function" and is_shallow(tool):
            known = ("type", "name", "description", "parameters", "strict")
            tools.append({name: tool.get(name) for name in known})
    return tools


def finished(response: Json, output: list[Json], *, finish_reason: object, usage: Usage | None) -> Json:
    """The response with what came out: completed, or incomplete with what stopped it."""
    reason = REASONS.get(finish_reason) if isinstance(finish_reason, str) else None
    return {
        **response,
        "status": INCOMPLETE if reason else COMPLETED,
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "usage": None if usage is None else usage_in_responses(usage),
    }


def status_of(finish_reason: object) -> str:
    """The status of the items that were open when an answer ended with this finish reason."""
    return INCOMPLETE if isinstance(finish_reason, str) and finish_reason in REASONS else COMPLETED
