"""Candidates in order: pool by pool, each by its strategy."""

from collections import Counter
from random import Random

import pytest

from providers.rules.table import (
    ApiKind,
    BackendEntry,
    Candidate,
    HealthState,
    MappingEntry,
    ModelRoute,
    PoolEntry,
    Prices,
    Service,
    Strategy,
    routing_table,
)
from proxy.rules.caller import Caller
from proxy.rules.emergency import emergency_order, emergency_per_minute
from proxy.rules.endpoints import EVERY_KIND, OPENAI_KINDS
from proxy.rules.routing import PassedOver, Reason, candidates_for, earliest, explain, in_order, near_misses
from proxy.rules.strategies import Ordering, ordered


def backend(name: str, pool: str = "primary", **more: object) -> BackendEntry:
    """A backend that maps the model `m`, or another, priced by `price`."""
    price, model = more.pop("price", None), str(more.pop("model", "m"))
    mapping = MappingEntry(
        model, f"native-{name}", Prices(input=price, output=0) if isinstance(price, int) else Prices()
    )
    return BackendEntry(
        id=name,
        name=name,
        label="",
        pool=pool,
        base_url="http://host/v1",
        api_key="k",
        mappings=(mapping,),
        **{"api": ApiKind.OPENAI_COMPLETIONS, **more},  # type: ignore[arg-type]
    )


def pool(strategy: Strategy, *backends: BackendEntry, name: str = "primary", order: int = 0) -> PoolEntry:
    return PoolEntry(name, order, strategy, backends)


def by(
    loads: dict[str, float] | None = None,
    *,
    latencies: dict[str, float] | None = None,
    rotation: int = 0,
    seed: int = 0,
    session: bytes = b"",
) -> Ordering:
    return Ordering(
        load=lambda each: (loads or {}).get(each.backend.id, 0.0),
        latency=lambda each: (latencies or {}).get(each.backend.id, 0.0),
        degraded=lambda each: each.backend.health is HealthState.DEGRADED,
        rotation=rotation,
        chance=Random(seed),
        session=lambda: session,
    )


def names(entry: PoolEntry, ordering: Ordering) -> list[str]:
    found = routing_table((entry,)).by_model["m"]
    return [candidate.backend.id for candidate in ordered(found[0], ordering)]


def test_the_least_utilised_comes_first_by_its_weight() -> None:
    entry = pool(Strategy.LEAST_UTILISED, backend("a"), backend("b"), backend("c", weight=10))
    assert names(entry, by({"a": 0.5, "b": 0.2, "c": 0.9})) == ["c", "b", "a"]


def test_equals_take_turns() -> None:
    entry = pool(Strategy.LEAST_UTILISED, backend("a"), backend("b"))
    assert [names(entry, by(rotation=n))[0] for n in range(4)] == ["a", "b", "a", "b"]


def test_round_robin_goes_on_by_one_each_time() -> None:
    entry = pool(Strategy.ROUND_ROBIN, backend("a"), backend("b"), backend("c"))
    assert [names(entry, by(rotation=n)) for n in (0, 1)] == [["a", "b", "c"], ["b", "c", "a"]]


def test_weighted_draws_by_weight() -> None:
    entry = pool(Strategy.WEIGHTED, backend("a", weight=1), backend("b", weight=9))
    firsts = Counter(names(entry, by(seed=seed))[0] for seed in range(1000))
    assert 850 < firsts["b"] < 950


def test_lowest_latency_tries_the_unknown_first() -> None:
    entry = pool(Strategy.LOWEST_LATENCY, backend("a"), backend("b"), backend("c"))
    assert names(entry, by(latencies={"a": 0.9, "b": 0.1})) == ["c", "b", "a"]


def test_the_cheapest_comes_first_and_the_unpriced_last() -> None:
    entry = pool(Strategy.CHEAPEST, backend("free"), backend("dear", price=9), backend("cheap", price=1))
    assert names(entry, by()) == ["cheap", "dear", "free"]


def test_sticky_keeps_a_session_and_moves_only_what_it_must() -> None:
    entry = pool(Strategy.STICKY, *(backend(name) for name in "abcdef"))
    sessions = [f"s{n}".encode() for n in range(200)]
    before = {session: names(entry, by(session=session))[0] for session in sessions}
    smaller = pool(Strategy.STICKY, *(backend(name) for name in "abcde"))
    after = {session: names(smaller, by(session=session))[0] for session in sessions}
    assert len(set(before.values())) == 6
    assert all(after[session] == home for session, home in before.items() if home != "f")


def test_the_degraded_come_after_the_healthy() -> None:
    entry = pool(Strategy.ROUND_ROBIN, backend("a", health=HealthState.DEGRADED), backend("b"))
    assert names(entry, by()) == ["b", "a"]


def test_a_large_pool_is_sampled_and_still_complete() -> None:
    entry = pool(Strategy.LEAST_UTILISED, *(backend(f"b{n:04}") for n in range(500)))
    found = names(entry, by({f"b{n:04}": n / 500 for n in range(500)}))
    assert sorted(found) == [f"b{n:04}" for n in range(500)]


