"""The guarded HTTP client for everything off the path of a request: probes, discovery, later webhooks and sources.

Names are resolved here and every address is judged before it is dialled, so that a name can't lead to another address
between check and use. Redirects are not followed, answers are bounded in size, and the whole exchange in time. What
goes wrong is one of `core/outbound_errors.py`.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from agenthub.core.dialling import Way, addresses_of, connected, context_of, place_of
from agenthub.core.outbound_errors import (
    AnswerInvalid,
    AnswerTooLarge,
    ConnectFailed,
    ProxyUnreachable,
    TimedOut,
    TlsFailed,
    caused_by,
    failure_of,
    tls_failure,
)
from agenthub.core.outbound_proxy import ProxiedTransport, tunnelled


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    latency_ms: float


async def fetch(
    method: str,
    url: str,
    *,
    allow_private: bool,
    timeout_seconds: float,
    headers: Mapping[str, str] | None = None,
    json: object = None,
    max_bytes: int = 4 * 1024 * 1024,
    way: Way | None = None,
) -> Answer:
    """One request and its whole answer, within `timeout_seconds` and `max_bytes`. Raises OutboundError."""
    transport = _transport(way, allow_private=allow_private)
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            httpx.AsyncClient(transport=transport, timeout=timeout_seconds) as client,
        ):
            return await _exchange(client, client.build_request(method, url, headers=headers, json=json), max_bytes)
    except (TimeoutError, httpx.TimeoutException):
        if isinstance(transport, ProxiedTransport) and not transport.reached:
            raise ProxyUnreachable(_late("The outgoing proxy", timeout_seconds)) from None
        raise TimedOut(_late(place_of(url), timeout_seconds)) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as problem:
        raise ConnectFailed(f"{place_of(url)} is not an address that can be called: {problem}") from None
    except ssl.SSLError as problem:
        # Some come bare, when the other side has hung up in the moment in which we write.
        raise tls_failure(place_of(url), problem) from None
    except httpx.HTTPError as problem:
        tls = caused_by(problem, ssl.SSLError)
        if isinstance(tls, ssl.SSLError):  # after the handshake: that is when a client certificate is refused
            raise tls_failure(place_of(url), tls) from None
        raise AnswerInvalid(f"{place_of(url)} broke off or sent no HTTP: {type(problem).__name__}.") from None


def _late(place: str, timeout_seconds: float) -> str:
    return f"{place} did not answer within {timeout_seconds:g} s."


def _transport(way: Way | None, *, allow_private: bool) -> "GuardedTransport | ProxiedTransport":
    if way is not None and way.proxy:
        return ProxiedTransport(way, allow_private=allow_private)
    return GuardedTransport(allow_private=allow_private, way=way)


async def _exchange(client: httpx.AsyncClient, request: httpx.Request, max_bytes: int) -> Answer:
    started = time.monotonic()
    response = await client.send(request, stream=True)  # the client follows no redirects unless told to
    try:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > max_bytes:
                raise AnswerTooLarge(f"{place_of(request.url)} answered with more than {max_bytes} bytes.")
    finally:
        await response.aclose()
    latency_ms = round((time.monotonic() - started) * 1000, 1)
    return Answer(response.status_code, dict(response.headers), bytes(body), latency_ms)


async def reach(url: str, *, allow_private: bool, timeout_seconds: float, way: Way | None = None) -> None:
    """See whether somebody takes a connection at `url`, with TLS for https; no request is sent. Raises OutboundError.

    An outgoing proxy is asked for the connection where the URL is https; for http it is only seen to be there.
    """
    try:
        parsed = httpx.URL(url)
        async with asyncio.timeout(timeout_seconds):
            if way is not None and way.proxy:
                _, writer = await tunnelled(parsed, way, allow_private=allow_private)
            else:
                context = context_of(way, place_of(url)) if parsed.scheme == "https" else None
                _, writer = await connected(parsed, context, allow_private=allow_private)
            # There is nothing to say goodbye to; a polite end of TLS would wait for the other side.
            writer.transport.abort()
    except httpx.InvalidURL as problem:
        raise ConnectFailed(f"{place_of(url)} is not an address that can be called: {problem}.") from None
    except TimeoutError:
        raise TimedOut(f"{place_of(url)} took no connection within {timeout_seconds:g} s.") from None


class GuardedTransport(httpx.AsyncBaseTransport):
    """Dials only addresses that the rules allow: the name is resolved once, and what was judged is what is dialled."""

    def __init__(self, *, allow_private: bool, way: Way | None = None) -> None:
        self._allow_private = allow_private
        self._way = way
        self._inner: httpx.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request to the first of its host's addresses that takes the connection."""
        last: httpx.ConnectError | None = None
        addresses = await addresses_of(request.url, allow_private=self._allow_private)
        inner = self._opened(request)
        for address in addresses:
            try:
                return await inner.handle_async_request(_dialled_at(request, address))
            except httpx.ConnectError as problem:
                failure = failure_of(place_of(request.url), problem)
                if isinstance(failure, TlsFailed):
                    raise failure from None
                last = problem
        raise failure_of(place_of(request.url), last)

    def _opened(self, request: httpx.Request) -> httpx.AsyncHTTPTransport:
        if self._inner is None:
            # Loading the system's certificates takes its time; who speaks no TLS is spared it.
            tls = request.url.scheme == "https"
            verify = context_of(self._way, place_of(request.url)) if tls else False
            self._inner = httpx.AsyncHTTPTransport(verify=verify)
        return self._inner

    async def aclose(self) -> None:
        """Close what is open."""
        if self._inner is not None:
            await self._inner.aclose()


def _dialled_at(request: httpx.Request, address: str) -> httpx.Request:
    # The Host header was set from the name already; TLS still asks for and checks the name.
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions | {"sni_hostname": request.url.host},
    )
