"""The private servers of the tests."""

import psycopg
import pytest
import redis
from django.db import connection


def test_a_private_postgresql_database_is_empty(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as database:
        tables = database.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)


def test_a_private_redis_answers(redis_url: str) -> None:
    assert redis.Redis.from_url(redis_url).ping() is True


@pytest.mark.usefixtures("on_postgres")
def test_a_test_can_move_the_default_database_to_postgresql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM core_changecounter")
        assert cursor.fetchone() is not None
    assert connection.vendor == "postgresql"


@pytest.mark.django_db
def test_other_tests_stay_on_sqlite() -> None:
    assert connection.vendor == "sqlite"
