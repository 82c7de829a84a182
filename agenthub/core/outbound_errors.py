"""Every way in which an exchange of `core/outbound.py` does not come to an answer; the codes are stable.

OutboundError
├── AddressRefused             the address rules forbid it
├── DnsFailed                  the name does not resolve
├── TlsFailed                  no trusted encrypted connection
│   ├── CertificateExpired     the other side's certificate is past its end
│   ├── CertificateUntrusted   nobody who is trusted vouches for it
│   ├── CertificateOfAnother   it is for another name
│   ├── TlsNotSpoken           the port answers without TLS
│   └── ClientCertificateAsked the other side wants a certificate, or another one
├── ConnectFailed              unreachable, reset before an answer
│   └── ConnectionRefused      nobody listens there
├── ProxyFailed                the outgoing proxy did not let it through
│   ├── ProxyUnreachable       there is no connection to it
│   └── ProxyCredentials       it does not take its user name and password
├── TimedOut                   not done within its time
├── AnswerTooLarge             more than was allowed
└── AnswerInvalid              no HTTP, or broken off
"""

import ssl


class OutboundError(Exception):
    """An exchange that did not come to an answer; the message says what happened, and to what."""

    code = "failed"


class AddressRefused(OutboundError):
    """The address rules of the hub forbid the connection."""

    code = "address_refused"


class DnsFailed(OutboundError):
    """The name of the host does not resolve."""

    code = "dns_failed"


class TlsFailed(OutboundError):
    """The other side could not be trusted, or spoke no TLS."""

    code = "tls_failed"


class CertificateExpired(TlsFailed):
    """The other side's certificate is past its end."""

    code = "tls_expired"


class CertificateUntrusted(TlsFailed):
    """No certificate that is trusted here vouches for the other side's."""

    code = "tls_untrusted"


class CertificateOfAnother(TlsFailed):
    """The other side's certificate is for another name."""

    code = "tls_wrong_host"


class TlsNotSpoken(TlsFailed):
    """The port answers without TLS."""

    code = "tls_not_spoken"


class ClientCertificateAsked(TlsFailed):
    """The other side wants a client certificate, or does not take the one that it was shown."""

    code = "tls_client_certificate"


class ConnectFailed(OutboundError):
    """Nobody took the connection."""

    code = "connect_failed"


class ConnectionRefused(ConnectFailed):
    """Nobody listens at the port."""

    code = "connection_refused"


class ProxyFailed(OutboundError):
    """The outgoing proxy did not let the connection through."""

    code = "proxy_failed"


class ProxyUnreachable(ProxyFailed):
    """There is no connection to the outgoing proxy."""

    code = "proxy_unreachable"


class ProxyCredentials(ProxyFailed):
    """The outgoing proxy wants a user name and password, or others."""

    code = "proxy_credentials"


class TimedOut(OutboundError):
    """The exchange was not done within its time."""

    code = "timeout"


class AnswerTooLarge(OutboundError):
    """The answer is larger than was allowed."""

    code = "too_large"


class AnswerInvalid(OutboundError):
    """What came was no whole HTTP answer."""

    code = "invalid_answer"


_EXPIRED = 10
_ANOTHER = {62, 64}  # host name mismatch, address mismatch
_UNTRUSTED = {18, 19, 20, 21}  # self-signed, alone or in the chain; no issuer, or not the first one's
_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
_ASKED = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "ALERT_UNKNOWN_CA", "ALERT_CERTIFICATE")


def tls_failure(place: str, problem: ssl.SSLError) -> TlsFailed:
    """What the library says of a handshake with `place`, as one of ours."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return _certificate_failure(place, problem)
    reason = problem.reason or ""
    if reason in _NOT_TLS:
        return TlsNotSpoken(f"{place} does not speak TLS at this port; use http:// for it, or its port for https.")
    if any(word in reason for word in _ASKED):
        return ClientCertificateAsked(f"{place} wants a client certificate, or another one than it was shown.")
    hint = " It may want a client certificate." if "HANDSHAKE_FAILURE" in reason else ""
    return TlsFailed(f"{place}: no encrypted connection came about: {reason or problem}.{hint}")


def _certificate_failure(place: str, problem: ssl.SSLCertVerificationError) -> TlsFailed:
    if problem.verify_code == _EXPIRED:
        return CertificateExpired(f"The certificate of {place} has expired; its operator must renew it.")
    if problem.verify_code in _ANOTHER:
        return CertificateOfAnother(
            f"The certificate of {place} is for another name: {problem.verify_message} Use the name that it is for."
        )
    if problem.verify_code in _UNTRUSTED:
        return CertificateUntrusted(
            f"The certificate of {place} is not trusted ({problem.verify_message}); "
            "enter its CA as the CA bundle if it is a private one."
        )
    return TlsFailed(f"The certificate of {place} was not accepted: {problem.verify_message}.")


def connect_failure(place: str, problem: BaseException | None) -> ConnectFailed:
    """Why no connection to `place` came about, as one of ours."""
    if isinstance(caused_by(problem, ConnectionRefusedError), ConnectionRefusedError):
        return ConnectionRefused(f"{place} refused the connection: nobody listens there; check host and port.")
    return ConnectFailed(f"{place}: {problem}.")


def failure_of(place: str, problem: BaseException | None) -> TlsFailed | ConnectFailed:
    """Why no connection to `place` came about, encrypted or not, as one of ours."""
    tls = caused_by(problem, ssl.SSLError)
    return tls_failure(place, tls) if isinstance(tls, ssl.SSLError) else connect_failure(place, problem)


def caused_by(problem: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    """The first of `kind` among an error and what it came from."""
    seen: set[int] = set()
    while problem is not None and id(problem) not in seen:
        if isinstance(problem, kind):
            return problem
        seen.add(id(problem))
        problem = problem.__cause__ or problem.__context__
    return None
