"""A multipart form on its way through: kept on the disk, so that it can be sent again, with its model looked up."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from agenthub.core.errors import BadRequest
from proxy.request_spool import RequestSpool, SpoolReader
from proxy.rules.limits import MOST_MODEL_CHARACTERS
from proxy.wire.multipart import Field, FormScanner, boundary_of


class Form:
    """One form, whole."""

    def __init__(self, content_type: bytes, spool: RequestSpool, model: Field | None) -> None:
        self.content_type = content_type
        self._spool = spool
        self._model = model

    @classmethod
    async def taken_in(
        cls, pieces: AsyncIterator[bytes], *, content_type: bytes, folder: Path, most_bytes: int
    ) -> Self:
        """Read a form to its end. Raises BadRequest for what is no form, RequestTooLarge, SpoolFull."""
        scanner = FormScanner(boundary_of(content_type), ("model",))
        spool = RequestSpool(folder, most_bytes=most_bytes)
        try:
            async for piece in pieces:
                scanner.feed(piece)
                spool.write(piece)
            scanner.finish()
        except BaseException:
            spool.close()
            raise
        return cls(content_type, spool, scanner.fields.get("model"))

    @property
    def model(self) -> str:
        """The model that the form names; empty without one. Raises BadRequest."""
        if self._model is None:
            return ""
        try:
            name = self._model.value.decode().strip()
        except UnicodeDecodeError:
            raise BadRequest("The model is not UTF-8 text.", param="model") from None
        if len(name) > MOST_MODEL_CHARACTERS:
            raise BadRequest(f"A model name has at most {MOST_MODEL_CHARACTERS} characters.", param="model")
        return name

    @property
    def size(self) -> int:
        """Bytes of the whole form."""
        return self._spool.size

    def body(self, native_id: str) -> SpoolReader:
        """The bytes for a backend, with its own name of the model."""
        changes = []
        if self._model is not None and native_id:
            changes = [(self._model.start, self._model.end, native_id.encode())]
        return self._spool.open_reader(changes)

    def close(self) -> None:
        """Give memory and disk back."""
        self._spool.close()
