"""AgentHub with everything on: a web process as `agenthub up` starts it, and its flusher beside."""

import json
import os
import socket
import subprocess
import sys
from typing import ClassVar

from agenthub.up.inherited import LIFELINE_VARIABLE, LISTEN_VARIABLE
from agenthub.up.metrics import FOLDER_VARIABLE
from bench.gateways.base import Gateway, Upstreams
from bench.load import Target
from bench.machine import cores, free_port
from bench.processes import ROOT, CantRun, Process, clean_environment, run_folder


class AgentHub(Gateway):
    """One hub in embedded mode on a new data folder."""

    name = "agenthub"
    note = "everything on: client key, buckets, journal, usage, metrics"
    extra: ClassVar[dict[str, str]] = {}

    def __init__(self, upstreams: Upstreams, *, folder: str = "agenthub", **more: int) -> None:
        super().__init__(upstreams)
        self._folder_name = folder
        self._more = more
        self._web: Process | None = None
        self._flusher: Process | None = None
        self._lifeline: tuple[int, int] | None = None

    def prepare(self) -> None:
        """Make a database with the backends of the bench, `more` of them where told, and a client key."""
        self.folder = run_folder(self._folder_name)
        metrics = self.folder / "metrics"
        metrics.mkdir()
        self.environ = clean_environment(
            {
                "AGENTHUB_DATA_DIR": str(self.folder / "data"),
                "AGENTHUB_METRICS_PORT": "0",
                FOLDER_VARIABLE: str(metrics),
                **self.extra,
            }
        )
        self._key = seed(self.upstreams, self.environ, **self._more)

    def start(self) -> None:
        """Start the flusher and the web process."""
        # The children end when this process does, however it ends.
        self._lifeline = os.pipe()
        self._flusher = self._child("flusher", core=cores()[1])
        with socket.create_server(("127.0.0.1", 0), backlog=4096) as listen:
            self._port = listen.getsockname()[1]
            self._web = self._child("web", core=cores()[0], listen=listen)
        self._wait_until_it_answers()

    def stop(self) -> None:
        """End both."""
        for process in (self._web, self._flusher):
            if process is not None:
                process.stop()
        if self._lifeline is not None:
            os.close(self._lifeline[0])
            os.close(self._lifeline[1])
            self._lifeline = None

    def _child(self, command: str, *, core: int, listen: socket.socket | None = None) -> Process:
        assert self._lifeline is not None
        environ = {**self.environ, LIFELINE_VARIABLE: str(self._lifeline[0])}
        inherited = [self._lifeline[0]]
        if listen is not None:
            environ[LISTEN_VARIABLE] = str(listen.fileno())
            inherited.append(listen.fileno())
        log = self.folder / f"agenthub-{command}.log"
        return Process(
            [sys.executable, "-m", "agenthub", command], core=core, log=log, environ=environ, pass_fds=inherited
        )

    def _wait_until_it_answers(self) -> None:
        # The socket listens before the process does: what is waited for is an answer.
        assert self._web is not None
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=60) as probe:
                probe.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                answer = probe.recv(256)
        except OSError as problem:
            raise CantRun(f"AgentHub does not start: {problem}; see {self._web.log}") from problem
        if b" 200 " not in answer[:20]:
            raise CantRun(f"AgentHub does not start: {answer!r}; see {self._web.log}")

    @property
    def pid(self) -> int:
        """The web process."""
        assert self._web is not None
        return self._web.pid

    @property
    def beside_pid(self) -> int:
        """The flusher."""
        assert self._flusher is not None
        return self._flusher.pid

    @property
    def json_target(self) -> Target:
        """The hub; the model decides."""
        return Target(self._port, self._key)

    @property
    def stream_target(self) -> Target:
        """The same."""
        return Target(self._port, self._key)


class AgentHubByAsgi(AgentHub):
    """The same through uvicorn's own ASGI cycle, as any other ASGI server would run it."""

    name = "agenthub-asgi"
    note = "the same with AGENTHUB_SHORT_WAY=false"
    extra: ClassVar[dict[str, str]] = {"AGENTHUB_SHORT_WAY": "false"}

    def __init__(self, upstreams: Upstreams) -> None:
        super().__init__(upstreams, folder="agenthub-asgi")


class WholeHub(AgentHub):
    """The same as people start it, by `agenthub up`: what is measured is all of its processes together."""

    name = "agenthub up"
    note = "parent, web process, flusher, job worker"

    def start(self) -> None:
        """Start the hub; whoever measures waits for its first answer."""
        self._port = free_port()
        environ = {**self.environ, "AGENTHUB_PORT": str(self._port)}
        log = self.folder / "agenthub-up.log"
        self._web = Process([sys.executable, "-m", "agenthub", "up"], core=cores()[0], log=log, environ=environ)


def seed(upstreams: Upstreams, environ: dict[str, str], **more: int) -> str:
    """Migrate and fill the database of `environ`; the client key."""
    order = {"json_port": upstreams.json_port, "stream_port": upstreams.stream_port, **more}
    done = subprocess.run(
        [sys.executable, "-m", "bench.seed", json.dumps(order)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environ,
    )
    if done.returncode:
        raise CantRun(f"The bench's database could not be made:\n{done.stderr}")
    key: str = json.loads(done.stdout.splitlines()[-1])["key"]
    return key
