"""Reads `multipart/form-data` (RFC 7578): the fields and files of an upload. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_PARAMETER = re.compile(r';\s*([\w*-]+)=(?:"((?:[^"\\]|\\.)*)"|([^;"\s]*))')
_QUOTED_PAIR = re.compile(r'\\(["\\])')
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
# What browsers and HTTP clients write for the characters that would end a quoted name.
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}
_PLAIN_ENCODINGS = {"", "7bit", "8bit", "binary"}


@dataclass(frozen=True, slots=True)
class FilePart:
    """One file of an upload."""

    name: str  # of the form's field
    filename: str
    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Form:
    """What an upload holds, in order. Of fields with the same name, the last one counts."""

    fields: dict[str, str] = field(default_factory=dict)
    files: tuple[FilePart, ...] = ()


NO_FORM = Form()


def is_multipart(content_type: str) -> bool:
    """Whether a body of this type is a form with parts."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def parse(content_type: str, body: bytes) -> Form:
    """The form in a body. Raises ValueError, which says what is wrong with it."""
    boundary = _parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise ValueError("The content type names no boundary of 1 to 70 allowed characters.")
    fields: dict[str, str] = {}
    files: list[FilePart] = []
    for start, end in _parts(body, b"--" + boundary.encode()):
        part = _part(body, start, end)
        if isinstance(part, FilePart):
            files.append(part)
        else:
            name, value = part
            fields[name] = value
    return Form(fields, tuple(files))


def _parts(body: bytes, delimiter: bytes) -> Iterator[tuple[int, int]]:
    """Where the parts lie: each from its header lines to the end of its content."""
    if body.startswith(delimiter):
        at = len(delimiter)
    else:
        found = body.find(b"\r\n" + delimiter)
        if found < 0:
            raise ValueError("The boundary of the content type is not in the body.")
        at = found + 2 + len(delimiter)
    while not body.startswith(b"--", at):
        line_end = body.find(b"\r\n", at)
        if line_end < 0 or body[at:line_end].strip(b" \t"):
            raise ValueError("A boundary is followed by neither a part nor the end.")
        # The line break before a boundary belongs to the boundary; after a part without a line it may be this one.
        end = body.find(b"\r\n" + delimiter, line_end)
        if end < 0:
            raise ValueError("The body ends before its last boundary.")
        yield line_end, end
        at = end + 2 + len(delimiter)


def _part(body: bytes, start: int, end: int) -> FilePart | tuple[str, str]:
    head_end = body.find(b"\r\n\r\n", start, end)
    if head_end < 0:
        raise ValueError("A part has no empty line between its headers and its content.")
    headers = _headers(body[start:head_end])
    disposition = headers.get("content-disposition", "")
    parameters = _parameters(disposition)
    if disposition.partition(";")[0].strip().lower() != "form-data" or "name" not in parameters:
        raise ValueError("A part has no Content-Disposition with form-data and a name.")
    name = parameters["name"]
    encoding = headers.get("content-transfer-encoding", "").lower()
    if encoding not in _PLAIN_ENCODINGS:
        raise ValueError(f"The part {name!r} is encoded as {encoding!r}, which forms don't allow.")
    data = body[head_end + 4 : end]
    if "filename" in parameters:
        kind = headers.get("content-type", "application/octet-stream")
        return FilePart(name, parameters["filename"], kind, data)
    try:
        return name, data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"The field {name!r} is not UTF-8.") from None


def _headers(lines: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines.split(b"\r\n"):
        if not line:
            continue
        name, colon, value = line.partition(b":")
        try:
            headers[name.decode("ascii").strip().lower()] = value.decode().strip()
        except UnicodeDecodeError:
            raise ValueError("A header of a part is not UTF-8.") from None
        if not colon:
            raise ValueError("A header of a part has no colon.")
    return headers


def _parameters(value: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, quoted, token in _PARAMETER.findall(value):
        text = _QUOTED_PAIR.sub(r"\1", quoted) if quoted else token
        for escape, character in _ESCAPES.items():
            text = text.replace(escape, character)
        parameters[name.lower()] = text
    return parameters
