"""The environment of a hub as a whole."""

from pathlib import Path

import pytest

from agenthub.core.env import EnvError
from agenthub.core.environment import Environment, is_loopback, read_environment

KEY = "0123456789abcdef" * 4
OTHER_KEY = "fedcba9876543210" * 4
SECRET = "a secret that is long enough, with 50 characters or more"
OUTSIDE = {"AGENTHUB_ENCRYPTION_KEY": KEY, "AGENTHUB_SECRET_KEY": SECRET}
POSTGRES = "postgresql://user:hidden-word@db/agenthub"


def environment(folder: Path, **environ: str) -> Environment:
    return read_environment({"AGENTHUB_DATA_DIR": str(folder), **environ})


def refusal(folder: Path, **environ: str) -> str:
    with pytest.raises(EnvError) as refused:
        environment(folder, **environ)
    return str(refused.value)


def test_a_hub_needs_nothing_from_outside(tmp_path: Path) -> None:
    found = environment(tmp_path)
    assert (found.host, found.port, found.metrics_port, found.workers) == ("127.0.0.1", 9190, 9191, 1)
    assert found.distributed is False
    assert found.allow_private_upstreams is True
    assert found.database_path == tmp_path / "agenthub.sqlite3"
    assert len(found.encryption_key) == 64
    assert found.admin_token


def test_generated_secrets_stay_the_same(tmp_path: Path) -> None:
    assert environment(tmp_path) == environment(tmp_path)


def test_the_environment_wins_over_generated_secrets(tmp_path: Path) -> None:
    environment(tmp_path)
    found = environment(tmp_path, AGENTHUB_ENCRYPTION_KEY=f"{KEY},{OTHER_KEY}", AGENTHUB_ADMIN_TOKEN="x1y2z3" * 4)
    assert (found.encryption_key, found.admin_token) == (f"{KEY},{OTHER_KEY}", "x1y2z3" * 4)


def test_the_names_of_sidecar_are_read(tmp_path: Path) -> None:
    found = environment(
        tmp_path,
        SIDECAR_HOST="127.0.0.2",
        SIDECAR_PORT="81",
        SIDECAR_METRICS_PORT="0",
        SIDECAR_DB_PATH=str(tmp_path / "old.db"),
        SIDECAR_BACKUP_DIR=str(tmp_path / "old"),
        SIDECAR_ENCRYPTION_KEY=KEY,
        SIDECAR_ADMIN_TOKEN="an old admin token",
        LOG_LEVEL="debug",
        LOG_FORMAT="json",
    )
    assert (found.host, found.port, found.metrics_port) == ("127.0.0.2", 81, 0)
    assert (found.database_path, found.backup_dir) == (tmp_path / "old.db", tmp_path / "old")
    assert (found.encryption_key, found.admin_token) == (KEY, "an old admin token")
    assert (found.log_level, found.log_format) == ("DEBUG", "json")


@pytest.mark.parametrize("where", [{"DATABASE_URL": POSTGRES}, {"REDIS_URL": "redis://localhost/0"}])
def test_a_node_of_many_makes_no_secrets_of_its_own(tmp_path: Path, where: dict[str, str]) -> None:
    assert refusal(tmp_path / "data", **where) == (
        "AGENTHUB_ENCRYPTION_KEY and AGENTHUB_SECRET_KEY must be set when DATABASE_URL or REDIS_URL is: "
        "every node needs the same value."
    )
    assert not (tmp_path / "data").exists()


