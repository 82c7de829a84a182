"""Certificates for tests, made on the spot: a CA of one's own, and what it vouches for."""

import ssl
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agenthub.core.clock import utc_now


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key alone, without a password."""
        return self._key(serialization.NoEncryption())

    @property
    def encrypted_key_pem(self) -> str:
        """The key alone, with a password."""
        return self._key(serialization.BestAvailableEncryption(b"a password"))

    @property
    def chain_pem(self) -> str:
        """The certificate and its key."""
        return self.pem + self.key_pem

    def _key(self, encryption: serialization.KeySerializationEncryption) -> str:
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()

    def server_context(self, folder: Path, *, clients_of: "Issued | None" = None) -> ssl.SSLContext:
        """What a server with this certificate needs; with `clients_of` it asks for certificates of that CA."""
        file = folder / f"{self.certificate.serial_number}.pem"
        file.write_text(self.chain_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        if clients_of is not None:
            context.load_verify_locations(cadata=clients_of.pem)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def issued(
    name: str = "127.0.0.1", *, by: Issued | None = None, days: int = 1, ca: bool = False, started_days_ago: int = 9
) -> Issued:
    """A certificate for `name`, an address or a host, that ends in `days`; it vouches for itself without `by`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name.replace(" ", "-"))
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc_now() - timedelta(days=started_days_ago))
        .not_valid_after(utc_now() + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if ca:
        builder = builder.add_extension(_may_sign(), critical=True)
    issuer = by.key if by else key
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    return Issued(builder.add_extension(identifier, critical=False).sign(issuer, hashes.SHA256()), key)


def _may_sign() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
