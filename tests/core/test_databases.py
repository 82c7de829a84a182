"""Addresses of databases as settings."""

from pathlib import Path

import psycopg

from agenthub.core.databases import bound_waits, postgresql_database, sqlite_database


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


def test_waits_of_web_processes_are_bounded_and_the_address_wins() -> None:
    database = postgresql_database("postgres://db/x?options=-c%20lock_timeout%3D7", pool_size=3)
    assert database["OPTIONS"]["pool"]["max_size"] == 3
    bound_waits(database)
    words = database["OPTIONS"]["options"]
    assert words.startswith("-c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session")
    assert words.endswith(" -c lock_timeout=7")
    sqlite = sqlite_database(Path("/x/hub.sqlite3"))
    bound_waits(sqlite)
    assert "options" not in sqlite["OPTIONS"]


def test_the_server_takes_the_bounds(postgres_url: str) -> None:
    database = postgresql_database(postgres_url)
    bound_waits(database)
    with psycopg.connect(postgres_url, options=database["OPTIONS"]["options"]) as connection:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        found = [connection.execute(f"SHOW {name}").fetchone() for name in names]
    assert found == [("30s",), ("10s",), ("1min",)]
