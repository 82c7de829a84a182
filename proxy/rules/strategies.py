"""In which order a pool's backends are tried for one request.

Each strategy is a lazy iterator, since nearly always the first candidate is taken: the cost of a request must not grow
with the number of backends. Large pools are therefore sampled where a full sort would be needed.
"""

from bisect import bisect
from collections.abc import Callable, Iterator
from hashlib import blake2b
from random import Random

from msgspec import Struct  # made for every request, in a tenth of the time that a frozen dataclass takes

from providers.rules.table import Candidate, PoolCandidates, Strategy

SAMPLE = 8
"""Pools up to this size are sorted whole; of larger ones this many are drawn and sorted, the others follow."""


class Ordering(Struct, frozen=True):
    """What ordering depends on beside the table: the state of backends and the request."""

    load: Callable[[Candidate], float]  # 0 idle … 1 at a limit; higher is tried later
    latency: Callable[[Candidate], float]  # seconds, smoothed; 0 while unknown, so that it gets measured
    degraded: Callable[[Candidate], bool]  # tried after the healthy ones
    rotation: int  # grows by one with each request
    chance: Random
    session: Callable[[], bytes] = bytes  # what keeps a conversation together; empty for none


def ordered(pool: PoolCandidates, by: Ordering) -> Iterator[Candidate]:
    """The candidates of `pool` in the order of its strategy, the degraded ones after the healthy ones."""
    if len(pool.candidates) == 1:
        return iter(pool.candidates)
    return _healthy_first(_STRATEGIES[pool.strategy](pool, by), by)


def _healthy_first(candidates: Iterator[Candidate], by: Ordering) -> Iterator[Candidate]:
    later: list[Candidate] = []
    for candidate in candidates:
        if by.degraded(candidate):
            later.append(candidate)
        else:
            yield candidate
    yield from later


def _rotated(candidates: tuple[Candidate, ...], start: int) -> Iterator[Candidate]:
    count = len(candidates)
    for step in range(count):
        yield candidates[(start + step) % count]


def _least(
    candidates: tuple[Candidate, ...], key: Callable[[Candidate], float], start: int, chance: Random
) -> Iterator[Candidate]:
    count = len(candidates)
    if count <= SAMPLE:
        # Sorting is stable: among equals the rotation takes turns.
        yield from sorted(_rotated(candidates, start), key=key)
        return
    drawn = {chance.randrange(count) for _ in range(SAMPLE)}
    for index in sorted(drawn, key=lambda index: key(candidates[index])):
        yield candidates[index]
    for step in range(count):
        index = (start + step) % count
        if index not in drawn:
            yield candidates[index]


def _least_utilised(pool: PoolCandidates, by: Ordering) -> Iterator[Candidate]:
    return _least(pool.candidates, lambda each: by.load(each) / each.backend.weight, by.rotation, by.chance)


def _lowest_latency(pool: PoolCandidates, by: Ordering) -> Iterator[Candidate]:
    return _least(pool.candidates, by.latency, by.rotation, by.chance)


def _round_robin(pool: PoolCandidates, by: Ordering) -> Iterator[Candidate]:
    return _rotated(pool.candidates, by.rotation)


def _weighted(pool: PoolCandidates, by: Ordering) -> Iterator[Candidate]:
    return _rotated(pool.candidates, bisect(pool.weight_sums, by.chance.random() * pool.weight_sums[-1]))


def _cheapest(pool: PoolCandidates, _: Ordering) -> Iterator[Candidate]:
    return iter(pool.candidates)  # sorted by price when the table was built


def _sticky(pool: PoolCandidates, by: Ordering) -> Iterator[Candidate]:
    session = by.session()
    if not session:
        return _least_utilised(pool, by)

    # Rendezvous hashing: when a backend comes or goes, only its own conversations move.
    def rank(candidate: Candidate) -> bytes:
        return blake2b(candidate.backend.id.encode(), key=session[:64], digest_size=8).digest()

    return iter(sorted(pool.candidates, key=rank))


_STRATEGIES: dict[Strategy, Callable[[PoolCandidates, Ordering], Iterator[Candidate]]] = {
    Strategy.LEAST_UTILISED: _least_utilised,
    Strategy.ROUND_ROBIN: _round_robin,
    Strategy.WEIGHTED: _weighted,
    Strategy.LOWEST_LATENCY: _lowest_latency,
    Strategy.CHEAPEST: _cheapest,
    Strategy.STICKY: _sticky,
}
