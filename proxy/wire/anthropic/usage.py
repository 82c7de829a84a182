"""Token usage as the Messages format counts it: cached tokens beside the plain input, not inside it."""

from proxy.wire.anthropic.members import Json
from proxy.wire.usage import Usage, count

_COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
_DETAILS = "output_tokens_details"


def anthropic_usage(found: object) -> Usage | None:
    """Usage out of a `usage` object of the Messages format; None for what is no usage."""
    if not isinstance(found, dict):
        return None
    plain, read, written, output = counts = [count(found.get(name)) for name in _COUNTS]
    if all(each is None for each in counts):
        return None
    details = found.get(_DETAILS)
    thinking = count(details.get("thinking_tokens")) if isinstance(details, dict) else None
    reasoning = min(thinking or 0, output or 0)
    return Usage(
        input_tokens=plain or 0,
        cache_read_tokens=read or 0,
        cache_write_tokens=written or 0,
        output_tokens=(output or 0) - reasoning,
        reasoning_tokens=reasoning,
    )


class RunningUsage:
    """The usage of a stream: each event counts the whole message so far, and gives only the counts that it knows."""

    __slots__ = ("_counts", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self._counts: Json = {}

    def take(self, found: object) -> None:
        """The `usage` of one event; later counts win over earlier ones."""
        if not isinstance(found, dict):
            return
        for name in _COUNTS:
            if count(found.get(name)) is not None:
                self._counts[name] = found[name]
        if isinstance(found.get(_DETAILS), dict):
            self._counts[_DETAILS] = found[_DETAILS]
        self.usage = anthropic_usage(self._counts)


def messages_usage_members(usage: Usage) -> Json:
    """A `usage` object of the Messages format."""
    members: Json = {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.completion_tokens,
    }
    if usage.reasoning_tokens:
        members["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return members


def chat_usage_members(usage: Usage) -> Json:
    """A `usage` object of a chat completion."""
    members: Json = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
    }
    if usage.reasoning_tokens:
        members["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return members
