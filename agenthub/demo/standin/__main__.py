"""`python -m agenthub.demo.standin`: run the stand-in by itself and print its address."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from agenthub.demo.standin.script import Scripts, read_scripts
from agenthub.demo.standin.server import StandIn


def main() -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m agenthub.demo.standin", description="A scripted provider.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--script", type=Path, help="JSON file: {backend: [script of each request, …]}")
    options = parser.parse_args()
    try:
        scripts = read_scripts(options.script.read_bytes()) if options.script else {}
    except (OSError, ValueError) as problem:
        sys.stderr.write(f"The script {options.script} can't be used: {problem}\n")
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(options.host, options.port, scripts))


async def _serve(host: str, port: int, scripts: Scripts) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with StandIn(host=host, port=port) as standin:
            for backend, per_request in scripts.items():
                standin.script(backend, *per_request)
            sys.stdout.write(f"{standin.url()}\n")
            sys.stdout.flush()
            await stop.wait()
    except OSError as problem:
        sys.stderr.write(f"The stand-in can't listen on {host}:{port}: {problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
