"""What live traffic says of a backend. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OK = "ok"

_CALLERS_OWN = frozenset({400, 413, 422})
_NOBODYS_FAULT = frozenset({"cancelled", "client_stalled", "address_refused", "content_filter"})


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt at one backend, out of the trail of a record."""

    backend_id: str
    outcome: str
    status: int
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """What the attempts of some minutes say of one backend."""

    success_rate: float | None  # 0 to 1; None where no attempt says anything
    last_latency_ms: int | None  # of the newest success
    last_status_code: int | None  # of the newest attempt that had one


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
    verdicts = [said for attempt in attempts if (said := verdict(attempt.outcome, attempt.status)) is not None]
    return LiveFigures(
        success_rate=sum(verdicts) / len(verdicts) if verdicts else None,
        last_latency_ms=next((attempt.elapsed_ms for attempt in reversed(attempts) if attempt.outcome == OK), None),
        last_status_code=next((attempt.status for attempt in reversed(attempts) if attempt.status), None),
    )
