"""From one request to one answer: take a backend, try it, judge, and go on until somebody has answered."""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from agenthub.core import clock
from agenthub.core.errors import (
    AllPoolsExhausted,
    QueueFull,
    Refused,
)
from providers.rules.table import Candidate
from proxy.attempt import Attempt, Outcome
from proxy.blame import blame
from proxy.exchange import Exchange
from proxy.rules import record
from proxy.rules.emergency import MOST_TRIES, emergency_order
from proxy.rules.refusal import refusal_of
from proxy.rules.routing import (
    PassedOver,
    earliest,
    in_order,
    seconds_until_free,
    worth_waiting,
)
from proxy.rules.strategies import Ordering
from proxy.rules.verdict import NOT_HERE, Next
from proxy.state.protocol import Lease
from proxy.wire.dialects import dialect_of, native_kinds
from proxy.wire.prefill import prefill_way
from proxy.wire.untranslatable import Untranslatable

logger = logging.getLogger(__name__)

QUICK_RETRY_SECONDS = (0.05, 0.25)
QUEUE_TOLERANCE = 1.1
"""A wait is accepted up to a tenth beyond the time limit, since the jitter of a cooldown is as much."""


class Failover:
    """The attempts of one exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.runtime = exchange.runtime
        self._tried: set[str] = set()
        self._banned: set[str] = set()
        self._failures: dict[str, Outcome] = {}  # the last outcome per backend
        self._retried = False
        self._again: Candidate | None = None  # to be tried once more, quickly
        self._emergency_tried: set[str] = set()
        # An upstream's refusal, for the client if nobody else does better, and whose it is.
        self._passed_back: tuple[Candidate, Outcome] | None = None
        self._unable: Untranslatable | None = None  # what the formats of some backends have no place for
        self._cut: tuple[Candidate, Outcome] | None = None  # a stream that was cut and may go on elsewhere
        self._wait_until: float | None = None

    async def answer(self) -> Outcome:
        """The outcome that goes to the client: an answer, or an upstream's error that is the caller's own.

        Raises Refused when nobody could answer.
        """
        self._ban_unable()
        while True:
            lease = await self._lease()
            if lease is None:
                left = self._cut or self._passed_back
                if left is not None:
                    self.exchange.candidate, outcome = left
                    return outcome
                raise self._refusal(await self._passed_over())
            outcome = await self._attempt(lease)
            if self._final(lease, outcome):
                return outcome

    # Taking a backend

    async def _lease(self) -> Lease | None:
        again, self._again = self._again, None
        if again is not None:
            await asyncio.sleep(self.runtime.chance.uniform(*QUICK_RETRY_SECONDS))
            lease, _ = await self._take([again])
            if lease is not None:
                return lease
            self._banned.add(again.backend.id)
        model = self.exchange.intake.model
        passed: Sequence[PassedOver]
        if not self._tried and self.runtime.room.occupied(model):
            lease, passed = None, await self._passed_over()  # who waits already came first
        else:
            lease, passed = await self._take(in_order(self.exchange.pools(), self._ordering()))
            if lease is not None:
                return lease
        if not self._emergency_tried:
            # The emergency channel comes after the wait, and after it comes no other.
            lease = await self._wait(model, passed)
        return lease or await self._emergency()

    def _ban_unable(self) -> None:
        """Leave out the backends whose format can't say what the request says."""
        exchange = self.exchange
        native = native_kinds(exchange.endpoint)
        for pool in exchange.pools():
            if pool.kinds <= native:
                continue
            for candidate in pool.candidates:
                dialect = dialect_of(exchange.endpoint, candidate.backend.api)
                if not dialect.translates:
                    continue
                try:
                    exchange.translated(dialect, candidate.mapping)
                except Untranslatable as problem:
                    self._unable = problem
                    self._banned.add(candidate.backend.id)

    def _ordering(self) -> Ordering:
        return self.runtime.ordering(self.exchange.session)

    @property
    def _budget_spent(self) -> bool:
        """Whether no other backends may be tried than those that were already."""
        return len(self._tried) >= self.runtime.snapshot.settings.max_pool_retries

    async def _take(self, candidates: Iterable[Candidate]) -> tuple[Lease | None, Sequence[PassedOver]]:
        now = clock.monotonic_seconds()
        banned = self._banned
        if self._budget_spent:
            every = {each.backend.id for pool in self.exchange.pools() for each in pool.candidates}
            banned = banned | (every - self._tried)
        return await self.runtime.state.take_first(
            candidates, now=now, banned=banned, tokens=self.exchange.tokens_to_reserve
        )

    async def _passed_over(self) -> Sequence[PassedOver]:
        now = clock.monotonic_seconds()
        every = in_order(self.exchange.pools(), self._ordering())
        return await self.runtime.state.passed_over(
            every, now=now, banned=self._banned, tokens=self.exchange.tokens_to_reserve
        )

    async def _wait(self, model: str, passed: Sequence[PassedOver]) -> Lease | None:
        """Stand in line, if somebody will be free within the queue's time."""
        settings = self.runtime.snapshot.settings
        now = clock.monotonic_seconds()
        if self._wait_until is None:
            self._wait_until = now + settings.queue_timeout_seconds * QUEUE_TOLERANCE
        ready_at = earliest(passed)
        soon = ready_at is not None and ready_at <= self._wait_until
        # Nobody was taken although somebody is free: those who wait already come first, and that does not take long.
        free = len(passed) < sum(len(pool.candidates) for pool in self.exchange.pools())
        if not settings.queue_timeout_seconds or not (soon or free or worth_waiting(passed)):
            return None
        loop = asyncio.get_running_loop()
        until = loop.time() + self._wait_until - now
        began = clock.monotonic_seconds()
        try:
            return await self.runtime.room.wait(
                model,
                self._try,
                key=self.exchange.caller.id,
                until=until,
                most=settings.queue_max_depth,
                picky=bool(self._banned) or self._budget_spent,
            )
        except QueueFull as full:
            if self._cut is not None:
                return None  # it ends as any stream that was cut
            full.retry_after_seconds = self._seconds_until_free(passed)
            raise
        finally:
            self.exchange.waited_seconds += clock.monotonic_seconds() - began

    async def _try(self) -> tuple[Lease | None, float | None]:
        lease, passed = await self._take(in_order(self.exchange.pools(), self._ordering()))
        return lease, earliest(passed)

    async def _emergency(self) -> Lease | None:
        for candidate in emergency_order(await self._passed_over()):
            if len(self._emergency_tried) >= MOST_TRIES:
                return None
            if candidate.backend.id in self._emergency_tried:
                continue
            lease = await self.runtime.state.take_emergency(candidate, now=clock.monotonic_seconds())
            if lease is not None:
                self._emergency_tried.add(candidate.backend.id)
                self.exchange.emergency = True
                self.runtime.metrics.emergency.inc()
                self.runtime.alerts.alert(
                    "emergency_used",
                    "warning",
                    f"pool:{candidate.backend.pool}",
                    f"Every backend of {self.exchange.intake.model} was exhausted; the emergency channel was used.",
                    details={"backend": candidate.backend.id, "model": self.exchange.intake.model},
                )
                logger.warning(
                    "emergency_channel_used",
                    extra={
                        "request_id": self.exchange.id,
                        "backend": candidate.backend.id,
                        "pool": candidate.backend.pool,
                    },
                )
                return lease
        return None

    # Trying it

    async def _attempt(self, lease: Lease) -> Outcome:
        exchange = self.exchange
        exchange.candidate = lease.candidate
        attempt: Attempt | None = None
        began = clock.monotonic_seconds()
        outcome: Outcome | None = None
        try:
            exchange.begin()
            exchange.attempts += 1
            attempt = Attempt(exchange, lease)
            outcome = await attempt.run()
            if attempt.asks_usage and _rejects_usage(outcome):
                # Learned once per backend, and neither its fault nor the caller's.
                self.runtime.without_usage.add(lease.candidate.backend.id)
                attempt = Attempt(exchange, lease)
                outcome = await attempt.run()
            return outcome
        finally:
            now = clock.monotonic_seconds()
            exchange.upstream_seconds += now - began
            self._note(lease, outcome, began, now)
            self.runtime.state.release(lease, now=now, used_tokens=self._used_tokens(lease, outcome))
            if self.runtime.room.depth:
                self.runtime.room.poke()

    def _used_tokens(self, lease: Lease, outcome: Outcome | None) -> int:
        """What the attempt has cost of the backend's tokens per minute: nothing if it was refused, the reservation
        where nobody says."""
        if outcome is not None and outcome.verdict.next is not Next.ANSWER and not outcome.streamed:
            return 0
        usage = self.exchange.usage
        return lease.reserved_tokens if usage is None else usage.prompt_tokens + usage.completion_tokens

    def _note(self, lease: Lease, outcome: Outcome | None, began: float, now: float) -> None:
        exchange = self.exchange
        exchange.trail.append(
            record.Attempt(
                lease.candidate.backend.id,
                outcome.verdict.outcome if outcome is not None else "cancelled",
                outcome.status if outcome is not None else 0,
                int((began - exchange.started_at) * 1000),
                int((now - began) * 1000),
            )
        )
        if outcome is not None:
            blame(self.runtime, lease, outcome, now=now, first_content_at=exchange.first_content_at)

    def _final(self, lease: Lease, outcome: Outcome) -> bool:
        """Whether the outcome goes to the client; else prepare the next try."""
        verdict, backend = outcome.verdict, lease.candidate.backend
        if outcome.streamed:
            return not self._goes_on_elsewhere(lease, outcome)
        if verdict.next is Next.ANSWER or (verdict.next is Next.PASS_BACK and self._cut is None):
            return True
        self._failures[backend.id] = outcome
        if not lease.emergency:
            self._tried.add(backend.id)
        if verdict.next is Next.LARGER_CONTEXT:
            self._passed_back = self._passed_back or (lease.candidate, outcome)
            self._ban_small_windows(lease.candidate.mapping.context_window)
        elif verdict.next is Next.RETRY_SAME and not self._retried and not lease.trial and not lease.emergency:
            self._retried = True
            self._again = lease.candidate
        elif verdict.next is not Next.NEXT:
            self._banned.add(backend.id)
        if verdict is NOT_HERE:
            self._passed_back = lease.candidate, outcome
        return False

    def _goes_on_elsewhere(self, lease: Lease, outcome: Outcome) -> bool:
        """Whether a stream that was cut after content may go on at another backend; then prepare that."""
        said = self.exchange.said
        if outcome.verdict.next is Next.ANSWER or outcome.client_stalled or said is None:
            return False
        if not said.resumable or not said.text:
            return False
        self.exchange.carry_over(said)
        self._cut = lease.candidate, outcome
        self._tried.add(lease.candidate.backend.id)
        self._banned.add(lease.candidate.backend.id)
        self._banned |= {
            each.backend.id for pool in self.exchange.pools() for each in pool.candidates if not prefill_way(each)
        }
        return True

    def _ban_small_windows(self, window: int) -> None:
        for pool in self.exchange.pools():
            for candidate in pool.candidates:
                if candidate.mapping.context_window <= window:
                    self._banned.add(candidate.backend.id)

    # When nobody could answer

    def _refusal(self, passed: Sequence[PassedOver]) -> Refused:
        model = self.exchange.intake.model
        failures = {backend_id: failure.verdict for backend_id, failure in self._failures.items()}
        wait = self._seconds_until_free(passed)
        refused = refusal_of(model, passed, failures, self._unable, wait_seconds=wait)
        if isinstance(refused, AllPoolsExhausted):
            self.runtime.alerts.alert(
                "pool_exhausted",
                "critical",
                f"model:{model}",
                f"No backend could serve {model}.",
                details={"why": refused.message[:1000]},
            )
        return refused

    def _seconds_until_free(self, passed: Sequence[PassedOver]) -> float:
        """When another try finds a backend free, as far as can be known: those who wait come first."""
        return seconds_until_free(
            passed, now=clock.monotonic_seconds(), ahead=self.runtime.room.ahead(self.exchange.intake.model)
        )


def _rejects_usage(outcome: Outcome) -> bool:
    return outcome.status in (400, 422) and not outcome.streamed and b"stream_options" in outcome.body
