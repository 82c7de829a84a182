"""Backends out of lists and into lists: what the environment, imports and exports have in common."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from auditlog.signals import accessed
from django.core.exceptions import ValidationError as InvalidModel
from django.db import transaction
from rest_framework.exceptions import ValidationError

from agenthub.core.api_errors import messages_by_field
from agenthub.core.crypto import Unreadable
from agenthub.core.errors import BadRequest, Conflict
from agenthub.core.settings_store import runtime_settings
from providers.api.serializers import BackendInput, CostSerializer, MappingAnswer, MappingInput
from providers.models import Backend, ModelMapping, Pool
from providers.rules.base_url import base_url_warnings
from providers.rules.entries import Entry
from providers.rules.table import ApiKind
from providers.services.backends import BackendData, backend_create, backend_update
from providers.services.keys import (
    API_KEY,
    CLIENT_CERTIFICATE,
    OUTGOING_PROXY,
    extra_headers_opened,
    secret_opened,
)

Outcome = Literal["created", "updated", "unchanged"]

PLAIN_FIELDS = (
    "name",
    "label",
    "api_base_url",
    "api",
    "pool",
    "enabled",
    "timeout_seconds",
    "rpm_limit",
    "burst",
    "tpm_limit",
    "max_concurrency",
    "weight",
    "probe",
    "ca_bundle",
    "services",
    "metadata",
)
SECRET_TEXTS = {
    "api_key": API_KEY,
    "outgoing_proxy": OUTGOING_PROXY,
    "client_certificate": CLIENT_CERTIFICATE,
}
"""The secrets of an entry that are texts, and their columns."""

_OF_MAPPING = frozenset(map(str, MappingInput().fields))
_OF_COST = frozenset(map(str, CostSerializer().fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What has become of one entry."""

    id: str
    name: str
    outcome: Outcome
    notes: tuple[str, ...] = ()


@transaction.atomic
def entries_apply(entries: Iterable[Entry], *, source: str = Backend.Source.IMPORT) -> list[Applied]:
    """Create or update a backend by name for every entry: all of them or none.

    Raises BadRequest naming the entry and the field that is wrong.
    """
    return [entry_apply(entry, source=source) for entry in entries]


def entry_apply(
    entry: Entry, *, source: str, backend: Backend | None = None, new_id: str = "", key_needed: bool = False
) -> Applied:
    """Create or update one backend, found by name unless it is given; what stands as wanted is not touched.

    A new one gets `source`, and `new_id` where that is given; the environment claims also those that it finds. To be
    called in a transaction. Raises BadRequest.
    """
    backend = backend or Backend.objects.filter(name=entry.values["name"]).first()
    where = f"{entry.place}, backend {entry.values['name'][:128]}"
    try:
        return _apply(entry, where, backend, source, new_id, key_needed=key_needed)
    except ValidationError as problem:
        field, message = next(iter(messages_by_field(problem.detail).items()))
        raise BadRequest(f"{where}, {field}: {message}", param=f"{entry.place}.{field}") from None
    except InvalidModel as problem:
        raise BadRequest(f"{where}: {' '.join(problem.messages)}", param=entry.place) from None
    except Unreadable as problem:
        raise BadRequest(
            f"{where}: {problem} Enter its API key and other secrets again first.", param=entry.place
        ) from None


def _apply(entry: Entry, where: str, backend: Backend | None, source: str, new_id: str, *, key_needed: bool) -> Applied:
    values, notes = dict(entry.values), []
    if backend is None and "api_key" not in values and not key_needed:
        values["api_key"] = None
        notes.append("It came without an API key; enter one if the upstream wants one.")
    given = BackendInput(backend, data=values, partial=backend is not None)
    given.is_valid(raise_exception=True)
    _refuse_unknown(values, set(given.fields), where, entry.place)
    data = given.backend_data()
    if "api_base_url" in values:
        api = data.values.get("api") or (backend.api if backend is not None else ApiKind.OPENAI_COMPLETIONS)
        notes += base_url_warnings(str(data.values["api_base_url"]), ApiKind(str(api)))
    if backend is None:
        made = backend_create(data=_completed(data, new_id), source=source)
        return Applied(id=made.id, name=made.name, outcome="created", notes=tuple(notes))
    if source == Backend.Source.ENV:
        data = replace(data, values={**data.values, "source": source})
    elif backend.source == Backend.Source.ENV:
        notes.append("It comes from the environment, which may set it back at the next start.")
    wanted = _differing(backend, data)
    if wanted is not None:
        backend_update(backend_id=backend.id, data=wanted)
    outcome: Outcome = "unchanged" if wanted is None else "updated"
    return Applied(id=backend.id, name=entry.values["name"], outcome=outcome, notes=tuple(notes))


