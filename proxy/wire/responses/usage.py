"""Usage as the Responses format counts it, which image and speech endpoints share."""

from proxy.wire.responses.fields import Json
from proxy.wire.usage import Usage, count


def responses_usage(found: object) -> Usage | None:
    """Usage in disjoint classes out of a `usage` object that counts what was cached inside the input and reasoning
    inside the output; None for what is no usage. Details never exceed what they are part of."""
    if not isinstance(found, dict):
        return None
    taken, given = count(found.get("input_tokens")), count(found.get("output_tokens"))
    if taken is None and given is None:
        taken = count(found.get("total_tokens"))
        if taken is None:
            return None
    taken, given = taken or 0, given or 0
    read = min(_detail(found, "input_tokens_details", "cached_tokens"), taken)
    written = min(_detail(found, "input_tokens_details", "cache_write_tokens"), taken - read)
    reasoning = min(_detail(found, "output_tokens_details", "reasoning_tokens"), given)
    return Usage(
        input_tokens=taken - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=given - reasoning,
        reasoning_tokens=reasoning,
    )


def _detail(found: Json, part: str, name: str) -> int:
    details = found.get(part)
    return (count(details.get(name)) or 0) if isinstance(details, dict) else 0


def usage_in_responses(usage: Usage) -> Json:
    """Usage as a response carries it."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def usage_in_chat(usage: Usage) -> Json:
    """Usage as a chat completion carries it."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens": usage.completion_tokens,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
