import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.core import NotSet
from schemathesis.core.result import Ok

from agenthub.core.api_errors import error_response
from proxy import snapshot
from tests.factories import make_backend
from tests.management import TOKEN, with_environment


@pytest.fixture
def description() -> Iterator[dict[str, Any]]:
    with with_environment(admin_token=TOKEN):
        client = Client(headers={"authorization": f"Bearer {TOKEN}"})
        response = client.get("/api/schema")
        assert response.status_code == 200
        yield response.json()


def test_the_description_is_made_without_a_warning() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null")


@pytest.mark.django_db
def test_it_is_openapi_3_1_and_describes_every_route(description: dict[str, Any]) -> None:
    assert description["openapi"].startswith("3.1")
    for path, methods in {
        "/v1/chat/completions": {"post"},
        "/v1/completions": {"post"},
        "/v1/embeddings": {"post"},
        "/v1/models": {"get"},
        "/v1/models/{model}": {"get"},
        "/v1/key": {"get"},
        "/v1/usage": {"get"},
        "/health": {"get"},
        "/ready": {"get"},
        "/dashboard/sse": {"get"},
        "/api/admin/backends": {"get", "post"},
        "/api/admin/backends/{backend_id}": {"get", "put", "patch", "delete"},
        "/api/admin/backends/{backend_id}/test": {"post"},
        "/api/admin/backends/{backend_id}/discover": {"post"},
        "/api/admin/backends/{backend_id}/clear-cooldown": {"post"},
        "/api/admin/pools": {"get", "post"},
        "/api/admin/stats/total": {"get"},
        "/api/admin/stats/hourly": {"get"},
        "/api/admin/stats/daily": {"get"},
        "/api/admin/stats/cooldown": {"get"},
        "/api/admin/config": {"get"},
        "/api/admin/config/{key}": {"get", "put", "delete"},
        "/api/admin/keys": {"get", "post"},
        "/api/admin/keys/{key_id}": {"get", "patch", "delete"},
        "/api/admin/keys/{key_id}/rotate": {"post"},
        "/api/admin/alerts": {"get"},
        "/api/admin/alerts/{alert_id}/acknowledge": {"post"},
        "/api/admin/alerts/{alert_id}/resolve": {"post"},
    }.items():
        assert set(description["paths"][path]) == methods, path


@pytest.mark.django_db
def test_every_error_that_is_described_has_the_one_shape(description: dict[str, Any]) -> None:
    error = {"$ref": "#/components/schemas/ErrorAnswer"}
    found = 0
    for path, operations in description["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400 and path != "/ready":
                    assert response["content"]["application/json"]["schema"] == error, (path, status)
                    found += 1
    assert found > 60
    described = set(description["components"]["schemas"]["ErrorDetail"]["properties"])
    answered = error_response(400, "m", kind="t", code="c", fields={"a": "b"}).data["error"]
    assert set(answered) == described


@pytest.mark.django_db
def test_keys_are_never_described_as_readable(description: dict[str, Any]) -> None:
    backend = description["components"]["schemas"]["BackendAnswer"]["properties"]
    assert "Masked" in backend["api_key"]["description"]
    assert "key" not in description["components"]["schemas"]["KeyAnswer"]["properties"]


@pytest.mark.django_db
def test_the_page_of_the_description_is_for_the_staff_and_brings_its_own_scripts() -> None:
    assert Client().get("/api/docs")["Location"].startswith("/admin/login/")
    client = Client()
    client.force_login(User.objects.create_user("ann", is_staff=True))
    page = client.get("/api/docs").content.decode()
    assert "/static/drf_spectacular_sidecar/" in page
    assert "//cdn" not in page
    assert "<script>" not in page
    assert client.get("/api/docs?script=").status_code == 200


@pytest.mark.timeout(900)  # it grows with every route
@pytest.mark.django_db
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_is_sent_is_answered_as_described(description: dict[str, Any], mode: GenerationMode) -> None:
    make_backend()
    snapshot.forget()
    client = Client(headers={"authorization": f"Bearer {TOKEN}"}, raise_request_exception=False)
    schema = schemathesis.openapi.from_dict(description)
    chosen = schema.include(path_regex="^/api/(admin|users|messages)").exclude(path_regex="/(test|discover|token)$")
    operations = [result.ok() for result in chosen.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) > 20
    for operation in operations:
        described = {int(status) for status in operation.definition.raw["responses"]}
        try_everything(client, operation.as_strategy(generation_mode=mode), described)
    snapshot.forget()


def try_everything(client: Client, cases: SearchStrategy[schemathesis.Case[Any]], described: set[int]) -> None:
    """Send some of the cases; none may fail, and each is answered as it is described."""

    @settings(
        max_examples=6,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def send(case: schemathesis.Case[Any]) -> None:
        match case.body:
            case NotSet():
                body: bytes | str = b""
            case bytes():
                body = case.body
            case _:
                body = json.dumps(case.body)
        path = f"{case.formatted_path}?{urlencode(case.query or {}, doseq=True)}"
        response = client.generic(case.method, path, body, content_type="application/json")
        # A made-up path may be no route at all; 405 and 413 belong to every route.
        assert response.status_code in described | {404, 405, 413}, (case.method, path, body, response.content)
        if response.status_code >= 400 and response.resolver_match is not None:
            assert {"message", "type", "param", "code"} <= set(response.json()["error"])

    try:
        send()
    except Unsatisfiable:
        # There is no wrong way to call what takes nothing.
        return
