"""Provider secrets at rest: seal, open, and move them under a new key."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agenthub.core.crypto import KeyRing, Unreadable
from agenthub.core.keyring import key_ring
from providers.models import Backend
from providers.rules.table import Way

API_KEY, HEADERS = "api_key_sealed", "extra_headers_sealed"
OUTGOING_PROXY, CLIENT_CERTIFICATE = "outgoing_proxy_sealed", "client_certificate_sealed"

SECRET_COLUMNS = {
    API_KEY: "",
    HEADERS: ":extra_headers",
    OUTGOING_PROXY: ":outgoing_proxy",
    CLIENT_CERTIFICATE: ":client_certificate",
}
"""The sealed columns, and what is added to the backend's id in the data that each is bound to."""


def secrets_set(backend: Backend, secrets: Mapping[str, str]) -> None:
    """Seal secrets, by column, for a backend that is saved afterwards; an empty one stays empty."""
    for column, text in secrets.items():
        bound_to = backend.id + SECRET_COLUMNS[column]
        setattr(backend, column, key_ring().seal(text, bound_to=bound_to) if text else "")


def secret_opened(backend: Backend, column: str) -> str:
    """The secret in a column, "" where there is none. Raises Unreadable."""
    sealed: str = getattr(backend, column)
    return key_ring().open(sealed, bound_to=backend.id + SECRET_COLUMNS[column]) if sealed else ""


def secrets_opened(backend: Backend) -> dict[str, str]:
    """All secrets of a backend, by column. Raises Unreadable."""
    return {column: secret_opened(backend, column) for column in SECRET_COLUMNS}


def api_key_opened(backend: Backend) -> str:
    """The API key of a backend, "" where it has none. Raises Unreadable."""
    return secret_opened(backend, API_KEY)


def headers_text(headers: Mapping[str, str]) -> str:
    """Extra headers as the text that is sealed; none are no text."""
    return json.dumps(dict(headers)) if headers else ""


def extra_headers_opened(backend: Backend) -> dict[str, str]:
    """The extra headers of a backend. Raises Unreadable."""
    text = secret_opened(backend, HEADERS)
    headers: dict[str, str] = json.loads(text) if text else {}
    return headers


def way_opened(backend: Backend) -> Way:
    """How connections to a backend are made. Raises Unreadable."""
    return Way(
        proxy=secret_opened(backend, OUTGOING_PROXY),
        ca_bundle=backend.ca_bundle,
        client_certificate=secret_opened(backend, CLIENT_CERTIFICATE),
    )


@dataclass(slots=True)
class RotationReport:
    """What a rotation has done."""

    key_id: str
    rotated: int = 0
    already_current: int = 0
    unreadable: list[str] = field(default_factory=list)  # "bkd_… api_key_sealed: why"


def keys_rotate(*, progress: Callable[[RotationReport], None] = lambda _: None) -> RotationReport:
    """Seal every value again under the first key of the ring.

    Safe while serving and editing: each value is replaced by one conditional update on its old text, so that a value
    that someone changes meanwhile is never overwritten, and at every instant each row holds one whole readable value.
    Stopped half-way, the next run goes on with what is left.
    """
    ring = key_ring()
    report = RotationReport(ring.first)
    for backend_id in Backend.objects.order_by("id").values_list("id", flat=True).iterator(chunk_size=500):
        for column, suffix in SECRET_COLUMNS.items():
            _rotate_value(ring, backend_id, column, suffix, report)
        progress(report)
    return report


def _rotate_value(ring: KeyRing, backend_id: str, column: str, suffix: str, report: RotationReport) -> None:
    while True:
        # Read afresh each time: an edit may have come between.
        old = Backend.objects.filter(id=backend_id).values_list(column, flat=True).first()
        if not old:
            return
        if ring.is_current(old):
            report.already_current += 1
            return
        bound_to = backend_id + suffix
        try:
            new = ring.seal(ring.open(old, bound_to=bound_to), bound_to=bound_to)
        except Unreadable as problem:
            report.unreadable.append(f"{backend_id} {column.removesuffix('_sealed')}: {problem}")
            return
        if Backend.objects.filter(id=backend_id, **{column: old}).update(**{column: new}):
            report.rotated += 1
            return
