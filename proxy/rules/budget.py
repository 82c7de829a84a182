"""When the budgets of client keys begin anew. Pure.

What a key has spent is summed by whole hours of UTC. So a period begins with the hour in which midnight falls: where
midnight is at half past, half an hour early. Each hour belongs to one period.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

from agenthub.core.money import usd_from_picodollars
from proxy.rules.caller import Budget, Period

SINCE_EVER = datetime.min.replace(tzinfo=UTC)
"""The start of a period that has none."""


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget at one moment, in USD."""

    amount: Decimal
    period: Period
    spent: Decimal | None  # in the period that runs; None where nobody can say at the moment
    remaining: Decimal | None  # never below zero
    resets_at: float | None  # epoch seconds; None: never


def budget_state(budget: Budget, spent_picousd: int | None, *, now: datetime, time_zone: tzinfo) -> BudgetState:
    """How a budget stands at `now`."""
    following = next_period_start(budget.period, now=now, time_zone=time_zone)
    left = None if spent_picousd is None else max(0, budget.amount_picousd - spent_picousd)
    return BudgetState(
        amount=usd_from_picodollars(budget.amount_picousd),
        period=budget.period,
        spent=None if spent_picousd is None else usd_from_picodollars(spent_picousd),
        remaining=None if left is None else usd_from_picodollars(left),
        resets_at=None if following is None else following.timestamp(),
    )


def period_start(period: Period, *, now: datetime, time_zone: tzinfo) -> datetime:
    """When the period that runs at `now` (aware) has begun: in UTC, a whole hour at or before `now`."""
    following = next_period_start(period, now=now, time_zone=time_zone)
    if following is None:
        return SINCE_EVER
    # A moment before its end, the period runs by the local calendar too, also where it has begun early.
    last = (following - timedelta(microseconds=1)).astimezone(time_zone)
    return _whole_hour(_local_start(period, last))


def next_period_start(period: Period, *, now: datetime, time_zone: tzinfo) -> datetime | None:
    """When the next period begins: in UTC, a whole hour after `now`; None where none does."""
    if period is Period.TOTAL:
        return None
    local = _local_start(period, now.astimezone(time_zone))
    while (following := _whole_hour(local)) <= now:
        local = _following(period, local)
    return following


def _local_start(period: Period, local: datetime) -> datetime:
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    match period:
        case Period.WEEK:
            return midnight - timedelta(days=midnight.weekday())
        case Period.MONTH:
            return midnight.replace(day=1)
    return midnight


def _following(period: Period, start: datetime) -> datetime:
    # Days are added on the calendar, so that one of 23 or 25 hours is a day too.
    match period:
        case Period.WEEK:
            return start + timedelta(days=7)
        case Period.MONTH:
            return (start + timedelta(days=31)).replace(day=1)
    return start + timedelta(days=1)


def _whole_hour(local: datetime) -> datetime:
    return local.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
