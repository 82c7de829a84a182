import json
from collections.abc import Iterator

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User

from agenthub.core import versions
from agenthub.core.clock import epoch_seconds
from proxy.models import ClientKey
from proxy.selectors import callers
from proxy.services import key_digest
from tests.management import TOKEN, Management, with_environment

pytestmark = pytest.mark.django_db


@pytest.fixture
def management() -> Iterator[Management]:
    with with_environment(admin_token=TOKEN):
        yield Management()


def test_the_key_is_in_the_answer_to_post_alone(management: Management) -> None:
    User.objects.create_user("ann")
    before = versions.read_all()["keys"]
    created = management.good("POST", "keys", {"name": "ci", "owner": "ann", "allowed_models": ["gpt-4*"]})
    key = created["key"]
    assert key.startswith("ah-")
    assert len(key) == 43
    assert (created["prefix"], created["owner"]) == (key[:8], "ann")
    for answer in (management.good("GET", "keys"), management.good("GET", f"keys/{created['id']}")):
        assert key not in json.dumps(answer)
    stored = json.dumps(list(ClientKey.objects.values_list("digest", "prefix")))
    trail = json.dumps(list(LogEntry.objects.values("changes")))
    assert key not in stored + trail
    assert key_digest(key) not in trail
    assert versions.read_all()["keys"] == before + 1


def test_the_proxy_knows_the_caller_by_the_keys_digest(management: Management) -> None:
    body = {"name": "ci", "agent_id": "agent-7", "allowed_models": ["gpt-4*"], "expires_at": "2020-01-01T00:00:00Z"}
    created = management.good("POST", "keys", body)
    caller = callers()[bytes.fromhex(key_digest(created["key"]))]
    assert (caller.id, caller.name, caller.agent_id) == (created["id"], "ci", "agent-7")
    assert not caller.usable(epoch_seconds())
    assert caller.may_use("gpt-4o")
    assert not caller.may_use("other")


def test_keys_are_changed_and_revoked(management: Management) -> None:
    created = management.good("POST", "keys", {"name": "ci"})
    path = f"keys/{created['id']}"
    assert management.good("PATCH", path, {"enabled": False, "name": "old"})["enabled"] is False
    assert [caller.enabled for caller in callers().values()] == [False]
    assert management.good("DELETE", path) == {"status": "deleted", "id": created["id"]}
    assert callers() == {}
    management.error(404, "DELETE", path)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "owner": "nobody"}, "owner"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "allowed_models": "gpt"}, "allowed_models"),
        ({"name": "x", "allowed_models": [""]}, "allowed_models.0"),
    ],
)
def test_a_wrong_field_is_named(management: Management, body: dict[str, object], param: str) -> None:
    error = management.error(400, "POST", "keys", body)
    assert error["param"].startswith(param.split(".", maxsplit=1)[0])
    assert not ClientKey.objects.exists()