def test_pools_come_in_their_order_and_disabled_backends_not_at_all() -> None:
    table = routing_table(
        (
            pool(Strategy.ROUND_ROBIN, backend("late", "fallback"), name="fallback", order=2),
            pool(Strategy.ROUND_ROBIN, backend("off", enabled=False), backend("on"), name="primary", order=1),
        ),
        kinds=(EVERY_KIND,),
    )
    assert [each.backend.id for each in in_order(candidates_for(table, "m", EVERY_KIND), by())] == ["on", "late"]
    assert candidates_for(table, "unknown", EVERY_KIND) == ()


def test_kinds_that_can_not_serve_an_endpoint_map_nothing() -> None:
    table = routing_table(
        (pool(Strategy.ROUND_ROBIN, backend("a"), backend("b", api=ApiKind.ANTHROPIC_MESSAGES)),),
        kinds=(OPENAI_KINDS, EVERY_KIND),
    )

    def ids(kinds: frozenset[ApiKind]) -> list[str]:
        return [each.backend.id for each in in_order(candidates_for(table, "m", kinds), by())]

    assert ids(OPENAI_KINDS) == ["a"]
    assert ids(EVERY_KIND) == ["a", "b"]


def routed(*routes: ModelRoute) -> dict[str, list[str]]:
    """The backends that serve each name, where `b1` maps `big` and `s1` and `s2` map `small`."""
    table = routing_table(
        (
            pool(Strategy.ROUND_ROBIN, backend("b1", model="big"), backend("s1", model="small"), name="one"),
            pool(Strategy.ROUND_ROBIN, backend("s2", model="small"), name="two", order=1),
        ),
        routes=routes,
        kinds=(EVERY_KIND,),
    )
    return {
        name: [each.backend.id for each in in_order(candidates_for(table, name, EVERY_KIND), by())]
        for name in table.by_model
    }


def test_an_alias_is_served_by_the_backends_of_its_model() -> None:
    assert routed(ModelRoute("fast", target="small"))["fast"] == ["s1", "s2"]


def test_fallbacks_come_after_all_pools_of_the_model_itself() -> None:
    found = routed(ModelRoute("small", fallbacks=("big",)), ModelRoute("gone", target="nothing", fallbacks=("big",)))
    assert found == {"small": ["s1", "s2", "b1"], "gone": ["b1"], "big": ["b1"]}


def test_a_route_that_leads_nowhere_is_no_model() -> None:
    assert "ghost" not in routed(ModelRoute("ghost", target="nothing"), ModelRoute("loop", target="loop"))


def test_flagged_backends_serve_what_names_no_model() -> None:
    table = routing_table(
        (pool(Strategy.ROUND_ROBIN, backend("a"), backend("b", services=frozenset({Service.FILES}))),)
    )
    assert [each.backend.id for each in in_order(table.by_service[Service.FILES], by())] == ["b"]
    assert Service.AUDIO not in table.by_service


def test_near_misses_name_only_what_the_caller_may_use() -> None:
    entries = [
        BackendEntry(
            id=name,
            name=name,
            label="",
            pool="primary",
            base_url="",
            api=ApiKind.OPENAI_COMPLETIONS,
            api_key="",
            mappings=(MappingEntry(name, name),),
        )
        for name in ("gpt-4o", "gpt-4o-mini", "llama")
    ]
    table = routing_table((pool(Strategy.ROUND_ROBIN, *entries),))
    assert near_misses(table, Caller("", ""), "GPT4o")[0] == "gpt-4o"
    assert near_misses(table, Caller("", "", allowed_models=("llama",)), "gpt4o") == []


def passed(name: str, reason: Reason, ready_at: float | None = None, detail: str = "") -> PassedOver:
    entry = backend(name)
    return PassedOver(Candidate(entry, entry.mappings[0]), reason, ready_at, detail)


def test_the_emergency_channel_prefers_the_exhausted_then_the_soonest_end() -> None:
    every = [
        passed("late", Reason.COOLING, 90),
        passed("soon", Reason.COOLING, 10),
        passed("dead", Reason.ERROR),
        passed("tired", Reason.NO_REQUESTS, 50),
        passed("failed", Reason.FAILED),
    ]
    assert [each.backend.id for each in emergency_order(every)] == ["tired", "soon", "late"]


@pytest.mark.parametrize(("limit", "per_minute"), [(40, 4), (5, 1), (1000, 100)])
def test_the_emergency_bucket_is_a_tenth_and_at_least_one(limit: int, per_minute: float) -> None:
    assert emergency_per_minute(limit, 0.1) == pytest.approx(per_minute)


def test_a_refusal_says_which_backend_was_passed_over_and_why() -> None:
    every = [passed("a", Reason.COOLING, 10, "7.0 s more"), passed("b", Reason.FAILED, None, "503")]
    assert explain(every) == "primary: a is cooling down (7.0 s more), b failed for this request (503)"
    assert earliest(every) == 10
