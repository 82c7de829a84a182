from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from agenthub.core.clock import utc_now
from providers.models import HourlyUsage, ModelRoute
from providers.services.routes import model_route_save
from proxy import snapshot
from proxy.api import reads
from proxy.services import CreatedKey, client_key_create
from tests.factories import make_backend
from tests.management import with_environment

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_snapshot() -> Iterator[None]:
    snapshot.forget()
    yield
    snapshot.forget()


def caller(created: CreatedKey) -> Client:
    return Client(headers={"authorization": f"Bearer {created.key}"})


@pytest.fixture
def ann() -> CreatedKey:
    return client_key_create(name="ann", allowed_models=["team/*", "small"])


def test_models_are_listed_in_openais_format(ann: CreatedKey) -> None:
    prices = {"price_input_usd": Decimal("1e-6"), "context_window": 8000}
    make_backend("a", models={"team/large": prices, "small": {}, "secret": {}})
    make_backend("b", models={"team/large": {"price_input_usd": Decimal("2e-6"), "context_window": 16_000}})
    make_backend("off", enabled=False, models={"team/off": {}})
    answer = caller(ann).get("/v1/models").json()
    assert answer["object"] == "list"
    assert [each["id"] for each in answer["data"]] == ["small", "team/large"]
    large = answer["data"][1]
    assert (large["object"], large["owned_by"], large["backends"]) == ("model", "agenthub", 2)
    assert (large["context_window"], large["cost"]["input"]) == (16_000, "0.000001")


def test_a_model_with_slashes_is_read(ann: CreatedKey) -> None:
    make_backend(models={"team/very/large": {}})
    assert caller(ann).get("/v1/models/team/very/large").json()["id"] == "team/very/large"


def test_a_model_that_is_not_the_callers_is_not_there(ann: CreatedKey) -> None:
    make_backend(models={"secret": {}, "small": {}})
    for model in ("secret", "smal"):
        response = caller(ann).get(f"/v1/models/{model}")
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"
        assert "secret" not in response.json()["error"]["message"].replace("model secret", "")
    assert "small" in caller(ann).get("/v1/models/smal").json()["error"]["message"]


def test_an_alias_says_what_it_stands_for(ann: CreatedKey) -> None:
    make_backend(models={"small": {}, "hidden": {}})
    model_route_save(ModelRoute(name="team/fast", target="hidden"))
    model_route_save(ModelRoute(name="small", fallbacks=["hidden"]))
    model_route_save(ModelRoute(name="team/nobodys", target="unmapped"))
    listed = caller(ann).get("/v1/models").json()["data"]
    assert [(model["id"], model["alias_of"]) for model in listed] == [("small", None), ("team/fast", "hidden")]
    assert caller(ann).get("/v1/models/team/fast").json()["alias_of"] == "hidden"


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer ah-wrong"}, {"x-api-key": "ah-wrong"}])
@pytest.mark.parametrize("path", ["models", "models/small", "key", "usage"])
def test_strangers_read_nothing(path: str, headers: dict[str, str]) -> None:
    response = Client(headers=headers).get(f"/v1/{path}")
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response["WWW-Authenticate"] == "Bearer"


def test_expired_and_disabled_keys_read_nothing() -> None:
    for created in (
        client_key_create(name="late", expires_at=utc_now() - timedelta(seconds=1)),
        client_key_create(name="off", enabled=False),
    ):
        snapshot.forget()
        assert caller(created).get("/v1/models").status_code == 401


def test_either_header_carries_the_key(ann: CreatedKey) -> None:
    own = Client(headers={"x-api-key": ann.key}).get("/v1/key").json()
    assert (own["id"], own["allowed_models"], own["expires_at"]) == (ann.row.id, ["team/*", "small"], None)
    assert ann.key not in str(own)


def test_a_key_without_limits_says_so(ann: CreatedKey) -> None:
    own = caller(ann).get("/v1/key").json()
    assert [own[name] for name in ("rpm_limit", "tpm_limit", "max_parallel", "budget")] == [None] * 4
    assert (own["default_model"], own["resume"], own["cache_seconds"], own["tags"]) == ("", False, 0, [])


