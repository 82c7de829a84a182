"""Bounds of what comes from outside, in one place."""

MOST_HEADER_BYTES = 64 * 1024
"""Headers of one upstream answer."""

MOST_LOOKED_AT_BYTES = 1024 * 1024
"""JSON answers up to this size are looked at before they are sent; larger ones stream on."""

MOST_TRANSLATED_BYTES = 32 * 1024 * 1024
"""A JSON answer that is translated into another format, for which it must be there whole."""

MOST_EVENT_BYTES = 4 * 1024 * 1024
"""One SSE event. Images in chunks are long; what is longer than this is no event."""

MOST_HELD_EVENTS = 64
MOST_HELD_BYTES = 64 * 1024
"""Events without content that are held back until the first content."""

MOST_ERROR_BYTES = 64 * 1024
"""An upstream's error body, as far as it is read and passed back."""

MOST_SUMMARY_CHARACTERS = 200
"""What the event log keeps of an upstream's answer."""

MOST_ESTIMATED_CHARACTERS = 1_000_000
"""Generated text that is kept for an estimate of tokens while a stream runs."""

MOST_MODEL_CHARACTERS = 256
"""A model name."""

MOST_INFLATED_BYTES = 8 * 1024 * 1024
"""What one piece of a compressed answer may unpack to."""

TAIL_BYTES = 8 * 1024
"""The end of a large JSON answer, in which its usage is looked for."""
