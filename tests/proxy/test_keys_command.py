import json
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from proxy.models import ClientKey
from proxy.services import key_digest

pytestmark = pytest.mark.django_db


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    call_command("keys", *words)
    return capsys.readouterr().out


def test_a_key_is_created_with_what_it_may_do(capsys: pytest.CaptureFixture[str]) -> None:
    User.objects.create_user("ann")
    whose = ("--owner", "ann", "--team", "search", "--tag", "ci", "--tag", "nightly")
    limits = ("--rpm", "60", "--tpm", "1000", "--parallel", "4", "--budget", "12.5", "--period", "week")
    behaviour = ("--default-model", "small", "--resume", "--cache", "300", "--model", "small")
    answer = json.loads(said(capsys, "create", "ci", *whose, *limits, *behaviour, "--json"))
    row = ClientKey.objects.get()
    assert row.digest == key_digest(answer["key"])
    assert (answer["owner"], row.team, row.tags) == ("ann", "search", ["ci", "nightly"])
    assert (row.rpm_limit, row.tpm_limit, row.max_parallel) == (60, 1000, 4)
    assert (row.budget_usd, answer["budget_usd"], row.budget_period) == (Decimal("12.5"), "12.5", "week")
    assert (row.default_model, row.resume, row.cache_seconds, row.allowed_models) == ("small", True, 300, ["small"])


@pytest.mark.parametrize("words", [("--budget", "much"), ("--budget", "NaN"), ("--budget", "0"), ("--rpm", "0")])
def test_what_can_not_be_makes_no_key(words: tuple[str, str]) -> None:
    with pytest.raises(CommandError):
        call_command("keys", "create", "ci", *words)
    assert not ClientKey.objects.exists()


def test_the_list_is_of_an_owner_a_team_or_a_tag(capsys: pytest.CaptureFixture[str]) -> None:
    for name, team, tags in (("a", "search", ("ci", "x")), ("b", "search", ()), ("c", "", ("ci",))):
        said(capsys, "create", name, "--team", team, *(word for tag in tags for word in ("--tag", tag)))

    def listed(*words: str) -> set[str]:
        return {row["name"] for row in json.loads(said(capsys, "list", *words, "--json"))}

    assert listed() == {"a", "b", "c"}
    assert listed("--team", "search") == {"a", "b"}
    assert listed("--tag", "ci") == {"a", "c"}
    assert listed("--tag", "ci", "--tag", "x") == {"a"}
    assert listed("--owner", "nobody") == set()
    assert "BUDGET USD" in said(capsys, "list")


def test_a_key_is_rotated(capsys: pytest.CaptureFixture[str]) -> None:
    old = said(capsys, "create", "ci").splitlines()[0]
    row = ClientKey.objects.get()
    words = said(capsys, "rotate", row.id, "--overlap", "60")
    row.refresh_from_db()
    assert row.digest == key_digest(words.splitlines()[0])
    assert row.previous_digest == key_digest(old)
    assert f"{old[:8]}…, works until" in words
    with pytest.raises(CommandError, match="between 0 and 2592000"):
        call_command("keys", "rotate", row.id, "--overlap", "-1")
    with pytest.raises(CommandError, match="no client key"):
        call_command("keys", "rotate", "key_nope")
