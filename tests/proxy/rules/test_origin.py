"""Where connections go, and what must not be said of it."""

from base64 import b64decode

import pytest

from providers.rules.table import Way
from proxy.rules.origin import origin_of

SECRETS = Way(proxy="http://hen:s3cr3t@proxy.example:3128", ca_bundle="CA", client_certificate="K3Y")


def test_secrets_are_in_no_repr() -> None:
    shown = repr(origin_of("https://api.example/v1", SECRETS))
    assert "proxy.example" in shown
    assert not {"s3cr3t", "hen", "K3Y"} & set(shown.replace("'", " ").split())
    assert "Basic" not in shown


def test_equal_ways_make_equal_origins() -> None:
    first, second = (origin_of("https://api.example/v1", Way(**vars_of(SECRETS)))[0] for _ in range(2))
    assert (first, hash(first)) == (second, hash(second))


def vars_of(way: Way) -> dict[str, str]:
    return {"proxy": way.proxy, "ca_bundle": way.ca_bundle, "client_certificate": way.client_certificate}


@pytest.mark.parametrize("name", ["proxy", "ca_bundle", "client_certificate"])
def test_different_ways_make_different_origins(name: str) -> None:
    other = Way(**{**vars_of(SECRETS), name: "http://other.example"})
    assert origin_of("https://api.example", other)[0] != origin_of("https://api.example", SECRETS)[0]


def test_what_has_no_meaning_for_a_backend_without_tls_does_not_tell_origins_apart() -> None:
    certificates = Way(ca_bundle="CA", client_certificate="K3Y")
    assert origin_of("http://api.example", certificates) == origin_of("http://api.example")


def test_the_bundle_counts_for_a_proxy_that_is_spoken_to_in_tls() -> None:
    way = Way(proxy="https://proxy.example", ca_bundle="CA", client_certificate="K3Y")
    origin, _ = origin_of("http://api.example", way)
    assert (origin.ca_bundle, origin.client_certificate) == ("CA", "")
    assert origin.proxy is not None
    assert (origin.proxy.port, origin.proxy.tls) == (443, True)


def test_a_direct_request_names_its_path_and_nothing_for_a_proxy() -> None:
    origin, _ = origin_of("http://api.example/v1")
    assert (origin.target(b"/v1/x"), origin.proxy_headers) == (b"/v1/x", b"")


def test_a_request_that_the_proxy_reads_names_the_whole_address() -> None:
    origin, _ = origin_of("http://[::1]:81/v1", SECRETS)
    assert origin.target(b"/v1/x") == b"http://[::1]:81/v1/x"
    name, _, value = origin.proxy_headers.rstrip(b"\r\n").partition(b": Basic ")
    assert (name, b64decode(value)) == (b"proxy-authorization", b"hen:s3cr3t")


def test_what_is_the_proxys_stays_out_of_requests_in_a_tunnel() -> None:
    origin, _ = origin_of("https://api.example/v1", SECRETS)
    assert (origin.target(b"/v1/x"), origin.proxy_headers) == (b"/v1/x", b"")
    head = origin.tunnel_head
    assert head.startswith(b"CONNECT api.example:443 HTTP/1.1\r\nhost: api.example:443\r\nproxy-authorization: Basic ")
    assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("url", "target"),
    [("https://[2001:db8::1]", b"[2001:db8::1]:443"), ("https://bücher.example:8443", b"xn--bcher-kva.example:8443")],
)
def test_tunnels_lead_to_hosts_of_any_kind(url: str, target: bytes) -> None:
    origin, _ = origin_of(url, Way(proxy="http://proxy.example"))
    assert origin.tunnel_head == b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (target, target)


@pytest.mark.parametrize(
    ("userinfo", "credentials"),
    [("hen:p%40ss%3A@", b"hen:p@ss:"), ("hen@", b"hen:"), (":p@", b":p"), ("h%C3%BChn:p@", "hühn:p".encode())],
)
def test_credentials_may_be_escaped(userinfo: str, credentials: bytes) -> None:
    origin, _ = origin_of("https://api.example", Way(proxy=f"http://{userinfo}proxy.example"))
    assert origin.proxy is not None
    assert b64decode(origin.proxy.authorization.removeprefix(b"Basic ")) == credentials


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://hen:s3cr3t@proxy.example", "not by 'socks5'"),
        ("proxy.example:3128", "http or https"),
        ("http://hen:s3cr3t@", "names no host"),
        ("http://hen:s3cr3t@proxy.example:port", "can't be read"),
        ("http://hen:s3cr3t@[::1", "can't be read"),
        ("http://hen:s3cr3t@proxy.example/path", "after the port"),
        ("http://hen:s3cr3t@proxy.example?x", "after the port"),
        ("http://h%3An:s3cr3t@proxy.example", "colon"),
        ("http://a b", "names no host"),
    ],
)
def test_a_proxy_that_is_none_is_refused_without_its_credentials(proxy: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        origin_of("https://api.example", Way(proxy=proxy))
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://a b/v1", "http://a\x0bb/v1", 'http://a"b/v1', "http://a\u2028b"])
def test_a_host_can_not_end_the_line_it_stands_in(url: str) -> None:
    with pytest.raises(ValueError, match="not an http"):
        origin_of(url)
