"""Our saver of LangGraph threads beside LangGraph's own, in one run: rounds in turn, each saver in its own process."""

import json
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import psycopg

from bench.machine import cores, on_core
from bench.onesaver import SAVERS, SIZES_KIB
from bench.postgres import postgres
from bench.processes import ROOT, CantRun, clean_environment, run_folder
from bench.results import about_this_run

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN = "<!-- begin of the figures of savers: written by `python -m bench checkpoints` -->"
END = "<!-- end of the figures of savers -->"
SECRETS = {
    "AGENTHUB_ENCRYPTION_KEY": "0123456789abcdef" * 4,
    "AGENTHUB_SECRET_KEY": "0123456789abcdefghij",
    "AGENTHUB_ADMIN_TOKEN": "0123456789abcdefghij",
}
Figures = dict[tuple[str, str, str, str], list[float]]  # saver, size, operation, value → one of each round


def compare(*, rounds: int) -> Figures:
    """Measure all savers, round by round. Raises CantRun."""
    found: Figures = defaultdict(list)
    with postgres(run_folder("savers-postgres")) as url:
        for number in range(rounds):
            for name in _turned(number):
                for size, operations in _measured(name, url, number).items():
                    for operation, values in operations.items():
                        for value, figure in values.items():
                            found[name, size, operation, value].append(figure)
                print(f"round {number + 1} of {rounds}: {name}", flush=True)
    return found


def _turned(number: int) -> list[str]:
    """Another one begins each round, since what a database writes to the disk afterwards burdens the next."""
    names, first = list(SAVERS), number % len(SAVERS)
    return names[first:] + names[:first]


def _measured(name: str, url: str, number: int) -> dict[str, dict[str, dict[str, float]]]:
    folder = run_folder(f"savers-{name}")
    environ = clean_environment({"AGENTHUB_DATA_DIR": str(folder), **SECRETS})
    place = str(folder / "langgraph.sqlite3")
    if name.endswith("-postgres"):
        place = _database(url, f"{name.partition('-')[0]}_{number}")
        environ |= {"DATABASE_URL": place} if name.startswith("agenthub") else {}
    command = [sys.executable, "-m", "bench.onesaver", name, place]
    with on_core(cores()[0]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environ)
    if done.returncode:
        raise CantRun(f"{name} ended with {done.returncode}:\n{done.stderr[-1500:]}")
    answer: dict[str, dict[str, dict[str, float]]] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _database(url: str, name: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    return f"{url.rpartition('/')[0]}/{name}"


def tables(found: Figures, *, rounds: int) -> str:
    """The figures as Markdown."""
    about = about_this_run([], rounds=rounds)
    lines = [f"* {name}: {value}" for name, value in about.items()]
    for operation in dict.fromkeys(key[2] for key in found):
        lines += ["", f"### Threads of LangGraph: {operation}", ""]
        lines.append("| | " + " | ".join(f"{kib} KiB, µs p50 (CPU)" for kib in SIZES_KIB) + " |")
        lines.append("| --- |" + " --- |" * len(SIZES_KIB))
        for name in SAVERS:
            cells = [_cell(found, name, str(kib), operation) for kib in SIZES_KIB]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_goals(found)])


def _cell(found: Figures, name: str, size: str, operation: str) -> str:
    p50, cpu = (statistics.median(found[name, size, operation, value]) for value in ("p50_us", "cpu_us"))
    return f"**{p50:,.0f}** ({cpu:,.0f})"


def _goals(found: Figures) -> list[str]:
    lines = ["### Goals of checkpoints", "", "| | gate | median of this run | gate met |", "| --- | --- | --- | --- |"]
    for kib, gate in zip(SIZES_KIB, (1.0, 1.0, 1.3), strict=True):
        ours, theirs = (
            statistics.median(found[name, str(kib), "put", "p50_us"])
            for name in ("agenthub-postgres", "langgraph-postgres")
        )
        met = "yes" if ours <= gate * theirs else "no"
        lines.append(f"| put of {kib} KiB ÷ LangGraph's PostgreSQL saver | ≤ {gate} | {ours / theirs:.2f} | {met} |")
    for name in ("agenthub-sqlite", "agenthub-postgres"):
        ms = max(statistics.median(found[name, str(kib), "get latest", "p50_us"]) for kib in (1, 16)) / 1000
        lines.append(f"| get latest, ms p50, up to 16 KiB, {name} | ≤ 1 | {ms:.2f} | {'yes' if ms <= 1 else 'no'} |")
    return lines


def write(text: str, page: Path = PAGE) -> None:
    """Put the tables between their markers."""
    whole = page.read_text()
    head, _, rest = whole.partition(BEGIN)
    _, _, tail = rest.partition(END)
    page.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")
