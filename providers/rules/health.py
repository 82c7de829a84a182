"""What probes and live traffic say of a backend. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from providers.rules.table import HealthState

OK = "ok"

DEGRADED_AFTER = 3
"""Failed probes in a row after which a backend is tried after the healthy ones."""

DOWN_AFTER = 6
"""Failed probes in a row after which it gets trials only."""

DOWN_EVERY_SECONDS = 5.0
"""Time between trials of a backend that is down, by probes and by live requests each."""

STALE_INTERVALS = 3
"""What was found out longer ago than so many intervals is no longer known."""

LEAST_TRIES = 5
"""Attempts below which a success rate says too little to act on."""

LEAST_SUCCESS_RATE = 0.5

_CALLERS_OWN = frozenset({400, 413, 422})
_NOBODYS_FAULT = frozenset({"cancelled", "client_stalled", "address_refused", "content_filter"})


class Sign(StrEnum):
    """What the outcome of one probe says of its backend."""

    GOOD = "good"
    BAD = "bad"  # no answer, or one of a server in trouble
    CREDENTIALS = "credentials"  # it is there and refuses the key
    ANSWERED = "answered"  # it is there, and that is all: it can't be probed so, or has no time for probes now


@dataclass(frozen=True, slots=True)
class Condition:
    """How a backend is, and how many probes have failed in a row."""

    state: HealthState = HealthState.UNKNOWN
    failures: int = 0


def sign_of(status: int | None) -> Sign:
    """What the status of a probe's answer says; None where no answer came."""
    if status is None or status >= 500 or status < 200:
        return Sign.BAD
    if status < 300:
        return Sign.GOOD
    if status in (401, 403):
        return Sign.CREDENTIALS
    # A redirect is not followed and serves nobody. 404: there is no list of models here. 429: limits are for cooldowns.
    return Sign.BAD if status < 400 else Sign.ANSWERED


def after_probe(before: Condition, sign: Sign, *, requests_fail: bool) -> Condition:
    """How a backend is after one more probe; `requests_fail`: live traffic says that it is not well."""
    if sign is Sign.BAD:
        failures = before.failures + 1
        if failures >= DOWN_AFTER:
            return Condition(HealthState.DOWN, failures)
        return Condition(HealthState.DEGRADED if failures >= DEGRADED_AFTER else before.state, failures)
    if requests_fail:
        return Condition(HealthState.DEGRADED)
    if sign is Sign.GOOD:
        return Condition(HealthState.HEALTHY)
    troubled = before.state in (HealthState.DEGRADED, HealthState.DOWN)
    return Condition(HealthState.UNKNOWN if troubled else before.state)


def after_requests(before: Condition, *, requests_fail: bool, succeeded_since: bool) -> Condition:
    """How a backend is by its live traffic; `succeeded_since`: a request has succeeded after the last probe."""
    if succeeded_since:
        return Condition(HealthState.DEGRADED if requests_fail else HealthState.HEALTHY)
    if requests_fail and before.state is not HealthState.DOWN:
        return Condition(HealthState.DEGRADED, before.failures)
    return before


def requests_fail(success_rate: float | None, tries: int) -> bool:
    """Whether live traffic says that a backend is not well."""
    return success_rate is not None and tries >= LEAST_TRIES and success_rate < LEAST_SUCCESS_RATE


def probe_every_seconds(state: HealthState, *, interval_seconds: float) -> float:
    """Time between two probes of a backend."""
    return min(interval_seconds, DOWN_EVERY_SECONDS) if state is HealthState.DOWN else interval_seconds


def stale_after_seconds(interval_seconds: float) -> float:
    """How long what was found out about a backend holds."""
    return STALE_INTERVALS * interval_seconds


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt at one backend, out of the trail of a record."""

    backend_id: str
    outcome: str
    status: int
    elapsed_ms: int
    ended_at: float = 0.0  # epoch seconds; of its record


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """What the attempts of some minutes say of one backend."""

    success_rate: float | None = None  # 0 to 1; None where no attempt says anything
    last_latency_ms: int | None = None  # of the newest success
    last_status_code: int | None = None  # of the newest attempt that had one
    tries: int = 0  # those that say something
    last_success_at: float | None = None  # epoch seconds
    last_said_at: float | None = None  # epoch seconds of the newest attempt that says something


def verdict(outcome: str, status: int) -> bool | None:
    """Whether an attempt speaks for the backend (True) or against it (False); None if it says nothing of it."""
    if outcome == OK:
        return True
    if outcome in _NOBODYS_FAULT or status in _CALLERS_OWN:
        return None
    return False


def live_figures(tries: Iterable[Try]) -> dict[str, LiveFigures]:
    """The figures of each backend that occurs in `tries`, which come oldest first."""
    by_backend: dict[str, list[Try]] = defaultdict(list)
    for attempt in tries:
        by_backend[attempt.backend_id].append(attempt)
    return {backend_id: _figures(attempts) for backend_id, attempts in by_backend.items()}


def _figures(attempts: Sequence[Try]) -> LiveFigures:
    said = [(each, good) for each in attempts if (good := verdict(each.outcome, each.status)) is not None]
    successes = [each for each, good in said if good]
    return LiveFigures(
        success_rate=len(successes) / len(said) if said else None,
        last_latency_ms=successes[-1].elapsed_ms if successes else None,
        last_status_code=next((attempt.status for attempt in reversed(attempts) if attempt.status), None),
        tries=len(said),
        last_success_at=successes[-1].ended_at if successes else None,
        last_said_at=said[-1][0].ended_at if said else None,
    )
