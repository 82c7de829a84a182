"""What the custodian says. Pure."""

import mimetypes
from collections.abc import Sequence

from storagecustodian.agent.folder import Figures, File, Piece

PIECE_BYTES = 48 * 1024
WARN_PERCENT, ALARM_PERCENT = 80.0, 90.0
HELP = (
    "I look after a folder. Commands: get_status – how many files and bytes; list_files [recursive] – their names; "
    "get_file NAME [OFFSET] – the content of one."
)


def started(folder: str, files: int) -> str:
    """The report at the start."""
    return f"Storage-Custodian initialized. Monitoring {folder}. {files} files detected."


def status(figures: Figures) -> str:
    """The answer to get_status."""
    return f"Storage Status: {figures.total_files} files, {figures.total_size} bytes"


def listing(files: Sequence[File]) -> str:
    """The answer to list_files."""
    return "\n".join(["Files:", *(f"- {file.name} ({file.size} bytes)" for file in files)])


def content(name: str, piece: Piece) -> str:
    """The answer to get_file: text as it is, a note for what is none; and how to get the rest."""
    text = _text(piece)
    if text is None:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return f"{name} is no text: {piece.size} bytes of {kind}."
    taken = piece.offset + len(text.encode())
    rest = taken if taken < piece.size else None
    return text if rest is None else f"{text}\n[{taken} of {piece.size} bytes; the rest: get_file {name} {rest}]"


def _text(piece: Piece) -> str | None:
    """The text of a piece, without half a character at its end; None for what is no text."""
    if b"\0" in piece.data:
        return None
    for cut in range(4 if piece.rest is not None else 1):
        try:
            return piece.data[: len(piece.data) - cut].decode()
        except UnicodeDecodeError:
            continue
    return None


def disk_warning(percent: float, told: float) -> tuple[str, float]:
    """What to say of a disk that fills, and the mark that has been told of; "" as long as nothing new is to be said."""
    mark = ALARM_PERCENT if percent >= ALARM_PERCENT else WARN_PERCENT if percent >= WARN_PERCENT else 0.0
    if mark > told:
        return f"The disk is {percent:.0f} % full.", mark
    return "", mark
