"""TLS contexts of backends: whom the hub trusts, and who it says that it is."""

import asyncio
import os
import re
import ssl
from tempfile import NamedTemporaryFile

from proxy.upstream_failures import WayInvalid

MOST_CONTEXTS = 64
"""Contexts that are kept. One holds the parsed certificates of its CAs, up to about a megabyte."""

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")


class Contexts:
    """One TLS context for each pair of CA bundle and client certificate, the last used are kept."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], ssl.SSLContext] = {}
        self._making: dict[tuple[str, str], asyncio.Future[ssl.SSLContext]] = {}

    async def get(self, ca_bundle: str, client_certificate: str) -> ssl.SSLContext:
        """The context for these PEM texts; "" for the system's CAs and for no client certificate. Raises WayInvalid."""
        key = (ca_bundle, client_certificate)
        context = self._made.pop(key, None)
        if context is None:
            return await self._make_once(key)
        self._made[key] = context  # the last used stand at the end
        return context

    async def _make_once(self, key: tuple[str, str]) -> ssl.SSLContext:
        making = self._making.get(key)
        if making is None:
            # Parsing the CAs takes milliseconds, which streams under way need not wait for.
            making = self._making[key] = asyncio.get_running_loop().run_in_executor(None, _make, *key)
            making.add_done_callback(lambda done: self._keep(key, done))
        # A caller that gives up must not take the context from those that wait with it.
        return await asyncio.shield(making)

    def _keep(self, key: tuple[str, str], done: "asyncio.Future[ssl.SSLContext]") -> None:
        del self._making[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._made[key] = done.result()
        while len(self._made) > MOST_CONTEXTS:
            del self._made[next(iter(self._made))]


def _make(ca_bundle: str, client_certificate: str) -> ssl.SSLContext:
    context = _trusting(ca_bundle) if ca_bundle else ssl.create_default_context()
    if client_certificate:
        _identify(context, client_certificate)
    return context


def _trusting(ca_bundle: str) -> ssl.SSLContext:
    # Bundles carry comments in any alphabet between their certificates, which the library does not take.
    certificates = _CERTIFICATE.findall(ca_bundle)
    if not certificates:
        raise WayInvalid("The backend's CA bundle holds no certificate in PEM.")
    try:
        context = ssl.create_default_context(cadata="\n".join(certificates))
    except (ssl.SSLError, ValueError) as problem:
        raise WayInvalid(f"The backend's CA bundle can't be read: {_reason(problem)}.") from None
    # The operator has named whom to trust: it may be an intermediate, or the server's own certificate.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _identify(context: ssl.SSLContext, client_certificate: str) -> None:
    try:
        _load_chain(context, client_certificate.encode())
    except _Encrypted:
        raise WayInvalid("The key of the backend's client certificate is encrypted; store it without.") from None
    except (ssl.SSLError, ValueError) as problem:
        raise WayInvalid(f"The backend's client certificate or its key can't be read: {_reason(problem)}.") from None
    except OSError as problem:
        raise WayInvalid(f"The backend's client certificate can't be loaded: {problem.strerror}.") from None


def _load_chain(context: ssl.SSLContext, pem: bytes) -> None:
    # The library reads keys from files only. One in memory, or else one that only this process may read, and not long.
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("client-certificate", os.MFD_CLOEXEC), "wb", buffering=0) as file:
            file.write(pem)
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password=_no_password)
    else:
        with NamedTemporaryFile(buffering=0) as file:
            file.write(pem)
            context.load_cert_chain(file.name, password=_no_password)


class _Encrypted(Exception):
    """The library asks for a password."""


def _no_password() -> str:
    # Without an answer of ours the library would ask at the terminal.
    raise _Encrypted


def _reason(problem: Exception) -> str:
    # Names of the library's own, such as KEY_VALUES_MISMATCH; its longer texts name places in its source.
    reason = problem.reason if isinstance(problem, ssl.SSLError) else None
    return (reason or "it is no valid PEM").lower().replace("_", " ")
