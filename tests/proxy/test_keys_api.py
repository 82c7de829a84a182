import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User

from agenthub.core import versions
from agenthub.core.clock import epoch_seconds, utc_now
from agenthub.core.errors import BadRequest, NotFound
from proxy.models import ClientKey
from proxy.rules.caller import Budget, Period
from proxy.selectors import callers
from proxy.services import client_key_create, client_key_rotate, client_key_update, key_digest
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


LIMITS = {
    "team": "search",
    "tags": ["ci", "nightly"],
    "rpm_limit": 60,
    "tpm_limit": 100_000,
    "max_parallel": 4,
    "budget_usd": "12.5",
    "budget_period": "week",
    "default_model": "small",
    "resume": True,
    "cache_seconds": 300,
}


def test_what_a_key_may_do_is_given_read_and_changed(management: Management) -> None:
    created = management.good("POST", "keys", {"name": "ci", **LIMITS})
    path = f"keys/{created['id']}"
    assert LIMITS.items() <= created.items()
    assert LIMITS.items() <= management.good("GET", path).items()
    less: dict[str, object] = {"rpm_limit": None, "budget_usd": 0.1, "tags": [], "team": ""}
    changed = management.good("PATCH", path, less)
    assert changed.items() >= (LIMITS | less | {"budget_usd": "0.1"}).items()
    assert management.good("PATCH", path, {"budget_usd": None})["budget_usd"] is None


def test_a_new_key_has_no_limits(management: Management) -> None:
    created = management.good("POST", "keys", {"name": "ci"})
    assert [created[name] for name in LIMITS] == ["", [], None, None, None, None, "month", "", False, 0]


def test_the_proxy_knows_what_a_key_may_do(management: Management) -> None:
    created = management.good("POST", "keys", {"name": "ci", **LIMITS})
    caller = callers()[bytes.fromhex(key_digest(created["key"]))]
    assert (caller.rpm_limit, caller.tpm_limit, caller.max_parallel) == (60, 100_000, 4)
    assert caller.budget == Budget(amount_picousd=12_500_000_000_000, period=Period.WEEK)
    assert (caller.default_model, caller.resume, caller.cache_seconds) == ("small", True, 300)
    assert caller.tags == ("ci", "nightly")
    management.good("PATCH", f"keys/{created['id']}", {"budget_usd": None})
    assert [caller.budget for caller in callers().values()] == [None]


def test_keys_are_found_by_owner_team_and_tag(management: Management) -> None:
    User.objects.create_user("ann")
    management.good("POST", "keys", {"name": "a", "owner": "ann", "team": "search", "tags": ["ci", "x"]})
    management.good("POST", "keys", {"name": "b", "team": "search", "tags": ["cico"]})
    management.good("POST", "keys", {"name": "c", "tags": ["ci"]})

    def found(query: str) -> list[str]:
        return sorted(key["name"] for key in management.good("GET", f"keys?{query}"))

    assert found("owner=ann") == ["a"]
    assert found("team=search") == ["a", "b"]
    assert found("tag=ci") == ["a", "c"]
    assert found("tag=ci&team=search") == ["a"]
    assert found("tag=nope") == found("team=nope") == found("owner=nope") == []
    assert management.ask("GET", "keys?tag=ci&limit=1")["X-Total-Count"] == "2"


def test_a_rotated_key_works_beside_the_new_one_for_the_overlap(management: Management) -> None:
    before = management.good("POST", "keys", {"name": "ci", "rpm_limit": 7})
    counted = versions.read_all()["keys"]
    response = management.ask("POST", f"keys/{before['id']}/rotate", {"overlap_seconds": 60})
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    after = response.json()
    assert after["key"] != before["key"]
    assert (after["id"], after["prefix"], after["previous_prefix"]) == (
        before["id"],
        after["key"][:8],
        before["prefix"],
    )
    assert versions.read_all()["keys"] == counted + 1

    known, now = callers(), epoch_seconds()
    old, new = (known[bytes.fromhex(key_digest(answer["key"]))] for answer in (before, after))
    assert (old.id, old.rpm_limit, old.prefix) == (new.id, 7, before["prefix"])
    assert [caller.usable(now + 30) for caller in (old, new)] == [True, True]
    assert [caller.usable(now + 61) for caller in (old, new)] == [False, True]


