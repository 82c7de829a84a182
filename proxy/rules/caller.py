"""Who calls, and what the key may do."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Period(StrEnum):
    """How often a budget begins anew."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"  # never


@dataclass(frozen=True, slots=True)
class Budget:
    """What a key may spend in each period."""

    amount_picousd: int
    period: Period


@dataclass(frozen=True, slots=True)
class Caller:
    """A client key as the proxy sees it."""

    id: str
    name: str
    prefix: str = ""  # the first characters of the key, to recognise it by
    agent_id: str = ""
    enabled: bool = True
    expires_at: float | None = None  # epoch seconds
    allowed_models: tuple[str, ...] = ()  # patterns; none means every model
    default_model: str = ""  # what is meant where a request names no model
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    max_parallel: int | None = None
    budget: Budget | None = None
    resume: bool = False  # a stream that is cut goes on at another backend
    cache_seconds: int = 0  # how long equal requests of this key get the same answer; 0: never
    tags: tuple[str, ...] = ()

    def usable(self, now: float) -> bool:
        """Whether the key opens the door at `now` (epoch seconds)."""
        return self.enabled and (self.expires_at is None or now < self.expires_at)

    @property
    def limited(self) -> bool:
        """Whether anything must be counted before its request may go on."""
        limits = (self.rpm_limit, self.tpm_limit, self.max_parallel, self.budget)
        return any(limit is not None for limit in limits)

    def may_use(self, model: str) -> bool:
        """Whether the key may use a canonical model; `*`, `?` and `[…]` in patterns work as in file names."""
        return not self.allowed_models or any(fnmatchcase(model, pattern) for pattern in self.allowed_models)


ANYONE = Caller(id="", name="anyone")
"""The caller of a hub that serves without keys (AGENTHUB_PROXY_AUTH=open)."""
