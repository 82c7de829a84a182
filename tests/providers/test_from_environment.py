import json
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry

from agenthub.core.env import EnvError
from providers.models import Backend
from providers.services.from_environment import backends_from_environment
from providers.services.keys import api_key_opened
from tests.factories import API_KEY, make_backend

pytestmark = pytest.mark.django_db
ENTRY: dict[str, Any] = {
    "name": "env-one",
    "api_base_url": "http://127.0.0.1:1/v1",
    "api_key": API_KEY,
    "model_mappings": {"small": {"native_id": "s", "cost": {"input": "0.000001"}}},
}


def applied(tmp_path: Path, entries: Any, **environ: str) -> list[str]:
    file = tmp_path / "backends.json"
    file.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return backends_from_environment({"AGENTHUB_BACKENDS_FILE": str(file), **environ})


def test_a_file_makes_backends_and_a_second_start_changes_nothing(tmp_path: Path) -> None:
    assert applied(tmp_path, [ENTRY]) == ["env-one"]
    backend = Backend.objects.get()
    assert (backend.source, backend.pool.name, backend.rpm_limit) == ("env", "primary", 40)
    assert api_key_opened(backend) == API_KEY
    entries = LogEntry.objects.count()
    applied(tmp_path, [ENTRY])
    assert Backend.objects.get().api_key_sealed == backend.api_key_sealed
    assert LogEntry.objects.count() == entries


def test_a_backend_is_found_again_by_name_and_none_is_deleted(tmp_path: Path) -> None:
    applied(tmp_path, [ENTRY, ENTRY | {"name": "env-two"}])
    applied(tmp_path, [ENTRY | {"rpm_limit": 5, "api_key": "sk-another-key-1234"}])
    one, two = Backend.objects.order_by("name")
    assert (one.rpm_limit, api_key_opened(one)) == (5, "sk-another-key-1234")
    assert two.name == "env-two"


def test_yaml_is_read_and_keys_may_stand_in_variables(tmp_path: Path) -> None:
    text = (
        "- name: y\n  api_base_url: http://127.0.0.1:1/v1\n  api_key_env: MY_KEY\n  model_mappings: {small: native}\n"
    )
    applied(tmp_path, text, MY_KEY="sk-from-variable")
    backend = Backend.objects.get()
    assert api_key_opened(backend) == "sk-from-variable"
    assert backend.mappings.get().native_id == "native"


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("{", "neither JSON nor YAML"),
        ("a: [", "neither JSON nor YAML"),
        ({"name": "x"}, "list of backends"),
        (["x"], "object with a name"),
        ([{"api_key": "k"}], "object with a name"),
        ([{"name": "x"}], "api_base_url"),
        ([ENTRY | {"rpm_limit": 0}], "env-one, rpm_limit"),
        ([ENTRY | {"rpm": 5}], "field rpm"),
        ([ENTRY | {"pool": "nope"}], "pool"),
        ([ENTRY | {"api_key_env": "MISSING"}], "MISSING, which is not set"),
    ],
)
def test_a_wrong_file_stops_the_start_and_changes_nothing(tmp_path: Path, entries: Any, words: str) -> None:
    good = ENTRY | {"name": "good"}
    with pytest.raises(EnvError) as problem:
        applied(tmp_path, [good, *entries] if isinstance(entries, list) else entries)
    assert "AGENTHUB_BACKENDS_FILE" in str(problem.value)
    assert words in str(problem.value)
    assert API_KEY not in str(problem.value)
    assert not Backend.objects.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvError, match=r"nowhere.json can't be read"):
        backends_from_environment({"AGENTHUB_BACKENDS_FILE": str(tmp_path / "nowhere.json")})


@pytest.mark.parametrize(
    ("upstream", "url"),
    [
        ("", "https://integrate.api.nvidia.com/v1"),
        ("https://host.example/v1", "https://host.example/v1"),
        ("https://host.example/", "https://host.example/v1"),
        ("https://host.example/v1/v1", "https://host.example/v1"),
        ("https://host.example/v1/chat/completions", "https://host.example/v1"),
    ],
)
def test_the_backend_of_sidecar(upstream: str, url: str) -> None:
    environ = {"SIDECAR_API_KEY": "nvapi-123456789", "SIDECAR_UPSTREAM": upstream}
    assert backends_from_environment(environ) == backends_from_environment(environ) == ["sidecar"]
    backend = Backend.objects.get()
    assert (backend.api_base_url, api_key_opened(backend), backend.source) == (url, "nvapi-123456789", "env")


def test_without_variables_nothing_happens() -> None:
    make_backend()
    assert backends_from_environment({}) == []
    assert Backend.objects.get().source == "api"
