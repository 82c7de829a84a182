"""`kill -9` of agents as they talk, and of Redis between them: nothing that was acknowledged is lost or comes twice."""

import os
import random
import time
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tests.faults.conversation import Conversation
from tests.hub import Hub, wait_until
from tests.proxy.private_redis import PrivateRedis
from tests.servers import database_url

KILLS = int(os.environ.get("TORTURE_MESSAGE_KILLS", "40"))


def talk_and_kill(conversation: Conversation, kills: int) -> None:
    """Kill one of the two again and again, each time when some more was acknowledged."""
    chance = random.Random()
    for _ in range(kills):
        before = len(conversation.acked())
        wait_until(lambda before=before: len(conversation.acked()) > before + 3, "More is acknowledged")  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.2))  # no event to await: the kill is to come at any instant
        conversation.kill_one(chance)


@pytest.mark.timeout(120 + 5 * KILLS)
def test_agents_that_are_killed_lose_and_repeat_nothing(embedded_hub: Hub, tmp_path: Path) -> None:
    conversation = Conversation(embedded_hub, tmp_path)
    conversation.start()
    try:
        talk_and_kill(conversation, KILLS)
        conversation.assert_kept()
    finally:
        conversation.stop()


@pytest.mark.timeout(180 + 5 * KILLS)
def test_redis_that_is_killed_between_two_processes_loses_nothing(postgres_server: str, tmp_path: Path) -> None:
    name = f"agenthub_test_{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    (tmp_path / "redis").mkdir()
    with PrivateRedis(tmp_path / "redis") as redis:
        environ = {
            "AGENTHUB_WORKERS": "2",
            "DATABASE_URL": database_url(postgres_server, name),
            "REDIS_URL": redis.url,
            "AGENTHUB_ENCRYPTION_KEY": "5e" * 32,
            "AGENTHUB_SECRET_KEY": "a secret key for tests " * 3,
        }
        with Hub(tmp_path / "hub", environ=environ) as hub:
            conversation = Conversation(hub, tmp_path)
            conversation.start()
            try:
                talk_and_kill(conversation, KILLS // 8)
                redis.kill()
                talk_and_kill(conversation, KILLS // 8)
                redis.start()
                talk_and_kill(conversation, KILLS // 8)
                conversation.assert_kept()
            finally:
                conversation.stop()
