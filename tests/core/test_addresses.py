import pytest

from agenthub.core.addresses import host_refusal, refusal


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


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "a.LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0X7F000001",
        "::1",
        "1..2",
    ],
)
def test_hosts_that_are_private_addresses_by_themselves(host: str) -> None:
    assert host_refusal(host, allow_private=False) is not None


@pytest.mark.parametrize(
    "host", ["host.example", "8.8.8.8", "2606:4700::1111", "1.example", "x127.0.0.1", "beef", "0xy"]
)
def test_names_are_judged_when_they_are_dialled(host: str) -> None:
    assert host_refusal(host, allow_private=False) is None


def test_a_long_host_is_judged_at_once() -> None:
    assert host_refusal("1" * 50_000 + "x", allow_private=False) is None
