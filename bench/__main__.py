"""`python -m bench`: the whole benchmark, one measure of it, or a profile. docs/benchmarks.md says how it measures."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from agenthub.core.version import VERSION
from bench import agents, measures, nginxes, profiling, report, savers
from bench.gateways import litellm
from bench.gateways.agenthub import AgentHub
from bench.gateways.base import Upstreams
from bench.load import WRK
from bench.machine import cores, free_port
from bench.processes import CantRun, Process, clean_environment, only_one, run_folder
from bench.results import Results, about_this_run
from bench.run import FULL, GATEWAYS, MEASURES, QUICK, Run, line, running


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


def everything(options: argparse.Namespace) -> None:
    """Run a plan, keep the results, and write the page after a full run."""
    quick = options.quick or os.environ.get("BENCH") == "quick"
    plan = QUICK if quick else FULL
    changes = {"gateways": options.only, "measures": options.measures, "rounds": options.rounds}
    plan = replace(plan, **{name: value for name, value in changes.items() if value})
    with upstreams() as (ports, pids):
        results = Results()
        try:
            Run(plan, ports, pids, results).all()
        finally:
            results.about = about_this_run(_versions(plan.gateways), rounds=plan.rounds, seconds=plan.seconds)
            results.save()
    if quick or changes["gateways"] or changes["measures"]:
        print("\n" + report.tables(results))
        print("This was a part of the benchmark: docs/benchmarks.md stays as it is.")
    else:
        report.write(results)
        print("The tables are in docs/benchmarks.md.")


def _versions(gateways: tuple[str, ...]) -> list[tuple[str, str]]:
    found = [("AgentHub", VERSION), ("nginx", nginxes.version())]
    return [*found, ("LiteLLM", litellm.version())] if "litellm" in gateways else found


def one_measure(options: argparse.Namespace) -> None:
    """`json` and `stream`: print samples of the chosen gateways, round by round."""
    with upstreams() as (ports, pids), ExitStack() as stack:
        names = options.only or ("direct", "nginx", "agenthub")
        gateways = [stack.enter_context(running(GATEWAYS[name](ports))) for name in names]
        for _ in range(options.rounds or 1):
            for gateway in gateways:
                if options.command == "json":
                    connections, seconds = options.connections, options.seconds
                    sample = measures.json_requests(gateway, pids, connections=connections, seconds=seconds)
                else:
                    sample = measures.streams(gateway, pids, count=options.streams, chunks=options.chunks)
                print(line(sample), flush=True)


def profile(options: argparse.Namespace) -> None:
    """`profile`: where AgentHub's web process spends its CPU."""
    with upstreams() as (ports, _):
        hub = AgentHub(ports)
        with running(hub):
            profiling.profile(hub, options.kind, seconds=options.seconds, native=options.native, top=options.top)


def checkpoints(options: argparse.Namespace) -> None:
    """`checkpoints`: our saver of LangGraph threads beside LangGraph's own."""
    rounds = options.rounds or 3
    text = savers.tables(savers.compare(rounds=rounds), rounds=rounds)
    print(text)
    if options.write:
        savers.write(text)


def of_agents(options: argparse.Namespace) -> None:
    """`agents`: the hub of agents."""
    rounds = []
    for _ in range(options.rounds or 1):
        rounds.append(agents.measure())
        print(rounds[-1], flush=True)
    text = agents.table(rounds)
    print(text)
    if options.write:
        agents.write(text)


def write_report(_options: argparse.Namespace) -> None:
    """`report`: the tables of the last run."""
    report.write(Results.load())


def _several(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def chosen(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        unknown = set(names) - set(known)
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(known)}")
        return names

    return chosen


def parser() -> argparse.ArgumentParser:
    """The command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--only", type=_several(tuple(GATEWAYS)), help="gateways, with commas between")
    common.add_argument("--rounds", type=int)
    top = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    top.set_defaults(command="all", quick=False, only=None, measures=None, rounds=None)
    commands = top.add_subparsers(dest="command")
    whole = commands.add_parser("all", parents=[common], help="the whole benchmark (the default)")
    whole.add_argument("--quick", action="store_true", help="a run of two minutes; BENCH=quick does the same")
    whole.add_argument("--measures", type=_several(MEASURES), help=f"some of {', '.join(MEASURES)}")
    requests = commands.add_parser("json", parents=[common], help="JSON requests alone")
    requests.add_argument("--seconds", type=float, default=5)
    requests.add_argument("--connections", type=int, default=64)
    streams = commands.add_parser("stream", parents=[common], help="streams alone")
    streams.add_argument("--streams", type=int, default=100)
    streams.add_argument("--chunks", type=int, default=200)
    spy = commands.add_parser("profile", help="where the CPU goes")
    spy.add_argument("kind", choices=("json", "stream"))
    spy.add_argument("--seconds", type=float, default=8)
    spy.add_argument("--native", action="store_true", help="look into C code too")
    spy.add_argument("--top", type=int, default=45)
    threads = commands.add_parser("checkpoints", help="savers of LangGraph threads side by side")
    threads.add_argument("--rounds", type=int)
    threads.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    hub = commands.add_parser("agents", help="connections and messages of agents")
    hub.add_argument("--rounds", type=int)
    hub.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    commands.add_parser("report", help="write the tables again from the results of the last run")
    return top


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "all": everything,
    "json": one_measure,
    "stream": one_measure,
    "profile": profile,
    "checkpoints": checkpoints,
    "agents": of_agents,
    "report": write_report,
}


def main() -> int:
    """Run the command line."""
    options = parser().parse_args()
    needed = () if options.command in ("checkpoints", "agents") else (WRK, nginxes.PROGRAM)
    missing = [name for name in needed if nginxes.found(name) is None]
    if missing:
        print(f"bench: skipped, since {' and '.join(missing)} can't be found here. Install them and run it again.")
        return 0
    try:
        with only_one():
            COMMANDS[options.command or "all"](options)
    except CantRun as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
