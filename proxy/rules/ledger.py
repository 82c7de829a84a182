"""Journal entries as rows of the ledger. Pure.

Whatever stands in the journal becomes a row that both databases take: one entry with a wild value must not keep all
that follow it from being counted. Texts lose NUL and what is too long, numbers are brought into their column's range.
"""

from datetime import UTC, datetime, timedelta

from providers.rules.usage import UsageRow
from proxy.rules.record import ErrorType, RequestBegun, RequestEnded

STATUS_UNKNOWN = 0
"""The status of an interrupted request: the hub died before there was one."""

_LARGEST_INTEGER = 2**31 - 1
_LARGEST_TOKENS = 10**12  # far above any request, and millions of them still fit a sum of 64 bits
_LARGEST_US = 10**13  # 115 days
_LARGEST_PICOUSD = 10**18
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_US = 4_102_444_800_000_000  # the year 2100


def ended_row(entry: RequestEnded) -> UsageRow:
    """The record of a request that has ended."""
    return UsageRow(
        id=_text(entry.id, 64),
        started_at=_time(entry.started_at_us),
        ended_at=_time(entry.started_at_us + _number(entry.latency_us, _LARGEST_US)),
        client_key_id=_text(entry.client_key_id, 64),
        agent_id=_text(entry.agent_id, 64),
        work_item_id=_text(entry.work_item_id, 200),
        endpoint=_text(entry.endpoint, 64),
        model=_text(entry.model, 200),
        native_id=_text(entry.native_id, 200),
        backend_id=_text(entry.backend_id, 64),
        pool=_text(entry.pool, 64),
        stream=entry.stream,
        status=_number(entry.status, _LARGEST_INTEGER),
        error_type=_text(entry.error_type, 64),
        attempts=_number(entry.attempts, _LARGEST_INTEGER),
        input_tokens=_number(entry.input_tokens, _LARGEST_TOKENS),
        cache_read_tokens=_number(entry.cache_read_tokens, _LARGEST_TOKENS),
        cache_write_tokens=_number(entry.cache_write_tokens, _LARGEST_TOKENS),
        output_tokens=_number(entry.output_tokens, _LARGEST_TOKENS),
        reasoning_tokens=_number(entry.reasoning_tokens, _LARGEST_TOKENS),
        estimated=entry.estimated,
        cost_usd=None if entry.cost_picousd is None else _number(entry.cost_picousd, _LARGEST_PICOUSD),
        latency_us=_number(entry.latency_us, _LARGEST_US),
        ttft_us=None if entry.ttft_us is None else _number(entry.ttft_us, _LARGEST_US),
        queue_wait_us=_number(entry.queue_wait_us, _LARGEST_US),
        emergency=entry.emergency,
        partial=entry.partial,
        trail=tuple(
            (
                _text(attempt.backend_id, 64),
                _text(attempt.outcome, 64),
                _number(attempt.status, _LARGEST_INTEGER),
                _number(attempt.started_ms, _LARGEST_INTEGER),
                _number(attempt.elapsed_ms, _LARGEST_INTEGER),
            )
            for attempt in entry.trail
        ),
    )


def interrupted_row(entry: RequestBegun, *, now: datetime) -> UsageRow:
    """The record of a request whose process died: its end, backend and price are unknown, its prompt is estimated.

    Its latency is unknown too and stands as 0; it ends `now`, when this is found out.
    """
    return UsageRow(
        id=_text(entry.id, 64),
        started_at=_time(entry.started_at_us),
        ended_at=now,
        client_key_id=_text(entry.client_key_id, 64),
        agent_id=_text(entry.agent_id, 64),
        work_item_id=_text(entry.work_item_id, 200),
        endpoint=_text(entry.endpoint, 64),
        model=_text(entry.model, 200),
        native_id="",
        backend_id="",
        pool="",
        stream=entry.stream,
        status=STATUS_UNKNOWN,
        error_type=ErrorType.INTERRUPTED.value,
        attempts=0,
        input_tokens=_number(entry.input_tokens_estimate, _LARGEST_TOKENS),
        cache_read_tokens=0,
        cache_write_tokens=0,
        output_tokens=0,
        reasoning_tokens=0,
        estimated=True,
        cost_usd=None,
        latency_us=0,
        ttft_us=None,
        queue_wait_us=0,
        emergency=False,
        partial=True,
        trail=(),
    )


def _text(value: str, longest: int) -> str:
    return value[:longest].replace("\0", "")


def _number(value: int, largest: int) -> int:
    return 0 if value < 0 else value if value <= largest else largest


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=min(max(microseconds, 0), _LATEST_US))
