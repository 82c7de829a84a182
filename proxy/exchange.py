"""One request of a client, from its first byte to its usage record."""

from hashlib import blake2b

import msgspec

from agenthub.core import clock
from agenthub.core.ids import request_id
from providers.rules.pricing import cost_picousd
from providers.rules.table import Candidate, MappingEntry, PoolCandidates
from providers.rules.tokens import estimate_prompt_tokens, estimate_tokens
from proxy.client import Client, Headers
from proxy.continuation import Continuation
from proxy.form import Form
from proxy.rules.caller import ANYONE, Caller
from proxy.rules.endpoints import Endpoint, Format
from proxy.rules.rate_headers import rate_headers
from proxy.rules.record import Attempt, ErrorType, RequestBegun, RequestEnded
from proxy.rules.routing import candidates_for
from proxy.runtime import Runtime
from proxy.state.keys import Admission
from proxy.wire.dialects import Dialect, Json
from proxy.wire.openai import Intake, asked_tokens
from proxy.wire.prefill import SaidSoFar
from proxy.wire.usage import Usage, added

SESSION_HEADERS = (
    b"x-agenthub-session",
    b"x-session-id",
    b"session-id",
    b"session_id",
    b"conversation_id",
    b"x-claude-code-session-id",
    b"x-opencode-session",
    b"x-session-affinity",
    b"x-kilocode-taskid",
)
"""Headers in which coding agents and their libraries name a conversation, our own first."""

