"""One try at one backend: send, listen, and hand a stream on to the client while it comes.

Everything between the first and the last event of a stream happens in the callbacks of the upstream connection: the
request's task sleeps on one future until the attempt has an outcome.
"""

import asyncio
import zlib
from dataclasses import dataclass, field
from typing import Literal

from agenthub.core import clock
from proxy.client import Headers
from proxy.exchange import Exchange
from proxy.relay import Failure, StreamRelay, WholeAnswer
from proxy.rules import verdict as verdicts
from proxy.rules.endpoints import Format
from proxy.rules.limits import MOST_INFLATED_BYTES
from proxy.rules.verdict import Verdict, judge, status_named_by
from proxy.state.protocol import Lease
from proxy.upstream import (
    AddressRefused,
    AnswerInvalid,
    BodyFailed,
    Connection,
    ConnectionBroken,
    Origin,
    OutgoingProxyFailed,
    UpstreamFailed,
)
from proxy.upstream_request import upstream_request
from proxy.wire.dialects import dialect_of
from proxy.wire.untranslatable import Untranslatable

SLOWEST_UPLOAD = 256 * 1024
"""Bytes per second that a form is given time for, before its answer is waited for."""

Phase = Literal["connect", "headers", "first_token", "idle", "total", "client"]


@dataclass(slots=True)
class Outcome:
    """How an attempt ended. `streamed`: something of it has gone to the client, so no other backend can take over."""

    verdict: Verdict
    status: int = 0  # the upstream's HTTP status; 0 without one
    headers: Headers = field(default_factory=list)
    body: bytes = b""  # a whole JSON answer, an error's body, or words about what went wrong
    streamed: bool = False
    last: bytes = b""  # the last piece of what was streamed, held until the record is written
    client_stalled: bool = False
    content_at: float | None = None  # when the first content of a stream came (monotonic seconds)


