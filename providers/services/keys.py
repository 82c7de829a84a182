"""Provider secrets at rest: seal, open, and move them under a new key."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from agenthub.core.crypto import KeyRing, Unreadable
from agenthub.core.keyring import key_ring
from providers.models import Backend

HEADERS_SUFFIX = ":extra_headers"
SECRET_COLUMNS = {"api_key_sealed": "", "extra_headers_sealed": HEADERS_SUFFIX}
"""The sealed columns, and what is added to the backend's id in the data that each is bound to."""


def api_key_sealed(backend_id: str, api_key: str) -> str:
    """The column text for an API key; an empty key stays empty."""
    return key_ring().seal(api_key, bound_to=backend_id) if api_key else ""


def api_key_opened(backend: Backend) -> str:
    """The API key of a backend, "" where it has none. Raises Unreadable."""
    return key_ring().open(backend.api_key_sealed, bound_to=backend.id) if backend.api_key_sealed else ""


def extra_headers_sealed(backend_id: str, headers: dict[str, str]) -> str:
    """The column text for extra headers; none stay empty."""
    return key_ring().seal(json.dumps(headers), bound_to=backend_id + HEADERS_SUFFIX) if headers else ""


def extra_headers_opened(backend: Backend) -> dict[str, str]:
    """The extra headers of a backend. Raises Unreadable."""
    if not backend.extra_headers_sealed:
        return {}
    headers: dict[str, str] = json.loads(
        key_ring().open(backend.extra_headers_sealed, bound_to=backend.id + HEADERS_SUFFIX)
    )
    return headers


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
