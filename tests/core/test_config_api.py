from collections.abc import Iterator

import pytest

from agenthub.core.params import PARAMS
from tests.management import TOKEN, Management, with_environment

pytestmark = pytest.mark.django_db


@pytest.fixture
def management() -> Iterator[Management]:
    with with_environment(admin_token=TOKEN):
        yield Management()


def test_every_setting_is_listed_with_its_default(management: Management) -> None:
    listed = management.good("GET", "config")
    assert [each["key"] for each in listed] == list(PARAMS)
    assert {each["set_by"] for each in listed} == {"default"}
    assert all(each["value"] == each["default"] and each["help"] for each in listed)


def test_a_setting_is_set_and_goes_back(management: Management) -> None:
    answer = management.good("PUT", "config/queue_max_depth", {"value": 0, "description": "none may wait"})
    assert (answer["value"], answer["set_by"], answer["description"]) == (0, "database", "none may wait")
    assert answer["updated_at"] is not None
    assert management.good("PUT", "config/queue_max_depth", {"value": "12"})["description"] == "none may wait"
    assert management.good("GET", "config/queue_max_depth")["value"] == 12
    assert management.good("DELETE", "config/queue_max_depth")["value"] == 500


@pytest.mark.parametrize("body", [{"value": -1}, {"value": "x"}, {"value": [1]}, {"value": None}, {}, {"value": True}])
def test_a_wrong_value_is_named(management: Management, body: dict[str, object]) -> None:
    assert management.error(400, "PUT", "config/queue_max_depth", body)["param"] == "value"


def test_an_unknown_setting_is_not_found(management: Management) -> None:
    for method, body in (("GET", None), ("PUT", {"value": 1}), ("DELETE", None)):
        management.error(404, method, "config/nope", body)


def test_what_the_environment_holds_is_locked(management: Management, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTHUB_QUEUE_MAX_DEPTH", "9")
    answer = management.good("GET", "config/queue_max_depth")
    assert (answer["value"], answer["locked_by"]) == (9, "AGENTHUB_QUEUE_MAX_DEPTH")
    assert "AGENTHUB_QUEUE_MAX_DEPTH" in management.error(409, "PUT", "config/queue_max_depth", {"value": 1})["message"]
    management.error(409, "DELETE", "config/queue_max_depth")
