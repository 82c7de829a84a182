"""Ways to backends: outgoing proxies, private CAs and client certificates, on real sockets."""

import asyncio
import re
import ssl

import pytest

from providers.rules.table import Way
from proxy.tls import MOST_CONTEXTS, Contexts
from proxy.upstream import (
    AddressRefused,
    ConnectFailed,
    ConnectionPool,
    Origin,
    OutgoingProxyFailed,
    UpstreamFailed,
    WayInvalid,
    origin_of,
)
from tests.proxy.test_upstream import OK, Collected, answering, exchange
from tests.proxy.upstream.certificates import Authority
from tests.proxy.upstream.servers import OutgoingProxyServer, listening

BASIC = b"Basic aGVuOnA0JCQ="  # hen, and the password below


def origin_at(port: int, way: Way, *, scheme: str = "https", host: str = "127.0.0.1") -> Origin:
    return origin_of(f"{scheme}://{host}:{port}/v1", way)[0]


def way_by(port: int, *, scheme: str = "http", user: str = "", **others: str) -> Way:
    return Way(proxy=f"{scheme}://{user}127.0.0.1:{port}", **others)


async def connected(origin: Origin) -> Collected:
    """What comes back over a new connection, which is then used again."""
    pool = ConnectionPool(allow_private=True)
    async with asyncio.timeout(20):
        connection = await pool.connect(origin)
    first = await exchange(connection)
    assert first.body == b"ok"
    pool.settle(origin, connection)
    assert pool.kept(origin) is connection
    again = await exchange(connection)
    connection.abort()
    return again


# Certificates


async def test_a_ca_bundle_is_trusted_instead_of_the_systems(authority: Authority, stranger: Authority) -> None:
    async with listening(answering(OK, OK), authority.server_context()) as port:
        bundle = f"# Köln\n{stranger.pem}\n# and ours\n{authority.pem}"
        assert (await connected(origin_at(port, Way(ca_bundle=bundle)))).body == b"ok"
        for other in (Way(), Way(ca_bundle=stranger.pem)):
            with pytest.raises(ConnectFailed, match="certificate"):
                await ConnectionPool(allow_private=True).connect(origin_at(port, other))


async def test_a_bundle_does_not_switch_names_off(authority: Authority) -> None:
    async with listening(answering(OK), authority.server_context()) as port:
        origin = origin_at(port, Way(ca_bundle=authority.pem), host="127.0.0.2")
        with pytest.raises(ConnectFailed):
            await ConnectionPool(allow_private=True).connect(origin)


async def test_a_client_certificate_opens_the_door(authority: Authority, stranger: Authority) -> None:
    async with listening(answering(OK, OK), authority.server_context(clients_of=stranger)) as port:
        mine = Way(ca_bundle=authority.pem, client_certificate=stranger.issue("a hub"))
        assert (await connected(origin_at(port, mine))).body == b"ok"
        for other in ("", authority.issue("a hub")):
            assert await failure_at(origin_at(port, Way(ca_bundle=authority.pem, client_certificate=other)))


async def failure_at(origin: Origin) -> UpstreamFailed | None:
    """What goes wrong at the latest with the first answer, when a server of TLS 1.3 may first say what it wants."""
    try:
        connection = await ConnectionPool(allow_private=True).connect(origin)
    except ConnectFailed as failure:
        return failure
    return (await exchange(connection)).failure


SECRET = "s3cr3tMIIE"


def broken_ways(authority: Authority) -> list[Way]:
    good = authority.issue("a hub")
    certificate, key = good.split("-----BEGIN PRIVATE")
    other_key = authority.issue("another").split("-----BEGIN PRIVATE")[1]
    return [
        Way(ca_bundle="no PEM at all " + SECRET),
        Way(ca_bundle=f"-----BEGIN CERTIFICATE-----\n{SECRET}\n-----END CERTIFICATE-----"),
        Way(ca_bundle=f"{authority.pem}-----BEGIN CERTIFICATE-----\n{SECRET}=\n-----END CERTIFICATE-----"),
        Way(client_certificate=SECRET),
        Way(client_certificate=certificate),
        Way(client_certificate=f"-----BEGIN PRIVATE{key}"),
        Way(client_certificate=f"{certificate}-----BEGIN PRIVATE{other_key}"),
        Way(client_certificate=f"{certificate}-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"),
        Way(client_certificate=authority.issue("a hub", password="a password")),
    ]


async def test_a_way_that_can_not_be_used_says_so_without_its_secrets(authority: Authority) -> None:
    async with listening(answering(OK), authority.server_context()) as port:
        for way in broken_ways(authority):
            with pytest.raises(WayInvalid) as caught:
                await ConnectionPool(allow_private=True).connect(origin_at(port, way))
            words = str(caught.value)
            assert "CA bundle" in words if way.ca_bundle else "client certificate" in words
            assert SECRET not in words
            assert caught.value.__cause__ is None