class Attempt:
    """The `Sink` of one upstream exchange."""

    def __init__(self, exchange: Exchange, lease: Lease) -> None:
        self.exchange = exchange
        self.candidate = lease.candidate
        self.backend = lease.candidate.backend
        self.mapping = lease.candidate.mapping
        self._runtime = exchange.runtime
        self._settings = exchange.runtime.snapshot.settings
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[Outcome | None] = self._loop.create_future()  # None: dial again
        self._connection: Connection | None = None
        self._reader: StreamRelay | WholeAnswer | None = None
        self._status = 0
        self._headers: Headers = []
        self._inflate: zlib._Decompress | None = None
        self._phase: Phase = "headers"
        self.deadline = 0.0
        self._total_deadline = float("inf")
        self.content_at: float | None = None  # when the first content of a stream came
        self._unsent_bytes = 0  # of a client that is waited for, at the last look
        self.dialect = dialect_of(exchange.endpoint, self.backend.api)
        self.asks_usage = exchange.intake.stream and self.backend.id not in exchange.runtime.without_usage

    async def run(self) -> Outcome:
        """Carry the attempt out. Cancelling it ends the upstream request at once."""
        exchange = self.exchange
        try:
            origin, data = upstream_request(exchange, self.candidate, self.dialect, asks_usage=self.asks_usage)
        except Untranslatable as problem:
            return Outcome(verdicts.UNTRANSLATABLE, body=problem.message.encode())
        try:
            outcome = await self._exchange(origin, data, self._runtime.pool.kept(origin))
            while outcome is None:
                # A kept connection that the upstream had closed meanwhile: not its fault, and nothing was processed.
                self._done = self._loop.create_future()
                outcome = await self._exchange(origin, data, None)
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._runtime.deadlines.forget(self)
            exchange.client.when_drained(None)
            self._reader = None  # they point at each other; a cycle less for the garbage collector
        if self._connection is not None:
            self._runtime.pool.settle(origin, self._connection)
        return outcome

    async def _exchange(self, origin: Origin, data: bytes, connection: Connection | None) -> Outcome | None:
        if connection is None:
            try:
                async with asyncio.timeout(self._settings.connect_timeout_seconds):
                    connection = await self._runtime.pool.connect(origin)
            except TimeoutError:
                return Outcome(verdicts.timed_out("connect"))
            except AddressRefused as problem:
                return Outcome(verdicts.ADDRESS_REFUSED, body=str(problem).encode())
            except UpstreamFailed as problem:
                return Outcome(verdicts.CONNECT_FAILED, body=str(problem).encode())
        self._connection = connection
        self._set_limits()
        form = self.exchange.form
        connection.start(self, data, None if form is None else form.body(self.mapping.native_id))
        return await self._done

    # Time limits

    def _set_limits(self) -> None:
        now = clock.monotonic_seconds()
        if self.exchange.intake.stream:
            self._phase = "first_token"
            seconds = self.mapping.first_token_timeout_seconds or self._settings.first_token_timeout_seconds
            if self._settings.stream_total_timeout_seconds:
                self._total_deadline = now + self._settings.stream_total_timeout_seconds
        else:
            self._phase = "headers"
            seconds = self.backend.timeout_seconds
            if self.exchange.form is not None:
                seconds += self.exchange.form.size / SLOWEST_UPLOAD
        self.deadline = min(now + seconds, self._total_deadline)
        self._runtime.deadlines.watch(self)

    def overdue(self, now: float) -> None:
        """A time limit has passed: nobody waits any longer, unless it is for a client that reads, if slowly."""
        client = self.exchange.client
        if now >= self._total_deadline:
            self._phase = "total"
        elif client.congested and self._phase == "idle":
            unsent = client.unsent_bytes
            if unsent < self._unsent_bytes:
                self._unsent_bytes = unsent
                self.alive()
                return
            self._phase = "client"
        self._runtime.deadlines.forget(self)
        self.abort()
        if isinstance(self._reader, StreamRelay) and self._phase != "client":
            # A stream that falls silent behind its finish reason is complete; the relay knows.
            self._reader.fail(Failure(verdicts.timed_out(self._phase), ""))
            return
        outcome = Outcome(
            verdicts.CLIENT_STALLED if self._phase == "client" else verdicts.timed_out(self._phase),
            status=self._status,
            streamed=self._reader is not None and self._reader.committed,
            client_stalled=self._phase == "client",
        )
        self.settle(outcome)

    def alive(self) -> None:
        """A piece of a stream that has begun: the idle limit starts anew."""
        idle = clock.monotonic_seconds() + self._settings.stream_idle_timeout_seconds
        self.deadline = min(idle, self._total_deadline)

    # What the readers need.

    def settle(self, outcome: Outcome | None) -> None:
        """The attempt has ended."""
        if not self._done.done():
            self._done.set_result(outcome)

    @property
    def settled(self) -> bool:
        """Whether the attempt has ended."""
        return self._done.done()

    @property
    def headers(self) -> Headers:
        """The upstream's headers."""
        return self._headers

    def abort(self) -> None:
        """The rest of the upstream's answer is of no use."""
        if self._connection is not None:
            self._connection.abort()

    def commit(self) -> None:
        """The first content goes to the client now: from here on only silence inside the stream is limited."""
        self._phase = "idle"
        self.content_at = clock.monotonic_seconds()
        self.alive()

    def throttle(self) -> None:
        """The client's socket is full: read no more of the upstream until it has room."""
        if self._connection is not None:
            self._connection.pause()
            self._unsent_bytes = self.exchange.client.unsent_bytes
            self.exchange.client.when_drained(self._go_on)

    def _go_on(self) -> None:
        self.exchange.client.when_drained(None)
        self.alive()
        if self._connection is not None:
            self._connection.resume()

    # Sink

    def on_head(self, status: int, headers: Headers) -> None:
        """The upstream has begun to answer."""
        self._status, self._headers = status, headers
        header = dict(headers)
        content_type = header.get(b"content-type", b"").lower()
        encoding = header.get(b"content-encoding", b"").strip().lower()
        length = int(header.get(b"content-length", -1))
        if encoding and encoding != b"identity":
            # Asked not to, some upstreams compress all the same.
            if encoding not in (b"gzip", b"x-gzip", b"deflate"):
                self.on_failure(AnswerInvalid(f"The upstream compresses with {encoding.decode('latin-1')}."))
                return
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
            length = -1
        streams = self.exchange.intake.stream and status == 200 and b"json" not in content_type
        if streams:
            self._reader = StreamRelay(self)
            return
        opaque = self.dialect.client is Format.PLAIN and b"json" not in content_type
        self._reader = WholeAnswer(self, status, headers, length, opaque=opaque)
        if not opaque and status == 200 and b"event-stream" in content_type:
            self.on_failure(AnswerInvalid("The upstream streams although no stream was asked for."))

    def on_data(self, data: bytes) -> None:
        """A piece of the body."""
        if self._inflate is not None:
            try:
                data = self._inflate.decompress(data, MOST_INFLATED_BYTES)
            except zlib.error:
                self.on_failure(AnswerInvalid("The upstream's compressed answer can't be unpacked."))
                return
            if self._inflate.unconsumed_tail:
                self.on_failure(AnswerInvalid("The upstream's compressed answer unpacks to too much."))
                return
        if self._reader is not None and not self._done.done() and data:
            self._reader.feed(data)

    def on_end(self) -> None:
        """The body is whole."""
        if self._inflate is not None and not self._inflate.eof:
            self.on_failure(AnswerInvalid("The upstream's compressed answer is cut off."))
        elif self._reader is not None and not self._done.done():
            self._reader.end()

    def on_failure(self, failure: UpstreamFailed) -> None:
        """The connection broke or what came made no sense."""
        self.abort()
        if self._done.done():
            return
        if isinstance(failure, BodyFailed):
            self.settle(Outcome(verdicts.BODY_FAILED, body=str(failure).encode()))
            return
        if isinstance(failure, OutgoingProxyFailed):
            self.settle(Outcome(verdicts.CONNECT_FAILED, body=str(failure).encode()))
            return
        if isinstance(failure, ConnectionBroken) and failure.untouched:
            if failure.reused:
                self.settle(None)
            else:
                self.settle(Outcome(verdicts.RESET, body=str(failure).encode()))
            return
        invalid = isinstance(failure, AnswerInvalid)
        verdict = verdicts.INVALID if invalid else verdicts.ENDED_EARLY
        if self._reader is None:
            self.settle(Outcome(verdict, status=self._status, body=str(failure).encode()))
        else:
            self._reader.fail(Failure(verdict, str(failure)))

    def outcome(self, verdict: Verdict, *, body: bytes = b"", streamed: bool = False, last: bytes = b"") -> Outcome:
        """An outcome with the upstream's status and headers."""
        return Outcome(verdict, self._status, self._headers, body, streamed, last, content_at=self.content_at)

    def error_outcome(self, error: bytes, *, streamed: bool = False) -> Outcome:
        """The outcome of an error object that came with a 200: as if it had come with the status that it names."""
        status = status_named_by(error)
        headers = [(name, value) for name, value in self._headers if name != b"content-type"]
        headers.append((b"content-type", b"application/json"))
        return Outcome(judge(status, error), status, headers, error, streamed)
