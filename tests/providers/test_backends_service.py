from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from agenthub.core import versions
from agenthub.core.errors import Conflict
from providers.models import Backend, ModelMapping, Pool
from providers.rules.discovery import Proposal
from providers.rules.table import ErrorKind
from providers.services.backends import (
    BackendData,
    MappingData,
    backend_delete,
    backend_duplicate,
    backend_enable,
    backend_error,
    backend_error_clear,
    backend_recovered,
    backend_tested,
    backend_update,
    mapping_flag,
    mappings_add,
)
from providers.services.keys import api_key_opened, extra_headers_opened
from providers.services.pools import pool_delete, pools_ensure
from tests.factories import API_KEY, make_backend

pytestmark = pytest.mark.django_db


def test_the_pools_exist_from_the_start_and_a_deleted_one_stays_away() -> None:
    assert list(Pool.objects.values_list("name", flat=True)) == ["primary", "fallback"]
    Pool.objects.filter(name="fallback").delete()
    pools_ensure()
    assert list(Pool.objects.values_list("name", flat=True)) == ["primary"]


def test_a_pool_with_backends_is_not_taken_away() -> None:
    backend = make_backend()
    with pytest.raises(Conflict, match="primary"):
        pool_delete(backend.pool)


def test_the_key_is_stored_encrypted() -> None:
    backend = make_backend()
    assert API_KEY not in backend.api_key_sealed
    assert api_key_opened(backend) == API_KEY


def test_an_update_changes_what_is_given_and_keeps_what_was_found_out_meanwhile() -> None:
    backend = make_backend()
    stale = Backend.objects.get(id=backend.id)
    backend_error(backend_id=backend.id, kind=ErrorKind.QUOTA, reason="spent")
    assert stale.error_kind == ""
    changed = backend_update(backend_id=backend.id, data=BackendData(values={"rpm_limit": None}))
    assert (changed.rpm_limit, changed.status, changed.error_kind) == (None, "error", "quota")
    assert api_key_opened(changed) == API_KEY
    assert changed.mappings.count() == 1


def test_a_new_key_ends_what_the_old_one_was_refused_for() -> None:
    backend = make_backend()
    backend_error(backend_id=backend.id, kind=ErrorKind.CREDENTIALS, reason="401")
    changed = backend_update(backend_id=backend.id, data=BackendData(api_key="sk-another-key-1234"))
    assert (changed.status, changed.error_kind, changed.reset_count) == ("healthy", "", 1)


def test_a_new_key_does_not_fill_a_spent_quota() -> None:
    backend = make_backend()
    backend_error(backend_id=backend.id, kind=ErrorKind.QUOTA, reason="402")
    changed = backend_update(backend_id=backend.id, data=BackendData(api_key="sk-another-key-1234"))
    assert changed.status == "error"


def test_mappings_that_are_given_replace_all_others() -> None:
    backend = make_backend(models={"a": {"native_id": "x"}, "b": {}})
    kept = backend.mappings.get(canonical="a")
    data = BackendData(mappings=(MappingData(canonical="a", values={"max_tokens": 5}), MappingData(canonical="c")))
    changed = backend_update(backend_id=backend.id, data=data)
    assert list(changed.mappings.values_list("canonical", "native_id", "max_tokens")) == [
        ("a", "x", 5),
        ("c", "", 65_536),
    ]
    assert changed.mappings.get(canonical="a").pk == kept.pk


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"rpm_limit": 0}, "rpm_limit"),
        ({"rpm_limit": 100_001}, "rpm_limit"),
        ({"timeout_seconds": 0.5}, "timeout_seconds"),
        ({"name": "taken"}, "name"),
        ({"name": ""}, "name"),
    ],
)
def test_what_can_not_be_is_refused_and_named(values: dict[str, object], field: str) -> None:
    make_backend("taken")
    backend = make_backend()
    with pytest.raises(ValidationError) as refusal:
        backend_update(backend_id=backend.id, data=BackendData(values=values))
    assert field in refusal.value.message_dict


@pytest.mark.parametrize("change", [{"rpm_limit": 0}, {"timeout_seconds": 0}, {"status": "odd"}, {"name": "taken"}])
def test_the_database_refuses_it_too(change: dict[str, object]) -> None:
    make_backend("taken")
    backend = make_backend()
    with pytest.raises(IntegrityError), transaction.atomic():
        Backend.objects.filter(id=backend.id).update(**change)


def test_a_price_is_never_negative_nor_a_mapping_double() -> None:
    backend = make_backend()
    with pytest.raises(IntegrityError), transaction.atomic():
        backend.mappings.update(price_output_usd=Decimal("-1e-12"))
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelMapping.objects.create(backend=backend, canonical="small")


