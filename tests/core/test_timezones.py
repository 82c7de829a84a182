from datetime import UTC, datetime

import pytest

from agenthub.core.params import InvalidSetting, parse_value
from agenthub.core.timezones import time_zone


def test_a_zone_is_found_by_its_name() -> None:
    summer = datetime(2026, 7, 1, 12, tzinfo=time_zone("Europe/Berlin"))
    assert summer.astimezone(UTC).hour == 10


def test_utc_needs_no_database_of_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agenthub.core.timezones.ZoneInfo", None)
    assert time_zone("UTC") is UTC


@pytest.mark.parametrize("name", ["Nowhere/Town", "Europe", "../../etc", "/etc/localtime", "é" * 400, "a\0b"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be the name of a time zone"):
        time_zone(name)


def test_the_setting_takes_names_of_zones_only() -> None:
    assert parse_value("budget_time_zone", "Asia/Tokyo") == "Asia/Tokyo"
    with pytest.raises(InvalidSetting, match="budget_time_zone must be the name of a time zone"):
        parse_value("budget_time_zone", "Berlin")
