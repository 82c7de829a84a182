"""Token usage in disjoint classes, whatever way a provider counts."""

import msgspec

MOST_TOKENS = 2**40
"""A count above this is a provider's mistake, not a bill."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one request. A prompt is input + cache_read + cache_write, a completion is output + reasoning."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    @property
    def prompt_tokens(self) -> int:
        """All that went in."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def completion_tokens(self) -> int:
        """All that came out."""
        return self.output_tokens + self.reasoning_tokens


def added(one: Usage, other: Usage | None) -> Usage:
    """The usage of two requests upstream that were one for the client."""
    if other is None:
        return one
    return Usage(
        one.input_tokens + other.input_tokens,
        one.cache_read_tokens + other.cache_read_tokens,
        one.cache_write_tokens + other.cache_write_tokens,
        one.output_tokens + other.output_tokens,
        one.reasoning_tokens + other.reasoning_tokens,
        one.estimated or other.estimated,
    )


def openai_usage(found: object) -> Usage | None:
    """Usage out of OpenAI's `usage` object, which counts cached tokens inside the prompt and reasoning inside the
    completion; None for what is no usage. A detail never exceeds what it is a part of."""
    if not isinstance(found, dict):
        return None
    prompt, completion = count(found.get("prompt_tokens")), count(found.get("completion_tokens"))
    if prompt is None and completion is None:
        total = count(found.get("total_tokens"))
        if total is None:
            return None
        prompt = total
    prompt, completion = prompt or 0, completion or 0
    cached = _detail(found, "prompt_tokens_details", "cached_tokens")
    if cached is None:
        cached = count(found.get("prompt_cache_hit_tokens"))
    cached = min(cached or 0, prompt)
    written = min(_detail(found, "prompt_tokens_details", "cache_write_tokens") or 0, prompt - cached)
    reasoning = min(_detail(found, "completion_tokens_details", "reasoning_tokens") or 0, completion)
    return Usage(
        input_tokens=prompt - cached - written,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=completion - reasoning,
        reasoning_tokens=reasoning,
    )


def _detail(found: dict[str, object], part: str, name: str) -> int | None:
    details = found.get(part)
    return count(details.get(name)) if isinstance(details, dict) else None


def count(value: object) -> int | None:
    """A number of tokens as a provider gives it; None for what can't be one."""
    if type(value) is int and 0 <= value <= MOST_TOKENS:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value)
