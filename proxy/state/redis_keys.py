"""Limits and budgets of client keys, shared by all processes that share a Redis.

What a key has spent is known in three places: to Redis, to each process (what it has spent itself, and what it last
heard that others had), and to the ledger. The largest is the truth, since each only ever lags behind. What the ledger
says is believed a moment later than it was read: by then everything in it has reached Redis too, and nothing counts
twice.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

from proxy.rules.caller import Caller
from proxy.rules.rate_headers import RateLeft
from proxy.state import scripts
from proxy.state.keys import Admission, budget_spent, requests_used_up, tokens_used_up, too_many_at_once
from proxy.state.mirror import MirrorLimits
from proxy.state.shared import Held, Shared, or_false

SEED_SECONDS = 0.25
"""How long after it was read the ledger is believed: longer than a settlement may take to reach Redis, or fail to."""


class SharedAdmission(Admission):
    """An admission that other processes know of."""

    lease: str = ""
    reserved_there: bool = True  # by the shared state; else this process has let it in alone


class RedisKeyLimits:
    """`Limits` of all processes together; see `protocol.py` for what each method promises."""

    def __init__(self, shared: Shared, mirror: MirrorLimits, *, seed_seconds: float = SEED_SECONDS) -> None:
        self.mirror = mirror
        self._shared = shared
        self._seed_seconds = seed_seconds
        self._seeded = False

    def seed(self, callers: Mapping[bytes, Caller], spent: Mapping[str, int], *, now: float, epoch: float) -> None:
        """See `Limits.seed`."""
        if not self._seeded:
            # Nothing of it can be on its way from this process yet, and requests must not come before it is known.
            self._seeded = True
            self.mirror.seed(callers, spent, now=now, epoch=epoch)
            return

        def believe() -> None:
            # What was read in one period says nothing of the next; it is read again within a second.
            if not self.mirror.turned_over(epoch, epoch + self._seed_seconds):
                self.mirror.seed(callers, spent, now=now, epoch=epoch)

        asyncio.get_running_loop().call_later(self._seed_seconds, believe)

    async def admit(
        self, caller: Caller, *, now: float, epoch: float, tokens: Callable[[], int], picousd: Callable[[], int]
    ) -> Admission:
        """See `Limits.admit`."""
        answer: list[Any] | None = None
        if self._shared.is_shared:
            admission, ask, own = self._ask_for(caller, now=now, epoch=epoch, tokens=tokens, picousd=picousd)
            keys = self._shared.name(b"k", caller.id)

            def unheard(answer: Any) -> None:
                if answer is None or answer[0] is False:
                    self._undo(admission)

            answer = await self._shared.ask(scripts.ADMIT, keys, ask, unheard=unheard)
            if answer is None:
                self._undo(admission)
        if answer is None:
            return self._alone(await self.mirror.admit(caller, now=now, epoch=epoch, tokens=tokens, picousd=picousd))
        self._learn(admission, answer, now=now, own=own)
        self._raise_if_refused(admission, answer, epoch=epoch)
        self.mirror.admitted(admission)
        self._hold(admission)
        return admission

    def _ask_for(
        self, caller: Caller, *, now: float, epoch: float, tokens: Callable[[], int], picousd: Callable[[], int]
    ) -> tuple[SharedAdmission, dict[str, Any], int]:
        admission = SharedAdmission(caller, tokens() if caller.tpm_limit is not None else 0)
        admission.lease = self._shared.new_lease()
        ask: dict[str, Any] = {
            "rpm": or_false(caller.rpm_limit),
            "tpm": or_false(caller.tpm_limit),
            "need": admission.tokens,
            "parallel": or_false(caller.max_parallel),
            "budget": False,
        }
        own = 0
        if caller.budget is not None:
            ends_at, spent, own = self.mirror.period(caller, caller.budget, now=now, epoch=epoch)
            admission.picousd, admission.period_ends_at = picousd(), ends_at
            ask |= {
                "budget": caller.budget.amount_picousd,
                "period": str(caller.budget.period),
                "ends": _ends(ends_at),
                "spent": spent,
                "amount": admission.picousd,
            }
        ask["lease"] = _member(admission)
        return admission, ask, own

    def _learn(self, admission: SharedAdmission, answer: list[Any], *, now: float, own: int) -> None:
        _, redis_now, spent, _, requests, tokens = answer
        caller = admission.caller
        self._shared.compare_clocks(redis_now)
        self.mirror.left(caller, now=now, requests=_or_none(requests), tokens=_or_none(tokens))
        self.mirror.heard_spent(caller, spent=int(spent), own=own, period_ends_at=admission.period_ends_at)

    @staticmethod
    def _raise_if_refused(admission: SharedAdmission, answer: list[Any], *, epoch: float) -> None:
        caller, how = admission.caller, answer[3]
        match answer[0]:
            case "budget" if caller.budget is not None:
                raise budget_spent(caller.budget, ends_at=admission.period_ends_at, epoch=epoch)
            case "parallel":
                raise too_many_at_once(int(how))
            case "requests":
                raise requests_used_up(caller, float(how))
            case "tokens":
                raise tokens_used_up(caller, float(how))

    def _alone(self, known: Admission) -> SharedAdmission:
        """An admission of this process alone, which the others may hear of later."""
        admission = SharedAdmission(known.caller, known.tokens, known.picousd, known.period_ends_at)
        admission.lease, admission.reserved_there = self._shared.new_lease(), False
        self._hold(admission)
        return admission

    def _hold(self, admission: SharedAdmission) -> None:
        caller = admission.caller
        if caller.max_parallel is None and caller.budget is None:
            return
        keys = self._shared.name(b"k", caller.id)
        ends = _ends(admission.period_ends_at)
        held = Held(keys, _member(admission), amount=admission.picousd, ends=ends)
        self._shared.hold(admission.lease, held)

    def settle(self, admission: Admission, *, used_tokens: int, picousd: int | None) -> None:
        """See `Limits.settle`."""
        admission = cast(SharedAdmission, admission)
        caller = admission.caller
        self.mirror.settle(admission, used_tokens=used_tokens, picousd=picousd)
        self._shared.let_go(admission.lease)
        if not self._shared.is_shared:
            self._undo(admission)
            return
        own = self.mirror.own(caller)

        def then(answer: Any) -> None:
            if answer is None:
                # What it cost is known to the ledger, and to this process; only the lease is still there.
                self._undo(admission)
            elif answer[1] is not False:
                self.mirror.heard_spent(caller, spent=int(answer[1]), own=own, period_ends_at=admission.period_ends_at)

        reserved = admission.tokens if admission.reserved_there else 0
        unused = reserved - used_tokens if caller.tpm_limit is not None else 0
        self._spend(admission, unused=unused, cost=picousd or 0, then=then)

    def _spend(self, admission: SharedAdmission, *, unused: int, cost: int, then: Callable[[Any], None]) -> None:
        keys = self._shared.name(b"k", admission.caller.id)
        self._shared.send(scripts.SPEND, keys, _spending(admission, unused=unused, cost=cost), then)

    def _undo(self, admission: SharedAdmission) -> None:
        """Nobody has this admission any more: end its lease, now or when Redis is back."""
        ask = _spending(admission, unused=0, cost=0)
        self._shared.part(scripts.SPEND, self._shared.name(b"k", admission.caller.id), ask)

    def remaining(self, caller: Caller, *, now: float) -> tuple[RateLeft | None, RateLeft | None]:
        """See `Limits.remaining`: as this process heard last."""
        return self.mirror.remaining(caller, now=now)

    def spent(self, caller: Caller, *, epoch: float) -> int | None:
        """See `Limits.spent`: as this process heard last."""
        return self.mirror.spent(caller, epoch=epoch)


def _spending(admission: SharedAdmission, *, unused: int, cost: int) -> dict[str, Any]:
    return {
        "lease": _member(admission),
        "unused": unused,
        "budget": admission.caller.budget is not None,
        "ends": _ends(admission.period_ends_at),
        "amount": admission.picousd,
        "cost": cost,
    }


def _member(admission: SharedAdmission) -> str:
    """The lease's name, with what has to be undone when it expires: the reservation, and the period that it is for."""
    ends = _ends(admission.period_ends_at)
    return f"{admission.lease}:{admission.picousd}:{'false' if ends is False else int(ends)}"


def _ends(period_ends_at: float) -> float | bool:
    return False if period_ends_at == float("inf") else period_ends_at


def _or_none(value: Any) -> Any:
    return None if value is False else value
