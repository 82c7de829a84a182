"""What calls out through an outgoing proxy.

The address rules hold for the proxy, which is what is dialled; the proxy resolves the name of the target. A target
that is an address by itself is judged all the same, so that a proxy is no way around the rules.
"""

import asyncio
import base64
import re
import ssl

import httpx

from agenthub.core.addresses import host_refusal
from agenthub.core.dialling import Streams, Way, addresses_of, connected, context_of, place_of, port_of
from agenthub.core.outbound_errors import (
    AddressRefused,
    ConnectFailed,
    DnsFailed,
    ProxyCredentials,
    ProxyFailed,
    ProxyUnreachable,
    TlsFailed,
    failure_of,
    tls_failure,
)

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")


def target_judged(url: httpx.URL, *, allow_private: bool) -> None:
    """Raises AddressRefused where the host of a target is an address that the rules forbid."""
    reason = host_refusal(url.host, allow_private=allow_private)
    if reason:
        raise AddressRefused(f"{url.host} is not called: {reason}")


def proxy_failure(place: str, status: int, target: str) -> ProxyFailed:
    """What a proxy means by refusing a connection with `status`."""
    if status == 407:
        return ProxyCredentials(
            f"The outgoing proxy {place} does not accept the user name and password in its URL (407)."
        )
    if status == 403:
        return ProxyFailed(f"The outgoing proxy {place} forbids connections to {target} (403).")
    if status in (502, 503, 504):
        return ProxyFailed(f"The outgoing proxy {place} can't reach {target} ({status}).")
    return ProxyFailed(f"The outgoing proxy {place} refused the connection to {target} ({status}).")


class ProxiedTransport(httpx.AsyncBaseTransport):
    """Sends requests through the proxy of a way, dialled at an address that the rules allow."""

    def __init__(self, way: Way, *, allow_private: bool) -> None:
        self._proxy = httpx.URL(way.proxy)
        self._way = way
        self._allow_private = allow_private
        self._inner: list[httpx.AsyncHTTPTransport] = []
        self.reached = False  # whether the proxy has taken a connection

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request by the first of the proxy's addresses that takes the connection."""
        target_judged(request.url, allow_private=self._allow_private)
        last: httpx.ConnectError | None = None
        for address in await self._addresses():
            try:
                response = await self._inner_at(address, request).handle_async_request(self._told(request))
            except httpx.ProxyError as problem:
                raise self._refused(str(problem), request) from None
            except httpx.ConnectError as problem:
                if self.reached:
                    raise self._broken(problem, request) from None
                last = problem
            else:
                return self._judged(response, request)
        raise _unreachable(place_of(self._proxy), last)

    async def _addresses(self) -> list[str]:
        try:
            return await addresses_of(self._proxy, allow_private=self._allow_private)
        except DnsFailed as problem:
            raise ProxyUnreachable(f"The outgoing proxy can't be reached: {problem}") from None
        except AddressRefused as problem:
            raise AddressRefused(f"The outgoing proxy is not used: {problem}") from None

    def _inner_at(self, address: str, request: httpx.Request) -> httpx.AsyncHTTPTransport:
        proxy = httpx.Proxy(
            self._proxy.copy_with(host=address),
            ssl_context=_proxy_context(self._way) if self._proxy.scheme == "https" else None,
        )
        transport = httpx.AsyncHTTPTransport(proxy=proxy, verify=context_of(self._way, place_of(request.url)))
        self._inner.append(transport)
        return transport

    def _told(self, request: httpx.Request) -> httpx.Request:
        # The name in the extensions is that of the proxy, whose TLS comes first; the tunnel's is that of the URL.
        more = {"trace": self._traced, "sni_hostname": self._proxy.host}
        return httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions | more,
        )

    async def _traced(self, event: str, _info: object) -> None:
        # The first word goes out when the connection stands, with TLS where the proxy has it.
        self.reached |= event.startswith("http11.")

    def _refused(self, words: str, request: httpx.Request) -> ProxyFailed:
        status = words.partition(" ")[0]
        return proxy_failure(place_of(self._proxy), int(status) if status.isdecimal() else 0, place_of(request.url))

    def _broken(self, problem: httpx.ConnectError, request: httpx.Request) -> TlsFailed | ConnectFailed:
        return failure_of(place_of(request.url), problem)

    def _judged(self, response: httpx.Response, request: httpx.Request) -> httpx.Response:
        if response.status_code == 407:
            raise proxy_failure(place_of(self._proxy), 407, place_of(request.url))
        return response

    async def aclose(self) -> None:
        """Close what is open."""
        for transport in self._inner:
            await transport.aclose()


async def tunnelled(url: httpx.URL, way: Way, *, allow_private: bool) -> Streams:
    """A connection to the proxy of a way, and through it to `url` where that is https. Raises OutboundError."""
    target_judged(url, allow_private=allow_private)
    proxy = httpx.URL(way.proxy)
    context = _proxy_context(way) if proxy.scheme == "https" else None
    try:
        reader, writer = await connected(proxy, context, allow_private=allow_private)
    except (ConnectFailed, DnsFailed, TlsFailed) as problem:
        raise ProxyUnreachable(f"The outgoing proxy can't be reached: {problem}") from None
    if url.scheme != "https":
        return reader, writer
    try:
        writer.write(_connect_request(url, proxy))
        status = _STATUS.match(await reader.readuntil(b"\r\n\r\n"))
        if status is None:
            raise ProxyFailed(f"{place_of(proxy)} does not answer like an HTTP proxy; check its URL.")
        if not status[1].startswith(b"2"):
            raise proxy_failure(place_of(proxy), int(status[1]), place_of(url))
        await writer.start_tls(context_of(way, place_of(url)), server_hostname=url.host)
    except ssl.SSLError as problem:
        writer.transport.abort()
        raise tls_failure(place_of(url), problem) from None
    except ProxyFailed:
        writer.transport.abort()
        raise
    except (OSError, EOFError, asyncio.LimitOverrunError):
        writer.transport.abort()
        raise ProxyFailed(f"The outgoing proxy {place_of(proxy)} broke the connection off.") from None
    return reader, writer


def _connect_request(url: httpx.URL, proxy: httpx.URL) -> bytes:
    target = f"{url.raw_host.decode('ascii')}:{port_of(url)}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.userinfo:
        userinfo = f"{proxy.username}:{proxy.password}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(userinfo).decode('ascii')}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _proxy_context(way: Way) -> ssl.SSLContext:
    # The client certificate is the upstream's business; the proxy is shown none.
    return context_of(way, place_of(way.proxy), with_certificate=False)


def _unreachable(place: str, problem: BaseException | None) -> ProxyUnreachable:
    return ProxyUnreachable(f"The outgoing proxy can't be reached: {failure_of(place, problem)}")
