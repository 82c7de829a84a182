"""Chat messages as `system` and `messages` of the Messages format.

Left out: the reasoning of earlier answers, since the format takes thinking back only with its provider's signature.
"""

from collections.abc import Callable

from proxy.wire.anthropic.members import (
    Json,
    as_list,
    as_name,
    as_object,
    as_text,
    at,
    json_object,
    only,
    optional_list,
    optional_text,
    refuse,
)
from proxy.wire.anthropic.parts_out import content_blocks, text_block, text_blocks

_ANSWERED = frozenset(
    {"role", "content", "refusal", "tool_calls", "function_call", "annotations", "reasoning_content", "reasoning"}
)


class Turns:
    """Takes chat messages one by one and makes turns of them that alternate."""

    def __init__(self) -> None:
        self.system: list[Json] = []
        self.messages: list[Json] = []
        self._open_functions: dict[str, str] = {}  # name → id of the older kind of call, which has none of its own
        self._take: dict[str, Callable[[Json, str], None]] = {
            "system": self._instruct,
            "developer": self._instruct,
            "user": self._ask,
            "assistant": self._answer,
            "tool": self._result,
            "function": self._function_result,
        }

    @property
    def in_tool_loop(self) -> bool:
        """Whether the last turn gives results of tools, so that the turn before it goes on."""
        last = self.messages[-1] if self.messages else {}
        return any(block["type"] == "tool_result" for block in last.get("content", ()))

    def add(self, message: Json, field: str) -> None:
        """One chat message. Raises Untranslatable."""
        role = message.get("role")
        take = self._take.get(role) if isinstance(role, str) else None
        if take is None:
            raise refuse(at(field, "role"), "must be system, developer, user, assistant, tool or function.")
        take(message, field)

    def _append(self, role: str, blocks: list[Json]) -> None:
        if not blocks:
            return
        if not self.messages or self.messages[-1]["role"] != role:
            self.messages.append({"role": role, "content": blocks})
            return
        self.messages[-1]["content"] += blocks

    def close(self) -> None:
        """Put each user turn in the order that the format wants: results of tools before all else."""
        for turn in self.messages:
            if turn["role"] == "user":
                turn["content"].sort(key=lambda block: block["type"] != "tool_result")

    def _instruct(self, message: Json, field: str) -> None:
        only(message, {"role", "content"}, field)
        self.system += text_blocks(message.get("content"), at(field, "content"))

    def _ask(self, message: Json, field: str) -> None:
        only(message, {"role", "content"}, field)
        self._append("user", content_blocks(message.get("content"), at(field, "content")))

    def _result(self, message: Json, field: str) -> None:
        only(message, {"role", "content", "tool_call_id"}, field)
        call_id = as_name(message.get("tool_call_id"), at(field, "tool_call_id"))
        self._append_result(call_id, message, field)

    def _function_result(self, message: Json, field: str) -> None:
        only(message, {"role", "content", "name"}, field)
        name = as_name(message.get("name"), at(field, "name"))
        if name not in self._open_functions:
            raise refuse(at(field, "name"), "answers no call of a function.")
        self._append_result(self._open_functions.pop(name), message, field)

    def _append_result(self, call_id: str, message: Json, field: str) -> None:
        result: Json = {"type": "tool_result", "tool_use_id": call_id}
        blocks = text_blocks(message.get("content"), at(field, "content"))
        if blocks:
            result["content"] = blocks[0]["text"] if len(blocks) == 1 else blocks
        self._append("user", [result])

    def _answer(self, message: Json, field: str) -> None:
        only(message, _ANSWERED, field)
        if optional_list(message.get("annotations"), at(field, "annotations")):
            raise refuse(at(field, "annotations"), "has no place in the Messages format.")
        blocks = text_blocks(message.get("content"), at(field, "content"))
        refusal = optional_text(message.get("refusal"), at(field, "refusal"))
        if refusal:
            blocks.append(text_block(refusal))
        path = at(field, "tool_calls")
        for n, call in enumerate(optional_list(message.get("tool_calls"), path)):
            blocks.append(_tool_use(as_object(call, at(path, n)), at(path, n)))
        if message.get("function_call") is not None:
            path = at(field, "function_call")
            call_id = f"function_call_{field.rpartition('.')[2]}"
            block = _use(call_id, as_object(message["function_call"], path), path)
            self._open_functions[block["name"]] = call_id
            blocks.append(block)
        self._append("assistant", blocks)


def turns_of(found: object) -> Turns:
    """The turns of a chat request's `messages`. Raises Untranslatable."""
    turns = Turns()
    for n, message in enumerate(as_list(found, "messages")):
        turns.add(as_object(message, at("messages", n)), at("messages", n))
    turns.close()
    if not turns.messages:
        raise refuse("messages", "needs at least one message of a user that says something.")
    return turns


def _tool_use(call: Json, field: str) -> Json:
    if call.get("type") not in (None, "function"):
        raise refuse(at(field, "type"), "only calls of functions have a place in the Messages format.")
    only(call, {"id", "type", "function", "index"}, field)
    path = at(field, "function")
    return _use(as_name(call.get("id"), at(field, "id")), as_object(call.get("function"), path), path)


def _use(call_id: str, function: Json, field: str) -> Json:
    only(function, {"name", "arguments"}, field)
    name = as_name(function.get("name"), at(field, "name"))
    path = at(field, "arguments")
    arguments = json_object(as_text(function.get("arguments"), path))
    if arguments is None:
        raise refuse(path, "must be the JSON of an object.")
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
