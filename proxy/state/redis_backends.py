"""The state of backends, shared by all processes that share a Redis. Decision 0013 says how.

What this process knows by itself is in a mirror: it answers what must not wait, refuses what is known to be out without
asking, and takes over with this process's share while Redis is away.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from agenthub.core.params import RuntimeSettings
from providers.rules.table import BackendEntry, Candidate, ErrorKind, RoutingTable
from proxy.rules.emergency import emergency_per_minute
from proxy.rules.routing import PassedOver, Reason
from proxy.state import scripts
from proxy.state.backend import QUOTA_TRIAL_SECONDS
from proxy.state.protocol import BackendView, Lease
from proxy.state.redis_settling import Settling, SharedLease
from proxy.state.shared import Held, Shared, no_matter, or_false

CANDIDATES_PER_CALL = 8
"""Nearly always one of the first is taken; of long lists the next ones are asked for when none of these was."""

BACKENDS_PER_CALL = 50

LOOK_SECONDS = 0.05
"""When to look again for what is free as soon as a request ends, which may be one of another process."""

_REASONS = {
    "error": Reason.ERROR,
    "cooling": Reason.COOLING,
    "half_open": Reason.HALF_OPEN,
    "busy": Reason.BUSY,
    "requests": Reason.NO_REQUESTS,
    "tokens": Reason.NO_TOKENS,
}
_DETAILS = {
    Reason.COOLING: "{:.1f} s more",
    Reason.NO_REQUESTS: "next in {:.1f} s",
    Reason.NO_TOKENS: "enough in {:.1f} s",
}

Asking = Callable[[], int]


class RedisState(Settling):
    """`State` of all processes together; see `protocol.py` for what each method promises."""

    def __init__(self, shared: Shared, *, processes: int, chance: random.Random | None = None) -> None:
        super().__init__(shared, processes=processes, chance=chance)
        self._table = RoutingTable()

    def apply(self, table: RoutingTable, settings: RuntimeSettings, *, now: float, epoch: float) -> None:
        """Take over a new table. Only what it tells of findings goes on to Redis; limits go with each request."""
        self._settings, self._table = settings, table
        mirror = self.mirror
        mirror.apply(table, settings, now=now, epoch=epoch)
        found, mirror.found = mirror.found, []
        mended, mirror.mended = mirror.mended, []
        if not self._shared.is_shared:
            return
        self._restore(found)
        for backend_id, kind in mended:
            self._settle(backend_id, {"finding": "mended", "error": str(kind)})

    def restore(self) -> None:
        """Redis is there again, perhaps empty: tell it what this process knows of backends."""
        self._restore(self._table.by_id)

    def _restore(self, ids: Iterable[str]) -> None:
        now = self._shared.monotonic()
        known = ((id_, self.mirror.findings(id_, now=now)) for id_ in ids)
        found = ((id_, findings) for id_, findings in known if findings is not None)
        while some := list(islice(found, BACKENDS_PER_CALL)):
            keys = [self._keys(id_)[0] for id_, _ in some]
            backends = [{**findings, **self._limits(self._table.by_id.get(id_))} for id_, findings in some]
            self._shared.send(scripts.RESTORE, keys, {"backends": backends}, no_matter)

    @staticmethod
    def _limits(backend: BackendEntry | None) -> dict[str, Any]:
        if backend is None or backend.rpm_limit is None:
            return {"per_minute": False, "capacity": 0}
        return {"per_minute": backend.rpm_limit, "capacity": max(1, backend.burst)}

    # Taking

    async def take_first(
        self, candidates: Iterable[Candidate], *, now: float, banned: AbstractSet[str], tokens: Asking
    ) -> tuple[Lease | None, Sequence[PassedOver]]:
        """See `State.take_first`."""
        passed: list[PassedOver] = []
        remaining = iter(candidates)
        while self._shared.is_shared:
            before: list[int] = []
            some = self._next(remaining, passed, now=now, banned=banned, before=before)
            if not some:
                return None, passed
            lease, heard = await self._take_one(some, passed, before, now=now, tokens=tokens)
            if lease is not None:
                return lease, passed
            if not heard:
                remaining = chain(some, remaining)
        lease, more = await self.mirror.take_first(remaining, now=now, banned=banned, tokens=tokens)
        return self._alone(lease), [*passed, *more]

    async def passed_over(
        self, candidates: Iterable[Candidate], *, now: float, banned: AbstractSet[str], tokens: Asking
    ) -> Sequence[PassedOver]:
        """See `State.passed_over`."""
        passed: list[PassedOver] = []
        remaining = iter(candidates)
        while self._shared.is_shared:
            some = self._next(remaining, passed, now=now, banned=banned)
            if not some:
                return passed
            ask = self._ask_for(some, now=now, tokens=tokens)
            answer = await self._shared.ask(scripts.TAKE, self._keys_of(some), {**ask, "look": True}, unheard=no_matter)
            if answer is None:
                remaining = chain(some, remaining)
            else:
                self._pass_over(some, answer, passed)
        return [*passed, *await self.mirror.passed_over(remaining, now=now, banned=banned, tokens=tokens)]

    def _next(
        self,
        remaining: Iterator[Candidate],
        passed: list[PassedOver],
        *,
        now: float,
        banned: AbstractSet[str],
        before: list[int] | None = None,
    ) -> list[Candidate]:
        """The next few who may be free as far as is known here; the others before them are passed over.

        `before` gets for each of them how many were passed over until it was its turn.
        """
        some: list[Candidate] = []
        for candidate in remaining:
            refusal = self.mirror.known_refusal(candidate, now=now, banned=banned)
            if refusal is not None:
                passed.append(refusal)
                continue
            some.append(candidate)
            if before is not None:
                before.append(len(passed))
            if len(some) == CANDIDATES_PER_CALL:
                break
        return some

    async def _take_one(
        self, some: list[Candidate], passed: list[PassedOver], before: list[int], *, now: float, tokens: Asking
    ) -> tuple[Lease | None, bool]:
        """The lease of the first that was free; and whether there was an answer at all."""
        lease_id = self._shared.new_lease()
        ask = self._ask_for(some, now=now, tokens=tokens)

        def taken(answer: Any) -> SharedLease | None:
            if answer is None:
                # Nobody knows whether somebody was taken.
                for candidate in some:
                    self._part(candidate.backend, lease_id)
                return None
            return self._taken(some, answer, lease_id, now=now, need=ask["need"])

        def unheard(answer: Any) -> None:
            lease = taken(answer)
            if lease is not None:
                self.give_back(lease)

        answer = await self._shared.ask(
            scripts.TAKE, self._keys_of(some), {**ask, "lease": lease_id, "look": False}, unheard=unheard
        )
        lease = taken(answer)
        if answer is not None:
            if answer[0]:
                del passed[before[answer[0] - 1] :]  # those after the one that was taken had no turn
            self._pass_over(some, answer, passed)
        return lease, answer is not None

    def _keys_of(self, some: Iterable[Candidate]) -> list[bytes]:
        return [key for candidate in some for key in self._keys(candidate.backend.id)]

    def _ask_for(self, some: list[Candidate], *, now: float, tokens: Asking) -> dict[str, Any]:
        limited = any(candidate.backend.tpm_limit is not None for candidate in some)
        return {"need": tokens() if limited else 0, "candidates": [self._row(each.backend, now) for each in some]}

    def _row(self, backend: BackendEntry, now: float) -> tuple[Any, ...]:
        state = self.mirror.state_of(backend.id)
        kind = state.error_kind if state is not None else ErrorKind.NONE
        return (
            state.reset_count if state is not None else backend.reset_count,
            or_false(backend.rpm_limit),
            max(1, backend.burst),
            or_false(backend.tpm_limit),
            or_false(backend.max_concurrency),
            str(kind) if kind is not ErrorKind.NONE else False,
            state.trial_after - now if state is not None else 0.0,
        )

    def _taken(
        self, some: list[Candidate], answer: list[Any], lease_id: str, *, now: float, need: int
    ) -> SharedLease | None:
        index, redis_now, trial, tokens, tpm_tokens, _ = answer
        self._shared.compare_clocks(redis_now)
        if not index:
            return None
        backend = some[index - 1].backend
        reserved = need if backend.tpm_limit is not None else 0
        lease = SharedLease(some[index - 1], now, trial, False, reserved, lease_id, redis_now)
        self.mirror.taken(lease, now=now, tokens=_or_none(tokens), tpm_tokens=_or_none(tpm_tokens))
        self._hold(lease)
        return lease

    def _hold(self, lease: SharedLease) -> None:
        backend = lease.candidate.backend
        kept = backend.max_concurrency is not None
        if kept or lease.trial:
            self._shared.hold(lease.id, Held(self._keys(backend.id), lease.id, kept, lease.trial))

    def _pass_over(self, some: list[Candidate], answer: list[Any], passed: list[PassedOver]) -> None:
        now = self._shared.monotonic()
        for candidate, refusal in zip(some, answer[5], strict=False):
            if refusal:
                passed.append(self._refused(candidate, refusal, now))

    def _refused(self, candidate: Candidate, refusal: list[Any], now: float) -> PassedOver:
        word, wait, detail = refusal
        reason = _REASONS[word]
        if reason is Reason.COOLING:
            self.mirror.cooled(candidate.backend.id, now=now, seconds=wait, count=int(detail))
        elif reason is Reason.ERROR:
            return PassedOver(candidate, reason, detail=str(detail))
        elif reason in (Reason.BUSY, Reason.HALF_OPEN):
            return PassedOver(candidate, reason, now + LOOK_SECONDS)
        return PassedOver(candidate, reason, now + wait, _DETAILS[reason].format(wait))

    def _alone(self, lease: Lease | None) -> SharedLease | None:
        """A lease that this process has given out alone, as one that the others can be told of later."""
        if lease is None:
            return None
        self.mirror.used_alone[lease.candidate.backend.id] += 0 if lease.emergency else 1
        redis_time = self._shared.redis_time(lease.taken_at)
        own = SharedLease(
            lease.candidate,
            lease.taken_at,
            lease.trial,
            lease.emergency,
            lease.reserved_tokens,
            self._shared.new_lease(),
            redis_time,
            alone=True,
        )
        self._hold(own)
        return own

    async def take_emergency(self, candidate: Candidate, *, now: float) -> Lease | None:
        """See `State.take_emergency`."""
        backend = candidate.backend
        if not self._shared.is_shared or self.mirror.state_of(backend.id) is None:
            return self._alone(await self.mirror.take_emergency(candidate, now=now))
        lease_id = self._shared.new_lease()
        limit = backend.rpm_limit or self._settings.default_rpm_limit
        ask = {
            "lease": lease_id,
            "reset_count": self._row(backend, now)[0],
            "per_minute": emergency_per_minute(limit, self._settings.emergency_rpm_fraction),
            "most": or_false(backend.max_concurrency),
        }

        def unheard(answer: Any) -> None:
            if answer is None or answer[0]:
                self._part(backend, lease_id)

        answer = await self._shared.ask(scripts.EMERGENCY, self._keys(backend.id), ask, unheard=unheard)
        if answer is None:
            self._part(backend, lease_id)
            return self._alone(await self.mirror.take_emergency(candidate, now=now))
        taken, redis_now = answer
        if not taken:
            return None
        lease = SharedLease(candidate, now, False, True, 0, lease_id, redis_now)
        self.mirror.taken(lease, now=now, tokens=None, tpm_tokens=None)
        self._hold(lease)
        return lease

    # What others have found out

    def heard(self, word: str, *details: Any) -> None:
        """News of another process, or of this one."""
        now = self._shared.monotonic()
        match word, details:
            case "cooled", (str(backend_id), int() | float() as seconds, int(count)):
                self.mirror.cooled(backend_id, now=now, seconds=seconds, count=count)
            case "recovered", (str(backend_id),):
                self.mirror.recovered(backend_id)
            case "errored", (str(backend_id), str(kind)) if kind in list(ErrorKind):
                state = self.mirror.state_of(backend_id)
                if state is not None and state.error_kind is ErrorKind.NONE:
                    state.error_kind = ErrorKind(kind)
                    state.trial_after = now + QUOTA_TRIAL_SECONDS

    # What this process knows

    def load(self, candidate: Candidate) -> float:
        """See `State.load`."""
        return self.mirror.load(candidate)

    def latency(self, candidate: Candidate) -> float:
        """See `State.latency`."""
        return self.mirror.latency(candidate)

    def view(self, backend: BackendEntry, *, now: float) -> BackendView:
        """See `State.view`: as this process heard last of the bucket, with its own requests in flight."""
        seen = self.mirror.view(backend, now=now)
        if not self._shared.is_shared or seen.tokens is None or seen.rate_per_minute is None:
            return seen
        capacity = self._limits(backend)["capacity"]
        return replace(
            seen,
            tokens=min(capacity, seen.tokens * self.processes),
            capacity=capacity,
            rate_per_minute=seen.rate_per_minute * self.processes,
        )


def _or_none(value: Any) -> Any:
    return None if value is False else value
