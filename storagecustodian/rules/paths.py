"""Names of files and folders that no id can lead out of, and the names of older files."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

from agenthub.core.errors import StateNotStorable

LONGEST_ID = 200
LONGEST_FOLDER = 200
_SEQUENCE_DIGITS = 12
_FILE = re.compile(r"(\d{12,18})-(ckp_[0-9a-f]{12})\.json")
_STAMP = re.compile(r"(?P<agent>.+)_(?P<stamp>\d{8}_\d{6})")


def storable_text(text: object, name: str, *, longest: int = LONGEST_ID, empty: bool = False) -> str:
    """A text that a row can hold. Raises StateNotStorable naming it."""
    if not isinstance(text, str):
        raise StateNotStorable(f"{name} must be a text.", param=name)
    if not text and not empty:
        raise StateNotStorable(f"{name} must not be empty.", param=name)
    if len(text) > longest:
        raise StateNotStorable(f"{name} may have at most {longest} characters.", param=name)
    if "\0" in text or not (text.isascii() or _is_utf8(text)):
        raise StateNotStorable(f"{name} holds a character that no row can hold.", param=name)
    return text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def folder_name(agent_id: str) -> str:
    """The folder of an agent: every id has one of its own, and none leads elsewhere or is a name of a device.

    What is no letter, digit, `-` or `_` is quoted, dots and capitals too, since some file systems know no difference
    between capitals and small letters; a name that would be too long ends in a hash.
    """
    quoted = "".join(_quoted(letter) for letter in agent_id)
    if len(quoted) <= LONGEST_FOLDER:
        return f"a-{quoted}"
    return f"h-{quoted[:100]}-{_hash(agent_id)}"


def _quoted(letter: str) -> str:
    if letter.isascii() and (letter.islower() or letter.isdigit() or letter in "-_"):
        return letter
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def agent_of_folder(name: str) -> str | None:
    """The agent whose folder it is, where the name alone says it."""
    return unquote(name[2:], errors="surrogatepass") if name.startswith("a-") else None


def file_name(sequence: int, checkpoint_id: str) -> str:
    """The name of a checkpoint's file; names sort as sequences do."""
    return f"{sequence:0{_SEQUENCE_DIGITS}d}-{checkpoint_id}.json"


def sequence_of(name: str) -> tuple[int, str] | None:
    """The sequence and the id in a file's name; None for another file."""
    found = _FILE.fullmatch(name)
    return (int(found[1]), found[2]) if found else None


@dataclass(frozen=True, slots=True)
class LegacyName:
    """What the name of an older file says."""

    agent_id: str
    label: str  # "" where it is an automatic one
    at: datetime | None


def legacy_name(stem: str, agent_in_document: str = "") -> LegacyName:
    """Read `{agent id}_{label or YYYYmmdd_HHMMSS}`; the document's own agent id, where it fits, says where to cut."""
    if agent_in_document and stem.startswith(f"{agent_in_document}_"):
        rest = stem[len(agent_in_document) + 1 :]
        at = _moment(rest)
        return LegacyName(agent_in_document, "" if at else rest, at)
    stamped = _STAMP.fullmatch(stem)
    if stamped and (at := _moment(stamped["stamp"])):
        return LegacyName(stamped["agent"], "", at)
    agent_id, cut, label = stem.rpartition("_")
    return LegacyName(agent_id, label, None) if cut and agent_id else LegacyName(stem, "", None)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
