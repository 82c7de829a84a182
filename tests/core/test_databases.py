"""Addresses of databases as settings."""

from pathlib import Path

from agenthub.core.databases import postgresql_database, sqlite_database


def test_the_parts_of_an_address_are_decoded() -> None:
    found = postgresql_database("postgresql://us%40er:p%2Fw@db.example:6543/hub%20one?sslmode=require")
    assert (found["USER"], found["PASSWORD"], found["HOST"]) == ("us@er", "p/w", "db.example")
    assert (found["PORT"], found["NAME"]) == ("6543", "hub one")
    assert found["OPTIONS"]["sslmode"] == "require"
    assert found["OPTIONS"]["pool"]["max_size"] > 1


def test_a_short_address_has_defaults() -> None:
    found = postgresql_database("postgres://db")
    assert (found["NAME"], found["PORT"], found["USER"], found["CONN_MAX_AGE"]) == ("agenthub", "", "", 0)


def test_sqlite_waits_for_its_turn_to_write() -> None:
    options = sqlite_database(Path("/x/hub.sqlite3"))["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"]
