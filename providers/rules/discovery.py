"""Reading an upstream's list of models, and proposing mappings out of it."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from providers.rules.price_list import NOTHING

MOST_MODELS = 5000
LONGEST_NAME = 200
_CONTEXT_KEYS = ("context_window", "context_length", "max_model_len", "max_context_length", "input_token_limit")
_PRICE_KEYS = {
    "input": "prompt",
    "output": "completion",
    "cacheRead": "input_cache_read",
    "cacheWrite": "input_cache_write",
}
_FINEST = Decimal(1).scaleb(-12)


class NoModelList(ValueError):
    """The answer is no list of models."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A mapping that an upstream's list suggests."""

    canonical: str
    native_id: str
    context_window: int | None  # None where the upstream does not say
    cost: Mapping[str, Decimal]  # the prices that the upstream gives, USD per token
    known: bool  # whether the backend maps it already
    list_prices: Mapping[str, Decimal] = field(default_factory=dict)
    """What the price list that ships with AgentHub says where the upstream gives no price; for a person to confirm."""

    def per_million(self) -> dict[str, str]:
        """The upstream's prices, or else the list's, as people read them: USD per million tokens."""
        prices = self.with_list_prices().cost
        return {name: format((price * 1_000_000).normalize(), "f") for name, price in prices.items()}

    def with_list_prices(self) -> "Proposal":
        """The same, with the list's prices taken as its own."""
        return replace(self, cost=self.cost or self.list_prices)


def listed_models(body: bytes) -> list[dict[str, Any]]:
    """The entries of a list of models in the OpenAI, Anthropic or Ollama shape. Raises NoModelList."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise NoModelList("The answer is not JSON.") from None
    entries = parsed.get("data", parsed.get("models")) if isinstance(parsed, dict) else parsed
    if not isinstance(entries, list):
        raise NoModelList("The answer is JSON, but not a list of models.")
    return [entry for entry in entries[:MOST_MODELS] if isinstance(entry, dict) and model_name(entry)]


def model_name(entry: dict[str, Any]) -> str:
    """The name of a listed model; empty for one that can't be stored."""
    name = entry.get("id") or entry.get("name") or entry.get("model")
    usable = isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable()
    return str(name).removeprefix("models/") if usable else ""


def proposals(
    entries: list[dict[str, Any]],
    *,
    canonical: Collection[str],
    native: Collection[str],
    list_prices: Callable[[str], Mapping[str, Decimal]] = lambda _: NOTHING,
) -> list[Proposal]:
    """A proposal for each listed model, by name; `canonical` and `native` are the names that are mapped already.

    `list_prices` says what a price list knows of a model's name.
    """
    found = {}
    for entry in entries:
        name = model_name(entry)
        cost = _cost(entry.get("pricing"))
        found[name] = Proposal(
            canonical=name,
            native_id=name,
            context_window=_context_window(entry),
            cost=cost,
            known=name in canonical or name in native,
            list_prices=NOTHING if cost else list_prices(name),
        )
    return [found[name] for name in sorted(found)]


def _context_window(entry: dict[str, Any]) -> int | None:
    for key in _CONTEXT_KEYS:
        value = entry.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31:
            return value
    return None


def _cost(pricing: object) -> dict[str, Decimal]:
    prices = {}
    for name, key in _PRICE_KEYS.items():
        value = pricing.get(key) if isinstance(pricing, dict) else None
        try:
            price = Decimal(str(value))
        except InvalidOperation:
            continue
        # Some lists use -1 for "depends"; none of our prices is negative or as large as a dollar a token.
        if price.is_finite() and 0 <= price < 1:
            prices[name] = price.quantize(_FINEST).normalize()
    return prices
