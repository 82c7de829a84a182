"""The tables of docs/benchmarks.md, out of the results of a run."""

from collections.abc import Callable, Iterable

from bench.processes import ROOT
from bench.results import Results
from bench.run import GATEWAYS

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN = "<!-- begin of the figures: written by `make bench` -->"
END = "<!-- end of the figures -->"

MANY = "stream 100×200"
FEW = "stream 10×100"


_NOTES = """\
Least / **median** / most of the rounds. "Added" is the median less that of the direct way in the same run.

¹ No calm sample: neighbours were busy in every round, so the figure counts for little.

² CPU of the flusher, a process of its own, for the same requests or chunks."""


def write(results: Results) -> None:
    """Put the tables between the markers of the page."""
    page = PAGE.read_text()
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n\n{tables(results)}\n{END}{tail}")


def tables(results: Results) -> str:
    """All tables as Markdown."""
    parts = [_about(results), _json(results), _streams(results), _rest(results), _growth(results), _goals(results)]
    parts.append(_NOTES)
    if results.problems:
        parts.append("Not measured:\n\n" + "\n".join(f"* {text.splitlines()[0]}" for text in results.problems))
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(results: Results) -> str:
    measured = [sample for sample in results.samples if sample.noise]
    calm = sum(bool(sample.noise["calm"]) for sample in measured)
    lines = [f"* {name}: {value}" for name, value in results.about.items()]
    lines.append(f"* calm samples: {calm} of {len(measured)}")
    return "\n".join(lines)


def _names(results: Results) -> list[str]:
    found = {sample.gateway for sample in results.samples}
    return [name for name in GATEWAYS if name in found]


