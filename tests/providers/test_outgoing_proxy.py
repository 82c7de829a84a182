import pytest

from providers.rules.outgoing_proxy import outgoing_proxy_masked, outgoing_proxy_refusal


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("https://proxy.example", "https://proxy.example"),
        ("http://user:secret@proxy.example:3128/", "http://***@proxy.example:3128"),
        ("http://token@8.8.8.8:80", "http://***@8.8.8.8:80"),
        ("http://a%40b:p%3Aw@[2606:4700::1111]:80", "http://***@[2606:4700::1111]:80"),
    ],
)
def test_a_proxy_may_look_like_this_and_is_shown_without_its_user(url: str, shown: str) -> None:
    assert outgoing_proxy_refusal(url, allow_private=False) is None
    assert outgoing_proxy_masked(url) == shown


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("socks5://user:secret@proxy:1080", "SOCKS"),
        ("socks4a://proxy", "SOCKS"),
        ("socks5h://proxy", "SOCKS"),
        ("ftp://user:secret@proxy", "http://"),
        ("proxy.example:3128", "http://"),
        ("user:secret", "http://"),
        ("//", "not a URL"),
        ("http://", "no host"),
        ("http://user:secret@", "no host"),
        ("http://pro xy", "no host"),
        ("http://user:sécret@proxy", "no host"),
        ("http://user:secret@proxy:port", "not a URL"),
        ("http://[::1", "not a URL"),
        ("http://user:secret@proxy/path", "no path"),
        ("http://proxy?x=secret", "no path"),
        ("http://user:secret@0.0.0.0", "unspecified"),
        ("http://***@proxy:3128", "enter them again"),
    ],
)
def test_what_can_be_no_proxy_is_refused_without_repeating_it(url: str, words: str) -> None:
    refusal = outgoing_proxy_refusal(url, allow_private=True) or ""
    assert words in refusal
    assert "cret" not in refusal


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "[::1]"])
def test_private_proxies_need_to_be_allowed(host: str) -> None:
    assert outgoing_proxy_refusal(f"http://{host}:3128", allow_private=True) is None
    assert outgoing_proxy_refusal(f"http://{host}:3128", allow_private=False) is not None


def test_what_is_no_url_is_not_shown() -> None:
    assert outgoing_proxy_masked("") == ""
    assert outgoing_proxy_masked("http://[user:secret") == "***"
