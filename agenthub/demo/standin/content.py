"""What a script says, whatever the format that it is said in. Pure."""

from agenthub.demo.standin.script import Script

CREATED = 1_750_000_000
CHUNKS_PER_TOOL_CALL = 2

_PATTERN = bytes(range(251))  # a prime length, so that a piece that is lost or moved shows


def chunk_text(script: Script, number: int) -> str:
    """The text of one chunk."""
    return script.text.replace("{n}", str(number))


def whole_text(script: Script) -> str:
    """The text of all chunks."""
    return "".join(chunk_text(script, number) for number in range(script.chunks))


def chunk_count(script: Script) -> int:
    """How many chunks a stream has: those of text, then those of the tool calls."""
    return script.chunks + CHUNKS_PER_TOOL_CALL * len(script.tool_calls)


def tool_call_chunk(script: Script, number: int) -> tuple[int, bool, str]:
    """Of a chunk after the text: its tool call's index, whether it is the first of it, its part of the arguments."""
    index, later = divmod(number - script.chunks, CHUNKS_PER_TOOL_CALL)
    arguments = script.tool_calls[index].arguments
    middle = len(arguments) // 2
    return index, not later, arguments[middle:] if later else arguments[:middle]


def finish_reason(script: Script) -> str:
    """Why the answer ends, in the words of chat completions."""
    return "tool_calls" if script.tool_calls and script.finish_reason == "stop" else script.finish_reason


def completion_tokens(script: Script) -> int:
    """How many tokens the stand-in claims to have said."""
    return chunk_count(script) if script.completion_tokens is None else script.completion_tokens


def binary(size: int) -> bytes:
    """So many bytes, always the same."""
    return (_PATTERN * (size // len(_PATTERN) + 1))[:size]
