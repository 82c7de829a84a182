"""`agenthub up`: check, take the data folder and the port, then run the hub."""

import asyncio
import logging.config
import os
import socket
import sys

from agenthub.core.env import EnvError
from agenthub.core.envfile import FileEnvironment
from agenthub.core.environment import Environment, read_environment
from agenthub.core.logs import logging_settings
from agenthub.up import metrics, preflight
from agenthub.up.hublock import HubLock
from agenthub.up.preflight import CantStart
from agenthub.up.supervisor import Supervisor

BAD_ENVIRONMENT = 2
PRIVATE = 0o077


def main() -> int:
    """Run the hub; the exit code is 0 after a stop by signal, 2 for a bad environment, 1 for other failures."""
    # Nothing that the hub or a child of it writes is for other users of the machine.
    os.umask(PRIVATE)
    try:
        source = FileEnvironment(os.environ)
        environment = read_environment(os.environ)
        preflight.check_data_folder(environment.data_dir)
        lock = HubLock(environment.data_dir)
    except (EnvError, CantStart) as problem:
        sys.stderr.write(f"agenthub: {problem}\n")
        return BAD_ENVIRONMENT if isinstance(problem, EnvError) else 1
    logging.config.dictConfig(logging_settings(environment))
    try:
        return _run(environment, source, after_crash=lock.after_crash)
    except CantStart as problem:
        sys.stderr.write(f"agenthub: {problem}\n")
        return 1
    finally:
        lock.release()


def _run(environment: Environment, source: FileEnvironment, *, after_crash: bool) -> int:
    if environment.metrics_port:
        preflight.check_metrics_port(environment)
    with preflight.bind(environment, wait=after_crash) as listen:
        metrics.prepare_folder(environment.metrics_dir)
        stop_metrics = metrics.serve(environment) if environment.metrics_port else None
        try:
            return asyncio.run(_supervise(environment, source, listen))
        finally:
            if stop_metrics is not None:
                stop_metrics()


async def _supervise(environment: Environment, source: FileEnvironment, listen: socket.socket) -> int:
    return await Supervisor(environment, source, listen).run()
