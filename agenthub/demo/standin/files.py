"""The files that were uploaded to the backends, in memory."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec

from agenthub.demo.standin.content import CREATED
from agenthub.demo.standin.protocol import Ask, Refused, Whole


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a backend."""

    id: str
    filename: str
    purpose: str
    data: bytes = field(repr=False)

    def described(self) -> dict[str, Any]:
        """The file object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": CREATED,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
        }


class FileStore:
    """The files of all backends. An id is used once, so that a file asked for at another backend is not found."""

    def __init__(self) -> None:
        self._backends: dict[str, dict[str, StoredFile]] = {}
        self._numbers = count(1)

    def keep(self, backend: str, ask: Ask) -> bytes:
        """Store the file of an upload and describe it. Raises Refused for a form without a file or purpose."""
        part = next((part for part in ask.form.files if part.name == "file"), None)
        if part is None:
            raise Refused(400, "", "The form has no file 'file'.")
        purpose = ask.form.fields.get("purpose")
        if not purpose:
            raise Refused(400, "", "The form has no purpose.")
        file = StoredFile(f"file-{next(self._numbers):08d}", part.filename, purpose, part.data)
        self._backends.setdefault(backend, {})[file.id] = file
        return msgspec.json.encode(file.described())

    def read(self, backend: str, below: str) -> Whole:
        """The list, a file or its content: what a GET below /files answers. Raises Refused for an unknown one."""
        if not below:
            listed = [file.described() for file in self._backends.get(backend, {}).values()]
            return _json({"object": "list", "data": listed, "has_more": False})
        file_id, _, part = below.partition("/")
        file = self._find(backend, file_id)
        if not part:
            return _json(file.described())
        if part == "content":
            return Whole(200, file.data, "application/octet-stream")
        raise Refused(404, "unknown_url", f"A file has no {part!r}.")

    def delete(self, backend: str, file_id: str) -> Whole:
        """Forget a file. Raises Refused for an unknown one."""
        self._find(backend, file_id)
        del self._backends[backend][file_id]
        return _json({"id": file_id, "object": "file", "deleted": True})

    def _find(self, backend: str, file_id: str) -> StoredFile:
        file = self._backends.get(backend, {}).get(file_id)
        if file is None:
            raise Refused(404, "", f"No such File object: {file_id}")
        return file


def _json(answer: dict[str, Any]) -> Whole:
    return Whole(200, msgspec.json.encode(answer))
