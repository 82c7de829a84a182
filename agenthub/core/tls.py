"""TLS as a client: contexts out of PEM texts, and what is wrong with such a text before it is stored.

Private keys touch the disk only as a file that nobody else may read and that is gone before the call returns: the
library loads chains from files alone.
"""

import ssl
import tempfile

from cryptography import x509

MOST_BUNDLE_CHARACTERS = 500_000
MOST_CHAIN_CHARACTERS = 64_000


def pem_tidy(text: str) -> str:
    """PEM text with the line ends of this house, however a form or a spreadsheet has sent it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def client_context(*, ca_bundle: str = "", client_certificate: str = "") -> ssl.SSLContext:
    """A context that trusts `ca_bundle` instead of the system's certificates where there is one, and shows
    `client_certificate` to servers that ask for it. Both are ASCII. Raises ssl.SSLError for texts that are neither.
    """
    context = ssl.create_default_context(cadata=ca_bundle or None)
    if client_certificate:
        with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".pem") as file:
            file.write(client_certificate)
            file.flush()
            # Without a password of ours the library would ask for one on the terminal.
            context.load_cert_chain(file.name, password="")
    return context


def ca_bundle_refusal(text: str) -> str | None:
    """Why `text` can't be a bundle of certificates to trust; None where it can."""
    if len(text) > MOST_BUNDLE_CHARACTERS:
        return f"The bundle is longer than {MOST_BUNDLE_CHARACTERS} characters; give the CAs of this upstream alone."
    if not text.isascii():
        return "The text holds characters that are not ASCII; leave comments out and give the PEM blocks alone."
    if "PRIVATE KEY" in text:
        return "The bundle holds a private key, which does not belong here; give certificates alone."
    try:
        trusted = client_context(ca_bundle=text).cert_store_stats()["x509"] if text else 0
    except ssl.SSLError:
        trusted = 0
    if not trusted:
        return "This is no PEM text of certificates; it must hold blocks that begin with -----BEGIN CERTIFICATE-----."
    return None


def client_certificate_refusal(text: str) -> str | None:
    """Why `text` can't be a client certificate with its key; None where it can. The answer never repeats the text."""
    if len(text) > MOST_CHAIN_CHARACTERS:
        return f"The certificate is longer than {MOST_CHAIN_CHARACTERS} characters; give its chain and its key alone."
    if not text.isascii():
        return "The text holds characters that are not ASCII; leave comments out and give the PEM blocks alone."
    if "-----BEGIN CERTIFICATE-----" not in text:
        return "The text holds no certificate; it must hold a block that begins with -----BEGIN CERTIFICATE-----."
    if "PRIVATE KEY-----" not in text:
        return "The text holds no private key; add the PEM block of the certificate's key."
    if "ENCRYPTED" in text:
        return "The private key is encrypted with a password; give it without one, it is stored encrypted here."
    try:
        client_context(client_certificate=text)
    except ssl.SSLError as problem:
        if problem.reason == "KEY_VALUES_MISMATCH":
            return "The private key is not that of the first certificate; put the client's own certificate first."
        return "The certificate or its private key can't be read; give both in PEM, the chain first."
    return None


def certificate_summary(text: str) -> str:
    """Subject and expiry of the first certificate in a PEM text; "set" where these can't be told."""
    try:
        certificate = x509.load_pem_x509_certificate(text.encode())
        subject = certificate.subject.rfc4514_string() or "no subject"
        return f"{subject}, valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
    except ValueError:
        return "set"
