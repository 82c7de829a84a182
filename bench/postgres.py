"""A private PostgreSQL for the bench, as durable as it comes: every commit is on the disk."""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench.machine import cores, free_port
from bench.processes import CantRun, Process, clean_environment


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The address of a server in `folder`, on the core of everything else. Raises CantRun."""
    initdb, program = _program("initdb"), _program("postgres")
    identity = _identity(folder)
    made = subprocess.run(
        [initdb, "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"],
        capture_output=True,
        check=False,
        cwd=folder,
        **identity,
    )
    if made.returncode:
        raise CantRun(f"initdb: {made.stderr.decode(errors='replace')[-500:]}")
    port = free_port()
    command = [program, "-D", str(folder / "data"), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    command += ["-c", f"unix_socket_directories={folder}"]
    if identity:
        command = ["setpriv", f"--reuid={identity['user']}", f"--regid={identity['group']}", "--clear-groups", *command]
    server = Process(command, core=cores()[1], log=folder / "postgres.log", environ=clean_environment())
    try:
        server.wait_for_port(port)
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        _await_answer(url)
        yield url
    finally:
        server.stop()


def _await_answer(url: str) -> None:
    """It listens before it answers. Raises CantRun."""
    for _ in range(200):
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise CantRun("PostgreSQL does not answer.")


def _program(name: str) -> str:
    found = shutil.which(name)
    known = sorted(str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found and not known:
        raise CantRun(f"{name} can't be found here.")
    return found or known[-1]


def _identity(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root, so root runs it as somebody else, who then owns the folder."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, user.pw_uid, user.pw_gid)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise CantRun("PostgreSQL does not run as root, and there is neither a user postgres nor nobody.")
