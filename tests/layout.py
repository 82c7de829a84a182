"""Who imports whom: reads the source, runs none of it. Used by test_layout.py."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# part → what it may import of the house. The longest name that fits a module is its part.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "agenthub.core": frozenset(),
    "agenthub.client": frozenset(),
    "providers": frozenset({"agenthub.core"}),
    "agenthub.hub": frozenset({"agenthub.core"}),
    "proxy": frozenset({"agenthub.core", "providers"}),
    "storagecustodian": frozenset({"agenthub.core", "agenthub.hub", "agenthub.client"}),
    "storagecustodian.agent": frozenset({"agenthub.client"}),
    "heartbeat": frozenset({"agenthub.core", "agenthub.hub", "providers", "proxy", "storagecustodian"}),
    "agenthub.overview": frozenset(
        {"agenthub.core", "agenthub.hub", "providers", "proxy", "storagecustodian", "heartbeat"}
    ),
    "agenthub.demo": frozenset({"agenthub.core", "agenthub.client"}),
}
ROOT = "agenthub"
"""The rest of `agenthub/`: may import all, is imported by none."""

OURS = frozenset({"agenthub", "providers", "proxy", "heartbeat", "storagecustodian"})
EVERYTHING = frozenset(MAY_IMPORT) | {ROOT}

# What pure code never imports: frameworks, clocks, chance without an argument, network, files, processes.
IMPURE = frozenset(
    {"django", "rest_framework", "channels", "celery", "kombu", "auditlog", "whitenoise", "prometheus_client"}
    | {
        "redis",
        "psycopg",
        "sqlite3",
        "httpx",
        "requests",
        "uvicorn",
        "uvloop",
        "socket",
        "ssl",
        "http",
        "urllib.request",
    }
    | {"asyncio", "threading", "multiprocessing", "subprocess", "select", "selectors", "signal"}
    | {"time", "secrets", "os", "io", "pathlib", "shutil", "tempfile", "logging"}
)
IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})
CLOCK_CALLS = frozenset({"now", "utcnow", "today"})
LOADED_BY_DJANGO = frozenset({"models", "admin"})
"""Packages that Django imports by their name to find what is in them."""

PURE_KERNEL = frozenset(
    f"agenthub.core.{name}" for name in ("addresses", "errors", "money", "origins", "params", "statepaths", "timezones")
)
"""Modules outside `rules/` and `wire/` that are held to be pure too, so that rules may build on them."""


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, and where."""

    module: str
    line: int


@dataclass(frozen=True, slots=True)
class Violation:
    """One line that is against the table, and why."""

    place: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.why}"


def module_of(file: Path, top: Path) -> str:
    """The dotted name of a source file."""
    parts = list(file.relative_to(top).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The part of the house that a module belongs to; "" for foreign modules."""
    if module.partition(".")[0] not in OURS:
        return ""
    fitting = [part for part in MAY_IMPORT if module == part or module.startswith(part + ".")]
    return max(fitting, key=len) if fitting else ROOT


def is_pure(module: str) -> bool:
    """Whether a module has to be pure."""
    return module in PURE_KERNEL or ".rules." in f"{module}." or f"{module}.".startswith("proxy.wire.")


def imports(source: str, module: str, *, is_package: bool, known: frozenset[str]) -> Iterator[Import]:
    """Every import in a source, at any depth: functions, TYPE_CHECKING blocks, relative ones, `import_module("…")`.

    `from a import b` is an import of `a.b` where that is one of the `known` modules, else of `a`.
    """
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node.module or "", node.level, package)
            for alias in node.names:
                below = f"{base}.{alias.name}"
                yield Import(below if below in known else base, node.lineno)
        elif isinstance(node, ast.Call) and _name(node.func) in {"import_module", "__import__"} and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield Import(argument.value, node.lineno)


def violations(top: Path) -> list[Violation]:
    """Everything below `top` that is against the table or not pure where it must be."""
    files = {module_of(file, top): file for name in sorted(OURS) for file in sorted((top / name).rglob("*.py"))}
    known = frozenset(files)
    found: list[Violation] = []
    for module, file in files.items():
        source = file.read_text(encoding="utf-8")
        seen = list(imports(source, module, is_package=file.name == "__init__.py", known=known))
        where = file.relative_to(top)
        found += [Violation(f"{where}:{one.line}", why) for one in seen if (why := _against_table(module, one.module))]
        if is_pure(module):
            found += [Violation(f"{where}:{one.line}", why) for one in seen if (why := _impure_import(one.module))]
            found += [Violation(f"{where}:{line}", why) for line, why in _impure_calls(source)]
        if file.name == "__init__.py" and source.strip() and file.parent.name not in LOADED_BY_DJANGO:
            found.append(Violation(str(where), "is not empty, so importing a part would start more than is asked for"))
    return found


def _absolute(name: str, level: int, package: str) -> str:
    if level == 0:
        return name
    parts = package.split(".")
    base = ".".join(parts[: len(parts) - level + 1])
    return f"{base}.{name}" if name else base


def _against_table(module: str, imported: str) -> str:
    here, there = part_of(module), part_of(imported)
    if not there or here in (there, ROOT):
        return ""
    # The empty package `agenthub` itself is everybody's parent; what counts is what is in it.
    if there in MAY_IMPORT.get(here, frozenset()):
        return ""
    return f"{here} may not import {imported} ({there if there != ROOT else 'the root'})"


def _impure_import(imported: str) -> str:
    if any(imported == name or imported.startswith(name + ".") for name in IMPURE):
        return f"pure code may not import {imported}"
    if part_of(imported) and not is_pure(imported):
        return f"pure code may not import {imported}, which is not pure"
    return ""


def _impure_calls(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = _name(node.func)
        if isinstance(node.func, ast.Name) and name in IMPURE_CALLS:
            yield node.lineno, f"pure code may not call {name}()"
        if isinstance(node.func, ast.Attribute) and name in CLOCK_CALLS:
            yield node.lineno, f"pure code takes the time as an argument and may not call .{name}()"
        if isinstance(node.func, ast.Attribute) and _name(node.func.value) == "random" and name != "Random":
            yield node.lineno, "pure code takes chance as an argument and may not call random itself"


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""
