"""What client keys have used of their limits and budgets, kept in this process.

With several processes each enforces its share of every rate (limit ÷ processes). Of a budget each process knows what
all of them had spent when it last asked the database, and may add its share of what was left then.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from agenthub.core.errors import BudgetExceeded, RateLimited
from proxy.rules import bucket
from proxy.rules.caller import Budget, Caller, Period
from proxy.rules.rate_headers import RateLeft

BUDGET_MARKS = (80, 100)
"""Percentages of a budget at which somebody is told."""

NO_TIME_KNOWN_SECONDS = 1.0


class Admission(Struct):
    """A request that was let in: what was reserved for it, until it is settled."""

    caller: Caller
    tokens: int = 0
    picousd: int = 0
    period_ends_at: float = 0.0  # epoch seconds: whose budget it counts for


class BudgetMark(Protocol):
    """Who is told that a key has reached a mark of its budget."""

    def __call__(self, caller: Caller, percent: int, *, spent_picousd: int, period_ends_at: float) -> None:
        """It has spent `percent` of its budget, or more."""


class BudgetRenewed(Protocol):
    """Who is told that a period has ended in which a mark was reached."""

    def __call__(self, caller: Caller, *, period_ends_at: float) -> None:
        """It was the period with this end (epoch seconds)."""


class _Rate:
    """A bucket that holds one minute's worth."""

    __slots__ = ("at", "left", "per_minute")

    def __init__(self, now: float) -> None:
        self.left = float("inf")  # full: the first look caps it at the bucket's capacity
        self.per_minute = 0.0
        self.at = now

    def refill(self, per_minute: float, now: float) -> None:
        """Bring the bucket up to `now`; with another limit, what was used stays used."""
        if self.per_minute and per_minute != self.per_minute:
            self.left = per_minute - max(0.0, self.per_minute - self.left)
        self.per_minute = per_minute
        self.left = bucket.refilled(
            self.left, elapsed_seconds=now - self.at, per_minute=per_minute, capacity=max(1.0, per_minute)
        )
        self.at = now

    def seconds_until(self, need: float) -> float:
        """Seconds until `need` is there; 0 if it is. More than a minute's worth goes when the bucket is full."""
        return bucket.seconds_until(self.left, per_minute=self.per_minute, need=min(need, max(1.0, self.per_minute)))

    def remaining(self, processes: int) -> RateLeft:
        """The rate as a caller is told it, who knows of no processes."""
        missing = max(0.0, self.per_minute - self.left)
        limit = round(self.per_minute * processes)
        return RateLeft(limit, max(0, int(self.left * processes + 1e-6)), missing * 60.0 / self.per_minute)


class _KeyState:
    __slots__ = (
        "in_flight",
        "others",
        "own",
        "own_at_seed",
        "period",
        "period_ends_at",
        "requests",
        "reserved",
        "tokens",
        "told",
    )

    def __init__(self, now: float) -> None:
        self.requests = _Rate(now)
        self.tokens = _Rate(now)
        self.in_flight = 0
        self.period: Period | None = None
        self.begin_period(None, 0.0)

    def begin_period(self, period: Period | None, ends_at: float) -> None:
        self.period = period
        self.period_ends_at = ends_at
        self.own = self.own_at_seed = 0  # picodollars spent by this process in this period
        self.others = 0  # by all others, and by this one before its start, as far as the database had told
        self.reserved = 0
        self.told = 0  # the highest mark that was told

    @property
    def spent(self) -> int:
        return self.own + self.others

    def may_spend(self, amount: int, processes: int) -> bool:
        """Whether this process has not spent its share of what was left when it last asked the ledger."""
        left = amount - self.others - self.own_at_seed
        return self.own - self.own_at_seed + self.reserved < left / processes


