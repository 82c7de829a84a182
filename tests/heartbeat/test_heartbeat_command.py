"""`agenthub heartbeat status` and `agenthub status`: what they say, and the codes that they end with."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from agenthub.core.clock import epoch_seconds
from agenthub.overview.management.commands import status as status_command
from heartbeat.rules.components import Kind
from heartbeat.services.alerts import alert_raise
from heartbeat.services.components import component_beat, component_seen
from tests.factories import make_backend

pytestmark = pytest.mark.django_db


def asked(*words: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command(*words, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def part(age_seconds: float) -> None:
    component_seen(name="web-1@here", kind=Kind.WEB)
    component_beat(name="web-1@here", now=epoch_seconds() - age_seconds)


@pytest.mark.parametrize(("age", "code", "word"), [(0, 0, "healthy"), (40, 1, "degraded"), (70, 2, "error")])
def test_the_exit_code_says_how_all_are(age: float, code: int, word: str) -> None:
    part(age)
    status, text = asked("heartbeat", "status")
    assert (status, text.splitlines()[-1]) == (code, f"All together: {word}")
    status, text = asked("heartbeat", "status", "--json")
    answer = json.loads(text)
    assert (status, answer["status"], answer["components"]["total"]) == (code, word, 1)
    assert answer["list"][0]["name"] == "web-1@here"
    assert asked("status")[0] == code


def test_nothing_known_is_not_healthy() -> None:
    assert asked("heartbeat", "status") == (1, "No component yet: unknown\n")


def test_the_whole_system_at_a_glance() -> None:
    part(70)
    make_backend()
    alert_raise(rule="backend_down", severity="critical", source="backend:x", summary="It is down.", details={})
    code, text = asked("status")
    assert code == 2
    for words in ("web-1@here is error", "1 open", "critical: It is down.", "primary", "0 bytes in 0 segments"):
        assert words in text
    found = json.loads(asked("status", "--json")[1])
    assert found["pools"][0]["total"] == 1
    assert found["alerts"][0]["rule"] == "backend_down"
    assert (found["queue"], found["journal"]["bytes"]) == (None, 0)


def test_a_database_that_is_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(status_command, "glance", away)
    with pytest.raises(CommandError, match="gone") as raised:
        call_command("status")
    assert raised.value.returncode == 2
