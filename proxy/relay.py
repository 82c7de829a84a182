"""What becomes of an upstream's body: collected and looked at, or handed on to the client piece by piece."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agenthub.core import clock
from providers.rules.tokens import estimate_tokens
from proxy.answer_headers import answer_headers, stream_headers
from proxy.rules import verdict as verdicts
from proxy.rules.endpoints import Format
from proxy.rules.limits import (
    MOST_ERROR_BYTES,
    MOST_ESTIMATED_CHARACTERS,
    MOST_EVENT_BYTES,
    MOST_HELD_BYTES,
    MOST_HELD_EVENTS,
    MOST_LOOKED_AT_BYTES,
    MOST_TRANSLATED_BYTES,
    TAIL_BYTES,
)
from proxy.rules.verdict import Verdict, judge
from proxy.wire.dialects import StreamTranslation
from proxy.wire.openai import Kind, usage_in_tail
from proxy.wire.sse import EventSplitter, EventTooLarge, data_of
from proxy.wire.untranslatable import Untranslatable
from proxy.wire.usage import Usage

if TYPE_CHECKING:
    from proxy.attempt import Attempt


_PASSED_ON = frozenset({Kind.CONTENT, Kind.QUIET, Kind.USAGE})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a body broke off."""

    verdict: Verdict
    message: str


class WholeAnswer:
    """A body that is looked at before it is sent: errors, and JSON answers unless they are very large."""

    __slots__ = (
        "_attempt",
        "_good",
        "_headers",
        "_length",
        "_most",
        "_pieces",
        "_size",
        "_status",
        "_tail",
        "committed",
    )

    def __init__(
        self,
        attempt: "Attempt",
        status: int,
        headers: list[tuple[bytes, bytes]],
        length: int,
        *,
        opaque: bool = False,
    ) -> None:
        """`opaque`: what comes is no JSON, so there is nothing to look at."""
        self._attempt = attempt
        self._good = status == 200 or (status < 300 and attempt.dialect.client is Format.PLAIN)
        # What is to be translated must be there whole.
        self._most = MOST_TRANSLATED_BYTES if attempt.dialect.translates else MOST_LOOKED_AT_BYTES
        self._status = status
        self._headers = headers
        self._length = length
        self._pieces: list[bytes] = []
        self._size = 0
        self._tail = b""
        self.committed = False
        if self._good and (opaque or (length > self._most and not attempt.dialect.translates)):
            self._stream_on()
            if opaque:
                attempt.commit()

    def feed(self, data: bytes) -> None:
        """Take a piece."""
        if self.committed:
            self._pass_on(data)
            self._attempt.alive()
            return
        self._pieces.append(data)
        self._size += len(data)
        if not self._good:
            if self._size > MOST_ERROR_BYTES:
                self._settle_error(b"".join(self._pieces)[:MOST_ERROR_BYTES])
        elif self._size > self._most:
            if self._attempt.dialect.translates:
                self.fail(Failure(verdicts.INVALID, "The answer is too large to be translated."))
                self._attempt.abort()
                return
            self._stream_on()
            held, self._pieces = b"".join(self._pieces), []
            self._pass_on(held)

    def _stream_on(self) -> None:
        # The status can't be taken back now, but neither should a large answer lie in memory whole.
        self.committed = True
        exchange = self._attempt.exchange
        exchange.first_content_at = clock.monotonic_seconds()
        exchange.client.start(self._status, answer_headers(exchange, self._headers, length=self._length))

    def _pass_on(self, data: bytes) -> None:
        """Send what came before, and hold the newest piece: the last one must not go out before the record."""
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        self._pieces.append(data)
        if len(self._pieces) > 1:
            client = self._attempt.exchange.client
            client.push_body(self._pieces.pop(0))
            if client.congested:
                self._attempt.throttle()

    def end(self) -> None:
        """The body is whole."""
        if self.committed:
            self._attempt.exchange.usage = usage_in_tail(self._tail, self._attempt.dialect.usage)
            self._attempt.settle(self._attempt.outcome(verdicts.ANSWERED, streamed=True, last=b"".join(self._pieces)))
        elif self._good:
            self._settle_answer(b"".join(self._pieces))
        else:
            self._settle_error(b"".join(self._pieces))

    def _settle_answer(self, body: bytes) -> None:
        exchange, dialect = self._attempt.exchange, self._attempt.dialect
        answer = dialect.read_answer(body)
        if answer is None or (exchange.intake.stream and not answer.is_error):
            self._attempt.settle(self._attempt.outcome(verdicts.INVALID, body=body[:MOST_ERROR_BYTES]))
        elif answer.is_error:
            self._attempt.settle(self._attempt.error_outcome(body))
        else:
            exchange.usage = answer.usage
            exchange.first_content_at = clock.monotonic_seconds()
            if answer.usage is None and exchange.endpoint.generates:
                exchange.text = [dialect.answer_text(body)]
            if dialect.translates:
                self._settle_translated(body)
            else:
                self._answered(body)

    def _answered(self, body: bytes) -> None:
        self._attempt.settle(self._attempt.outcome(verdicts.ANSWERED, body=body))

    def _settle_translated(self, body: bytes) -> None:
        exchange = self._attempt.exchange
        try:
            self._answered(
                self._attempt.dialect.answer(
                    body,
                    request=exchange.body,
                    model=exchange.intake.model,
                    created=exchange.started_at_us // 1_000_000,
                )
            )
        except Untranslatable as problem:
            words = f"The upstream's answer makes no sense: {problem.message}"
            self._attempt.settle(self._attempt.outcome(verdicts.INVALID, body=words.encode()))

    def _settle_error(self, body: bytes) -> None:
        missing = self._status == 404 and self._attempt.exchange.endpoint.names_resource
        verdict = verdicts.NOT_HERE if missing else judge(self._status, body)
        self._attempt.settle(self._attempt.outcome(verdict, body=body))

    def fail(self, failure: Failure) -> None:
        """The body broke off."""
        if not self._good:
            self._settle_error(b"".join(self._pieces))
            return
        outcome = self._attempt.outcome(failure.verdict, body=failure.message.encode(), streamed=self.committed)
        self._attempt.settle(outcome)