def _table(title: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [f"### {title}", "", _row(heads), _row("---" for _ in heads)]
    return "\n".join([*lines, *(_row(row) for row in rows)])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def number(value: float) -> str:
    """A figure with as many digits as it deserves."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _spread(results: Results, gateway: str, measure: str, value: str, *, scale: float = 1) -> str:
    found = results.spread(gateway, measure, value)
    if found is None:
        return "–"
    least, median, most = (number(one * scale) for one in (found.least, found.median, found.most))
    mark = "" if found.calm else " ¹"
    return f"**{median}**{mark}" if least == most else f"{least} / **{median}** / {most}{mark}"


def added(results: Results, gateway: str, measure: str, value: str) -> float | None:
    """A gateway's median less that of the direct way, in ms."""
    with_it = results.median(gateway, measure, value)
    without = results.median("direct", measure, value)
    return (with_it - without) / 1e3 if with_it is not None and without is not None else None


def _added(results: Results, gateway: str, measure: str, value: str) -> str:
    found = added(results, gateway, measure, value)
    return "–" if gateway == "direct" or found is None else f"{found:.2f}"


def _json(results: Results) -> str:
    heads = (
        "",
        "CPU µs per request, c 64",
        "beside it ²",
        "CPU µs per request, c 1",
        "requests/s, c 64",
        "requests/s, c 1",
        "added ms p50 / p99, c 1",
        "the same on one core",
    )
    rows = (
        (
            name,
            _spread(results, name, "json c64", "cpu_us_per_request"),
            _spread(results, name, "json c64", "beside_us_per_request"),
            _spread(results, name, "json c1", "cpu_us_per_request"),
            _spread(results, name, "json c64", "requests_per_second"),
            _spread(results, name, "json c1", "requests_per_second"),
            _both(results, name, "json c1", "p50_us", "p99_us"),
            _both(results, name, "json c1 one core", "p50_us", "p99_us"),
        )
        for name in _names(results)
    )
    notes = "\n".join(f"* {name}: {GATEWAYS[name].note}" for name in _names(results))
    return f"{notes}\n\n{_table('JSON requests of about 1 kB', heads, rows)}"


def _both(results: Results, name: str, measure: str, first: str, second: str) -> str:
    return f"{_added(results, name, measure, first)} / {_added(results, name, measure, second)}"


def _streams(results: Results) -> str:
    heads = (
        "",
        "CPU µs per chunk, 10 streams",
        "100 streams",
        "200 streams",
        "beside it, 100 streams ²",
        "added TTFT ms p50 / p99, 10 streams",
        "added delay per chunk ms p50 / p99, 100 streams",
        "reads with more than one chunk, 200 streams",
    )
    rows = (
        (
            name,
            _spread(results, name, FEW, "cpu_us_per_chunk"),
            _spread(results, name, MANY, "cpu_us_per_chunk"),
            _spread(results, name, "stream 200×100", "cpu_us_per_chunk"),
            _spread(results, name, MANY, "beside_us_per_chunk"),
            _both(results, name, FEW, "ttft_p50_us", "ttft_p99_us"),
            _both(results, name, MANY, "delay_p50_us", "delay_p99_us"),
            _percent(results.median(name, "stream 200×100", "joined_reads")),
        )
        for name in _names(results)
    )
    return _table("Streams, a chunk every 20 ms", heads, rows)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _rest(results: Results) -> str:
    names = [name for name in _names(results) if name != "direct"]
    streams = results.median("agenthub", "memory", "streams")
    heads = (
        "",
        "RSS at rest, MB",
        f"with {streams:.0f} slow streams open, MB" if streams else "with slow streams open, MB",
        "KB per stream",
        "CPU of a 256 KiB prompt ÷ of 1 kB",
        "µs added by 256 KiB",
        "start to first answer, s",
    )
    rows = [
        (
            name,
            _spread(results, name, "memory", "idle_mb"),
            _spread(results, name, "memory", "open_mb"),
            _spread(results, name, "memory", "kb_per_stream"),
            _spread(results, name, "256 KiB prompts", "growth"),
            _spread(results, name, "256 KiB prompts", "added_us"),
            _spread(results, name, "cold start", "seconds"),
        )
        for name in names
    ]
    whole = "agenthub up"
    if results.median(whole, "cold start", "seconds") is not None:
        memory, start = (_spread(results, whole, "cold start", value) for value in ("idle_mb", "seconds"))
        rows.append(("agenthub up (all processes)", memory, "–", "–", "–", "–", start))
    return _table("Memory, long prompts, start", heads, rows)


def _growth(results: Results) -> str:
    names = list(dict.fromkeys(sample.gateway for sample in results.samples if sample.measure == "growth"))
    rows = ((name, _spread(results, name, "growth", "cpu_us_per_request")) for name in names)
    return _table("Growth", ("AgentHub with", "CPU µs per JSON request, c 64"), rows) if names else ""


def _goals(results: Results) -> str:
    def hub(measure: str, value: str) -> float | None:
        return results.median("agenthub", measure, value)

    def ratio(measure: str, value: str, to: str) -> float | None:
        own, other = hub(measure, value), results.median(to, measure, value)
        return own / other if own is not None and other else None

    def gap(value: str, measure: str) -> float | None:
        return added(results, "agenthub", measure, value)

    prompts = ratio("256 KiB prompts", "growth", "nginx")
    rest: list[tuple[str, str, str, float | None, Callable[[float], bool]]] = [
        ("CPU µs per JSON request", "≤ 200", "≤ 90", hub("json c64", "cpu_us_per_request"), lambda v: v <= 200),
        ("the same ÷ nginx", "≤ 10", "≤ 4", ratio("json c64", "cpu_us_per_request", "nginx"), lambda v: v <= 10),
        ("requests/s of one core", "≥ 3,560", "≥ 10,680", hub("json c64", "requests_per_second"), lambda v: v >= 3560),
        ("the same ÷ LiteLLM", "≥ 50", "≥ 150", ratio("json c64", "requests_per_second", "litellm"), lambda v: v >= 50),
        ("CPU µs per chunk, 100 streams", "≤ 65", "≤ 45", hub(MANY, "cpu_us_per_chunk"), lambda v: v <= 65),
        ("the same ÷ nginx", "≤ 3", "≤ 2", ratio(MANY, "cpu_us_per_chunk", "nginx"), lambda v: v <= 3),
        ("added ms p50, c 1", "≤ 0.3", "≤ 0.15", gap("p50_us", "json c1"), lambda v: v <= 0.3),
        ("added ms p99, c 1", "≤ 1", "≤ 0.5", gap("p99_us", "json c1"), lambda v: v <= 1),
        ("added TTFT ms p50, 10 streams", "≤ 2", "≤ 0.5", gap("ttft_p50_us", FEW), lambda v: v <= 2),
        ("added TTFT ms p99, 10 streams", "≤ 5", "≤ 1", gap("ttft_p99_us", FEW), lambda v: v <= 5),
        ("added delay ms p99, 100 streams", "≤ 5", "≤ 1.5", gap("delay_p99_us", MANY), lambda v: v <= 5),
        ("KB per open stream", "≤ 60", "≤ 25", hub("memory", "kb_per_stream"), lambda v: v <= 60),
        ("MB of a web process at rest", "≤ 120", "≤ 80", hub("memory", "idle_mb"), lambda v: v <= 120),
        (
            "start to first answer, s",
            "≤ 3",
            "≤ 1",
            results.median("agenthub up", "cold start", "seconds"),
            lambda v: v <= 3,
        ),
        ("growth with 256 KiB prompts ÷ nginx's", "≤ 1.5", "", prompts, lambda v: v <= 1.5),
    ]
    rows = (
        (what, gate, moonshot, number(figure), "yes" if met(figure) else "no")
        for what, gate, moonshot, figure, met in rest
        if figure is not None
    )
    return _table("Goals", ("", "gate", "moonshot", "median of this run", "gate met"), rows)
