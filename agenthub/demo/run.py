"""`agenthub demo`: a hub beside the stand-in provider, with three backends, live traffic and two agents.

It lives in a folder and a database of its own, so that it never touches a real hub's data. Imports no Django.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from agenthub.core.env import EnvError
from agenthub.core.environment import Environment, read_environment
from agenthub.demo.agent import KILL_SECONDS, keep_custodian, keep_killing
from agenthub.demo.management import Management, ManagementRefused, mapping
from agenthub.demo.standin.script import Script
from agenthub.demo.standin.server import StandIn
from agenthub.demo.traffic import chat_for_ever

READY_SECONDS = 60.0
PEOPLE = 4
PAUSE_SECONDS = 3.0
MODELS = ("demo-small", "demo-large")

SCRIPTS = {
    "limited": Script(status=429, headers={"retry-after": "20"}, error_code="rate_limit_exceeded"),
    "slow": Script(before_head_seconds=0.8, between_chunks_seconds=0.15, chunks=25, prompt_tokens=40, cached_tokens=24),
    "healthy": Script(before_head_seconds=0.1, between_chunks_seconds=0.03, chunks=60, prompt_tokens=35),
}
POOLS = {"limited": "primary", "slow": "primary", "healthy": "fallback"}
RPM_LIMITS = {"limited": 60, "slow": 12, "healthy": 600}


def main() -> int:
    """Run the demo until SIGINT or SIGTERM; the exit code is the hub's."""
    environ = demo_environ(os.environ)
    try:
        environment = read_environment(environ)
    except EnvError as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    return asyncio.run(_run(environ, environment))


def demo_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the demo's hub: a data folder below the usual one, and no outside database or Redis."""
    folder = Path(environ.get("AGENTHUB_DATA_DIR") or "data") / "demo"
    without = {"DATABASE_URL", "REDIS_URL", "SIDECAR_DB_PATH"}
    return {name: value for name, value in environ.items() if name not in without} | {"AGENTHUB_DATA_DIR": str(folder)}


async def _run(environ: Mapping[str, str], environment: Environment) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with StandIn() as standin:
        for backend, script in SCRIPTS.items():
            standin.script(backend, script)
        # A session of its own, so that Ctrl-C reaches the hub once, from here, and not twice.
        hub = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agenthub", "up", env=environ, start_new_session=True
        )
        show = asyncio.create_task(_show(environment, standin, environ["AGENTHUB_DATA_DIR"]))
        ended = asyncio.create_task(hub.wait())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({show, ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        problem = show.exception() if show.done() and not show.cancelled() else None
        if problem is not None:
            sys.stderr.write(f"The demo stops: {problem}\n")
        for task in (show, stopped):
            task.cancel()
        await asyncio.gather(show, stopped, return_exceptions=True)
        if hub.returncode is None:
            hub.send_signal(signal.SIGTERM)
        code = await ended
        return 1 if problem is not None else code


async def _show(environment: Environment, standin: StandIn, data_dir: str) -> None:
    base_url = f"http://{_reachable(environment.host)}:{environment.port}"
    await _ready(base_url)
    management = Management(base_url, token=environment.admin_token or "")
    try:
        # In a thread, because the hub may call the stand-in, on this loop, before it answers.
        key, counter, custodian = await asyncio.to_thread(_prepare, management, standin)
    finally:
        management.close()
    sys.stdout.write(
        f"\nThe demo is running: {base_url}/dashboard shows it live, {base_url}/admin/ its backends.\n"
        f"Models {' and '.join(MODELS)} at {base_url}/v1 with the client key {key}\n"
        f"An agent counts, is killed every {KILL_SECONDS:g} s and goes on from its checkpoint: {base_url}/admin/\n"
        f"The Storage-Custodian looks after a folder, and reports: {base_url}/admin/hub/agentlog/\n"
        "Ctrl-C stops all of it.\n"
    )
    sys.stdout.flush()
    async with asyncio.TaskGroup() as busy:
        busy.create_task(
            chat_for_ever(f"{base_url}/v1", key=key, models=MODELS, people=PEOPLE, pause_seconds=PAUSE_SECONDS)
        )
        busy.create_task(keep_killing(base_url, counter))
        busy.create_task(keep_custodian(base_url, custodian, data_dir))


def _prepare(management: Management, standin: StandIn) -> tuple[str, str, str]:
    """The client key of the traffic, and the tokens of the two agents."""
    for name in SCRIPTS:
        management.backend_ensure(
            name=f"demo-{name}",
            label="demo",
            api_base_url=standin.url(name),
            api_key=f"sk-demo-{name}-00000000",
            pool=POOLS[name],
            rpm_limit=RPM_LIMITS[name],
            model_mappings={
                "demo-small": mapping("standin-small", input_price="0.0000004", output_price="0.0000016"),
                "demo-large": mapping("standin-large", input_price="0.000002", output_price="0.000008"),
            },
        )
    counter = management.agent_token_renew("demo-counter", display_name="Counter", description="Counts, and is killed.")
    custodian = management.agent_token_renew(
        "storage-custodian", display_name="Storage-Custodian", description="Looks after a folder."
    )
    return management.client_key_renew("demo traffic"), counter, custodian


async def _ready(base_url: str) -> None:
    async with httpx.AsyncClient(base_url=base_url, timeout=2, trust_env=False) as client:
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await _answers(client):  # noqa: ASYNC110 - another process has no event to wait for
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise ManagementRefused(f"The hub at {base_url} was not ready within {READY_SECONDS:g} s.") from None


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/ready")).is_success
    except httpx.HTTPError:
        return False


def _reachable(host: str) -> str:
    """An address to call for a host to bind: any address is reached on the local one."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - nothing is bound here
