"""What the proxy counts. The names are those of docs/reference/metrics.md; cardinality is bounded.

A request adds to plain numbers of this process; once a second they are handed to prometheus_client, whose counters lie
in files that the metrics endpoint adds up over all processes (PROMETHEUS_MULTIPROC_DIR). Its own `inc` and `observe`
cost a request some thirty microseconds altogether.
"""

from bisect import bisect_left
from collections import Counter as Tally

from prometheus_client import Counter, Gauge, Histogram

from proxy.rules.record import RequestEnded
from proxy.wire.usage import Usage

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_OVERHEAD_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
MICRO = 1e-6
PICO = 1e-12

OTHER = "other"
"""The model label of names that no backend maps: strangers must not be able to make time series."""

requests_total = Counter("agenthub_requests", "Requests.", ["endpoint", "model", "pool", "backend", "status"])
request_seconds = Histogram("agenthub_request_seconds", "From the request to its end.", buckets=_SECONDS)
ttft_seconds = Histogram("agenthub_ttft_seconds", "From the request to the first content.", buckets=_SECONDS)
overhead_seconds = Histogram(
    "agenthub_overhead_seconds", "What the proxy itself adds to a request.", buckets=_OVERHEAD_SECONDS
)
tokens_total = Counter("agenthub_tokens", "Tokens.", ["kind"])
cost_usd_total = Counter("agenthub_cost_usd", "Cost of priced requests in USD.")
emergency_total = Counter("agenthub_emergency", "Tries through the emergency channel.")
refused_keys_total = Counter("agenthub_refused_keys", "Requests without a valid client key.")
malformed_events_total = Counter("agenthub_malformed_events", "Events of streams that were no JSON and were dropped.")
queue_depth = Gauge("agenthub_queue_depth", "Requests that wait for a backend.", multiprocess_mode="livesum")
queue_wait_seconds = Histogram("agenthub_queue_wait_seconds", "Waits for a backend.", buckets=_SECONDS)
inflight = Gauge("agenthub_inflight", "Requests under way.", multiprocess_mode="livesum")
shared_state = Gauge(
    "agenthub_shared_state",
    "Web processes whose limits are shared by way of Redis, and those that go on alone.",
    ["state"],
    multiprocess_mode="livesum",
)


TOKEN_KINDS = ("input", "cache_read", "cache_write", "output", "reasoning")


class _Observed:
    """Observations of one histogram since the last flush."""

    __slots__ = ("_bounds", "_counts", "_histogram", "_sum")

    def __init__(self, histogram: Histogram, bounds: tuple[float, ...]) -> None:
        self._histogram = histogram
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def flush(self) -> None:
        """Hand over what was observed. prometheus_client takes observations one by one only, so this reaches for the
        numbers behind its histogram."""
        if not any(self._counts):
            return
        for bucket, count in zip(self._histogram._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        self._histogram._sum.inc(self._sum)
        self._counts = [0] * len(self._counts)
        self._sum = 0.0


class Metrics:
    """The counts of one process since the last flush. Belongs to the event loop."""

    def __init__(self) -> None:
        self._requests: Tally[tuple[str, str, str, str, int]] = Tally()
        self._children: dict[tuple[str, str, str, str, int], Counter] = {}
        self._seconds = _Observed(request_seconds, _SECONDS)
        self._ttft = _Observed(ttft_seconds, _SECONDS)
        self._overhead = _Observed(overhead_seconds, _OVERHEAD_SECONDS)
        self._waits = _Observed(queue_wait_seconds, _SECONDS)
        self._tokens = [0, 0, 0, 0, 0]
        self._cost_picousd = 0
        # Rare enough to be counted at once.
        self.malformed_events = malformed_events_total
        self.emergency = emergency_total
        self.refused_keys = refused_keys_total

    def count(self, record: RequestEnded, *, overhead_seconds: float, usage: Usage | None) -> None:
        """Count a request that has ended."""
        # A request that reached no backend may carry any model name.
        model = record.model if record.backend_id else OTHER
        self._requests[record.endpoint, model, record.pool, record.backend_id, record.status] += 1
        self._seconds.observe(record.latency_us * MICRO)
        self._overhead.observe(overhead_seconds)
        if record.ttft_us is not None:
            self._ttft.observe(record.ttft_us * MICRO)
        if record.queue_wait_us:
            self._waits.observe(record.queue_wait_us * MICRO)
        if record.cost_picousd:
            self._cost_picousd += record.cost_picousd
        if usage is not None:
            tokens = self._tokens
            tokens[0] += usage.input_tokens
            tokens[1] += usage.cache_read_tokens
            tokens[2] += usage.cache_write_tokens
            tokens[3] += usage.output_tokens
            tokens[4] += usage.reasoning_tokens

    def flush(self) -> None:
        """Hand the counts over to prometheus_client."""
        for labels, count in self._requests.items():
            child = self._children.get(labels)
            if child is None:
                child = self._children[labels] = requests_total.labels(*labels)
            child.inc(count)
        self._requests.clear()
        for observed in (self._seconds, self._ttft, self._overhead, self._waits):
            observed.flush()
        for kind, tokens in zip(
            ("input", "cache_read", "cache_write", "output", "reasoning"), self._tokens, strict=True
        ):
            if tokens:
                tokens_total.labels(kind).inc(tokens)
        self._tokens = [0, 0, 0, 0, 0]
        if self._cost_picousd:
            cost_usd_total.inc(self._cost_picousd * PICO)
            self._cost_picousd = 0