def _refuse_unknown(values: dict[str, Any], known: set[str], where: str, place: str) -> None:
    def refuse(given: Any, known: frozenset[str], path: str) -> None:
        unknown = sorted(set(map(str, given)) - known) if isinstance(given, dict) else []
        if unknown:
            name = path + unknown[0][:50]
            raise BadRequest(f"{where} has a field {name}, which there is not.", param=f"{place}.{name}")

    refuse(values, frozenset(known), "")
    for canonical, mapping in (values.get("model_mappings") or {}).items():
        refuse(mapping, _OF_MAPPING, f"model_mappings.{canonical}.")
        if isinstance(mapping, dict):
            refuse(mapping.get("cost"), _OF_COST, f"model_mappings.{canonical}.cost.")


def _completed(data: BackendData, new_id: str) -> BackendData:
    settings = runtime_settings()
    defaults: dict[str, Any] = {
        "rpm_limit": settings.default_rpm_limit,
        "timeout_seconds": settings.default_request_timeout_seconds,
    }
    if "pool" not in data.values:
        defaults["pool"] = Pool.objects.order_by("order", "name").first()
    # The id is set before the key is sealed, which is bound to it.
    return data.with_defaults(({"id": new_id} if new_id else {}) | defaults)


def _differing(backend: Backend, data: BackendData) -> BackendData | None:
    """What of `data` a backend is not yet; None if it is all of it.

    Sealing the same key again, or saving the same values, would look like a change in the audit trail.
    """
    stand = {
        field: None
        for field, column in SECRET_TEXTS.items()
        if getattr(data, field) is not None and getattr(data, field) == _opened(backend, column)
    }
    data = replace(data, **stand)  # type: ignore[arg-type] # None leaves each of them as it is
    if data.extra_headers is not None and data.extra_headers == extra_headers_opened(backend):
        data = replace(data, extra_headers=None)
    if data.mappings is not None and _mappings_stand(backend, data):
        data = replace(data, mappings=None)
    same = all(getattr(backend, column) == value for column, value in data.values.items())
    return None if same and not data.secrets() and data.mappings is None else data


def _opened(backend: Backend, column: str) -> str | None:
    try:
        return secret_opened(backend, column)
    except Unreadable:
        return None  # any secret is another one


def _mappings_stand(backend: Backend, data: BackendData) -> bool:
    old = {mapping.canonical: mapping for mapping in backend.mappings.all()}
    wanted = data.mappings or ()
    return {each.canonical for each in wanted} == set(old) and all(
        getattr(old[each.canonical], column) == value for each in wanted for column, value in each.values.items()
    )


def entries_of(backends: Iterable[Backend], *, with_keys: bool = False) -> list[dict[str, Any]]:
    """Backends with their mappings as entries. With keys, each export of one is noted in the audit trail.

    Raises Conflict for a key that does not open.
    """
    return [_entry_of(backend, with_keys=with_keys) for backend in backends]


def _entry_of(backend: Backend, *, with_keys: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {name: getattr(backend, name) for name in PLAIN_FIELDS}
    entry["pool"] = backend.pool.name
    if not backend.api_key_sealed:
        entry["api_key"] = None  # it wants none
    if with_keys:
        try:
            entry |= {field: secret_opened(backend, column) or None for field, column in SECRET_TEXTS.items()}
            entry["extra_headers"] = extra_headers_opened(backend)
        except Unreadable as problem:
            raise Conflict(f"Backend {backend.name}: {problem}") from None
        accessed.send(Backend, instance=backend)
    entry["model_mappings"] = {mapping.canonical: _mapping_of(mapping) for mapping in backend.mappings.all()}
    return entry


def _mapping_of(mapping: ModelMapping) -> dict[str, Any]:
    shown = MappingAnswer(mapping).data
    return {name: shown[name] for name in sorted(_OF_MAPPING)} | {
        "native_id": mapping.native_id,
        "input_modalities": list(mapping.input_modalities),
    }