SESSION_PROMPT_BYTES = 1024
WORK_ITEM_HEADER = b"x-agenthub-work-item"
MOST_WORK_ITEM_BYTES = 200
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
        "continued",
        "emergency",
        "endpoint",
        "first_content_at",
        "form",
        "forwarded",
        "header",
        "headers",
        "id",
        "intake",
        "own_headers",
        "query",
        "recorded",
        "runtime",
        "said",
        "started_at",
        "started_at_us",
        "text",
        "trail",
        "translations",
        "upstream_seconds",
        "usage",
        "waited_seconds",
        "work_item",
    )

    def __init__(
        self, runtime: Runtime, client: Client, endpoint: Endpoint, headers: Headers, *, query: str = ""
    ) -> None:
        self.runtime = runtime
        self.client = client
        self.endpoint = endpoint
        self.headers = headers
        self.header = dict(headers)  # where one name stands twice, the last counts
        work_item = self.header.get(WORK_ITEM_HEADER)
        self.work_item = work_item[:MOST_WORK_ITEM_BYTES].decode("latin-1") if work_item is not None else ""
        self.id = request_id()
        self.started_at = clock.monotonic_seconds()
        self.started_at_us = clock.epoch_microseconds()
        self.caller: Caller = ANYONE
        self.query = query
        self.body = b""
        self.form: Form | None = None  # a body that is kept on the disk
        self.translations: dict[tuple[Format, int], Json] = {}  # the request as backends of other formats get it
        self.said: SaidSoFar | None = None  # what a stream has said that may go on at another backend, were it cut
        self.continued: Continuation | None = None  # such a stream, once it was cut
        self.intake = _NO_INTAKE
        self.candidate: Candidate | None = None  # the backend that answered, or the last that was tried
        self.attempts = 0
        self.emergency = False
        self.trail: list[Attempt] = []
        self.own_headers: Headers = []  # what else the answer says of how it came about
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
        envelope = self.intake.envelope
        named = envelope.get("prompt_cache_key") or envelope.get("metadata")
        if named is not None and (b"session" in bytes(named) or "prompt_cache_key" in envelope):
            return blake2b(bytes(named), digest_size=16).digest()
        messages = envelope.get("messages") or envelope.get("input") or envelope.get("prompt")
        start = bytes(messages)[:SESSION_PROMPT_BYTES] if messages is not None else b""
        return blake2b(start, key=self.caller.id.encode()[:64], digest_size=16).digest()

    def tokens_to_reserve(self) -> int:
        """What to reserve of a backend's tokens per minute: the prompt by estimate, and the answer's bound if the
        caller gave one."""
        if self._to_reserve is None:
            self._to_reserve = self.prompt_tokens() + asked_tokens(self.intake)
        return self._to_reserve

    def prompt_tokens(self) -> int:
        """About how many tokens the prompt has."""
        return estimate_prompt_tokens(self.body)

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
                self.work_item,
                self.endpoint.name,
                self.intake.model,
                self.intake.stream,
                len(self.body) // 4 if self.endpoint.generates else 0,
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

    def pools(self) -> tuple[PoolCandidates, ...]:
        """The candidates of this request, by pool. Looked up anew each time, since the table may change meanwhile."""
        routing, endpoint = self.runtime.snapshot.routing, self.endpoint
        if self.intake.model:
            return candidates_for(routing, self.intake.model, endpoint.kinds)
        return routing.by_service.get(endpoint.service, ()) if endpoint.service is not None else ()

    def translated(self, dialect: Dialect, mapping: MappingEntry) -> Json:
        """The request in the words of a backend. Raises Untranslatable."""
        key = (dialect.upstream, mapping.max_tokens)
        found = self.translations.get(key)
        if found is None:
            found = self.translations[key] = dialect.translated(self.body, mapping=mapping)
        return found

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
        prices = [each.mapping.prices.input for pool in self.pools() for each in pool.candidates]
        least = min((price for price in prices if price is not None), default=0)
        return estimate_prompt_tokens(self.body) * least

    def _settle(self, admission: Admission, record: RequestEnded) -> None:
        used = record.input_tokens + record.cache_read_tokens + record.cache_write_tokens
        used += record.output_tokens + record.reasoning_tokens
        self.runtime.limits.settle(admission, used_tokens=used, picousd=record.cost_picousd)

    def _overhead(self, now: float) -> float:
        return max(0.0, now - self.started_at - self.waited_seconds - self.upstream_seconds)

    def _record(self, status: int, error_type: str, partial: bool, now: float) -> RequestEnded:
        usage, cost = self._bill(begun=partial or self.first_content_at is not None)
        backend = self.candidate.backend if self.candidate is not None else None
        return RequestEnded(
            self.id,
            self.started_at_us,
            self.caller.id,
            self.caller.agent_id,
            self.work_item,
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

    def carry_over(self, said: SaidSoFar) -> None:
        """Keep what a stream has said and cost that was cut and may go on elsewhere, and count anew from here."""
        usage, cost = self._bill(begun=True)
        self.continued = Continuation(said, usage, cost)
        self.usage, self.text = None, []

    def _bill(self, *, begun: bool) -> tuple[Usage, int | None]:
        """Usage and cost: as reported, else estimated where something was generated, else nothing."""
        if self.candidate is None:
            return Usage(), None
        usage, carried = self.usage, self.continued
        # Of a stream that goes on elsewhere the part there begins with its first text.
        if usage is None and (self.text or (begun and carried is None)):
            usage = self.estimated_usage()
        cost = None if usage is None else self._cost(usage, self.candidate)
        if carried is not None:
            cost = carried.cost_picousd if usage is None else _sum(carried.cost_picousd, cost)
            usage = added(carried.usage, usage)
        if usage is None:
            return Usage(), None
        self.usage = usage
        return usage, cost

    def _cost(self, usage: Usage, candidate: Candidate) -> int | None:
        return cost_picousd(
            candidate.mapping.prices,
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning_tokens,
        )

    def estimated_usage(self) -> Usage | None:
        """Usage by estimate of what was sent and what has come; None where the answer is no text."""
        if not self.endpoint.generates and self.endpoint.name != "embeddings":
            return None
        return Usage(
            input_tokens=estimate_prompt_tokens(self.body),
            output_tokens=estimate_tokens("".join(self.text)),
            estimated=True,
        )

    def routing_headers(self) -> Headers:
        """The headers that say how the request was served."""
        headers = [(b"x-request-id", self.id.encode()), (b"x-agenthub-attempts", b"%d" % self.attempts)]
        if self.candidate is not None:
            backend = self.candidate.backend
            headers.append((b"x-agenthub-backend", backend.id.encode()))
            headers.append((b"x-agenthub-pool", header_text(backend.pool)))
        headers += self.own_headers
        if self.caller.limited:
            requests, tokens = self.runtime.limits.remaining(self.caller, now=clock.monotonic_seconds())
            headers += rate_headers(requests, tokens)
        return headers


def _sum(one: int | None, other: int | None) -> int | None:
    """The cost of two parts; not known where that of one is not."""
    return None if one is None or other is None else one + other


def header_text(text: str) -> bytes:
    """Text as a header value: what is not visible ASCII is escaped as in JSON."""
    return msgspec.json.encode(text)[1:-1] if text.isascii() else text.encode("ascii", "backslashreplace")
