import os
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from agenthub.core.crypto import KeyRing
from agenthub.core.keyring import key_ring
from providers.models import Backend
from providers.rules.table import BackendStatus, ErrorKind
from providers.selectors import routing_pools
from providers.services.backends import BackendData, backend_update
from providers.services.keys import RotationReport, api_key_opened, extra_headers_opened, keys_rotate
from tests.factories import make_backend
from tests.faults.conftest import on_sqlite_file, shared_database  # noqa: F401 - fixtures
from tests.faults.forks import fork

OLD, NEW = "0a" * 32, "1b" * 32


def with_keys(text: str) -> override_settings:
    from dataclasses import replace

    return override_settings(ENVIRONMENT=replace(settings.ENVIRONMENT, encryption_key=text))


@pytest.fixture
def old_values(db: None) -> Iterator[list[Backend]]:
    with with_keys(OLD):
        yield [make_backend(f"b{number}", api_key=f"sk-{number}-abcdefghij") for number in range(3)]


def test_everything_moves_under_the_first_key(old_values: list[Backend]) -> None:
    backend_update(backend_id=old_values[0].id, data=BackendData(extra_headers={"x-team": "blue"}))
    with with_keys(f"{NEW},{OLD}"):
        assert keys_rotate() == RotationReport(key_ring().first, rotated=4)
        assert keys_rotate() == RotationReport(key_ring().first, already_current=4)
    with with_keys(NEW):
        opened = [api_key_opened(backend) for backend in Backend.objects.order_by("name")]
        assert opened == [f"sk-{number}-abcdefghij" for number in range(3)]
        assert extra_headers_opened(Backend.objects.get(name="b0")) == {"x-team": "blue"}


def test_an_edit_that_comes_between_is_not_overwritten(
    old_values: list[Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    edited = old_values[1]
    ring_open = KeyRing.open

    def edit_first(ring: KeyRing, sealed: str, *, bound_to: str) -> str:
        plain = ring_open(ring, sealed, bound_to=bound_to)
        if bound_to == edited.id and plain == "sk-1-abcdefghij":
            newer = ring.seal("sk-newer-key-123", bound_to=edited.id)
            Backend.objects.filter(id=edited.id).update(api_key_sealed=newer)
        return plain

    with with_keys(f"{NEW},{OLD}"):
        monkeypatch.setattr(KeyRing, "open", edit_first)
        report = keys_rotate()
        monkeypatch.undo()
        edited.refresh_from_db()
        assert api_key_opened(edited) == "sk-newer-key-123"
        assert (report.rotated, report.already_current) == (2, 1)


def test_what_does_not_open_is_reported_and_left(old_values: list[Backend]) -> None:
    Backend.objects.filter(name="b1").update(api_key_sealed=old_values[0].api_key_sealed)
    with with_keys(f"{NEW},{OLD}"):
        report = keys_rotate()
        assert (report.rotated, len(report.unreadable)) == (2, 1)
        assert old_values[1].id in report.unreadable[0]
        assert Backend.objects.get(name="b1").api_key_sealed == old_values[0].api_key_sealed
        with pytest.raises(CommandError, match="1 values do not open"):
            call_command("rotate_keys")


def test_a_backend_whose_key_does_not_open_is_in_error_alone(old_values: list[Backend]) -> None:
    Backend.objects.filter(name="b1").update(api_key_sealed=old_values[0].api_key_sealed)
    with with_keys(OLD):
        entries = {entry.name: entry for entry in routing_pools()[0].backends}
        assert (entries["b1"].status, entries["b1"].error_kind) == (BackendStatus.ERROR, ErrorKind.KEY)
        assert entries["b1"].api_key == ""
        assert entries["b0"].api_key == "sk-0-abcdefghij"
        assert Backend.objects.get(name="b1").status == "error"
        Backend.objects.filter(name="b1").update(api_key_sealed=old_values[1].api_key_sealed)
        assert {entry.status for entry in routing_pools()[0].backends} == {BackendStatus.HEALTHY}
        assert Backend.objects.get(name="b1").status == "healthy"


@pytest.mark.usefixtures("shared_database")
def test_a_rotation_that_is_killed_half_way_loses_nothing_and_goes_on(django_db_blocker: DjangoDbBlocker) -> None:
    with with_keys(OLD):
        names = {make_backend(f"b{number:02}", api_key=f"sk-{number:02}-abcdefgh").name for number in range(40)}
    with with_keys(f"{NEW},{OLD}"):
        rounds, half_way = 0, 0
        while rounds < 12:
            connections.close_all()
            pid = fork(lambda: _rotate_and_die(after=3))
            _, status = os.waitpid(pid, 0)
            killed = os.WIFSIGNALED(status)
            current = sum(key_ring().is_current(backend.api_key_sealed) for backend in Backend.objects.all())
            half_way += 0 < current < len(names)
            opened = {backend.name: api_key_opened(backend) for backend in Backend.objects.all()}
            assert opened == {name: f"sk-{name[1:]}-abcdefgh" for name in names}
            rounds += 1
            if not killed:
                break
        assert half_way >= 3
        report = keys_rotate()
        assert report.rotated + report.already_current == len(names)
    with with_keys(NEW):
        assert all(api_key_opened(backend).startswith("sk-") for backend in Backend.objects.all())


def _rotate_and_die(*, after: int) -> None:
    import signal

    # The old connection belongs to the parent; this process makes its own.
    def die_in_the_middle(report: RotationReport) -> None:
        if report.rotated >= after:
            os.kill(os.getpid(), signal.SIGKILL)

    keys_rotate(progress=die_in_the_middle)
