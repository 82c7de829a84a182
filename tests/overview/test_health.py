"""The probes."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError
from django.test import AsyncClient, Client

from agenthub.core import versions
from proxy import runtime


@pytest.fixture
def proxy() -> Iterator[Any]:
    """A proxy as far as the probes look at it."""
    before = runtime.current()
    made: Any = SimpleNamespace(draining=False, journal=SimpleNamespace(full=False))
    runtime.install(made)
    yield made
    runtime.install(before)


async def ask() -> tuple[int, dict[str, str]]:
    answer = await AsyncClient().get("/ready")
    return answer.status_code, answer.json()


def test_health_asks_nothing_of_the_database() -> None:
    # Without the database mark, a query would fail.
    answer = Client().get("/health")
    assert answer.status_code == 200
    assert set(answer.json()) == {"status", "version", "uptime_seconds"}


@pytest.mark.django_db(transaction=True)
async def test_a_process_that_has_everything_is_ready(proxy: Any) -> None:
    assert await ask() == (200, {"status": "ok", "routing": "ok", "journal": "ok", "database": "ok"})


@pytest.mark.django_db(transaction=True)
async def test_a_process_without_a_proxy_is_not_ready() -> None:
    status, parts = await ask()
    assert status == 503
    assert (parts["status"], parts["routing"], parts["journal"]) == ("unavailable",) * 3


@pytest.mark.django_db(transaction=True)
async def test_a_process_that_stops_is_not_ready(proxy: Any) -> None:
    proxy.draining = True
    status, parts = await ask()
    assert (status, parts["routing"]) == (503, "stopping")


@pytest.mark.django_db(transaction=True)
async def test_a_full_journal_is_named(proxy: Any) -> None:
    proxy.journal.full = True
    status, parts = await ask()
    assert (status, parts["journal"]) == (503, "full")


async def test_a_database_that_is_away_is_named(proxy: Any) -> None:
    with patch.object(versions, "read_all", side_effect=OperationalError("gone")):
        status, parts = await ask()
    assert (status, parts["database"], parts["routing"]) == (503, "unavailable", "ok")


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer ", "Basic eDp5"])
@pytest.mark.django_db
def test_metrics_need_the_admin_token(authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    assert Client().get("/metrics", headers=headers).status_code == 401


@pytest.mark.django_db
def test_metrics_with_the_admin_token(settings: Any) -> None:
    answer = Client().get("/metrics", headers={"authorization": f"Bearer {settings.ENVIRONMENT.admin_token}"})
    assert answer.status_code == 200
    assert b"agenthub_inflight" in answer.content


@pytest.mark.parametrize(("sharing", "word"), [("shared", "ok"), ("local", "local")])
@pytest.mark.django_db(transaction=True)
async def test_a_process_that_goes_on_alone_says_so(
    proxy: Any, settings: Any, redis_url: str, sharing: str, word: str
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, redis_url=redis_url)
    proxy.sharing = sharing
    status, parts = await ask()
    assert (status, parts["redis"], parts["shared_state"]) == (200 if word == "ok" else 503, "ok", word)
