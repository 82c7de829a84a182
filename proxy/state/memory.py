"""The state of backends, kept in this process.

With several processes and no shared state each process enforces its share of every limit (limit ÷ processes). Clocks
are monotonic; the table's epoch times are converted when it is applied.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet

from agenthub.core.params import RuntimeSettings
from providers.rules import cooldown as cooldowns
from providers.rules.health import DOWN_EVERY_SECONDS
from providers.rules.table import BackendEntry, BackendStatus, Candidate, ErrorKind, HealthState, RoutingTable
from proxy.rules import bucket
from proxy.rules.emergency import emergency_per_minute
from proxy.rules.routing import PassedOver, Reason
from proxy.state.backend import QUOTA_TRIAL_SECONDS, BackendState
from proxy.state.protocol import BackendView, CooldownBegun, Lease

LATENCY_SMOOTHING = 0.2


class MemoryState:
    """`State` in memory; see `protocol.py` for what each method promises."""

    def __init__(self, *, processes: int = 1, chance: random.Random | None = None) -> None:
        self.processes = processes
        self.settings = RuntimeSettings()
        self._chance = chance or random.Random()
        self._states: dict[str, BackendState] = {}

    def apply(self, table: RoutingTable, settings: RuntimeSettings, *, now: float, epoch: float) -> None:
        """Take over a new table: limits, cooldowns and errors that other processes or people have set."""
        self.settings = settings
        for backend_id in self._states.keys() - table.by_id.keys():
            del self._states[backend_id]
        for backend in table.by_id.values():
            state = self._states.get(backend.id)
            if state is None:
                state = self._states[backend.id] = BackendState(now, backend.reset_count)
                state.count_429 = backend.consecutive_429_count
            elif backend.reset_count > state.reset_count:
                state.reset(backend.reset_count)
            self._apply_limits(state, backend, now)
            self._apply_findings(state, backend, now=now, epoch=epoch)

    def _apply_limits(self, state: BackendState, backend: BackendEntry, now: float) -> None:
        if backend.rpm_limit is None:
            state.set_limit(None, 0.0, now)
        else:
            share = 1.0 / self.processes
            state.set_limit(backend.rpm_limit * share, max(1.0, backend.burst * share), now)

    def _apply_findings(self, state: BackendState, backend: BackendEntry, *, now: float, epoch: float) -> None:
        if backend.health is not HealthState.DOWN:
            state.revived = False
        if backend.cooldown_until is not None and backend.cooldown_until > epoch:
            until = now + backend.cooldown_until - epoch
            if until > state.cooldown_until:
                state.cooldown_began_at = now if state.cooldown_until <= now else state.cooldown_began_at
                state.cooldown_until = until
                state.half_open = True
                state.count_429 = max(state.count_429, backend.consecutive_429_count)
        if backend.status is BackendStatus.ERROR:
            state.error_kind = backend.error_kind
            state.error_in_table = True
            since = backend.error_since if backend.error_since is not None else epoch
            state.trial_after = max(state.trial_after, now + since - epoch + QUOTA_TRIAL_SECONDS)
        elif state.error_in_table:
            # Only an error that the table has shown ends with it: one that was found out a moment ago stands, although
            # the database does not know of it yet.
            state.error_kind = ErrorKind.NONE
            state.error_in_table = False

    async def take_first(
        self, candidates: Iterable[Candidate], *, now: float, banned: AbstractSet[str], tokens: Callable[[], int]
    ) -> tuple[Lease | None, Sequence[PassedOver]]:
        """See `State.take_first`."""
        passed: list[PassedOver] = []
        for candidate in candidates:
            state = self._states.get(candidate.backend.id)
            if state is None or candidate.backend.id in banned:
                passed.append(PassedOver(candidate, Reason.FAILED))
                continue
            refusal = self._refusal(state, candidate, now, tokens)
            if refusal is None:
                return self._take(state, candidate, now, tokens), passed
            passed.append(refusal)
        return None, passed

    async def passed_over(
        self, candidates: Iterable[Candidate], *, now: float, banned: AbstractSet[str], tokens: Callable[[], int]
    ) -> Sequence[PassedOver]:
        """See `State.passed_over`."""
        passed: list[PassedOver] = []
        for candidate in candidates:
            state = self._states.get(candidate.backend.id)
            if state is None or candidate.backend.id in banned:
                passed.append(PassedOver(candidate, Reason.FAILED))
            elif (refusal := self._refusal(state, candidate, now, tokens)) is not None:
                passed.append(refusal)
        return passed

    def _refusal(
        self, state: BackendState, candidate: Candidate, now: float, tokens: Callable[[], int]
    ) -> PassedOver | None:
        if state.error_kind is not ErrorKind.NONE:
            if state.error_kind is not ErrorKind.QUOTA or now < state.trial_after or state.trial_under_way:
                return PassedOver(candidate, Reason.ERROR, detail=str(state.error_kind))
        elif _down(state, candidate.backend) and (now < state.down_trial_after or state.trial_under_way):
            return PassedOver(candidate, Reason.DOWN)
        if now < state.cooldown_until:
            wait = state.cooldown_until - now
            return PassedOver(candidate, Reason.COOLING, state.cooldown_until, f"{wait:.1f} s more")
        if state.half_open and state.trial_under_way:
            return PassedOver(candidate, Reason.HALF_OPEN)
        most = candidate.backend.max_concurrency
        if most is not None and state.in_flight >= max(1, most // self.processes):
            return PassedOver(candidate, Reason.BUSY)
        if state.per_minute is not None:
            state.refill(now)
            if not bucket.has(state.tokens):
                wait = bucket.seconds_until(state.tokens, per_minute=state.per_minute)
                return PassedOver(candidate, Reason.NO_REQUESTS, now + wait, f"next in {wait:.1f} s")
        if candidate.backend.tpm_limit is not None:
            return self._tokens_refusal(state, candidate, now, tokens)
        return None

    def _tokens_refusal(
        self, state: BackendState, candidate: Candidate, now: float, tokens: Callable[[], int]
    ) -> PassedOver | None:
        per_minute = self._tokens_per_minute(candidate.backend)
        state.refill_tpm(per_minute, now)
        # What is larger than a whole minute's tokens goes out when the bucket is full, or it never would.
        need = min(float(tokens()), per_minute)
        if bucket.has(state.tpm_tokens, need):
            return None
        wait = bucket.seconds_until(state.tpm_tokens, per_minute=per_minute, need=need)
        return PassedOver(candidate, Reason.NO_TOKENS, now + wait, f"enough in {wait:.1f} s")

    def _tokens_per_minute(self, backend: BackendEntry) -> float:
        return (backend.tpm_limit or 0) / self.processes

    def _take(self, state: BackendState, candidate: Candidate, now: float, tokens: Callable[[], int]) -> Lease:
        lease = Lease(candidate, now)
        down = _down(state, candidate.backend)
        if state.half_open or state.error_kind is not ErrorKind.NONE or down:
            lease.trial = state.trial_under_way = True
            if down:
                state.down_trial_after = now + DOWN_EVERY_SECONDS
            if state.error_kind is ErrorKind.QUOTA:
                state.trial_after = now + QUOTA_TRIAL_SECONDS
        if state.per_minute is not None:
            state.tokens -= 1.0
        if candidate.backend.tpm_limit is not None:
            lease.reserved_tokens = tokens()
            state.tpm_tokens -= lease.reserved_tokens
        state.in_flight += 1
        return lease

    async def take_emergency(self, candidate: Candidate, *, now: float) -> Lease | None:
        """See `State.take_emergency`."""
        state = self._states.get(candidate.backend.id)
        if state is None:
            return None
        limit = candidate.backend.rpm_limit or self.settings.default_rpm_limit
        per_minute = emergency_per_minute(limit, self.settings.emergency_rpm_fraction)
        tokens = bucket.refilled(
            state.emergency_tokens,
            elapsed_seconds=now - state.emergency_at,
            per_minute=per_minute / self.processes,
            capacity=max(1.0, per_minute / self.processes),
        )
        state.emergency_tokens, state.emergency_at = tokens, now
        if not bucket.has(tokens):
            return None
        state.emergency_tokens -= 1.0
        state.in_flight += 1
        return Lease(candidate, now, emergency=True)

    def give_back(self, lease: Lease) -> None:
        """See `State.give_back`."""
        state = self._states.get(lease.candidate.backend.id)
        if state is not None:
            if state.per_minute is not None and not lease.emergency:
                state.tokens = min(state.capacity, state.tokens + 1.0)
            self.release(lease, now=state.tpm_at, used_tokens=0)

    def release(self, lease: Lease, *, now: float, used_tokens: int) -> None:
        """See `State.release`."""
        backend = lease.candidate.backend
        state = self._states.get(backend.id)
        if state is None:
            return
        if backend.tpm_limit is not None:
            # Settled by what was used; beyond the reservation the bucket goes below zero, and later requests wait.
            full = self._tokens_per_minute(backend)
            state.refill_tpm(full, now)
            state.tpm_tokens = min(full, state.tpm_tokens + lease.reserved_tokens - used_tokens)
        state.in_flight = max(0, state.in_flight - 1)
        if lease.trial:
            state.trial_under_way = False

    def succeeded(self, lease: Lease, *, now: float, latency_seconds: float) -> bool:
        """See `State.succeeded`."""
        state = self._states.get(lease.candidate.backend.id)
        if state is None:
            return False
        known = state.latency_seconds
        state.latency_seconds = known + LATENCY_SMOOTHING * (latency_seconds - known) if known else latency_seconds
        state.window.add(now, success=True)
        state.failures_in_a_row = state.failure_cooldowns = 0
        # A success of an attempt that began before the cooldown says nothing about the backend after it.
        if lease.taken_at <= state.cooldown_began_at and not lease.emergency:
            return False
        revived = lease.trial and _down(state, lease.candidate.backend)
        cleared = state.count_429 > 0 or (lease.trial and state.error_kind is ErrorKind.QUOTA) or revived
        state.count_429 = 0
        if lease.trial:
            state.revived = state.revived or revived
            state.half_open = False
            state.error_kind = ErrorKind.NONE
        return cleared

    def rate_limited(self, lease: Lease, *, now: float, given_seconds: float | None) -> CooldownBegun | None:
        """See `State.rate_limited`."""
        state = self._states.get(lease.candidate.backend.id)
        if state is None:
            return None
        # Many in flight that all get 429 make one: only attempts begun after the last cooldown began are counted.
        counted = lease.taken_at > state.cooldown_began_at
        if not counted and given_seconds is None:
            return None
        if counted:
            state.count_429 += 1
        seconds = cooldowns.cooldown_seconds(
            state.count_429,
            base=self.settings.cooldown_base_seconds,
            cap=self.settings.cooldown_max_seconds,
            exponential=self.settings.cooldown_exponential_backoff,
            given=given_seconds,
            jitter=self._chance.random(),
        )
        if not counted and now + seconds < state.cooldown_until + 0.1 * seconds:
            return None  # the jitter of a second look at the same time limit is no later end
        return self._cool(state, lease, now, seconds, "rate_limited")

    def failed(self, lease: Lease, *, now: float) -> CooldownBegun | None:
        """See `State.failed`."""
        state = self._states.get(lease.candidate.backend.id)
        if state is None:
            return None
        state.window.add(now, success=False)
        state.failures_in_a_row += 1
        if lease.taken_at <= state.cooldown_began_at:
            return None
        if lease.trial and _down(state, lease.candidate.backend):
            return None  # it is left alone already, but for its trials
        state.revived = False
        requests, successes = state.window.counts(now)
        if not (
            lease.trial
            or cooldowns.failures_cool(in_a_row=state.failures_in_a_row, requests=requests, successes=successes)
        ):
            return None
        seconds = cooldowns.failure_cooldown_seconds(state.failure_cooldowns)
        state.failure_cooldowns += 1
        state.window.clear()
        return self._cool(state, lease, now, seconds * (1.0 + 0.1 * self._chance.random()), "failures")

    def _cool(self, state: BackendState, lease: Lease, now: float, seconds: float, reason: str) -> CooldownBegun | None:
        until = now + seconds
        if until <= state.cooldown_until:
            return None
        extended = now < state.cooldown_until
        state.cooldown_until = until
        if not extended:
            state.cooldown_began_at = now
        state.half_open = True
        return CooldownBegun(lease.candidate.backend.id, seconds, state.count_429, reason, extended)

    def errored(self, lease: Lease, *, now: float, kind: ErrorKind) -> bool:
        """See `State.errored`."""
        state = self._states.get(lease.candidate.backend.id)
        if state is None:
            return False
        news = state.error_kind is not kind
        state.error_kind = kind
        state.trial_after = now + QUOTA_TRIAL_SECONDS
        return news

    def load(self, candidate: Candidate) -> float:
        """See `State.load`."""
        state = self._states.get(candidate.backend.id)
        if state is None:
            return 1.0
        most = candidate.backend.max_concurrency
        busy = state.in_flight / most if most else state.in_flight / (state.in_flight + 64.0)
        if state.per_minute is None:
            return busy
        return max(busy, 1.0 - min(1.0, state.tokens / state.capacity))

    def latency(self, candidate: Candidate) -> float:
        """See `State.latency`."""
        state = self._states.get(candidate.backend.id)
        return state.latency_seconds if state is not None else 0.0

    def view(self, backend: BackendEntry, *, now: float) -> BackendView:
        """See `State.view`."""
        state = self._states.get(backend.id) or BackendState(now, backend.reset_count)
        state.refill(now)
        limited = state.per_minute is not None
        return BackendView(
            tokens=state.tokens if limited else None,
            capacity=state.capacity if limited else None,
            rate_per_minute=state.per_minute,
            utilization=1.0 - state.tokens / state.capacity if limited and state.capacity else 0.0,
            in_flight=state.in_flight,
            cooling_seconds=max(0.0, state.cooldown_until - now),
            consecutive_429_count=state.count_429,
            half_open=state.half_open and now >= state.cooldown_until,
            error_kind=state.error_kind,
        )


def _down(state: BackendState, backend: BackendEntry) -> bool:
    """Whether a backend gets trials only, since probes have found it down."""
    return backend.health is HealthState.DOWN and not state.revived
