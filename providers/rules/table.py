"""The routing table: what the proxy must know of backends, frozen, built once per change, read without a lock.

`providers/selectors.py` builds it from rows; `proxy/snapshot.py` holds the current one. It holds decrypted provider
keys, so nothing in it may be logged: the secret fields stay out of every `repr`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from types import MappingProxyType


class Strategy(StrEnum):
    """How a pool orders its backends for one request."""

    LEAST_UTILISED = "least_utilised"
    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    LOWEST_LATENCY = "lowest_latency"
    CHEAPEST = "cheapest"
    STICKY = "sticky"


class ApiKind(StrEnum):
    """The wire format that a backend speaks."""

    OPENAI_COMPLETIONS = "openai-completions"
    OPENAI_RESPONSES = "openai-responses"
    ANTHROPIC_MESSAGES = "anthropic-messages"
    OLLAMA = "ollama"
    AZURE_OPENAI = "azure-openai"


class BackendStatus(StrEnum):
    """What AgentHub itself has found out about a backend."""

    HEALTHY = "healthy"
    COOLING = "cooling"
    ERROR = "error"
    DISABLED = "disabled"


class ErrorKind(StrEnum):
    """Why a backend is in `error`, which decides what may end it."""

    NONE = ""
    CREDENTIALS = "credentials"  # 401 or 403: a successful probe ends it
    QUOTA = "quota"  # 402 or a spent quota: only an operator or a trial completion ends it
    KEY = "key"  # the stored key does not decrypt: a new key ends it


class HealthState(StrEnum):
    """What probes and live traffic say; stale or missing health is unknown, not bad."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"


class Probe(StrEnum):
    """How the health of a backend is probed."""

    MODELS = "models"  # a GET of the models, which costs nothing
    NONE = "none"
    COMPLETION = "completion"  # the smallest completion, which the upstream bills


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of one mapping in whole picodollars (1e-12 USD) per token; None where nobody set one."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None


@dataclass(frozen=True, slots=True)
class MappingEntry:
    """One canonical model at one backend."""

    canonical: str
    native_id: str
    prices: Prices = Prices()
    reasoning: bool = False
    reasoning_effort: str = ""
    input_modalities: tuple[str, ...] = ("text",)
    context_window: int = 128_000
    max_tokens: int = 65_536
    first_token_timeout_seconds: float | None = None  # None: the run-time setting
    compat: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Way:
    """How a backend's connections are made, where that differs from dialling it and trusting the system's CAs."""

    proxy: str = field(default="", repr=False)  # http(s)://[user:password@]host:port of an outgoing proxy
    ca_bundle: str = ""  # PEM certificates to trust instead of the system's
    client_certificate: str = field(default="", repr=False)  # PEM: a certificate chain and its private key


class Service(StrEnum):
    """What a backend may be asked for without naming a model."""

    FILES = "files"
    MODERATIONS = "moderations"
    IMAGES = "images"
    AUDIO = "audio"
    RERANK = "rerank"


