"""multipart/form-data, as far as the proxy must understand it: the values of a few small fields, and where they stand.

Read strictly. A form that two readers might take apart differently is refused, since what the proxy allows by the one
reading might be served by the other: every line ends in CRLF, no wanted field comes twice, no name is escaped.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from agenthub.core.errors import BadRequest

MOST_VALUE_BYTES = 4 * 1024
MOST_PART_HEADER_BYTES = 16 * 1024
MOST_PARTS = 1_000
MOST_PADDING_BYTES = 256
"""White space behind a boundary."""

_CRLF = b"\r\n"
_BLANK_LINE = b"\r\n\r\n"
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_HEADER = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\r\n\x00]*)")
_PARAMETER = re.compile(rb"[ \t]*;[ \t]*(" + _TOKEN + rb')=(?:"((?:[^"\\]|\\.)*)"|([^ \t";]*))')
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_AS_IT_IS = frozenset({b"7bit", b"8bit", b"binary"})


@dataclass(frozen=True, slots=True)
class Field:
    """The value of one field, and where it stands: byte offsets in the whole body."""

    value: bytes
    start: int
    end: int


def boundary_of(content_type: bytes) -> bytes:
    """The boundary that a Content-Type names. Raises BadRequest where it is no form or the boundary is no boundary."""
    kind, parameters = _parameters(content_type, "The Content-Type")
    if kind.lower() != b"multipart/form-data":
        raise BadRequest("The request's Content-Type must be multipart/form-data.")
    boundary = parameters.get(b"boundary")
    if boundary is None:
        raise BadRequest("The Content-Type of a form must name its boundary.")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest("The boundary of a form has 1 to 70 letters, digits or any of '()+_,-./:=? in it.")
    return boundary


class FormScanner:
    """Finds the values of the fields `wanted` while a form goes by, and keeps nothing else of it."""

    def __init__(self, boundary: bytes, wanted: Collection[str]) -> None:
        self.fields: dict[str, Field] = {}
        self._delimiter = b"\n--" + boundary
        self._wanted = frozenset(wanted)
        # The first boundary needs no line before it; this one, which is not in the body, makes it one like the others.
        self._buffer = bytearray(_CRLF)
        self._offset = -len(_CRLF)  # where the buffer begins in the body
        self._searched = 0  # up to here the buffer does not hold what is looked for
        self._content = self._offset  # where the content that goes by has begun
        self._step: Callable[[FormScanner], bool] = FormScanner._skip
        self._name: str | None = None  # the wanted field whose value goes by
        self._seen: set[str] = set()
        self._parts = 0

    def feed(self, piece: bytes) -> None:
        """Look at the next piece of the body. Raises BadRequest, which says what is wrong with the form."""
        self._buffer += piece
        while self._step(self):
            pass

    def finish(self) -> None:
        """The body has ended. Raises BadRequest where the form has not."""
        if self._step is not FormScanner._ignore:
            what = "ends before its last boundary" if self._parts else "does not hold its boundary"
            raise BadRequest(f"The form {what}.")

    # The steps: each takes from the buffer what it can, and says whether to go on at once.

    def _skip(self) -> bool:
        """Before the first part, and in contents that are of no interest."""
        end = self._find_delimiter()
        if end is None:
            # The line end before a boundary may have come already, and most of the boundary.
            self._drop(max(0, len(self._buffer) - len(self._delimiter)))
            return False
        self._drop(end + 1 + len(self._delimiter))
        self._step = FormScanner._end_line
        return True

    def _take_value(self) -> bool:
        """In the value of a wanted field."""
        end = self._find_delimiter()
        most = len(_CRLF) + MOST_VALUE_BYTES
        if (end if end is not None else len(self._buffer) - len(self._delimiter)) > most:
            raise BadRequest(f"{self._name} is longer than {MOST_VALUE_BYTES:,} bytes.", param=self._name)
        if end is None:
            return False
        if self._name is not None:
            start = self._offset + len(_CRLF)
            self.fields[self._name] = Field(bytes(self._buffer[len(_CRLF) : end]), start, self._offset + end)
        self._drop(end + 1 + len(self._delimiter))
        self._step = FormScanner._end_line
        return True

    def _end_line(self) -> bool:
        """Behind a boundary: the end of the form, or white space and the end of the line."""
        if len(self._buffer) < 2:
            return False
        if self._buffer.startswith(b"--"):
            self._step = FormScanner._ignore
            return True
        end = self._buffer.find(_CRLF)
        padding = self._buffer[:end] if end >= 0 else self._buffer.removesuffix(b"\r")
        if padding.strip(b" \t") or len(padding) > MOST_PADDING_BYTES:
            raise BadRequest("A boundary of the form is followed by something else than the end of its line.")
        if end < 0:
            return False
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise BadRequest(f"The form has more than {MOST_PARTS:,} parts.")
        self._drop(end)
        self._step = FormScanner._take_headers
        return True

    def _take_headers(self) -> bool:
        """In the headers of a part, with the line end before them."""
        end = self._buffer.find(_BLANK_LINE, max(0, self._searched - len(_BLANK_LINE)))
        if (end if end >= 0 else len(self._buffer) - len(_BLANK_LINE)) > MOST_PART_HEADER_BYTES:
            raise BadRequest(f"The headers of a part are longer than {MOST_PART_HEADER_BYTES:,} bytes.")
        if end < 0:
            self._searched = len(self._buffer)
            return False
        name, is_file = _name_of(bytes(self._buffer[len(_CRLF) : end]))
        self._name = None
        if name in self._wanted:
            if name in self._seen:
                raise BadRequest(f"{name} is given twice.", param=name)
            self._seen.add(name)
            self._name = None if is_file else name
        self._drop(end + len(_CRLF))
        self._content = self._offset + len(_CRLF)
        self._step = FormScanner._take_value if self._name is not None else FormScanner._skip
        return True

    def _ignore(self) -> bool:
        """Behind the last boundary."""
        self._drop(len(self._buffer))
        return False

    def _find_delimiter(self) -> int | None:
        """Where the line end before the next boundary begins; None while there is no boundary in the buffer."""
        at = self._buffer.find(self._delimiter, max(0, self._searched - len(self._delimiter)))
        self._searched = len(self._buffer)
        if at < 0:
            return None
        if self._buffer[at - 1 : at] != b"\r":
            raise BadRequest("A boundary of the form does not stand behind a line end of CR and LF.")
        if self._offset + at - 1 < self._content:
            raise BadRequest("A part of the form has no content: its headers' line end can't be the boundary's too.")
        return at - 1

    def _drop(self, count: int) -> None:
        if count:
            del self._buffer[:count]
            self._offset += count
        self._searched = 0


def _name_of(headers: bytes) -> tuple[str, bool]:
    """The name of the field that a part is, and whether it is a file."""
    dispositions = []
    for line in headers.split(_CRLF) if headers else []:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise BadRequest("A header of a part can't be read.")
        if header[1].lower() == b"content-disposition":
            dispositions.append(header[2])
        elif header[1].lower() == b"content-transfer-encoding" and header[2].strip().lower() not in _AS_IT_IS:
            raise BadRequest("The parts of a form are taken as they are, without a Content-Transfer-Encoding.")
    if len(dispositions) != 1:
        raise BadRequest("A part of a form has one Content-Disposition.")
    kind, parameters = _parameters(dispositions[0], "The Content-Disposition of a part")
    name = parameters.get(b"name")
    if kind.lower() != b"form-data" or name is None or b"name*" in parameters:
        raise BadRequest('The Content-Disposition of a part must be form-data; name="…".')
    if b"\\" in name:
        raise BadRequest("The names of fields are read as they are, without a backslash.")
    try:
        return name.decode(), b"filename" in parameters or b"filename*" in parameters
    except UnicodeDecodeError:
        raise BadRequest("The name of a field is not UTF-8.") from None


def _parameters(value: bytes, what: str) -> tuple[bytes, dict[bytes, bytes]]:
    """A header's value without its parameters, and these by their names in lower case."""
    kind, semicolon, rest = value.partition(b";")
    rest = (semicolon + rest).rstrip(b" \t")
    parameters: dict[bytes, bytes] = {}
    position = 0
    while position < len(rest):
        found = _PARAMETER.match(rest, position)
        if found is None:
            raise BadRequest(f"{what} can't be read.")
        name = found[1].lower()
        if name in parameters:
            raise BadRequest(f"{what} has a parameter twice.")
        parameters[name] = found[2] if found[2] is not None else found[3]
        position = found.end()
    return kind.strip(b" \t"), parameters
