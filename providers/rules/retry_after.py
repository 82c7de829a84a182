"""When may we come back? All the ways in which upstreams say it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_EPOCH_MILLISECONDS_FROM = 1e11
_EPOCH_SECONDS_FROM = 1e9


def retry_after_seconds(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds from `now` until the upstream may be asked again, by its lower-case `headers`; None if they don't say.

    Millisecond headers are the most exact and come first, then Retry-After (seconds, decimals, or an HTTP date), then
    the latest of the `x-ratelimit-reset-*` whose `remaining` is spent (all of them where none says so).
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        milliseconds = _number(headers.get(name, ""))
        if milliseconds is not None:
            return milliseconds / 1000
    given = headers.get("retry-after", "")
    if given:
        seconds = _number(given)
        return seconds if seconds is not None else _until_date(given, now)
    return _reset_seconds(headers, now)


def _reset_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    resets: dict[str, float] = {}
    for name, value in headers.items():
        prefix, found, what = name.partition("ratelimit-reset")
        if found and prefix in ("x-", "anthropic-", ""):
            seconds = _moment(value, now)
            if seconds is not None:
                resets[what] = seconds
    spent = [
        seconds for what, seconds in resets.items() if _number(headers.get(f"x-ratelimit-remaining{what}", "")) == 0
    ]
    return max(spent or resets.values(), default=None)


def _moment(text: str, now: datetime) -> float | None:
    """A reset: seconds, a duration such as `6m0s` or `20ms`, epoch seconds or milliseconds, or a date."""
    number = _number(text)
    if number is not None:
        if number >= _EPOCH_MILLISECONDS_FROM:
            return max(0.0, number / 1000 - now.timestamp())
        return max(0.0, number - now.timestamp()) if number >= _EPOCH_SECONDS_FROM else number
    text = text.strip().lower()
    if _DURATION.fullmatch(text):
        return sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(text))
    return _until_date(text, now)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    # Also refuses nan and inf, which float() reads but no upstream means.
    return number if 0 <= number < 1e15 else None


def _until_date(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip().upper())
        except ValueError:
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
