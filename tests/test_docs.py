"""The pages say what the code does: tables are compared, links and commands are looked up."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from agenthub.core import errors
from agenthub.core.params import PARAMS, default_of, environment_names

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
PRODUCT = ("agenthub", "providers", "proxy", "heartbeat", "storagecustodian")

PROCESS_INTERNAL = {
    "AGENTHUB_LISTEN_FD",
    "AGENTHUB_STATUS_FD",
    "AGENTHUB_LIFELINE_FD",
    "AGENTHUB_GATE_FD",
    "AGENTHUB_BELL_FD",
    "AGENTHUB_PROCESS_NAME",
}
"""What the parent tells its children; nobody else sets them."""

VARIABLE = re.compile(r"(?:AGENTHUB|SIDECAR|LOG)_[A-Z_]+|DATABASE_URL|REDIS_URL")


def rows(page: Path) -> list[list[str]]:
    """The cells of every table row of a page, but for heads and rules."""
    lines = page.read_text().splitlines()
    found = []
    for number, line in enumerate(lines):
        after = lines[number + 1] if number + 1 < len(lines) else ""
        if line.startswith("| ") and not line.startswith("| ---") and not after.startswith("| ---"):
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def codes(text: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`]+)`", text)


def sources() -> Iterator[ast.Module]:
    """Every module of the product."""
    for part in PRODUCT:
        for path in (ROOT / part).rglob("*.py"):
            yield ast.parse(path.read_text())


def refusals(kind: type[errors.Refused] = errors.Refused) -> Iterator[type[errors.Refused]]:
    """A class of the tree and all below it."""
    yield kind
    for child in kind.__subclasses__():
        yield from refusals(child)


def number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def setting_row(name: str) -> list[str]:
    """What the table of settings must say."""
    default, metadata = default_of(name), PARAMS[name].metadata
    if isinstance(default, bool):
        shown, takes = str(default).lower(), "true, false"
    elif isinstance(default, str):
        shown, takes = default, ", ".join(metadata["choices"]) or "text"
    else:
        shown, takes = f"{default:.12g}", f"{number(metadata['at_least'])} – {number(metadata['at_most'])}"
    names = ", ".join(f"`{variable}`" for variable in environment_names(name))
    return [f"`{name}`", f"`{shown}`", takes, names, metadata["help"]]


def test_the_settings_page_is_the_table_in_the_code() -> None:
    assert rows(REFERENCE / "settings.md") == [setting_row(name) for name in PARAMS]


def variables_in_code() -> set[str]:
    found = set()
    for module in sources():
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value):
                found.add(node.value)
    return found - PROCESS_INTERNAL


def of_settings() -> set[str]:
    return {variable for name in PARAMS for variable in environment_names(name)}


def test_the_environment_page_names_every_variable_that_is_read_and_no_other() -> None:
    documented = {
        code
        for row in rows(REFERENCE / "environment.md")
        for cell in (row[0], row[2])
        for code in codes(cell)
        if VARIABLE.fullmatch(code)
    }
    assert documented == variables_in_code() - of_settings()


def test_the_readme_has_the_same_variables_but_for_older_names() -> None:
    in_readme = {code for row in rows(ROOT / "README.md") for code in codes(row[0]) if VARIABLE.fullmatch(code)}
    in_reference = {code for row in rows(REFERENCE / "environment.md") for code in codes(row[0])}
    assert in_readme == {name for name in in_reference if not name.startswith("SIDECAR_")}


def test_every_variable_that_any_page_names_is_read() -> None:
    named = {name for page in PAGES for name in VARIABLE.findall(page.read_text()) if not name.endswith("_")}
    assert named - variables_in_code() - of_settings() == set()


def test_the_table_of_errors_is_the_tree_in_the_code() -> None:
    expected = {(kind.code, str(kind.status), kind.type) for kind in refusals()}
    listed = [row for row in rows(REFERENCE / "wire.md") if len(row) == 4]
    assert {(codes(row[0])[0], row[1], codes(row[2])[0]) for row in listed} == expected


def metrics_in_code() -> dict[str, tuple[str, ...]]:
    """The name of each metric as Prometheus shows it, with its labels."""
    found = {}
    for module in sources():
        for call in (node for node in ast.walk(module) if isinstance(node, ast.Call)):
            kind = call.func.id if isinstance(call.func, ast.Name) else ""
            if kind in ("Counter", "Gauge", "Histogram") and call.args and isinstance(call.args[0], ast.Constant):
                labels = ast.literal_eval(call.args[2]) if len(call.args) > 2 else []
                name = str(call.args[0].value) + ("_total" if kind == "Counter" else "")
                found[name] = (kind.lower(), *labels)
    return found


def test_the_table_of_metrics_is_what_the_code_counts() -> None:
    listed = [row for row in rows(REFERENCE / "metrics.md") if len(row) == 4]
    assert {codes(row[0])[0]: (row[1], *codes(row[2])) for row in listed} == metrics_in_code()


def packages(file: str) -> set[str]:
    lines = (ROOT / "docker" / "requirements" / file).read_text().splitlines()
    return {re.split(r"[<>=\[]", line)[0] for line in lines if line and line[0] not in "#-"}


def test_every_dependency_has_its_reason() -> None:
    page = DOCS / "decisions" / "0002-dependencies.md"
    explained = {row[0] for row in rows(page) if len(row) == 2}
    assert explained == set().union(*(packages(f"{name}.in") for name in ("bootstrap", "server", "dev", "docs")))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_make_command_of_the_pages_is_in_the_makefile() -> None:
    shown = {
        word
        for page in PAGES
        for words in re.findall(r"(?:^|`)(?:BENCH=quick )?make ([a-z][a-z ]*)", page.read_text(), re.MULTILINE)
        for word in words.split()
    }
    assert {"up", "test"} <= shown <= targets()


def test_the_commands_page_lists_every_target() -> None:
    listed = {codes(row[0])[0].split()[1] for row in rows(REFERENCE / "commands.md") if "`make" in row[0]}
    assert listed == targets() - {"help"}


def test_the_commands_page_lists_every_command_of_ours() -> None:
    own = {path.stem for part in PRODUCT for path in (ROOT / part).rglob("management/commands/*.py")} - {"__init__"}
    entry = ast.parse((ROOT / "agenthub" / "__main__.py").read_text())
    own |= {
        str(key.value)
        for node in ast.walk(entry)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    text = " ".join(row[0] for row in rows(REFERENCE / "commands.md"))
    assert {name.replace("_", "-") for name in own} == set(re.findall(r"agenthub ([a-z-]+)", text))


def links(page: Path) -> Iterable[tuple[str, str]]:
    """Path and anchor of each link of a page that leads to another file of the repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield path, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    missing = [path for path, _ in links(page) if path and not (page.parent / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_hold_no_address_of_an_index_and_no_path_of_a_machine(page: Path) -> None:
    found = re.findall(
        r"\S*(?:/simple/|pypi\.|files\.pythonhosted|/home/\w+|/root/|/Users/|/opt/|/tmp/)\S*", page.read_text()
    )
    assert found == []


def test_files_that_the_pages_name_are_there() -> None:
    named = {
        (page.name, code)
        for page in PAGES
        for code in codes(page.read_text())
        if re.fullmatch(r"(?:agenthub|providers|proxy|heartbeat|storagecustodian|bench|tests|docker)/[\w/.-]+", code)
    }
    named = {(page, code) for page, code in named if not code.startswith("bench/.work")}
    assert len(named) > 30
    assert {(page, code) for page, code in named if not (ROOT / code).exists()} == set()
