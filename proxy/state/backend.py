"""What is counted of one backend between requests."""

from providers.rules import cooldown as cooldowns
from providers.rules.table import ErrorKind
from proxy.rules import bucket
from proxy.rules.window import OutcomeWindow

QUOTA_TRIAL_SECONDS = 15 * 60.0


class BackendState:
    """One backend's counters. Changed only by MemoryState, on the event loop."""

    __slots__ = (
        "capacity",
        "cooldown_began_at",
        "cooldown_until",
        "count_429",
        "down_trial_after",
        "emergency_at",
        "emergency_tokens",
        "error_in_table",
        "error_kind",
        "failure_cooldowns",
        "failures_in_a_row",
        "half_open",
        "in_flight",
        "latency_seconds",
        "per_minute",
        "refilled_at",
        "reset_count",
        "revived",
        "tokens",
        "tpm_at",
        "tpm_tokens",
        "trial_after",
        "trial_under_way",
        "window",
    )

    def __init__(self, now: float, reset_count: int) -> None:
        self.tokens = self.capacity = 0.0
        self.per_minute: float | None = None
        self.refilled_at = now
        self.tpm_tokens = float("inf")  # full: the first look caps it at the bucket's capacity
        self.tpm_at = now
        self.in_flight = 0
        self.latency_seconds = 0.0
        self.emergency_tokens = float("inf")  # full: the first look caps it at the bucket's capacity
        self.emergency_at = now
        self.reset(reset_count)

    def reset(self, reset_count: int) -> None:
        """Forget what was found out: an operator or a probe knows better."""
        self.reset_count = reset_count
        self.cooldown_until = 0.0
        self.cooldown_began_at = float("-inf")
        self.count_429 = self.failures_in_a_row = self.failure_cooldowns = 0
        self.half_open = self.trial_under_way = False
        self.error_kind = ErrorKind.NONE
        self.error_in_table = False
        self.trial_after = 0.0
        self.down_trial_after = 0.0
        self.revived = False  # a trial has succeeded at what the table still calls down
        self.window = OutcomeWindow(cooldowns.WINDOW_SECONDS)

    def refill(self, now: float) -> None:
        """Bring the bucket up to `now`."""
        if self.per_minute is not None:
            self.tokens = bucket.refilled(
                self.tokens, elapsed_seconds=now - self.refilled_at, per_minute=self.per_minute, capacity=self.capacity
            )
        self.refilled_at = now

    def refill_tpm(self, per_minute: float, now: float) -> None:
        """Bring the bucket of tokens per minute up to `now`; it holds at most one minute's tokens."""
        self.tpm_tokens = bucket.refilled(
            self.tpm_tokens, elapsed_seconds=now - self.tpm_at, per_minute=per_minute, capacity=per_minute
        )
        self.tpm_at = now

    def set_limit(self, per_minute: float | None, capacity: float, now: float) -> None:
        """A new limit applies to the running bucket: what was used stays used."""
        if per_minute == self.per_minute and capacity == self.capacity:
            return
        self.refill(now)
        used = self.capacity - self.tokens if self.per_minute is not None else 0.0
        self.per_minute, self.capacity = per_minute, capacity
        self.tokens = max(0.0, capacity - used)
