"""What one request adds to the sums. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

CLIENT_GONE = 499
BROKEN = frozenset({"stream_broken", "interrupted"})
"""Error types that are errors whatever the status is."""


class UsageRow(NamedTuple):
    """A usage record in the order of its columns; amounts in picodollars, times aware and UTC."""

    id: str
    started_at: datetime
    ended_at: datetime
    client_key_id: str
    agent_id: str
    work_item_id: str
    endpoint: str
    model: str
    native_id: str
    backend_id: str
    pool: str
    stream: bool
    status: int
    error_type: str
    attempts: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost_usd: int | None
    latency_us: int
    ttft_us: int | None
    queue_wait_us: int
    emergency: bool
    partial: bool
    trail: tuple[tuple[str, str, int, int, int], ...]  # backend id, outcome, status, start ms, elapsed ms


class Sums(NamedTuple):
    """What is counted of requests, in the order of the columns of `UsageSums`."""

    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    request_count: int
    error_count: int
    cost_usd: int | None
    unpriced_count: int
    estimated_count: int
    latency_us_sum: int
    latency_count: int
    ttft_us_sum: int
    ttft_count: int


def is_error(status: int, error_type: str) -> bool:
    """Whether a request counts as an error: any status from 400 but 499, and answers that broke off.

    A client that left (499) got what it wanted or changed its mind; that is nobody's error. A stream cut after content
    has the status 200, and a request whose process died has 0; both are errors.
    """
    return (status >= 400 and status != CLIENT_GONE) or error_type in BROKEN


def hourly_model(row: UsageRow) -> str:
    """The model under which a request is summed; "" for one refused for its own faults before any backend.

    Such a request may name any model, and every name would make rows that stay for ever.
    """
    own_fault = not row.backend_id and 400 <= row.status < CLIENT_GONE
    return "" if own_fault else row.model


def tokens_of(row: UsageRow) -> int:
    """All tokens of a request."""
    return row.input_tokens + row.cache_read_tokens + row.cache_write_tokens + row.output_tokens + row.reasoning_tokens


def sums_of(rows: Iterable[UsageRow]) -> Sums:
    """The sums of `rows`. A cost is None only if no row has one; latency counts the requests that ended well."""
    inputs = reads = writes = outputs = reasoning = 0
    requests = errors = unpriced = estimated = latency = latencies = ttft = ttfts = 0
    cost: int | None = None
    for row in rows:
        requests += 1
        inputs += row.input_tokens
        reads += row.cache_read_tokens
        writes += row.cache_write_tokens
        outputs += row.output_tokens
        reasoning += row.reasoning_tokens
        estimated += row.estimated
        if row.cost_usd is not None:
            cost = row.cost_usd + (cost or 0)
        elif tokens_of(row):
            unpriced += 1
        if is_error(row.status, row.error_type):
            errors += 1
        elif row.status != CLIENT_GONE:
            latency += row.latency_us
            latencies += 1
        if row.ttft_us is not None:
            ttft += row.ttft_us
            ttfts += 1
    return Sums(
        inputs,
        reads,
        writes,
        outputs,
        reasoning,
        requests,
        errors,
        cost,
        unpriced,
        estimated,
        latency,
        latencies,
        ttft,
        ttfts,
    )
