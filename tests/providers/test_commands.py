import json
from io import StringIO
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from providers.models import Backend
from proxy.models import ClientKey
from proxy.services import key_digest
from tests.factories import API_KEY, make_backend
from tests.upstream import Upstream

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def answer(*words: str) -> Any:
    return json.loads(run(*words, "--json"))


def test_backends_are_listed() -> None:
    backend = make_backend()
    (row,) = answer("backends", "list")
    assert (row["id"], row["pool"], row["models"], row["api_key"]) == (backend.id, "primary", 1, "sk-abc****wxyz")
    text = run("backends", "list")
    assert backend.id in text
    assert API_KEY not in text


def test_backends_are_switched_by_id_or_name() -> None:
    one, two = make_backend("one"), make_backend("two")
    assert [row["changed"] for row in answer("backends", "disable", one.id, "two")] == [True, True]
    assert [row["changed"] for row in answer("backends", "disable", "two")] == [False]
    assert set(Backend.objects.values_list("status", flat=True)) == {"disabled"}
    assert LogEntry.objects.filter(object_pk=two.id).latest("id").additional_data == {"actor": "command line"}
    run("backends", "enable", "one")
    run("backends", "clear-cooldown", "one")
    assert Backend.objects.get(name="one").status == "healthy"


def test_testing_fails_when_a_backend_does(upstream: Upstream) -> None:
    make_backend("good", api_base_url=upstream.url)
    (row,) = answer("backends", "test", "good")
    assert (row["ok"], row["status_code"], row["models"]) == (True, 200, ["m1", "m2"])
    make_backend("bad")
    with pytest.raises(CommandError, match=r"1 of 2 backends failed: bad"):
        run("backends", "test")


def test_what_is_not_there_is_named() -> None:
    for words in (
        ("backends", "enable", "nope"),
        ("keys", "revoke", "nope"),
        ("keys", "create", "x", "--owner", "nope"),
    ):
        with pytest.raises(CommandError, match="nope"):
            run(*words)
    with pytest.raises(CommandError, match="at least one") as wrong:
        run("backends", "enable")
    assert wrong.value.returncode == 2


def test_keys_are_issued_listed_and_revoked() -> None:
    User.objects.create_user("ann")
    created = answer(
        "keys", "create", "ci", "--owner", "ann", "--model", "gpt-4*", "--model", "x", "--expires", "2030-01-01T00:00Z"
    )
    row = ClientKey.objects.get()
    assert key_digest(created["key"]) == row.digest
    assert (row.owner and row.owner.username, row.allowed_models) == ("ann", ["gpt-4*", "x"])
    assert row.expires_at is not None
    assert row.expires_at.year == 2030
    (listed,) = answer("keys", "list")
    assert "key" not in listed
    assert answer("keys", "revoke", row.id) == {"status": "deleted", "id": row.id}
    assert not ClientKey.objects.exists()


def test_rotation_reports() -> None:
    make_backend()
    report = answer("rotate_keys")
    assert (report["rotated"], report["already_current"], report["unreadable"]) == (0, 1, [])
