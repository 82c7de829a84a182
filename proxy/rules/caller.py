"""Who calls, and what the key may do."""

from dataclasses import dataclass
from fnmatch import fnmatchcase


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

    def usable(self, now: float) -> bool:
        """Whether the key opens the door at `now` (epoch seconds)."""
        return self.enabled and (self.expires_at is None or now < self.expires_at)

    def may_use(self, model: str) -> bool:
        """Whether the key may use a canonical model; `*`, `?` and `[…]` in patterns work as in file names."""
        return not self.allowed_models or any(fnmatchcase(model, pattern) for pattern in self.allowed_models)


ANYONE = Caller(id="", name="anyone")
"""The caller of a hub that serves without keys (AGENTHUB_PROXY_AUTH=open)."""
