from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages
from django.test import Client

from agenthub.core import versions
from agenthub.core.clock import utc_now
from providers.models import Backend, CooldownEvent, DailyStats, HourlyUsage, Pool, UsageRecord
from providers.rules import price_list
from providers.rules.table import ErrorKind
from providers.services.backends import BackendData, backend_error, backend_update
from providers.services.keys import api_key_opened, extra_headers_opened
from tests.factories import API_KEY, make_backend
from tests.upstream import Upstream

pytestmark = pytest.mark.django_db
LIST = "/admin/providers/backend/"


def signed_in(role: str) -> Client:
    user = User.objects.create_user(role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin() -> Client:
    return signed_in("Administrators")


def form(**changes: Any) -> dict[str, Any]:
    fields = {
        "name": "one",
        "pool": Pool.objects.get(name="primary").pk,
        "api_base_url": "http://127.0.0.1:1/v1",
        "api": "openai-completions",
        "enabled": "on",
        "timeout_seconds": "120",
        "rpm_limit": "40",
        "weight": "1",
        "probe": "models",
        "mappings-TOTAL_FORMS": "0",
        "mappings-INITIAL_FORMS": "0",
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def mapping_form(number: int, **fields: Any) -> dict[str, Any]:
    defaults = {"canonical": "small", "context_window": "128000", "max_tokens": "65536"}
    return {f"mappings-{number}-{name}": value for name, value in (defaults | fields).items()}


def told(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def test_a_backend_is_added_with_its_models_and_prices_per_million(admin: Client) -> None:
    before = versions.read_all()["routing"]
    models = mapping_form(0, price_input_usd="0.15", price_output_usd="10", input_modalities="text, image")
    response = admin.post(f"{LIST}add/", form(api_key=API_KEY, **models, **{"mappings-TOTAL_FORMS": "1"}))
    assert response.status_code == 302, response.context["errors"]
    backend = Backend.objects.get()
    assert api_key_opened(backend) == API_KEY
    mapping = backend.mappings.get()
    assert (mapping.price_input_usd, mapping.price_output_usd) == (Decimal("1.5e-7"), Decimal("0.00001"))
    assert (mapping.price_cache_read_usd, mapping.input_modalities) == (None, ["text", "image"])
    assert (backend.source, backend.status) == ("webui", "healthy")
    assert versions.read_all()["routing"] > before


def test_a_preset_fills_in_what_was_left_empty(admin: Client) -> None:
    admin.post(f"{LIST}add/", form(api_key=API_KEY, api_base_url="", preset="anthropic"))
    backend = Backend.objects.get()
    assert (backend.api_base_url, backend.api) == ("https://api.anthropic.com/v1", "anthropic-messages")


def test_a_preset_whose_host_is_everybodys_own_wants_it_and_brings_its_api(admin: Client) -> None:
    page = admin.post(f"{LIST}add/", form(api_key=API_KEY, api_base_url="", preset="azure"))
    assert "NAME.openai.azure.com" in str(page.context["adminform"].form.errors["api_base_url"])
    url = "https://mine.invalid/openai/v1"
    admin.post(f"{LIST}add/", form(api_key=API_KEY, api_base_url=url, preset="azure"))
    backend = Backend.objects.get()
    assert (backend.api_base_url, backend.api) == (url, "azure-openai")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"api_key": ""}, "api_key"),
        ({"api_base_url": ""}, "api_base_url"),
        ({"api_base_url": "ftp://host/v1"}, "api_base_url"),
        ({"rpm_limit": "0"}, "rpm_limit"),
        ({"timeout_seconds": "0"}, "timeout_seconds"),
        ({"metadata": "[1]"}, "metadata"),
        ({"extra_headers": '{"host": "x"}'}, "extra_headers"),
    ],
)
def test_a_wrong_field_is_refused(admin: Client, change: dict[str, str], field: str) -> None:
    response = admin.post(f"{LIST}add/", form(**{"api_key": API_KEY} | change))
    assert field in response.context["adminform"].form.errors
    assert not Backend.objects.exists()


