"""What happens to backends: errors found and cleared by AgentHub, and the changes that people make."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from django.db import transaction
from django.db.models import F, Q

from agenthub.core.clock import utc_now
from agenthub.core.events import AlertRaised, AlertResolved, publish
from agenthub.core.ids import short_id
from agenthub.core.versions import bump
from providers.models import Backend, BackendHealth, CooldownEvent, ModelMapping
from providers.rules.discovery import Proposal
from providers.rules.health import Condition
from providers.rules.table import ErrorKind, HealthState
from providers.services.conditions import condition_of, condition_set, tell_not_down
from providers.services.keys import (
    API_KEY,
    CLIENT_CERTIFICATE,
    HEADERS,
    OUTGOING_PROXY,
    headers_text,
    secrets_opened,
    secrets_set,
)

LONGEST_REASON = 300
BACKEND_ERROR = "backend_error"


# What AgentHub finds out by itself is a conditional update, which the audit trail does not see.


@transaction.atomic
def backend_error(*, backend_id: str, kind: ErrorKind, reason: str) -> bool:
    """Put a backend in `error`; False if it is in that error already, or gone."""
    changed = (
        Backend.objects.filter(id=backend_id)
        .exclude(error_kind=kind)
        .update(error_kind=kind, error_reason=reason[:LONGEST_REASON], error_since=utc_now())
    )
    if changed:
        _settle_status(backend_id)
        bump("routing")
        _tell_error(backend_id, reason)
    return bool(changed)


def _tell_error(backend_id: str, reason: str) -> None:
    name = Backend.objects.values_list("name", flat=True).get(id=backend_id)
    raised = AlertRaised(
        rule=BACKEND_ERROR,
        severity="critical",
        source=f"backend:{backend_id}",
        summary=f"The backend {name} is in error: {reason[:LONGEST_REASON]}",
    )
    transaction.on_commit(lambda: publish(raised))


def _tell_error_over(backend_id: str) -> None:
    over = AlertResolved(rule=BACKEND_ERROR, source=f"backend:{backend_id}")
    transaction.on_commit(lambda: publish(over))


@transaction.atomic
def backend_recovered(backend_id: str) -> bool:
    """A request succeeded: the count of 429s is 0 again, a spent quota refilled, and what was down is back.

    False if there was none of it.
    """
    down = BackendHealth.objects.filter(backend_id=backend_id, state=HealthState.DOWN).exists()
    if down:
        condition_set(backend_id=backend_id, condition=Condition(HealthState.HEALTHY), live_at=utc_now())
    quota = Backend.objects.filter(id=backend_id, error_kind=ErrorKind.QUOTA).update(**_NO_ERROR)
    counted = Backend.objects.filter(id=backend_id, consecutive_429_count__gt=0).update(consecutive_429_count=0)
    if not quota and not counted:
        return down
    _settle_status(backend_id)
    bump("routing")
    if quota:
        _tell_error_over(backend_id)
    return True


@transaction.atomic
def backend_error_clear(backend_id: str, *, kinds: tuple[ErrorKind, ...] = ()) -> bool:
    """End the error of a backend, of one of `kinds` where some are given; every process forgets what it had found out.

    False if it was in no such error.
    """
    in_error = Backend.objects.filter(id=backend_id).exclude(error_kind=ErrorKind.NONE)
    if kinds:
        in_error = in_error.filter(error_kind__in=kinds)
    if not in_error.update(reset_count=F("reset_count") + 1, **_NO_ERROR):
        return False
    _settle_status(backend_id)
    bump("routing")
    _tell_error_over(backend_id)
    return True


@transaction.atomic
def backend_tested(
    *, backend_id: str, ok: bool, trial: bool, status_code: int | None, latency_ms: float | None
) -> bool:
    """Note the outcome of a probe; True if it has ended an error of the backend.

    A success proves the credentials; only a `trial` completion, which the upstream bills, proves the quota too.
    """
    health = BackendHealth.objects.filter(backend_id=backend_id).first()
    condition_set(
        backend_id=backend_id,
        condition=Condition(HealthState.HEALTHY) if ok else condition_of(health),
        last_status_code=status_code,
        last_latency_ms=latency_ms,
        last_check_at=utc_now(),
    )
    disproved = (ErrorKind.CREDENTIALS, ErrorKind.QUOTA) if trial else (ErrorKind.CREDENTIALS,)
    return ok and backend_error_clear(backend_id, kinds=disproved)


@transaction.atomic
def mapping_flag(*, backend_id: str, canonical: str, reason: str) -> bool:
    """Note that a backend said that it does not know a model; False if that is noted already."""
    return bool(
        ModelMapping.objects.filter(backend_id=backend_id, canonical=canonical, flagged_at=None).update(
            flagged_at=utc_now(), flag_reason=reason[:LONGEST_REASON]
        )
    )


@transaction.atomic
def backend_key_checked(backend: Backend, *, problem: str) -> None:
    """Note that the secrets of a backend do not open, or that they open again; `backend` is brought up to date.

    Nothing is bumped: every process sees by itself what opens with its ring, and two processes with different rings
    must not wake each other for ever.
    """
    if bool(problem) == (backend.error_kind == ErrorKind.KEY):
        return
    now = utc_now()
    found: dict[str, object] = {
        "error_kind": ErrorKind.KEY.value,
        "error_reason": problem[:LONGEST_REASON],
        "error_since": now,
    }
    changes = found if problem else _NO_ERROR
    before = backend.error_kind
    for column, value in changes.items():
        setattr(backend, column, value)
    backend.status = backend.status_at(now)
    Backend.objects.filter(id=backend.id, error_kind=before).update(status=backend.status, **changes)


_NO_ERROR: dict[str, object] = {"error_kind": ErrorKind.NONE.value, "error_reason": "", "error_since": None}


def _settle_status(backend_id: str) -> None:
    # In the caller's transaction: its update holds the row, so nobody changes the columns in between.
    backend = Backend.objects.filter(id=backend_id).first()
    if backend is not None:
        Backend.objects.filter(id=backend_id).update(status=backend.status_at(utc_now()))


# What people and programs change is saved row by row, so that the audit trail sees it.


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingData:
    """One mapping as a caller gives it: column values of `ModelMapping`, checked by its own validators."""

    canonical: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendData:
    """What a caller wants of a backend. None leaves a part as it is."""

    values: Mapping[str, object] = field(default_factory=dict)  # columns of `Backend`
    api_key: str | None = None  # "" takes the key away
    extra_headers: dict[str, str] | None = None
    outgoing_proxy: str | None = None  # "" takes it away
    client_certificate: str | None = None  # "" takes it away
    mappings: tuple[MappingData, ...] | None = None  # given: these and no others

    def with_defaults(self, defaults: Mapping[str, object]) -> "BackendData":
        """The same, with `defaults` for columns that were not given."""
        return replace(self, values={**defaults, **self.values})

    def secrets(self) -> dict[str, str]:
        """The secrets that are given, by column."""
        given = {
            API_KEY: self.api_key,
            HEADERS: None if self.extra_headers is None else headers_text(self.extra_headers),
            OUTGOING_PROXY: self.outgoing_proxy,
            CLIENT_CERTIFICATE: self.client_certificate,
        }
        return {column: text for column, text in given.items() if text is not None}


@transaction.atomic
def backend_create(*, data: BackendData, source: str = Backend.Source.API) -> Backend:
    """Add a backend with its mappings. Raises ValidationError of Django, naming the field."""
    return _backend_write(Backend(source=source), data)


@transaction.atomic
def backend_update(*, backend_id: str, data: BackendData) -> Backend:
    """Change a backend. Raises Backend.DoesNotExist, and ValidationError of Django, naming the field."""
    return _backend_write(Backend.objects.select_for_update().get(id=backend_id), data)


def _backend_write(backend: Backend, data: BackendData) -> Backend:
    for column, value in data.values.items():
        setattr(backend, column, value)
    secrets = data.secrets()
    secrets_set(backend, secrets)
    backend.full_clean()
    backend_save(backend, secrets_given=bool(secrets))
    if data.mappings is not None:
        mappings_set(backend, data.mappings)
    bump("routing")
    return Backend.objects.select_related("pool").get(id=backend.id)


def backend_save(backend: Backend, *, secrets_given: bool) -> None:
    """Save a changed backend without touching what AgentHub found out meanwhile; a new key ends what the old one did.

    To be called in a transaction that ends with bump("routing").
    """
    if backend._state.adding:
        backend.status = backend.status_at(utc_now())
        backend.save()
        return
    columns = {column.name for column in Backend._meta.concrete_fields} - {"id", "created_at", *Backend.FINDINGS}
    backend.save(update_fields=columns)
    if secrets_given:
        ended = (ErrorKind.KEY, ErrorKind.CREDENTIALS)
        Backend.objects.filter(id=backend.id, error_kind__in=ended).update(
            reset_count=F("reset_count") + 1, **_NO_ERROR
        )
    _settle_status(backend.id)


def mappings_set(backend: Backend, wanted: tuple[MappingData, ...]) -> None:
    """Give a backend these mappings and no others; a mapping that is changed is no longer flagged."""
    by_name = {mapping.canonical: mapping for mapping in ModelMapping.objects.filter(backend=backend)}
    for data in wanted:
        old = by_name.pop(data.canonical, None)
        mapping = old or ModelMapping(backend=backend, canonical=data.canonical)
        before = {column: getattr(mapping, column) for column in data.values}
        for column, value in data.values.items():
            setattr(mapping, column, value)
        if old is None or before != dict(data.values):
            mapping.flagged_at, mapping.flag_reason = None, ""
            mapping.full_clean()
            mapping.save()
    for mapping in by_name.values():
        mapping.delete()


@transaction.atomic
def mappings_add(*, backend_id: str, found: Iterable[Proposal]) -> list[str]:
    """Add a mapping for every proposal that is not mapped yet; the answer is their canonical names."""
    backend = Backend.objects.select_for_update().filter(id=backend_id).first()
    if backend is None:
        return []
    mapped = set(ModelMapping.objects.filter(backend=backend).values_list("canonical", flat=True))
    added = []
    for proposal in found:
        if proposal.known or proposal.canonical in mapped:
            continue
        values = {ModelMapping.PRICES[name]: price for name, price in proposal.cost.items()}
        mapping = ModelMapping(backend=backend, canonical=proposal.canonical, native_id=proposal.native_id, **values)
        mapping.context_window = proposal.context_window or mapping.context_window
        mapping.save()
        added.append(proposal.canonical)
    if added:
        bump("routing")
    return added


@transaction.atomic
def backend_delete(backend_id: str) -> bool:
    """Take a backend away; its usage and the log of its cooldowns stay. False if it was gone."""
    backend = Backend.objects.filter(id=backend_id).first()
    if backend is None:
        return False
    CooldownEvent.objects.filter(backend_id=backend_id, ended_at=None).update(ended_at=utc_now())
    backend.delete()
    tell_not_down(backend_id)
    _tell_error_over(backend_id)
    bump("routing")
    return True


@transaction.atomic
def backend_enable(backend_id: str, *, enabled: bool) -> bool:
    """Enable or disable a backend; False if it was so already, or is gone."""
    backend = Backend.objects.select_for_update().filter(~Q(enabled=enabled), id=backend_id).first()
    if backend is None:
        return False
    backend.enabled = enabled
    backend.save(update_fields=["enabled", "updated_at"])
    _settle_status(backend_id)
    bump("routing")
    return True


@transaction.atomic
def backend_duplicate(backend_id: str) -> Backend:
    """A disabled copy of a backend with its secrets and mappings, under a name of its own.

    Raises Backend.DoesNotExist, and Unreadable where its secrets do not open.
    """
    backend = Backend.objects.get(id=backend_id)
    secrets = secrets_opened(backend)
    mappings = list(backend.mappings.all())
    blank = Backend()
    copy = backend
    for column in Backend.FINDINGS:
        setattr(copy, column, getattr(blank, column))
    # Sealed values are bound to the id: they are opened and sealed again, never copied.
    copy.pk, copy.id = None, short_id("bkd")
    copy._state.adding = True
    copy.name, copy.enabled, copy.source = _free_name(backend.name), False, Backend.Source.WEBUI
    secrets_set(copy, secrets)
    backend_save(copy, secrets_given=True)
    for mapping in mappings:
        mapping.pk, mapping.backend = None, copy
        mapping._state.adding = True
        mapping.save()
    bump("routing")
    return copy


def _free_name(name: str) -> str:
    taken = set(Backend.objects.values_list("name", flat=True))
    base = f"{name[:110]} (copy"
    names = (f"{base})" if number == 1 else f"{base} {number})" for number in count(1))
    return next(free for free in names if free not in taken)