@dataclass(frozen=True, slots=True)
class BackendEntry:
    """One backend as the proxy sees it. Times are epoch seconds."""

    id: str
    name: str
    label: str
    pool: str
    base_url: str  # without a trailing slash, e.g. https://host/v1
    api: ApiKind
    api_key: str = field(repr=False)  # "" where the upstream wants none
    extra_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    way: Way = Way()
    services: frozenset[Service] = frozenset()
    timeout_seconds: float = 120
    rpm_limit: int | None = 40  # None: unlimited
    burst: int = 40  # capacity of the bucket; of no meaning where rpm_limit is None
    tpm_limit: int | None = None
    max_concurrency: int | None = None
    weight: int = 1
    enabled: bool = True
    status: BackendStatus = BackendStatus.HEALTHY
    error_kind: ErrorKind = ErrorKind.NONE
    error_reason: str = ""
    error_since: float | None = None
    health: HealthState = HealthState.UNKNOWN
    cooldown_until: float | None = None
    consecutive_429_count: int = 0
    # Grows whenever an operator, a test or a probe clears a cooldown or an error: a process that sees it grow forgets
    # what it had found out about the backend by itself.
    reset_count: int = 0
    mappings: tuple[MappingEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """One pool with its backends in id order."""

    name: str
    order: int
    strategy: Strategy
    backends: tuple[BackendEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend that maps the model asked for."""

    backend: BackendEntry
    mapping: MappingEntry


@dataclass(frozen=True, slots=True)
class PoolCandidates:
    """The candidates for one model in one pool."""

    pool: str
    strategy: Strategy
    candidates: tuple[Candidate, ...]  # the cheapest first where that is the strategy
    weight_sums: tuple[int, ...] = ()  # running sums of the weights, for a draw in logarithmic time
    kinds: frozenset[ApiKind] = frozenset()  # of the candidates' backends


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """What operators have said of one model name that clients use, beside the mappings."""

    name: str
    target: str = ""  # the canonical model that the name stands for; "": itself
    fallbacks: tuple[str, ...] = ()  # canonical models that serve, in order, when every backend of the first is out
    resume: bool = False  # a stream that is cut goes on at another backend
    cache_seconds: int = 0  # how long equal requests get the same answer; 0: never


NO_ROUTE = ModelRoute("")

Index = Mapping[str, tuple[PoolCandidates, ...]]


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All pools in order, and for each model name its candidates by pool (enabled backends only).

    The names are those that clients use: canonical models, and the aliases of routes. Candidates of fallbacks come
    after all of the model's own.
    """

    pools: tuple[PoolEntry, ...] = ()
    by_model: Index = field(default_factory=dict)
    by_id: Mapping[str, BackendEntry] = field(default_factory=dict)
    by_kinds: Mapping[frozenset[ApiKind], Index] = field(default_factory=dict)  # `by_model`, for some kinds of backends
    by_service: Mapping[Service, tuple[PoolCandidates, ...]] = field(default_factory=dict)  # with an empty mapping each
    routes: Mapping[str, ModelRoute] = field(default_factory=dict)


def routing_table(
    pools: tuple[PoolEntry, ...],
    *,
    routes: Iterable[ModelRoute] = (),
    kinds: Collection[frozenset[ApiKind]] = (),
) -> RoutingTable:
    """Index `pools` (any order) by model and by backend id, and by model again for each of the sets of `kinds`.

    Disabled backends stay in the pools but serve nothing.
    """
    ordered = tuple(sorted(pools, key=lambda pool: (pool.order, pool.name)))
    by_name = {route.name: route for route in routes}
    return RoutingTable(
        pools=ordered,
        by_model=_index(ordered, by_name, frozenset(ApiKind)),
        by_id=MappingProxyType({backend.id: backend for pool in ordered for backend in pool.backends}),
        by_kinds=MappingProxyType({each: _index(ordered, by_name, each) for each in kinds}),
        by_service=MappingProxyType(_by_service(ordered)),
        routes=MappingProxyType(by_name),
    )


def _index(pools: tuple[PoolEntry, ...], routes: Mapping[str, ModelRoute], kinds: frozenset[ApiKind]) -> Index:
    own: dict[str, list[PoolCandidates]] = {}
    for pool in pools:
        in_pool: dict[str, list[Candidate]] = {}
        for backend in pool.backends:
            if not backend.enabled or backend.api not in kinds:
                continue
            for mapping in backend.mappings:
                in_pool.setdefault(mapping.canonical, []).append(Candidate(backend, mapping))
        for model, candidates in in_pool.items():
            own.setdefault(model, []).append(_pool_candidates(pool, candidates))
    found = {model: tuple(candidates) for model, candidates in own.items()}
    return MappingProxyType({**found, **_routed(found, routes)})


def _routed(own: Index, routes: Mapping[str, ModelRoute]) -> dict[str, tuple[PoolCandidates, ...]]:
    routed = {}
    for route in routes.values():
        # A chain of aliases is not followed: what a name stands for is said in one place.
        models = dict.fromkeys((route.target or route.name, *route.fallbacks))
        candidates = tuple(pool for model in models for pool in own.get(model, ()))
        if candidates:
            routed[route.name] = candidates
    return routed


def _by_service(pools: tuple[PoolEntry, ...]) -> dict[Service, tuple[PoolCandidates, ...]]:
    found: dict[Service, list[PoolCandidates]] = {}
    for service in Service:
        for pool in pools:
            candidates = [
                Candidate(backend, MappingEntry("", ""))
                for backend in pool.backends
                if backend.enabled and service in backend.services
            ]
            if candidates:
                found.setdefault(service, []).append(_pool_candidates(pool, candidates))
    return {service: tuple(candidates) for service, candidates in found.items()}


def _pool_candidates(pool: PoolEntry, candidates: list[Candidate]) -> PoolCandidates:
    # What can be known before any request is worked out here, once per change.
    if pool.strategy is Strategy.CHEAPEST:
        candidates.sort(key=_price)
    sums = tuple(accumulate(candidate.backend.weight for candidate in candidates))
    kinds = frozenset(candidate.backend.api for candidate in candidates)
    return PoolCandidates(pool.name, pool.strategy, tuple(candidates), sums, kinds)


def _price(candidate: Candidate) -> float:
    prices = candidate.mapping.prices
    # Unknown is not free: a model without a price comes last.
    return float("inf") if prices.input is None else prices.input + (prices.output or 0)
