"""Which network addresses the hub connects to. Pure: callers resolve names, and check what they are about to dial."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

# 64:ff9b::/96 carries an IPv4 address for a translator on the way; the other embeddings are known to the library.
_NAT64 = IPv6Address("64:ff9b::")
_LOW_32_BITS = 0xFFFF_FFFF
# All that resolvers take for an address without asking anybody, also 127.1, 2130706433 and 0x7f000001.
_PART = r"(?:0x[0-9a-f]*|[0-9]+)"
_ADDRESS = re.compile(rf"[0-9.]+|{_PART}(?:\.{_PART}){{0,3}}|[0-9a-f:.]*:[0-9a-f:.]*(?:%.*)?")


def refusal(ip: str, *, allow_private: bool) -> str | None:
    """Why the hub does not connect to `ip`; None where it does.

    Private, loopback, link-local and metadata addresses need `allow_private`; unspecified and multicast addresses name
    no upstream and are always refused. IPv4 addresses inside IPv6 ones are judged as what they are.
    """
    try:
        address = ip_address(ip.partition("%")[0])
    except ValueError:
        return f"{ip} is not a network address."
    address = _carried(address)
    if address.is_unspecified or address.is_multicast:
        return f"{ip} is an unspecified or multicast address, which names no upstream."
    if allow_private or address.is_global:
        return None
    return f"{ip} is a private or local address; AGENTHUB_ALLOW_PRIVATE_UPSTREAMS=true allows these."


def host_refusal(host: str, *, allow_private: bool) -> str | None:
    """Why the hub does not connect to `host` of a URL, as far as the host says it itself; None for other names.

    Names are judged when they are dialled, or by the outgoing proxy that resolves them.
    """
    bare = host.lower().removesuffix(".")
    if bare == "localhost" or bare.endswith(".localhost"):
        bare = "127.0.0.1"
    return refusal(bare, allow_private=allow_private) if _ADDRESS.fullmatch(bare) else None


def _carried(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if not isinstance(address, IPv6Address):
        return address
    if int(address) & ~_LOW_32_BITS == int(_NAT64):
        return IPv4Address(int(address) & _LOW_32_BITS)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address
