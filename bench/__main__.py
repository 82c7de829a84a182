"""`python -m bench`: the whole benchmark, one measure, or a profile. See docs/benchmarks.md."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench import measures, nginxes, profiling
from bench.gateways.agenthub import AgentHub
from bench.gateways.base import Gateway, Upstreams
from bench.gateways.direct import Direct
from bench.gateways.nginx import Nginx
from bench.machine import cores, free_port
from bench.processes import CantRun, Process, clean_environment, only_one, run_folder

GATEWAYS: dict[str, type[Gateway]] = {kind.name: kind for kind in (Direct, Nginx, AgentHub)}


@contextmanager
def upstreams() -> Iterator[tuple[Upstreams, list[int]]]:
    """Both upstreams, running, with their process numbers."""
    ports = Upstreams(json_port=free_port(), stream_port=free_port())
    folder = run_folder("upstream-stream")
    with ExitStack() as stack:
        answers = nginxes.start_json_upstream(ports.json_port)
        stack.callback(answers.stop)
        streams = Process(
            [sys.executable, "-m", "bench.streamserver", str(ports.stream_port)],
            core=cores()[1],
            log=folder / "upstream-stream.log",
            environ=clean_environment(),
        )
        stack.callback(streams.stop)
        streams.wait_for_port(ports.stream_port)
        yield ports, [answers.pid, streams.pid]


@contextmanager
def running(gateway: Gateway) -> Iterator[Gateway]:
    """A gateway, started."""
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()


def one_measure(options: argparse.Namespace) -> None:
    """`json` and `stream`: print samples of the chosen gateways, round by round."""
    with upstreams() as (ports, pids), ExitStack() as stack:
        gateways = [stack.enter_context(running(GATEWAYS[name](ports))) for name in options.only]
        for number in range(options.rounds):
            for gateway in gateways:
                if options.command == "json":
                    sample = measures.json_requests(
                        gateway, pids, connections=options.connections, seconds=options.seconds
                    )
                else:
                    sample = measures.streams(gateway, pids, count=options.streams, chunks=options.chunks)
                values = "  ".join(f"{name} {value:,.4g}" for name, value in sample.values.items())
                print(f"{number + 1} {sample.gateway:9} {sample.measure}: {values}  {sample.noise}", flush=True)


def profile(options: argparse.Namespace) -> None:
    """`profile`: where AgentHub's web process spends its CPU."""
    with upstreams() as (ports, _):
        hub = AgentHub(ports)
        with running(hub):
            profiling.profile(hub, options.kind, seconds=options.seconds, native=options.native, top=options.top)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    names = list(GATEWAYS)
    top = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = top.add_subparsers(dest="command")
    for name in ("json", "stream"):
        one = commands.add_parser(name, help=f"one measure: {name}")
        one.add_argument("--only", type=lambda text: text.split(","), default=names, help="gateways, with commas")
        one.add_argument("--rounds", type=int, default=1)
        if name == "json":
            one.add_argument("--seconds", type=float, default=5)
            one.add_argument("--connections", type=int, default=64)
        else:
            one.add_argument("--streams", type=int, default=100)
            one.add_argument("--chunks", type=int, default=200)
    spy = commands.add_parser("profile", help="where the CPU goes")
    spy.add_argument("kind", choices=("json", "stream"))
    spy.add_argument("--seconds", type=float, default=8)
    spy.add_argument("--native", action="store_true", help="look into C code too")
    spy.add_argument("--top", type=int, default=45)
    return top


def main() -> int:
    """Run the command line."""
    options = parser().parse_args()
    try:
        with only_one():
            if options.command in ("json", "stream"):
                one_measure(options)
            elif options.command == "profile":
                profile(options)
    except CantRun as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