def test_the_key_is_never_in_a_page_and_a_blank_one_keeps_it(admin: Client) -> None:
    backend = make_backend(models={})
    backend_update(backend_id=backend.id, data=BackendData(extra_headers={"x-team": "blue-team-secret"}))
    page = admin.get(f"{LIST}{backend.id}/change/").content.decode()
    assert "sk-abc****wxyz" in page
    for secret in (API_KEY, "blue-team-secret", Backend.objects.get().api_key_sealed):
        assert secret not in page
    shown = '{"x-team": "blue-t****cret"}'
    admin.post(f"{LIST}{backend.id}/change/", form(name="renamed", api_key="", extra_headers=shown))
    changed = Backend.objects.get()
    assert (changed.name, api_key_opened(changed)) == ("renamed", API_KEY)
    assert extra_headers_opened(changed) == {"x-team": "blue-team-secret"}
    admin.post(f"{LIST}{backend.id}/change/", form(no_api_key="on"))
    assert Backend.objects.get().api_key_sealed == ""


def test_a_form_that_was_open_while_something_was_found_out_does_not_undo_it(admin: Client) -> None:
    backend = make_backend(models={})
    backend_error(backend_id=backend.id, kind=ErrorKind.QUOTA, reason="402")
    admin.post(f"{LIST}{backend.id}/change/", form(label="new"))
    changed = Backend.objects.get()
    assert (changed.label, changed.status, changed.error_kind) == ("new", "error", "quota")


@pytest.mark.parametrize("backend_id", ["bkd_405f396e7bd6", "bkd_22aaaaaaaaaa", "bkd_5f5f5f5f5f5f"])
def test_every_id_leads_to_its_page(admin: Client, backend_id: str) -> None:
    make_backend(id=backend_id)
    for shown in (backend_id, backend_id.replace("_", "_5F")):
        assert admin.get(f"{LIST}{shown}/change/").status_code == 200
    assert admin.get(f"{LIST}bkd_40aaaaaaaaaa/change/").status_code == 302


def test_disabling_in_the_form_shows_in_the_status(admin: Client) -> None:
    backend = make_backend(models={})
    admin.post(f"{LIST}{backend.id}/change/", form(enabled=None))
    assert Backend.objects.get().status == "disabled"