def test_a_second_rotation_ends_the_oldest_key(management: Management) -> None:
    first = management.good("POST", "keys", {"name": "ci"})
    second = management.good("POST", f"keys/{first['id']}/rotate", {})
    third = management.good("POST", f"keys/{first['id']}/rotate", {})
    known = callers()
    assert set(known) == {bytes.fromhex(key_digest(answer["key"])) for answer in (second, third)}
    assert all(caller.usable(epoch_seconds()) for caller in known.values())


def test_an_overlap_never_outlives_the_key_and_may_be_none(management: Management) -> None:
    soon = (utc_now() + timedelta(seconds=30)).isoformat()
    created = management.good("POST", "keys", {"name": "ci", "expires_at": soon})
    management.good("POST", f"keys/{created['id']}/rotate", {"overlap_seconds": 3600})
    assert len({caller.expires_at for caller in callers().values()}) == 1
    management.good("POST", f"keys/{created['id']}/rotate", {"overlap_seconds": 0})
    now = epoch_seconds()
    assert sorted(caller.usable(now) for caller in callers().values()) == [False, True]


@pytest.mark.parametrize("seconds", [-1, 2_592_001, "soon", None, 1.5])
def test_a_wrong_overlap_changes_nothing(management: Management, seconds: object) -> None:
    created = management.good("POST", "keys", {"name": "ci"})
    error = management.error(400, "POST", f"keys/{created['id']}/rotate", {"overlap_seconds": seconds})
    assert error["param"] == "overlap_seconds"
    assert list(callers()) == [bytes.fromhex(key_digest(created["key"]))]


def test_there_must_be_something_to_rotate(management: Management) -> None:
    management.error(404, "POST", "keys/key_nope/rotate", {})
    with pytest.raises(NotFound):
        client_key_rotate(key_id="key_nope")
    with pytest.raises(BadRequest):
        client_key_rotate(key_id="key_nope", overlap_seconds=-1)


def test_a_change_that_was_begun_before_a_rotation_brings_no_old_key_back() -> None:
    created = client_key_create(name="ci")
    stale = ClientKey.objects.get(id=created.row.id)
    rotated = client_key_rotate(key_id=created.row.id, overlap_seconds=0)
    stale.name = "renamed"
    client_key_update(stale)
    row = ClientKey.objects.get(id=created.row.id)
    assert (row.name, row.digest, row.previous_digest) == ("renamed", key_digest(rotated.key), key_digest(created.key))


def test_the_trail_says_that_a_key_was_rotated_but_no_digest(management: Management) -> None:
    created = management.good("POST", "keys", {"name": "ci"})
    rotated = management.good("POST", f"keys/{created['id']}/rotate", {})
    trail = json.dumps(list(LogEntry.objects.values("changes")))
    assert "digest" in trail
    for answer in (created, rotated):
        assert answer["key"] not in trail
        assert key_digest(answer["key"]) not in trail


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
        ({"name": "x", "rpm_limit": 0}, "rpm_limit"),
        ({"name": "x", "tpm_limit": 10**12 + 1}, "tpm_limit"),
        ({"name": "x", "max_parallel": "many"}, "max_parallel"),
        ({"name": "x", "budget_usd": 0}, "budget_usd"),
        ({"name": "x", "budget_usd": "-1"}, "budget_usd"),
        ({"name": "x", "budget_usd": "0.0000000000001"}, "budget_usd"),
        ({"name": "x", "budget_usd": "1e30"}, "budget_usd"),
        ({"name": "x", "budget_usd": "NaN"}, "budget_usd"),
        ({"name": "x", "budget_period": "year"}, "budget_period"),
        ({"name": "x", "cache_seconds": 2_592_001}, "cache_seconds"),
        ({"name": "x", "tags": "ci"}, "tags"),
        ({"name": "x", "tags": ["ci", "ci"]}, "tags"),
        ({"name": "x", "tags": ["a" * 65]}, "tags"),
        ({"name": "x", "tags": ["a\nb"]}, "tags"),
        ({"name": "x", "tags": [str(number) for number in range(51)]}, "tags"),
    ],
)
def test_a_wrong_field_is_named(management: Management, body: dict[str, object], param: str) -> None:
    error = management.error(400, "POST", "keys", body)
    assert error["param"].startswith(param.split(".", maxsplit=1)[0])
    assert not ClientKey.objects.exists()
