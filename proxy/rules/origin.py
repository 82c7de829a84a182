"""Where a backend's connections go, and how: what tells one set of kept connections from another."""

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from providers.rules.table import Way


@dataclass(frozen=True, slots=True)
class OutgoingProxy:
    """An HTTP proxy between the hub and a backend."""

    host: str
    port: int
    tls: bool  # the connection to the proxy itself
    authorization: bytes = field(default=b"", repr=False)  # the value of Proxy-Authorization; b"" without credentials

    @property
    def name(self) -> str:
        """The proxy as messages call it, without its credentials."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def headers(self) -> bytes:
        """The header line with the credentials; b"" where there are none."""
        return b"proxy-authorization: %b\r\n" % self.authorization if self.authorization else b""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a backend's connections go. Connections of different origins are never mixed."""

    host: str
    port: int
    tls: bool
    proxy: OutgoingProxy | None = None
    ca_bundle: str = field(default="", repr=False)  # "" for the system's CAs, and where nothing is encrypted
    client_certificate: str = field(default="", repr=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        values = (self.host, self.port, self.tls, self.proxy, self.ca_bundle, self.client_certificate)
        object.__setattr__(self, "_hash", hash(values))

    def __hash__(self) -> int:
        # Every request looks its connections up by the origin, which must not cost more for having many fields.
        return self._hash

    @property
    def ascii_host(self) -> str:
        """The host as it is resolved: names in other alphabets in their ASCII form."""
        return self.host if self.host.isascii() else self.host.encode("idna").decode("ascii")

    @property
    def authority(self) -> bytes:
        """The Host header."""
        host, usual = _bracketed(self.ascii_host), 443 if self.tls else 80
        return (host if self.port == usual else f"{host}:{self.port}").encode("ascii")

    @property
    def tunnel_head(self) -> bytes:
        """The request that asks the outgoing proxy for a tunnel to this origin."""
        target = f"{_bracketed(self.ascii_host)}:{self.port}".encode("ascii")
        headers = self.proxy.headers if self.proxy is not None else b""
        return b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (target, target, headers)

    def target(self, path: bytes) -> bytes:
        """The request target for `path`: the whole address where an outgoing proxy reads the request itself."""
        return b"http://" + self.authority + path if self._read_by_proxy else path

    @property
    def proxy_headers(self) -> bytes:
        """Header lines of every request that are meant for the outgoing proxy; b"" where it reads none of them."""
        return self.proxy.headers if self.proxy is not None and self._read_by_proxy else b""

    @property
    def _read_by_proxy(self) -> bool:
        # Inside a tunnel the proxy sees nothing, and the backend must not see what is the proxy's.
        return self.proxy is not None and not self.tls


def origin_of(base_url: str, way: Way = Way()) -> tuple[Origin, str]:  # noqa: B008 - frozen
    """The origin of a base URL on its way, and the URL's path without a trailing slash.

    Raises ValueError, in words without credentials, where the URL or that of the way's proxy is no http(s) URL.
    Certificates are looked at when a connection is made.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _is_host(parts.hostname):
        raise ValueError(f"{base_url!r} is not an http(s) URL.")
    tls = parts.scheme == "https"
    proxy = _outgoing_proxy(way.proxy) if way.proxy else None
    origin = Origin(
        parts.hostname,
        parts.port or (443 if tls else 80),
        tls,
        proxy,
        way.ca_bundle if tls or (proxy is not None and proxy.tls) else "",
        way.client_certificate if tls else "",
    )
    return origin, parts.path.rstrip("/")


def _outgoing_proxy(url: str) -> OutgoingProxy:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("The outgoing proxy's URL can't be read.") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"An outgoing proxy is spoken to by http or https, not by {parts.scheme or 'nothing'!r}.")
    if not parts.hostname or not _is_host(parts.hostname):
        raise ValueError("The outgoing proxy's URL names no host.")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("The outgoing proxy's URL goes on after the port.")
    tls = parts.scheme == "https"
    return OutgoingProxy(parts.hostname, port or (443 if tls else 80), tls, _basic(parts))


def _basic(parts: SplitResult) -> bytes:
    if parts.username is None and parts.password is None:
        return b""
    user = unquote(parts.username or "")
    if ":" in user:
        raise ValueError("The user name for an outgoing proxy can't hold a colon.")
    return b"Basic " + b64encode(f"{user}:{unquote(parts.password or '')}".encode())


def _is_host(host: str) -> bool:
    # What is written into request lines as it stands must not be able to end them.
    return host.isprintable() and not any(character in host for character in ' "<>\\^`{|}')


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
