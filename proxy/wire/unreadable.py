"""What reading JSON that somebody else wrote may raise."""

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""No JSON or not of the type asked for; bytes that are no UTF-8; nested without end."""
