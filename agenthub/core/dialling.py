"""Which address a name is dialled at, for what calls out: resolved once, judged, and then used as it was judged."""

import asyncio
import socket
import ssl
from typing import Protocol

import httpx

from agenthub.core.addresses import refusal
from agenthub.core.outbound_errors import AddressRefused, DnsFailed, TlsFailed, connect_failure, tls_failure
from agenthub.core.tls import client_context

MOST_ADDRESSES = 4

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Way(Protocol):
    """How connections are made, where that differs from dialling and trusting the system's certificates."""

    @property
    def proxy(self) -> str:
        """URL of an outgoing proxy, http:// or https://, perhaps with user name and password; "" for none."""

    @property
    def ca_bundle(self) -> str:
        """PEM certificates to trust instead of the system's, at the proxy too; "" for the system's."""

    @property
    def client_certificate(self) -> str:
        """PEM of a certificate chain and its private key, shown to the upstream alone; "" for none."""


def context_of(way: Way | None, place: str, *, with_certificate: bool = True) -> ssl.SSLContext:
    """The TLS context of a way. Raises TlsFailed where its texts are no certificates."""
    if way is None:
        return client_context()
    shown = way.client_certificate if with_certificate else ""
    try:
        return client_context(ca_bundle=way.ca_bundle, client_certificate=shown)
    except (ssl.SSLError, ValueError, TypeError):
        raise TlsFailed(f"{place}: the CA bundle or client certificate can't be loaded; enter it again.") from None


def place_of(url: httpx.URL | str) -> str:
    """Scheme, host and port of a URL: its path, query and user may be secret."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "The URL"
    return f"{parsed.scheme}://{parsed.netloc.decode('ascii').rpartition('@')[2]}"


def port_of(url: httpx.URL) -> int:
    """The port that a URL leads to."""
    return url.port or (443 if url.scheme == "https" else 80)


async def resolve(host: str, port: int | None) -> list[str]:
    """The addresses of a name, each once. Raises DnsFailed."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise DnsFailed(f"The name {host} does not resolve.") from None
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def allowed_addresses(host: str, addresses: list[str], *, allow_private: bool) -> list[str]:
    """Those of a host's addresses that may be dialled, the first few. Raises AddressRefused where none may."""
    refusals = {address: refusal(address, allow_private=allow_private) for address in addresses}
    allowed = [address for address, reason in refusals.items() if reason is None]
    if not allowed:
        raise AddressRefused(f"{host} is not called: {next(iter(refusals.values()), 'it has no address.')}")
    return allowed[:MOST_ADDRESSES]


async def addresses_of(url: httpx.URL, *, allow_private: bool) -> list[str]:
    """Where the host of a URL may be dialled, in order. Raises DnsFailed and AddressRefused."""
    return allowed_addresses(url.host, await resolve(url.host, port_of(url)), allow_private=allow_private)


async def connected(url: httpx.URL, context: ssl.SSLContext | None, *, allow_private: bool) -> Streams:
    """A connection to the host of a URL, encrypted where a context is given. Raises OutboundError."""
    last: OSError | None = None
    for address in await addresses_of(url, allow_private=allow_private):
        try:
            return await asyncio.open_connection(
                address, port_of(url), ssl=context, server_hostname=url.host if context else None
            )
        except ssl.SSLError as problem:
            raise tls_failure(place_of(url), problem) from None
        except OSError as problem:
            last = problem
    raise connect_failure(place_of(url), last)