def _translation(attempt: "Attempt") -> StreamTranslation | None:
    exchange, dialect = attempt.exchange, attempt.dialect
    created = exchange.started_at_us // 1_000_000
    if exchange.continued is not None:
        return exchange.continued.stream(dialect, created=created, wants_usage=exchange.intake.wants_usage)
    if not dialect.translates:
        return None
    return dialect.stream(
        request=exchange.body,
        model=exchange.intake.model,
        created=created,
        wants_usage=exchange.intake.wants_usage,
        input_tokens=exchange.prompt_tokens(),
    )


class StreamRelay:
    """A stream of events, each handed on as it came; nothing before the first content."""

    __slots__ = (
        "_attempt",
        "_events",
        "_held",
        "_held_bytes",
        "_reader",
        "_said",
        "_translation",
        "_wants_usage",
        "committed",
    )

    def __init__(self, attempt: "Attempt") -> None:
        self._attempt = attempt
        self._events = EventSplitter(MOST_EVENT_BYTES)
        self._reader = attempt.dialect.reader(MOST_ESTIMATED_CHARACTERS)
        self._held: list[bytes] = []
        self._held_bytes = 0
        exchange = attempt.exchange
        self._wants_usage = exchange.intake.wants_usage
        # What goes on with a cut stream follows events that are out already.
        self.committed = exchange.continued is not None
        exchange.text = self._reader.text
        self._said = exchange.said
        self._translation = _translation(attempt)

    def feed(self, data: bytes) -> None:
        """Take a piece; what is complete of it goes on to the client at once."""
        try:
            events = self._events.feed(data)
        except EventTooLarge as problem:
            self.fail(Failure(verdicts.INVALID, str(problem)))
            self._attempt.abort()
            return
        if events:
            if self._attempt.content_at is not None:
                self._attempt.alive()  # also by what is not for the client, such as a ping
            self._take(events)

    def _take(self, events: list[bytes]) -> None:
        out: list[bytes] = []
        for came in events:
            event = came
            data = data_of(event)
            kind = Kind.QUIET if data is None else self._reader.read(data)
            if self._translation is not None and kind in _PASSED_ON:
                event = self._translation.event(data or b"")
                kind = (Kind.CONTENT if kind is Kind.CONTENT else Kind.QUIET) if event else Kind.NOTHING
            if kind is Kind.CONTENT:
                if self._said is not None:
                    self._said.take(event)
                if self._attempt.content_at is None:
                    out += self._commit()
                out.append(event)
            elif kind is Kind.QUIET or (kind is Kind.USAGE and self._wants_usage):
                if self.committed:
                    out.append(event)
                elif not self._hold(event):
                    out = self._commit()
                    out.append(event)
            elif kind is Kind.MALFORMED:
                self._attempt.exchange.runtime.metrics.malformed_events.inc()
            elif kind is not Kind.USAGE and kind is not Kind.NOTHING:
                self._push(out)
                if kind is Kind.DONE:
                    self._complete(event if self._translation is None else self._translation.end(data or b""))
                else:
                    self._upstream_error(data or b"")
                return
        self._push(out)

    def _push(self, out: list[bytes]) -> None:
        if not out:
            return
        client = self._attempt.exchange.client
        client.push_body(out[0] if len(out) == 1 else b"".join(out))
        if client.congested:
            self._attempt.throttle()

    def _hold(self, event: bytes) -> bool:
        self._held.append(event)
        self._held_bytes += len(event)
        if len(self._held) <= MOST_HELD_EVENTS and self._held_bytes <= MOST_HELD_BYTES:
            return True
        self._held.pop()
        return False

    def _commit(self) -> list[bytes]:
        """Begin the client's answer; the held events are to go out with the first content in one write."""
        exchange = self._attempt.exchange
        self._attempt.commit()
        if self.committed:
            return []
        self.committed = True
        exchange.first_content_at = self._attempt.content_at
        exchange.client.start(200, stream_headers(exchange, self._attempt.headers))
        held, self._held = self._held, []
        return held

    def _complete(self, last: bytes) -> None:
        if not self.committed:
            last = b"".join([*self._commit(), last])
        self._attempt.exchange.usage = self._reader.usage
        self._attempt.settle(self._attempt.outcome(verdicts.ANSWERED, streamed=True, last=last))

    def _upstream_error(self, data: bytes) -> None:
        self._attempt.exchange.usage = self._usage_so_far()
        error = self._attempt.dialect.error_object(data)
        self._attempt.settle(self._attempt.error_outcome(error, streamed=self.committed))
        self._attempt.abort()

    def _usage_so_far(self) -> Usage | None:
        """The usage of a stream that was cut: some backends count the prompt first and the answer at its end."""
        told = self._reader.usage
        if told is None or self._reader.finished:
            return told
        said = estimate_tokens("".join(self._reader.text))
        return replace(told, output_tokens=max(told.output_tokens, said), estimated=True)

    def end(self) -> None:
        """The upstream has closed the stream."""
        rest = self._events.rest()
        if rest.strip():
            # Some servers leave out the last blank line; what is cut in the middle does not read as an event.
            self._take([rest.rstrip(b"\r\n") + b"\n\n"])
        if not self._attempt.settled:
            self.fail(Failure(verdicts.ENDED_EARLY, "The stream ended early."))

    def fail(self, failure: Failure) -> None:
        """The stream broke off, or ended without its last event."""
        if self.committed and self._reader.finished:
            last = self._attempt.dialect.last_event if self._translation is None else self._translation.end()
            self._complete(last)
            return
        self._attempt.exchange.usage = self._usage_so_far()
        outcome = self._attempt.outcome(failure.verdict, body=failure.message.encode(), streamed=self.committed)
        self._attempt.settle(outcome)
