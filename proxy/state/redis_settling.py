"""What becomes of requests and their backends, told to the state that all processes share."""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, cast

from agenthub.core.params import RuntimeSettings
from providers.rules.table import BackendEntry, ErrorKind
from proxy.state import scripts
from proxy.state.mirror import MirrorState
from proxy.state.protocol import CooldownBegun, Lease, Told
from proxy.state.shared import Shared, no_matter, or_false


class SharedLease(Lease):
    """A lease that other processes can be told of."""

    id: str = ""
    redis_taken_at: float = 0.0  # by the clock of Redis
    alone: bool = False  # given out by this process, of its own share
    cleared_alone: bool = False  # what this process would say that its success has reset
    told: "asyncio.Future[bool] | None" = None  # hears what it really has; the success is said with the release


class Settling:
    """The half of `RedisState` that needs no answer before a request goes on."""

    def __init__(self, shared: Shared, *, processes: int, chance: random.Random | None = None) -> None:
        self.processes = processes
        self.mirror = MirrorState(processes=processes)
        self._shared = shared
        self._chance = chance or random.Random()
        self._settings = RuntimeSettings()

    def _keys(self, backend_id: str) -> tuple[bytes, bytes]:
        return self._shared.name(b"b", backend_id)

    def _goes_there(self, lease: Lease) -> bool:
        return self._shared.is_shared and self.mirror.state_of(lease.candidate.backend.id) is not None

    def give_back(self, lease: Lease) -> None:
        """See `State.give_back`."""
        self.mirror.give_back(lease)
        self._release(lease, used_tokens=0, give_back=not lease.emergency)

    def release(self, lease: Lease, *, now: float, used_tokens: int) -> None:
        """See `State.release`."""
        self.mirror.release(lease, now=now, used_tokens=used_tokens)
        self._release(lease, used_tokens=used_tokens)

    def _release(self, lease: Lease, *, used_tokens: int, give_back: bool = False) -> None:
        lease = cast(SharedLease, lease)
        backend = lease.candidate.backend
        self._shared.let_go(lease.id)
        told = lease.told

        def then(answer: Any) -> None:
            if told is not None:
                told.set_result(lease.cleared_alone if answer is None else answer[1] == "cleared")
            if answer is None:
                self._part(backend, lease.id)

        ask = {
            "release": True,
            "give_back": give_back and not lease.alone,
            "lease": lease.id,
            "tpm": or_false(backend.tpm_limit),
            "unused": (0 if lease.alone else lease.reserved_tokens) - used_tokens,
        }
        if told is not None:
            ask |= {"finding": "succeeded", **self._attempt(lease)}
        self._settle(backend.id, ask, then)

    def _part(self, backend: BackendEntry, lease_id: str) -> None:
        """Redis is away, and may have a lease that nobody has any more: release it when it is back."""
        ask = {"release": True, "lease": lease_id, "unused": 0, "backend": backend.id, "channel": self._shared.channel}
        self._shared.part(scripts.SETTLE, self._keys(backend.id), ask)

    def _settle(self, backend_id: str, ask: Mapping[str, Any], then: Callable[[Any], None] = no_matter) -> None:
        if not self._shared.is_shared:
            then(None)
            return
        about = {"backend": backend_id, "channel": self._shared.channel}
        self._shared.send(scripts.SETTLE, self._keys(backend_id), {**about, **ask}, then)

    def _attempt(self, lease: SharedLease) -> dict[str, Any]:
        state = self.mirror.state_of(lease.candidate.backend.id)
        return {
            "taken_at": lease.redis_taken_at,
            "trial": lease.trial,
            "emergency": lease.emergency,
            "jitter": self._chance.random(),
            "known_error": str(state.error_kind) if state is not None else "",
        }

    def succeeded(self, lease: Lease, *, now: float, latency_seconds: float) -> Told[bool]:
        """See `State.succeeded`. It is said together with the release, which follows at once."""
        lease = cast(SharedLease, lease)
        goes_there = self._goes_there(lease)
        lease.cleared_alone = self.mirror.succeeded(lease, now=now, latency_seconds=latency_seconds)
        if not goes_there:
            return lease.cleared_alone
        lease.told = asyncio.get_running_loop().create_future()
        return lease.told

    def rate_limited(self, lease: Lease, *, now: float, given_seconds: float | None) -> Told[CooldownBegun | None]:
        """See `State.rate_limited`."""
        settings = self._settings
        finding = {
            "finding": "rate_limited",
            "given": or_false(given_seconds),
            "base": settings.cooldown_base_seconds,
            "cap": settings.cooldown_max_seconds,
            "exponential": settings.cooldown_exponential_backoff,
        }

        def alone() -> CooldownBegun | None:
            return self.mirror.rate_limited(lease, now=now, given_seconds=given_seconds)

        return self._found(lease, finding, now=now, alone=alone)

    def failed(self, lease: Lease, *, now: float) -> Told[CooldownBegun | None]:
        """See `State.failed`."""
        return self._found(lease, {"finding": "failed"}, now=now, alone=lambda: self.mirror.failed(lease, now=now))

    def _found(
        self, lease: Lease, finding: Mapping[str, Any], *, now: float, alone: Callable[[], CooldownBegun | None]
    ) -> Told[CooldownBegun | None]:
        lease = cast(SharedLease, lease)
        if not self._goes_there(lease):
            return alone()
        told: asyncio.Future[CooldownBegun | None] = asyncio.get_running_loop().create_future()
        failed = finding["finding"] == "failed"

        def then(answer: Any) -> None:
            if answer is not None and failed:
                self.mirror.failure_seen(lease, now=now)
            reason = "failures" if failed else "rate_limited"
            told.set_result(alone() if answer is None else self._begun(lease, answer, reason))

        self._settle(lease.candidate.backend.id, {**self._attempt(lease), **finding}, then)
        return told

    def _begun(self, lease: Lease, answer: list[Any], reason: str) -> CooldownBegun | None:
        _, news, seconds, count, left = answer
        backend_id = lease.candidate.backend.id
        if left > 0:
            self.mirror.cooled(backend_id, now=self._shared.monotonic(), seconds=left, count=int(count))
        if not news:
            return None
        return CooldownBegun(backend_id, float(seconds), int(count), reason, news == "extended")

    def errored(self, lease: Lease, *, now: float, kind: ErrorKind) -> Told[bool]:
        """See `State.errored`."""
        goes_there = self._goes_there(lease)
        news = self.mirror.errored(lease, now=now, kind=kind)
        if not goes_there:
            return news
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def then(answer: Any) -> None:
            told.set_result(news if answer is None else answer[1] == "error")

        self._settle(lease.candidate.backend.id, {"finding": "errored", "error": str(kind)}, then)
        return told