def test_prices_are_exact() -> None:
    backend = make_backend(models={"m": {"price_input_usd": Decimal("0.000000150001")}})
    assert backend.mappings.get().price_input_usd == Decimal("1.50001e-7")
    assert ModelMapping.objects.filter(price_input_usd=Decimal("0.000000150001")).exists()


def test_errors_are_told_once() -> None:
    backend = make_backend()
    assert backend_error(backend_id=backend.id, kind=ErrorKind.CREDENTIALS, reason="401")
    before = versions.read_all()["routing"]
    assert not backend_error(backend_id=backend.id, kind=ErrorKind.CREDENTIALS, reason="401")
    assert versions.read_all()["routing"] == before


def test_a_success_fills_the_quota_but_proves_no_credentials() -> None:
    spent, refused = make_backend("spent"), make_backend("refused")
    backend_error(backend_id=spent.id, kind=ErrorKind.QUOTA, reason="402")
    backend_error(backend_id=refused.id, kind=ErrorKind.CREDENTIALS, reason="401")
    assert backend_recovered(spent.id)
    assert not backend_recovered(refused.id)
    spent.refresh_from_db()
    assert (spent.status, spent.reset_count) == ("healthy", 0)


@pytest.mark.parametrize(
    ("kind", "trial", "cleared"),
    [
        (ErrorKind.CREDENTIALS, False, True),
        (ErrorKind.QUOTA, False, False),
        (ErrorKind.QUOTA, True, True),
        (ErrorKind.KEY, True, False),
    ],
)
def test_a_probe_clears_only_what_it_disproves(kind: ErrorKind, trial: bool, cleared: bool) -> None:
    backend = make_backend()
    backend_error(backend_id=backend.id, kind=kind, reason="x")
    assert backend_tested(backend_id=backend.id, ok=True, trial=trial, status_code=200, latency_ms=3) is cleared
    backend.refresh_from_db()
    assert (backend.status, backend.reset_count) == (("healthy", 1) if cleared else ("error", 0))
    assert backend.health.last_status_code == 200


def test_an_operator_clears_an_error() -> None:
    backend = make_backend()
    assert not backend_error_clear(backend.id)
    backend_error(backend_id=backend.id, kind=ErrorKind.QUOTA, reason="402")
    assert backend_error_clear(backend.id)
    backend.refresh_from_db()
    assert (backend.status, backend.error_reason, backend.error_since) == ("healthy", "", None)


def test_enabling_and_disabling() -> None:
    backend = make_backend()
    assert backend_enable(backend.id, enabled=False)
    assert not backend_enable(backend.id, enabled=False)
    backend.refresh_from_db()
    assert backend.status == "disabled"
    assert backend_enable(backend.id, enabled=True)
    backend.refresh_from_db()
    assert backend.status == "healthy"


def test_a_copy_has_a_name_and_a_sealed_key_of_its_own() -> None:
    backend = make_backend(models={"m": {"native_id": "n"}})
    backend_update(backend_id=backend.id, data=BackendData(extra_headers={"x-team": "blue"}))
    backend_error(backend_id=backend.id, kind=ErrorKind.QUOTA, reason="402")
    first, second = backend_duplicate(backend.id), backend_duplicate(backend.id)
    assert (first.name, second.name) == ("one (copy)", "one (copy 2)")
    first = Backend.objects.get(id=first.id)
    assert (first.enabled, first.status, first.error_kind) == (False, "disabled", "")
    assert api_key_opened(first) == API_KEY
    assert extra_headers_opened(first) == {"x-team": "blue"}
    assert first.mappings.get().native_id == "n"
    assert backend.mappings.count() == 1


def test_a_mapping_is_flagged_until_it_is_changed() -> None:
    backend = make_backend()
    assert mapping_flag(backend_id=backend.id, canonical="small", reason="no such model")
    assert not mapping_flag(backend_id=backend.id, canonical="small", reason="again")
    data = BackendData(mappings=(MappingData(canonical="small", values={"native_id": "small-2"}),))
    assert backend_update(backend_id=backend.id, data=data).mappings.get().flagged_at is None


def test_found_models_are_added_once() -> None:
    backend = make_backend()
    new = Proposal("new", "new", 8000, {"input": Decimal("1e-6")}, known=False)
    assert mappings_add(backend_id=backend.id, found=[new, Proposal("small", "small", None, {}, known=True)]) == ["new"]
    assert mappings_add(backend_id=backend.id, found=[new]) == []
    added = backend.mappings.get(canonical="new")
    assert (added.context_window, added.price_input_usd, added.price_output_usd) == (8000, Decimal("1e-6"), None)


def test_a_deleted_backend_takes_its_mappings_along() -> None:
    backend = make_backend()
    assert backend_delete(backend.id)
    assert not backend_delete(backend.id)
    assert not ModelMapping.objects.exists()
