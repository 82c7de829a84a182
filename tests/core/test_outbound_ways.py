"""Calling out with certificates of one's own and through an outgoing proxy, over real sockets."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agenthub.core.outbound import Answer, fetch, reach
from agenthub.core.outbound_errors import (
    AddressRefused,
    AnswerInvalid,
    CertificateExpired,
    CertificateOfAnother,
    CertificateUntrusted,
    ClientCertificateAsked,
    ConnectionRefused,
    OutboundError,
    ProxyCredentials,
    ProxyFailed,
    ProxyUnreachable,
    TlsFailed,
)
from tests.certificates import Issued, issued
from tests.outgoing_proxy import OutgoingProxy, running_proxy
from tests.upstream import Upstream, running_upstream

CA = issued("a private CA", ca=True)


@dataclass(frozen=True)
class Way:
    proxy: str = ""
    ca_bundle: str = CA.pem
    client_certificate: str = ""


def get(url: str, way: Way, *, allow_private: bool = True, timeout_seconds: float = 10) -> Answer:
    return asyncio.run(fetch("GET", url, way=way, allow_private=allow_private, timeout_seconds=timeout_seconds))


def reached(url: str, way: Way, *, allow_private: bool = True) -> None:
    asyncio.run(reach(url, way=way, allow_private=allow_private, timeout_seconds=10))


def both_raise(error: type[OutboundError], url: str, way: Way, *, allow_private: bool = True) -> str:
    """The words of the error, which `fetch` and `reach` raise alike."""
    with pytest.raises(error) as failure:
        get(url, way, allow_private=allow_private)
    assert type(failure.value) is error
    with pytest.raises(error):
        reached(url, way, allow_private=allow_private)
    return str(failure.value)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Upstream]:
    with running_upstream(issued(by=CA).server_context(tmp_path)) as running:
        yield running


@pytest.fixture
def proxy() -> Iterator[OutgoingProxy]:
    with running_proxy() as running:
        yield running


def test_a_ca_bundle_is_trusted_instead_of_the_systems(secure: Upstream) -> None:
    assert get(secure.url, Way()).status == 200
    reached(secure.url, Way())
    words = both_raise(CertificateUntrusted, secure.url, Way(ca_bundle=""))
    assert "CA bundle" in words
    both_raise(CertificateUntrusted, secure.url, Way(ca_bundle=issued("another CA", ca=True).pem))


@pytest.mark.parametrize(
    ("certificate", "error"),
    [
        (issued(by=CA, days=-1), CertificateExpired),
        (issued("other.example", by=CA), CertificateOfAnother),
        (issued(), CertificateUntrusted),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told_apart(
    certificate: Issued, error: type[OutboundError], tmp_path: Path
) -> None:
    with running_upstream(certificate.server_context(tmp_path)) as upstream:
        both_raise(error, upstream.url, Way())
        assert upstream.seen == []


def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    context = issued(by=CA).server_context(tmp_path, clients_of=CA)
    with running_upstream(context) as upstream:
        assert get(upstream.url, Way(client_certificate=issued("client", by=CA).chain_pem)).status == 200
        stranger = issued("stranger", by=issued("another CA", ca=True)).chain_pem
        for certificate in ("", stranger):
            # With TLS 1.3 the server says so after the handshake, and may be gone before it is heard.
            with pytest.raises((ClientCertificateAsked, AnswerInvalid)):
                get(upstream.url, Way(client_certificate=certificate))
        assert len(upstream.seen) == 1


def test_a_client_certificate_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    context = issued(by=CA).server_context(tmp_path, clients_of=CA)
    context.maximum_version = context.maximum_version.TLSv1_2
    with running_upstream(context) as upstream:
        assert "may want a client certificate" in both_raise(TlsFailed, upstream.url, Way())
        stranger = issued("stranger", by=issued("another CA", ca=True)).chain_pem
        both_raise(ClientCertificateAsked, upstream.url, Way(client_certificate=stranger))


def test_texts_that_are_no_certificates_are_a_failure_of_tls(secure: Upstream) -> None:
    for way in (Way(ca_bundle="no certificate"), Way(ca_bundle="ä"), Way(client_certificate=CA.pem)):
        assert "enter it again" in both_raise(TlsFailed, secure.url, way)


def test_no_private_key_is_left_behind(secure: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    get(secure.url, Way(client_certificate=issued("client", by=CA).chain_pem))
    with pytest.raises(TlsFailed):
        get(secure.url, Way(client_certificate=CA.pem))
    assert list(folder.iterdir()) == []


def test_https_goes_through_a_tunnel(secure: Upstream, proxy: OutgoingProxy) -> None:
    place = secure.url.split("/")[2]
    assert get(secure.url, Way(proxy.url)).status == 200
    reached(secure.url, Way(proxy.url))
    assert proxy.seen == [f"CONNECT {place}"] * 2
    assert len(secure.seen) == 1
    both_raise(CertificateUntrusted, secure.url, Way(proxy.url, ca_bundle=""))


def test_http_is_handed_on(proxy: OutgoingProxy) -> None:
    with running_upstream() as upstream:
        assert get(f"{upstream.url}/models", Way(proxy.url)).status == 200
        reached(upstream.url, Way(proxy.url))
        assert proxy.seen == [f"GET {upstream.url}/models"]
        assert len(upstream.seen) == 1


def test_a_proxy_may_speak_tls_itself(secure: Upstream, tmp_path: Path) -> None:
    with running_proxy(issued(by=CA).server_context(tmp_path)) as proxy:
        assert get(secure.url, Way(proxy.url)).status == 200
        reached(secure.url, Way(proxy.url))
        assert len(proxy.seen) == 2
        assert "not trusted" in both_raise(ProxyUnreachable, secure.url, Way(proxy.url, ca_bundle=""))


def test_the_proxy_resolves_the_names_of_targets(tmp_path: Path, proxy: OutgoingProxy) -> None:
    proxy.resolves = {"upstream.invalid": "127.0.0.1"}
    with running_upstream(issued("upstream.invalid", by=CA).server_context(tmp_path)) as upstream:
        url = upstream.url.replace("127.0.0.1", "upstream.invalid")
        assert get(url, Way(proxy.url)).status == 200
        reached(url, Way(proxy.url))


@pytest.mark.parametrize("tls", [True, False])
def test_the_credentials_of_a_proxy_are_sent_or_missed(secure: Upstream, proxy: OutgoingProxy, tls: bool) -> None:
    proxy.password = "p@ss:wörd"
    with running_upstream() as plain:
        url = secure.url if tls else plain.url
        assert get(url, Way(proxy.with_user("p%40ss%3Aw%C3%B6rd"))).status == 200
        reached(url, Way(proxy.with_user("p%40ss%3Aw%C3%B6rd")))
        for way in (Way(proxy.url), Way(proxy.with_user("secret"))):
            with pytest.raises(ProxyCredentials) as failure:
                get(url, way)
            assert "secret" not in str(failure.value)
    if tls:
        both_raise(ProxyCredentials, secure.url, Way(proxy.url))


@pytest.mark.parametrize(("status", "words"), [(403, "forbids"), (502, "can't reach"), (400, "refused")])
def test_a_proxy_that_refuses_is_told_from_the_upstream(
    secure: Upstream, proxy: OutgoingProxy, status: int, words: str
) -> None:
    proxy.refuses = status
    assert words in both_raise(ProxyFailed, secure.url, Way(proxy.url))
    assert secure.seen == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://proxy.invalid:3128", "https://127.0.0.1:1"])
def test_a_proxy_that_is_not_there(secure: Upstream, url: str) -> None:
    both_raise(ProxyUnreachable, secure.url, Way(url))


def test_a_proxy_without_tls_that_is_called_with_it(secure: Upstream, proxy: OutgoingProxy) -> None:
    url = proxy.url.replace("http:", "https:")
    assert "does not speak TLS" in both_raise(ProxyUnreachable, secure.url, Way(url))


def test_what_is_no_proxy_does_not_answer_like_one(secure: Upstream) -> None:
    with running_upstream() as no_proxy:
        both_raise(ProxyFailed, secure.url, Way(no_proxy.url.removesuffix("/v1")))


def test_the_address_rules_hold_for_the_proxy(secure: Upstream, proxy: OutgoingProxy) -> None:
    words = both_raise(AddressRefused, "https://upstream.example/v1", Way(proxy.url), allow_private=False)
    assert "outgoing proxy" in words
    assert proxy.seen == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "a.localhost", "10.0.0.1", "[::1]", "127.1", "0x7f000001"])
def test_a_proxy_is_no_way_around_the_address_rules(host: str, proxy: OutgoingProxy) -> None:
    both_raise(AddressRefused, f"https://{host}/v1", Way(proxy.url), allow_private=False)
    assert proxy.seen == []


def test_nobody_listens_behind_the_certificate() -> None:
    both_raise(ConnectionRefused, "https://127.0.0.1:1/v1", Way())
