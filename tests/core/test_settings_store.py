import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from agenthub.core import versions
from agenthub.core.errors import BadRequest, Conflict, NotFound
from agenthub.core.models import SystemConfig
from agenthub.core.settings_store import runtime_settings, setting_set, setting_state, setting_unset

pytestmark = pytest.mark.django_db


def test_a_setting_is_its_default_until_somebody_sets_it() -> None:
    assert runtime_settings().queue_max_depth == 500
    assert setting_set(key="queue_max_depth", value="7", description="small").value == 7
    state = setting_state("queue_max_depth")
    assert (runtime_settings().queue_max_depth, state.source, state.description) == (7, "database", "small")
    assert setting_unset(key="queue_max_depth").source == "default"
    assert runtime_settings().queue_max_depth == 500


def test_zero_and_false_are_values() -> None:
    setting_set(key="queue_max_depth", value=0)
    setting_set(key="cooldown_exponential_backoff", value=False)
    assert runtime_settings().queue_max_depth == 0
    assert runtime_settings().cooldown_exponential_backoff is False


def test_other_processes_learn_of_a_change() -> None:
    before = versions.read_all()["settings"]
    setting_set(key="queue_max_depth", value=7)
    setting_unset(key="queue_max_depth")
    assert versions.read_all()["settings"] == before + 2


def test_the_environment_wins_and_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    setting_set(key="queue_max_depth", value=7)
    monkeypatch.setenv("SIDECAR_QUEUE_MAX", "9")
    assert runtime_settings().queue_max_depth == 9
    assert setting_state("queue_max_depth").locked_by == "SIDECAR_QUEUE_MAX"
    with pytest.raises(Conflict, match="SIDECAR_QUEUE_MAX"):
        setting_set(key="queue_max_depth", value=8)
    with pytest.raises(Conflict, match="SIDECAR_QUEUE_MAX"):
        setting_unset(key="queue_max_depth")


@pytest.mark.parametrize(
    ("key", "value"),
    [("queue_max_depth", -1), ("queue_max_depth", "many"), ("queue_max_depth", 1.5), ("journal_full", "explode")],
)
def test_a_value_that_can_not_be_is_refused(key: str, value: object) -> None:
    with pytest.raises(BadRequest, match=key):
        setting_set(key=key, value=value)
    assert not SystemConfig.objects.exists()


def test_an_unknown_setting_is_not_found() -> None:
    with pytest.raises(NotFound):
        setting_set(key="nope", value=1)


def test_a_row_of_another_version_counts_as_unset() -> None:
    SystemConfig.objects.create(key="queue_max_depth", value="[broken")
    SystemConfig.objects.create(key="from_the_future", value="1")
    assert runtime_settings().queue_max_depth == 500


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(BadRequest, match="cooldown_max_seconds"):
        setting_set(key="cooldown_base_seconds", value=601)
    with pytest.raises(BadRequest, match="first_token_timeout_seconds"):
        setting_set(key="stream_total_timeout_seconds", value=5)


def test_variables_that_contradict_each_other_are_found_by_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTHUB_COOLDOWN_BASE_SECONDS", "700")
    monkeypatch.setenv("AGENTHUB_STREAM_TOTAL_TIMEOUT_SECONDS", "5")
    with pytest.raises(SystemCheckError, match=r"(?s)agenthub.E001.*agenthub.E002"):
        call_command("check")
