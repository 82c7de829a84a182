"""From a model to the candidates in order, and why each one that was passed over was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from providers.rules.table import ApiKind, Candidate, PoolCandidates, RoutingTable
from proxy.rules.caller import Caller
from proxy.rules.strategies import Ordering, ordered


class Reason(StrEnum):
    """Why a backend was passed over, in words for the caller and the time line."""

    COOLING = "cooling down"
    HALF_OPEN = "half-open, its trial request is under way"
    NO_REQUESTS = "out of requests per minute"
    NO_TOKENS = "out of tokens per minute"
    BUSY = "at max concurrency"
    ERROR = "in error"
    DOWN = "down"
    FAILED = "failed for this request"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A candidate that could not be taken, and when it may be again (monotonic seconds; None: nobody knows)."""

    candidate: Candidate
    reason: Reason
    ready_at: float | None = None
    detail: str = ""


def in_order(pools: Sequence[PoolCandidates], by: Ordering) -> Iterator[Candidate]:
    """All candidates, pool by pool, each in its strategy's order."""
    for pool in pools:
        yield from ordered(pool, by)


def candidates_for(table: RoutingTable, model: str, kinds: frozenset[ApiKind]) -> tuple[PoolCandidates, ...]:
    """The candidates of these kinds that map `model`, by pool; empty where nobody does."""
    index = table.by_kinds.get(kinds)
    return index.get(model, ()) if index is not None else ()


def near_misses(table: RoutingTable, caller: Caller, model: str) -> list[str]:
    """Up to three names of models that the caller may use and may have meant."""
    names = [name for name in table.by_model if caller.may_use(name)]
    by_lower = {name.lower(): name for name in names}
    return [by_lower[name] for name in get_close_matches(model.lower()[:200], by_lower, n=3, cutoff=0.5)]


def earliest(passed: Sequence[PassedOver]) -> float | None:
    """When the first of them may be ready (monotonic seconds), if that is known of any."""
    return min((each.ready_at for each in passed if each.ready_at is not None), default=None)


def seconds_until_free(passed: Sequence[PassedOver], *, now: float, ahead: int) -> float:
    """Seconds until one more request may find a backend free, with `ahead` others waiting before it; at least one.

    Backends that give a request at a time hand those out to the others first, all of them together at their rate.
    """
    ready_at = earliest(passed)
    if ready_at is None:
        return 1.0
    limits = [each.candidate.backend.rpm_limit for each in passed if each.ready_at is not None]
    per_minute = sum(limit for limit in limits if limit is not None)
    behind_others = ahead * 60.0 / per_minute if per_minute else 0.0
    return max(1.0, ready_at - now + behind_others)


def worth_waiting(passed: Sequence[PassedOver]) -> bool:
    """Whether one of them is only busy for an unknown time: it is free when another request ends."""
    return any(each.reason in (Reason.BUSY, Reason.HALF_OPEN) for each in passed)


def explain(passed: Sequence[PassedOver]) -> str:
    """`primary: alpha is cooling down (7 s); fallback: beta failed for this request (503)`."""
    pools: dict[str, list[str]] = {}
    for each in passed:
        text = f"{each.candidate.backend.name} is {each.reason}" if each.reason != Reason.FAILED else ""
        text = text or f"{each.candidate.backend.name} {each.reason}"
        pools.setdefault(each.candidate.backend.pool, []).append(text + (f" ({each.detail})" if each.detail else ""))
    return "; ".join(f"{pool}: {', '.join(texts)}" for pool, texts in pools.items())