@pytest.mark.parametrize(("cost", "spent", "remaining"), [(None, "0", "2"), ("0.5", "0.5", "1.5"), ("3", "3", "0")])
def test_a_key_knows_its_limits_and_what_is_left_of_its_budget(cost: str | None, spent: str, remaining: str) -> None:
    created = client_key_create(
        name="ann",
        rpm_limit=60,
        tpm_limit=1000,
        max_parallel=4,
        budget_usd=Decimal(2),
        budget_period="day",
        default_model="small",
        resume=True,
        cache_seconds=300,
        tags=["ci"],
    )
    now = utc_now()
    if cost is not None:
        hour = now.replace(minute=0, second=0, microsecond=0)
        for when, usd in ((hour, Decimal(cost)), (hour - timedelta(days=2), Decimal(100))):
            HourlyUsage.objects.create(hour=when, model="small", client_key_id=created.row.id, cost_usd=usd)
    own = caller(created).get("/v1/key").json()
    assert (own["rpm_limit"], own["tpm_limit"], own["max_parallel"]) == (60, 1000, 4)
    assert (own["default_model"], own["resume"], own["cache_seconds"], own["tags"]) == ("small", True, 300, ["ci"])
    budget = own["budget"]
    assert (budget["amount"], budget["period"], budget["spent"], budget["remaining"]) == ("2", "day", spent, remaining)
    assert now.timestamp() < budget["resets_at"] <= now.timestamp() + 86_400


def test_with_the_database_away_the_budget_is_told_without_what_is_spent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    created = client_key_create(name="ann", budget_usd=Decimal(2), budget_period="total")
    client = caller(created)
    client.get("/v1/models")  # loads the snapshot

    def away(*_: object, **__: object) -> dict[str, int]:
        raise OperationalError("the database is away")

    monkeypatch.setattr(reads, "spent_picousd", away)
    answer = client.get("/v1/key").json()["budget"]
    assert answer == {"amount": "2", "period": "total", "spent": None, "remaining": None, "resets_at": None}
    assert "spending_unknown" in caplog.messages


def test_usage_is_the_callers_own_by_day_and_model(ann: CreatedKey) -> None:
    hour = utc_now().replace(minute=0, second=0, microsecond=0)
    for key_id, cost in ((ann.row.id, Decimal("0.5")), (ann.row.id, None), ("key_other", Decimal(9))):
        HourlyUsage.objects.create(
            hour=hour,
            backend_id=f"bkd_{cost}",
            model="small",
            client_key_id=key_id,
            request_count=1,
            input_tokens=3,
            output_tokens=2,
            cost_usd=cost,
        )
    rows = caller(ann).get("/v1/usage").json()["data"]
    assert len(rows) == 1
    assert (rows[0]["date"], rows[0]["model"], rows[0]["request_count"]) == (hour.date().isoformat(), "small", 2)
    assert (rows[0]["prompt_tokens"], rows[0]["completion_tokens"], rows[0]["cost"]) == (6, 4, "0.5")
    assert caller(ann).get("/v1/usage?days=0").status_code == 400


def test_who_calls_and_which_models_there_are_needs_no_database(
    ann: CreatedKey, django_assert_num_queries: Any
) -> None:
    make_backend()
    caller(ann).get("/v1/models")  # loads the snapshot
    with django_assert_num_queries(0):
        assert caller(ann).get("/v1/models").status_code == 200
        assert caller(ann).get("/v1/models/small").status_code == 200
        assert caller(ann).get("/v1/key").status_code == 200
        assert Client().get("/v1/models").status_code == 401


def test_an_open_hub_asks_for_no_key() -> None:
    make_backend()
    with with_environment(proxy_auth="open"):
        snapshot.forget()
        assert [each["id"] for each in Client().get("/v1/models").json()["data"]] == ["small"]
