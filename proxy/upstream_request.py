"""The bytes of a request as one backend gets it."""

from providers.rules.table import Candidate
from proxy.exchange import Exchange
from proxy.heads import special_head
from proxy.upstream import Origin
from proxy.wire.dialects import Dialect


def upstream_request(
    exchange: Exchange, candidate: Candidate, dialect: Dialect, *, asks_usage: bool
) -> tuple[Origin, bytes]:
    """Where the request goes, and its head with its body; of a form the head alone. Raises Untranslatable."""
    backend, heads = candidate.backend, exchange.runtime.heads
    if exchange.form is not None or exchange.endpoint.method != "POST":
        return _special(exchange, candidate, dialect)
    origin, head = heads.head(candidate, dialect.path)
    body = _body(exchange, candidate, dialect, asks_usage=asks_usage)
    return origin, b"".join((head, heads.rest(backend, exchange.headers, len(body)), body))


def _body(exchange: Exchange, candidate: Candidate, dialect: Dialect, *, asks_usage: bool) -> bytes:
    mapping = candidate.mapping
    request = None
    if exchange.continued is not None:
        request = dialect.translated(exchange.continued.request(exchange.body, candidate), mapping=mapping)
    elif dialect.translates:
        request = exchange.translated(dialect, mapping)
    return dialect.write(exchange.intake, request, mapping=mapping, ask_usage=asks_usage)


def _special(exchange: Exchange, candidate: Candidate, dialect: Dialect) -> tuple[Origin, bytes]:
    form, backend = exchange.form, candidate.backend
    content_type = form.content_type.decode("latin-1") if form is not None else ""
    path = dialect.path + (f"?{exchange.query}" if exchange.query else "")
    origin, head = special_head(candidate, path, method=exchange.endpoint.method, content_type=content_type)
    length = form.body(candidate.mapping.native_id).length if form is not None else 0
    return origin, head + exchange.runtime.heads.rest(backend, exchange.headers, length)
