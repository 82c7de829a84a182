"""The ASGI callable of the proxy: one request in, one answer or one error out. No Django, no database on its way."""

import asyncio
import logging
from functools import partial

from agenthub.core import clock
from agenthub.core.errors import (
    BadRequest,
    InvalidKey,
    MethodNotAllowed,
    NotFound,
    Refused,
    ShuttingDown,
    StreamBroken,
)
from agenthub.core.ids import request_id
from providers.rules.table import NO_ROUTE
from proxy.answer_headers import KEEP_ALIVE_HEADERS, answer_headers
from proxy.asgi_client import AsgiClient, Message, Receive, Send
from proxy.attempt import Outcome
from proxy.auth import caller_of, presented_key
from proxy.client import Client, ClientGone, Headers
from proxy.exchange import Exchange
from proxy.failover import Failover
from proxy.intake import check_model, estimated_count, read_in
from proxy.repeats import answer_repeatably, repeatable
from proxy.rules.caller import Caller
from proxy.rules.endpoints import ENDPOINTS, Format, endpoint_of, methods_of
from proxy.rules.record import ErrorType
from proxy.rules.verdict import Next
from proxy.runtime import Runtime
from proxy.wire.dialects import dialect_of
from proxy.wire.errors import error_body, error_event, retry_after
from proxy.wire.openai import asks_for_one
from proxy.wire.prefill import SaidSoFar

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499


class ProxyApp:
    """Serves what is below /v1/ and carries a completion, and refuses what is unknown there."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        endpoint = endpoint_of(scope["method"], scope["path"])
        client = AsgiClient(receive, send)
        if endpoint is None:
            await _refuse_route(client, scope)
            return
        query = scope["query_string"].decode("latin-1")
        await serve(Exchange(self.runtime, client, endpoint, scope["headers"], query=query))


async def serve(exchange: Exchange) -> None:
    """Serve one request to its end; afterwards its client is closed, whether its response is complete or not."""
    runtime = exchange.runtime
    runtime.entered()
    try:
        await _serve(exchange)
    finally:
        if exchange.form is not None:
            exchange.form.close()
        exchange.client.close()
        runtime.left()


async def _refuse_route(client: Client, scope: Message) -> None:
    path, method = scope["path"], scope["method"]
    allowed = ", ".join(methods_of(path))
    refused: Refused = NotFound(f"There is no {method} {path} here.")
    if allowed:
        refused = MethodNotAllowed(f"{path} takes {allowed}, not {method}.")
    headers = [(b"allow", allowed.encode())] if allowed else []
    said_in = ENDPOINTS[path].format if path in ENDPOINTS else Format.CHAT
    await _send_error(client, refused, request_id=request_id(), headers=headers, said_in=said_in)


async def _serve(exchange: Exchange) -> None:
    """Every way in which a request can end, each with its record."""
    client = exchange.client
    task = asyncio.current_task()
    known = False
    try:
        exchange.caller = _caller(exchange)
        known = True
        await _take_in(exchange)
        if task is not None:
            client.watch(task)
        if repeatable(exchange):
            await answer_repeatably(exchange, partial(_serve_once, exchange))
        else:
            await _serve_once(exchange)
    except Refused as refused:
        await _refuse(exchange, refused, known=known)
    except ClientGone:
        await exchange.end(CLIENT_CLOSED_REQUEST, ErrorType.CLIENT_GONE, partial=True)
    except asyncio.CancelledError:
        why = ErrorType.CLIENT_GONE if client.gone else ErrorType.INTERRUPTED
        await exchange.end(CLIENT_CLOSED_REQUEST, why, partial=True)
        if not client.gone:
            raise  # the server stops, and has waited long enough
        if task is not None:
            task.uncancel()
    except Exception:
        # The outermost edge of a request: whatever went wrong here must not reach the caller as a traceback.
        logger.exception("request_failed", extra={"request_id": exchange.id})
        await _refuse(exchange, Refused("The hub has failed to serve this request; its log says why."), known=known)


def _caller(exchange: Exchange) -> Caller:
    try:
        return caller_of(presented_key(exchange.header), exchange.runtime.snapshot, now=clock.epoch_seconds())
    except InvalidKey:
        # Counted only: a record each would let strangers fill the disk.
        exchange.runtime.metrics.refused_keys.inc()
        raise


async def _take_in(exchange: Exchange) -> None:
    """Read and check the request. Raises Refused."""
    runtime = exchange.runtime
    if runtime.draining:
        raise ShuttingDown("The hub is stopping. Try again in a moment.", retry_after_seconds=5)
    if exchange.endpoint.method == "POST":
        await read_in(exchange)
    check_model(exchange)
    await exchange.admit()
    if exchange.intake.stream:
        _prepare_stream(exchange)


def _prepare_stream(exchange: Exchange) -> None:
    settings, intake = exchange.runtime.snapshot.settings, exchange.intake
    if settings.stream_keepalive_seconds:
        exchange.client.keep_talking(settings.stream_keepalive_seconds, KEEP_ALIVE_HEADERS)
    route = exchange.runtime.snapshot.routing.routes.get(intake.model, NO_ROUTE)
    resumes = exchange.caller.resume or route.resume
    if resumes and exchange.endpoint.format is Format.CHAT and asks_for_one(intake):
        exchange.said = SaidSoFar()


async def _serve_once(exchange: Exchange) -> None:
    await _answer(exchange, await _outcome(exchange))


async def _outcome(exchange: Exchange) -> Outcome:
    if exchange.endpoint.format is not Format.COUNT:
        return await Failover(exchange).answer()
    if exchange.pools():
        try:
            return await Failover(exchange).answer()
        except BadRequest:
            raise
        except Refused:
            logger.info("tokens_estimated", extra={"request_id": exchange.id})
    return estimated_count(exchange)


async def _answer(exchange: Exchange, outcome: Outcome) -> None:
    """Send what an upstream has answered; the record is written before the last piece."""
    client = exchange.client
    if outcome.client_stalled:
        # It has read nothing for as long as an upstream may be silent: an unfinished answer ends its connection.
        await exchange.end(CLIENT_CLOSED_REQUEST, ErrorType.CLIENT_GONE, partial=True)
        return
    if outcome.streamed and outcome.verdict.next is not Next.ANSWER:
        await _break_off(exchange, outcome)
        return
    if outcome.verdict.next is Next.ANSWER:
        await exchange.end(outcome.status)
    else:
        what = ErrorType.CONTENT_FILTER if outcome.verdict.outcome == "content_filter" else ErrorType.CLIENT_ERROR
        await exchange.end(outcome.status, what)
    if outcome.streamed:
        if await _drained(exchange):
            await client.finish(outcome.last)
        return
    if client.started:
        # Keep-alive comments have committed a 200 of events already: an upstream's error becomes one, too.
        refused = Refused(f"The upstream refused the request with {outcome.status}.")
        await _end_with_error(exchange, refused)
        return
    body = outcome.body
    if outcome.verdict.next is not Next.ANSWER:
        body = _in_the_callers_words(exchange, outcome)
    client.start(outcome.status, answer_headers(exchange, outcome.headers, length=len(body)))
    await client.finish(body)


def _in_the_callers_words(exchange: Exchange, outcome: Outcome) -> bytes:
    """An upstream's error as it came, or translated where the backend speaks another format."""
    if exchange.candidate is None:
        return outcome.body
    dialect = dialect_of(exchange.endpoint, exchange.candidate.backend.api)
    if not dialect.translates:
        return outcome.body
    return dialect.error(outcome.body, status=outcome.status, request_id=exchange.id)


