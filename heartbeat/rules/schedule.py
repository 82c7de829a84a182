"""When a job is due: schedules, and what becomes of ticks that nobody was there to see."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

LEAST_SECONDS, LONGEST_SECONDS = 1.0, 366 * 86_400.0
DEFAULT_SECONDS = 60.0
MOST_CAUGHT_UP = 10
"""Ticks that were missed and are made up for at most, by the rule `all`."""

LOOKED_BACK = 100
"""Ticks that one look takes in at most: those before them are missed."""

_HORIZONS = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=400))
_LOOKED_AT = 5_000  # ticks of a cron expression that are gone through at most


class ScheduleKind(StrEnum):
    """How a schedule is given."""

    EVERY = "every"  # N seconds, counted from 1970, so that every scheduler has the same ticks
    CRON = "cron"  # five fields, in a time zone
    ONCE = "once"  # one moment


class Misfire(StrEnum):
    """What becomes of ticks that are found more than the grace too late."""

    SKIP = "skip"  # they are missed
    ONCE = "once"  # one run makes up for all of them
    ALL = "all"  # each is run, the newest ten at most


class Overlap(StrEnum):
    """What becomes of a tick while a run of the same job is not over."""

    FORBID = "forbid"  # it is skipped
    ALLOW = "allow"  # both run
    REPLACE = "replace"  # the older run is stopped


class ScheduleInvalid(ValueError):
    """A schedule that can't be kept; the message says what is wrong with which field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When something is due. Of the three, what `kind` names counts."""

    kind: ScheduleKind
    every_seconds: float = DEFAULT_SECONDS
    cron: str = ""
    time_zone: str = "UTC"
    at: datetime | None = None


def schedule_check(schedule: Schedule) -> None:
    """Raises ScheduleInvalid for a schedule that can't be kept."""
    if schedule.kind is ScheduleKind.EVERY:
        if not LEAST_SECONDS <= schedule.every_seconds <= LONGEST_SECONDS:
            text = f"Every so many seconds: from {LEAST_SECONDS:g} to {LONGEST_SECONDS:.0f}."
            raise ScheduleInvalid("every_seconds", text)
    elif schedule.kind is ScheduleKind.ONCE:
        if schedule.at is None or schedule.at.tzinfo is None:
            raise ScheduleInvalid("at", "Once at which time? Give a date and time with its offset.")
    else:
        _cron_check(schedule)