def test_an_odd_url_warns_and_is_saved(admin: Client, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = admin.post(f"{LIST}add/", form(api_key=API_KEY, api_base_url="http://127.0.0.1:1"))
    assert "did you mean http://127.0.0.1:1/v1?" in told(response)
    assert "not reachable" in told(response)
    assert Backend.objects.exists()


def act(client: Client, action: str, *backends: Backend) -> Any:
    return client.post(LIST, {"action": action, "_selected_action": [backend.pk for backend in backends]})


def test_connections_are_tested_on_many_rows(admin: Client, upstream: Upstream) -> None:
    good, bad = make_backend("good", api_base_url=upstream.url), make_backend("bad")
    words = told(act(admin, "test", good, bad))
    assert "good: The backend works. Status 200." in words
    assert "2 models: m1, m2" in words
    assert "bad: http://127.0.0.1:1" in words


def test_the_outcome_of_a_test_stands_in_the_list_and_on_the_page(admin: Client, upstream: Upstream) -> None:
    backend = make_backend(api_base_url=upstream.url)
    act(admin, "test", backend)
    for path in (LIST, f"{LIST}{backend.id}/change/"):
        assert "healthy (200, " in admin.get(path).content.decode()


def test_saving_can_test_and_discover(admin: Client, upstream: Upstream) -> None:
    backend = make_backend(models={}, api_base_url=upstream.url)
    path = f"{LIST}{backend.id}/change/"
    given = form(api_base_url=upstream.url)
    response = admin.post(path, given | {"providers_backend_save_and_test": "1"})
    assert response["Location"] == path
    assert "The backend works" in told(response)
    response = admin.post(path, given | {"providers_backend_save_and_discover": "1"})
    assert response["Location"] == f"{LIST}discover/?ids={backend.id}"


def test_ticked_models_become_mappings(admin: Client, upstream: Upstream) -> None:
    backend = make_backend(models={"m1": {}}, api_base_url=upstream.url)
    path = act(admin, "discover", backend)["Location"]
    page = admin.get(path).content.decode()
    assert "already mapped" in page
    assert backend.mappings.count() == 1
    admin.post(path, {"model": [f"{backend.id}:m2"]})
    assert sorted(backend.mappings.values_list("canonical", flat=True)) == ["m1", "m2"]
    assert admin.get(f"{LIST}discover/?ids=nope").status_code == 404


@pytest.mark.parametrize(("ticked", "price"), [({}, None), ({"list_prices": "yes"}, Decimal("0.000002"))])
def test_list_prices_count_once_a_person_has_confirmed_them(
    admin: Client, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, ticked: dict[str, str], price: Decimal | None
) -> None:
    monkeypatch.setattr(price_list, "PRICES", {"127.0.0.1": {"m2": ("2", "8")}})
    backend = make_backend(models={"m1": {}}, api_base_url=upstream.url)
    path = act(admin, "discover", backend)["Location"]
    page = admin.get(path).content.decode()
    assert "list: input 2, output 8" in page
    assert price_list.AS_OF in page
    admin.post(path, {"model": [f"{backend.id}:m2"], **ticked})
    assert backend.mappings.get(canonical="m2").price_input_usd == price


def test_rows_are_cleared_switched_and_duplicated(admin: Client) -> None:
    one, two = make_backend("one"), make_backend("two")
    backend_error(backend_id=one.id, kind=ErrorKind.QUOTA, reason="402")
    act(admin, "clear_cooldown", one, two)
    assert set(Backend.objects.values_list("status", flat=True)) == {"healthy"}
    act(admin, "disable", one, two)
    assert set(Backend.objects.values_list("status", flat=True)) == {"disabled"}
    act(admin, "enable", one)
    act(admin, "duplicate", one)
    assert list(Backend.objects.values_list("name", "enabled").order_by("name")) == [
        ("one", True),
        ("one (copy)", False),
        ("two", False),
    ]


def test_viewers_look_and_change_nothing(upstream: Upstream) -> None:
    viewer = signed_in("Viewers")
    backend = make_backend(api_base_url=upstream.url)
    page = viewer.get(f"{LIST}{backend.id}/change/")
    assert page.status_code == 200
    assert API_KEY not in page.content.decode()
    assert viewer.post(f"{LIST}{backend.id}/change/", form(name="x")).status_code == 403
    assert viewer.get(f"{LIST}discover/?ids={backend.id}").status_code == 403
    for action in ("disable", "test", "duplicate", "delete_selected"):
        act(viewer, action, backend)
    assert list(Backend.objects.values_list("name", "enabled")) == [("one", True)]
    assert upstream.seen == []


def test_a_pool_with_backends_is_protected(admin: Client) -> None:
    backend = make_backend()
    admin.post(f"/admin/providers/pool/{backend.pool_id}/delete/", {"post": "yes"})
    assert Pool.objects.filter(name="primary").exists()


def test_the_log_and_the_ledger_are_only_looked_at(admin: Client) -> None:
    now = utc_now()
    CooldownEvent.objects.create(
        backend_id="bkd_gone", consecutive_count=1, cooldown_seconds=7, reason="failures", started_at=now, until=now
    )
    HourlyUsage.objects.create(hour=now, model="small", cost_usd=Decimal("0.5"), latency_us_sum=9000, latency_count=3)
    DailyStats.objects.create(date=now.date(), pool="primary")
    UsageRecord.objects.create(
        id="req_1",
        started_at=now,
        ended_at=now,
        endpoint="chat/completions",
        model="small",
        stream=True,
        status=200,
        attempts=1,
        estimated=True,
        latency_us=5,
        queue_wait_us=0,
        emergency=False,
        partial=False,
    )
    for model in ("cooldownevent", "hourlyusage", "dailystats", "usagerecord"):
        path = f"/admin/providers/{model}/"
        assert admin.get(path).status_code == 200
        assert admin.get(f"{path}add/").status_code == 403
    assert "0.5 USD" in admin.get("/admin/providers/hourlyusage/").content.decode()
    event = CooldownEvent.objects.get()
    assert admin.post(f"/admin/providers/cooldownevent/{event.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_big_list_is_not_counted(admin: Client, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(12) as captured:
        admin.get("/admin/providers/usagerecord/")
    counts = [query["sql"] for query in captured.captured_queries if "COUNT(" in query["sql"].upper()]
    assert all("LIMIT 10000" in sql for sql in counts), counts
