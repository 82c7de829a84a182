"""Whole answers: chat completions and responses, turned into each other."""

from proxy.wire.responses.fields import Json, as_list, as_object
from proxy.wire.responses.output import (
    COMPLETED,
    REASONS,
    arguments_of,
    call_item,
    core_of,
    finished,
    message_item,
    message_part,
    reasoning_item,
    reasoning_of,
    response_shell,
    status_of,
    text_of,
)
from proxy.wire.responses.usage import responses_usage, usage_in_chat
from proxy.wire.untranslatable import Untranslatable
from proxy.wire.usage import openai_usage

_FINISH_REASONS = {reason: finish for finish, reason in REASONS.items()}
BETWEEN_THOUGHTS = "\n\n"
"""What parts the pieces of a summary, where they become one text."""


def response_from_chat(answer: Json, *, request: Json, created: int) -> Json:
    """The response that a chat completion is, to this Responses request; `created` is in epoch seconds.

    Of several choices the first is taken, since the request can't have asked for more. Raises Untranslatable for an
    answer without any.
    """
    choices = as_list(answer.get("choices"), "choices")
    if not choices:
        raise Untranslatable("choices", "The answer has no choices.")
    choice = as_object(choices[0], "choices.0")
    message = as_object(choice.get("message"), "choices.0.message")
    core = core_of(answer.get("id"), otherwise=created)
    model = answer.get("model") if isinstance(answer.get("model"), str) else request.get("model")
    shell = response_shell(request, core=core, created=created, model=model if isinstance(model, str) else "")
    finish_reason = choice.get("finish_reason")
    return finished(
        shell,
        _output(message, core, status_of(finish_reason)),
        finish_reason=finish_reason,
        usage=openai_usage(answer.get("usage")),
    )


def _output(message: Json, core: str, status: str) -> list[Json]:
    items: list[Json] = []
    thought = reasoning_of(message)
    if thought:
        items.append(reasoning_item(f"rs_{core}_0", thought, COMPLETED))
    texts = {"output_text": text_of(message.get("content")), "refusal": text_of(message.get("refusal"))}
    parts = [message_part(kind, text) for kind, text in texts.items() if text]
    if parts:
        items.append(message_item(f"msg_{core}_{len(items)}", parts, status))
    found = _list(message.get("tool_calls"))
    if not found and isinstance(message.get("function_call"), dict):
        found = [{"function": message["function_call"]}]
    for call in found:
        items.append(_call(call, f"{core}_{len(items)}", status))
    return items


def _call(found: object, core: str, status: str) -> Json:
    call = found if isinstance(found, dict) else {}
    function = call.get("function")
    if not isinstance(function, dict):
        raise Untranslatable("choices.0.message.tool_calls", "The answer has a call of something else than a function.")
    call_id = call.get("id")
    name = function.get("name")
    return call_item(
        f"fc_{core}",
        call_id if isinstance(call_id, str) and call_id else f"call_{core}",
        name if isinstance(name, str) else "",
        arguments_of(function.get("arguments")),
        status,
    )


def chat_from_response(response: Json, *, created: int) -> Json:
    """The chat completion that a response is; `created` is in epoch seconds. Raises Untranslatable."""
    output = [item for item in as_list(response.get("output"), "output") if isinstance(item, dict)]
    model = response.get("model")
    calls = [_chat_call(item, i) for i, item in enumerate(_of_type(output, "function_call"))]
    usage = responses_usage(response.get("usage"))
    answer: Json = {
        "id": "chatcmpl-" + core_of(response.get("id"), otherwise=created),
        "object": "chat.completion",
        "created": created,
        "model": model if isinstance(model, str) else "",
        "choices": [
            {
                "index": 0,
                "message": _message(output, calls),
                "logprobs": None,
                "finish_reason": finish_reason_of(response, calls=bool(calls)),
            }
        ],
    }
    return answer if usage is None else {**answer, "usage": usage_in_chat(usage)}


def finish_reason_of(response: Json, *, calls: bool) -> str:
    """Why a response ended, in the words of chat. What ended early for any other reason was cut off, too."""
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return _FINISH_REASONS.get(reason, "length") if isinstance(reason, str) else "length"
    return "tool_calls" if calls else "stop"


def _of_type(found: object, kind: str) -> list[Json]:
    return [each for each in _list(found) if isinstance(each, dict) and each.get("type") == kind]


def _message(output: list[Json], calls: list[Json]) -> Json:
    parts = [part for item in _of_type(output, "message") for part in _list(item.get("content"))]
    text = "".join(text_of(part.get("text")) for part in _of_type(parts, "output_text"))
    refusal = "".join(text_of(part.get("refusal")) for part in _of_type(parts, "refusal"))
    message: Json = {"role": "assistant", "content": text or None, "refusal": refusal or None}
    thoughts = [
        text_of(part.get("text"))
        for item in _of_type(output, "reasoning")
        for part in _of_type(item.get("summary"), "summary_text") + _of_type(item.get("content"), "reasoning_text")
    ]
    if any(thoughts):
        message["reasoning_content"] = BETWEEN_THOUGHTS.join(thought for thought in thoughts if thought)
    if calls:
        message["tool_calls"] = calls
    elif not refusal:
        message["content"] = text
    return message


def _list(found: object) -> list[object]:
    return found if isinstance(found, list) else []


def _chat_call(item: Json, index: int) -> Json:
    call_id = item.get("call_id") or item.get("id")
    name = item.get("name")
    function = {"name": name if isinstance(name, str) else "", "arguments": arguments_of(item.get("arguments"))}
    return {
        "id": call_id if isinstance(call_id, str) else f"call_{index}",
        "type": "function",
        "function": function,
    }
