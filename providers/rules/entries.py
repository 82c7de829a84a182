"""Backends as text: JSON, YAML or CSV, read from anybody and written for anybody.

An entry has the shape of the management API's requests. In CSV a row is a backend, and what is no plain value stands
in its cell as JSON; an empty cell is null where a limit may be none, and "not given" everywhere else.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Any

import yaml

from agenthub.core.errors import BadRequest

MOST_BYTES = 16 * 1024 * 1024
MOST_ENTRIES = 5_000
DEEPEST = 25

# Cells hold the mappings of a backend, of which there may be hundreds; the bound of the whole text is ours.
csv.field_size_limit(MOST_BYTES)

_JSON_CELLS = frozenset({"metadata", "extra_headers", "model_mappings", "services"})
_EMPTY_CELLS: dict[str, str | None] = {
    **dict.fromkeys(("label", "ca_bundle"), ""),
    **dict.fromkeys(("rpm_limit", "burst", "tpm_limit", "max_concurrency")),
}
_FORMULA = tuple("=+-@＝＋－＠'")
_HALF_CHARACTERS = re.compile("[\ud800-\udfff]")
_YamlLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Format(StrEnum):
    """How entries are written."""

    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


MEDIA_TYPES = {
    "application/json": Format.JSON,
    "application/yaml": Format.YAML,
    "text/csv": Format.CSV,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One backend of a text, and where in the text it stands."""

    place: str
    values: dict[str, Any]


def format_of(file_name: str) -> Format | None:
    """The format that a file's name says; None if it says none."""
    ending = file_name.rpartition(".")[2].lower()
    return Format.YAML if ending == "yml" else Format(ending) if ending in set(Format) else None


def entries_read(text: bytes, kind: Format) -> list[Entry]:
    """The entries of a text. Raises BadRequest, which never repeats the text: it may hold keys."""
    if len(text) > MOST_BYTES:
        raise BadRequest(f"It is larger than {MOST_BYTES} bytes; import it in parts.")
    try:
        decoded = text.decode("utf-8-sig")  # spreadsheets put a mark in front
    except UnicodeDecodeError:
        raise BadRequest(_not_in(kind)) from None
    entries = _from_csv(decoded) if kind == Format.CSV else _from_list(_parsed(decoded, kind))
    _refuse_duplicates(entries)
    return entries


def _not_in(kind: Format) -> str:
    return {Format.JSON: "It is not JSON.", Format.YAML: "It is neither JSON nor YAML."}.get(kind, "It is not CSV.")


def _parsed(text: str, kind: Format) -> Any:
    try:
        if kind == Format.JSON:
            return json.loads(text)
        # JSON is YAML too.
        _check_events(text)
        return yaml.load(text, Loader=_YamlLoader)  # noqa: S506 - a safe loader
    except (ValueError, RecursionError, yaml.YAMLError):
        # What the parser says may quote the text.
        raise BadRequest(_not_in(kind)) from None


def _check_events(text: str) -> None:
    """Refuse what would make much out of little, before anything is made."""
    depth = 0
    for event in yaml.parse(text, Loader=_YamlLoader):
        if isinstance(event, yaml.AliasEvent):
            raise BadRequest("It uses a YAML alias (*name), which is not taken here; write the values out.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise BadRequest(f"It is nested deeper than {DEEPEST} levels.")


def _from_list(value: Any) -> list[Entry]:
    if not isinstance(value, list):
        raise BadRequest("It must hold a list of backends.")
    _refuse_many(len(value))
    return [_entry(f"entry {number}", item) for number, item in enumerate(value, start=1)]


def _entry(place: str, item: Any) -> Entry:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str) or not item["name"].strip():
        raise BadRequest(f"{place}: every entry must be an object with a name.", param=f"{place}.name")
    values = {str(name): value for name, value in item.items()}
    values["name"] = values["name"].strip()
    if not _storable(values, DEEPEST):
        raise BadRequest(f"{place}: it holds a number or character that can't be stored, or is nested too deeply.")
    return Entry(place, values)


def _storable(value: Any, depth: int) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, str):
        return value.isascii() or not _HALF_CHARACTERS.search(value)
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_storable(each, depth - 1) for each in inner)


def _from_csv(text: str) -> list[Entry]:
    if "\0" in text:
        raise BadRequest(_not_in(Format.CSV))
    rows = csv.reader((line + "\n" for line in re.split(r"\r\n|\r|\n", text)), strict=True)
    try:
        head = [name.strip() for name in next(rows, [])]
        if "name" not in head or len(set(head)) != len(head):
            raise BadRequest("The first row must name each column once, and one of them must be “name”.")
        entries = []
        for number, cells in enumerate(rows, start=2):
            if any(cell.strip() for cell in cells):
                entries.append(_entry(f"row {number}", _csv_values(f"row {number}", head, cells)))
                _refuse_many(len(entries))
    except csv.Error:
        raise BadRequest(_not_in(Format.CSV)) from None
    return entries


def _csv_values(place: str, head: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    if len(cells) != len(head):
        raise BadRequest(f"{place}: it has {len(cells)} cells where the first row names {len(head)} columns.")
    values: dict[str, Any] = {}
    for column, cell in zip(head, map(_cell_opened, cells), strict=True):
        if cell.strip() == "":
            if column in _EMPTY_CELLS:
                values[column] = _EMPTY_CELLS[column]
        elif column in _JSON_CELLS:
            try:
                values[column] = json.loads(cell)
            except (ValueError, RecursionError):
                raise BadRequest(f"{place}, {column}: the cell is not JSON.", param=f"{place}.{column}") from None
        else:
            values[column] = cell
    return values


def _refuse_many(count: int) -> None:
    if count > MOST_ENTRIES:
        raise BadRequest(f"It holds more than {MOST_ENTRIES} backends; import it in parts.")


def _refuse_duplicates(entries: Iterable[Entry]) -> None:
    seen: dict[str, str] = {}
    for entry in entries:
        name = entry.values["name"]
        if name in seen:
            raise BadRequest(
                f"{entry.place}, name: {seen[name]} has the name “{name[:50]}” already.", param=f"{entry.place}.name"
            )
        seen[name] = entry.place


def entries_written(entries: Sequence[Mapping[str, Any]], kind: Format) -> str:
    """Entries as a text that `entries_read` reads back."""
    match kind:
        case Format.JSON:
            return json.dumps(entries, ensure_ascii=False, indent=2) + "\n"
        case Format.YAML:
            return yaml.safe_dump([dict(entry) for entry in entries], allow_unicode=True, sort_keys=False)
        case Format.CSV:
            return "".join(_csv_lines(entries))


class _Lines(list[str]):
    write = list.append


def _csv_lines(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    columns = list(dict.fromkeys(name for entry in entries for name in entry)) or ["name"]
    lines = _Lines()
    writer = csv.writer(lines)
    writer.writerow(columns)
    writer.writerows([_cell(entry.get(column)) for column in columns] for entry in entries)
    return iter(lines)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return _cell_closed(value)
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _cell_closed(text: str) -> str:
    # A spreadsheet would calculate what begins so; it takes an apostrophe as "this is text".
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _cell_opened(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].lstrip().startswith(_FORMULA) else cell