class KeyLimits:
    """Limits and budgets of all client keys, on the event loop of one process."""

    def __init__(
        self,
        *,
        turnover: Callable[[Period, float], float],
        on_mark: BudgetMark,
        on_renewed: BudgetRenewed,
        processes: int = 1,
    ) -> None:
        self._turnover = turnover  # when the period that an epoch time lies in ends
        self._on_mark = on_mark
        self._on_renewed = on_renewed
        self._processes = processes
        self._states: dict[str, _KeyState] = {}

    def seed(self, callers: Mapping[bytes, Caller], spent: Mapping[str, int], *, now: float, epoch: float) -> None:
        """Take over who the callers are, and what the ledger says that each has spent in its period, in picodollars."""
        known = {caller.id: caller for caller in callers.values() if caller.limited}
        for key_id in self._states.keys() - known.keys():
            if not self._states[key_id].in_flight:
                del self._states[key_id]
        for caller in known.values():
            if caller.budget is None or caller.id not in spent:
                continue
            state = self._state(caller.id, now)
            self._turn_over(state, caller, caller.budget, epoch)
            # The ledger lags behind what this process has spent itself, so the part of others only ever grows.
            state.others = max(state.others, spent[caller.id] - state.own)
            state.own_at_seed = state.own
            self._tell(caller, state, caller.budget)

    async def admit(
        self, caller: Caller, *, now: float, epoch: float, tokens: Callable[[], int], picousd: Callable[[], int]
    ) -> Admission:
        """Let a request in and reserve what it needs, in one step. Raises RateLimited or BudgetExceeded.

        `tokens` and `picousd` are asked for the estimates to reserve only where a limit needs them.
        """
        state = self._state(caller.id, now)
        self._check_budget(state, caller, epoch)
        if caller.max_parallel is not None and state.in_flight >= max(1, caller.max_parallel // self._processes):
            raise too_many_at_once(state.in_flight)
        if caller.rpm_limit is not None:
            state.requests.refill(caller.rpm_limit / self._processes, now)
            _check_rate(state.requests, 1.0, requests_used_up, caller)
        need = 0
        if caller.tpm_limit is not None:
            need = tokens()
            state.tokens.refill(caller.tpm_limit / self._processes, now)
            _check_rate(state.tokens, float(need), tokens_used_up, caller)
        return self._take(state, caller, need, picousd)

    def _check_budget(self, state: _KeyState, caller: Caller, epoch: float) -> None:
        budget = caller.budget
        if budget is None:
            return
        self._turn_over(state, caller, budget, epoch)
        if state.may_spend(budget.amount_picousd, self._processes):
            return
        raise budget_spent(budget, ends_at=state.period_ends_at, epoch=epoch)

    def _take(self, state: _KeyState, caller: Caller, need: int, picousd: Callable[[], int]) -> Admission:
        admission = Admission(caller, need)
        if caller.rpm_limit is not None:
            state.requests.left -= 1.0
        if caller.tpm_limit is not None:
            state.tokens.left -= need
        if caller.budget is not None:
            admission.picousd = picousd()
            admission.period_ends_at = state.period_ends_at
            state.reserved += admission.picousd
        state.in_flight += 1
        return admission

    def settle(self, admission: Admission, *, used_tokens: int, picousd: int | None) -> None:
        """The request has ended, and this is what it really used and cost (None: it has no price)."""
        caller = admission.caller
        state = self._states.get(caller.id)
        if state is None:
            return
        state.in_flight = max(0, state.in_flight - 1)
        if caller.tpm_limit is not None:
            state.tokens.left += admission.tokens - used_tokens
        if caller.budget is None or admission.period_ends_at != state.period_ends_at:
            return  # what began in a period counts for that one, and the next has begun meanwhile
        state.reserved = max(0, state.reserved - admission.picousd)
        state.own += picousd or 0
        self._tell(caller, state, caller.budget)

    def _tell(self, caller: Caller, state: _KeyState, budget: Budget) -> None:
        for percent in BUDGET_MARKS:
            if percent > state.told and state.spent * 100 >= budget.amount_picousd * percent:
                state.told = percent
                self._on_mark(caller, percent, spent_picousd=state.spent, period_ends_at=state.period_ends_at)

    def _turn_over(self, state: _KeyState, caller: Caller, budget: Budget, epoch: float) -> None:
        if state.period is not budget.period or epoch >= state.period_ends_at:
            if state.told:
                self._on_renewed(caller, period_ends_at=state.period_ends_at)
            state.begin_period(budget.period, self._turnover(budget.period, epoch))

    def _state(self, key_id: str, now: float) -> _KeyState:
        state = self._states.get(key_id)
        if state is None:
            state = self._states[key_id] = _KeyState(now)
        return state

    def remaining(self, caller: Caller, *, now: float) -> tuple[RateLeft | None, RateLeft | None]:
        """What is left of the key's requests and of its tokens per minute; None where it has no such limit."""
        state = self._state(caller.id, now)
        requests = tokens = None
        if caller.rpm_limit is not None:
            state.requests.refill(caller.rpm_limit / self._processes, now)
            requests = state.requests.remaining(self._processes)
        if caller.tpm_limit is not None:
            state.tokens.refill(caller.tpm_limit / self._processes, now)
            tokens = state.tokens.remaining(self._processes)
        return requests, tokens

    def spent(self, caller: Caller, *, epoch: float) -> int | None:
        """What the key has spent in the present period, in picodollars; None where this process does not know.

        Changes nothing, so that any thread may ask.
        """
        state = self._states.get(caller.id)
        if caller.budget is None or state is None or state.period is not caller.budget.period:
            return None
        return state.spent if epoch < state.period_ends_at else 0


def _check_rate(rate: _Rate, need: float, used_up: Callable[[Caller, float], RateLimited], caller: Caller) -> None:
    wait = rate.seconds_until(need)
    if wait > 0:
        raise used_up(caller, wait)


def too_many_at_once(under_way: int) -> RateLimited:
    """The refusal of a key that has as many requests under way as it may have."""
    return RateLimited(
        f"The client key has {under_way} requests under way, as many as it may have at once.",
        retry_after_seconds=NO_TIME_KNOWN_SECONDS,
    )


def requests_used_up(caller: Caller, wait: float) -> RateLimited:
    """The refusal of a key without a request left for this minute."""
    return _used_up(f"its {caller.rpm_limit} requests per minute", wait)


def tokens_used_up(caller: Caller, wait: float) -> RateLimited:
    """The refusal of a key without enough tokens left for this minute."""
    return _used_up(f"its {caller.tpm_limit} tokens per minute", wait)


def _used_up(what: str, wait: float) -> RateLimited:
    return RateLimited(
        f"The client key has used up {what}; there is room again in {wait:.1f} s.", retry_after_seconds=wait
    )


def budget_spent(budget: Budget, *, ends_at: float, epoch: float) -> BudgetExceeded:
    """The refusal of a key that has spent its budget."""
    return BudgetExceeded(
        f"The client key has spent its budget of ${budget.amount_picousd / 1e12:g} "
        + ("in all." if budget.period is Period.TOTAL else f"for this {budget.period}."),
        retry_after_seconds=ends_at - epoch if ends_at != float("inf") else None,
    )
