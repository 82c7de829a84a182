"""What one wire format says and another has no place for."""


class Untranslatable(Exception):
    """A field that can't be said in the other format, or that makes no sense; `field` is its path, as in
    messages.2.content."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
