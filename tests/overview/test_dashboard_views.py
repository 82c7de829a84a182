import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, cast

import pytest
from django.contrib.auth.models import Group, User
from django.db import DatabaseError
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client

from agenthub.core.access import VIEWERS
from agenthub.overview import ticks, views
from agenthub.overview.ticks import Ticks
from proxy import snapshot
from tests.factories import make_backend
from tests.management import TOKEN, with_environment

pytestmark = pytest.mark.django_db

# The stream reads on threads of its own, so its rows have to be committed.
committed = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh_snapshot() -> Iterator[None]:
    snapshot.forget()
    yield
    snapshot.forget()


def person(name: str = "vera", *, role: str | None = VIEWERS, is_staff: bool = True) -> User:
    user = User.objects.create_user(name, password="a password for tests", is_staff=is_staff)
    if role is not None:
        user.groups.add(Group.objects.get(name=role))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("path", ["/dashboard", "/admin/"])
def test_strangers_are_sent_to_the_sign_in_page(path: str) -> None:
    response = Client().get(path)

    assert response.status_code == 302
    assert response["location"] == f"/admin/login/?next={path}"


@pytest.mark.parametrize("path", ["/dashboard", "/admin/"])
def test_viewers_see_the_dashboard_at_home(path: str) -> None:
    page = signed_in(person()).get(path)

    assert page.status_code == 200
    assert b'id="dashboard"' in page.content
    assert b"/v1" in page.content


def test_staff_without_a_role_gets_the_plain_home() -> None:
    page = signed_in(person(role=None)).get("/dashboard")

    assert page.status_code == 200
    assert b'id="dashboard"' not in page.content


@pytest.mark.parametrize("path", ["/dashboard/sse", "/dashboard/series"])
def test_its_data_is_refused_to_strangers(path: str) -> None:
    for client in (Client(), signed_in(person(is_staff=False)), Client(headers={"authorization": "Bearer wrong"})):
        with with_environment(admin_token=TOKEN):
            response = client.get(path)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "not_authenticated"


@pytest.mark.parametrize("path", ["/dashboard/sse", "/dashboard/series"])
def test_its_data_is_refused_to_staff_without_a_role(path: str) -> None:
    response = signed_in(person(role=None)).get(path)

    assert response.status_code == 403
    assert response.json()["error"]["code"] == "permission_denied"


def test_points_of_the_charts() -> None:
    answer = signed_in(person()).get("/dashboard/series?span=24h").json()

    assert (answer["span"], answer["bucket_seconds"], len(answer["points"])) == ("24h", 3600, 24)


def test_an_unknown_span_is_refused_by_name() -> None:
    error = signed_in(person()).get("/dashboard/series?span=1y").json()["error"]

    assert (error["param"], error["message"]) == ("span", "span must be one of 1h, 24h, 7d, 30d, not 1y.")


async def events_of(client: AsyncClient, **headers: str) -> AsyncGenerator[dict[str, Any], None]:
    response = cast(StreamingHttpResponse, await client.get("/dashboard/sse", headers=headers))
    assert response.status_code == 200
    assert response["content-type"] == "text/event-stream"
    assert response["cache-control"] == "no-store"
    stream = cast(AsyncIterator[bytes], response.streaming_content)
    assert await anext(stream) == b"retry: 1000\n\n"
    async for frame in stream:
        assert frame.startswith(b"data: ")
        assert frame.endswith(b"\n\n")
        yield json.loads(frame[6:])


@committed
async def test_the_stream_shows_the_backends_to_the_bearer_of_the_token() -> None:
    await asyncio.to_thread(make_backend, "one")
    with with_environment(admin_token=TOKEN):
        async with aclosing(events_of(AsyncClient(), authorization=f"Bearer {TOKEN}")) as events:
            event = await asyncio.wait_for(anext(events), 10)

    assert event["type"] == "snapshot"
    assert [(backend["name"], backend["model_count"]) for backend in event["backends"]] == [("one", 1)]
    assert set(event["pool"]) == {"primary", "fallback"}


@committed
async def test_the_stream_goes_on_without_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(now: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(ticks, "dashboard_figures", away)
    with with_environment(admin_token=TOKEN):
        async with aclosing(events_of(AsyncClient(), authorization=f"Bearer {TOKEN}")) as events:
            event = await asyncio.wait_for(anext(events), 10)

    assert (event["database"], event["total"]) == ("unavailable", None)


@committed
@pytest.mark.parametrize("loss", ["signed out", "locked", "role taken"])
async def test_the_stream_ends_for_who_loses_the_right_to_it(monkeypatch: pytest.MonkeyPatch, loss: str) -> None:
    numbers = iter(range(1_000_000))

    async def compute() -> bytes:
        return b'data: {"number": %d}\n\n' % next(numbers)

    quick = Ticks(compute, interval_seconds=lambda: 0.01, drain_began=lambda: None)
    monkeypatch.setattr(ticks, "dashboard", quick)
    monkeypatch.setattr(views, "CHECK_SECONDS", 0.0)
    user = await asyncio.to_thread(person)
    client = AsyncClient()
    await client.aforce_login(user)
    events = events_of(client)
    await asyncio.wait_for(anext(events), 10)
    if loss == "signed out":
        await client.alogout()
    elif loss == "locked":
        await User.objects.filter(pk=user.pk).aupdate(is_active=False)
    else:
        await user.groups.aclear()

    async with asyncio.timeout(10):
        async for _ in events:
            continue
