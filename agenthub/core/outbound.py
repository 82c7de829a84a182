"""The guarded HTTP client for everything off the path of a request: probes, discovery, later webhooks and sources.

Names are resolved here and every address is judged before it is dialled, so that a name can't lead to another address
between check and use. Redirects are not followed, answers are bounded in size, and the whole exchange in time.

    OutboundError
    ├── AddressRefused     the address rules forbid it
    ├── DnsFailed          the name does not resolve
    ├── TlsFailed          no trusted encrypted connection
    ├── ConnectFailed      refused, unreachable, reset before an answer
    ├── TimedOut           not done within its time
    ├── AnswerTooLarge     more than was allowed
    └── AnswerInvalid      no HTTP, or broken off
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from agenthub.core.addresses import refusal

MOST_ADDRESSES = 4


class OutboundError(Exception):
    """An exchange that did not come to an answer; the message says what happened, and to what."""

    code = "failed"


class AddressRefused(OutboundError):
    """The address rules of the hub forbid the connection."""

    code = "address_refused"


class DnsFailed(OutboundError):
    """The name of the host does not resolve."""

    code = "dns_failed"


class TlsFailed(OutboundError):
    """The other side could not be trusted, or spoke no TLS."""

    code = "tls_failed"


class ConnectFailed(OutboundError):
    """Nobody took the connection."""

    code = "connect_failed"


class TimedOut(OutboundError):
    """The exchange was not done within its time."""

    code = "timeout"


class AnswerTooLarge(OutboundError):
    """The answer is larger than was allowed."""

    code = "too_large"


class AnswerInvalid(OutboundError):
    """What came was no whole HTTP answer."""

    code = "invalid_answer"


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
) -> Answer:
    """One request and its whole answer, within `timeout_seconds` and `max_bytes`. Raises OutboundError."""
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            httpx.AsyncClient(transport=GuardedTransport(allow_private), timeout=timeout_seconds) as client,
        ):
            return await _exchange(client, client.build_request(method, url, headers=headers, json=json), max_bytes)
    except (TimeoutError, httpx.TimeoutException):
        raise TimedOut(f"{_place(url)} did not answer within {timeout_seconds:g} s.") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as problem:
        raise ConnectFailed(f"{_place(url)} is not an address that can be called: {problem}") from None
    except httpx.ConnectError as problem:
        raise ConnectFailed(f"{_place(url)}: {problem}") from None
    except httpx.HTTPError as problem:
        raise AnswerInvalid(f"{_place(url)} broke off or sent no HTTP: {type(problem).__name__}.") from None


async def _exchange(client: httpx.AsyncClient, request: httpx.Request, max_bytes: int) -> Answer:
    started = time.monotonic()
    response = await client.send(request, stream=True)  # the client follows no redirects unless told to
    try:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > max_bytes:
                raise AnswerTooLarge(f"{_place(str(request.url))} answered with more than {max_bytes} bytes.")
    finally:
        await response.aclose()
    latency_ms = round((time.monotonic() - started) * 1000, 1)
    return Answer(response.status_code, dict(response.headers), bytes(body), latency_ms)


def _place(url: str) -> str:
    # Scheme, host and port only: paths and queries may carry secrets.
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "The URL"
    return f"{parsed.scheme}://{parsed.netloc.decode('ascii').rpartition('@')[2]}"


async def reach(url: str, *, allow_private: bool, timeout_seconds: float) -> None:
    """See whether somebody takes a connection at `url`, with TLS for https; nothing is sent. Raises OutboundError."""
    try:
        parsed = httpx.URL(url)
        async with asyncio.timeout(timeout_seconds):
            await _connect(parsed, allow_private)
    except httpx.InvalidURL as problem:
        raise ConnectFailed(f"{_place(url)} is not an address that can be called: {problem}.") from None
    except TimeoutError:
        raise TimedOut(f"{_place(url)} took no connection within {timeout_seconds:g} s.") from None


async def _connect(url: httpx.URL, allow_private: bool) -> None:
    tls = url.scheme == "https"
    port = url.port or (443 if tls else 80)
    last: OSError | None = None
    for address in allowed_addresses(url.host, await _resolve(url.host, port), allow_private=allow_private):
        try:
            _, writer = await asyncio.open_connection(
                address,
                port,
                ssl=ssl.create_default_context() if tls else None,
                server_hostname=url.host if tls else None,
            )
        except ssl.SSLError as problem:
            raise TlsFailed(f"{_place(str(url))}: {problem}.") from None
        except OSError as problem:
            last = problem
            continue
        writer.close()
        return
    raise ConnectFailed(f"{_place(str(url))}: {last}.")


def allowed_addresses(host: str, addresses: list[str], *, allow_private: bool) -> list[str]:
    """Those of a host's addresses that may be dialled, the first few. Raises AddressRefused where none may."""
    refusals = {address: refusal(address, allow_private=allow_private) for address in addresses}
    allowed = [address for address, reason in refusals.items() if reason is None]
    if not allowed:
        raise AddressRefused(f"{host} is not called: {next(iter(refusals.values()), 'it has no address.')}")
    return allowed[:MOST_ADDRESSES]


class GuardedTransport(httpx.AsyncBaseTransport):
    """Dials only addresses that the rules allow: the name is resolved once, and what was judged is what is dialled."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request to the first of its host's addresses that takes the connection."""
        host = request.url.host
        last: httpx.ConnectError | None = None
        addresses = await _resolve(host, request.url.port)
        for address in allowed_addresses(host, addresses, allow_private=self._allow_private):
            try:
                return await self._inner.handle_async_request(_dialled_at(request, address))
            except httpx.ConnectError as problem:
                if _is_tls(problem):
                    raise TlsFailed(f"{_place(str(request.url))}: {problem}.") from None
                last = problem
        raise last or ConnectFailed(f"{host} has no address.")

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()


async def _resolve(host: str, port: int | None) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise DnsFailed(f"The name {host} does not resolve.") from None
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def _dialled_at(request: httpx.Request, address: str) -> httpx.Request:
    # The Host header was set from the name already; TLS still asks for and checks the name.
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions | {"sni_hostname": request.url.host},
    )


def _is_tls(problem: BaseException | None) -> bool:
    while problem is not None:
        if isinstance(problem, ssl.SSLError):
            return True
        problem = problem.__cause__ or problem.__context__
    return False