def test_a_node_of_many_takes_its_secrets_from_outside(tmp_path: Path) -> None:
    found = environment(tmp_path / "data", DATABASE_URL=POSTGRES, **OUTSIDE)
    assert found.distributed is True
    assert found.allow_private_upstreams is False
    assert found.admin_token is None
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AGENTHUB_ENCRYPTION_KEY", "too short"),
        ("AGENTHUB_ENCRYPTION_KEY", KEY + ","),
        ("AGENTHUB_ENCRYPTION_KEY", "g" * 64),
        ("AGENTHUB_SECRET_KEY", "short"),
        ("AGENTHUB_SECRET_KEY", "a" * 60),
        ("AGENTHUB_ADMIN_TOKEN", "short"),
        ("AGENTHUB_PORT", "http"),
        ("AGENTHUB_WORKERS", "0"),
        ("AGENTHUB_PROXY_AUTH", "never"),
        ("AGENTHUB_JOURNAL_SYNC", "never"),
        ("AGENTHUB_ALLOW_PRIVATE_UPSTREAMS", "perhaps"),
        ("AGENTHUB_PUBLIC_URL", "hub.example"),
        ("AGENTHUB_QUEUE_MAX_DEPTH", "many"),
        ("SIDECAR_COOLDOWN_BASE", "-1"),
        ("DATABASE_URL", "sqlite:///x"),
        ("REDIS_URL", "localhost:6379"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_its_variable(tmp_path: Path, variable: str, value: str) -> None:
    message = refusal(tmp_path, **{variable: value})
    assert variable in message
    assert "\n" not in message


def test_a_bad_secret_is_not_repeated(tmp_path: Path) -> None:
    assert "hunter2" not in refusal(tmp_path, AGENTHUB_ENCRYPTION_KEY="hunter2-hunter2")
    assert "hunter2" not in refusal(tmp_path, DATABASE_URL="mysql://user:hunter2@db/x")


def test_nothing_secret_is_in_the_repr(tmp_path: Path) -> None:
    found = environment(tmp_path, DATABASE_URL=POSTGRES, AGENTHUB_ADMIN_PASSWORD="hunter2-hunter2", **OUTSIDE)
    for secret in (KEY, SECRET, "hidden-word", "hunter2"):
        assert secret not in repr(found)


def test_serving_without_keys_needs_a_loopback_address(tmp_path: Path) -> None:
    assert environment(tmp_path, AGENTHUB_PROXY_AUTH="open").proxy_auth == "open"
    assert "AGENTHUB_PROXY_AUTH=open" in refusal(tmp_path, AGENTHUB_PROXY_AUTH="open", AGENTHUB_HOST="0.0.0.0")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("hub", False)],
)
def test_loopback_addresses(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("environ", "answered", "not_answered"),
    [
        ({}, "localhost", "*"),
        ({"AGENTHUB_HOST": "0.0.0.0"}, "*", "hub.example"),
        ({"AGENTHUB_HOST": "0.0.0.0", "AGENTHUB_PUBLIC_URL": "https://hub.example"}, "hub.example", "*"),
        ({"AGENTHUB_HOST": "0.0.0.0", "AGENTHUB_ALLOWED_HOSTS": "a.example, b.example"}, "b.example", "*"),
        ({"AGENTHUB_HOST": "10.1.2.3"}, "10.1.2.3", "*"),
    ],
)
def test_which_host_names_are_answered(
    tmp_path: Path, environ: dict[str, str], answered: str, not_answered: str
) -> None:
    hosts = environment(tmp_path, **environ).allowed_hosts
    assert answered in hosts
    assert not_answered not in hosts


def test_a_data_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file" / "data").startswith("AGENTHUB_DATA_DIR: ")


def test_a_hub_with_a_key_of_its_own_keeps_to_it_beside_the_older_name(tmp_path: Path) -> None:
    own = environment(tmp_path).encryption_key
    assert environment(tmp_path, SIDECAR_ENCRYPTION_KEY=KEY).encryption_key == own
    assert environment(tmp_path, AGENTHUB_ENCRYPTION_KEY=KEY).encryption_key == KEY


def test_hubs_that_share_a_redis_have_names_of_their_own_there(tmp_path: Path) -> None:
    shared = {**OUTSIDE, "REDIS_URL": "redis://redis"}
    nodes = [environment(tmp_path / node, DATABASE_URL=POSTGRES, **shared).name_on_redis for node in "ab"]
    copy = environment(tmp_path, DATABASE_URL=f"{POSTGRES}_copy", **shared).name_on_redis
    other = environment(tmp_path, DATABASE_URL=POSTGRES, **{**shared, "AGENTHUB_SECRET_KEY": SECRET[::-1]})
    files = [environment(tmp_path / folder, **shared).name_on_redis for folder in "ab"]
    assert nodes[0] == nodes[1]
    assert len({nodes[0], copy, other.name_on_redis, *files}) == 5
    assert SECRET not in nodes[0]
