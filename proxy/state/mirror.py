"""What one process knows of a state that is shared: what it goes on with alone, and what it says without asking.

Buckets are this process's share, as those of `MemoryState` and `KeyLimits` are; what the shared state says is divided.
"""

from collections import Counter
from collections.abc import Set as AbstractSet
from typing import Any

from providers.rules.table import BackendEntry, Candidate, ErrorKind, HealthState
from proxy.rules.caller import Budget, Caller, Period
from proxy.rules.routing import PassedOver, Reason
from proxy.state.backend import QUOTA_TRIAL_SECONDS, BackendState
from proxy.state.keys import Admission, KeyLimits
from proxy.state.memory import MemoryState
from proxy.state.protocol import Lease
from proxy.state.scripts import SAME_END_SECONDS


class MirrorState(MemoryState):
    """What this process knows of backends."""

    def __init__(self, *, processes: int) -> None:
        super().__init__(processes=processes)
        self.used_alone: Counter[str] = Counter()  # requests per backend that the shared bucket does not know of
        self.found: list[str] = []  # backends whose cooldown the table has told of
        self.mended: list[tuple[str, ErrorKind]] = []  # errors that the table no longer shows

    def _apply_findings(self, state: BackendState, backend: BackendEntry, *, now: float, epoch: float) -> None:
        until, kind, shown = state.cooldown_until, state.error_kind, state.error_in_table
        super()._apply_findings(state, backend, now=now, epoch=epoch)
        if state.cooldown_until > until + SAME_END_SECONDS:
            self.found.append(backend.id)
        if shown and not state.error_in_table:
            self.mended.append((backend.id, kind))

    def state_of(self, backend_id: str) -> BackendState | None:
        """One backend's counters; None if the table does not have it."""
        return self._states.get(backend_id)

    def known_refusal(self, candidate: Candidate, *, now: float, banned: AbstractSet[str]) -> PassedOver | None:
        """Why a candidate can't be taken, where that is known without asking."""
        state = self._states.get(candidate.backend.id)
        if state is None or candidate.backend.id in banned:
            return PassedOver(candidate, Reason.FAILED)
        if state.error_kind is not ErrorKind.NONE:
            if state.error_kind is not ErrorKind.QUOTA or now < state.trial_after:
                return PassedOver(candidate, Reason.ERROR, detail=str(state.error_kind))
        elif candidate.backend.health is HealthState.DOWN:
            return PassedOver(candidate, Reason.DOWN)
        if now < state.cooldown_until:
            wait = state.cooldown_until - now
            return PassedOver(candidate, Reason.COOLING, state.cooldown_until, f"{wait:.1f} s more")
        return None

    def taken(self, lease: Lease, *, now: float, tokens: float | None, tpm_tokens: float | None) -> None:
        """A candidate was taken of the shared state, which has so much left."""
        state = self._states.get(lease.candidate.backend.id)
        if state is None:
            return
        state.in_flight += 1
        if lease.trial:
            state.trial_under_way = True
            if state.error_kind is ErrorKind.QUOTA:
                state.trial_after = now + QUOTA_TRIAL_SECONDS
        if tokens is not None:
            state.tokens, state.refilled_at = tokens / self.processes, now
        if tpm_tokens is not None:
            state.tpm_tokens, state.tpm_at = tpm_tokens / self.processes, now

    def cooled(self, backend_id: str, *, now: float, seconds: float, count: int) -> None:
        """A backend cools for so long from now on."""
        state = self._states.get(backend_id)
        if state is None:
            return
        state.count_429 = max(state.count_429, count)
        if now + seconds > state.cooldown_until:
            if now >= state.cooldown_until:
                state.cooldown_began_at = now
            state.cooldown_until = now + seconds
            state.half_open = True

    def recovered(self, backend_id: str) -> None:
        """A request has shown that a backend serves again."""
        state = self._states.get(backend_id)
        if state is not None:
            state.half_open = False
            state.count_429 = state.failure_cooldowns = 0
            if state.error_kind is ErrorKind.QUOTA:
                state.error_kind = ErrorKind.NONE

    def failure_seen(self, lease: Lease, *, now: float) -> None:
        """Count a failure; whether it cools the backend the shared state says."""
        state = self._states.get(lease.candidate.backend.id)
        if state is not None:
            state.window.add(now, success=False)
            state.failures_in_a_row += 1

    def findings(self, backend_id: str, *, now: float) -> dict[str, Any] | None:
        """What the shared state may have forgotten of a backend; None where there is nothing to say."""
        state = self._states.get(backend_id)
        if state is None:
            return None
        used = self.used_alone.pop(backend_id, 0)
        error = state.error_kind if state.error_kind is not ErrorKind.NONE and not state.error_in_table else None
        cooling = max(0.0, state.cooldown_until - now)
        if not (used or error or cooling or state.half_open or state.count_429):
            return None
        return {
            "reset_count": state.reset_count,
            "count_429": state.count_429,
            "cooling_seconds": cooling,
            "began_ago_seconds": max(0.0, now - state.cooldown_began_at) if cooling else 0.0,
            "half_open": state.half_open,
            "error": str(error) if error else False,
            "trial_left": max(0.0, state.trial_after - now),
            "used": used,
        }


class MirrorLimits(KeyLimits):
    """What this process knows of client keys."""

    @property
    def processes(self) -> int:
        """By how many the limits are divided."""
        return self._processes

    def period(self, caller: Caller, budget: Budget, *, now: float, epoch: float) -> tuple[float, int, int]:
        """The end of the period that runs, what is known to be spent in it, and how much of that by this process."""
        state = self._state(caller.id, now)
        self._turn_over(state, caller, budget, epoch)
        return state.period_ends_at, state.spent, state.own

    def turned_over(self, since: float, epoch: float) -> bool:
        """Whether a period has ended between two epoch times."""
        return any(self._turnover(period, since) <= epoch for period in Period)

    def own(self, caller: Caller) -> int:
        """What this process has spent in the period that it knows of."""
        state = self._states.get(caller.id)
        return 0 if state is None else state.own

    def admitted(self, admission: Admission) -> None:
        """The shared state has let a request in."""
        state = self._states.get(admission.caller.id)
        if state is not None:
            state.in_flight += 1
            state.reserved += admission.picousd

    def left(self, caller: Caller, *, now: float, requests: float | None, tokens: float | None) -> None:
        """So much the shared state has left of a key's rates."""
        state = self._state(caller.id, now)
        for rate, limit, left in (
            (state.requests, caller.rpm_limit, requests),
            (state.tokens, caller.tpm_limit, tokens),
        ):
            if limit is not None and left is not None:
                rate.refill(limit / self._processes, now)
                rate.left = left / self._processes

    def heard_spent(self, caller: Caller, *, spent: int, own: int, period_ends_at: float) -> None:
        """The shared state knows of `spent`, with what this process had spent when it asked: `own`."""
        state = self._states.get(caller.id)
        if state is None or caller.budget is None or state.period_ends_at != period_ends_at:
            return
        state.others = max(state.others, spent - own)
        self._tell(caller, state, caller.budget)
