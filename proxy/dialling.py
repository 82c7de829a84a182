"""New connections to upstreams: addresses, TLS, and the way through an outgoing proxy."""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar, cast

from agenthub.core import addresses
from proxy.connection import Connection
from proxy.rules.limits import MOST_HEADER_BYTES
from proxy.rules.origin import Origin, OutgoingProxy
from proxy.tls import Contexts
from proxy.upstream_failures import AddressRefused, ConnectFailed, OutgoingProxyFailed

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9]\d\d)[ \r]")

_Protocol = TypeVar("_Protocol", bound=asyncio.Protocol)


class Dialler:
    """Makes connections. Every address is judged at the moment of connecting, so that a name can't be pointed
    elsewhere after it was saved."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._contexts = Contexts()

    async def dial(self, origin: Origin, make: Callable[[], Connection]) -> Connection:
        """A connection of `make` that reaches `origin`. Raises ConnectFailed; the time limit is the caller's."""
        if origin.proxy is not None:
            return await self._through(origin, origin.proxy, make)
        context = await self._contexts.get(origin.ca_bundle, origin.client_certificate) if origin.tls else None
        try:
            _, connection = await self._open(origin.host, origin.port, context, make)
        except _Unreachable as problem:
            raise ConnectFailed(f"No connection to {origin.host}:{origin.port}: {problem}.") from None
        except _Forbidden as problem:
            raise AddressRefused(f"{origin.host}: {problem}") from None
        return connection

    async def _through(self, origin: Origin, proxy: OutgoingProxy, make: Callable[[], Connection]) -> Connection:
        self._judge(origin)
        outer = await self._contexts.get(origin.ca_bundle, "") if proxy.tls else None
        if not origin.tls:
            connection = (await self._reach(proxy, outer, make))[1]
            connection.proxy_name = proxy.name
            return connection
        inner = await self._contexts.get(origin.ca_bundle, origin.client_certificate)
        transport, tunnel = await self._reach(proxy, outer, _Tunnel)
        try:
            await tunnel.dig(transport, origin, proxy)
            return await _secure(transport, make(), inner, origin, proxy)
        except BaseException:
            transport.abort()
            raise

    async def _reach(
        self, proxy: OutgoingProxy, context: ssl.SSLContext | None, make: Callable[[], _Protocol]
    ) -> tuple[asyncio.Transport, _Protocol]:
        try:
            return await self._open(proxy.host, proxy.port, context, make)
        except _Unreachable as problem:
            raise OutgoingProxyFailed(f"No connection to the outgoing proxy {proxy.name}: {problem}.") from None
        except _Forbidden as problem:
            raise AddressRefused(f"The outgoing proxy {proxy.name}: {problem}") from None

    async def _open(
        self, host: str, port: int, context: ssl.SSLContext | None, make: Callable[[], _Protocol]
    ) -> tuple[asyncio.Transport, _Protocol]:
        loop = asyncio.get_running_loop()
        problem: Exception | None = None
        for address in await self._addresses(host, port):
            try:
                transport, protocol = await loop.create_connection(
                    make, address, port, ssl=context, server_hostname=host if context is not None else None
                )
            except (OSError, ssl.SSLError) as failure:
                problem = failure
                continue
            return transport, protocol
        raise _Unreachable(problem)

    async def _addresses(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:
            raise ConnectFailed(f"{host} could not be resolved: {problem}.") from None
        every = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        allowed = [each for each in every if addresses.refusal(each, allow_private=self._allow_private) is None]
        if not allowed:
            why = addresses.refusal(every[0], allow_private=self._allow_private) if every else "no address"
            raise _Forbidden(why)
        return allowed

    def _judge(self, origin: Origin) -> None:
        # The outgoing proxy resolves names; what is an address already can be judged here.
        address = _literal(origin.ascii_host.rstrip("."))
        why = addresses.refusal(address, allow_private=self._allow_private) if address else None
        if why is not None:
            raise AddressRefused(f"{origin.host}: {why}")


class _Unreachable(Exception):
    """None of the addresses took the connection."""


class _Forbidden(Exception):
    """The address rules allow none of the addresses."""


def _literal(host: str) -> str | None:
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        # Systems also take 127.1, 0x7f000001 and the like for addresses.
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


class _Tunnel(asyncio.Protocol):
    """Asks an outgoing proxy for a tunnel."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def dig(self, transport: asyncio.Transport, origin: Origin, proxy: OutgoingProxy) -> None:
        """Come back when the tunnel stands. Raises OutgoingProxyFailed."""
        transport.write(origin.tunnel_head)
        await self._answered
        target = f"{origin.host}:{origin.port}"
        match = _STATUS.match(self._received)
        if match is None:
            what = "answers a CONNECT with what is not HTTP" if self._received else "hangs up on a CONNECT"
            raise OutgoingProxyFailed(f"The outgoing proxy {proxy.name} {what}.")
        status = int(match[1])
        if status == 407:
            raise OutgoingProxyFailed(f"The outgoing proxy {proxy.name} wants other credentials (407).")
        if not 200 <= status < 300:
            raise OutgoingProxyFailed(f"The outgoing proxy {proxy.name} makes no tunnel to {target} ({status}).")
        if not self._received.endswith(b"\r\n\r\n") or transport.is_closing():
            raise OutgoingProxyFailed(f"The outgoing proxy {proxy.name} broke the tunnel to {target} off.")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The proxy is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """The proxy answers. What comes behind a good answer belongs to the TLS inside, which the hub begins."""
        self._received += data
        while self._received.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in self._received:
            del self._received[: self._received.index(b"\r\n\r\n") + 4]
        if b"\r\n\r\n" in self._received or len(self._received) > MOST_HEADER_BYTES:
            self._settle()
            if self._transport is not None:
                self._transport.pause_reading()  # the end of the connection, too, is for the TLS inside to hear

    def connection_lost(self, _: Exception | None) -> None:
        """The proxy is gone."""
        self._settle()

    def _settle(self) -> None:
        if not self._answered.done():
            self._answered.set_result(None)


async def _secure(
    transport: asyncio.Transport, connection: Connection, context: ssl.SSLContext, origin: Origin, proxy: OutgoingProxy
) -> Connection:
    """TLS with the origin through a tunnel."""
    loop = asyncio.get_running_loop()
    try:
        secured = await loop.start_tls(transport, connection, context, server_hostname=origin.host)
    except (OSError, ssl.SSLError) as problem:
        where = f"{origin.host}:{origin.port} through the outgoing proxy {proxy.name}"
        raise ConnectFailed(f"No connection to {where}: {problem}.") from None
    if secured is not None:
        connection.connection_made(secured)  # the loop tells only protocols that it has made itself
    return connection