async def test_an_encrypted_key_is_named_as_such(authority: Authority) -> None:
    with pytest.raises(WayInvalid, match="encrypted"):
        await Contexts().get("", authority.issue("a hub", password="a password"))


async def test_contexts_are_made_once_for_all_that_wait_and_bounded(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = Contexts()
    first, second = await asyncio.gather(contexts.get(authority.pem, ""), contexts.get(authority.pem, ""))
    assert first is second
    assert await contexts.get(authority.pem, "") is first
    for number in range(MOST_CONTEXTS):
        await contexts.get(f"{authority.pem}{number}", "")
    assert await contexts.get(authority.pem, "") is not first


async def test_a_context_outlives_the_first_that_waits_for_it(authority: Authority) -> None:
    contexts = Contexts()
    impatient = asyncio.create_task(contexts.get(authority.pem, ""))
    patient = asyncio.create_task(contexts.get(authority.pem, ""))
    await asyncio.sleep(0)
    impatient.cancel()
    assert isinstance(await patient, ssl.SSLContext)
    with pytest.raises(asyncio.CancelledError):
        await impatient


# Outgoing proxies


@pytest.mark.parametrize("secured", [False, True])
async def test_an_https_backend_is_reached_by_a_tunnel(authority: Authority, secured: bool) -> None:
    proxy = OutgoingProxyServer(wanted=BASIC)
    context = authority.server_context() if secured else None
    async with (
        listening(answering(OK, OK), authority.server_context(clients_of=authority)) as port,
        listening(proxy, context) as proxy_port,
    ):
        scheme = "https" if secured else "http"
        certificate = authority.issue("a hub")
        way = way_by(
            proxy_port, scheme=scheme, user="hen:p4%24%24@", ca_bundle=authority.pem, client_certificate=certificate
        )
        assert (await connected(origin_at(port, way))).body == b"ok"
        assert len(proxy.heads) == 1
        assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n".encode())


async def test_the_certificate_at_the_end_of_a_tunnel_is_checked(authority: Authority, stranger: Authority) -> None:
    async with (
        listening(answering(OK), authority.server_context()) as port,
        listening(OutgoingProxyServer()) as proxy_port,
    ):
        origin = origin_at(port, way_by(proxy_port, ca_bundle=stranger.pem))
        with pytest.raises(ConnectFailed, match=rf"127.0.0.1:{port} through the outgoing proxy 127.0.0.1:{proxy_port}"):
            await ConnectionPool(allow_private=True).connect(origin)


@pytest.mark.parametrize("secured", [False, True])
async def test_an_http_backend_is_asked_for_by_its_whole_address(authority: Authority, secured: bool) -> None:
    proxy = OutgoingProxyServer(wanted=BASIC)
    context = authority.server_context() if secured else None
    async with listening(answering(OK)) as port, listening(proxy, context) as proxy_port:
        scheme = "https" if secured else "http"
        way = way_by(proxy_port, scheme=scheme, user="hen:p4%24%24@", ca_bundle=authority.pem)
        origin = origin_at(port, way, scheme="http")
        pool = ConnectionPool(allow_private=True)
        connection = await pool.connect(origin)
        sink = Collected()
        head = b"POST %b HTTP/1.1\r\nhost: %b\r\n" % (origin.target(b"/v1/x"), origin.authority)
        for _ in range(2):
            sink = Collected()
            connection.start(sink, head + origin.proxy_headers + b"content-length: 0\r\n\r\n")
            async with asyncio.timeout(10):
                await sink.over.wait()
            assert (sink.status, sink.body) == (200, b"ok")
            pool.settle(origin, connection)
            assert pool.kept(origin) is connection
        connection.abort()
        assert [each.split(b" ")[1] for each in proxy.heads] == [f"http://127.0.0.1:{port}/v1/x".encode()] * 2


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (b"HTTP/1.1 407 No\r\n\r\n", "wants other credentials"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "no tunnel to 127.0.0.1:1 .403"),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "no tunnel to 127.0.0.1:1 .502"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 X\r\n\r\n", "no tunnel to 127.0.0.1:1 .503"),
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        (b"x" * 100_000, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n", "broke the tunnel"),
        (b"HTTP/1.1 200 OK\r\n\r\nsurplus", "broke the tunnel"),
    ],
)
async def test_a_proxy_that_refuses_is_named_without_the_credentials(refusal: bytes, words: str) -> None:
    async with listening(OutgoingProxyServer(refusal=refusal)) as port:
        origin = origin_at(1, way_by(port, user="hen:p4%24%24@"))
        with pytest.raises(OutgoingProxyFailed, match=words) as caught:
            await ConnectionPool(allow_private=True).connect(origin)
        assert f"outgoing proxy 127.0.0.1:{port}" in str(caught.value)
        assert "hen" not in str(caught.value)


