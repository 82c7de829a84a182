"""What the proxy counts. The names are those of docs/metrics.md; cardinality is bounded.

With PROMETHEUS_MULTIPROC_DIR set, the counters lie in files that the metrics endpoint adds up over all processes.
"""

from prometheus_client import Counter, Gauge, Histogram

from proxy.rules.record import RequestEnded
from proxy.wire.usage import Usage

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
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


class Metrics:
    """The counters of one process, with their labelled children at hand."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, str, str, int], Counter] = {}
        self._tokens = {kind: tokens_total.labels(kind) for kind in ("input", "cache_read", "cache_write", "output")}
        self._reasoning = tokens_total.labels("reasoning")
        self.malformed_events = malformed_events_total
        self.emergency = emergency_total
        self.refused_keys = refused_keys_total

    def count(self, record: RequestEnded, *, overhead_seconds: float, usage: Usage | None) -> None:
        """Count a request that has ended."""
        # A request that reached no backend may carry any model name.
        model = record.model if record.backend_id else OTHER
        labels = (record.endpoint, model, record.pool, record.backend_id, record.status)
        child = self._requests.get(labels)
        if child is None:
            child = self._requests[labels] = requests_total.labels(*labels)
        child.inc()
        request_seconds.observe(record.latency_us * MICRO)
        _overhead(overhead_seconds)
        if record.ttft_us is not None:
            ttft_seconds.observe(record.ttft_us * MICRO)
        if record.queue_wait_us:
            queue_wait_seconds.observe(record.queue_wait_us * MICRO)
        if record.cost_picousd:
            cost_usd_total.inc(record.cost_picousd * PICO)
        if usage is not None:
            self._count_tokens(usage)

    def _count_tokens(self, usage: Usage) -> None:
        self._tokens["input"].inc(usage.input_tokens)
        self._tokens["output"].inc(usage.output_tokens)
        if usage.cache_read_tokens:
            self._tokens["cache_read"].inc(usage.cache_read_tokens)
        if usage.cache_write_tokens:
            self._tokens["cache_write"].inc(usage.cache_write_tokens)
        if usage.reasoning_tokens:
            self._reasoning.inc(usage.reasoning_tokens)


_overhead = overhead_seconds.observe
