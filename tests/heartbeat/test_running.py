"""Runs of jobs as a worker does them: real calls, real programs, real mail, real threads."""

import asyncio
import os
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from heartbeat import running
from heartbeat.models import Alert, Job, JobRun
from heartbeat.registry import job, unregister
from heartbeat.rules.jobs import RunState
from heartbeat.running import run_execute
from heartbeat.services.jobs import job_register, job_run_now
from tests.management import with_environment

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(running, "STOP_SECONDS", 2.0)


def make(kind: str, parameters: dict[str, Any], **values: Any) -> JobRun:
    made = job_register(key=f"job-{Job.objects.count()}", values={"kind": kind, "parameters": parameters, **values})
    return job_run_now(job_id=made.pk)


def run(kind: str, parameters: dict[str, Any], **values: Any) -> JobRun:
    """A run that has ended."""
    waiting = make(kind, parameters, **values)
    run_execute(waiting.pk)
    waiting.refresh_from_db()
    return waiting


@pytest.fixture
def registered() -> Iterator[Callable[[Any], str]]:
    """Registers a callable for one test; its key."""
    keys: list[str] = []

    def register(function: Any) -> str:
        keys.append(f"test_{len(keys)}")
        job(key=keys[-1])(function)
        return keys[-1]

    yield register
    for key in keys:
        unregister(key)


def test_functions_coroutines_and_classes_run_with_their_arguments(registered: Callable[[Any], str]) -> None:
    def plain(number: int = 1) -> str:
        return f"plain {number}"

    async def awaited(number: int) -> str:
        await asyncio.sleep(0)
        return f"awaited {number}"

    class Made:
        def run(self, number: int) -> int:
            return number

    for function, output in ((plain, "plain 3"), (awaited, "awaited 3"), (Made, "3")):
        done = run("callable", {"callable": registered(function), "arguments": {"number": 3}})
        assert (done.state, done.output, done.error) == ("ok", output, "")


def test_what_a_function_raises_is_its_error_and_touches_no_other(registered: Callable[[Any], str]) -> None:
    def broken() -> None:
        raise ValueError("no such table")

    done = run("callable", {"callable": registered(broken)})
    assert (done.state, done.error) == ("failed", "ValueError: no such table")
    assert Alert.objects.get().rule == "job_failed"
    assert run("reminder", {"message": "Water the plants."}).state == "ok"


def test_a_function_that_hangs_is_left_behind_and_not_begun_again(registered: Callable[[Any], str]) -> None:
    over = threading.Event()
    key = registered(over.wait)
    done = run("callable", {"callable": key}, max_run_seconds=1)
    assert (done.state, done.error) == ("timed_out", "It was not done within 1 s.")
    again = job_run_now(job_id=done.job_id)
    assert run_execute(again.pk) is None
    over.set()
    running._left_behind[Job.objects.get().key].join()
    assert run_execute(again.pk) is RunState.OK


def test_a_coroutine_that_takes_too_long_is_stopped(registered: Callable[[Any], str]) -> None:
    stopped = threading.Event()

    async def long() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            stopped.set()

    assert run("callable", {"callable": registered(long)}, max_run_seconds=1).state == "timed_out"
    assert stopped.is_set()


def test_a_worker_that_does_not_know_a_function_leaves_it_to_others(registered: Callable[[Any], str]) -> None:
    waiting = make("callable", {"callable": "of_a_newer_version"})
    assert run_execute(waiting.pk) is None
    waiting.refresh_from_db()
    assert waiting.state == "scheduled"


def test_a_run_that_shall_stop_stops(registered: Callable[[Any], str]) -> None:
    async def long() -> None:
        await asyncio.to_thread(lambda: JobRun.objects.update(stop_asked=True))
        await asyncio.sleep(600)

    done = run("callable", {"callable": registered(long)}, retries=3)
    assert (done.state, done.error) == ("failed", "It was stopped.")


def test_a_run_that_another_worker_has_taken_over_is_given_up(registered: Callable[[Any], str]) -> None:
    async def long() -> None:
        await asyncio.to_thread(lambda: JobRun.objects.update(attempt=7, worker="another"))
        await asyncio.sleep(600)

    done = run("callable", {"callable": registered(long)})
    assert (done.state, done.worker, done.attempt) == ("running", "another", 7)