async def test_a_proxy_that_hangs_up_is_named() -> None:
    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with listening(hang_up) as port:
        with pytest.raises(OutgoingProxyFailed, match=f"outgoing proxy 127.0.0.1:{port} hangs up"):
            await ConnectionPool(allow_private=True).connect(origin_at(1, way_by(port)))


async def test_a_proxy_that_ends_the_tunnel_it_has_made_is_a_failed_connection() -> None:
    async with listening(OutgoingProxyServer(refusal=b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        async with asyncio.timeout(20):
            with pytest.raises(ConnectFailed, match="outgoing proxy"):
                await ConnectionPool(allow_private=True).connect(origin_at(1, way_by(port)))


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_nobody_listens_at_is_named(scheme: str) -> None:
    async with listening(OutgoingProxyServer()) as port:
        pass
    with pytest.raises(OutgoingProxyFailed, match=f"No connection to the outgoing proxy 127.0.0.1:{port}"):
        await ConnectionPool(allow_private=True).connect(origin_at(1, way_by(port), scheme=scheme))


async def test_a_407_in_place_of_an_answer_is_the_proxys_failure() -> None:
    async with listening(OutgoingProxyServer(wanted=BASIC)) as port:
        origin = origin_at(1, way_by(port, user="other:x@"), scheme="http")
        connection = await ConnectionPool(allow_private=True).connect(origin)
        sink = await exchange(connection)
        assert isinstance(sink.failure, OutgoingProxyFailed)
        assert (sink.status, f"127.0.0.1:{port}" in str(sink.failure)) == (0, True)


async def test_a_407_of_a_backend_without_a_proxy_is_its_answer() -> None:
    async with listening(answering(b"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n")) as port:
        connection = await ConnectionPool(allow_private=True).connect(origin_at(port, Way(), scheme="http"))
        assert (await exchange(connection)).status == 407


async def test_a_caller_that_gives_up_leaves_no_tunnel_behind() -> None:
    proxy = OutgoingProxyServer(silent=True)
    over = asyncio.Event()

    async def until_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await proxy(reader, writer)
        over.set()

    async with listening(until_the_end) as port:
        task = asyncio.create_task(ConnectionPool(allow_private=True).connect(origin_at(1, way_by(port))))
        async with asyncio.timeout(10):
            await proxy.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await over.wait()


# Address rules


async def test_the_address_of_the_proxy_is_judged() -> None:
    with pytest.raises(AddressRefused, match="outgoing proxy localhost:3128"):
        await ConnectionPool(allow_private=False).connect(
            origin_of("https://api.example", Way(proxy="http://localhost:3128"))[0]
        )


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "[::1]", "169.254.169.254", "127.1", "0x7f000001", "2130706433", "127.0.0.1.", "１２７.0.0.1"]
)
async def test_an_address_behind_a_proxy_is_judged_before_anything_is_dialled(host: str) -> None:
    way = Way(proxy="http://203.0.113.1:3128")
    for scheme in ("http", "https"):
        origin, _ = origin_of(f"{scheme}://{host}/v1", way)
        with pytest.raises(AddressRefused, match=f"^{re.escape(origin.host)}: .* is a private or local"):
            await ConnectionPool(allow_private=False).connect(origin)


async def test_a_name_behind_a_proxy_is_the_proxys_to_resolve(authority: Authority) -> None:
    proxy = OutgoingProxyServer(refusal=b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
    async with listening(proxy) as port:
        with pytest.raises(OutgoingProxyFailed, match="502"):
            await ConnectionPool(allow_private=True).connect(origin_of("https://no.such.invalid", way_by(port))[0])
    assert proxy.heads[0].startswith(b"CONNECT no.such.invalid:443 HTTP/1.1\r\nhost: no.such.invalid:443\r\n")


async def test_connections_of_different_ways_are_not_mixed() -> None:
    async with listening(answering(OK, OK)) as port, listening(OutgoingProxyServer()) as proxy_port:
        pool = ConnectionPool(allow_private=True)
        direct = origin_at(port, Way(), scheme="http")
        connection = await pool.connect(direct)
        await exchange(connection)
        pool.settle(direct, connection)
        assert pool.kept(origin_at(port, way_by(proxy_port), scheme="http")) is None
        assert pool.kept(origin_at(port, Way(), scheme="http")) is connection
        connection.abort()
