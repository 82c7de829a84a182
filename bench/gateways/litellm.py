"""LiteLLM's proxy in an environment of its own, with the one master key that it insists on and without a database."""

import json
import os
import secrets
import subprocess
import sys

from bench.gateways.base import Gateway
from bench.load import Target
from bench.machine import cores, free_port
from bench.payload import JSON_MODEL, STREAM_MODEL
from bench.processes import WORK, CantRun, Process, clean_environment, run_folder

INSTALL_SECONDS = 300


class LiteLLM(Gateway):
    """The peer that most people know: one worker, its defaults, logging off."""

    name = "litellm"
    note = "LiteLLM proxy, one worker: one master key, no database, no limits"

    def prepare(self) -> None:
        """Install it where it is missing."""
        self._program = installed()

    def start(self) -> None:
        """Start it."""
        folder = run_folder("litellm")
        config = folder / "config.yaml"
        ports = {JSON_MODEL: self.upstreams.json_port, STREAM_MODEL: self.upstreams.stream_port}
        # JSON is YAML.
        config.write_text(json.dumps({"model_list": [_model(name, port) for name, port in ports.items()]}))
        self._port = free_port()
        self._key = f"sk-{secrets.token_hex(32)}"
        settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MASTER_KEY": self._key}
        environ = clean_environment(settings)
        environ.pop("PYTHONPATH")
        command = [self._program, "--config", str(config), "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--num_workers", "1", "--telemetry", "False"]
        self._process = Process(command, core=cores()[0], log=folder / "litellm.log", environ=environ)
        self._process.wait_for_port(self._port, seconds=120)

    def stop(self) -> None:
        """End it."""
        if hasattr(self, "_process"):
            self._process.stop()

    @property
    def pid(self) -> int:
        """Its process, with children."""
        return self._process.pid

    @property
    def json_target(self) -> Target:
        """The proxy; the model decides."""
        return Target(self._port, self._key)

    @property
    def stream_target(self) -> Target:
        """The same."""
        return Target(self._port, self._key)


def _model(name: str, port: int) -> dict[str, object]:
    params = {"model": "openai/native-model", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "sk-bench"}
    return {"model_name": name, "litellm_params": params}


def installed() -> str:
    """The path of its program, installed on first use. Raises CantRun where that does not work in time."""
    home = WORK / "litellm"
    program = home / "bin" / "litellm"
    if (home / "installed").exists():
        return str(program)
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "-q", "litellm[proxy]"]
        subprocess.run(pip, check=True, timeout=INSTALL_SECONDS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise CantRun(f"litellm[proxy] can't be installed here within {INSTALL_SECONDS} s.") from None
    (home / "installed").touch()
    return str(program)


def version() -> str:
    """The version that is installed."""
    code = "import importlib.metadata; print(importlib.metadata.version('litellm'))"
    done = subprocess.run(
        [str(WORK / "litellm" / "bin" / "python"), "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ""},
    )
    return done.stdout.strip()
