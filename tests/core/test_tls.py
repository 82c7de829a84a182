import pytest

from agenthub.core.tls import (
    MOST_BUNDLE_CHARACTERS,
    ca_bundle_refusal,
    certificate_summary,
    client_certificate_refusal,
    pem_tidy,
)
from tests.certificates import issued

CA = issued("a private CA", ca=True)
CLIENT, OTHER = issued("client", by=CA), issued("other", by=CA)


@pytest.mark.parametrize("text", [CA.pem, CA.pem + CLIENT.pem, f"# A comment\n{CA.pem}", CA.pem.replace("\n", "\r\n")])
def test_these_are_bundles(text: str) -> None:
    assert ca_bundle_refusal(pem_tidy(text)) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no PEM text"),
        ("a text", "no PEM text"),
        (CA.pem.replace("M", "?"), "no PEM text"),
        (CA.pem[:-60], "no PEM text"),
        (CA.chain_pem, "private key"),
        (f"# Főtanúsítvány\n{CA.pem}", "not ASCII"),
        ("x" * (MOST_BUNDLE_CHARACTERS + 1), "longer than"),
    ],
)
def test_these_are_none(text: str, words: str) -> None:
    assert words in (ca_bundle_refusal(text) or "")


def test_a_chain_with_its_key_is_a_client_certificate() -> None:
    for text in (CLIENT.chain_pem, CLIENT.pem + CA.pem + CLIENT.key_pem, CLIENT.key_pem + CLIENT.pem):
        assert client_certificate_refusal(pem_tidy(text)) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no certificate"),
        (CLIENT.key_pem, "no certificate"),
        (CLIENT.pem, "no private key"),
        (CLIENT.pem + OTHER.key_pem, "not that of the first certificate"),
        (CLIENT.pem + CLIENT.encrypted_key_pem, "encrypted"),
        (CLIENT.pem + CLIENT.key_pem.replace("M", "?"), "can't be read"),
        (CLIENT.chain_pem + "ä", "not ASCII"),
        (CLIENT.chain_pem * 100, "longer than"),
    ],
)
def test_these_are_no_client_certificates(text: str, words: str) -> None:
    refusal = client_certificate_refusal(text) or ""
    assert words in refusal
    assert CLIENT.key_pem.splitlines()[1] not in refusal


def test_only_subject_and_expiry_are_shown() -> None:
    expiry = CLIENT.certificate.not_valid_after_utc
    assert certificate_summary(CLIENT.chain_pem) == f"CN=client, valid until {expiry:%Y-%m-%d}"
    assert certificate_summary("odd") == "set"
