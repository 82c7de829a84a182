"""What a run has found: samples, kept as JSON, and their medians."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.measures import Sample
from bench.processes import ROOT, WORK

FILE = WORK / "results.json"


@dataclass(frozen=True, slots=True)
class Spread:
    """Least, median and most of one value over the rounds."""

    least: float
    median: float
    most: float
    calm: bool  # whether only calm samples are in it


@dataclass
class Results:
    """One run."""

    about: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def spread(self, gateway: str, measure: str, value: str) -> Spread | None:
        """The spread over calm samples where there are any, else over all; None where nothing was measured."""
        found = [one for one in self.samples if (one.gateway, one.measure) == (gateway, measure)]
        found = [one for one in found if value in one.values]
        calm = [one for one in found if one.noise.get("calm", True)]
        numbers = [one.values[value] for one in calm or found]
        if not numbers:
            return None
        return Spread(min(numbers), statistics.median(numbers), max(numbers), calm=bool(calm))

    def median(self, gateway: str, measure: str, value: str) -> float | None:
        """The median alone."""
        spread = self.spread(gateway, measure, value)
        return spread.median if spread is not None else None

    def save(self, path: Path = FILE) -> None:
        """Write all of it."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path = FILE) -> "Results":
        """What `save` has written."""
        data: dict[str, Any] = json.loads(path.read_text())
        return cls(data["about"], [Sample(**sample) for sample in data["samples"]], data["problems"])


def about_this_run(versions: Iterable[tuple[str, str]], **options: object) -> dict[str, str]:
    """Machine, versions and options, without names or paths of this machine."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "machine": f"{len(os.sched_getaffinity(0))} cores of {model}, Linux {platform.release()}",
        "python": platform.python_version(),
        **{name: version for name, version in versions if version},
        **{name: str(value) for name, value in options.items()},
    }


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return done.stdout.strip() or "unknown"
