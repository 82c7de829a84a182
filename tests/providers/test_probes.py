from typing import Any

import pytest

from providers.models import Backend
from providers.probes import backend_discover, backend_test, backends_test
from providers.rules.table import ErrorKind
from providers.services.backends import backend_error
from tests.factories import API_KEY, make_backend
from tests.management import with_environment
from tests.upstream import Upstream, running_upstream

pytestmark = pytest.mark.django_db


def at(upstream: Upstream, name: str = "one", **values: Any) -> Backend:
    return make_backend(name, api_base_url=upstream.url, **values)


@pytest.mark.parametrize(
    ("status", "error", "diagnosis"),
    [
        (401, {"message": f"Incorrect API key provided: {API_KEY}"}, "unauthorized"),
        (403, {}, "forbidden"),
        (404, {}, "not_found"),
        (402, {}, "quota"),
        (429, {}, "rate_limited"),
        (429, {"code": "insufficient_quota"}, "quota"),
        (302, {}, "redirect"),
        (500, {}, "upstream_error"),
        (422, {}, "refused"),
    ],
)
def test_every_refusal_has_its_diagnosis(
    upstream: Upstream, status: int, error: dict[str, str], diagnosis: str
) -> None:
    upstream.refuse(status, **error)
    tested = backend_test(at(upstream))
    assert (tested.ok, tested.diagnosis.code, tested.status_code) == (False, diagnosis, status)
    assert API_KEY not in tested.response


def test_garbage_is_no_list_of_models(upstream: Upstream) -> None:
    upstream.body = b"hello"
    assert backend_test(at(upstream)).diagnosis.code == "not_a_model_list"
    assert backend_discover(at(upstream, "two")).diagnosis.code == "not_a_model_list"


def test_silence_refusal_and_unknown_names_are_told_apart(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTHUB_HEALTH_CHECK_TIMEOUT_SECONDS", "0.3")
    upstream.hangs = True
    silent = at(upstream)
    refused = make_backend("refused")
    unknown = make_backend("unknown", api_base_url="http://name.invalid/v1")
    codes = [tested.diagnosis.code for tested in backends_test([silent, refused, unknown])]
    assert codes == ["timeout", "connection_refused", "dns_failed"]


def test_many_are_tested_in_the_time_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTHUB_HEALTH_CHECK_TIMEOUT_SECONDS", "5")
    with running_upstream() as slow, running_upstream() as quick:
        slow.hangs = True
        # Each of these is let go only when the other ones have been asked too.
        backends = [at(slow, f"slow{number}") for number in range(4)] + [at(quick, "quick")]
        original = quick.seen

        class LetGo(list):  # type: ignore[type-arg]
            def append(self, item: object) -> None:
                super().append(item)
                slow.let_go.set()

        quick.seen = LetGo(original)
        tested = backends_test(backends)
        assert tested[-1].ok
        assert [each.diagnosis.code for each in tested[:-1]] == ["invalid_answer"] * 4


def test_a_spent_quota_is_tried_with_the_smallest_completion(upstream: Upstream) -> None:
    backend = at(upstream, models={"small": {"native_id": "native-small"}})
    backend_error(backend_id=backend.id, kind=ErrorKind.QUOTA, reason="402")
    backend.refresh_from_db()
    tested = backend_test(backend)
    assert tested.ok
    assert tested.error_cleared
    asked = upstream.seen[0]
    assert (asked["method"], asked["path"]) == ("POST", "/v1/chat/completions")
    assert b'"model":"native-small"' in asked["body"]
    assert b'"max_tokens":1' in asked["body"]


def test_a_completion_needs_a_model() -> None:
    assert backend_test(make_backend(models={}), completion=True).diagnosis.code == "no_model"


def test_an_unbilled_probe_leaves_a_spent_quota(upstream: Upstream) -> None:
    backend = at(upstream)
    tested = backend_test(backend)  # read before the quota was spent
    backend_error(backend_id=backend.id, kind=ErrorKind.QUOTA, reason="402")
    assert tested.ok
    assert not backend_test(backend).error_cleared
    backend.refresh_from_db()
    assert backend.status == "error"


@pytest.mark.parametrize(
    ("api", "header"),
    [("anthropic-messages", "x-api-key"), ("azure-openai", "api-key"), ("ollama", "authorization")],
)
def test_each_kind_carries_the_key_in_its_own_header(upstream: Upstream, api: str, header: str) -> None:
    backend_test(at(upstream, api=api))
    assert API_KEY in upstream.seen[0]["headers"][header]


def test_private_upstreams_are_not_called_where_that_is_not_allowed(upstream: Upstream) -> None:
    backend = at(upstream)
    with with_environment(allow_private_upstreams=False):
        assert backend_test(backend).diagnosis.code == "address_refused"
    assert upstream.seen == []


def test_a_key_that_does_not_open_is_not_sent(upstream: Upstream) -> None:
    backend = at(upstream)
    with with_environment(encryption_key="cd" * 32):
        assert backend_test(backend).diagnosis.code == "key_unreadable"
        assert backend_discover(backend).diagnosis.code == "key_unreadable"
    assert upstream.seen == []


def test_the_outcome_stands_beside_the_backend(upstream: Upstream) -> None:
    backend = at(upstream)
    backend_test(backend)
    health = Backend.objects.get(id=backend.id).health
    assert (health.state, health.last_status_code) == ("healthy", 200)
    upstream.refuse(500)
    backend_test(backend)
    assert Backend.objects.get(id=backend.id).health.last_status_code == 500
