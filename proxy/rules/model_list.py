"""The models that a caller may use, out of the routing table."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from agenthub.core.money import usd_from_picodollars
from providers.rules.table import MappingEntry, RoutingTable
from proxy.rules.caller import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """A canonical model with the best that its backends offer: the largest window, the lowest prices."""

    id: str
    context_window: int
    max_tokens: int
    reasoning: bool
    input_modalities: tuple[str, ...]
    cost: dict[str, Decimal | None]
    backends: int
    alias_of: str | None = None  # the canonical model that the name stands for
    object: str = "model"
    created: int = 0  # a mapping has no birthday that would mean something to a client
    owned_by: str = "agenthub"


def models_listed(routing: RoutingTable, caller: Caller) -> list[ListedModel]:
    """The models that `caller` may use and that enabled backends serve, by name."""
    return [_listed(model, routing) for model in sorted(routing.by_model) if caller.may_use(model)]


def model_listed(routing: RoutingTable, caller: Caller, model: str) -> ListedModel | None:
    """One model; None where it does not exist or is not for `caller`."""
    return _listed(model, routing) if model in routing.by_model and caller.may_use(model) else None


def _listed(model: str, routing: RoutingTable) -> ListedModel:
    mappings = [candidate.mapping for pool in routing.by_model[model] for candidate in pool.candidates]
    route = routing.routes.get(model)
    return ListedModel(
        id=model,
        alias_of=(route.target or None) if route else None,
        context_window=max(mapping.context_window for mapping in mappings),
        max_tokens=max(mapping.max_tokens for mapping in mappings),
        reasoning=any(mapping.reasoning for mapping in mappings),
        input_modalities=tuple(dict.fromkeys(name for mapping in mappings for name in mapping.input_modalities)),
        cost=_lowest_prices(mappings),
        backends=len(mappings),
    )


def _lowest_prices(mappings: Iterable[MappingEntry]) -> dict[str, Decimal | None]:
    prices = [mapping.prices for mapping in mappings]
    columns = {
        "input": [price.input for price in prices],
        "output": [price.output for price in prices],
        "cacheRead": [price.cache_read for price in prices],
        "cacheWrite": [price.cache_write for price in prices],
    }
    return {name: _lowest(values) for name, values in columns.items()}


def _lowest(picodollars: list[int | None]) -> Decimal | None:
    known = [value for value in picodollars if value is not None]
    return usd_from_picodollars(min(known)) if known else None
