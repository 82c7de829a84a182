"""What an attempt's outcome means for its backend: told to the state, and as news to the database."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar, cast

from agenthub.core import clock
from providers.rules.redaction import response_summary
from providers.rules.retry_after import retry_after_seconds
from providers.rules.table import BackendEntry
from providers.services.backends import backend_error, backend_recovered, mapping_flag
from providers.services.cooldowns import cooldown_start
from proxy.attempt import Outcome
from proxy.reporter import Reporter
from proxy.rules.verdict import Blame
from proxy.runtime import Runtime
from proxy.state.protocol import CooldownBegun, Lease, Told

logger = logging.getLogger(__name__)

T = TypeVar("T")


def blame(runtime: Runtime, lease: Lease, outcome: Outcome, *, now: float, first_content_at: float | None) -> None:
    """Note what the outcome says of the backend. What it does not say anything of stays as it is."""
    state, reporter, backend = runtime.state, runtime.reporter, lease.candidate.backend
    match outcome.verdict.blame:
        case Blame.SUCCESS:
            latency = (first_content_at or now) - lease.taken_at
            news = state.succeeded(lease, now=now, latency_seconds=latency)
            if news is not False:
                _when_told(cast(Told[bool], news), partial(_report_recovery, reporter, backend.id))
        case Blame.RATE_LIMITED:
            given = retry_after_seconds(_texts(outcome), now=clock.utc_now())
            begun = state.rate_limited(lease, now=now, given_seconds=given)
            _when_told(begun, partial(_report_cooldown, reporter, outcome))
        case Blame.FAILURE:
            _when_told(state.failed(lease, now=now), partial(_report_cooldown, reporter, outcome))
        case Blame.QUOTA | Blame.CREDENTIALS:
            error = state.errored(lease, now=now, kind=outcome.verdict.error_kind)
            _when_told(error, partial(_report_error, reporter, backend, outcome))
        case Blame.MAPPING:
            canonical = lease.candidate.mapping.canonical
            reason = response_summary(_words(outcome), (backend.api_key,))
            reporter.report(partial(mapping_flag, backend_id=backend.id, canonical=canonical, reason=reason))
        case Blame.NONE:
            pass


def _when_told(told: Told[T], then: Callable[[T], None]) -> None:
    if isinstance(told, asyncio.Future):
        told.add_done_callback(lambda done: then(done.result()))
    else:
        then(told)


def _report_recovery(reporter: Reporter, backend_id: str, news: bool) -> None:
    if news:
        reporter.report(partial(backend_recovered, backend_id))


def _report_error(reporter: Reporter, backend: BackendEntry, outcome: Outcome, news: bool) -> None:
    if not news:
        return
    kind = outcome.verdict.error_kind
    reason = response_summary(f"{outcome.status}: {_words(outcome)}", (backend.api_key,))
    logger.error("backend_in_error", extra={"backend": backend.id, "kind": str(kind)})
    reporter.report(partial(backend_error, backend_id=backend.id, kind=kind, reason=reason))


def _report_cooldown(reporter: Reporter, outcome: Outcome, begun: CooldownBegun | None) -> None:
    if begun is None:
        return
    started_at = clock.utc_now()
    logger.warning(
        "cooldown_extended" if begun.extended else "cooldown_started",
        extra={"backend": begun.backend_id, "seconds": round(begun.seconds, 3), "reason": begun.reason},
    )
    reporter.report(
        partial(
            cooldown_start,
            backend_id=begun.backend_id,
            until=started_at + timedelta(seconds=begun.seconds),
            started_at=started_at,
            consecutive_count=begun.consecutive_count,
            reason=begun.reason,
            response_summary=f"{outcome.verdict.outcome}: {_words(outcome)}",
        )
    )


def _texts(outcome: Outcome) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in outcome.headers}


def _words(outcome: Outcome) -> str:
    return outcome.body.decode("utf-8", "replace")