class Called(BaseHTTPRequestHandler):
    """Answers with the status in its path, and notes what it was sent."""

    seen: list[tuple[str, str, bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.seen.append((self.command, self.headers.get("x-token", ""), body))
        self.send_response(int(self.path[1:]))
        self.end_headers()
        self.wfile.write(b"what came of it")

    do_GET = do_POST

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    Called.seen.clear()
    with HTTPServer(("127.0.0.1", 0), Called) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_a_call_is_made_and_its_status_judged(server: str) -> None:
    with with_environment(allow_private_upstreams=True):
        parameters = {"method": "POST", "headers": {"x-token": "t"}, "json": {"a": 1}}
        done = run("http", {"url": f"{server}/204", **parameters})
        assert (done.state, done.error) == ("ok", "")
        assert Called.seen == [("POST", "t", b'{"a":1}')]
        assert run("http", {"url": f"{server}/404", "status": 404}).output == "what came of it"
        failed = run("http", {"url": f"{server}/500"})
        assert (failed.state, failed.error, failed.output) == (
            "failed",
            "It was answered with status 500.",
            "what came of it",
        )
    with with_environment(allow_private_upstreams=False):
        assert "private" in run("http", {"url": f"{server}/200"}).error
    assert run("http", {"url": "http://127.0.0.1:1/"}).state == "failed"


def test_a_command_runs_without_a_shell_and_without_the_secrets_of_the_hub(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AGENTHUB_SECRET_KEY", "geheim")
    text = "import os, sys; print(sys.argv[1], os.getcwd(), os.environ.get('AGENTHUB_SECRET_KEY'), os.environ['OWN'])"
    command = [sys.executable, "-c", text, "$(id)"]
    done = run("command", {"command": command, "folder": str(tmp_path), "environment": {"OWN": "mine"}})
    assert (done.state, done.output) == ("ok", f"$(id) {tmp_path} None mine\n")
    failed = run("command", {"command": [sys.executable, "-c", "print('so far'); raise SystemExit(3)"]})
    assert (failed.state, failed.error, failed.output) == ("failed", "It ended with status 3.", "so far\n")
    assert run("command", {"command": ["/no/such/program"]}).state == "failed"


def test_of_a_long_output_the_end_is_kept() -> None:
    done = run("command", {"command": [sys.executable, "-c", "print('x' * 10_000_000); print('\\0 the end')"]})
    assert done.state == "ok"
    assert len(done.output) <= 4096
    assert done.output.endswith("� the end\n")


def test_a_command_that_takes_too_long_dies_with_all_it_has_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! > {pids}; echo $$ >> {pids}; wait"
    done = run("command", {"command": ["/bin/sh", "-c", script]}, max_run_seconds=1)
    assert done.state == "timed_out"
    for pid in map(int, pids.read_text().split()):
        gone_within(pid)


def gone_within(pid: int, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError(f"{pid} lives")


class Post(socketserver.StreamRequestHandler):
    """A post office that takes one letter."""

    letters: list[bytes] = []

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                letter = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    letter += line
                self.letters.append(letter)
            self.wfile.write(b"250 yes\r\n" if word != b"QUIT" else b"221 bye\r\n")


def test_a_reminder_is_an_alert_and_a_letter() -> None:
    Post.letters.clear()
    with socketserver.TCPServer(("127.0.0.1", 0), Post) as office:
        thread = threading.Thread(target=office.serve_forever)
        thread.start()
        port = office.server_address[1]
        smtp = {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": port,
        }
        with with_environment(smtp_url=f"smtp://127.0.0.1:{port}"), override_settings(**smtp):
            done = run("reminder", {"message": "Water the plants.", "email": ["a@example.org"]})
        office.shutdown()
        thread.join()
    assert (done.state, done.error) == ("ok", "")
    [letter] = Post.letters
    assert b"To: a@example.org" in letter
    assert b"Water the plants." in letter
    assert (Alert.objects.get().rule, Alert.objects.get().severity) == ("reminder", "info")


def test_a_letter_that_cannot_be_sent_is_an_error_and_the_reminder_stands() -> None:
    done = run("reminder", {"message": "Water the plants.", "email": ["a@example.org"]})
    assert (done.state, done.error) == ("failed", "No mail is sent: AGENTHUB_SMTP_URL is not set.")
    assert Alert.objects.filter(rule="reminder").count() == 1


def test_two_callables_of_one_key_are_refused(registered: Callable[[Any], str]) -> None:
    key = registered(lambda: None)

    def another() -> None: ...

    with pytest.raises(ValueError, match="Two callables"):
        job(key=key)(another)


def test_a_run_that_is_not_there_is_no_error() -> None:
    assert run_execute(123_456) is None
