import pytest

from providers.presets import BY_KEY, PRESETS, Preset
from providers.rules.base_url import base_url_refusal, base_url_warnings


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "http://host.example:8000",
        "https://host.example/paas/v4/",
        "https://[2606:4700::1111]/v1",
    ],
)
def test_a_base_url_may_look_like_this(url: str) -> None:
    assert base_url_refusal(url, allow_private=False) is None


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "http"),
        ("host/v1", "http"),
        ("file:///etc/passwd", "http"),
        ("https://", "no host"),
        ("https://host:port/v1", "not a URL"),
        ("https://[::1/v1", "not a URL"),
        ("https://user@host/v1", "user name"),
        ("https://user:secret@host/v1", "user name"),
        ("https://host/v1?a=b", "?"),
        ("https://host/v1#a", "#"),
        ("https://ho st/v1", "no host"),
        ("https://host\\@evil/v1", "no host"),
        ("https://0.0.0.0/v1", "unspecified"),
    ],
)
def test_what_can_be_no_base_url_is_refused(url: str, word: str) -> None:
    refusal = base_url_refusal(url, allow_private=True)
    assert refusal is not None
    assert word in refusal
    assert "secret" not in refusal


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/v1", "http://localhost/v1", "http://a.localhost/v1", "http://[::1]/v1", "http://10.0.0.1"]
)
def test_private_addresses_need_to_be_allowed(url: str) -> None:
    assert base_url_refusal(url, allow_private=True) is None
    assert base_url_refusal(url, allow_private=False) is not None


@pytest.mark.parametrize(
    ("url", "proposal"),
    [
        ("https://host", "https://host/v1"),
        ("https://host/", "https://host/v1"),
        ("https://host/api", "https://host/api/v1"),
        ("https://host/v1/chat/completions", "https://host/v1"),
        ("https://host/v1/models/", "https://host/v1"),
        ("https://host/v1/v1", "https://host/v1"),
    ],
)
def test_an_odd_url_comes_with_a_proposal(url: str, proposal: str) -> None:
    (warning,) = base_url_warnings(url)
    assert warning.endswith(f"did you mean {proposal}?")


@pytest.mark.parametrize("url", ["https://host/v1", "https://host/v1beta/openai", "https://host/api/paas/v4"])
def test_a_url_with_its_version_needs_no_warning(url: str) -> None:
    assert base_url_warnings(url) == []


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.key)
def test_presets_are_base_urls_without_a_warning(preset: Preset) -> None:
    assert BY_KEY[preset.key] is preset
    assert base_url_refusal(preset.api_base_url, allow_private=True) is None
    assert base_url_warnings(preset.api_base_url, preset.api) == []


def test_an_endpoint_behind_an_address_without_version_is_taken_off() -> None:
    (warning,) = base_url_warnings("https://api.perplexity.ai/chat/completions")
    assert warning.endswith("did you mean https://api.perplexity.ai?")
