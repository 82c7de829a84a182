"""When the periods of budgets begin."""

from datetime import UTC, datetime, timedelta, tzinfo

from proxy.rules.caller import Period


def period_start(period: Period, *, now: datetime, time_zone: tzinfo = UTC) -> datetime:
    """When the period that `now` lies in began."""
    if period is Period.TOTAL:
        return datetime.min.replace(tzinfo=UTC)
    day = now.astimezone(time_zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if period is Period.WEEK:
        day -= timedelta(days=day.weekday())
    if period is Period.MONTH:
        day = day.replace(day=1)
    return day.replace(tzinfo=time_zone).astimezone(UTC).replace(minute=0)


def next_period_start(period: Period, *, now: datetime, time_zone: tzinfo = UTC) -> datetime:
    """When the next one begins."""
    if period is Period.TOTAL:
        return datetime.max.replace(tzinfo=UTC)
    longest = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 31}[period]
    start = period_start(period, now=now, time_zone=time_zone)
    return period_start(period, now=start + timedelta(days=longest, hours=12), time_zone=time_zone)