async def _break_off(exchange: Exchange, outcome: Outcome) -> None:
    """End an answer that can't be completed so that nobody takes it for complete."""
    await exchange.end(200, ErrorType.STREAM_BROKEN, partial=True)
    if exchange.intake.stream:
        what = f"The upstream broke off the stream ({outcome.verdict.outcome}); the answer is incomplete."
        await _end_with_error(exchange, StreamBroken(what))


async def _end_with_error(exchange: Exchange, refused: Refused) -> None:
    """The last event of a stream that went wrong. Returning without an end makes the server cut the connection."""
    exchange.client.push_body(error_event(refused, request_id=exchange.id, said_in=exchange.endpoint.format))
    await _drained(exchange)


async def _drained(exchange: Exchange) -> bool:
    """Wait until the client has taken what it was sent; False if it took nothing for as long as a stream may idle."""
    client, limit = exchange.client, exchange.runtime.snapshot.settings.stream_idle_timeout_seconds
    while client.congested:
        unsent = client.unsent_bytes
        try:
            async with asyncio.timeout(limit):
                await client.drain()
        except TimeoutError:
            if client.unsent_bytes >= unsent:
                return False
    return True


async def _refuse(exchange: Exchange, refused: Refused, *, known: bool) -> None:
    """Answer with an error; one that a known caller gets has a record."""
    client = exchange.client
    if known:
        await exchange.end(refused.status, refused.code)
    if client.started:
        await _end_with_error(exchange, refused)
        return
    headers = exchange.routing_headers()[1:]
    if isinstance(refused, ShuttingDown):
        headers.append((b"connection", b"close"))
    await _send_error(client, refused, request_id=exchange.id, headers=headers, said_in=exchange.endpoint.format)


async def _send_error(client: Client, refused: Refused, *, request_id: str, headers: Headers, said_in: Format) -> None:
    body = error_body(refused, request_id=request_id, said_in=said_in)
    headers = [
        *headers,
        (b"x-request-id", request_id.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    if refused.retry_after_seconds is not None:
        headers.append((b"retry-after", retry_after(refused.retry_after_seconds)))
    if refused.retrying_helps is not None:
        headers.append((b"x-should-retry", b"true" if refused.retrying_helps else b"false"))
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    client.start(refused.status, headers)
    await client.finish(body)
