import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from auditlog.models import LogEntry

from agenthub.core.clock import utc_now
from providers.models import Backend, CooldownEvent
from providers.rules import price_list
from providers.rules.table import ErrorKind
from providers.services.backends import backend_error
from providers.services.cooldowns import cooldown_start
from providers.services.keys import api_key_opened, extra_headers_opened
from tests.factories import API_KEY, make_backend
from tests.management import TOKEN, Management, with_environment
from tests.upstream import Upstream

NEW: dict[str, Any] = {"name": "one", "api_base_url": "http://127.0.0.1:1/v1", "api_key": API_KEY}


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.django_db), "postgresql"])
def database(request: pytest.FixtureRequest) -> None:
    if request.param == "postgresql":
        request.getfixturevalue("on_postgres")


@pytest.fixture
def management() -> Iterator[Management]:
    with with_environment(admin_token=TOKEN):
        yield Management()


@pytest.mark.usefixtures("database")
def test_the_life_of_a_backend(management: Management) -> None:
    mappings = {"team/small": {"native_id": "s-1", "cost": {"input": 1.5e-7, "output": "0.0000006"}}, "plain": "p-1"}
    created = management.good("POST", "backends", NEW | {"model_mappings": mappings, "pool": "fallback"})
    assert created["id"].startswith("bkd_")
    assert (created["api_key"], created["pool"], created["status"]) == ("sk-abc****wxyz", "fallback", "healthy")
    assert (created["rpm_limit"], created["timeout_seconds"], created["source"]) == (40, 120, "api")
    small = created["model_mappings"]["team/small"]
    assert small["cost"] == {"input": "0.00000015", "output": "0.0000006", "cacheRead": None, "cacheWrite": None}
    assert (small["native_id"], small["context_window"], small["input_modalities"]) == ("s-1", 128_000, ["text"])
    assert created["model_mappings"]["plain"]["native_id"] == "p-1"

    path = f"backends/{created['id']}"
    assert management.good("GET", path)["model_count"] == 2
    changed = management.good("PATCH", path, {"rpm_limit": None, "metadata": {"team": ["blue", {"n": 1}]}})
    assert (changed["rpm_limit"], changed["metadata"]) == (None, {"team": ["blue", {"n": 1}]})
    assert management.good("PUT", path, changed | {"name": "two"})["name"] == "two"
    assert api_key_opened(Backend.objects.get()) == API_KEY  # the masked key that came back kept it
    assert management.good("DELETE", path) == {"status": "deleted", "id": created["id"]}
    management.error(404, "GET", path)
    management.error(404, "DELETE", path)


@pytest.mark.django_db
@pytest.mark.parametrize("missing", ["name", "api_base_url", "api_key"])
def test_what_a_new_backend_needs_is_named(management: Management, missing: str) -> None:
    body = {name: value for name, value in NEW.items() if name != missing}
    error = management.error(400, "POST", "backends", body)
    assert (error["param"], error["type"]) == (missing, "invalid_request_error")
    assert not Backend.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"rpm_limit": 0}, "rpm_limit"),
        ({"rpm_limit": 100_001}, "rpm_limit"),
        ({"timeout_seconds": 3601}, "timeout_seconds"),
        ({"timeout_seconds": "soon"}, "timeout_seconds"),
        ({"pool": "nope"}, "pool"),
        ({"api": "smoke-signals"}, "api"),
        ({"api_key": ""}, "api_key"),
        ({"api_key": "a\nb"}, "api_key"),
        ({"api_base_url": "ftp://host/v1"}, "api_base_url"),
        ({"api_base_url": "https://user:secret@host/v1"}, "api_base_url"),
        ({"api_base_url": "https://host/v1?key=1"}, "api_base_url"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"extra_headers": {"Authorization": "x"}}, "extra_headers.Authorization"),
        ({"extra_headers": {"bad name": "x"}}, "extra_headers.bad name"),
        ({"model_mappings": []}, "model_mappings"),
        ({"model_mappings": {"m": 5}}, "model_mappings.m"),
        ({"model_mappings": {"m": {"cost": {"input": -1}}}}, "model_mappings.m.cost.input"),
        ({"model_mappings": {"m": {"cost": {"input": "1e-13"}}}}, "model_mappings.m.cost.input"),
        ({"model_mappings": {"m": {"context_window": 0}}}, "model_mappings.m.context_window"),
        ({"model_mappings": {"": {}}}, "model_mappings."),
        ({"weight": 0}, "weight"),
        ({"name": "x" * 129}, "name"),
        ({"name": "nul\0"}, "name"),
    ],
)
def test_a_wrong_field_is_named(management: Management, change: dict[str, Any], param: str) -> None:
    error = management.error(400, "POST", "backends", NEW | change)
    assert error["param"] == param.rstrip(".")
    assert not Backend.objects.exists()


