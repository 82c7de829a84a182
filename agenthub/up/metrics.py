"""The metrics endpoint on its own port: the counters of all processes of this hub, added up by the parent."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from agenthub.core.environment import Environment

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def prepare_folder(folder: Path) -> None:
    """An empty folder for the counters; they count from the start of the hub."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    os.environ[FOLDER_VARIABLE] = str(folder)


def serve(environment: Environment) -> Callable[[], None]:
    """Serve `/metrics` in a thread until the function that comes back is called."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(environment.metrics_dir))  # type: ignore[no-untyped-call]
    server, thread = start_http_server(environment.metrics_port, environment.metrics_host, registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def forget(pid: int, folder: Path) -> None:
    """Take a dead process's gauges out of the sums; what it has counted stays."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
