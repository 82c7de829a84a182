"""The whole benchmark: gateways side by side, round after round."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from bench import measures
from bench.gateways.agenthub import AgentHub, AgentHubByAsgi, WholeHub
from bench.gateways.base import Gateway, Upstreams
from bench.gateways.direct import Direct
from bench.gateways.litellm import LiteLLM
from bench.gateways.nginx import Nginx
from bench.measures import Sample
from bench.processes import CantRun
from bench.results import Results

GATEWAYS: dict[str, type[Gateway]] = {kind.name: kind for kind in (Direct, Nginx, AgentHub, AgentHubByAsgi, LiteLLM)}
Measure = Callable[[Gateway], Sample | None]
MEASURES = ("json", "stream", "memory", "prompts", "growth", "cold")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    gateways: tuple[str, ...]
    measures: tuple[str, ...]
    rounds: int
    seconds: float
    open_streams: int
    many_backends: int
    many_keys: int


FULL = Plan(tuple(GATEWAYS), MEASURES, 3, 8, 500, 1000, 100_000)
QUICK = Plan(("direct", "nginx", "agenthub"), MEASURES, 1, 2, 200, 200, 10_000)


@contextmanager
def running(gateway: Gateway) -> Iterator[Gateway]:
    """A gateway, prepared and started."""
    gateway.prepare()
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()


class Run:
    """One run of a plan."""

    def __init__(self, plan: Plan, upstreams: Upstreams, upstream_pids: list[int], results: Results) -> None:
        self._plan = plan
        self._upstreams = upstreams
        self._pids = upstream_pids
        self._results = results

    def all(self) -> None:
        """Every measure of the plan."""
        wanted = self._plan.measures
        if "json" in wanted or "stream" in wanted or "prompts" in wanted:
            self._side_by_side()
        if "memory" in wanted:
            self._memory()
        if "growth" in wanted:
            self._growth()
        if "cold" in wanted:
            self._cold()

    def _side_by_side(self) -> None:
        with ExitStack() as stack:
            gateways = self._started(stack, [GATEWAYS[name](self._upstreams) for name in self._plan.gateways])
            for number in range(self._plan.rounds):
                print(f"round {number + 1} of {self._plan.rounds}", flush=True)
                for measure in self._measures_of_a_round():
                    for gateway in gateways:
                        self._take(gateway, measure)

    def _measures_of_a_round(self) -> list[Measure]:
        pids, seconds, wanted = self._pids, self._plan.seconds, self._plan.measures
        found: list[Measure] = []
        if "json" in wanted:
            found += [partial(measures.json_requests, others=pids, connections=c, seconds=seconds) for c in (64, 1)]
            found.append(partial(measures.json_on_one_core, others=pids, seconds=seconds))
        if "stream" in wanted:
            sizes = ((10, 100), (100, 200), (200, 100))
            found += [partial(measures.streams, others=pids, count=count, chunks=chunks) for count, chunks in sizes]
        if "prompts" in wanted:
            found.append(partial(measures.large_prompts, others=pids, seconds=seconds / 2))
        return found

    def _memory(self) -> None:
        for name in self._plan.gateways:
            with ExitStack() as stack:
                for gateway in self._started(stack, [GATEWAYS[name](self._upstreams)]):
                    self._take(gateway, partial(measures.memory, streams=self._plan.open_streams))

    def _growth(self) -> None:
        backends, keys = self._plan.many_backends, self._plan.many_keys
        variants: dict[str, dict[str, int]] = {
            "2 backends, 1 key": {},
            f"{backends:,} backends of other models": {"other_backends": backends},
            f"{backends:,} backends of this model": {"same_backends": backends},
            f"{keys:,} client keys": {"other_keys": keys},
        }
        hubs: list[Gateway] = []
        for number, (name, more) in enumerate(variants.items()):
            hubs.append(AgentHub(self._upstreams, folder=f"growth-{number}", **more))
            hubs[-1].name = name
        measure = partial(measures.growth, others=self._pids, seconds=self._plan.seconds / 2)
        with ExitStack() as stack:
            started = self._started(stack, hubs)
            for _ in range(self._plan.rounds):
                for hub in started:
                    self._take(hub, measure)

    def _cold(self) -> None:
        kinds = [GATEWAYS[name] for name in self._plan.gateways if name not in ("direct", AgentHubByAsgi.name)]
        kinds += [WholeHub] if "agenthub" in self._plan.gateways else []
        for _ in range(self._plan.rounds):
            for kind in kinds:
                gateway = kind(self._upstreams)
                try:
                    gateway.prepare()
                except CantRun as problem:
                    self._problem(gateway, problem)
                else:
                    self._take(gateway, measures.cold_start)

    def _started(self, stack: ExitStack, gateways: list[Gateway]) -> list[Gateway]:
        started = []
        for gateway in gateways:
            try:
                started.append(stack.enter_context(running(gateway)))
            except CantRun as problem:
                self._problem(gateway, problem)
        return started

    def _take(self, gateway: Gateway, measure: Measure) -> None:
        try:
            sample = measure(gateway)
        except CantRun as problem:
            self._problem(gateway, problem)
            return
        if sample is not None:
            self._results.samples.append(sample)
            print(line(sample), flush=True)

    def _problem(self, gateway: Gateway, problem: CantRun) -> None:
        self._results.problems.append(f"{gateway.name}: {problem}")
        print(f"bench: {gateway.name}: {problem}", flush=True)


def line(sample: Sample) -> str:
    """A sample for people."""
    values = "  ".join(f"{name} {value:,.4g}" for name, value in sample.values.items())
    noise = f"  [others {sample.noise['others']:.2f}, steal {sample.noise['steal']:.2f}]" if sample.noise else ""
    return f"{sample.gateway:9} {sample.measure}: {values}{noise}"