@pytest.mark.django_db
def test_a_name_is_taken_once(management: Management) -> None:
    management.good("POST", "backends", NEW)
    assert management.error(400, "POST", "backends", NEW)["param"] == "name"


@pytest.mark.django_db
@pytest.mark.parametrize("body", ["{", "[]", '"x"', "[" * 100_000, '{"rpm_limit": NaN}', "\udcff", "x" * 9_000_000])
def test_a_body_that_is_no_object_is_refused(management: Management, body: str) -> None:
    response = management.ask("POST", "backends", body.encode("utf-8", "surrogateescape").decode("latin-1"))
    assert response.status_code in (400, 413)
    assert set(response.json()["error"]) >= {"message", "type", "param", "code"}


@pytest.mark.django_db
def test_private_addresses_are_refused_where_they_are_not_allowed(management: Management) -> None:
    with with_environment(admin_token=TOKEN, allow_private_upstreams=False):
        for url in ("http://127.0.0.1:1/v1", "http://localhost/v1", "http://[::1]/v1", "http://169.254.169.254/v1"):
            assert management.error(400, "POST", "backends", NEW | {"api_base_url": url})["param"] == "api_base_url"


@pytest.mark.django_db
def test_an_odd_base_url_warns_and_is_saved(management: Management) -> None:
    created = management.good("POST", "backends", NEW | {"api_base_url": "http://127.0.0.1:1/", "rpm": 4})
    assert created["api_base_url"] == "http://127.0.0.1:1"
    warnings = " ".join(created["warnings"])
    assert "http://127.0.0.1:1/v1?" in warnings
    assert "not reachable" in warnings
    assert "rpm is not a field" in warnings
    assert management.good("GET", f"backends/{created['id']}")["warnings"] == []


@pytest.mark.django_db
def test_the_key_stays_unless_another_or_none_is_given(management: Management) -> None:
    path = f"backends/{make_backend().id}"
    for kept in ({}, {"api_key": ""}, {"api_key": "sk-abc****wxyz"}):
        management.good("PATCH", path, kept)
        assert api_key_opened(Backend.objects.get()) == API_KEY
    assert management.good("PATCH", path, {"api_key": "sk-another-key-1234"})["api_key"] == "sk-ano****1234"
    assert management.good("PATCH", path, {"api_key": None})["api_key"] == ""


@pytest.mark.django_db
def test_extra_headers_are_masked_and_kept(management: Management) -> None:
    path = f"backends/{make_backend().id}"
    answer = management.good("PATCH", path, {"extra_headers": {"x-team": "blue-team-secret"}})
    assert answer["extra_headers"] == {"x-team": "blue-t****cret"}
    management.good("PATCH", path, {"extra_headers": answer["extra_headers"] | {"x-new": "1"}})
    assert extra_headers_opened(Backend.objects.get()) == {"x-team": "blue-team-secret", "x-new": "1"}
    assert "blue-team-secret" not in Backend.objects.get().extra_headers_sealed


@pytest.mark.django_db
def test_no_answer_and_no_trail_holds_a_key(management: Management) -> None:
    created = management.ask("POST", "backends", NEW | {"extra_headers": {"x-team": "blue-team-secret"}})
    listed = management.ask("GET", "backends")
    trail = json.dumps(list(LogEntry.objects.values("changes", "object_repr")))
    for text in (created.content.decode(), listed.content.decode(), trail):
        assert API_KEY not in text
        assert "blue-team-secret" not in text
    assert "v1:" not in trail


@pytest.mark.django_db
def test_lists_are_plain_arrays_with_their_total(management: Management) -> None:
    for name in ("a", "b", "c"):
        make_backend(name, models={name: {}})
    response = management.ask("GET", "backends?limit=1&offset=1")
    assert [each["name"] for each in response.json()] == ["b"]
    assert response["X-Total-Count"] == "3"
    assert 'limit=1&offset=0>; rel="prev"' in response["Link"]
    assert 'limit=1&offset=2>; rel="next"' in response["Link"]
    assert [each["name"] for each in management.good("GET", "backends?model=c")] == ["c"]
    assert management.good("GET", "backends?pool=fallback") == []
    assert "Link" not in management.ask("GET", "backends")
    for wrong in ("limit=0", "limit=x", "offset=-1", "limit=99999999999999999999", "pool=%00"):
        management.error(400, "GET", f"backends?{wrong}")


