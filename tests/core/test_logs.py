"""Log lines: fields, formats, and no secrets."""

import json
import logging
import logging.config
from collections.abc import Iterator
from pathlib import Path

import pytest

from agenthub.core.environment import read_environment
from agenthub.core.logs import ConsoleFormatter, JsonFormatter, SecretHider, current_request_id, logging_settings

KEY = "ah-" + "a1B2" * 10


def record(message: str = "something_happened", **fields: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "proxy.app", "levelname": "INFO", "msg": message, **fields})
    made.created = 0.0
    return made


@pytest.fixture
def _request() -> Iterator[None]:
    token = current_request_id.set("req_1")
    yield
    current_request_id.reset(token)


@pytest.mark.parametrize(
    "text",
    [
        f"caller {KEY} came",
        f"Authorization: Bearer {KEY}",
        "authorization: Bearer abcdef0123456789",
        "authorization: Basic dXNlcjpwYXNzd29yZA==",
        "POST /v1?token=abcdef0123456789&x=1",
        "{'api_key': 'abcdef0123456789'}",
        '{"password": "abcdef0123456789"}',
        "x-api-key: abcdef0123456789",
        "connecting to postgresql://user:abcdef0123456789@db/hub",
        "sk-abcdef0123456789abcdef",
        "nvapi-abcdef0123456789abcdef",
        "known: the-hub's-own-secret",
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str) -> None:
    hidden = SecretHider(("the-hub's-own-secret",))(text)
    assert "[hidden]" in hidden
    for secret in (KEY, "abcdef0123456789", "dXNlcjpwYXNzd29yZA==", "own-secret"):
        assert secret not in hidden


@pytest.mark.parametrize(
    "text",
    [
        "backend bkd_0123456789ab cooled for 30 s",
        "request req_0193a5f2c1d4e5f60718293a4b5c6d7e",
        "GET http://127.0.0.1:9190/v1/models",
        "the task-scheduler-of-heartbeats has started",
        "tokens: 1234, prompt_tokens: 99",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert SecretHider(("", "short"))(text) == text


@pytest.mark.usefixtures("_request")
def test_a_line_for_people() -> None:
    line = ConsoleFormatter(hide=SecretHider(), process_name="web-1").format(record(seconds=7))
    assert line == "1970-01-01 00:00:00.000 INFO    web-1 proxy.app: something_happened seconds=7 request_id=req_1"


@pytest.mark.usefixtures("_request")
def test_a_line_for_machines() -> None:
    entry = json.loads(JsonFormatter(hide=SecretHider(), process_name="web-1").format(record(seconds=7, key=KEY)))
    assert entry == {
        "time": "1970-01-01T00:00:00.000+00:00",
        "level": "info",
        "process": "web-1",
        "logger": "proxy.app",
        "event": "something_happened",
        "seconds": 7,
        "key": "[hidden]",
        "request_id": "req_1",
    }


def test_a_traceback_holds_no_secret() -> None:
    try:
        raise ValueError(f"bad key {KEY}")
    except ValueError as problem:
        made = record(exc_info=(ValueError, problem, problem.__traceback__))
    for formatter in (ConsoleFormatter, JsonFormatter):
        line = formatter(hide=SecretHider(), process_name="web-1").format(made)
        assert "ValueError" in line
        assert KEY not in line


def test_each_process_writes_a_file_of_its_own_that_holds_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTHUB_PROCESS_NAME", "web-2")
    environ = {"AGENTHUB_DATA_DIR": str(tmp_path / "data"), "AGENTHUB_LOG_DIR": str(tmp_path / "logs")}
    environment = read_environment(environ)
    settings = logging_settings(environment)
    rotating = settings["handlers"]["file"]
    assert (rotating["maxBytes"], rotating["backupCount"]) == (10 * 1024 * 1024, 5)
    formatter = ConsoleFormatter(hide=settings["formatters"]["line"]["hide"], process_name="web-2")
    assert environment.secret_key not in formatter.format(record(f"settings {environment.secret_key}"))
    assert rotating["filename"] == str(tmp_path / "logs" / "web-2.log")