def _cron_check(schedule: Schedule) -> None:
    try:
        ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f"There is no time zone {schedule.time_zone[:60]!r}; they are called Europe/Berlin, Asia/Shanghai, UTC …"
        raise ScheduleInvalid("time_zone", text) from None
    if len(schedule.cron.split()) != 5:
        text = "Five fields: minute, hour, day of month, month, day of week, as in “*/10 * * * *”."
        raise ScheduleInvalid("cron", text)
    try:
        first = next(CronSim(schedule.cron, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except CronSimError as problem:
        raise ScheduleInvalid("cron", f"{problem}: “*/10 * * * *” is every ten minutes.") from None
    if first is None:
        raise ScheduleInvalid("cron", "No day ever fits this expression.")


def next_tick(schedule: Schedule, after: datetime) -> datetime | None:
    """The first tick after a time, in UTC; None if there is none any more."""
    return next(ticks(schedule, after), None)


def ticks(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """All ticks after a time, in UTC. The schedule counts, and not when a run has ended: there is no drift."""
    match schedule.kind:
        case ScheduleKind.EVERY:
            yield from _every(schedule.every_seconds, after)
        case ScheduleKind.CRON:
            local = after.astimezone(ZoneInfo(schedule.time_zone))
            yield from (tick.astimezone(UTC) for tick in CronSim(schedule.cron, local))
        case ScheduleKind.ONCE:
            if schedule.at is not None and schedule.at > after:
                yield schedule.at.astimezone(UTC)


def _every(seconds: float, after: datetime) -> Iterator[datetime]:
    # In whole microseconds, which datetimes hold: sums of floats would drift apart between processes.
    step = round(seconds * 1_000_000)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    number = (after.astimezone(UTC) - epoch) // timedelta(microseconds=1) // step
    while True:
        number += 1
        yield epoch + timedelta(microseconds=number * step)


def _due(schedule: Schedule, since: datetime, until: datetime, most: int) -> tuple[list[datetime], bool]:
    """The newest ticks that are after `since` and not after `until`; and whether there are older ones left out."""
    if schedule.kind is ScheduleKind.EVERY:
        step = timedelta(microseconds=round(schedule.every_seconds * 1_000_000))
        start = max(since, until - step * (most + 1))
        return _newest(schedule, start, until, most, cut=start > since)
    found: tuple[list[datetime], bool] = ([], False)
    for horizon in _HORIZONS:
        start = max(since, until - horizon)
        found = _newest(schedule, start, until, most, cut=start > since)
        if len(found[0]) >= most or start == since:
            break
    return found


def _newest(
    schedule: Schedule, start: datetime, until: datetime, most: int, *, cut: bool
) -> tuple[list[datetime], bool]:
    found: list[datetime] = []
    for number, tick in enumerate(ticks(schedule, start)):
        if tick > until or number >= _LOOKED_AT:
            break
        found.append(tick)
        if len(found) > most:
            found.pop(0)
            cut = True
    return found, cut


@dataclass(frozen=True, slots=True)
class Due:
    """What has become due since the last look, oldest first."""

    run: tuple[datetime, ...]
    missed: tuple[datetime, ...]
    more_missed: bool  # there were older ones, which are not listed
    next_due: datetime | None


def due(schedule: Schedule, *, due_at: datetime, now: datetime, misfire: Misfire, grace_seconds: float) -> Due:
    """What of the ticks from `due_at` to `now` is run, and what was missed; `due_at` is a tick itself.

    Ticks that are at most the grace too late are run. The others are misfires: what becomes of them says the rule.
    """
    since = due_at - timedelta(microseconds=1)
    found, cut = _due(schedule, since, now, LOOKED_BACK)
    if schedule.kind is ScheduleKind.ONCE:
        found, cut = [due_at], False
    bound = now - timedelta(seconds=grace_seconds)
    late, in_time = [tick for tick in found if tick < bound], [tick for tick in found if tick >= bound]
    made_up: list[datetime] = []
    if misfire is Misfire.ALL:
        made_up = late[-MOST_CAUGHT_UP:]
    elif misfire is Misfire.ONCE and not in_time:
        made_up = late[-1:]
    missed = late[: len(late) - len(made_up)] if made_up else late
    # One run makes up for all that was missed before it, so that nobody needs to know of them.
    if misfire is Misfire.ONCE and (made_up or in_time):
        missed, cut = [], False
    more = cut or len(missed) > MOST_CAUGHT_UP
    return Due((*made_up, *in_time), tuple(missed[-MOST_CAUGHT_UP:]), more, next_tick(schedule, now))


def jitter_seconds(key: str, tick: datetime, most: float) -> float:
    """By how much a run of a job begins later than its tick: the same in every process, and less than `most`."""
    if most <= 0:
        return 0.0
    digest = sha256(f"{key} {tick.astimezone(UTC).isoformat()}".encode()).digest()
    return most * int.from_bytes(digest[:6], "big") / 2**48


def check_in_deadline(schedule: Schedule, *, seen: datetime, grace_seconds: float) -> datetime | None:
    """When something that was seen must have checked in again; None where it need not."""
    expected = (
        seen + timedelta(seconds=schedule.every_seconds)
        if schedule.kind is ScheduleKind.EVERY
        else next_tick(schedule, seen)
    )
    return None if expected is None else expected + timedelta(seconds=grace_seconds)


def retry_seconds(attempt: int) -> float:
    """How long to wait before a run is tried again after its n-th attempt."""
    return float(min(300.0, 10.0 * 2.0 ** min(attempt - 1, 10)))
