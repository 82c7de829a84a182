import pytest

from agenthub.core.addresses import refusal


@pytest.mark.parametrize("ip", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_called(ip: str) -> None:
    assert refusal(ip, allow_private=False) is None


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
    ],
)
def test_private_addresses_need_to_be_allowed(ip: str) -> None:
    assert "AGENTHUB_ALLOW_PRIVATE_UPSTREAMS" in (refusal(ip, allow_private=False) or "")
    assert refusal(ip, allow_private=True) is None


@pytest.mark.parametrize("ip", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:0.0.0.0", "nonsense"])
def test_what_names_no_upstream_is_never_called(ip: str) -> None:
    assert refusal(ip, allow_private=True) is not None
