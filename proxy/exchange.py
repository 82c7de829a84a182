"""One request of a client, from its first byte to its usage record."""

from hashlib import blake2b

import msgspec

from agenthub.core import clock
from agenthub.core.ids import request_id
from providers.rules.pricing import cost_picousd
from providers.rules.table import Candidate
from providers.rules.tokens import estimate_prompt_tokens, estimate_tokens
from proxy.client import Client, Headers
from proxy.rules.caller import ANYONE, Caller
from proxy.rules.endpoints import Endpoint
from proxy.rules.rate_headers import rate_headers
from proxy.rules.record import Attempt, ErrorType, RequestBegun, RequestEnded
from proxy.rules.routing import candidates_for
from proxy.runtime import Runtime
from proxy.state.keys import Admission
from proxy.wire.openai import Intake, asked_tokens
from proxy.wire.usage import Usage

SESSION_HEADERS = (b"x-agenthub-session", b"x-session-id", b"session-id", b"session_id")
SESSION_PROMPT_BYTES = 1024
_NO_INTAKE = Intake({}, "", False, False)


class Exchange:
    """What is known of the request so far. Mutable, and seen by one task only."""

    __slots__ = (
        "_to_reserve",
        "admission",
        "attempts",
        "body",
        "caller",
        "candidate",
        "client",
        "emergency",
        "endpoint",
        "first_content_at",
        "forwarded",
        "header",
        "headers",
        "id",
        "intake",
        "recorded",
        "runtime",
        "started_at",
        "started_at_us",
        "text",
        "trail",
        "upstream_seconds",
        "usage",
        "waited_seconds",
    )

    def __init__(self, runtime: Runtime, client: Client, endpoint: Endpoint, headers: Headers) -> None:
        self.runtime = runtime
        self.client = client
        self.endpoint = endpoint
        self.headers = headers
        self.header = dict(headers)  # where one name stands twice, the last counts
        self.id = request_id()
        self.started_at = clock.monotonic_seconds()
        self.started_at_us = clock.epoch_microseconds()
        self.caller: Caller = ANYONE
        self.body = b""
        self.intake = _NO_INTAKE
        self.candidate: Candidate | None = None  # the backend that answered, or the last that was tried
        self.attempts = 0
        self.emergency = False
        self.trail: list[Attempt] = []
        self.recorded = False
        self.admission: Admission | None = None  # what its key had to have room for
        self.forwarded = False
        self.usage: Usage | None = None
        self._to_reserve: int | None = None
        self.text: list[str] = []  # what was generated, as far as it is known
        self.first_content_at: float | None = None
        self.waited_seconds = 0.0
        self.upstream_seconds = 0.0  # time in which the upstream was to act

    def session(self) -> bytes:
        """What keeps a conversation on one backend of a sticky pool: the session named by the client, else its key
        with the first of its messages."""
        for name in SESSION_HEADERS:
            if name in self.header:
                return self.header[name][:64]
        messages = self.intake.envelope.get("messages") or self.intake.envelope.get("prompt")
        start = bytes(messages)[:SESSION_PROMPT_BYTES] if messages is not None else b""
        return blake2b(start, key=self.caller.id.encode()[:64], digest_size=16).digest()

    def tokens_to_reserve(self) -> int:
        """What to reserve of a backend's tokens per minute: the prompt by estimate, and the answer's bound if the
        caller gave one."""
        if self._to_reserve is None:
            self._to_reserve = estimate_prompt_tokens(self.body) + asked_tokens(self.intake)
        return self._to_reserve

    def begin(self) -> None:
        """Write the beginning to the journal, once, before any backend sees the request. Raises JournalFull."""
        if self.forwarded:
            return
        self.runtime.journal.begin(
            RequestBegun(
                self.id,
                self.started_at_us,
                self.caller.id,
                self.caller.agent_id,
                "",
                self.endpoint.name,
                self.intake.model,
                self.intake.stream,
                len(self.body) // 4,
            )
        )
        self.forwarded = True

    async def end(self, status: int, error_type: str = ErrorType.NONE, *, partial: bool = False) -> None:
        """Write the record to the journal, once, and count it; before the client gets the last byte."""
        if self.recorded:
            return
        self.recorded = True
        now = clock.monotonic_seconds()
        record = self._record(status, error_type, partial, now)
        self.runtime.journal.end(record)
        if self.admission is not None:
            self._settle(self.admission, record)
        self.runtime.metrics.count(record, overhead_seconds=self._overhead(now), usage=self.usage)
        if self.runtime.sync_always:
            await self.runtime.journal.synced()

    async def admit(self) -> None:
        """Have the key's limits and budget checked and taken. Raises RateLimited or BudgetExceeded."""
        if self.caller.limited:
            self.admission = await self.runtime.limits.admit(
                self.caller,
                now=clock.monotonic_seconds(),
                epoch=clock.epoch_seconds(),
                tokens=self.tokens_to_reserve,
                picousd=self._cost_to_reserve,
            )

    def _cost_to_reserve(self) -> int:
        """What the prompt costs at least, in picodollars; what the answer will cost nobody knows."""
        pools = candidates_for(self.runtime.snapshot.routing, self.intake.model, self.endpoint.kinds)
        prices = [each.mapping.prices.input for pool in pools for each in pool.candidates]
        least = min((price for price in prices if price is not None), default=0)
        return estimate_prompt_tokens(self.body) * least

    def _settle(self, admission: Admission, record: RequestEnded) -> None:
        used = record.input_tokens + record.cache_read_tokens + record.cache_write_tokens
        used += record.output_tokens + record.reasoning_tokens
        self.runtime.limits.settle(admission, used_tokens=used, picousd=record.cost_picousd)

    def _overhead(self, now: float) -> float:
        return max(0.0, now - self.started_at - self.waited_seconds - self.upstream_seconds)

    def _record(self, status: int, error_type: str, partial: bool, now: float) -> RequestEnded:
        usage, cost = self._bill(partial)
        backend = self.candidate.backend if self.candidate is not None else None
        return RequestEnded(
            self.id,
            self.started_at_us,
            self.caller.id,
            self.caller.agent_id,
            "",
            self.endpoint.name,
            self.intake.model,
            self.candidate.mapping.native_id if self.candidate is not None else "",
            backend.id if backend is not None else "",
            backend.pool if backend is not None else "",
            self.intake.stream,
            status,
            str(error_type),
            self.attempts,
            usage.input_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
            usage.estimated,
            cost,
            int((now - self.started_at) * 1e6),
            int((self.first_content_at - self.started_at) * 1e6) if self.first_content_at is not None else None,
            int(self.waited_seconds * 1e6),
            self.emergency,
            partial,
            tuple(self.trail),
        )

    def _bill(self, partial: bool) -> tuple[Usage, int | None]:
        """Usage and cost: as reported, else estimated where something was generated, else nothing."""
        if self.candidate is None:
            return Usage(), None
        usage = self.usage
        if usage is None and (self.text or partial or self.first_content_at is not None):
            usage = Usage(
                input_tokens=estimate_prompt_tokens(self.body),
                output_tokens=estimate_tokens("".join(self.text)),
                estimated=True,
            )
        if usage is None:
            return Usage(), None
        self.usage = usage
        return usage, cost_picousd(
            self.candidate.mapping.prices,
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning_tokens,
        )

    def routing_headers(self) -> Headers:
        """The headers that say how the request was served."""
        headers = [(b"x-request-id", self.id.encode()), (b"x-agenthub-attempts", b"%d" % self.attempts)]
        if self.candidate is not None:
            backend = self.candidate.backend
            headers.append((b"x-agenthub-backend", backend.id.encode()))
            headers.append((b"x-agenthub-pool", header_text(backend.pool)))
        if self.caller.limited:
            requests, tokens = self.runtime.limits.remaining(self.caller, now=clock.monotonic_seconds())
            headers += rate_headers(requests, tokens)
        return headers


def header_text(text: str) -> bytes:
    """Text as a header value: what is not visible ASCII is escaped as in JSON."""
    return msgspec.json.encode(text)[1:-1] if text.isascii() else text.encode("ascii", "backslashreplace")