@pytest.mark.django_db
def test_a_list_costs_as_many_queries_for_many_as_for_few(
    management: Management, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        make_backend(f"b{number}")
    with django_assert_max_num_queries(4):
        management.good("GET", "backends")
    with django_assert_max_num_queries(4):
        management.good("GET", "pools")


@pytest.mark.django_db
def test_pools_show_how_their_backends_are(management: Management) -> None:
    make_backend("good")
    cooling, broken = make_backend("cooling"), make_backend("broken")
    make_backend("off", enabled=False)
    now = utc_now()
    cooldown_start(
        backend_id=cooling.id,
        until=now.replace(year=now.year + 1),
        started_at=now,
        consecutive_count=1,
        reason="rate_limited",
        response_summary="",
    )
    backend_error(backend_id=broken.id, kind=ErrorKind.QUOTA, reason="402")
    pools = management.good("GET", "pools")
    assert list(pools) == ["primary", "fallback"]
    counts = {name: pools["primary"][name] for name in ("total", "enabled", "healthy", "cooling", "error")}
    assert counts == {"total": 4, "enabled": 3, "healthy": 1, "cooling": 1, "error": 1}
    assert [each["name"] for each in pools["primary"]["backends"]] == ["broken", "cooling", "good", "off"]


@pytest.mark.django_db
def test_pools_are_added_changed_and_taken_away(management: Management) -> None:
    created = management.good("POST", "pools", {"name": "night", "order": 20, "strategy": "cheapest"})
    assert (created["name"], created["total"]) == ("night", 0)
    assert management.good("PATCH", "pools/night", {"order": 5})["order"] == 5
    assert management.good("DELETE", "pools/night")["status"] == "deleted"
    make_backend()
    management.error(409, "DELETE", "pools/primary")
    management.error(404, "GET", "pools/night")
    assert management.error(400, "POST", "pools", {"name": "primary"})["param"] == "name"
    assert management.error(400, "POST", "pools", {"name": "a b"})["param"] == "name"
    assert management.error(400, "POST", "pools", {"name": "x", "strategy": "luck"})["param"] == "strategy"


@pytest.mark.django_db
def test_a_test_calls_the_upstream_and_clears_what_it_disproves(management: Management, upstream: Upstream) -> None:
    backend = make_backend(api_base_url=upstream.url)
    backend_error(backend_id=backend.id, kind=ErrorKind.CREDENTIALS, reason="401")
    tested = management.good("POST", f"backends/{backend.id}/test")
    assert (tested["status"], tested["diagnosis"], tested["status_code"]) == ("ok", "ok", 200)
    assert tested["models"] == ["m1", "m2"]
    assert tested["latency_ms"] > 0
    assert tested["error_cleared"] is True
    assert management.good("GET", f"backends/{backend.id}")["status"] == "healthy"
    assert upstream.seen[0]["headers"]["authorization"] == f"Bearer {API_KEY}"


@pytest.mark.django_db
def test_discovery_proposes_and_adds_only_when_told(management: Management, upstream: Upstream) -> None:
    backend = make_backend(api_base_url=upstream.url, models={"mine": {"native_id": "m1"}})
    found = management.good("POST", f"backends/{backend.id}/discover")
    assert [(each["native_id"], each["known"]) for each in found["models"]] == [("m1", True), ("m2", False)]
    assert backend.mappings.count() == 1
    assert management.good("POST", f"backends/{backend.id}/discover", {"apply": True})["added"] == ["m2"]
    assert backend.mappings.get(canonical="m2").context_window == 8000


@pytest.mark.django_db
@pytest.mark.parametrize(("asked", "price"), [(False, None), (True, Decimal("0.000008"))])
def test_list_prices_are_taken_when_asked_for(
    management: Management, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, asked: bool, price: Decimal | None
) -> None:
    monkeypatch.setattr(price_list, "PRICES", {"127.0.0.1": {"m2": ("2", "8", "0.5")}})
    backend = make_backend(api_base_url=upstream.url, models={})
    found = management.good("POST", f"backends/{backend.id}/discover", {"apply": True, "list_prices": asked})
    by_name = {each["native_id"]: each for each in found["models"]}
    assert by_name["m2"]["list_prices"]["cacheRead"] == "0.0000005"
    assert by_name["m1"]["list_prices"]["input"] is None
    assert found["prices_as_of"] == price_list.AS_OF
    assert backend.mappings.get(canonical="m2").price_output_usd == price


@pytest.mark.django_db
def test_clearing_a_cooldown_ends_it(management: Management) -> None:
    backend, now = make_backend(), utc_now()
    cooldown_start(
        backend_id=backend.id,
        until=now.replace(year=now.year + 1),
        started_at=now,
        consecutive_count=3,
        reason="rate_limited",
        response_summary="busy",
    )
    events = management.good("GET", f"stats/cooldown?backend_id={backend.id}")
    assert events[0]["ended_at"] is None
    assert events[0]["id"].startswith("cev_")
    answer = management.good("POST", f"backends/{backend.id}/clear-cooldown")
    assert (answer["status"], answer["cooldown_until"], answer["consecutive_429_count"]) == ("healthy", None, 0)
    assert CooldownEvent.objects.get().ended_at is not None
