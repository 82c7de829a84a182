"""The beats of a process are proof that its loops turn."""

from typing import Any

import pytest
from django.db import OperationalError

from agenthub.core.events import LoopTurned, publish
from heartbeat import beats as module
from heartbeat.beats import Beats
from heartbeat.models import Component

pytestmark = pytest.mark.django_db


class Unthreaded(Beats):
    """Writes only when it is told to."""

    def _run(self) -> None:
        pass


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> Beats:
    monkeypatch.setenv("AGENTHUB_PROCESS_NAME", "web-1")
    monkeypatch.setattr(module, "node_name", lambda: "here")
    return Unthreaded()


def sequences() -> dict[str, int]:
    return dict(Component.objects.values_list("name", "sequence"))


def test_only_what_has_turned_since_the_last_time_beats(beats: Beats) -> None:
    for part in ("web", "routing", "web"):
        beats.turned(part)
    assert beats.write()
    assert sequences() == {"web-1@here": 1, "web-1.routing@here": 1}
    beats.turned("web")
    beats.write()
    beats.write()
    assert sequences() == {"web-1@here": 2, "web-1.routing@here": 1}


def test_a_beat_that_the_database_did_not_take_is_kept(beats: Beats, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_: Any) -> None:
        raise OperationalError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(module, "component_seen", away)
        patched.setattr(module, "connection", type("Connection", (), {"close": staticmethod(lambda: None)}))
        beats.turned("web")
        assert not beats.write()
    assert beats.write()
    assert sequences() == {"web-1@here": 1}


def test_what_has_ended_in_good_order_is_not_expected(beats: Beats) -> None:
    beats.turned("web")
    beats.write()
    beats.turned("web")
    beats.ended("web")
    beats.ended("web")
    assert beats.write()
    assert sequences() == {}


def test_commands_that_people_run_do_not_beat() -> None:
    publish(LoopTurned("web"))
    assert module.beats._thread is None
