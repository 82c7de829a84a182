"""What is looked at before anything starts."""

import shutil
import socket
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from agenthub.core.environment import Environment, read_environment
from agenthub.up import preflight
from agenthub.up.hublock import HubLock
from agenthub.up.preflight import CantStart, bind, check_data_folder

Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    environ = {"AGENTHUB_DATA_DIR": str(tmp_path / "data"), "AGENTHUB_PORT": "0"}
    return read_environment(environ)


def test_the_port_is_bound_once(environment: Environment) -> None:
    with bind(environment, wait=False) as listen:
        assert listen.getsockname()[0] == "127.0.0.1"
        with socket.create_connection(listen.getsockname()):
            pass


def test_a_port_that_is_taken_is_named(environment: Environment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CantStart, match=rf"^Port {port} of 127.0.0.1 is taken .* give another AGENTHUB_PORT\.$"):
            bind(replace(environment, port=port), wait=False)


def test_an_address_of_another_machine_is_named(environment: Environment) -> None:
    with pytest.raises(CantStart, match="Check AGENTHUB_HOST and AGENTHUB_PORT"):
        bind(replace(environment, host="192.0.2.1"), wait=False)


def test_the_metrics_port_is_named_too(environment: Environment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = replace(environment, metrics_port=other.getsockname()[1])
        with pytest.raises(CantStart, match="give another AGENTHUB_METRICS_PORT"):
            preflight.check_metrics_port(taken)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 5 * 1024**2))
    with pytest.raises(CantStart, match=r"has 5 MB left, and a hub needs 100"):
        check_data_folder(tmp_path)


def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(CantStart, match="can't be used"):
        check_data_folder(tmp_path / "data")


def test_two_hubs_never_share_a_data_folder(tmp_path: Path) -> None:
    first = HubLock(tmp_path)
    with pytest.raises(CantStart, match=r"^Another hub \(process \d+\) runs on the data folder"):
        HubLock(tmp_path)
    first.release()
    HubLock(tmp_path).release()


def test_a_hub_knows_whether_the_one_before_it_was_killed(tmp_path: Path) -> None:
    first = HubLock(tmp_path)
    assert first.after_crash is False
    first.release()
    assert (tmp_path / "hub.lock").read_text() == ""
    (tmp_path / "hub.lock").write_text("123")
    second = HubLock(tmp_path)
    assert second.after_crash is True
    second.release()
